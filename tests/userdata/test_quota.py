"""Quotas: what gives way, what is refused, and a count that is right before it is complete."""

from __future__ import annotations

import pytest

from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.userdata import quota, versions
from mv_iptel.userdata.names import Kept, parse
from mv_iptel.userdata.quota import CLASSES, Ledger
from mv_iptel.userdata.store import SPILL, Origin, Stored
from tests.userdata.shelf import DAY, NAME, Shelf, answer, kept, on_disk

OTHER = "1234_96xxdata.txt"
STRANGER = "99_4620data.txt"


def test_every_name_of_an_extension_is_counted():
    names = {Kept("7", cls, sip).file for cls in CLASSES for sip in (False, True)}
    assert all(parse(name).file == name for name in names) and len(names) == 10


@pytest.fixture(params=["complete", "before the scan"])
def limited(tmp_path, request):
    """`limited(**keys)`: a shelf over the same folder with these limits; counted, or not yet."""
    made = []

    def make(**keys):
        shelf = Shelf(tmp_path, **keys)
        if made:
            shelf.time = made[-1].time + 1
            made[-1].store.close()
        if request.param == "complete":
            shelf.store.tidy()
        made.append(shelf)
        return shelf

    yield make
    for shelf in made:
        shelf.store.close()


def test_the_oldest_versions_give_way(limited):
    shelf = limited(quota_per_extension=1000)
    for one in range(5):
        assert isinstance(shelf.put(bytes((65 + one,)) * 300), Stored)
    assert shelf.older() == [b"D" * 300, b"C" * 300]
    (told,) = shelf.notices("userdata-quota")
    assert "extension 1234" in told.text  # once, though it happened twice


def test_empty_files_without_number_are_refused(limited, monkeypatch):
    """Nothing is weighed where nothing is kept, so names are counted."""
    monkeypatch.setattr("mv_iptel.userdata.quota.NAMES", 2)
    shelf = limited()
    assert all(isinstance(shelf.put(b"", name), Stored) for name in (NAME, OTHER))
    refuse = shelf.put(b"", STRANGER)
    assert refuse.reason is Reason.QUOTA and shelf.current(STRANGER) is None
    assert isinstance(shelf.put(b"as before"), Stored)  # who is known goes on
    assert isinstance(shelf.remove(), Stored)
    assert isinstance(shelf.put(b"again"), Stored)


def test_other_names_of_the_extension_count_and_give_way(limited):
    shelf = limited(quota_per_extension=1000)
    shelf.put(b"a" * 300, OTHER)
    shelf.put(b"b" * 300, OTHER)
    shelf.put(b"c" * 300)
    assert isinstance(shelf.put(b"d" * 400), Stored)
    assert (shelf.older(OTHER), shelf.older()) == ([], [b"c" * 300])
    assert shelf.current(OTHER) == b"b" * 300


def test_only_current_files_refuse(limited):
    shelf = limited(quota_per_extension=1000)
    shelf.put(b"a" * 600, OTHER)
    shelf.put(b"x" * 600, STRANGER)
    shelf.put(b"b" * 400)
    refuse = shelf.put(b"c" * 401)
    assert refuse.reason is Reason.QUOTA and "1001" in refuse.detail
    assert (shelf.current(), shelf.parts()) == (b"b" * 400, [])
    assert isinstance(shelf.put(b"c" * 400), Stored)
    assert shelf.older() == []
    again = limited(quota_per_extension=1000)
    assert again.put(b"d" * 401).reason is Reason.QUOTA
    assert isinstance(again.remove(OTHER), Stored)
    assert isinstance(again.put(b"d" * 600), Stored)


