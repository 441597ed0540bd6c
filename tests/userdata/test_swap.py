"""The change of a current file: killed at every step, with a disk that fails at every step, and the order."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mv_iptel.library.answers import Reason
from mv_iptel.userdata import versions
from mv_iptel.userdata.disk import Aside, locked
from mv_iptel.userdata.names import Kept
from mv_iptel.userdata.store import Origin, Stored
from mv_iptel.userdata.swap import Change, Places, Swapped, swap, unmet
from tests.userdata.shelf import DAY, NAME, Shelf, answer, kept, links, on_disk
from tests.userdata.steps import ONE, THREE, TWO

ROOT = Path(__file__).resolve().parents[2]

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")


def stepped(scenario: str, fault: str, folder: Path) -> list[dict]:
    """One entry for each step at which the scenario was broken off; the last one came to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.userdata.steps", scenario, fault, str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# scenario: what may be current if it was broken off, what is when it was acknowledged, what was there before
CHANGES = {
    "first": ([None, THREE], THREE, []),
    "replace": ([TWO, THREE], THREE, [TWO, ONE]),
    "remove": ([TWO, None], None, [TWO, ONE]),
    "prune": ([TWO, THREE], THREE, [TWO]),  # KeepVersions=1
    "restore": ([TWO, ONE], ONE, [TWO, ONE]),
}


@posix
@pytest.mark.parametrize("scenario", CHANGES)
def test_a_kill_at_every_step(tmp_path, scenario):
    """Old or new, whole; what was acknowledged is there; nothing that was kept before is lost."""
    may, new, before = CHANGES[scenario]
    steps = stepped(scenario, "kill", tmp_path)
    assert len(steps) > 10
    assert {step["status"] for step in steps[:-1]} == {-9}
    for step in steps:
        with Shelf(tmp_path / f"{step['at']:03}", keep_versions=1 if scenario == "prune" else 20) as shelf:
            shelf.time += 3600
            shelf.store.open()
            assert shelf.parts() == [], step
            current = shelf.current()
            assert current == new if step["said"] else current in may, step
            shelf.store.tidy()
            assert not (shelf.folder / NAME).exists() or links(shelf.folder / NAME) == 1, step
            kept_now = [current, *shelf.older()]
            assert all(data in kept_now for data in before), step
            assert len(shelf.older()) == len(set(shelf.older())), step
            assert shelf.store.counts() == on_disk(shelf.config)
            # and it goes on from there
            assert isinstance(shelf.put(b"next"), Stored), step
            assert shelf.current() == b"next" and (current is None or shelf.older()[0] == current), step
    assert {bool(step["said"]) for step in steps} == {False, True}


@posix
@pytest.mark.parametrize("fault", ["ENOSPC", "EDQUOT", "EFBIG", "EIO"])
@pytest.mark.parametrize("scenario", ["replace", "remove", "first"])
def test_a_disk_that_fails_at_every_step(tmp_path, scenario, fault):
    """Refused with a reason, no rest of it on the disk, the old content intact; or done after all."""
    may, new, before = CHANGES[scenario]
    wanted = "fault" if fault == "EIO" else "disk-full"
    steps = stepped(scenario, fault, tmp_path)
    for step in steps:
        assert step["status"] == 0
        with Shelf(tmp_path / f"{step['at']:03}") as shelf:
            shelf.time += 3600
            outcome = step["said"][0]
            assert outcome in ("done", f"refused {wanted}"), step
            assert shelf.parts() == [], step
            assert shelf.current() == new if outcome == "done" else shelf.current() in may, step
            if shelf.current() == TWO:
                assert shelf.older() == [ONE], step  # what was prepared is taken back
            assert all(data in [shelf.current(), *shelf.older()] for data in before), step
            assert isinstance(shelf.put(b"next"), Stored), step
    assert {step["said"][0] for step in steps} == {"done", f"refused {wanted}"}


@pytest.fixture
def shelf(tmp_path):
    with Shelf(tmp_path) as one:
        yield one


