"""The site's insert at the top of a script is carried over; whatever else was changed is not guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.firmware.merging import Merged, merge

INSERT = b"IF $GROUP SEQ 876 goto VPN\ngoto NOVPN\n# VPN\nGET 46xxvpn.scr\ngoto END\n# NOVPN\n"
HEAD = b"## 96x1 release 6.%d\n##\n"
BODY = b"IF $MODEL4 SEQ 9611 GOTO APP\nGOTO END\n# APP\nSET APPNAME app%d.tar\n# END\nGET 46xxsettings.txt\n"


def vendors(number: int) -> bytes:
    return HEAD % number + BODY % number


@pytest.mark.parametrize(
    ("live", "insert"),
    [
        (INSERT + vendors(1), INSERT),
        (HEAD % 1 + INSERT + BODY % 1, INSERT),
        ((INSERT + vendors(1)).replace(b"\n", b"\r\n"), INSERT.replace(b"\n", b"\r\n")),
        (INSERT + b"\n\n" + vendors(1).rstrip(b"\n"), INSERT + b"\n\n"),
        (INSERT + BODY % 1, INSERT),
    ],
    ids=["at the top", "below the comments", "saved on a PC", "with blank lines", "without the comments"],
)
def test_an_insert_is_carried_over(live, insert):
    found = merge(live, vendors(2), [vendors(0), vendors(1)])
    assert isinstance(found, Merged), found
    assert found.insert == insert and found.data == insert + vendors(2)
    # And once more, from what came of it.
    again = merge(found.data, vendors(3), [vendors(2)])
    assert isinstance(again, Merged) and again.data == insert + vendors(3)


@pytest.mark.parametrize(
    ("live", "new", "why"),
    [
        (INSERT + vendors(1) + b"SET X 1\n", vendors(2), "below its top"),
        (INSERT + vendors(1).replace(b"app1", b"mine"), vendors(2), "below its top"),
        (b"GET 46xxsettings.txt\n", vendors(2), "below its top"),
        (
            INSERT + vendors(1),
            vendors(2).replace(b"# END\n", b"").replace(b"GOTO END\n", b""),
            "jumps to END",
        ),
        (INSERT + vendors(1), b"# VPN\n" + vendors(2), "place named VPN"),
        (b"x" * (2 << 20), vendors(2), "too big"),
    ],
)
def test_what_is_not_guessed_at(live, new, why):
    found = merge(live, new, [vendors(1)])
    assert isinstance(found, str) and why in found


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_any_octets_end_in_words_or_keep_the_new_script(live, new, base):
    found = merge(live, new, [base])
    assert isinstance(found, str) or found.data.endswith(new)