def test_the_archive_gives_way_last(limited):
    shelf = limited()
    noise = [bytes(value * step % 251 for value in range(400)) for step in (1, 3, 7, 11)]
    shelf.put(noise[0])
    shelf.put(noise[1])
    shelf.time += 40 * DAY
    shelf.store.tidy()
    assert shelf.places() == ["current", "archive"]
    member = versions.of(shelf.config, NAME)[1].octets
    shelf = limited(quota_per_extension=2 * 400 + member + 300)
    shelf.put(noise[2], later=41 * DAY)
    assert shelf.places() == ["current", "versions", "archive"]
    shelf.put(noise[3])
    assert shelf.older() == [noise[2], noise[0]]
    shelf = limited(quota_per_extension=400 + member)
    shelf.put(b"e" * 400, later=42 * DAY)
    assert shelf.older() == [noise[0]]
    shelf = limited(quota_per_extension=400)
    shelf.put(b"f" * 400, later=43 * DAY)
    assert (shelf.current(), shelf.older()) == (b"f" * 400, [])


def test_a_removal_is_never_refused(limited):
    limited().put(b"a" * 1000)
    shelf = limited(quota_per_extension=10, quota_total=10)
    assert isinstance(shelf.remove(), Stored)
    assert shelf.older() == []  # it had no room as a version


def test_the_total(tmp_path):
    with Shelf(tmp_path, quota_total=1000) as shelf:
        shelf.put(b"x" * 300, STRANGER)
        shelf.put(b"y" * 300, STRANGER)
        assert isinstance(shelf.put(b"a" * 400), Stored)
        refuse = shelf.put(b"b" * 401)
        assert refuse.reason is Reason.QUOTA and "QuotaTotal" in refuse.detail
        assert shelf.current() == b"a" * 400
        # nobody's older contents go for another extension's sake
        assert shelf.older(STRANGER) == [b"x" * 300]
        assert isinstance(shelf.put(b"c" * 300), Stored)
        assert shelf.older() == []
        assert isinstance(shelf.put(b"z" * 300, STRANGER), Stored)
        assert shelf.older(STRANGER) == [b"y" * 300]
        assert shelf.store.counts() == on_disk(shelf.config)
        assert {one.kind for one in shelf.notices()} == {"userdata-quota"}


def test_what_is_coming_counts(tmp_path):
    """Two commits at once do not take the same room."""
    shelf = Shelf(tmp_path, quota_total=1000)
    ledger = Ledger(shelf.config)
    first, second = parse(NAME), parse(STRANGER)
    assert ledger.take(first, 600) is None
    assert ledger.take(second, 600).reason is Reason.QUOTA
    ledger.give_back(600)
    assert ledger.take(second, 600) is None


def test_the_scan_counts_what_is_there(tmp_path):
    with Shelf(tmp_path) as shelf:
        for name in (NAME, OTHER, STRANGER):
            shelf.put(b"a" * 10, name)
            shelf.put(b"b" * 20, name)
        shelf.remove(OTHER)
        shelf.time += 40 * DAY
        shelf.store.tidy()
    with Shelf(tmp_path) as shelf:
        assert shelf.store.counts() == {"files": 0, "versions": 0, "bytes": 0}
        shelf.store.tidy()
        assert shelf.store.counts() == on_disk(shelf.config)
        assert shelf.store.counts()["files"] == 2 and shelf.store.counts()["versions"] == 4
        # another process takes things away; the next round sees it
        (shelf.folder / NAME).unlink()
        for path in versions.archive_of(shelf.config).rglob(f"{STRANGER}*"):
            path.unlink()
        shelf.store.tidy()
        assert shelf.store.counts() == on_disk(shelf.config)


def test_a_change_during_the_scan_is_newer(tmp_path):
    """The scan looked before the change and writes after it: the change's count stays."""
    with Shelf(tmp_path) as shelf:
        shelf.put(b"a" * 10)
        ledger = Ledger(shelf.config)

        def change() -> bool:
            if shelf.current() == b"a" * 10:
                shelf.put(b"b" * 30)
                ledger.count(NAME)
            return False

        assert ledger.scan(change)
        assert ledger.counts() == {"files": 1, "versions": 1, "bytes": 40} == on_disk(shelf.config)
        assert not ledger.scan(lambda: True)


