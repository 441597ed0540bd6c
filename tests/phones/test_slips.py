"""Slips of the pen: found with few steps, and never far from what plain counting finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.phones.slips import Words, slips

KNOWN = Words(
    [("HTTPSRVR", 0), ("TLSSRVR", 0), ("HTTPSRVS", 1), ("L2Q", 0), ("L2QVLAN", 0), ("SIP_CONTROLLER_LIST", 0)]
)


def plain(one: str, other: str) -> int:
    """Wrong, lacking, spare or swapped letters, counted over the whole table."""
    rows = [[i + j if not i * j else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            same = one[i - 1] == other[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (not same))
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


def test_the_nearest_comes_first():
    assert KNOWN.nearest("httpsrvr", 3) == ["HTTPSRVR", "HTTPSRVS"]
    assert KNOWN.nearest("HTTPSRVX", 3) == ["HTTPSRVR", "HTTPSRVS"]  # as near: the lower rank goes first
    assert KNOWN.nearest("HTTPSRVX", 1) == ["HTTPSRVR"]
    assert KNOWN.nearest("L2QVALN", 3) == ["L2QVLAN"]
    assert KNOWN.nearest("SIP_CONTROLER_LST", 3) == ["SIP_CONTROLLER_LIST"]


def test_a_short_word_needs_to_be_nearer():
    assert KNOWN.nearest("L2P", 3) == ["L2Q"]
    assert KNOWN.nearest("L3P", 3) == []


def test_nothing_is_near():
    for word in ("", "X" * 9999, "ÄÖÜ", "SOMETHING_ELSE"):
        assert KNOWN.nearest(word, 3) == []


@given(st.text("ABC_", max_size=12), st.text("ABC_", max_size=12), st.integers(1, 3))
def test_counting_in_a_band_is_counting(one, other, limit):
    assert min(slips(one, other, limit), limit + 1) == min(plain(one, other), limit + 1)


@given(st.text("ABCDE_12", min_size=5, max_size=20), st.data())
def test_one_slip_is_always_found(word, data):
    place = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("XYZ"))
    words = Words([(word, 0)])
    for slip in (
        word[:place] + word[place + 1 :],
        word[:place] + letter + word[place:],
        word[:place] + letter + word[place + 1 :],
        word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
    ):
        assert words.nearest(slip, 1) == [word]
