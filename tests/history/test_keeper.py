"""The history: what it keeps of which edits, and what it says of broken scripts."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace

import pytest

from mv_iptel.events import Notice
from mv_iptel.history import History, keeper
from mv_iptel.history.kinds import LARGEST
from tests.history.desk import KEY, Desk, judge

UPGRADE = "46xxupgrade.scr"


def notices(desk):
    return [(event.kind, os.path.basename(event.source), event.line) for event in desk.events]


def test_each_change_is_kept_whoever_made_it(desk):
    desk.change("SET L2QVLAN 20\n")
    desk.change("SET L2QVLAN 30\n")
    desk.history.seen(desk.home.http_data / "46xxsettings.txt")
    desk.history.work()
    assert desk.contents() == [b"SET L2QVLAN 30\n", b"SET L2QVLAN 20\n"]


def test_removed_and_put_back(desk):
    path = desk.change("SET L2QVLAN 20\n")
    path.unlink()
    desk.history.seen(path)
    desk.history.work()
    desk.change("SET L2QVLAN 20\n")
    assert desk.contents() == [b"SET L2QVLAN 20\n", None, b"SET L2QVLAN 20\n"]


def test_a_file_that_once_was_a_script_stays_one(desk):
    desk.change("SET L2QVLAN 20\n", "0004f2000001.txt")
    desk.change("", "0004f2000001.txt")
    assert desk.contents("HTTPdata/0004f2000001.txt") == [b"", b"SET L2QVLAN 20\n"]


def test_what_is_no_script_is_not_kept(desk):
    desk.change("SET ABKNAME001=Anna\n", "4711_4620data.txt")
    desk.change(b"\0\1", "firmware.bin")
    desk.change("192.0.2.1\n", "allow_IP.txt")
    assert desk.history.copies.files() == []


def test_what_happened_while_no_server_ran(desk):
    desk.change("SET L2QVLAN 20\n")
    desk.write("SET L2QVLAN 30\n")
    desk.write("GET 46xxsettings.txt\n", UPGRADE, desk.home.tftp_data)
    later = desk.another()
    taken = later.take_stock()
    assert [(one.key, one.first) for one in taken] == [(f"TFTPdata/{UPGRADE}", True), (KEY, False)]
    assert later.take_stock() == []
    assert next(copy.time for copy in later.copies.of(KEY)) == desk.time - 60  # the edit's time, not ours
    (desk.home.http_data / "46xxsettings.txt").unlink()
    assert [one.copy.gone for one in desk.another().take_stock()] == [True]


def test_a_directory_that_is_not_served_any_more_is_left_alone(desk, tmp_path):
    desk.change("SET L2QVLAN 20\n")
    moved = replace(desk.config, http=replace(desk.config.http, http_dir=tmp_path / "other"))
    moved = replace(moved, https=replace(moved.https, https_dir=tmp_path / "other"))
    other = History(moved, desk.events.append, lambda: desk.time, judge)
    assert other.take_stock() == []
    assert desk.contents() == [b"SET L2QVLAN 20\n"]


def test_what_cannot_be_kept_is_said_once(desk):
    for _ in range(2):
        desk.change(b"#" * (LARGEST + 1))
    assert notices(desk) == [("settings-history", "46xxsettings.txt", 0)]
    assert "MiB" in desk.events[0].text
    desk.change("SET L2QVLAN 20\n")
    assert desk.contents() == [b"SET L2QVLAN 20\n"]


def test_a_broken_script_is_an_event_and_a_problem_until_it_is_mended(desk):
    desk.write("SET PHNOL 9\n")
    path = desk.change("GET 46xxsettings.txt\n", UPGRADE)
    desk.history.look()
    assert desk.events == [] and desk.history.problems() == []
    desk.change("GOTO NOWHERE\nGET 46xxsettings.txt\n", UPGRADE)
    desk.history.look()
    (event,) = desk.events
    assert isinstance(event, Notice)
    assert (event.kind, event.level, event.source, event.line) == ("script-broken", "error", str(path), 1)
    assert [(file, line) for file, line, _ in desk.history.problems()] == [(str(path), 1)]
    # Another edit that leaves it as it was, further down: no news.
    desk.change("## to be mended\nGOTO NOWHERE\nGET 46xxsettings.txt\n", UPGRADE)
    desk.history.look()
    assert len(desk.events) == 1
    assert [line for _, line, _ in desk.history.problems()] == [2]
    desk.change("GET 46xxsettings.txt\n", UPGRADE)
    desk.history.look()
    assert desk.history.problems() == []


def test_firmware_that_goes_breaks_the_script_that_names_it(desk):
    firmware = desk.change(b"\0", "4620_031225.app")
    desk.write("SET PHNOL 9\n")
    desk.change("SET APPNAME 4620_031225.app\nGET 46xxsettings.txt\n", UPGRADE)
    desk.history.look()
    assert desk.history.problems() == []
    firmware.unlink()
    desk.history.seen(firmware)
    desk.history.work()
    desk.history.look()
    assert notices(desk) == [("script-broken", UPGRADE, 1)]


def test_at_the_start_only_what_changed_meanwhile_is_news(desk):
    desk.write("GOTO NOWHERE\n", UPGRADE)
    desk.write("SET PHNOL 9\n")
    desk.history.take_stock()
    desk.write("GOTO NOWHERE\n", "96xxupgrade.txt")  # seen for the first time: not known to be a change
    again = start_of(desk)
    assert len(again.problems()) == 2 and desk.events == []
    desk.write("GOTO ELSEWHERE\n", UPGRADE)
    assert len(start_of(desk).problems()) == 2
    assert notices(desk) == [("script-broken", UPGRADE, 1)]


def start_of(desk):
    """Another server's first look."""
    history = desk.another()
    history._stock = True
    history.work()
    history.look()
    return history