PIECE = b"x" * (SPILL + 1)


def begun(shelf, address, pieces=1):
    """An upload that has not ended: the draft, and what the last piece was told."""
    draft = shelf.store.draft(kept(NAME), Origin(address=address))
    for _ in range(pieces):
        refuse = draft.write(PIECE)
    return draft, refuse


def test_uploads_of_one_address_that_do_not_end(tmp_path, monkeypatch):
    monkeypatch.setattr(quota, "UNDER_WAY_EACH", 3 * len(PIECE))
    with Shelf(tmp_path, max_backup_bytes=2 * len(PIECE)) as shelf:
        uploads = [begun(shelf, "192.0.2.1")[0] for _ in range(3)]
        assert uploads[0].write(b"y" * 100) is None  # little waits in memory and is not counted
        draft, refuse = begun(shelf, "192.0.2.1")
        assert refuse.reason is Reason.QUOTA and "192.0.2.1" in refuse.detail
        assert draft.write(b"") is refuse
        draft.abort()
        other, refuse = begun(shelf, "192.0.2.2")
        assert refuse is None
        small = shelf.store.draft(kept(NAME), Origin(address="192.0.2.1"))
        assert small.write(b"small") is None and isinstance(answer(small), Stored)
        # Given back at an abort, and after a commit, whatever came of it.
        uploads[0].abort()
        uploads[0].abort()
        again, refuse = begun(shelf, "192.0.2.1")
        assert refuse is None and begun(shelf, "192.0.2.1")[1] is not None
        assert isinstance(answer(again), Stored)
        uploads[1].also = lambda: Refuse(Reason.PIN_MISMATCH)
        assert isinstance(answer(uploads[1]), Refuse)
        last, refuse = begun(shelf, "192.0.2.1", 2)
        assert refuse is None
        assert last.write(PIECE).reason is Reason.TOO_BIG  # that gives back too
        uploads[2].abort()
        other.abort()
        assert (shelf.store.uploads._all, dict(shelf.store.uploads._of)) == (0, {})
        assert shelf.parts() == []


@pytest.mark.parametrize("by", ["QuotaTotal", "UNDER_WAY"])
def test_uploads_of_all_that_do_not_end(tmp_path, monkeypatch, by):
    most = 3 * len(PIECE)
    keys = {"quota_total": most, "max_backup_bytes": len(PIECE)}
    if by == "UNDER_WAY":
        monkeypatch.setattr(quota, by, most)
        del keys["quota_total"]
    with Shelf(tmp_path, **keys) as shelf:
        uploads = [begun(shelf, f"192.0.2.{number}") for number in range(4)]
        assert [refuse and refuse.reason for _, refuse in uploads] == [None, None, None, Reason.QUOTA]
        for draft, _ in uploads:
            draft.abort()
        draft, refuse = begun(shelf, "192.0.2.9")
        assert refuse is None
        draft.abort()


def test_the_largest_backup_is_always_possible(tmp_path):
    with Shelf(tmp_path, max_backup_bytes=300 << 20) as shelf:
        uploads = shelf.store.uploads
        assert uploads.take(shelf.config, "192.0.2.1", 300 << 20) is None
        assert uploads.take(shelf.config, "192.0.2.1", 1).reason is Reason.QUOTA
        uploads.give_back("192.0.2.1", 300 << 20)
    with Shelf(tmp_path) as shelf:
        uploads = shelf.store.uploads
        assert uploads.take(shelf.config, "192.0.2.1", 16 << 20) is None
        assert uploads.take(shelf.config, "192.0.2.1", 1).reason is Reason.QUOTA
        for number in range(15):
            assert uploads.take(shelf.config, f"192.0.3.{number}", 16 << 20) is None
        assert uploads.take(shelf.config, "192.0.2.2", 1).reason is Reason.QUOTA
