"""Putting an earlier content back, beside others who save the file."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from mv_iptel.history.undoing import Refused, undo
from tests.history.desk import KEY


def test_what_nobody_had_seen_is_kept_before_it_is_replaced(desk):
    path = desk.change("SET PHNOL 1\n")
    desk.write("SET PHNOL 2\n")
    done = undo(desk.history, desk.home, KEY, desk.history.copies.of(KEY)[0])
    assert (path.read_bytes(), done.before, done.after) == (
        b"SET PHNOL 1\n",
        b"SET PHNOL 2\n",
        b"SET PHNOL 1\n",
    )
    assert desk.contents() == [b"SET PHNOL 1\n", b"SET PHNOL 2\n", b"SET PHNOL 1\n"]
    assert desk.history.copies.read(KEY, done.kept) == b"SET PHNOL 2\n"


def test_a_file_that_keeps_changing_is_left_alone(desk, monkeypatch):
    path = desk.change("SET PHNOL 1\n")
    take, count = desk.history.take, iter(range(100))

    def take_then_edit(path):
        take(path)
        desk.write(f"SET PHNCC {next(count)}\n")

    monkeypatch.setattr(desk.history, "take", take_then_edit)
    with pytest.raises(Refused, match="keeps changing"):
        undo(desk.history, desk.home, KEY, desk.history.copies.of(KEY)[0])
    assert path.read_text().startswith("SET PHNCC")
    assert len(desk.contents()) == 5


def test_what_is_not_served_any_more_is_not_written(desk):
    desk.change("SET PHNOL 1\n")
    copy = desk.history.copies.of(KEY)[0]
    with pytest.raises(Refused, match="not among those"):
        undo(desk.history, desk.home, "Elsewhere/46xxsettings.txt", copy)


def test_an_edit_while_the_new_content_is_written_is_kept(desk, monkeypatch):
    """Between the last look and the rename the disk is waited for: an editor saves just then."""
    path = desk.change("SET PHNOL 1\n")
    copy = desk.history.copies.of(KEY)[0]
    desk.change("SET PHNOL 2\n")
    fsync, edits = os.fsync, iter(["SET PHNOL 3\n"])

    def slow(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            for text in edits:
                desk.write(text)
        fsync(descriptor)

    monkeypatch.setattr("mv_iptel.files.os.fsync", slow)
    done = undo(desk.history, desk.home, KEY, copy)
    monkeypatch.undo()
    assert (done.before, path.read_text()) == (b"SET PHNOL 3\n", "SET PHNOL 1\n")
    assert b"SET PHNOL 3\n" in desk.contents()
    assert [name for name in os.listdir(path.parent) if name[0] == "."] == []


@pytest.mark.skipif(sys.platform == "win32", reason="links want rights there")
def test_a_folder_that_leads_elsewhere_now_is_not_written_to(desk, tmp_path):
    path = desk.change("SET PHNOL 1\n", "paris/46xxsettings.txt")
    key = "HTTPdata/paris/46xxsettings.txt"
    copy = desk.history.copies.of(key)[0]
    path.unlink()
    path.parent.rmdir()
    (tmp_path / "out").mkdir()
    path.parent.symlink_to(tmp_path / "out")
    with pytest.raises(Refused, match="leads elsewhere"):
        undo(desk.history, desk.home, key, copy)
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_rights_stay(desk):
    path = desk.change("SET PHNOL 1\n")
    path.chmod(0o640)
    copy = desk.history.copies.of(KEY)[0]
    desk.change("SET PHNOL 2\n")
    undo(desk.history, desk.home, KEY, copy)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
