"""The manager's log: one line each, whatever is in it; files of limited size; a disk that takes nothing."""

from __future__ import annotations

import logging
import re

import pytest

from mv_iptel.logfile import LogFile, _Queued

log = logging.getLogger("manager.test")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "manager.log"


def test_lines(path):
    with LogFile(path, "manager"):
        log.info("anna changed: %s", "46xxsettings.txt")
        logging.getLogger("somebody.else").info("too much")
        logging.getLogger("somebody.else").warning("worth a line")
        try:
            raise ValueError("what it said\n2026-01-01 info manager forged \x1b[2J")
        except ValueError:
            log.exception("the manager failed at %s", "/x\ny")
    lines = path.read_text("utf-8").splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}[+-]\d{4} info manager\.test anna changed: .*", lines[0]
    )
    assert lines[1].endswith("warning somebody.else worth a line") and "too much" not in str(lines)
    assert lines[2].endswith(r"error manager.test the manager failed at /x\x0ay")
    assert (
        all(one.startswith("    ") for one in lines[3:])
        and "forged" in lines[-1]
        and "\x1b" not in str(lines)
    )
    assert path.stat().st_mode & 0o027 == 0
    with LogFile(path, "manager"):
        log.info("again")
    assert len(path.read_text().splitlines()) == len(lines) + 1, "nothing stays attached"


def test_its_size_is_limited(path):
    with LogFile(path, "manager", most=2000, files=2):
        for number in range(100):
            log.info("line %d %s", number, "x" * 50)
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "manager.log",
        "manager.log.1",
        "manager.log.2",
    ]
    assert all(one.stat().st_size <= 2000 for one in path.parent.iterdir())
    assert "line 99 " in path.read_text()


def test_a_long_line_has_an_end(path):
    with LogFile(path, "manager"):
        log.info("%s", "x" * 100_000)
    assert path.stat().st_size < 1200


def test_a_place_that_takes_nothing_is_said_once(path, capsys):
    path.parent.parent.joinpath("log").write_text("a file in its place")
    with LogFile(path, "manager"):
        log.info("one")
        log.info("two")
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_a_disk_that_is_slow_costs_lines_and_no_request():
    import queue

    held = _Queued(queue.Queue(2))
    for _ in range(5):
        held.emit(logging.LogRecord("x", logging.INFO, "", 0, "text", (), None))
    assert held.lost == 3
