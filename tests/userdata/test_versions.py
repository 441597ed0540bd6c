"""What commands read beside a server: what is kept, which version a word means, and its content."""

from __future__ import annotations

import os

import pytest

from mv_iptel.library.answers import Refuse
from mv_iptel.library.contents import etag_of
from mv_iptel.userdata import archive, versions
from mv_iptel.userdata.store import Origin
from tests.userdata.shelf import DAY, NAME, START, Shelf


@pytest.fixture
def shelf(tmp_path):
    """Three contents; the first, of April, in the archive."""
    with Shelf(tmp_path, start=START - 30 * DAY) as one:
        one.put(b"one" * 1000)
        one.put(b"two", later=30 * DAY)
        one.store.tidy()
        one.put(b"three")
        yield one


def test_nothing(tmp_path):
    with Shelf(tmp_path) as shelf:
        assert versions.listing(shelf.config) == []
        assert versions.of(shelf.config, NAME) == []
        with pytest.raises(LookupError, match="nothing is kept"):
            versions.read(shelf.config, NAME, "2026")
        with pytest.raises(LookupError, match="no current file"):
            versions.read(shelf.config, NAME)


def test_all_places(shelf):
    found = versions.of(shelf.config, NAME)
    assert [one.place for one in found] == ["current", "versions", "archive"]
    assert [one.size for one in found] == [5, 3, 3000]
    assert [versions.read(shelf.config, NAME, one.id) for one in found] == [b"three", b"two", b"one" * 1000]
    assert found[0].time > found[1].time > found[2].time
    assert found[2].octets == os.stat(found[2].path).st_size < 3000
    assert found[2].path.endswith(f"archive/2026-04/{NAME}.{found[2].id}.gz")
    (held,) = versions.listing(shelf.config)
    assert (held.name, held.kept.ext, held.versions, held.archived) == (NAME, "1234", 2, 1)
    assert held.octets == sum(one.octets for one in found)
    assert (held.since, held.changed) == (found[2].time, found[0].time)


def test_what_a_word_means(shelf):
    current, two, one = versions.of(shelf.config, NAME)
    means = {
        "current": current, two.id: two, two.id[:15]: two, "202605": None, "202604": one, "2026": None,
        two.sha8: two, two.sha8[:4]: two, one.sha8.upper(): one, current.sha8: current, "": None, "x": None,
        two.id.lower(): two, " " + one.id + "\n": one, two.sha8[:3]: None,
    }  # fmt: skip
    means["202605"] = two  # the current one's stamp is no version's
    for word, wanted in means.items():
        if wanted is None:
            with pytest.raises(LookupError):
                versions.find(shelf.config, NAME, word)
        else:
            assert versions.find(shelf.config, NAME, word) == wanted, word


def test_no_name_leads_anywhere_else(shelf):
    for name in ("../../x", "46xxsettings.txt", "", "1234_4620data.txt/../x", ".1234_4620data.txt"):
        for ask in (versions.of, versions.changes):
            with pytest.raises(LookupError, match="no name of user data"):
                ask(shelf.config, name)
    assert len(versions.of(shelf.config, NAME.upper())) == 3  # but letter case is forgiven


def test_a_removed_name_is_still_listed(shelf):
    shelf.remove()
    (held,) = versions.listing(shelf.config)
    assert (held.current, held.versions) == (None, 3)
    with pytest.raises(LookupError, match="3 versions"):
        versions.read(shelf.config, NAME)


@pytest.mark.parametrize("place", [1, 2])
def test_restore(shelf, place):
    """From the versions and from the archive; what was current becomes a version, and nothing goes."""
    one = versions.of(shelf.config, NAME)[place]
    data = versions.read(shelf.config, NAME, one.id)
    stored = versions.restore(
        shelf.config, NAME, one.sha8, Origin("192.0.2.9", how="restore"), now=lambda: shelf.time + 5
    )
    assert (stored.size, stored.same) == (len(data), False)
    assert shelf.current() == data
    assert shelf.older() == [b"three", b"two", b"one" * 1000]
    told = versions.changes(shelf.config, NAME)[-1]
    assert (told.op, told.how, told.address) == ("restore", "restore", "192.0.2.9")


def test_members_of_a_month(shelf):
    (month,) = (one for one in versions.archive_of(shelf.config).iterdir())
    (month / "1234_4620data.txt.gz").write_bytes(b"no member")
    assert versions.members_in(month) == {NAME: 1}
    assert versions.members_in(month.parent) == {}


