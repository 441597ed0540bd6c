"""Which user data has changed since when: by cursor, over restarts, over changes that nobody told."""

from __future__ import annotations

import os
import threading

import pytest

from mv_iptel import config
from mv_iptel.central import changes as module
from mv_iptel.central.changes import GAP, Changes
from mv_iptel.home import Home

A, B, C = (f"471{number}_96xxdata.txt" for number in range(3))


@pytest.fixture
def made(tmp_path):
    made = config.defaults(Home(tmp_path))
    made.http.backup_dir.mkdir(parents=True)
    made.home.var.mkdir(parents=True, exist_ok=True)
    return made


@pytest.fixture
def changes(made):
    changes = Changes(made, lambda: 500.0)
    changes.open()
    return changes


def names(found):
    return [one.name for one in found[0]]


def test_from_the_beginning_and_from_a_cursor(changes):
    assert changes.since("", 10)[0] == []
    changes.add(A, "a" * 64, 1, 10.0, "Oslo")
    changes.add(B, "b" * 64, 2, 11.0, "")
    found, cursor, more = changes.since("", 10)
    assert [one.name for one in found] == [A, B] and not more
    assert changes.since(cursor, 10) == ([], cursor, False)
    changes.add(A, "c" * 64, 3, 12.0, "Bergen")
    found, _, more = changes.since(cursor, 10)
    assert [(one.name, one.sha256, one.branch) for one in found] == [(A, "c" * 64, "Bergen")]
    assert names(changes.since("", 10)) == [B, A], "each name once, where its last change was"


def test_in_pieces(changes):
    for number in range(7):
        changes.add(f"{number}_96xxdata.txt", "a" * 64, 1, 1.0, "")
    cursor, seen, more = "", [], True
    while more:
        found, cursor, more = changes.since(cursor, 3)
        assert len(found) <= 3
        seen += [one.name for one in found]
    assert seen == [f"{number}_96xxdata.txt" for number in range(7)]


@pytest.mark.parametrize("cursor", ["x", ".", "1.1", "nobody.99", "..", "-1", "é.5", "a.9" + "9" * 20])
def test_a_cursor_that_is_none_begins_anew(changes, cursor):
    changes.add(A, "a" * 64, 1, 1.0, "")
    assert names(changes.since(cursor, 9)) == [A]
    epoch = changes.since("", 9)[1].partition(".")[0]
    assert names(changes.since(f"{epoch}.-5", 9)) == [A] == names(changes.since(f"{epoch}.²", 9))


def test_told_twice_is_one_change(changes):
    changes.add(A, "a" * 64, 1, 10.0, "Oslo", 77)
    cursor = changes.since("", 9)[1]
    changes.add(A, "a" * 64, 1, 20.0, "", 77)
    assert changes.since(cursor, 9)[0] == [] and changes.get(A).branch == "Oslo"
    changes.add(A, "a" * 64, 1, 30.0, "Bergen", 77)
    assert changes.get(A).changed == 30.0 and changes.get(A).branch == "Bergen", "stored again, later"
    assert changes.since(cursor, 9)[0] == []


def test_over_a_restart(changes, made):
    changes.add(A, "a" * 64, 1, 10.0, "Oslo", 77)
    changes.add(B, "", 0, 11.0, "")
    cursor = changes.since("", 9)[1]
    again = Changes(made)
    again.open()
    assert again.since(cursor, 9)[0] == [] and names(again.since("", 9)) == [A, B]
    assert again.get(A) == changes.get(A)
    again.add(C, "c" * 64, 1, 12.0, "")
    assert names(again.since(cursor, 9)) == [C] and again.get(C).number > GAP


def test_lines_that_a_power_cut_has_lost_are_told_again(changes, made):
    changes.add(A, "a" * 64, 1, 10.0, "")
    path = made.home.var / "central" / "userdata.jsonl"
    kept = path.read_bytes()
    changes.add(B, "b" * 64, 1, 10.0, "")
    cursor = changes.since("", 9)[1]
    path.write_bytes(kept + b'["471')
    (made.http.backup_dir / B).write_bytes(b"B")
    again = Changes(made)
    again.open()
    again.stock()
    assert B in names(again.since(cursor, 9))


def test_taking_stock(changes, made):
    folder = made.http.backup_dir
    (folder / A).write_bytes(b"A")
    (folder / ".hidden").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    (folder / B).mkdir()
    changes.stock()
    assert names(changes.since("", 9)) == [A]
    cursor = changes.since("", 9)[1]
    changes.stock()
    os.utime(folder / A, ns=(5, 5))
    changes.stock()
    assert changes.since(cursor, 9)[0] == [], "another time, the same content"
    (folder / A).write_bytes(b"A2")
    changes.stock()
    assert names(changes.since(cursor, 9)) == [A]
    (folder / A).unlink()
    changes.stock()
    gone = changes.get(A)
    assert (gone.sha256, gone.changed) == ("", 500.0)


def test_the_file_stays_small(changes, made, monkeypatch):
    monkeypatch.setattr(module, "SLACK", 5)
    for number in range(60):
        changes.add(A, f"{number:064}", 1, float(number), "")
    assert len((made.home.var / "central" / "userdata.jsonl").read_text().splitlines()) <= 10
    again = Changes(made)
    again.open()
    assert again.get(A).sha256 == f"{59:064}"


@pytest.mark.parametrize(
    "line", [b"{", b"5", b"[]", b'["x"]', b'["../x", 9, "", 1, 1.0, ""]', b"\xff", b"null"]
)
def test_damaged_lines_are_skipped(changes, made, line):
    changes.add(A, "a" * 64, 1, 10.0, "")
    with (made.home.var / "central" / "userdata.jsonl").open("ab") as file:
        file.write(line + b"\n")
    again = Changes(made)
    again.open()
    assert names(again.since("", 9)) == [A]


def test_nobody_who_asks_waits_for_the_disk(changes, monkeypatch):
    """Branches ask on the loop that serves phones."""
    writes, goes_on = threading.Event(), threading.Event()

    def slow(*_):
        writes.set()
        goes_on.wait(20)

    monkeypatch.setattr(changes, "_append", slow)
    thread = threading.Thread(target=changes.add, args=(A, "a" * 64, 1, 10.0, "Oslo"))
    thread.start()
    assert writes.wait(20)
    answer = []
    asking = threading.Thread(target=lambda: answer.append(names(changes.since("", 10))), daemon=True)
    asking.start()
    asking.join(20)
    assert answer == [[A]]
    goes_on.set()
    thread.join()


def test_lines_that_came_at_once_stand_in_either_order(changes, made):
    changes.add(A, "a" * 64, 1, 10.0, "Oslo")
    changes.add(B, "b" * 64, 2, 11.0, "Oslo")
    path = made.home.var / "central" / "userdata.jsonl"
    *head, first, second = path.read_text().splitlines(True)
    path.write_text("".join([*head, second, first]))
    again = Changes(made)
    again.open()
    assert names(again.since("", 10)) == [A, B]
