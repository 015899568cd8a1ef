#!/bin/sh
# Installs, upgrades or rolls back what lies in this folder: the cronfleet agent, or the server.
set -eu

usage() {
  cat <<'USAGE'
./install.sh [--root DIR] [--strict | --as-root | --plain] [--no-start]
./install.sh --rollback [--root DIR]

Puts this version under /opt, makes user, folders, settings and unit where they are missing, and starts it. Again it changes nothing
but what another version brings: settings and credentials are yours. Jobs that run live through it.

  --rollback   back to the version before this one
  --strict     agent: jobs may write only below /var/lib/cronfleet, /srv and /tmp, and have no privileges (no sudo)
  --as-root    agent: it runs as root, so that jobs may name the user that they run as
  --plain      agent: neither; left out, what was chosen before holds
  --no-start   does not start or restart anything
  --root DIR   installs into another root folder, such as an image's; starts nothing

CRONFLEET_KV and CRONFLEET_HISTORY, where set, become the credentials: etcd://HOST:PORT,... and mongodb://HOST/DATABASE.
CRONFLEET_SSM, where set, becomes the settings' `ssm`: where both stand in AWS Parameter Store, such as eu-central-1:/cronfleet/production.
USAGE
}

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

root='' rollback=no mode='' start=yes
while [ $# -gt 0 ]; do
  case $1 in
    --root)
      [ $# -ge 2 ] || fail "--root: which folder?"
      mkdir -p -- "$2"
      root=$(cd -- "$2" && pwd)
      [ "$root" != / ] || root=''
      shift
      ;;
    --rollback) rollback=yes ;;
    --strict | --as-root | --plain)
      [ -z "$mode" ] || fail "$1: $mode was said already; expected one of them"
      mode=$1
      ;;
    --no-start) start=no ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

here=$(dirname -- "$(readlink -f -- "$0")")
read -r name version <"$here/VERSION" || fail "$here/VERSION: is not there; is this an unpacked release?"
part=${name#cronfleet-}
home=$root/opt/$name
etc=$root/etc/cronfleet
units=$root/etc/systemd/system
drop=$units/$name.service.d
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "has to run as root (sudo), or with --root DIR"
[ -z "$root" ] || start=no
[ "$part" = agent ] || [ -z "$mode" ] || fail "$mode: is for an agent, and this is the $part"
# Only a system that systemd runs can be told anything: a container may have the program and no systemd.
managed=no
[ -n "$root" ] || [ ! -d /run/systemd/system ] || managed=yes

# What was begun and not ended is not left, on a disk that may be full.
unfinished() {
  rm -rf -- "$home"/.[!.]*.new "$home"/.[!.]*.old
  rm -f -- "$etc"/.[!.]*.new "$etc"/credentials/.[!.]*.new
}

# A link that changes at once: whoever starts meanwhile gets the old version or the new one.
point() {
  ln -sfn -- "$2" "$home/$1.new"
  mv -T -- "$home/$1.new" "$home/$1"
}

restart() {
  if [ "$managed" = no ]; then
    [ -n "$root" ] || echo "no systemd runs this host: restart by hand: $home/current/bin/cronfleet $part --config /etc/cronfleet/$part.yaml"
    return 0
  fi
  systemctl daemon-reload
  [ "$start" = yes ] || return 0
  # One that was running as well as one that gives up and tries again.
  if [ -s /etc/cronfleet/credentials/kv ] || grep -q -e '^kv:' -e '^ssm:' "/etc/cronfleet/$part.yaml"; then
    systemctl enable --quiet "$name"
    back=''
    [ ! -L "$home/previous" ] || back="; $home/current/install.sh --rollback goes back"
    systemctl restart "$name" || fail "$name $(readlink "$home/current") did not get to work: journalctl -u $name -n 50 says why$back"
    echo "$name $(readlink "$home/current") is at work"
  else
    echo "fill in /etc/cronfleet/credentials/kv and .../history, or ssm in /etc/cronfleet/$part.yaml, then: systemctl enable --now $name"
  fi
}

if [ "$rollback" = yes ]; then
  [ -L "$home/previous" ] || fail "$home/previous: there is no version to go back to"
  was=$(readlink "$home/current" || true)
  back=$(readlink "$home/previous")
  [ -d "$home/$back" ] || fail "$home/$back: is gone"
  point current "$back"
  [ -z "$was" ] || point previous "$was"
  cp -- "$home/$back/$name.service" "$units/$name.service"
  echo "$name: back from $was to $back"
  restart
  exit 0
fi

# The program: complete under another name first, so that a full disk leaves what was there.
was=$(readlink "$home/current" 2>/dev/null || true)
mkdir -p -- "$home"
unfinished
trap unfinished EXIT
if [ "$here" != "$home/$version" ] && ! diff -rq -- "$here" "$home/$version" >/dev/null 2>&1; then
  cp -R -- "$here" "$home/.$version.new"
  chmod -R u=rwX,go=rX -- "$home/.$version.new"
  [ "$(id -u)" != 0 ] || chown -R 0:0 -- "$home/.$version.new"
  # Of another kind of machine, or for a newer C library: said before anything at work is touched.
  [ -n "$root" ] || [ ! -e "$home/.$version.new/bin/node" ] || said=$("$home/.$version.new/bin/cronfleet" --version 2>&1) ||
    fail "$name $version does not run on this host, so nothing was changed: $said"
  [ ! -e "$home/$version" ] || mv -- "$home/$version" "$home/.$version.old"
  mv -- "$home/.$version.new" "$home/$version"
  rm -rf -- "$home/.$version.old"
fi
if [ "$was" != "$version" ]; then
  [ -z "$was" ] || point previous "$was"
  point current "$version"
fi
# Two versions are enough: the one at work, and the one to go back to.
kept=$(readlink "$home/previous" 2>/dev/null || true)
for old in "$home"/*; do
  case ${old##*/} in
    current | previous | "$version" | "$kept") ;;
    *) rm -rf -- "$old" ;;
  esac
