"""Putting an earlier content back, beside others who save the file."""

from __future__ import annotations

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