def test_many_names_of_one_archive(shelf):
    """What is archived while they are asked for is seen; a month that has not changed is not read again."""
    archive = versions.Archive(shelf.config)
    assert versions.of(shelf.config, NAME, archive) == versions.of(shelf.config, NAME)
    assert archive.of("5_4620data.txt") == {}
    (month,) = versions.archive_of(shelf.config).iterdir()
    (member,) = month.iterdir()
    there = member.name.removeprefix(NAME)
    (month / f"5_4620data.txt{there}").write_bytes(member.read_bytes())
    assert archive.of("5_4620data.txt").keys() == archive.of(NAME).keys()
    os.utime(month, (START, START))
    assert archive.of(NAME)
    member.unlink()
    os.utime(month, (START, START))
    assert archive.of(NAME), "read again, though the month is as it was"


def test_restore_of_what_is_there(shelf):
    assert versions.restore(shelf.config, NAME, "current", now=lambda: shelf.time).same
    with pytest.raises(LookupError):
        versions.restore(shelf.config, NAME, "19990101", now=lambda: shelf.time)


def test_restore_of_the_state_that_was_looked_at_only(shelf):
    """A phone may store between somebody's look and his restore: then nothing is replaced."""
    seen = etag_of(NAME, os.stat(shelf.folder / NAME))
    shelf.put(b"four")
    refuse = versions.restore(shelf.config, NAME, "202604", now=lambda: shelf.time, match=f'"{seen}"')
    assert isinstance(refuse, Refuse) and refuse.reason == "changed"
    assert shelf.current() == b"four"


def test_restore_of_what_was_removed(shelf):
    shelf.remove()
    assert versions.restore(shelf.config, NAME, "202604", now=lambda: shelf.time + 1).created
    assert shelf.current() == b"one" * 1000


def test_restore_minds_the_quota_and_no_limit_of_size(tmp_path):
    with Shelf(tmp_path) as shelf:
        shelf.put(b"a" * 1000)
        shelf.put(b"b")
    with Shelf(tmp_path, max_backup_bytes=10) as shelf:
        assert versions.restore(shelf.config, NAME, "20", now=lambda: shelf.time + 9).size == 1000
    with Shelf(tmp_path, quota_per_extension=100) as shelf:
        shelf.put(b"c")
        shelf.time += 100
    with Shelf(tmp_path, quota_per_extension=2000) as shelf:
        shelf.put(b"d" * 1500)
        shelf.put(b"e")
    with Shelf(tmp_path, quota_per_extension=1000) as shelf:
        newest = versions.of(shelf.config, NAME)[1].id
        outcome = versions.restore(shelf.config, NAME, newest, now=lambda: shelf.time + 300)
        assert isinstance(outcome, Refuse) and outcome.reason == "quota"
        assert shelf.current() == b"e"


def test_what_is_archived_while_it_is_read(shelf, monkeypatch):
    """Between the look and the reading the version moves to the archive: it is found there."""
    folder = versions.folder_of(shelf.config, NAME)
    (two,) = versions.kept_in(folder)
    real = versions.open_file

    def late(path):
        if path == folder / two and path.exists():
            archive.store(shelf.config, NAME, [two], lambda: False)
            archive.remove(shelf.config, NAME, [two])
        return real(path)

    monkeypatch.setattr(versions, "open_file", late)
    assert versions.read(shelf.config, NAME, two) == b"two"


def test_stamps():
    assert versions.stamp(0) == "19700101T000000.000000Z"
    for mtime in (1, 1_999, 1_780_000_000_123_456_789, 4_102_444_800_000_000_000):
        text = versions.stamp(mtime)
        assert versions.ID.match(text + "-0123abcd")
        assert versions.time_of(text + "-0123abcd") == mtime // 1000 / 1e6


def test_foreign_names_are_no_versions(shelf):
    folder = versions.folder_of(shelf.config, NAME)
    for name in ("notes.txt", ".20260101T000000.000000Z-0123abcd.01234567.part", "20260101-0123abcd"):
        (folder / name).write_bytes(b"x")
    months = versions.archive_of(shelf.config)
    member = "20200101T000000.000000Z-0123abcd.gz"
    for foreign in ("2026-04/readme.gz", f"old/{NAME}.{member}", f"2026-04/x.{member}"):
        path = months / foreign
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert len(versions.of(shelf.config, NAME)) == 3
    assert [held.name for held in versions.listing(shelf.config)] == [NAME]
    shelf.store.tidy()
    assert shelf.store.counts()["versions"] == 2
