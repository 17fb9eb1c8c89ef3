#!/usr/bin/env bash
# Makes what nengtan-tls.conf needs: an authority, the broker's certificate, a password and a certificate for each user, the password file and the access
# list. What is there already is kept, so it is run again with more names to add them, and after deleting a file to have that one made anew.
#
#   make-credentials.sh FOLDER ZONE HOST[,HOST…] NAME…     names are ids of gateways; the user collector is always made
#
# ca.key signs for everybody: keep it off the broker's machine. SERVER_DAYS and CLIENT_DAYS say how long certificates hold.
set -euo pipefail

if [ "$#" -lt 3 ]; then
  sed -n '2,7s/^# \?//p' "$0" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
folder=$1 zone=$2 hosts=$3
shift 3
umask 077
mkdir -p "$folder/clients"
cd "$folder"

# sign NAME DAYS EXTENSIONS: a key and a certificate of our authority.
sign() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "/CN=$(basename "$1")" 2>/dev/null |
    openssl x509 -req -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" -days "$2" -out "$1.crt" -extfile <(printf '%s\n' "$3") 2>/dev/null
}

if [ ! -e ca.crt ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 3650 -subj "/CN=Nengtan $zone" \
    -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
fi

if [ ! -e server.crt ]; then
  names=
  for host in ${hosts//,/ }; do
    case $host in *[!0-9.]*) kind=DNS ;; *) kind=IP ;; esac
    case $host in *:*) kind=IP ;; esac
    names+=${names:+,}$kind:$host
  done
  sign server "${SERVER_DAYS:-825}" "subjectAltName=$names"$'\n'"extendedKeyUsage=serverAuth"
fi

for name in collector "$@"; do
  case $name in *[/+#:]*) echo "$name: wanted the id of a gateway, without / + # and :" >&2; exit 2 ;; esac
  [ -e "clients/$name.password" ] || openssl rand -hex 24 >"clients/$name.password"
  [ -e "clients/$name.crt" ] || sign "clients/$name" "${CLIENT_DAYS:-825}" extendedKeyUsage=clientAuth
done

for file in clients/*.password; do
  printf '%s:%s\n' "$(basename "$file" .password)" "$(head -n 1 "$file")"
done >password_file.new
mosquitto_passwd -U password_file.new
mv password_file.new password_file
sed "s|ZONE|$zone|" "$here/acl_file" >acl_file

# Mosquitto reads these as its own user.
if [ "$(id -u)" -eq 0 ] && getent group mosquitto >/dev/null; then
  chgrp mosquitto . ca.crt server.crt server.key password_file acl_file
  chmod 710 .
  chmod 640 ca.crt server.crt server.key password_file acl_file
fi
