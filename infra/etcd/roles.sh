#!/bin/sh
# Gives the API and the workers each a user that may do what it must and no more, and switches authentication on. What is there
# already is brought to the same state: run it again after an upgrade, or to set another password.
#
#   ETCDCTL_ENDPOINTS=https://10.0.0.1:2379 ETCDCTL_CACERT=ca.pem ETCDCTL_CERT=root.pem ETCDCTL_KEY=root.key \
#   CRONFLEET_ROOT_PASSWORD=... CRONFLEET_API_PASSWORD=... CRONFLEET_WORKER_PASSWORD=... roles.sh [PREFIX]
#
# How to reach etcd, and as whom, is told to etcdctl by its own variables (once authentication is on: a certificate named root, or
# ETCDCTL_USER=root:PASSWORD). A user whose password is left out comes in by a certificate of its name (cronfleet-api,
# cronfleet-worker, root) and by nothing else.
#
# Before etcd 3.5.28, 3.6.9 and 3.7 nothing is checked inside nested transactions, of which every claim is one: there a worker's
# credential still writes jobs.
set -eu
export ETCDCTL_API=3
prefix=${1:-/cron/}
etcdctl=${ETCDCTL:-etcdctl}

# etcdctl reads a password up to the first blank, and would take half of one for the whole.
for name in CRONFLEET_ROOT_PASSWORD CRONFLEET_API_PASSWORD CRONFLEET_WORKER_PASSWORD; do
  eval "password=\${$name:-}"
  case $password in
    *[[:space:]]*) echo "roles: $name: expected a password without blanks" >&2; exit 2 ;;
  esac
done

# Says what a command said only where it failed, unless it failed because that was so already.
already() {
  expected=$1
  shift
  if ! said=$("$@" 2>&1); then
    case $said in
      *"$expected"*) ;;
      *) printf '%s\n' "$said" >&2; exit 1 ;;
    esac
  fi
}

user() {
  name=$1
  password=$2
  if [ -z "$password" ]; then
    already 'user name already exists' "$etcdctl" user add "$name" --no-password
    return
  fi
  already 'user name already exists' with_password add "$name" "$password"
  already 'nothing' with_password passwd "$name" "$password"
}

# Not as an argument: those can be read by everybody on the machine.
with_password() {
  printf '%s\n' "$3" | "$etcdctl" user "$1" "$2" --interactive=false
}

# role NAME RIGHT PART...: may do RIGHT (read or readwrite) below each part.
role() {
  name=$1
  right=$2
  shift 2
  already 'role name already exists' "$etcdctl" role add "$name"
  for part in "$@"; do
    already 'nothing' "$etcdctl" role grant-permission "$name" "$right" "$prefix$part/" --prefix
  done
}

# What each writes; it reads the rest. Neither the tokens nor the channels of the API are any worker's business. One permission a
# part: a follower's prefix must lie in one.
role cronfleet-worker read jobs drains
role cronfleet-worker readwrite cursors running owed workers orders kills
role cronfleet-api read workers running
role cronfleet-api readwrite jobs cursors drains tokens channels orders kills owed alerts audits

user root "${CRONFLEET_ROOT_PASSWORD:-}"
user cronfleet-api "${CRONFLEET_API_PASSWORD:-}"
user cronfleet-worker "${CRONFLEET_WORKER_PASSWORD:-}"
already 'nothing' "$etcdctl" user grant-role root root
already 'nothing' "$etcdctl" user grant-role cronfleet-api cronfleet-api
already 'nothing' "$etcdctl" user grant-role cronfleet-worker cronfleet-worker
already 'nothing' "$etcdctl" auth enable
