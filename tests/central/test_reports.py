"""What branches said of themselves: checked, kept in memory, written now and then."""

from __future__ import annotations

import pytest

from mv_iptel.central.reports import Reports, read
from mv_iptel.home import Home


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.var.mkdir(parents=True)
    return home


def test_seen_and_said(home):
    reports = Reports(home)
    assert reports.last() == 0.0 and read(home) == {}
    reports.seen("Oslo", "192.0.2.1", 100.0)
    reports.said("Oslo", {"generation": 3, "queue": 0, "server": "At Oslo", "more": "unknown"}, 100.5)
    assert reports.last() == 100.0
    row = {"last_seen": 100.0, "address": "192.0.2.1", "reported": 100.5, "generation": 3, "queue": 0,
           "server": "At Oslo", "error": ""}  # fmt: skip
    assert reports.all() == {"Oslo": row}
    reports.save(200.0)
    assert read(home) == {"Oslo": row} == Reports(home).all()


def test_it_is_written_now_and_then(home):
    reports = Reports(home)
    for now in (100.0, 101.0):
        reports.seen("Oslo", "192.0.2.1", now)
        reports.save(now)
    assert read(home)["Oslo"]["last_seen"] == 100.0
    reports.save(101.0, force=True)
    assert read(home)["Oslo"]["last_seen"] == 101.0


def test_an_error_that_is_over_is_forgotten(home):
    reports = Reports(home)
    reports.said("Oslo", {"error": "the disk is full"}, 1.0)
    assert reports.all()["Oslo"]["error"]
    reports.said("Oslo", {}, 2.0)
    assert reports.all()["Oslo"]["error"] == ""


@pytest.mark.parametrize("told", [
    {"queue": -1}, {"queue": "3"}, {"queue": True}, {"queue": 1 << 60}, {"error": 5}, {"generation": 1.5},
])  # fmt: skip
def test_what_is_no_report(home, told):
    reports = Reports(home)
    with pytest.raises(ValueError):
        reports.said("Oslo", told, 1.0)
    assert reports.all() == {}


def test_a_long_text_is_cut(home):
    reports = Reports(home)
    reports.said("Oslo", {"error": "x" * 9000}, 1.0)
    assert len(reports.all()["Oslo"]["error"]) == 500


def test_what_no_terminal_and_no_page_should_see(home):
    reports = Reports(home)
    reports.said("Oslo", {"error": "disk\x1b[2Jfull\n\ud800", "server": "\u202eolsO", "version": "1\0"}, 1.0)
    told = reports.all()["Oslo"]
    assert (told["error"], told["server"], told["version"]) == (
        "disk\\x1b[2Jfull\\x0a\\ud800",
        "\\u202eolsO",
        "1\\x00",
    )


@pytest.mark.parametrize("text", ["{", "[]", "5", '{"Oslo": 5}'])
def test_a_damaged_file_is_nothing(home, text):
    (home.var / "central").mkdir()
    (home.var / "central" / "seen.json").write_text(text)
    assert read(home) == {}
