"""Releases on the disk: what is written is read, and what is damaged or strange is no release."""

from __future__ import annotations

import json

import pytest

from mv_iptel.firmware import releases
from mv_iptel.firmware.releases import File, Release, Releases, named
from mv_iptel.home import Home

SHA = "5f" * 32
ONE = Release(
    "96x1-IPT-H323-R6_8-0123abcd", releases.STAGED, "command", "96x1-IPT-H323-R6_8.zip", 100.0, 101.0, size=7,
    files=(File("HTTPdata", "96x1Hupgrade.txt", 12, SHA, "script"),),
)  # fmt: skip


@pytest.fixture
def kept(tmp_path):
    return Releases(Home(tmp_path))


def test_what_is_written_is_read(kept):
    kept.put(ONE)
    later = ONE.to(releases.PUBLISHED, 200.0, "by hand")
    assert kept.get(ONE.id) == ONE
    kept.put(later)
    assert kept.all() == [later] == kept.in_state(releases.PUBLISHED)
    assert (later.state, later.changed, later.arrived, later.note) == ("published", 200.0, 100.0, "by hand")


def test_the_newest_first(kept):
    other = Release("other-76543210", releases.REFUSED, "updates", "other.zip", 300.0, 300.0)
    kept.put(ONE)
    kept.put(other)
    assert [one.id for one in kept.all()] == [other.id, ONE.id]
    for text in (ONE.id, "96x1-IPT-H323-R6_8", "0123abcd"):
        assert named(kept.all(), text) == [ONE]
    assert named(kept.all(), "96x1") == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"id": 5}', b"\xff\xfe"])
def test_what_is_damaged_is_no_release(kept, damage):
    kept.put(ONE)
    (kept.folder / ONE.id / "release.json").write_bytes(damage)
    assert kept.get(ONE.id) is None and kept.all() == []


def test_a_record_in_the_wrong_folder_is_none(kept):
    kept.put(ONE)
    (kept.folder / ONE.id).rename(kept.folder / "moved-01234567")
    assert kept.all() == []
    told = json.loads((kept.folder / "moved-01234567" / "release.json").read_text())
    assert told["state"] == releases.STAGED


def test_names_that_are_no_ids(kept):
    for name in ("..", "content", "a/../b-01234567", "x" * 100 + "-01234567", "-01234567"):
        assert kept.get(name) is None
    assert kept.content(SHA) == kept.folder / "content" / "5f" / SHA
    with pytest.raises(ValueError, match="sha256"):
        kept.content("../../etc/passwd")