@posix
@pytest.mark.parametrize("ours", [True, False])
def test_the_order_of_the_steps(shelf, monkeypatch, ours):
    """File synced, old one linked and synced, then what the library remembers, the rename, the sync, done."""
    shelf.put(ONE)
    shelf.put(TWO)
    if not ours:
        (shelf.folder / NAME).write_bytes(b"by hand")
    told, names = [], {}
    real_open = os.open

    def opened(path, *args, **keys):
        fd = real_open(path, *args, **keys)
        names[fd] = os.path.basename(path)
        return fd

    def spy(name, say):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, **keys: (told.append(say(*args)), real(*args, **keys))[1])

    monkeypatch.setattr(os, "open", opened)
    spy("fsync", lambda fd: "sync " + ("part" if names[fd].endswith(".part") else names[fd]))
    spy("link", lambda *_: "link")
    spy("replace", lambda *_: "rename")
    draft = shelf.store.draft(kept(NAME), Origin())
    draft.write(THREE)
    draft.also = lambda: told.append("also")
    draft.commit(lambda outcome: told.append("done"))
    shelf.store.close()
    # a fresh file of somebody else's making may not be on the disk yet
    assert told == [f"sync {NAME}"] * (not ours) + [
        "sync part", "link", f"sync {NAME}", "also", "rename", f"sync {shelf.folder.name}", "done"
    ]  # fmt: skip
    assert shelf.older() == [TWO if ours else b"by hand", ONE]


def test_an_edit_in_place_is_seen(shelf):
    """What this process has put there is known by its key; the same size and time do not deceive it."""
    shelf.put(b"one")
    found = os.stat(shelf.folder / NAME)
    (shelf.folder / NAME).write_bytes(b"eno")
    os.utime(shelf.folder / NAME, ns=(found.st_mtime_ns, found.st_mtime_ns))
    while os.stat(shelf.folder / NAME).st_ctime_ns == found.st_ctime_ns:  # the kernel's clock ticks coarsely
        os.utime(shelf.folder / NAME, ns=(found.st_mtime_ns, found.st_mtime_ns))
    assert not shelf.put(b"one").same
    assert (shelf.current(), shelf.older()) == (b"one", [b"eno"])


def test_another_file_system_gets_a_copy(shelf, monkeypatch):
    """Where no hard link can be made, the version is a synced copy with the time of its content."""

    def refused(*_args, **_keys):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refused)
    shelf.put(ONE)
    at = os.stat(shelf.folder / NAME).st_mtime_ns
    shelf.put(TWO)
    (version,) = versions.kept_in(versions.folder_of(shelf.config, NAME))
    path = versions.folder_of(shelf.config, NAME) / version
    assert (path.read_bytes(), os.stat(path).st_mtime_ns, shelf.parts()) == (ONE, at, [])


def test_a_version_in_the_way(shelf):
    """The same stamp and hash with other octets is somebody's doing; it is not overwritten."""
    shelf.put(ONE)
    shelf.put(TWO)
    (version,) = versions.kept_in(folder := versions.folder_of(shelf.config, NAME))
    path = folder / version
    os.rename(path, shelf.folder / NAME)  # ONE is current again, with its time
    path.write_bytes(b"something else")
    shelf.put(THREE)
    assert path.read_bytes() == b"something else"
    assert ONE in shelf.older()


def test_a_file_that_changes_meanwhile_is_kept_too(shelf):
    """Another process replaces the file after our look: its content becomes a version, none is lost."""
    shelf.put(ONE)
    draft = shelf.store.draft(kept(NAME), Origin())
    draft.write(THREE)

    def other() -> None:
        shelf.time += 1
        found = [one.id for one in versions.of(shelf.config, NAME)]
        assert len(found) == 2  # the current one and the link that was just made
        aside = shelf.folder / ".by-hand"
        aside.write_bytes(TWO)
        os.replace(aside, shelf.folder / NAME)

    draft.also = other
    assert isinstance(answer(draft), Stored)
    assert shelf.current() == THREE
    assert TWO in shelf.older()


def test_a_version_that_another_process_took_back(shelf):
    """Two prepared for the same content, and one gave up: the other does not rely on what is gone."""
    shelf.put(ONE)
    draft = shelf.store.draft(kept(NAME), Origin())
    draft.write(TWO)

    def other() -> None:
        folder = versions.folder_of(shelf.config, NAME)
        for one in versions.kept_in(folder):
            (folder / one).unlink()

    draft.also = other
    assert isinstance(answer(draft), Stored)
    assert (shelf.current(), shelf.older()) == (TWO, [ONE])


