"""The disk beneath user data: folders, files aside, the lock, and one that is really full."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from mv_iptel.library.answers import Reason
from mv_iptel.userdata import disk
from mv_iptel.userdata.store import Stored
from tests.others import SERVER, root_only, shared
from tests.userdata.shelf import NAME, Shelf

posix = pytest.mark.skipif(os.name != "posix", reason="rights and links as POSIX has them")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, Reason.DISK_FULL), (errno.EDQUOT, Reason.DISK_FULL), (errno.EFBIG, Reason.DISK_FULL),
        (errno.EIO, Reason.FAULT), (errno.EACCES, Reason.FAULT), (errno.EROFS, Reason.FAULT),
    ],
)  # fmt: skip
def test_what_an_error_means(number, reason):
    refuse = disk.refusal(OSError(number, os.strerror(number)), Path("/data/x"))
    assert refuse.reason is reason and refuse.detail == f"/data/x: {os.strerror(number)}"
    refuse = disk.refusal(OSError(number, os.strerror(number), "/data/y"), Path("/data/x"))
    assert refuse.detail.startswith("/data/y: ")


@posix
def test_folders_are_like_the_one_above(tmp_path):
    """What root's command made, the service's group must be able to write to."""
    tmp_path.chmod(0o2770)
    umask = os.umask(0o077)
    try:
        disk.lasting_folder(tmp_path / "a" / "b")
        disk.lasting_folder(tmp_path / "a" / "b")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o2770
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o2770
    tmp_path.chmod(0o1777)
    disk.make_folder(tmp_path / "c")
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o770  # never for everybody


@posix
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
def test_what_root_makes_belongs_to_the_service(tmp_path):
    service = tmp_path / "var"
    service.mkdir()
    os.chown(service, 1234, 2345)
    disk.make_folder(service / "versions" / "x")
    aside = disk.Aside(service / "versions" / "x" / "y")
    aside.finish(0)
    found = aside.place()
    for path in (service / "versions" / "x", service / "versions" / "x" / "y"):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)
    assert stat.S_IMODE(found.st_mode) == 0o640
    with disk.locked(service / "lock"):
        assert (service / "lock").stat().st_gid == 2345


def test_aside(tmp_path):
    target = tmp_path / "new" / "1_4620data.txt"
    aside = disk.Aside(target)
    assert aside.path.name.startswith(".1_4620data.txt.") and aside.path.name.endswith(".part")
    aside.write(b"one")
    aside.write(b"")
    aside.write(b"two")
    aside.finish(5_000_000_000)
    assert not target.exists()
    found = aside.place()
    assert target.read_bytes() == b"onetwo"
    assert (found.st_size, found.st_mtime_ns) == (6, 5_000_000_000)
    aside.discard()  # nothing to discard any more
    assert target.exists() and os.listdir(target.parent) == [target.name]


def test_what_a_crash_left(tmp_path):
    """Only names of our own form, only what is older, and never what this process is writing."""
    mine = disk.Aside(tmp_path / "1_4620data.txt")
    stale = [".1_4620data.txt.0123abcd.part", ".20260101T000000.000000Z-0123abcd.89abcdef.part"]
    others = ["1.part", ".part", ".x.part", ".x.0123ABCD.part", ".x.0123abcd.parts", "x.0123abcd.part"]
    for name in (*stale, *others, ".new.0123abcd.part"):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1000, 2000 if name.startswith(".new") else 1000))
    os.utime(mine.path, (1000, 1000))
    (tmp_path / ".dir.0123abcd.part").mkdir()
    (tmp_path / ".link.0123abcd.part").symlink_to(tmp_path / "1.part")
    assert disk.remove_parts(tmp_path, 1500) == 2
    left = set(os.listdir(tmp_path))
    assert left == {
        *others, ".new.0123abcd.part", mine.path.name, ".dir.0123abcd.part", ".link.0123abcd.part"
    }  # fmt: skip
    assert disk.remove_parts(tmp_path / "nowhere", 1500) == 0
    mine.discard()


def test_look(tmp_path):
    assert disk.look(tmp_path / "nothing") is None
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path, tmp_path / "link"):
        with pytest.raises(disk.NotAFile, match="not a file"):
            disk.look(path)
        with pytest.raises(disk.NotAFile):
            disk.open_file(path)


def test_one_holds_the_lock(tmp_path):
    path, order = tmp_path / "var" / "lock", []
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with disk.locked(path):
            inside.set()
            leave.wait(30)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(OSError, match="keeps this lock") as caught, disk.locked(path, seconds=0.01):
        order.append("never")
    assert caught.value.filename == str(path)
    leave.set()
    with disk.locked(path):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


@posix
def test_another_process_holds_the_lock(tmp_path):
    import fcntl

    path = tmp_path / "lock"
    with disk.locked(path):
        pass
    with open(path) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="keeps this lock"), disk.locked(path, seconds=0.01):
            pass
    with disk.locked(path):
        pass


@pytest.fixture
def tiny(tmp_path):
    """A file system of 256 KiB."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("tiny tmpfs: needs root")
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("tiny tmpfs: mount is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(tiny):
    """Refused, the old content intact, nothing half written; and it goes on when there is room."""
    with Shelf(tiny) as shelf:
        old = b"old" * 10_000
        shelf.put(old)
        free = shelf.root / "ballast"
        free.write_bytes(bytes(160_000))
        for size in (100_000, 500_000, 200_000):
            refuse = shelf.put(bytes(size))
            assert refuse.reason is Reason.DISK_FULL and "No space" in refuse.detail
            assert (shelf.current(), shelf.older(), shelf.parts()) == (old, [], [])
        small = b"small" * 100
        assert isinstance(shelf.put(small), Stored)
        free.unlink()
        assert isinstance(shelf.put(bytes(100_000)), Stored)
        assert shelf.older() == [small, old]


def test_a_disk_without_a_single_octet(tiny):
    """Even the history and the lock find no room: the old content stays, or a whole new one is there."""
    with Shelf(tiny) as shelf:
        shelf.put(b"old", NAME)
        with open(shelf.root / "ballast", "wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                pass
        assert shelf.put(b"new" * 5000).reason is Reason.DISK_FULL
        assert (shelf.current(), shelf.older(), shelf.parts()) == (b"old", [], [])
        assert isinstance(shelf.remove(), Stored)  # making room works without room
        assert shelf.older() == [b"old"]


@root_only
def test_root_gives_away_nothing_through_a_link(tmp_path):
    """Between the writing of a file and its change of owner a service may exchange it."""
    with shared() as var:
        secret = var.parent / "secret"
        secret.touch(mode=0o600)
        before = secret.stat()
        link, second = var / "link", var / "second"
        link.symlink_to(secret)
        disk.own_like(link, var.stat())
        with pytest.raises(OSError):
            disk.settle(link, 0o664, var.stat())
        os.link(secret, second)
        with pytest.raises(disk.NotAFile):
            disk.settle(second, 0o664, var.stat())
        after = secret.stat()
        assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
        made = var / "made"
        made.touch()
        disk.settle(made, 0o664, var.stat())
        assert (made.stat().st_uid, stat.S_IMODE(made.stat().st_mode)) == (SERVER, 0o664)
