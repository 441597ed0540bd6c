#!/bin/sh
# What the watchdog runs when too many downloads in a row have failed: it restarts the file server.
# Add what you like: an SNMP trap, a mail, a page. The watchdog limits how often it runs in an hour.
set -eu

if command -v systemctl >/dev/null 2>&1; then
    exec systemctl restart mv-iptel.service
fi
echo "no systemctl here: write into $0 how the file server is restarted" >&2
exit 1
