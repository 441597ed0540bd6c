"""Copies that can be cut off, repeated, and lose nothing."""

from __future__ import annotations

import os

import pytest

from mv_iptel.init import MOVED
from mv_iptel.migrating.copying import BEFORE, Copier
from mv_iptel.migrating.trees import Copy
from mv_iptel.userdata.disk import NotAFile
from tests.migrating.reference import WHEN, write


def copy(home, source, name="a.bin"):
    there = source.stat()
    with Copier(home) as copier:
        copier.copy(Copy(source, home.tftp_data / name, there.st_size, there.st_mtime_ns))
    return copier


def test_a_copy_is_a_copy(home, tmp_path):
    source = write(tmp_path / "a", b"firmware" * 300_000)
    done = copy(home, source, "sub/a.bin")
    target = home.tftp_data / "sub" / "a.bin"
    assert (done.copied, done.same, done.rows) == (1, 0, []) and target.read_bytes() == source.read_bytes()
    assert target.stat().st_ino != source.stat().st_ino and target.stat().st_nlink == 1
    assert target.stat().st_mtime == WHEN and not list(target.parent.glob(".*"))
    assert copy(home, source, "sub/a.bin").same == 1


def test_what_changed_there_is_copied_again(home, tmp_path):
    copy(home, write(tmp_path / "a", b"one"))
    copy(home, write(tmp_path / "a", b"two!", WHEN + 5))
    assert (home.tftp_data / "a.bin").read_bytes() == b"two!" and not (home.var / BEFORE).exists()


def test_what_changed_here_stays(home, tmp_path):
    copy(home, write(tmp_path / "a", b"one"))
    write(home.tftp_data / "a.bin", b"the site's", WHEN + 9)
    assert copy(home, tmp_path / "a").rows == []
    done = copy(home, write(tmp_path / "a", b"two!", WHEN + 5))
    assert (home.tftp_data / "a.bin").read_bytes() == b"the site's" and "changed here" in done.rows[0].why


def test_what_was_here_before_is_kept_aside(home, tmp_path):
    write(home.tftp_data / "a.bin", b"sample")
    copy(home, write(tmp_path / "a", b"one", WHEN + 5))
    kept = home.var / BEFORE / "MV_IPTel" / "data" / "TFTPdata" / "a.bin"
    assert (home.tftp_data / "a.bin").read_bytes() == b"one" and kept.read_bytes() == b"sample"


def test_the_same_content_is_not_copied(home, tmp_path):
    write(home.tftp_data / "a.bin", b"one", 5)
    before = (home.tftp_data / "a.bin").stat().st_ino
    assert copy(home, write(tmp_path / "a", b"one")).same == 1
    assert (home.tftp_data / "a.bin").stat().st_ino == before
    assert (home.tftp_data / "a.bin").stat().st_mtime == WHEN


def test_links(home, tmp_path):
    source = tmp_path / "link"
    os.symlink("x", source)
    one = Copy(source, home.tftp_data / "l", 0, WHEN * 10**9, "a.bin")
    for expected in ((1, 0), (0, 1)):
        with Copier(home) as copier:
            copier.copy(one)
        assert (copier.copied, copier.same) == expected
    assert os.readlink(home.tftp_data / "l") == "a.bin"


def test_an_original_that_is_gone_is_told(home, tmp_path):
    with Copier(home) as copier:
        copier.copy(Copy(tmp_path / "gone", home.tftp_data / "a", 1, 1))
    assert "cannot be read" in copier.rows[0].why and not (home.tftp_data / "a").exists()


def test_a_torn_record_is_no_obstacle(home, tmp_path):
    copy(home, write(tmp_path / "a", b"one"))
    with open(home.var / MOVED, "a") as file:
        file.write('{"name": "MV_IP')
    assert copy(home, tmp_path / "a").same == 1


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_links_that_wait_for_root_are_not_followed(home, tmp_path):
    """Who may write to var, a service, lays them out before the administrator moves his old data in."""
    mine = write(tmp_path / "root's", b"root:x:0:0\n")
    (home.var / MOVED).symlink_to(mine)
    with pytest.raises(OSError):
        Copier(home)
    (home.var / MOVED).unlink()
    os.link(mine, home.var / MOVED)
    with pytest.raises(NotAFile):
        Copier(home)
    (home.var / MOVED).unlink()
    write(home.tftp_data / "a.bin", b"the service's")
    kept = home.var / BEFORE / "MV_IPTel" / "data" / "TFTPdata"
    kept.mkdir(parents=True)
    (kept / ".a.bin.part").symlink_to(mine)
    copy(home, write(tmp_path / "a", b"one"))
    assert (kept / "a.bin").read_bytes() == b"the service's" and mine.read_bytes() == b"root:x:0:0\n"