def test_many_errors_are_told_shortly(desk):
    text = "".join(f"GOTO NOWHERE{at}\n# A{at}\n" for at in range(30))
    desk.change(text + "GET 46xxsettings.txt\n", UPGRADE)
    desk.change("SET PHNOL 9\n")
    desk.history.look()
    assert len(desk.events) == 6 and "more errors" in desk.events[-1].text
    assert len(desk.history.problems()) == 9 and "more such errors" in desk.history.problems()[-1][2]


def test_no_verdict_changes_nothing(desk):
    desk.change("GOTO NOWHERE\n", UPGRADE)
    desk.history.look()
    known = desk.history.problems()
    desk.history._judge = lambda places: None
    desk.change("GOTO NOWHERE2\n", UPGRADE)
    desk.history.look()
    assert desk.history.problems() == known != []


def test_a_reload_that_names_another_directory(desk, tmp_path):
    desk.change("GOTO NOWHERE\n", UPGRADE)
    desk.history.look()
    (tmp_path / "other").mkdir()
    desk.history.configure(replace(desk.config, http=replace(desk.config.http, http_dir=tmp_path / "other")))
    desk.write("SET PHNOL 9\n", "46xxsettings.txt", tmp_path / "other")
    desk.history.work()
    desk.history.look()
    assert desk.history.problems() == []
    assert len(desk.history.copies.files()) == 2


def test_its_thread(tmp_path):
    """Stock at the start, then what is seen; nothing waits on the caller's thread."""
    desk = Desk(tmp_path)
    desk.write("SET PHNOL 9\n")
    judged = threading.Semaphore(0)

    def judging(places):
        found = judge(places)
        judged.release()
        return found

    history = History(desk.config, desk.events.append, lambda: desk.time, judging)
    history.start()
    try:
        assert judged.acquire(timeout=30)
        assert desk.contents() == [b"SET PHNOL 9\n"]
        history.seen(desk.write("GOTO NOWHERE\n", UPGRADE))
        assert judged.acquire(timeout=30)
    finally:
        history.close()
    assert desk.contents(f"HTTPdata/{UPGRADE}") == [b"GOTO NOWHERE\n"]
    assert notices(desk) == [("script-broken", UPGRADE, 1)]


def test_a_whole_tree_is_copied(desk, monkeypatch):
    """More changes than are remembered: stock is taken instead."""
    monkeypatch.setattr(keeper, "MANY", 3)
    for at in range(6):
        desk.history.seen(desk.write(f"SET L2QVLAN {at}\n", f"site{at}.scr"))
    desk.history.work()
    assert len(desk.history.copies.files()) == 6
    desk.write("SET L2QVLAN 9\n")
    desk.history.seen(desk.home.http_data)
    desk.history.work()
    assert len(desk.history.copies.files()) == 7


def test_a_fault_ends_no_thread_and_is_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "PAUSE", 0.01)
    desk = Desk(tmp_path)
    looked = threading.Semaphore(0)

    def judging(places):
        looked.release()
        raise RecursionError

    history = History(desk.config, desk.events.append, lambda: desk.time, judging)
    history.start()
    try:
        for at in range(3):
            assert looked.acquire(timeout=30)
            history.seen(desk.write(f"SET PHNOL {at}\n"))
        assert looked.acquire(timeout=30)
    finally:
        history.close()
    assert [(event.kind, event.text) for event in desk.events] == [
        ("settings-history", "scripts could not be looked at: RecursionError")
    ]


def test_that_nothing_could_be_found_out_is_told_once(desk):
    verdict = desk.history._judge
    for _ in range(2):
        desk.history._judge = lambda places: None
        for at in range(2):
            desk.change(f"SET PHNOL {at}\n")
            desk.history.look()
        desk.history._judge = verdict
        desk.change("SET PHNOL 5\n")
        desk.history.look()
    assert [event.text for event in desk.events] == [
        "it could not be found out whether scripts are broken: see `mv-iptel lint`"
    ] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="links want rights there")
def test_a_link_that_leaves_the_data_is_not_copied(desk, tmp_path):
    (tmp_path / "secret.key").write_text("SET PHNOL 9\n")
    link = desk.home.http_data / "46xxsettings.txt"
    link.symlink_to(tmp_path / "secret.key")
    (desk.home.http_data / "46xxspecials.txt").symlink_to(desk.home.ini)
    desk.home.ini.parent.mkdir(parents=True)
    desk.home.ini.write_text("SET PHNOL 9\n")
    desk.history.take_stock()
    desk.history.take(link)
    assert desk.history.copies.files() == [] and desk.events == []
    link.unlink()
    desk.write("SET PHNOL 9\n", "common.txt", desk.home.tftp_data)
    link.symlink_to(desk.home.tftp_data / "common.txt")
    desk.history.take_stock()
    assert desk.contents() == [b"SET PHNOL 9\n"]
