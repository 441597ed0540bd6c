"""A content that comes too late becomes a version, once."""

from __future__ import annotations

import pytest

from mv_iptel import config
from mv_iptel.central import late
from mv_iptel.home import Home
from mv_iptel.userdata import history, versions
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.store import Origin

KEPT = parse("4711_96xxdata.txt")
OSLO = Origin("", "00040d112233", "9640", "Oslo", "central")


@pytest.fixture
def made(tmp_path):
    made = config.defaults(Home(tmp_path))
    made.http.backup_dir.mkdir(parents=True)
    made.home.var.mkdir(parents=True, exist_ok=True)
    return made


def test_it_is_a_version_of_its_time_and_the_current_file_stays(made):
    (made.http.backup_dir / KEPT.file).write_bytes(b"new")
    assert late.keep(made, KEPT, b"old", OSLO, 1000.5)
    found = versions.of(made, KEPT.file)
    assert [one.place for one in found] == ["current", "versions"] and found[1].time == 1000.5
    assert versions.read(made, KEPT.file, found[1].id) == b"old"
    assert versions.read(made, KEPT.file) == b"new"
    told = history.changes(versions.folder_of(made, KEPT.file))
    (one,) = told
    assert (one.proto, one.how, one.mac, one.time) == ("Oslo", "central", "00040d112233", 1000.5)


def test_once(made):
    assert late.keep(made, KEPT, b"old", OSLO, 1000.5)
    assert not late.keep(made, KEPT, b"old", OSLO, 1000.5)
    assert late.keep(made, KEPT, b"other", OSLO, 1000.5)
    assert len(versions.of(made, KEPT.file)) == 2
    assert not [one for one in versions.folder_of(made, KEPT.file).iterdir() if one.name.startswith(".")]


def test_two_whose_hashes_begin_alike(made):
    """What lies there under the name of the version may be another content."""
    assert late.keep(made, KEPT, b"old", OSLO, 1000.5)
    versions_folder = versions.folder_of(made, KEPT.file)
    next(one for one in versions_folder.iterdir() if versions.ID.match(one.name)).write_bytes(b"xxx")
    assert late.keep(made, KEPT, b"old", OSLO, 1000.5)
    assert len(versions.kept_in(versions_folder)) == 2
