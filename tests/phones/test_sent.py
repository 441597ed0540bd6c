"""The line that sent a phone to a file: GET, firmware, or a setting that names files."""

from __future__ import annotations

import pytest

from mv_iptel.phones.effects import anyone
from mv_iptel.phones.families import Handset
from mv_iptel.phones.sent import Sent, named_by, sent_by

FILES = {
    "96x1Hupgrade.txt": b"# START\nSET APPNAME s9608.tar\nGET 46xxspecials.txt\nGET 46xxsettings.txt\n",
    "J100Supgrade.txt": b"GET 46xxsettings.txt\n",
    "46xxsettings.txt": b"IF $GROUP SEQ 5 GOTO FIVE\nSET LANGUAGES a.xml,b.xml\nSET TRUSTCERTS ca.pem\n"
                        b"GET $MACADDR.txt\n# FIVE\nSET SCREENSAVER five.jpg\n",
}  # fmt: skip

CASES = [
    ("9611G", "0", "46xxSPECIALS.txt", Sent("96x1Hupgrade.txt", 3)),
    ("9611G", "0", "s9608.tar", Sent("96x1Hupgrade.txt", 2, "APPNAME")),
    ("9611G", "0", "/phones/ca.pem", Sent("46xxsettings.txt", 3, "TRUSTCERTS")),
    ("9611G", "0", "00040d000001.txt", Sent("46xxsettings.txt", 4)),
    ("9611G", "0", "00040d000002.txt", None),
    ("9611G", "5", "ca.pem", None),
    ("9611G", "5", "five.jpg", Sent("46xxsettings.txt", 6, "SCREENSAVER")),
    ("9611G", "0", "b.xml", None),
    ("J179", "0", "b.xml", Sent("46xxsettings.txt", 2, "LANGUAGES")),
    ("9611G", "0", "46xxsettings.txt", Sent("96x1Hupgrade.txt", 4)),
    ("9611G", "0", "96x1Hupgrade.txt", None),
    ("4621SW", "0", "46xxsettings.txt", None),
]


@pytest.mark.parametrize(("model", "group", "name", "line"), CASES)
def test_which_line_sent_it(model, group, name, line):
    assert sent_by(FILES, Handset(model, group=group), name) == line


def test_of_a_phone_that_nobody_knows_any_line_that_names_the_file():
    assert sent_by(FILES, anyone(Handset("9611G")), "b.xml") == Sent("46xxsettings.txt", 2, "LANGUAGES")
    assert named_by(FILES, "46xxsettings.txt") == [Sent("96x1Hupgrade.txt", 4), Sent("J100Supgrade.txt", 1)]
    assert named_by(FILES, "0004ab000001.TXT") == [Sent("46xxsettings.txt", 4)]
    assert named_by(FILES, "none") == []


def test_a_value_that_looks_like_a_file_names_none():
    assert named_by({"46xxsettings.txt": b"SET DOMAIN a.txt\n"}, "a.txt") == []
