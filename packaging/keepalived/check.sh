#!/bin/sh
# Asked by keepalived once a second: does this server give phones their files? 0 is yes.
# Real downloads over TLS and TFTP; the same as `mv-iptel standby check`, which tells more.
# Own places (MV_IPTEL_PREFIX, MV_IPTEL_HOME) go into /etc/default/mv-iptel-standby.
[ -r /etc/default/mv-iptel-standby ] && . /etc/default/mv-iptel-standby
export MV_IPTEL_HOME="${MV_IPTEL_HOME:-/var/lib/mv-iptel}"
exec "${MV_IPTEL_PREFIX:-/opt/mv-iptel}/bin/python3" -I -m mv_iptel.standby.checking "$@"
