"""The manager's database: who may read it, all or nothing, two processes at once."""

from __future__ import annotations

import sqlite3

import pytest

from manager.store import Store

ADD = "INSERT INTO failures (who, count, last) VALUES (?, 1, 0)"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "data" / "manager.db")
    yield store
    store.close()


def names(store):
    return [row["who"] for row in store.ask("SELECT who FROM failures ORDER BY who")]


def test_nobody_else_reads_it(store):
    store.change(ADD, "a")
    for file in store.path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_all_or_nothing(store):
    with pytest.raises(ZeroDivisionError), store.together():
        store.change(ADD, "a")
        raise ZeroDivisionError
    assert names(store) == []
    with store.together():
        store.change(ADD, "a")
        store.change(ADD, "b")
    assert names(store) == ["a", "b"]


def test_another_process_sees_it_at_once(store):
    other = Store(store.path)
    other.change(ADD, "theirs")
    assert names(store) == ["theirs"]
    assert store.change("DELETE FROM failures") == 1 and names(other) == []
    other.close()


def test_what_is_no_database(tmp_path):
    path = tmp_path / "manager.db"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(sqlite3.DatabaseError):
        Store(path)


def test_names_that_are_no_text(store):
    store.change(ADD, "a\udcff")
    assert names(store) == [r"a\udcff"]
    assert store.ask("SELECT count FROM failures WHERE who = ?", "a\udcff") == [{"count": 1}]
