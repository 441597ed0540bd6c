"""The daily care: what a crash left, what is too old, and a thread that comes and goes."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from mv_iptel.userdata import care, versions
from mv_iptel.userdata.lanes import Lanes
from mv_iptel.userdata.names import Kept
from mv_iptel.userdata.quota import Ledger
from mv_iptel.userdata.store import Origin
from tests.userdata.shelf import DAY, NAME, Shelf, links, on_disk


@pytest.fixture
def shelf(tmp_path):
    with Shelf(tmp_path) as one:
        yield one


def test_lanes_are_of_extensions():
    assert care.lane_of(Kept("7", "4620")) == care.lane_of(Kept("7", "96xx", True)) == "7"
    assert care.lane_of(Kept("", "4620")) != care.lane_of(Kept("", "4610"))


@pytest.mark.parametrize(
    ("keep", "days", "left"), [(3, 400, 3), (100, 400, 5), (100, 2, 2), (1, 400, 1), (100, 36_500, 5)]
)
def test_too_old(shelf, keep, days, left):
    config = replace(
        shelf.config, settings=replace(shelf.config.settings, keep_versions=keep, keep_days=days)
    )
    now = 1_000_000.0
    ids = {versions.stamp(int((now - age * DAY) * 1e9)) + "-0123abcd" for age in range(5)}
    gone = care.too_old(config, ids, now + 1)
    assert sorted(ids - set(gone)) == sorted(ids)[-left:]


def test_keep_versions_counts_the_archive(tmp_path):
    with Shelf(tmp_path, keep_versions=3) as shelf:
        for one in range(4):
            shelf.put(b"%d" % one)
        shelf.time += 40 * DAY
        shelf.store.tidy()
        assert shelf.places() == ["current", "archive", "archive", "archive"]
        shelf.put(b"new")
        assert shelf.places() == ["current", "versions", "archive", "archive"]
        assert shelf.older() == [b"3", b"2", b"1"]
        shelf.time += 500 * DAY
        shelf.store.tidy()
        assert shelf.places() == ["current"]
        assert shelf.store.counts() == {"files": 1, "versions": 0, "bytes": 3} == on_disk(shelf.config)


def test_a_twin_of_the_current_file_goes(shelf):
    """A crash came between link and rename: who edits the current file must not edit a version."""
    shelf.put(b"one")
    shelf.put(b"two")
    folder = versions.folder_of(shelf.config, NAME)
    os.link(shelf.folder / NAME, folder / "20260601T000000.000000Z-0123abcd")
    os.link(shelf.folder / NAME, shelf.root / "somebody's own link")
    shelf.store.tidy()
    assert shelf.older() == [b"one"]
    assert links(shelf.folder / NAME) == 2 and (shelf.root / "somebody's own link").exists()
    assert shelf.store.counts() == on_disk(shelf.config)


def test_half_written_files_everywhere(shelf):
    shelf.put(b"one")
    shelf.put(b"two")
    shelf.time += 40 * DAY
    shelf.store.tidy()
    places = (shelf.folder, versions.folder_of(shelf.config, NAME),
              versions.archive_of(shelf.config) / "2026-05")  # fmt: skip
    for place in places:
        (place / ".x.0123abcd.part").write_bytes(b"half")
        os.utime(place / ".x.0123abcd.part", (1, 1))
    draft = shelf.store.draft(Kept("5", "4620"), Origin())
    draft.write(bytes(200_000))
    shelf.store.open()
    shelf.store.tidy()
    assert [os.path.basename(path)[:16] for path in shelf.parts()] == [".5_4620data.txt."]
    draft.abort()


def test_the_thread_begins_and_ends(shelf):
    """One round at the start, one after a reload, and no wait at the end."""
    shelf.put(b"one")
    rounds = threading.Semaphore(0)
    real = Ledger.scan

    class Counted(Ledger):
        def scan(self, stop=lambda: False):
            done = real(self, stop)
            rounds.release()
            return done

    lanes = Lanes(1, "test", lambda fault: None)
    told = []
    watched = care.Care(lanes, lambda *one: told.append(one), lambda: shelf.time, 0.0)
    ledger = Counted(shelf.config)
    watched.round()  # nothing to care for yet
    watched.configure(shelf.config, ledger)
    watched.start()
    assert rounds.acquire(timeout=30)
    watched.configure(shelf.config, ledger)
    assert rounds.acquire(timeout=30)
    watched.stop()
    lanes.close()
    assert ledger.counts()["files"] == 1 and told == []


def test_a_fault_of_the_care_is_told_and_it_goes_on(shelf):
    class Broken(Ledger):
        def scan(self, stop=lambda: False):
            raise RuntimeError("no luck")

    told, came = [], threading.Event()

    def say(*one):
        told.append(one)
        came.set()

    watched = care.Care(Lanes(1, "test", lambda fault: None), say, lambda: shelf.time, 0.0)
    watched.configure(shelf.config, Broken(shelf.config))
    watched.start()
    assert came.wait(30)
    watched.stop()
    assert told[0][0] == "fault" and "no luck" in told[0][1]


def test_what_cannot_be_removed_is_told(shelf, monkeypatch):
    for one in range(3):
        shelf.put(b"%d" % one)

    def refused(config, ledger, name, ids):
        raise PermissionError(13, "Permission denied", "/x")

    monkeypatch.setattr(care, "discard", refused)
    shelf.time += 4000 * DAY
    shelf.store.tidy()
    (told,) = shelf.notices("userdata-care")
    assert told.text == "/x: Permission denied"
