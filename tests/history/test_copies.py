"""Copies on the disk: order, what is kept once, what goes, what a crash leaves."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress

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
    copies = Copies(tmp_path / "history", tmp_path / "lock", Limits(copies=3, octets=20, total=33, files=2))
    for at in range(6):
        copies.keep(KEY, b"%d\n" % at, START + at, START + at)
    assert len(contents(copies)) == 3 and contents(copies)[0] == b"5\n"
    copies.keep(KEY, b"x" * 19, START + 10, START + 10)
    assert contents(copies) == [b"x" * 19]
    copies.keep(KEY, b"y" * 30, START + 11, START + 11)  # the newest stays, whatever its size
    assert contents(copies) == [b"y" * 30]
    copies.keep("a/b.scr", b"z", START, START)
    with pytest.raises(OSError, match="2 files have copies"):
        copies.keep("a/c.scr", b"z", START, START)
    copies.gone(KEY, START + 12)
    copies.keep("a/b.scr", b"wwww", START + 1, START + 1)
    copies.prune(START + 20)
    assert contents(copies) == [None, b"y" * 30]  # gone, yet the only content of it
    assert contents(copies, "a/b.scr") == [b"wwww"]


def test_what_changes_each_second_still_has_its_yesterday(tmp_path):
    copies = Copies(tmp_path / "history", tmp_path / "lock", Limits(copies=12))
    copies.keep(KEY, b"yesterday\n", START - 86400, START - 86400)
    copies.keep(KEY, b"an hour ago\n", START - 3600, START - 3600)
    for at in range(60):
        copies.keep(KEY, b"%d\n" % at, START + at, START + at)
    kept = contents(copies)
    assert len(kept) == 12 and kept[:3] == [b"59\n", b"58\n", b"57\n"]
    assert kept[-2:] == [b"an hour ago\n", b"yesterday\n"]


def test_files_that_came_and_went_make_room(tmp_path):
    copies = Copies(tmp_path / "history", tmp_path / "lock", Limits(files=4))
    for at in range(30):
        copies.keep(f"HTTPdata/temporary{at}.txt", b"SET A 1\n", START + at, START + at)
        copies.gone(f"HTTPdata/temporary{at}.txt", START + at)
    copies.keep(KEY, b"SET A 1\n", START + 99, START + 99)
    assert len(copies.files()) == 4 and contents(copies) == [b"SET A 1\n"]
    assert "HTTPdata/temporary29.txt" in copies.files()


def test_all_copies_together_have_an_end_between_two_counts_too(tmp_path):
    copies = Copies(tmp_path / "history", tmp_path / "lock", Limits(total=1600))
    for at in range(40):  # two files that change in turn
        copies.keep(f"HTTPdata/{at % 2}.txt", b"%100d" % at, START + at, START + at)
    assert sum(copy.size for key in copies.files() for copy in copies.of(key)) <= 1700
    for at in range(2, 18):
        with suppress(OSError):
            copies.keep(f"HTTPdata/{at}.txt", b"%100d" % at, START + 50 + at, START + 50 + at)
    assert len(copies.files()) <= 17  # the newest of each stays, so a new file finds no room
    with pytest.raises(OSError, match="MiB already"):
        copies.keep("HTTPdata/99.txt", b"x" * 400, START + 99, START + 99)
    assert copies.keep("HTTPdata/0.txt", b"x" * 400, START + 99, START + 99)  # what has copies goes on


@pytest.mark.parametrize("changed", [-1e13, -1e9, 1e13])
def test_a_file_may_have_any_time(copies, changed):
    assert copies.keep(KEY, b"a", changed, START) is not None
    assert copies.keep(KEY, b"b", changed, START + 1) is not None
    assert contents(copies) == [b"b", b"a"]


def test_a_folder_that_is_called_like_a_copy_is_none(copies):
    copies.keep(KEY, b"a", START, START)
    copies.keep(f"{KEY}/29990101T000000.000000Z-00000000/b.scr", b"b", START, START)
    assert contents(copies) == [b"a"]


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


@pytest.mark.parametrize("key", ["", "HTTPdata/../other/x", "/HTTPdata/x", "HTTPdata//x", "..", "a/..\\x"])
def test_a_name_that_climbs_has_no_copies(tmp_path, key):
    copies = Copies(tmp_path / "base", tmp_path / "lock")
    for place in ("base/x", "other/x", "base/HTTPdata/x"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "20260101T000000.000000Z-0123abcd").write_text("x")
    assert copies.of(key) == []
