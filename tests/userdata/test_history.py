"""The history of a name: lines that survive broken ones, and a file that does not grow without end."""

from __future__ import annotations

import json

import pytest

from mv_iptel.userdata import history
from mv_iptel.userdata.history import FILE, Change
from tests.others import MANAGER, SERVER, root_only, run_as, shared

ONE = Change(1.0, "store", "0123abcd", 5, "192.0.2.1", "00040d000001", "4621SW", "ftp", "snmp")


def test_lines_come_back(tmp_path):
    folder = tmp_path / "new"
    assert history.changes(folder) == [] == history.latest(folder)
    for number in range(5):
        history.append(folder, ONE._replace(time=float(number)))
    assert [one.time for one in history.changes(folder)] == [0, 1, 2, 3, 4]
    assert [one.time for one in history.latest(folder)] == [4, 3, 2, 1, 0]
    assert [one.time for one in history.append(folder, ONE)] == [4, 3, 2, 1, 0]
    assert history.changes(folder)[0] == ONE._replace(time=0.0)


BROKEN = [
    b"", b"{", b"\xff\xfe\x00", b"null", b"[]", b"7", b'{"time": 1}', b'{"time": "x", "op": "store"}',
    b'{"time": 1, "op": "store", "address": 5}', b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: line[:20].decode("latin-1"))
def test_broken_lines_are_skipped(tmp_path, line):
    history.append(tmp_path, ONE)
    with open(tmp_path / FILE, "ab") as file:
        file.write(line)  # cut off: no end of line
    assert list(history.append(tmp_path, ONE._replace(time=2.0))) == ([ONE] if len(line) < 1000 else [])
    assert [one.time for one in history.changes(tmp_path)] == [1.0, 2.0]


def test_a_later_version_may_know_more(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({**ONE._asdict(), "site": "Graz"}) + "\n", encoding="utf-8")
    assert history.changes(tmp_path) == [ONE]


def test_it_stays_bounded(tmp_path):
    for number in range(3 * history.MOST // 150):
        history.append(tmp_path, ONE._replace(time=float(number)))
    assert (tmp_path / FILE).stat().st_size <= history.MOST + 400
    times = [one.time for one in history.changes(tmp_path)]
    assert times == [float(one) for one in range(int(times[0]), int(times[-1]) + 1)]
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_who_stored_what_is_there(tmp_path):
    """The same content was stored twice, deleted between, and is told by the store that it comes from."""
    told = [
        ONE,
        ONE._replace(time=5.0, op="delete", address="192.0.2.5"),
        ONE._replace(time=9.0, op="restore", address="192.0.2.9"),
    ]
    assert history.stored_by(told, ONE.sha8, 8.0).address == "192.0.2.9"
    assert history.stored_by(told, ONE.sha8, 4.9).address == "192.0.2.1"
    assert history.stored_by(told, "ffffffff", 4.9) == Change(0.0, "")


@root_only
def test_each_user_of_the_group_goes_on_where_another_one_stopped():
    with shared() as var:
        run_as(SERVER, lambda: list(history.append(var / "one", ONE)))
        run_as(MANAGER, lambda: list(history.append(var / "one", ONE)))
        empty = var / "two" / FILE  # a full disk, or a crash, right after it was made
        run_as(SERVER, lambda: (empty.parent.mkdir(), empty.touch()))
        run_as(MANAGER, lambda: list(history.append(empty.parent, ONE)))
        assert len(history.changes(var / "one")) == 2 and len(history.changes(empty.parent)) == 1
