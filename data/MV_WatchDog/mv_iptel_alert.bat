@echo off
rem What the watchdog runs when too many downloads in a row have failed: it restarts the file server.
rem Add what you like: an SNMP trap, a mail, a page. The watchdog limits how often it runs in an hour.
net stop mv-iptel
net start mv-iptel
