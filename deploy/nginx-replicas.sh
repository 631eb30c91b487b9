#!/bin/sh
# Starts nginx before the servers that the name `replica` stands for, and looks every few seconds whether there are others now:
# nginx-replicas.sh CONF, where CONF (deploy/nginx.conf) names two servers of this machine in their place.
set -eu

main() {
  printf '%s\n' 'pid /tmp/nginx.pid; error_log stderr warn; worker_processes auto; events { worker_connections 4096; } http { access_log off;' >/tmp/nginx.conf
  for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path /tmp/$kind;"; done >>/tmp/nginx.conf
  echo 'include /tmp/replicas.conf; }' >>/tmp/nginx.conf
  until write_replicas "$1"; do sleep 1; done
  watch_replicas "$1" &
  exec nginx -c /tmp/nginx.conf -g 'daemon off;'
}

watch_replicas() {
  while sleep 3; do ! write_replicas "$1" || nginx -c /tmp/nginx.conf -s reload; done
}

# Fails where there are none, or the same as before
write_replicas() {
  found=$(getent ahostsv4 replica | awk '{ print $1 }' | sort -u | tr '\n' ' ')
  [ -n "$found" ] && [ "$found" != "$(cat /tmp/found 2>/dev/null)" ] || return 1
  awk -v found="$found" '
    /^ *server 127\.0\.0\.1:/ {
      for (i = split(done ? "" : found, address, " "); i > 0; i--) { line = $0; sub(/127\.0\.0\.1:[0-9]+/, address[i] ":8000", line); print line }
      done = 1; next
    }
    { sub(/listen 80;/, "listen 8000;"); print }' "$1" >/tmp/replicas.conf
  echo "$found" >/tmp/found
}

main "$@"
