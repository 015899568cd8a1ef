#!/bin/sh
# Makes a new member's data out of a backup (etcdctl snapshot save FILE). For each member, on its machine, with etcd stopped and its old
# data moved away; then start all of them. The runbook says what to do before the workers are started again.
#
#   restore.sh BACKUP DATA-FOLDER [NAME PEER-URL INITIAL-CLUSTER]
#
#   restore.sh backup.db /var/lib/etcd etcd1 https://10.0.0.1:2380 etcd1=https://10.0.0.1:2380,etcd2=https://10.0.0.2:2380,...
#
# The revision is set far ahead, so that nobody who saw the lost ones takes a new one for an old: etcdutl of 3.6 or later can do that
# (also with a backup of an older etcd). Without it every API server, agent and command that follows must be started anew.
set -eu
[ $# -eq 2 ] || [ $# -eq 5 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
export ETCDCTL_API=3
backup=$1
data=$2
[ ! -e "$data" ] || { echo "restore: $data is there; move it away first" >&2; exit 1; }
set -- "$backup" --data-dir "$data" ${3:+--name "$3" --initial-advertise-peer-urls "$4" --initial-cluster "$5"}
if "${ETCDUTL:-etcdutl}" snapshot restore --help 2>/dev/null | grep -q -e --bump-revision; then
  "${ETCDUTL:-etcdutl}" snapshot restore "$@" --bump-revision 1000000000 --mark-compacted
else
  echo 'restore: no etcdutl of 3.6 or later here: the revision goes back. Start every API server and agent anew.' >&2
  "${ETCDCTL:-etcdctl}" snapshot restore "$@"
fi
