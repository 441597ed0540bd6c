"""The audit trail: what is kept, found, let go, and how a change is shown."""

from __future__ import annotations

import sqlite3

import pytest

from manager import audit as module
from manager.audit import FAILED, Audit, Filter, difference
from manager.store import Store


@pytest.fixture
def clock():
    return [1_000_000.0]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "with blank %41#.d" / "manager.db")
    yield made
    made.close()


@pytest.fixture
def audit(store, clock):
    return Audit(store, lambda: clock[0])


def test_who_when_what_before_and_after(audit, clock):
    audit.add("anna", "192.0.2.1", "file-saved", "46xxsettings.txt", "SET A 1", "SET A 2")
    clock[0] += 5
    audit.add("bert", "", "list-saved", "TFTPallow_IP.txt")
    newest, first = audit.last()
    assert (newest["who"], newest["time"]) == ("bert", 1_000_005.0)
    assert first == {
        "id": 1, "time": 1_000_000.0, "who": "anna", "peer": "192.0.2.1", "action": "file-saved",
        "what": "46xxsettings.txt", "before": "SET A 1", "after": "SET A 2",
    }  # fmt: skip
    assert audit.get(1) == first and audit.get(99) is None
    assert audit.choices() == (["anna", "bert"], ["file-saved", "list-saved"])


@pytest.mark.parametrize(
    "told, found",
    [
        (Filter(), [4, 3, 2, 1]),
        (Filter(who="anna"), [3, 1]),
        (Filter(action="saved"), [4, 1]),
        (Filter("anna", "saved"), [1]),
        (Filter(text="SETTINGS"), [4, 1]),
        (Filter(text="50%"), [2]),
        (Filter(text="_"), [3]),
        (Filter(text="\\"), [4]),
        (Filter(text="192.0.2.7"), [3]),
        (Filter(text="'; DROP TABLE audit; --"), []),
        (Filter(who="' OR 1=1 --"), []),
    ],
)
def test_finding(audit, told, found):
    audit.add("anna", "", "saved", "settings")
    audit.add("bert", "", "removed", "old", "50% of it")
    audit.add("anna", "192.0.2.7", "removed", "a_b")
    audit.add("bert", "", "saved", "settings", "", "x\\y")
    assert [row["id"] for row in audit.find(told)] == found
    assert audit.count(told) == len(found)
    assert [row["id"] for part in audit.pieces(told, 2) for row in part] == found
    assert [row["id"] for row in audit.find(told, 2, 1)] == found[1:3]


def test_texts_have_an_end_and_any_signs(audit):
    audit.add("a" * 500, "p" * 500, "x", "w" * 5000, "b" * 50_000, "\udcff\0")
    row = audit.last()[0]
    assert len(row["who"]) == len(row["peer"]) == 100 and len(row["what"]) == 1000
    assert len(row["before"]) == 20_000 and row["after"] == "\\udcff\0"


def test_what_is_old_goes(audit, store, clock, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 5)
    for number in range(9):
        audit.add("anna", "", "saved", str(number))
    audit.prune()
    assert [row["what"] for row in audit.last()] == ["8", "7", "6", "5", "4"]
    clock[0] += 401 * 86400
    audit.add("anna", "", "saved", "new")
    Audit(store, lambda: clock[0]).add("anna", "", "saved", "newer")  # a restart looks, too
    assert [row["what"] for row in audit.last()] == ["newer", "new"]
    assert audit.last()[0]["id"] == 11  # numbers never come twice


def test_guessing_passwords_pushes_no_change_out(audit, monkeypatch):
    monkeypatch.setattr(module, "TRIES", 3)
    audit.add("anna", "", "saved", "precious")
    for number in range(50):
        audit.add("-", "", FAILED, str(number))
    audit.prune()
    assert [row["what"] for row in audit.last()] == ["49", "48", "47", "precious"]


def test_a_long_search_ends_and_holds_nobody_up(audit, store, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with store.together():
        for number in range(3000):
            store.change(
                "INSERT INTO audit (time, who, peer, action, what, before, after) "
                "VALUES (1, 'a', '', 'x', ?, '', '')", str(number),
            )  # fmt: skip
    with pytest.raises(TimeoutError):
        audit.count(Filter(text="nowhere"))
    # Its connection can change nothing, and is not the one that sign-ins use.
    monkeypatch.setattr(module, "PATIENCE", 5.0)
    with pytest.raises(sqlite3.OperationalError):
        audit._ask("DELETE FROM audit")
    assert audit.count(Filter()) == 3000


def test_a_difference():
    assert difference("viewer", "operator") == [("-", "- viewer"), ("+", "+ operator")]
    assert difference("", "new") == [("+", "+ new")]
    assert difference("old", "") == [("-", "- old")]
    assert difference("", "") == []
    assert difference("same", "same") == [(" ", "  same")]
    long = [str(number) for number in range(40)]
    changed = [*long[:20], "x", *long[21:]]
    shown = difference("\n".join(long), "\n".join(changed))
    assert [one for one in shown if one[0] != " "] == [("-", "- 20"), ("+", "+ x")] and len(shown) == 8
    assert difference("- a", "+ b") == [("-", "- - a"), ("+", "+ + b")]


def test_a_diff_of_a_file_is_shown_as_it_is():
    text = "--- before\n+++ after\n@@ -1 +1 @@\n-SET A 1\n+SET A 2\n SET B 3\n"
    assert [mark for mark, _ in difference("", text)] == [" ", " ", " ", "-", "+", " "]


def test_the_largest_texts_are_compared_soon_and_shown_in_part():
    """Counted in lines: what the page shows has an end, whatever was written."""
    old, new = "\n" * 20_000, "x\n" * 10_000
    shown = difference(old, new, 100)
    assert len(shown) == 101 and shown[-1][0] == "…"
