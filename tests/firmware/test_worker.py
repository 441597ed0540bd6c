"""The worker: limited in memory and time, without root's rights, and gone when it is not needed any more."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mv_iptel.firmware import worker
from mv_iptel.firmware.archives import Limits, Refused
from mv_iptel.firmware.worker import Failed, Worker
from tests.firmware import hostile

ROOT = Path(__file__).resolve().parents[2]
ME = (os.getuid(), os.getgid()) if hasattr(os, "getuid") else (0, 0)


def nothing(*_):
    pass


@pytest.fixture
def archive(tmp_path):
    def write(data: bytes) -> Path:
        (tmp_path / "one.zip").write_bytes(data)
        return tmp_path / "one.zip"

    return write


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_hash_then_unpack(archive, folder):
    with Worker(archive(hostile.made(hostile.ONE, hostile.BIN))) as one:
        sha256, size = one.hash(nothing)
        files, left_out = one.unpack(folder, {}, ME, nothing)
        process = one._process
    assert (len(sha256), size, left_out) == (64, archive(b"").stat().st_size or size, [])
    assert {file.name for file in files} == {"96xxupgrade.txt", "one.bin"}
    assert process.poll() is not None


def test_a_refusal_is_told(archive, folder):
    with Worker(archive(hostile.octets(hostile.ZIPS["climbs"][0]))) as one:
        one.hash(nothing)
        with pytest.raises(Refused, match="climbs"):
            one.unpack(folder, {}, ME, nothing)


LIES = [
    {}, [], 5, None, {"hashed": 5}, {"hashed": ["x"]}, {"hashed": [1, "x"]}, {"progress": 5},
    {"progress": ["hashing", "x", 1]}, {"progress": ["\x1b[2J", 1, 1]}, {"progress": ["hashing", [], {}]},
    {"failed": 5}, {"failed": ["x", 5]}, {"refused": ["\x1b[2J"] * 900},
    {"unpacked": 5, "left_out": []}, {"unpacked": [[1]], "left_out": []}, {"unpacked": []},
    {"unpacked": [["x", [], "a", 1, "b", "c"]], "left_out": []}, {"unpacked": [], "left_out": 5},
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_worker_that_lies_gets_no_further(archive, folder, lie):
    """An archive may have found a fault in it; then it says what it likes."""
    with Worker(archive(hostile.made(hostile.ONE))) as one:
        one._heard = lambda _: lie  # the pipe from it
        for ask in (lambda: one.hash(nothing), lambda: one.unpack(folder, {}, ME, nothing)):
            with pytest.raises((Failed, Refused)) as told:
                ask()
            assert len(str(told.value)) < 700 and str(told.value).isprintable()


def test_limits_of_its_parent_are_its_own(archive, folder):
    with Worker(archive(hostile.made(hostile.ONE, hostile.BIN)), Limits(entries=1)) as one:
        one.hash(nothing)
        with pytest.raises(Refused, match="more than 1 entries"):
            one.unpack(folder, {}, ME, nothing)


def test_a_folder_that_fails_is_no_refusal(archive, tmp_path):
    with Worker(archive(hostile.made(hostile.ONE))) as one:
        one.hash(nothing)
        with pytest.raises(Failed) as failed:
            one.unpack(tmp_path / "none", {}, ME, nothing)
    assert failed.value.errno == errno.ENOENT


def test_an_archive_that_is_changed_between_the_two(archive, folder):
    path = archive(hostile.made(hostile.ONE))
    with Worker(path) as one:
        one.hash(nothing)
        with open(path, "r+b") as file:
            file.write(hostile.made(hostile.ONE, hostile.BIN))
        with pytest.raises(Refused, match="changed while it was read"):
            one.unpack(folder, {}, ME, nothing)


def test_one_that_is_killed_is_a_fault(archive, folder):
    with Worker(archive(hostile.made(hostile.ONE))) as one:
        one.hash(nothing)
        os.kill(one._process.pid, signal.SIGKILL)
        with pytest.raises(Failed):
            one.unpack(folder, {}, ME, nothing)


def test_too_much_computing_is_the_archives_fault(archive, folder):
    with Worker(archive(hostile.made(hostile.ONE))) as one:
        one.hash(nothing)
        os.kill(one._process.pid, signal.SIGXCPU)
        with pytest.raises(Refused, match="seconds of computing"):
            one.unpack(folder, {}, ME, nothing)


def test_one_that_says_nothing_is_ended(archive, folder, monkeypatch):
    monkeypatch.setattr(worker, "SILENCE", 0.05)
    with Worker(archive(hostile.made(hostile.ONE))) as one:
        os.kill(one._process.pid, signal.SIGSTOP)
        with pytest.raises(Failed) as failed:
            one.hash(nothing)
    assert failed.value.errno == errno.ETIMEDOUT


def test_it_is_limited_and_low_in_priority(archive, folder):
    with Worker(archive(hostile.made(hostile.ONE))) as one:
        one.hash(nothing)
        process = psutil.Process(one._process.pid)
        assert process.rlimit(psutil.RLIMIT_AS)[1] == worker.MEMORY
        assert process.rlimit(psutil.RLIMIT_CPU)[1] == worker.COMPUTING
        assert process.rlimit(psutil.RLIMIT_CORE)[1] == 0
        assert process.nice() >= min(19, psutil.Process().nice() + 10)
        assert process.cwd() and "one.zip" not in " ".join(process.cmdline())


@pytest.mark.skipif(ME[0] != 0, reason="only root can give rights up")
def test_root_gives_its_rights_up(archive, folder):
    os.chown(folder, 12345, 12345)
    for above in folder.parents:
        if above == Path("/tmp"):
            break
        os.chmod(above, os.stat(above).st_mode | 0o111)
    with Worker(archive(hostile.made(hostile.ONE))) as one:
        one.hash(nothing)
        one.unpack(folder, {}, (12345, 12345), nothing)
    assert {path.stat().st_uid for path in folder.iterdir()} == {12345}


PARENT = """
import os, sys
from pathlib import Path
from mv_iptel.firmware.worker import Worker
with Worker(Path(sys.argv[1])) as one:
    one.hash(lambda *_: None)
    print(one._process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_it_ends_with_its_parent(archive):
    path = archive(hostile.made(hostile.ONE))
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(path)], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    assert done.returncode == -signal.SIGKILL
    try:
        psutil.Process(int(done.stdout)).wait(30)
    except psutil.NoSuchProcess:
        pass
