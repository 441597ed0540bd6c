"""What settings tell phones of this site."""

from __future__ import annotations

from mv_iptel.phones.served import Served
from mv_iptel.phones.told import Told, hosts, is_loop, settings_of

TEXT = b"""SET BRURI https://[2001:db8::1]:411/x
## SET SNMPADD 192.0.2.9
SET snmpadd "192.0.2.1,192.0.2.2"
SET FTPSRVR ""
"""


def test_live_lines_and_their_hosts():
    found = settings_of(Served.memory({"46xxsettings.txt": TEXT}), ("SNMPADD", "BRURI", "FTPSRVR"))
    assert [(one.name, one.line) for one in found] == [("BRURI", 1), ("SNMPADD", 3), ("FTPSRVR", 4)]
    assert found[0].place == "TFTPdata/46xxsettings.txt:1"
    assert [host for host, _ in hosts(found)] == ["2001:db8::1", "192.0.2.1", "192.0.2.2"]


def test_a_torn_url_names_nobody():
    assert hosts([Told("http", "46xxsettings.txt", 1, "BRURI", "http://[::1/")]) == []


def test_loops():
    assert is_loop("127.0.0.1") and is_loop("localhost") and not is_loop("192.0.2.1") and not is_loop("x")
