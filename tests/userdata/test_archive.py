"""The archive: by month, read back before anything is removed, and interrupted at every step."""

from __future__ import annotations

import gzip
import os

import pytest

from mv_iptel.userdata import archive, versions
from tests.userdata.shelf import DAY, NAME, Shelf
from tests.userdata.steps import ONE, THREE, TWO
from tests.userdata.test_swap import posix, stepped


@pytest.fixture
def shelf(tmp_path):
    with Shelf(tmp_path) as one:
        for data in (ONE, TWO, THREE):
            one.put(data)
        yield one


def members(shelf):
    folder = versions.archive_of(shelf.config)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_what_is_older_than_this_month(shelf):
    shelf.store.tidy()
    assert shelf.places() == ["current", "versions", "versions"] and members(shelf) == []
    shelf.time += 10 * DAY  # June
    shelf.store.tidy()
    assert shelf.places() == ["current", "archive", "archive"]
    assert [name[:25] for name in members(shelf)] == [f"2026-05/{NAME}"] * 2
    assert shelf.older() == [TWO, ONE]
    assert (shelf.folder / NAME).exists()  # the current one stays where it is, however old
    assert shelf.store.counts()["versions"] == 2


def test_each_month_by_itself(shelf):
    for data in (b"june", b"july", b"august"):
        shelf.put(data, later=31 * DAY)
    shelf.store.tidy()
    assert [name[:7] for name in members(shelf)] == ["2026-05"] * 3 + ["2026-06", "2026-07"]
    assert shelf.older() == [b"july", b"june", THREE, TWO, ONE]


def test_archive_off(tmp_path):
    with Shelf(tmp_path, archive=False) as shelf:
        shelf.put(ONE)
        shelf.put(TWO)
        shelf.time += 40 * DAY
        shelf.store.tidy()
        assert shelf.places() == ["current", "versions"]


def test_a_member_is_plain_gzip_and_always_the_same(shelf):
    shelf.time += 40 * DAY
    two = versions.of(shelf.config, NAME)[1]
    shelf.store.tidy()
    path = versions.member_of(shelf.config, NAME, two.id)
    first = path.read_bytes()
    assert gzip.decompress(first) == TWO
    assert first[4:8] == bytes(4) and not first[3] & 8  # no time, no name
    assert os.stat(path).st_mtime == two.time
    folder = versions.folder_of(shelf.config, NAME)
    (folder / two.id).write_bytes(TWO)
    path.unlink()
    shelf.store.tidy()
    assert path.read_bytes() == first


@posix
def test_a_kill_at_every_step(tmp_path):
    """Nothing is lost wherever it is broken off, and the next run finishes it."""
    steps = stepped("archive", "kill", tmp_path)
    assert len(steps) > 20
    for step in steps:
        with Shelf(tmp_path / f"{step['at']:03}") as shelf:
            shelf.time += 41 * DAY
            assert [shelf.current(), *shelf.older()] == [THREE, TWO, ONE], step
            shelf.store.open()
            shelf.store.tidy()
            assert shelf.places() == ["current", "archive", "archive"], step
            assert [shelf.current(), *shelf.older()] == [THREE, TWO, ONE], step
            assert shelf.parts() == [] and len(members(shelf)) == 2, step


@posix
@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
def test_a_disk_that_fails_at_every_step(tmp_path, fault):
    steps = stepped("archive", fault, tmp_path)
    assert {step["said"][0] for step in steps} == {"done", "refused"}
    for step in steps:
        with Shelf(tmp_path / f"{step['at']:03}") as shelf:
            shelf.time += 41 * DAY
            assert [shelf.current(), *shelf.older()] == [THREE, TWO, ONE], step
            assert shelf.parts() == []
            shelf.store.tidy()
            assert shelf.places() == ["current", "archive", "archive"], step


@pytest.mark.parametrize("what", ["cut", "other", "no gzip", "empty", "folder"])
def test_a_bad_member_is_not_believed(shelf, what):
    """What lies in the archive under the version's name is read before the version goes."""
    shelf.time += 40 * DAY
    two = versions.of(shelf.config, NAME)[1]
    path = versions.member_of(shelf.config, NAME, two.id)
    path.parent.mkdir(parents=True)
    good = gzip.compress(TWO)
    if what == "folder":
        path.mkdir()
    else:
        path.write_bytes(
            {"cut": good[:-9], "other": gzip.compress(ONE), "no gzip": b"x" * 50, "empty": b""}[what]
        )
    shelf.store.tidy()
    assert versions.kept_in(versions.folder_of(shelf.config, NAME)).keys() == (
        {two.id} if what == "folder" else set()
    )
    assert shelf.older() == [TWO, ONE]
    assert bool(shelf.notices("userdata-archive")) is (what == "folder")


def test_a_disk_that_gives_back_something_else(shelf, monkeypatch):
    """A member that does not read back as it was written is thrown away, and the version stays."""
    real = os.fsync

    def rotten(fd):
        real(fd)
        path = os.readlink(f"/proc/self/fd/{fd}")
        if path.endswith(".part"):
            os.pwrite(fd, b"rot", os.fstat(fd).st_size - 6)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", rotten)
    shelf.time += 40 * DAY
    shelf.store.tidy()
    assert shelf.places() == ["current", "versions", "versions"]
    assert members(shelf) == [] and len(shelf.notices("userdata-archive")) == 2
    monkeypatch.undo()
    shelf.store.tidy()
    assert shelf.places() == ["current", "archive", "archive"] and shelf.older() == [TWO, ONE]


def test_a_version_that_was_changed_stays_and_is_told(shelf):
    """Its name says another hash: packing it would make the damage look like a good copy."""
    shelf.time += 40 * DAY
    two = versions.of(shelf.config, NAME)[1]
    with open(two.path, "wb") as file:
        file.write(b"edited")
    shelf.store.tidy()
    assert shelf.places() == ["current", "versions", "archive"]
    (told,) = shelf.notices("userdata-archive")
    assert two.path in told.text
    shelf.store.tidy()
    assert len(shelf.notices("userdata-archive")) == 1  # not again and again


def test_it_stops_when_the_server_does(shelf):
    shelf.time += 40 * DAY
    ids = list(versions.kept_in(versions.folder_of(shelf.config, NAME)))
    assert archive.store(shelf.config, NAME, ids, lambda: True) == archive.Moved({}, [])
    assert members(shelf) == []


def test_what_is_due():
    now = 1_780_000_000.0  # 28 May 2026
    sizes = {f"{day}T000000.000000Z-0123abcd": 1 for day in ("20260501", "20260430", "20251231", "20270101")}
    assert [one[:8] for one in archive.due(sizes, now)] == ["20251231", "20260430"]
