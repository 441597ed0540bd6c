"""User data: the newest content of a name is current, the others are in the archive."""

from __future__ import annotations

import gzip

import pytest

from mv_iptel import config
from mv_iptel.home import Home
from mv_iptel.migrating import contents
from mv_iptel.migrating.trees import Data
from mv_iptel.userdata import versions
from mv_iptel.userdata.names import Kept
from tests.migrating.reference import WHEN, write

NAME = "4711_4620data.txt"


@pytest.fixture
def loaded(tmp_path):
    home = Home(tmp_path / "home")
    home.ftp_data.mkdir(parents=True)
    return config.defaults(home)


def data(path, text: bytes, when: int, packed: bool = False) -> Data:
    content = gzip.compress(text, mtime=when) if packed else text
    there = write(path, content, when).stat()
    return Data(path, Kept("4711", "4620"), there.st_mtime_ns, there.st_size, packed)


def kept(loaded):
    members = versions.archived_in(versions.archive_of(loaded)).get(NAME, {})
    read = {one: gzip.decompress(versions.member_of(loaded, NAME, one).read_bytes()) for one in members}
    return (loaded.http.backup_dir / NAME).read_bytes(), sorted(read.values())


def test_the_newest_is_current(loaded, tmp_path):
    told = (
        ("a", b"old", 0, False),
        ("b", b"new", 9, False),
        ("c.gz", b"oldest", -9, True),
        ("d", b"new", 8, False),
    )
    every = [data(tmp_path / name, text, WHEN + when, packed) for name, text, when, packed in told]
    assert contents.move(loaded, NAME, every) == (1, 2, [])
    assert kept(loaded) == (b"new", [b"old", b"oldest"])
    assert (loaded.http.backup_dir / NAME).stat().st_mtime == WHEN + 9
    assert contents.move(loaded, NAME, every) == (0, 0, [])


def test_what_the_home_has_is_never_lost(loaded, tmp_path):
    write(loaded.http.backup_dir / NAME, b"here", WHEN + 5)
    contents.move(loaded, NAME, [data(tmp_path / "a", b"old", WHEN)])
    assert kept(loaded) == (b"here", [b"old"])
    contents.move(loaded, NAME, [data(tmp_path / "a", b"newer", WHEN + 50)])
    assert kept(loaded) == (b"newer", [b"here", b"old"])


def test_what_cannot_be_read_is_told(loaded, tmp_path):
    torn = data(tmp_path / "torn.gz", b"x" * 99, WHEN, True)
    torn.source.write_bytes(torn.source.read_bytes()[:-9])
    big = data(tmp_path / "big", b"x" * (loaded.http.max_backup_bytes + 1), WHEN)
    bomb = data(tmp_path / "bomb.gz", b"\0" * (loaded.http.max_backup_bytes + 1), WHEN, True)
    gone = data(tmp_path / "gone", b"x", WHEN)
    gone.source.unlink()
    current, archived, rows = contents.move(loaded, NAME, [torn, big, bomb, gone])
    assert (current, archived, len(rows)) == (0, 0, 4) and not (loaded.http.backup_dir / NAME).exists()


def test_files_by_their_canonical_name(tmp_path):
    one = data(tmp_path / "4711_4620DATA.TXT", b"x", WHEN)
    assert contents.by_name([one]) == {NAME: [one]}
