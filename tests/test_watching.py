"""Changes of files are told once, when they have settled."""

from __future__ import annotations

import queue
import threading

from mv_iptel.watching import Watching

PATIENT = 1.5  # seconds; longer than a busy machine pauses between two writes of a burst


def test_a_burst_of_changes_is_told_once_per_file(tmp_path):
    told = queue.Queue()
    watching = Watching(lambda what, path: told.put((what, path.name)), settle=PATIENT)
    (tmp_path / "data").mkdir()
    (tmp_path / "bin").mkdir()
    watching.start({tmp_path / "data": "data", tmp_path / "bin": "configuration", tmp_path / "none": "data"})
    try:
        for turn in range(20):
            (tmp_path / "data" / "HTTP_allow_IP.txt").write_text(f"10.0.0.{turn}\n")
            (tmp_path / "data" / "4711_4620data.txt").write_text("not of interest")
        assert told.get(timeout=10) == ("data", "HTTP_allow_IP.txt")
        (tmp_path / "bin" / "new").write_text("[TFTP]\n")
        (tmp_path / "bin" / "new").rename(tmp_path / "bin" / "MV_IPTel.ini")
        names = {told.get(timeout=10)[1], told.get(timeout=10)[1]}
        assert names == {"new", "MV_IPTel.ini"}
        assert told.empty()
    finally:
        watching.stop()


def test_scripts_and_what_they_name_are_of_interest(tmp_path):
    told = queue.Queue()
    watching = Watching(lambda what, path: told.put(path.name), settle=PATIENT)
    watching.start({tmp_path: "data"})
    try:
        for name in ("46xxsettings.txt", "firmware.bin", ".hidden", "x.tmp"):
            (tmp_path / name).write_text("x")
        assert {told.get(timeout=10), told.get(timeout=10)} == {"46xxsettings.txt", "firmware.bin"}
    finally:
        watching.stop()
    assert told.empty()


def test_of_a_tree_that_is_copied_the_directory_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("mv_iptel.watching.MANY", 5)
    told = queue.Queue()
    watching = Watching(lambda what, path: told.put(path), settle=PATIENT)
    for number in range(20):
        watching.touched("data", tmp_path / f"{number}.scr")
    found = {told.get(timeout=10) for _ in range(7)}
    watching.stop()
    assert tmp_path in found and told.empty()


def test_a_fault_in_looking_does_not_end_the_watch(tmp_path):
    told = queue.Queue()

    def changed(what, path):
        told.put(path.name)
        raise RuntimeError("unreadable")

    watching = Watching(changed)
    watching.start({tmp_path: "data"})
    try:
        (tmp_path / "allow_IP.txt").write_text("1")
        assert told.get(timeout=10) == "allow_IP.txt"
        (tmp_path / "TFTP_allow_IP.txt").write_text("1")
        assert told.get(timeout=10) == "TFTP_allow_IP.txt"
    finally:
        watching.stop()


def test_a_change_while_it_stops_is_no_fault(tmp_path, caplog):
    """Files change all the time while the watch ends, again and again: nothing is logged."""
    ended = threading.Event()

    def write():
        while not ended.is_set():
            (tmp_path / "allow_IP.txt").write_text("1")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            watching = Watching(lambda what, path: None)
            watching.start({tmp_path: "data"})
            watching.stop()
    finally:
        ended.set()
        writer.join()
    assert caplog.messages == []


def test_files_that_are_only_read_wake_nobody(tmp_path, monkeypatch):
    (tmp_path / "HTTP_allow_IP.txt").write_text("10.\n")
    seen = queue.Queue()
    monkeypatch.setattr("mv_iptel.watching._Handler.on_any_event", lambda self, event: seen.put(event))
    watching = Watching(lambda what, path: None)
    watching.start({tmp_path: "data"})
    try:
        for _ in range(50):
            (tmp_path / "HTTP_allow_IP.txt").read_bytes()
        (tmp_path / "last").write_text("x")
        assert seen.get(timeout=10).src_path.endswith("last")
    finally:
        watching.stop()
