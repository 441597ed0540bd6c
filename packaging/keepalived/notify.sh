#!/bin/sh
# Told by keepalived: INSTANCE mv_iptel MASTER|BACKUP|FAULT|STOP PRIORITY. Writes it to the system's log; the
# server itself needs nothing, it runs on both all the time. What a site wants besides goes into
# /etc/keepalived/notify.local, an executable that gets the same words.
logger -t mv-iptel-standby -p daemon.notice "this server is now $3 (priority $4)"
[ -x /etc/keepalived/notify.local ] && exec /etc/keepalived/notify.local "$@"
exit 0
