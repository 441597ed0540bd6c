"""The ways that copies of user data may go: each answers what the outbox asks."""

from __future__ import annotations

from mv_iptel import config as configuration
from mv_iptel.home import Home
from mv_iptel.userdata.ways import CUSTOM_FTP


def test_the_customers_server_is_a_way(tmp_path):
    config = configuration.defaults(Home(tmp_path))
    assert not CUSTOM_FTP.wanted(config)
    to = CUSTOM_FTP.to(config)
    assert CUSTOM_FTP.record(to) == "customftp.sent"
    assert to.head.startswith("# ") and to.place in to.head
    carrier = CUSTOM_FTP.carrier(to)
    assert carrier.to == to
    assert carrier.words("no\x07") == "no"
    assert not CUSTOM_FTP.removals
    assert carrier.remove("4711_96xxdata.txt", 1.0) == ""
