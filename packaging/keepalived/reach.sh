#!/bin/sh
# Does this server reach at least one of these hosts? Who reaches none is cut off, and hands over.
command -v ping > /dev/null || { echo "no ping here: install iputils-ping"; exit 0; }
for host in "$@"; do
    ping -n -q -c 1 -W 1 "$host" > /dev/null 2>&1 && exit 0
done
exit 1