done
mkdir -p -- "$root/usr/local/bin"
ln -sfn -- "/opt/$name/current/bin/cronfleet" "$root/usr/local/bin/cronfleet"

# Settings are made once. What a later version explains anew lies beside the program.
mkdir -p -- "$etc"
mkdir -p -m 0700 -- "$etc/credentials"
if [ ! -e "$etc/$part.yaml" ]; then
  cp -- "$here/$part.yaml" "$etc/.$part.yaml.new"
  chmod 0644 "$etc/.$part.yaml.new"
  mv -- "$etc/.$part.yaml.new" "$etc/$part.yaml"
fi
if [ -n "${CRONFLEET_SSM:-}" ]; then
  {
    grep -v '^ssm:' "$etc/$part.yaml" || true
    printf 'ssm: %s\n' "$CRONFLEET_SSM"
  } >"$etc/.$part.yaml.new"
  mv -- "$etc/.$part.yaml.new" "$etc/$part.yaml"
fi
credential() {
  umask 077
  if [ -n "$2" ]; then
    printf '%s\n' "$2" >"$etc/credentials/.$1.new"
    mv -- "$etc/credentials/.$1.new" "$etc/credentials/$1"
  fi
  [ -e "$etc/credentials/$1" ] || : >"$etc/credentials/$1"
  umask 022
}
credential kv "${CRONFLEET_KV:-}"
credential history "${CRONFLEET_HISTORY:-}"

if [ "$part" = agent ]; then
  mkdir -p -- "$root/etc/sysusers.d"
  cp -- "$here/sysusers.conf" "$root/etc/sysusers.d/cronfleet.conf"
  if [ "$(id -u)" = 0 ] && command -v systemd-sysusers >/dev/null; then
    systemd-sysusers --root="${root:-/}" cronfleet.conf
  elif [ -z "$root" ] && ! getent passwd cronfleet >/dev/null; then
    useradd --system --home-dir /var/lib/cronfleet --shell /bin/sh cronfleet
  fi
fi

mkdir -p -- "$units" "$drop"
cp -- "$here/$name.service" "$units/$name.service"
place() {
  if [ "$2" = yes ]; then cp -- "$here/$1.conf" "$drop/$1.conf"; else rm -f -- "$drop/$1.conf"; fi
}
if [ "$part" = agent ]; then
  if [ -z "$mode" ] && [ -e "$drop/strict.conf" ]; then mode=--strict; fi
  if [ -z "$mode" ] && [ -e "$drop/root.conf" ]; then mode=--as-root; fi
  place strict "$([ "$mode" != --strict ] || echo yes)"
  place root "$([ "$mode" != --as-root ] || echo yes)"
fi
steps=no
if [ "$managed" = yes ]; then
  number=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  [ "${number:-0}" -lt 254 ] || steps=yes
fi
place backoff "$steps"

echo "$name $version is in $home/current${was:+ (before: $was)}"
restart
