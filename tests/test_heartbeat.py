"""Linux-HA heartbeat's three files, as the reference prints them and as sites write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel import heartbeat
from mv_iptel.heartbeat import Peer, Shared

HA_CF = b"""# the pair
bcast eth1
keepalive 2
warntime 10
deadtime 30
initdead 120
udpport 694
nice_failback on
node EY-FTP1
node EY-FTP2
ping 192.168.38.1
"""
HARESOURCES = b"EY-FTP1 192.168.38.130 mv_ipteld mv_watchdogd\n"
AUTHKEYS = b"auth 2\n2 crc\n"


def test_the_printed_pair():
    pair = heartbeat.parse(HA_CF, HARESOURCES, AUTHKEYS)
    assert pair.nodes == ("EY-FTP1", "EY-FTP2") and pair.master == "EY-FTP1"
    assert pair.shared == (Shared("192.168.38.130"),) and pair.programs == ("mv_ipteld", "mv_watchdogd")
    assert pair.peers == (Peer("bcast", "eth1"),) and pair.ping == ("192.168.38.1",)
    assert (pair.keepalive, pair.warntime, pair.deadtime, pair.initdead, pair.udpport) == (
        2,
        10,
        30,
        120,
        694,
    )
    assert pair.failback is False and pair.method == "crc" and pair.key == ""
    assert [(one.file, one.line) for one in pair.findings] == [("ha.cf", 8), ("authkeys", 2)]
    assert "takes over again" in pair.findings[0].text and "no secret" in pair.findings[1].text


def test_what_sites_write():
    pair = heartbeat.parse(
        b"ucast eth0 10.0.0.2\r\nmcast eth1 225.0.0.1 694 1 0\r\nnode a b\r\nkeepalive 500ms\r\n"
        b"auto_failback on\r\nping_group gw 10.0.0.1 10.0.0.254\r\nlogfile /var/log/ha-log\r\n",
        b"a IPaddr::10.0.0.9/24/eth0/10.0.0.255 \\\n  mv_ipteld Filesystem::/dev/sdb1::/srv::ext3\n",
        b"# keys\nauth 1\n1 sha1 a long secret\n2 crc\n",
    )
    assert pair.shared == (Shared("10.0.0.9", 24, "eth0", "10.0.0.255"),)
    assert pair.peers == (Peer("ucast", "eth0", "10.0.0.2"), Peer("mcast", "eth1", "225.0.0.1"))
    assert pair.keepalive == 0.5 and pair.failback is True and pair.ping == ("10.0.0.1", "10.0.0.254")
    assert pair.resources == ("Filesystem::/dev/sdb1::/srv::ext3",)
    assert (pair.method, pair.key) == ("sha1", "a long secret")
    assert "a long secret" not in repr(pair) and len(pair.findings) == 1


@pytest.mark.parametrize(
    ("form", "shared"),
    [
        ("10.0.0.9/eth0", Shared("10.0.0.9", 0, "eth0")),
        ("10.0.0.9/255.255.255.0/eth0:1", Shared("10.0.0.9", 24, "eth0")),
        ("IPv6addr::2001:db8::9/64/eth0", Shared("2001:db8::9", 64, "eth0")),
        ("2001:db8::9", Shared("2001:db8::9")),
    ],
)
def test_forms_of_a_shared_address(form, shared):
    assert heartbeat.parse(HA_CF, f"EY-FTP1 {form} mv_ipteld".encode(), AUTHKEYS).shared == (shared,)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ((b"", b"", b""), "is empty or not there"),
        ((b"node a\n", b"a 10.0.0.9", b"auth 1\n1 md5 x"), "names 1 members"),
        ((b"node a b\n", b"c 10.0.0.9", b"auth 1\n1 md5 x"), "no `node`"),
        ((b"node a b\n", b"a mv_ipteld", b"auth 1\n1 md5 x"), "no shared address"),
        ((b"node a b\n", b"a IPaddr::10.0.0", b"auth 1\n1 md5 x"), "no address that is understood"),
        ((b"node a b\n", b"a 10.0.0.9\nb 10.0.0.8", b"auth 1\n1 md5 x"), "second group"),
        ((b"node a b\nkeepalive 30\n", b"a 10.0.0.9", b"auth 1\n1 md5 x"), "no longer than keepalive"),
        ((b"node a b\nkeepalive soon\n", b"a 10.0.0.9", b"auth 1\n1 md5 x"), "not understood"),
        ((b"node a b\nauto_failback maybe\n", b"a 10.0.0.9", b"auth 1\n1 md5 x"), "neither on nor off"),
        ((b"node a b\n", b"a 10.0.0.9", b"auth 3\n1 md5 x"), "a key that is not there"),
        ((b"node a b\n", b"a 10.0.0.9", b"1 md5 x"), "no `auth` line"),
        ((b"node a b\n", b"a 10.0.0.9", b"auth 1\n1 rot13 x"), "no method"),
        ((b"node a b\n", b"a 10.0.0.9", b"auth 1\n1 md5"), "without its secret"),
        ((b"node a b\n", b"a 10.0.0.9", b"key\nauth 1\n1 md5 x"), "not understood"),
    ],
)
def test_what_is_doubtful_is_told(files, text):
    assert any(text in one.text for one in heartbeat.parse(*files).findings)


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_nothing_raises(ha_cf, haresources, authkeys):
    heartbeat.parse(ha_cf, haresources, authkeys)
