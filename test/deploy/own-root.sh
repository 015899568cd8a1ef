#!/bin/sh
# Makes a root of its own and becomes systemd, as PID 1, in it. Run by systemd.ts inside new mount, PID, UTS, IPC and cgroup namespaces.
# Nothing of the host can be written from there but the shared folder: its programs are bound read-only, all else lies in memory, the
# only units are ours, and the old root is gone before systemd starts.
set -eu
new=$1 shared=$2 node=$3
mount -t tmpfs -o mode=0755 cronfleet-test "$new"
cd "$new"
mkdir -p usr etc/systemd/system proc sys dev run tmp var/lib var/log root opt srv home shared node old
chmod 1777 tmp
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t tmpfs tmpfs usr/local
mkdir usr/local/bin
for link in bin sbin lib lib64; do
  if [ -L "/$link" ]; then cp -P "/$link" "$link"; elif [ -d "/$link" ]; then
    mkdir "$link"
    mount --bind "/$link" "$link"
    mount -o remount,bind,ro "$link"
  fi
done
for file in passwd group nsswitch.conf ld.so.cache ld.so.conf hosts; do [ ! -e "/etc/$file" ] || cp "/etc/$file" etc/; done
printf '%032d\n' 1 >etc/machine-id
mount --bind "$shared" shared
mount --bind "$node" node
mount -o remount,bind,ro node
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
# Both before systemd would: it would take the host's devices, and its cgroups of version 1 where it has them, too.
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755 tmpfs dev
mkdir -m 1777 dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for device in null zero full random urandom tty; do
  : >"dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
for target in sysinit basic shutdown multi-user test; do
  printf '[Unit]\nDefaultDependencies=no\n' >"etc/systemd/system/$target.target"
done
pivot_root . old
umount -l /old
rmdir /old
# As a host has it, where systemd itself does this: credentials come into a unit by propagation.
mount --make-rshared /
exec env -i container=cronfleet-test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system \
  SYSTEMD_GENERATOR_PATH=/nothing SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nothing \
  /usr/lib/systemd/systemd --system --unit=test.target --log-target=null --show-status=no </dev/null >/dev/null 2>&1
