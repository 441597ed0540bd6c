"""Copies on the disk: order, what is kept once, what goes, what a crash leaves."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from mv_iptel.history.copies import Copies, Limits, choose
from tests.history.desk import KEY, START


@pytest.fixture
def copies(tmp_path):
    return Copies(tmp_path / "history", tmp_path / "lock")


def contents(copies, key=KEY):
    return [None if one.gone else copies.read(key, one.id) for one in copies.of(key)]


def test_each_content_once_and_back_again(copies):
    assert copies.keep(KEY, b"one\n", START, START + 5).id == "20260528T202640.000000Z-2c8b08da"
    assert copies.keep(KEY, b"one\n", START + 9, START + 9) is None
    copies.keep(KEY, b"two\n", START + 10, START + 11)
    copies.keep(KEY, b"one\n", START + 20, START + 21)
    assert contents(copies) == [b"one\n", b"two\n", b"one\n"]
    assert [one.time - START for one in copies.of(KEY)] == [20, 10, 0]


def test_the_order_is_that_of_seeing(copies):
    copies.keep(KEY, b"one\n", START, START)
    copies.keep(KEY, b"an old one, put back\n", START - 86400, START + 50)
    copies.keep(KEY, b"from the future\n", START + 86400, START + 60)
    copies.keep(KEY, b"the clock was set back\n", START - 500, START - 400)
    assert [one.time - START for one in reversed(copies.of(KEY))] == pytest.approx([0, 50, 60, 60.000001])
    assert contents(copies)[0] == b"the clock was set back\n"


def test_removed_is_noted_once_and_only_of_what_was_there(copies):
    assert copies.gone(KEY, START) is None
    copies.keep(KEY, b"", START, START)
    assert copies.gone(KEY, START + 1).gone
    assert copies.gone(KEY, START + 2) is None
    copies.keep(KEY, b"", START, START + 3)
    assert contents(copies) == [b"", None, b""]
    assert copies.files() == [KEY]


def test_it_has_an_end(tmp_path):
    copies = Copies(tmp_path / "history", tmp_path / "lock", Limits(copies=3, octets=20, total=25, files=2))
    for at in range(6):
        copies.keep(KEY, b"%d\n" % at, START + at, START + at)
    assert contents(copies) == [b"5\n", b"4\n", b"3\n"]
    copies.keep(KEY, b"x" * 19, START + 10, START + 10)
    assert contents(copies) == [b"x" * 19]
    copies.keep(KEY, b"y" * 30, START + 11, START + 11)  # the newest stays, whatever its size
    assert contents(copies) == [b"y" * 30]
    copies.keep("a/b.scr", b"z", START, START)
    with pytest.raises(OSError, match="2 files have copies"):
        copies.keep("a/c.scr", b"z", START, START)
    copies.gone(KEY, START + 12)
    copies.keep("a/b.scr", b"w", START + 1, START + 1)
    copies.prune(START + 20)
    assert contents(copies) == [None, b"y" * 30]  # gone, yet the only content of it
    assert contents(copies, "a/b.scr") == [b"w"]


def test_what_a_crash_left_goes_and_a_damaged_copy_is_replaced(copies):
    made = copies.keep(KEY, b"one\n", START, START)
    folder = copies.base / KEY
    (folder / ".copy.01234567.part").write_bytes(b"half")
    os.utime(folder / ".copy.01234567.part", (START, START))
    (folder / made.id).write_bytes(b"0ne\n")
    assert copies.keep(KEY, b"one\n", START, START + 1) is not None
    copies.prune(START + 10_000)
    assert [one for one in os.listdir(folder) if one.startswith(".")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_copies_are_not_for_everyone(copies):
    made = copies.keep(KEY, b"SET SNMPSTRING word\n", START, START)
    assert stat.S_IMODE((copies.base / KEY / made.id).stat().st_mode) == 0o640


def test_a_copy_is_named_by_the_beginning_of_time_or_checksum(copies):
    copies.keep(KEY, b"one\n", START, START)
    copies.keep(KEY, b"two\n", START + 60, START + 60)
    copies.gone(KEY, START + 120)
    kept = copies.of(KEY)
    assert [one.id[:15] for one in choose(kept, "20260528T2027")] == ["20260528T202740"]
    assert [one.sha8 for one in choose(kept, "2C8B")] == ["2c8b08da"]
    assert list(choose(kept, "remo")) == []
    assert len(list(choose(kept, "2026"))) == 3
