"""Branches and invitations: a line works once; who is revoked is nobody; only hashes are kept."""

from __future__ import annotations

import json
import os

import pytest

from mv_iptel.central.tokens import Branches, Invitation, hash_of
from mv_iptel.home import Home

DAY = 86400.0


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.var.mkdir(parents=True)
    return home


@pytest.fixture
def branches(home, clock):
    return Branches(home, clock)


def join(branches, name="Oslo", key="k1"):
    invitation = branches.invited(branches.invite(name, 7), key)
    return branches.join(invitation, key, "c" * 64, "Branch at " + name)


def test_a_branch_joins_and_is_known(branches, home):
    token = join(branches)
    assert branches.who(token).name == "Oslo"
    assert Branches(home).who(token).server == "Branch at Oslo", "another process sees it"
    assert branches.who(token + "x") is None is branches.who("") and branches.who("é" * 43) is None
    assert branches.get("OSLO").name == "Oslo" and branches.get("Bergen") is None


def test_only_hashes_are_kept(branches):
    once = branches.invite("Oslo", 7)
    token = branches.join(branches.invited(once, "k1"), "k1", "c", "s")
    text = branches.path.read_text()
    assert once not in text and token not in text and hash_of(token) in text
    if os.name == "posix":
        assert branches.path.stat().st_mode & 0o007 == 0


def test_a_line_works_once_for_one_key(branches):
    once = branches.invite("Oslo", 7)
    invitation = branches.invited(once, "k1")
    first = branches.join(invitation, "k1", "c", "s")
    assert "used already" in branches.invited(once, "k2")
    assert branches.join(invitation, "k2", "c", "s") is None
    again = branches.join(branches.invited(once, "k1"), "k1", "c", "s")
    assert again and branches.who(first) is None, "its answer was lost: a new token takes the old one's place"
    assert branches.invitations() == []


def test_two_at_the_same_time(branches, home):
    once = branches.invite("Oslo", 7)
    other = Branches(home, branches._now)
    mine, theirs = branches.invited(once, "k1"), other.invited(once, "k2")
    assert branches.join(mine, "k1", "c", "s") and other.join(theirs, "k2", "c", "s") is None


def test_a_line_ends(branches, clock):
    once = branches.invite("Oslo", 7)
    invitation = branches.invited(once, "k1")
    assert isinstance(invitation, Invitation) and len(branches.invitations()) == 1
    clock.now += 7 * DAY
    assert "has ended" in branches.invited(once, "k1") and branches.join(invitation, "k1", "c", "s") is None
    assert branches.invitations() == []
    assert "unknown" in branches.invited("x" * 43, "k1") and "unknown" in branches.invited("", "k1")


def test_a_new_line_takes_the_place_of_an_old_one(branches):
    old = branches.invite("Oslo", 7)
    branches.invite("oslo", 7)
    assert "unknown" in branches.invited(old, "k1") and len(branches.invitations()) == 1


def test_who_joins_again_by_a_new_line_has_a_new_token(branches):
    old = join(branches)
    new = join(branches, key="k2")
    assert branches.who(old) is None and branches.who(new).name == "Oslo" and len(branches.all()) == 1


def test_revoked(branches, home):
    token = join(branches)
    once = branches.invite("OSLO", 7)
    reader = Branches(home)
    assert reader.who(token)
    assert branches.revoke("oslo") and not branches.revoke("oslo") and not branches.revoke("Bergen")
    assert reader.who(token) is None is branches.who(token)
    assert "unknown" in branches.invited(once, "k1")
    assert branches.get("Oslo").revoked and branches.who("") is None


@pytest.mark.parametrize("name", ["", "-x", ".", "a/b", "a b", "x" * 64, "ö", "a\n"])
def test_names(branches, name):
    with pytest.raises(ValueError, match="letters"):
        branches.invite(name, 7)


def test_a_damaged_file_is_not_overwritten_and_the_known_go_on(branches):
    token = join(branches)
    assert branches.who(token)
    branches.path.write_text("{")
    assert branches.who(token), "what was known before"
    with pytest.raises(OSError, match="damaged"):
        branches.invite("Bergen", 7)
    assert branches.path.read_text() == "{"


@pytest.mark.parametrize("told", [[], 5, {"branches": 5}, {"branches": [5, {}, {"name": 5}, {"name": "x"}]}])
def test_entries_that_are_none(branches, told):
    branches.path.parent.mkdir()
    branches.path.write_text(json.dumps(told))
    assert branches.all() == [] == branches.invitations()