def test_a_file_that_never_rests(shelf):
    """Given up with a reason, and nothing is left over."""
    shelf.put(ONE)
    turns = iter(range(1000))

    class Restless:
        """Somebody who holds the lock file's place and edits whenever it is asked for."""

        def __fspath__(self) -> str:
            (shelf.folder / NAME).write_bytes(b"edit %d" % next(turns))
            return os.fspath(shelf.config.home.lock)

    aside = Aside(shelf.folder / NAME)
    aside.write(b"new")
    places = Places(shelf.folder / NAME, versions.folder_of(shelf.config, NAME), Restless())
    change = Change(places, aside, "0" * 64)
    swap([change], lambda: shelf.time)
    refuse = change.outcome
    assert refuse.reason is Reason.FAULT and "keeps changing" in refuse.detail
    assert shelf.older() == [] and shelf.parts() == []


RESTORES = """
import sys
from pathlib import Path
from mv_iptel.userdata import versions
from tests.userdata.shelf import NAME, Shelf

config = Shelf(Path(sys.argv[1]), keep_versions=1000).config
print("ready", flush=True)
for one in range(30):
    oldest = versions.of(config, NAME)[-1]
    print(type(versions.restore(config, NAME, oldest.id, now=lambda: oldest.time)).__name__)
"""


def test_a_restore_beside_a_running_server(tmp_path):
    """Stores and restores of two processes at once: every content that was ever current is kept."""
    with Shelf(tmp_path, keep_versions=1000) as server:
        sent = [b"%d" % one * 100 for one in range(60)]
        for data in sent[:5]:
            server.put(data)
        command = [sys.executable, "-c", RESTORES, str(server.root)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout.readline() == "ready\n"
            for data in sent[5:]:
                assert isinstance(server.put(data, later=0), Stored)
            assert other.stdout.read().split() == ["Stored"] * 30
        assert set(sent) == {server.current(), *server.older()}
        assert server.parts() == []
        told = versions.changes(server.config, NAME)
        assert {one.op for one in told} == {"store", "restore"}


def test_the_lock_is_waited_for(shelf):
    shelf.put(ONE)
    draft = shelf.store.draft(kept(NAME), Origin())
    draft.write(TWO)
    ended = threading.Event()
    prepared = threading.Event()
    draft.also = prepared.set
    with locked(shelf.config.home.lock):
        draft.commit(lambda outcome: ended.set())
        assert prepared.wait(30) and shelf.current() == ONE and not ended.is_set()
    assert ended.wait(30) and shelf.current() == TWO


def test_the_future_does_not_draw_on(shelf):
    """A file dated years ahead is kept, and the next one has today's date."""
    shelf.put(ONE)
    at = shelf.time + 3650 * DAY
    os.utime(shelf.folder / NAME, (at, at))
    shelf.put(TWO)
    assert os.stat(shelf.folder / NAME).st_mtime == shelf.time
    assert shelf.older() == [ONE]


def test_unmet_is_bounded():
    refuse = unmet('"x"' * 10_000, Kept("1", "4620").file, None)
    assert refuse.reason is Reason.CHANGED and len(refuse.detail) < 200


def test_many_at_once_and_each_has_its_own_outcome(shelf):
    """One is refused, one is the same, one changes under our hands: nobody suffers for another."""
    names = [f"{extension}_4620data.txt" for extension in (1, 2, 3, 4)]
    for name in names[1:]:
        shelf.put(ONE, name)
    changes = []
    for name, data, match in zip(names, (TWO, TWO, ONE, TWO), ("", '"other"', "", ""), strict=True):
        aside = Aside(shelf.folder / name)
        aside.write(data)
        places = Places(shelf.folder / name, versions.folder_of(shelf.config, name), shelf.config.home.lock)
        changes.append(Change(places, aside, hashlib.sha256(data).hexdigest(), match))

    def edited() -> None:
        aside = shelf.folder / ".by-hand"
        aside.write_bytes(THREE)
        os.replace(aside, shelf.folder / names[3])

    changes[3].also = edited
    swap(changes, lambda: shelf.time + 1)
    new, refused, same, late = (one.outcome for one in changes)
    assert (new.old, new.same) == (None, False) and same.same and same.old == same.new
    assert refused.reason is Reason.CHANGED and isinstance(late, Swapped)
    assert [shelf.current(name) for name in names] == [TWO, ONE, ONE, TWO]
    assert shelf.older(names[1]) == shelf.older(names[2]) == [] and THREE in shelf.older(names[3])
    assert shelf.parts() == []
