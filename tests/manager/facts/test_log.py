"""The log's choice: the same of the database and of the live stream; pages that go on where one ended."""

from __future__ import annotations

import itertools

import pytest

from manager.facts import log
from mv_iptel.events import Listening, Notice, Reloaded, Started, Stopped
from mv_iptel.inventory.reader import Reader
from mv_iptel.inventory.writer import Inventory
from mv_iptel.journal import record
from tests.happened import NOON, finished, known, refused

EVENTS = [
    known(1, 0, peer="10.0.0.1", name="96x1Hupgrade.txt"),
    refused(2, 10, peer="10.0.0.2"),
    finished(3, 20, peer="10.0.0.1", mac="", name="early.txt"),
    finished(4, 30, peer="10.0.0.3", proto="tftp", outcome="timeout", name="a_100%.bin"),
    Notice("list-broken", "'foo' is no address", "error", "/data/HTTP_allow_IP.txt", 4, time=NOON + 40),
    Notice("mac-mismatch", "somebody else", peer="10.0.0.1", time=NOON + 50),
    known(5, 60, peer="10.0.0.1", outcome="aborted", detail="the phone broke off"),
    refused(6, 70, peer="10.0.0.9", reason="no-file", ext="4711", name="=cmd()", detail="", source=""),
    finished(7, 80, peer="10.0.0.2", op="store", name="4711_4620data.txt"),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "inventory.db"
    inventory = Inventory(path, clock=lambda: NOON + 100)
    inventory.receive(EVENTS)
    inventory.close()
    found = Reader(path)
    yield found
    found.close()


def ids(rows):
    return [one["id"] if one["event"] == "finished" else one["kind"] for one in rows]


CASES = [
    *itertools.product(("", "10.0.0.1", "00:04:0d:11:22:33", "10.0.0.9", "4711", "nobody", "00040dffffff"),
                       ("", "http", "tftp"), ("", "ok", "refused", "failed", "notice"), ("",), ("",)),
    *itertools.product(("", "10.0.0.2"), ("",), ("",), ("", "no-file", "not-listed"),
                       ("", "UPGRADE", "100%", "_", "allow_ip", "9640", "zzz", "foo")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_the_live_stream_and_the_inventory_choose_the_same(reader, case):
    wanted = log.chosen(reader, *case)
    kept = ids(log.page(reader, wanted).rows)
    live = [
        one.id if one.event == "finished" else one.kind
        for one in reversed(EVENTS)
        if wanted.wants(record(one))
    ]
    assert kept == live


def test_a_phone_has_also_what_its_address_did_before_it_said_who_it_is(reader):
    wanted = log.chosen(reader, "00040d112233", "", "", "", "")
    assert ids(log.page(reader, wanted).rows) == [5, "mac-mismatch", 3, 1]


def test_pages_follow_each_other_and_miss_nothing(reader):
    everything = ids(log.page(reader, log.Chosen()).rows)
    assert everything == [7, 6, 5, "mac-mismatch", "list-broken", 4, 3, 2, 1]
    for size in (1, 2, 3, 8, 9):
        found, before = [], ""
        for _ in range(20):
            page = log.page(reader, log.Chosen(), before, size)
            found += ids(page.rows)
            before = page.before
            if not before:
                break
        assert found == everything, size


def test_a_search_ends_after_so_many_rows_and_says_so(reader, monkeypatch):
    monkeypatch.setattr(log, "LOOKED", 2)
    wanted = log.Chosen(text="upgrade")
    found, before, looks = [], "", 0
    while True:
        page = log.page(reader, wanted, before)
        found += ids(page.rows)
        looks += 1
        if not page.before:
            break
        assert page.until
        before = page.before
    assert found == [1] and looks == 3


@pytest.mark.parametrize("before", ["x", "1", "1.", "-1.2", "9" * 30 + ".1", "1.2.3", "\u0661.1"])
def test_a_cursor_that_is_none_begins_at_the_newest(reader, before):
    assert len(log.page(reader, log.Chosen(), before).rows) == 9


def test_rows_are_shown_in_words(reader):
    rows = {one["key"]: one for one in (log.shown(row, NOON) for row in log.page(reader, log.Chosen()).rows)}
    assert rows["r2"]["word"] == "not-listed" and rows["r2"]["place"].endswith("allow_IP.txt, line 3")
    assert rows["r2"]["number"] == 2 and rows["r2"]["tone"] == "warn"
    assert rows["r4"]["tone"] == "bad" and rows["r4"]["word"] == "timeout"
    assert rows["r7"]["text"].startswith("stored, 3 KiB")
    assert rows["r6"]["text"] == "there is no such file"
    # What is live has the key that it has in the inventory, so that it is not shown twice.
    assert {log.shown(record(one), NOON)["key"] for one in EVENTS} == set(rows)
    assert {log.shown(record(one), NOON)["same"] for one in EVENTS} == {one["same"] for one in rows.values()}


@pytest.mark.parametrize("event, kind, text", [
    (Listening("http", "::", 81, "failed", "nginx has it"), "listening", "http 81 on ::: nginx has it"),
    (Listening("http", "::", 81, "up"), "listening", "http 81 on ::: up"),
    (Reloaded("x.ini", True, 3), "reloaded", "generation 3 is in force"),
    (Reloaded("x.ini", False, 3, ("bad",), ("User",)), "reloaded", "refused; bad; User needs a restart"),
    (Started("1.0", "/home", ("TLS 1.0",)), "started", "version 1.0 in /home; TLS 1.0"),
    (Stopped("SIGTERM"), "stopped", "SIGTERM"),
    (Notice("disk", "full\x1b[2J", "error"), "disk", "full\\x1b[2J"),
])  # fmt: skip
def test_what_is_no_request_is_told_in_a_sentence(event, kind, text):
    told = log.shown(record(event))
    assert (told["word"], told["text"]) == (kind, text) and not told["request"]


def test_a_file_to_keep_has_one_row_each(reader):
    rows = [log.row_of(one) for one in log.page(reader, log.Chosen()).rows]
    assert all(tuple(row) == log.COLUMNS for row in rows)
    assert rows[1]["number"] == 6 and rows[3]["outcome"] == "warning" and rows[3]["reason"] == "mac-mismatch"


def test_without_an_inventory_the_log_is_empty(tmp_path):
    assert log.page(Reader(tmp_path / "none.db"), log.Chosen()) == ([], "", 0.0)
