#!/bin/sh
# Makes the certificates of an etcd for cronfleet in a folder: an authority, one for the members and one for each client,
# whose common name is its etcd user. What is there stays: run it again to add a client or a server.
#
#   certificates.sh FOLDER SERVER-ADDRESS... [-- CLIENT...]     (clients: root cronfleet-api cronfleet-worker)
#
#   certificates.sh /etc/etcd/pki 10.0.0.1 10.0.0.2 10.0.0.3 etcd1.example
#
# Keep ca.key away from the servers: whoever has it is root.
set -eu
umask 077

[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
shift
names=''
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    *[!0-9.]*:* | *:*) names="$names,IP:$1" ;;
    *[!0-9.]*) names="$names,DNS:$1" ;;
    *) names="$names,IP:$1" ;;
  esac
  shift
done
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- root cronfleet-api cronfleet-worker
mkdir -p "$folder"
cd "$folder"
days=3650

quietly() {
  "$@" 2>openssl.log || { cat openssl.log >&2; exit 1; }
  rm -f openssl.log
}

[ -e ca.pem ] || quietly openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days "$days" \
  -subj '/CN=cronfleet etcd authority' -addext 'keyUsage=critical,keyCertSign,cRLSign'

# sign NAME COMMON-NAME EXTENSIONS
sign() {
  [ -e "$1.pem" ] && return
  quietly openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$2"
  printf '%s\n' "$3" >"$1.ext"
  quietly openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$days" -out "$1.pem" -extfile "$1.ext"
  rm -f "$1.csr" "$1.ext"
}

# Members are clients of each other, too. Their common name is no user's.
sign server etcd-member "subjectAltName=${names#,}
extendedKeyUsage=serverAuth,clientAuth"
for client in "$@"; do
  sign "$client" "$client" 'extendedKeyUsage=clientAuth'
done
