"""The store: what is kept, what is refused, what is told; against a plain model of it."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.contents import Contents
from mv_iptel.library.roots import Roots
from mv_iptel.userdata import history, versions
from mv_iptel.userdata.store import SPILL, Origin, Stored, shrank
from tests.userdata.shelf import DAY, NAME, Shelf, answer, kept, links, on_disk

OTHER = "1234_96xxdata.txt"


@pytest.fixture
def shelf(tmp_path):
    with Shelf(tmp_path) as one:
        yield one


def test_a_first_store(shelf):
    stored = shelf.put(b"ABKNAME001=Anna\n")
    assert isinstance(stored, Stored)
    assert (stored.name, stored.size, stored.created, stored.same, stored.removed) == (
        NAME, 16, True, False, False)  # fmt: skip
    assert shelf.current() == b"ABKNAME001=Anna\n"
    assert stored.file == str(shelf.folder / NAME)
    assert stat.S_IMODE(os.stat(stored.file).st_mode) == 0o640
    assert shelf.older() == []


@pytest.mark.parametrize("size", [0, 1, SPILL, SPILL + 1, 300_000])
def test_every_octet_comes_back(shelf, size):
    data = os.urandom(size)
    shelf.put(b"before")
    stored = shelf.put(data)
    assert (shelf.current(), stored.size, shelf.older()) == (data, size, [b"before"])
    assert shelf.parts() == []


def test_a_change_keeps_the_old_content_and_its_time(shelf):
    shelf.put(b"one")
    at = os.stat(shelf.folder / NAME).st_mtime
    stored = shelf.put(b"two")
    assert not stored.created and not stored.same
    current, old = versions.of(shelf.config, NAME)
    assert (current.sha8, old.sha8) == (stored.sha256[:8], old.id[-8:])
    assert old.time == at
    assert links(shelf.folder / NAME) == 1  # one content, one inode: nobody edits a version in place


def test_the_same_content_is_no_new_version(shelf):
    first = shelf.put(b"one")
    pinned = []
    draft = shelf.store.draft(kept(NAME), Origin(address="192.0.2.1"))
    draft.write(b"one")
    draft.also = lambda: pinned.append(True)
    again = answer(draft)
    assert again == first._replace(created=False, same=True)
    assert pinned == [True]  # the phone's password is remembered all the same
    assert shelf.older() == [] and shelf.parts() == []
    assert len(versions.changes(shelf.config, NAME)) == 1


def test_two_changes_in_one_tick_have_two_times(shelf):
    tags = {shelf.put(bytes((65 + one,)), later=0).etag for one in range(10)}
    assert len(tags) == 10
    assert shelf.older() == [bytes((65 + one,)) for one in range(8, -1, -1)]


def test_the_etag_is_that_of_the_body(shelf):
    stored = shelf.put(b"one")
    found = Roots([shelf.folder], [], Contents()).open(shelf.folder, NAME)
    with found.body as body:
        assert body.etag == stored.etag


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ("*", True), ('"{etag}"', True), ('"0000000000", "{etag}"', True), ('"0000000000"', False),
        ('W/"{etag}"', False), ("{etag}", False), ('"', False), ('""', False), ("\x00" * 5000, False),
    ],
)  # fmt: skip
def test_if_match(shelf, match, fits):
    etag = shelf.put(b"one").etag
    outcome = shelf.put(b"two", match=match.format(etag=etag))
    assert (isinstance(outcome, Stored), shelf.current()) == (fits, b"two" if fits else b"one")
    if not fits:
        assert outcome.reason is Reason.CHANGED
    assert shelf.parts() == []


def test_if_match_wants_a_file(shelf):
    assert shelf.put(b"one", match="*").reason is Reason.CHANGED
    assert shelf.current() is None


def test_if_match_is_asked_again_at_the_commit(shelf):
    etag = shelf.put(b"one").etag
    late = shelf.store.draft(kept(NAME), Origin(), f'"{etag}"')
    late.write(b"late")
    shelf.put(b"two")
    assert answer(late).reason is Reason.CHANGED
    gone = shelf.store.removal(kept(NAME), Origin(), "*")
    shelf.remove()
    assert answer(gone).reason is Reason.CHANGED
    assert shelf.older() == [b"two", b"one"]


def test_a_removal_keeps_the_versions(shelf):
    assert shelf.remove().reason is Reason.NO_FILE
    shelf.put(b"one")
    shelf.put(b"two")
    stored = shelf.remove()
    assert (stored.removed, stored.etag, stored.size) == (True, "", 0)
    assert shelf.current() is None
    assert shelf.older() == [b"two", b"one"]
    assert shelf.put(b"three").created
    assert shelf.older() == [b"two", b"one"]


def test_too_big(tmp_path):
    with Shelf(tmp_path, max_backup_bytes=100) as shelf:
        shelf.put(b"a" * 100)
        assert shelf.put(b"b" * 101).reason is Reason.TOO_BIG
        draft = shelf.store.draft(kept(NAME), Origin())
        assert draft.write(b"c" * 100) is None
        assert draft.write(b"c").reason is Reason.TOO_BIG
        assert answer(draft).reason is Reason.TOO_BIG  # what was refused is never kept by half
        assert shelf.current() == b"a" * 100 and shelf.parts() == []


def test_aborted_drafts_leave_nothing(shelf):
    for size in (0, 10, 3 * SPILL):
        draft = shelf.store.draft(kept(NAME), Origin())
        draft.write(bytes(size))
        draft.abort()
        draft.abort()
        assert draft.write(b"x").reason is Reason.FAULT
        assert answer(draft).reason is Reason.FAULT
    assert not shelf.folder.exists() or os.listdir(shelf.folder) == []


def test_a_closed_store_keeps_nothing(shelf):
    draft = shelf.store.draft(kept(NAME), Origin())
    draft.write(bytes(3 * SPILL))
    shelf.store.close()
    assert answer(draft).reason is Reason.FAULT
    assert shelf.current() is None and shelf.parts() == []


def test_also_decides(shelf):
    shelf.put(b"one")
    seen = []

    def secret() -> None:
        seen.append((shelf.current(), len(shelf.parts())))
        raise ValueError("the password is 4711")

    draft = shelf.store.draft(kept(NAME), Origin())
    draft.write(b"two")
    draft.also = secret
    refuse = answer(draft)
    assert refuse.reason is Reason.FAULT and "4711" not in repr(refuse)
    assert seen == [(b"one", 1)]  # the new content is written aside by then, and the old one still there
    assert (shelf.current(), shelf.older(), shelf.parts()) == (b"one", [], [])


@pytest.mark.parametrize("what", ["link", "dangling", "folder", "fifo"])
def test_what_is_no_file_is_never_followed(shelf, tmp_path, what):
    shelf.folder.mkdir(parents=True)
    outside, path = tmp_path / "outside.txt", shelf.folder / NAME
    outside.write_bytes(b"precious")
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(outside if what == "link" else tmp_path / "nothing")
    refuse = shelf.put(b"new")
    assert refuse.reason is Reason.FAULT and str(path) in refuse.detail and "not a file" in refuse.detail
    assert shelf.remove().reason is Reason.FAULT
    assert outside.read_bytes() == b"precious" and not (tmp_path / "nothing").exists()
    assert versions.of(shelf.config, NAME) == [] and shelf.parts() == []


def test_it_may_become_a_link_before_the_commit(shelf, tmp_path):
    draft = shelf.store.draft(kept(NAME), Origin())
    draft.write(b"new")
    shelf.folder.mkdir(parents=True)
    (shelf.folder / NAME).symlink_to(tmp_path / "nothing")
    assert answer(draft).reason is Reason.FAULT
    assert not (tmp_path / "nothing").exists() and shelf.parts() == []


def test_a_fault_names_path_and_error(shelf):
    shelf.folder.parent.mkdir(parents=True)
    shelf.folder.write_bytes(b"a file where the folder should be")
    refuse = shelf.put(b"one")
    assert refuse.reason is Reason.FAULT
    assert str(shelf.folder) in refuse.detail and "Not a directory" in refuse.detail


def test_fifty_at_once(shelf):
    """Several names at once; one at a time for each, and nothing that was acknowledged is missing."""
    names = [f"{ext}_{cls}data.txt" for ext in range(5) for cls in ("4620", "96xx")]
    shelf.config = replace(shelf.config, settings=replace(shelf.config.settings, keep_versions=100))
    shelf.store.configure(shelf.config)
    outcomes, ended = [], threading.Semaphore(0)
    sent: dict[str, list[bytes]] = {name: [] for name in names}
    for turn in range(50):
        name = names[turn % len(names)]
        data = f"{name} {turn}\n".encode() * 50
        draft = shelf.store.draft(kept(name), Origin())
        draft.write(data)
        sent[name].append(data)
        draft.commit(lambda outcome: (outcomes.append(outcome), ended.release()))
    for _ in range(50):
        assert ended.acquire(timeout=60)
    assert all(isinstance(one, Stored) for one in outcomes)
    for name in names:
        assert [shelf.current(name), *shelf.older(name)] == sent[name][::-1]
    assert shelf.parts() == []
    assert shelf.store.counts() == on_disk(shelf.config)


def test_listeners_hear_of_changes_only(shelf):
    heard = []
    shelf.store.listeners += [lambda *_: 1 // 0, lambda stored, origin: heard.append((stored, origin))]
    origin = Origin("192.0.2.1", how="snmp")
    stored = shelf.put(b"one", origin=origin)
    shelf.put(b"one")
    shelf.put(b"two", match='"no"')
    removed = shelf.remove()
    shelf.store.close()
    assert heard == [(stored, origin), (removed, Origin(how="none"))]
    assert {one.kind for one in shelf.notices()} == {"fault"}  # of the listener that fails; the others hear


def test_done_that_fails_harms_nobody(shelf):
    draft = shelf.store.draft(kept(NAME), Origin())
    draft.write(b"one")
    draft.commit(lambda outcome: 1 // 0)
    assert shelf.put(b"two").size == 3
    assert shelf.older() == [b"one"]


def test_history(shelf):
    origin = Origin("192.0.2.1", "00040d4a0001", "4621SW", "ftp", "snmp")
    first = shelf.put(b"one", origin=origin)
    shelf.remove()
    told = versions.changes(shelf.config, NAME)
    assert [one.op for one in told] == ["store", "delete"]
    assert told[0] == history.Change(
        told[0].time, "store", first.sha256[:8], 3, "192.0.2.1", "00040d4a0001", "4621SW", "ftp", "snmp"
    )


SHRINKS = [
    (0, 0, False), (1, 0, True), (199, 1, False), (200, 20, False), (200, 19, True), (5000, 500, False),
    (5000, 499, True), (5000, 0, True), (-1, 0, False), (500, 5000, False),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "suspicious"), SHRINKS)
def test_what_shrinks(tmp_path, old, new, suspicious):
    assert shrank(old, new) is suspicious
    with Shelf(tmp_path) as shelf:
        if old >= 0:
            shelf.put(b"a" * old)
        shelf.put(b"b" * new, origin=Origin("192.0.2.7", how="snmp"))
        told = shelf.notices("userdata-shrunk")
        assert bool(told) is suspicious
        if told:
            assert (told[0].peer, told[0].level) == ("192.0.2.7", "warning") and NAME in told[0].text


@pytest.mark.parametrize(
    ("how", "level"),
    [("snmp", "info"), ("pin", "info"), ("basic", "info"), ("snmp-guess", "warning"), ("none", "warning")],
)
def test_what_moves(shelf, how, level):
    shelf.put(b"one", origin=Origin("192.0.2.1", how="snmp"))
    shelf.put(b"two", origin=Origin("192.0.2.1", how=how))
    shelf.put(b"three", origin=Origin("192.0.2.99", how="restore"))  # the administrator is nobody's phone
    assert shelf.notices("userdata-moved") == []
    shelf.put(b"four", origin=Origin("192.0.2.2", how=how))
    (told,) = shelf.notices("userdata-moved")
    assert (told.level, told.peer) == (level, "192.0.2.2") and "192.0.2.1" in told.text


def test_keep_versions(tmp_path):
    with Shelf(tmp_path, keep_versions=3) as shelf:
        for one in range(6):
            shelf.put(str(one).encode())
        assert shelf.current() == b"5"
        assert shelf.older() == [b"4", b"3", b"2"]
        assert shelf.store.counts() == {"files": 1, "versions": 3, "bytes": 4}


def test_keep_days(tmp_path):
    with Shelf(tmp_path, keep_days=10, archive=False) as shelf:
        for data in (b"one", b"two", b"three"):
            shelf.put(data, later=4 * DAY)
        shelf.put(b"four", later=4 * DAY)
        assert shelf.older() == [b"three", b"two"]
        shelf.time += 300 * DAY
        shelf.store.tidy()
        assert (shelf.current(), shelf.older()) == (b"four", [])  # the current one never goes


def test_a_reload_moves_the_folder(shelf, tmp_path):
    shelf.put(b"one")
    elsewhere = tmp_path / "elsewhere" / "deep"
    shelf.store.configure(
        replace(shelf.config, http=replace(shelf.config.http, backup_dir=elsewhere, max_backup_bytes=10))
    )
    assert shelf.put(b"two").created
    assert (elsewhere / NAME).read_bytes() == b"two" and shelf.current() == b"one"
    assert shelf.put(bytes(11)).reason is Reason.TOO_BIG


def test_nothing_is_made_before_it_is_needed(tmp_path):
    with Shelf(tmp_path) as shelf:
        shelf.store.open()
        shelf.store.tidy()
        assert shelf.store.counts() == {"files": 0, "versions": 0, "bytes": 0}
        assert shelf.store.removal(kept(NAME), Origin()).reason is Reason.NO_FILE
    assert os.listdir(tmp_path) == []


def test_an_old_tree_moves_in_as_it_is(shelf):
    shelf.folder.mkdir(parents=True)
    (shelf.folder / NAME).write_bytes(b"from the old server")
    (shelf.folder / "46xxupgrade.scr").write_bytes(b"no user data")
    shelf.store.tidy()
    assert shelf.store.counts() == {"files": 1, "versions": 0, "bytes": 19}
    assert not shelf.put(b"new").created
    assert shelf.older() == [b"from the old server"]


class Model(RuleBasedStateMachine):
    """Stores, removals, restores, restarts and days that pass, against lists in memory."""

    names = st.sampled_from([NAME, OTHER, "7_16xxdata.txt"])
    contents = st.sampled_from([b"", b"a", b"b", b"c" * 300, b"d" * (SPILL + 1)])

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.shelf = Shelf(Path(self.folder.name), keep_versions=4, keep_days=90)
        self.now: dict[str, tuple[float, bytes]] = {}
        self.old: dict[str, list[tuple[float, bytes]]] = {}

    def teardown(self):
        if hasattr(self, "shelf"):
            self.shelf.store.close()
            self.folder.cleanup()

    def prune(self, name):
        kept = sorted(self.old.get(name, []), reverse=True)[:4]
        self.old[name] = [one for one in kept if one[0] >= self.shelf.time - 90 * DAY]

    def changed(self, name, data):
        if name in self.now:
            self.old.setdefault(name, []).append(self.now.pop(name))
        if data is not None:
            self.now[name] = (self.shelf.time, data)
        self.prune(name)

    @rule(name=names, data=contents)
    def store(self, name, data):
        before = self.now.get(name)
        stored = self.shelf.put(data, name)
        assert stored.same == (before is not None and before[1] == data)
        assert stored.created == (before is None)
        if not stored.same:
            self.changed(name, data)

    @rule(name=names)
    def remove(self, name):
        outcome = self.shelf.remove(name)
        assert isinstance(outcome, Refuse) == (name not in self.now)
        if name in self.now:
            self.changed(name, None)

    @rule(name=names, which=st.integers(0, 4))
    def restore(self, name, which):
        found = versions.of(self.shelf.config, name)
        if not found:
            return
        one = found[which % len(found)]
        data = versions.read(self.shelf.config, name, one.id)
        self.shelf.time += 1.0
        stored = versions.restore(self.shelf.config, name, one.id, now=lambda: self.shelf.time)
        if not stored.same:
            self.changed(name, data)
        self.shelf.store.tidy()  # it was another process: the daily care, or /control/refresh, counts anew
        for each in list(self.old):
            self.prune(each)

    @rule(days=st.integers(1, 40))
    def wait(self, days):
        self.shelf.time += days * DAY
        self.shelf.store.tidy()
        for name in list(self.old):
            self.prune(name)
        month = versions.stamp(int(self.shelf.time * 1e9))[:6]
        for held in versions.listing(self.shelf.config):
            for one in versions.of(self.shelf.config, held.name)[held.current is not None :]:
                assert one.place == ("archive" if one.id[:6] < month else "versions")

    @rule()
    def restart(self):
        self.shelf.store.close()
        self.shelf.store = self.shelf.another()

    @invariant()
    def as_the_model(self):
        if not hasattr(self, "shelf"):
            return
        for name in (NAME, OTHER, "7_16xxdata.txt"):
            assert self.shelf.current(name) == self.now.get(name, (0, None))[1]
            model = [data for _, data in sorted(self.old.get(name, []), reverse=True)]
            assert self.shelf.older(name) == model
        assert self.shelf.parts() == []


class Counting(Model):
    """The same, and the count in memory is that of the disk; a restart counts anew."""

    @rule()
    def restart(self):
        super().restart()
        self.shelf.store.tidy()
        for name in list(self.old):
            self.prune(name)

    @invariant()
    def counts_are_right(self):
        if hasattr(self, "shelf"):
            assert self.shelf.store.counts() == on_disk(self.shelf.config)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
