"""Names of user data: every form that the sources know, and what is none."""

from __future__ import annotations

import pytest

from mv_iptel.userdata.names import Kept, class_of, parse

NAMES = {
    "1234_4610data.txt": Kept("1234", "4610"),
    "1234_4620data.txt": Kept("1234", "4620"),
    "1234_4620data_sip.txt": Kept("1234", "4620", True),
    "4620data.txt": Kept("", "4620"),
    "user/backuprestore/20017_96xxdata.txt": Kept("20017", "96xx"),
    "20017_96XXDATA.TXT": Kept("20017", "96xx"),
    "7_16xxdata.txt": Kept("7", "16xx"),
    "9610data.txt": Kept("", "9610"),
    "1" * 20 + "_9610data.txt": Kept("1" * 20, "9610"),
    "1" * 21 + "_9610data.txt": None,
    "_4620data.txt": None,
    "a_4620data.txt": None,
    "x1234_4620data.txt": None,
    "1234_4620data.txt.tmp": None,
    "1234_4621data.txt": None,
    "1234_4620data.txt/x": None,
    "1234_4620data.txt\n": None,
    "": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    kept = parse(name)
    assert kept == NAMES[name]
    if kept:
        assert parse(kept.file) == kept


@pytest.mark.parametrize(
    ("models", "cls"),
    [
        ("4610 4610SW 4610SW-H323", "4610"),
        ("4620 4620SW 4621SW 4622SW 4625SW 4621D01B", "4620"),
        ("9610", "9610"),
        ("9620L 9630G 9640 9640G 9650C 9670G 9608 9611G 9621G 9641GS B189 J169 J179", "96xx"),
        ("1603 1603SW 1608 1616", "16xx"),
        ("4602SW 9680 T46G 46100 16 unknown", ""),
    ],
)
def test_classes(models, cls):
    assert {class_of(model) for model in models.split()} == {cls}
