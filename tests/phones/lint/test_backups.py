"""Findings about user data and secrets, with and without knowing the server."""

from __future__ import annotations

import pytest

from mv_iptel.phones.lint import Site
from mv_iptel.phones.lint.backups import check
from mv_iptel.phones.lint.text import Text

HERE = Site(addresses=frozenset({"192.0.2.5", "2001:db8::5"}), names=frozenset({"files.example.com"}))
SNMP = "SET SNMPADD 192.0.2.5\nSET SNMPSTRING word\n"


def told(text: str, site: Site | None = None) -> list[tuple[str, str]]:
    found = check({"a.txt": Text.of("a.txt", text.encode())}, site)
    return [(one.code, one.severity) for one in found]


POINTS = {
    "https://192.0.2.5:411/": [],
    "https://192.0.2.5:411": [],
    "https://192.0.2.5/": [],
    "http://192.0.2.5:81/a/b": [],
    "http://FILES.example.com:81/": [],
    "https://[2001:db8::5]:411/": [],
    "http://192.0.2.5:411/": [("backup-port", "warning")],
    "https://192.0.2.5:81/": [("backup-port", "warning")],
    "https://192.0.2.6:411/": [("backup-elsewhere", "warning")],
    "http://192.0.2.6:8411/user/backuprestore/": [("backup-elsewhere", "info")],
    "http://other.example.com/": [],
    "https://@SERVER@:411/": [],
    "no url": [],
}


@pytest.mark.parametrize("uri", POINTS)
def test_where_bruri_points(uri):
    assert told(f"{SNMP}SET BRURI {uri}", HERE) == POINTS[uri]


def test_an_address_of_another_side_is_this_server_if_it_asks_the_phones():
    assert (
        told("SET SNMPADD 198.51.100.7\nSET SNMPSTRING word\nSET BRURI https://198.51.100.7:411/", HERE) == []
    )


def test_snmp():
    assert told("SET FTPSRVR 192.0.2.5") == [("backup-snmp", "warning")]
    assert told("SET FTPSRVR 192.0.2.5\nSET SNMPADD 192.0.2.5") == [("backup-snmp", "warning")]
    assert told("SET FTPSRVR 192.0.2.5\n" + SNMP) == []
    assert told("SET BRURI https://192.0.2.5:411/", HERE) == [("backup-snmp", "warning")]
    assert told("SET BRURI https://192.0.2.5:411/") == [("backup-snmp", "info")]
    assert told("SET BRURI https://192.0.2.5:411/", HERE.__class__(HERE.addresses, snmp=False)) == []
    assert told("SET FTPSRVR 192.0.2.5", HERE.__class__(HERE.addresses, ftp_snmp=False)) == []
    assert told("SET BRURI http://192.0.2.5:8411/user/backuprestore/") == []


def test_secrets():
    text = 'SET FORCE_SIP_PASSWORD hush\nSET PROCPSWD 27238\nSET SNMPSTRING word\nSET NVIKEPSK ""'
    assert told(text) == [("open-secret", "info")]
    assert told(text, HERE) == [("open-secret", "warning"), ("open-secret", "info")]
    assert told(text, HERE.__class__(HERE.addresses, lists=True)) == []
    found = list(check({"a": Text.of("a", b"SET BRURI http://me:hush@192.0.2.5:81/")}, None))
    assert "open-secret" in {one.code for one in found} and "hush" not in str(found)
