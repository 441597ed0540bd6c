"""Passwords as they are kept: hashed or plain, checked without a fault whatever stands there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.passwords import broken, check, make

KEPT = make("s3cret")


def test_what_was_made_checks():
    assert KEPT.startswith("scrypt:") and "s3cret" not in KEPT and KEPT.isascii()
    assert check(KEPT, "s3cret")
    assert not check(KEPT, "S3cret") and not check(KEPT, "") and not check(KEPT, KEPT)
    assert broken(KEPT) == ""


def test_each_has_a_salt_of_its_own():
    assert make("s3cret") != KEPT


@pytest.mark.parametrize("password", ["", " ", "Grüße", "\udcff", "\ud800", "a:b:c", "x" * 5000, "\0"])
def test_any_password(password):
    assert check(make(password), password)
    assert not check(make(password), password + "x")


def test_a_plain_one():
    assert check("s3cret", "s3cret") and not check("s3cret", "s3cre") and not check("s3cret", "s3cret ")
    assert check("Grüße", "Grüße") and not check("Grüße", "Gruesse")
    assert broken("s3cret") == ""


def test_an_empty_one_is_nobodys():
    assert not check("", "") and not check("", "x") and broken("")


def other(at, value):
    parts = KEPT.split(":")
    parts[at] = value
    return ":".join(parts)


BROKEN = [
    "scrypt:", "scrypt:s3cret", "scrypt:::", other(1, ""), other(1, "15,8"), other(1, "0,8,1"),
    other(1, "15,0,1"), other(1, "15,8,0"), other(1, "30,8,1"), other(1, "20,99,1"), other(1, "15,8,17"),
    other(1, "99,99,99"), other(2, "ab=cdefg"), other(2, "a"), other(3, ""), other(3, "!" * 44), KEPT + ":x",
    KEPT + "\n",
]  # fmt: skip


@pytest.mark.parametrize("stored", BROKEN, ids=range(len(BROKEN)))  # made at random: no names
def test_a_broken_one_is_nobodys(stored):
    """And it is never taken for a plain one: who reads the file would else be let in."""
    assert broken(stored) and not check(stored, "s3cret") and not check(stored, stored)


def test_other_costs_are_read():
    """What a later release, or another tool, made with other costs."""
    import base64
    import hashlib

    salt = b"0123456789"
    hashed = hashlib.scrypt(b"s3cret", salt=salt, n=1 << 10, r=4, p=2, dklen=64)
    stored = f"scrypt:10,4,2:{base64.b64encode(salt).decode()}:{base64.b64encode(hashed).decode()}"
    assert check(stored, "s3cret") and not check(stored, "other") and not broken(stored)


@given(st.text(max_size=60), st.text(max_size=60))
def test_plain_ones_are_equal_or_not(stored, password):
    if not stored.startswith("scrypt:"):
        assert check(stored, password) is (stored == password != "")
        assert check("scrypt:" + stored, password) is False
