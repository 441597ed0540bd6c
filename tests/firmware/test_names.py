"""Names in archives: good ones pass, hostile ones are told, and names that are one somewhere are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.firmware.names import collision, folded, shown, wrong

GOOD = (
    "96xxupgrade.txt", "signatures/S96x1_SALBR7_1_4_0r11_V4r83.tar.sig256", "Mlf_S96x0_CanadianFrench.xml",
    "FW_S_J179_R4_1_3_0_6.bin", "a b.txt", "mlf_S31_v76_fran\u00e7ais.txt", "console.txt", "common.bin",
    "com10.bin",
    "nullify/con1.txt", "100%.txt", "a-b_c~1.(2)", "KoreanRT1.xml", "TFTPdata/one.bin", "..a/b..c",
)  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name):
    assert wrong(name) == ""


@pytest.mark.parametrize("name", [
    "", ".", "..", "a/..", "../a", "a/../b", "/a", "//a", "a//b", "a/", "./a", "a\\b", "C:a", "c:/a", "a\0b",
    "a\nb",
    "a\x7fb", "a\x85b", "a\u2028b", "\u202ea", "a\ufeff", "\ud800", "a:b", "a*", 'a"', "a|b", "a<b", " a",
    "a ", "a.",
    "a./b", "a /b", "con", "CON.txt", "aux.tar.gz", "nul", "Com1", "lpt9.x", "COM\u00b2", "conin$",
    "x/prn.bin",
    "con .txt", "\uff0e\uff0e/a", "a\uff0fb", "\uff23\uff2f\uff2e", "%41", "a%2Fb",
    "a" * 201, "\u00e9" * 101, "/".join("a" * 9), "/".join(["a" * 190] * 3),
])  # fmt: skip
def test_hostile_names(name):
    assert wrong(name)


@pytest.mark.parametrize(("names", "found"), [
    (["a", "b", "c/a"], None),
    (["a", "A"], ("a", "A")),
    (["x/\u00c4", "X/A\u0308"], ("x/\u00c4", "X/A\u0308")),
    (["\u212a", "k"], ("\u212a", "k")),  # the sign of Kelvin
    (["\uff41", "a"], ("\uff41", "a")),
    (["a/b", "A"], ("A", "a/b")),
    (["a/b/c", "a"], ("a", "a/b/c")),
    (["a/b", "a/c", "A/d"], None),
])  # fmt: skip
def test_names_that_are_one(names, found):
    assert collision(names) == found


def test_folders_that_an_archive_names():
    assert collision(["a/b"], ["a", "a", "a/c"]) is None
    assert collision(["a", "b"], ["c", "B"]) == ("b", "B")


@given(st.text(max_size=30))
def test_what_is_good_is_harmless(name):
    if not wrong(name):
        parts = name.split("/")
        assert (
            ".." not in parts
            and "" not in parts
            and not name.startswith("/")
            and name.isprintable() | (" " in name)
        )
        assert folded(folded(name)) == folded(name)
    assert shown(name).isprintable()
