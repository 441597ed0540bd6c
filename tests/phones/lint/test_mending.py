"""--fix: what is safe to mend, and not a byte besides."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.phones.lint import Folder, lint
from mv_iptel.phones.lint.mending import diff, mended

MENDED = {
    "blanks before a statement": (b"  \tSET L2Q 0  ", b"SET L2Q 0  "),
    "curly quotes": ("SET PHNIC “011”".encode(), b'SET PHNIC "011"'),
    "curly quotes of cp1252": (b"SET PHNIC \x93011\x94", b'SET PHNIC "011"'),
    "both at once": (" SET PHNIC “011”".encode(), b'SET PHNIC "011"'),
    "a list": (b"SET MCIPADD 192.0.2.1, 192.0.2.2 ,192.0.2.3", b"SET MCIPADD 192.0.2.1,192.0.2.2,192.0.2.3"),
    "a list in quotes": (b'SET MCIPADD "192.0.2.1, 192.0.2.2"', b'SET MCIPADD "192.0.2.1,192.0.2.2"'),
    "a mark": (b"\xef\xbb\xbfSET L2Q 0", b"SET L2Q 0"),
    "an equals sign": (b"SET L2QVLAN=20", b"SET L2QVLAN 20"),
    "an equals sign with blanks": (b"SET L2QVLAN = 20", b"SET L2QVLAN 20"),
    "a quote that is not closed": (b'SET PHNIC "011', b'SET PHNIC "011"'),
    "a blank that cannot be broken": (b"SET L2Q\xc2\xa00", b"SET L2Q 0"),
    "the same in cp1252": (b"SET L2Q\xa00", b"SET L2Q 0"),
}
LEFT = {
    "blanks in a value": b"SET MYCERTCN a b",
    "a value on the next line": b"SET L2QVLAN\n20",
    "a misspelt name": b"SET L2QVALN 20",
    "prose": b"  If you want, set it",
    "suppressed": b"## lint: ignore leading-blanks\n SET L2Q 0",
    "UTF-16": "SET L2Q 0".encode("utf-16"),
    "a list that stays in doubt": b"SET MCIPADD 192.0.2.1, 192.0.2.2 192.0.2.3",
}


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", MENDED)
def test_mended(name, ending):
    line, wanted = MENDED[name]
    around = b"## caf\xe9" + ending
    before = (b"" if name == "a mark" else around) + line + ending + around
    after, done = mended("46xxsettings.txt", before)
    assert after == before.replace(line, wanted)
    assert done and mended("46xxsettings.txt", after) == (after, [])


@pytest.mark.parametrize("name", LEFT)
def test_left_alone(name):
    assert mended("46xxsettings.txt", LEFT[name]) == (LEFT[name], [])


def test_only_some_codes():
    data = b" SET L2Q 0\nSET L2QVLAN=20"
    assert mended("x.txt", data, ["equals-sign"])[0] == b" SET L2Q 0\nSET L2QVLAN 20"


def test_the_difference_shows_no_secret():
    data = (
        b" SET FORCE_SIP_PASSWORD hush\n SET L2Q 0\n SET BRURI http://me:hush@192.0.2.1/\nSET SNMPSTRING=hush"
    )
    shown = "\n".join(diff("a.txt", data, mended("a.txt", data)[0]))
    assert "+SET L2Q 0" in shown and "+SET FORCE_SIP_PASSWORD ..." in shown
    assert "hush" not in shown


PIECES = st.sampled_from(
    [
        b" ",
        b"\t",
        b"SET L2Q ",
        b"SET MCIPADD a, b",
        "“x”".encode(),
        b"\x93x\x94",
        b"\n",
        b"\r\n",
        b"\xa0",
        b"\xc2\xa0",
        b"=",
        b'"',
        b"\xef\xbb\xbf",
        b"## \xe9",
        b"0",
    ]
)


@given(st.lists(PIECES, max_size=25).map(b"".join))
def test_any_bytes_are_mended_once(data):
    after, done = mended("46xxsettings.txt", data)
    assert (after == data) == (not done)
    assert after.count(b"\n") == data.count(b"\n")
    fixable = {one.line for one in lint(Folder({"46xxsettings.txt": data})) if one.fix}
    for number, (old, new) in enumerate(zip(data.split(b"\n"), after.split(b"\n"), strict=True), 1):
        if number not in fixable:
            assert old == new


def test_what_changes_is_told_in_linear_time():
    data = "".join(f" SET L2QVLAN {at % 100}\nSET L2QVLAN {at * 7 % 100}\n" for at in range(8000)).encode()
    after, _ = mended("46xxsettings.txt", data)
    began = time.process_time()
    told = diff("46xxsettings.txt", data, after)
    assert time.process_time() - began < 5  # comparing each line with each takes minutes
    assert told[2:5] == ["@@ -1 +1 @@", "- SET L2QVLAN 0", "+SET L2QVLAN 0"] and len(told) == 2 + 3 * 8000
    assert diff("a", b"x\n", b"x\n") == []
    both = diff("a", b"a\n  SET B 1\n  SET C 1\n", b"a\nSET B 1\nSET C 1\n")
    assert both[2:] == ["@@ -2,2 +2,2 @@", "-  SET B 1", "-  SET C 1", "+SET B 1", "+SET C 1"]


def test_a_secret_whose_name_is_misspelt_is_not_shown():
    data = b" SET SNMPSTRNG s3cret\n SET PROCPWD s3cret\n SET SIPPASSWORD s3cret\n SET PHNOL 9\n"
    told = "\n".join(diff("a", data, mended("a", data)[0]))
    assert "s3cret" not in told and "SET SNMPSTRNG ..." in told and "SET PHNOL 9" in told
