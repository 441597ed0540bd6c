"""Copies of users' data that wait to be fetched: who may read them, and that they go."""

from __future__ import annotations

import os
import stat
import time
import zipfile

import pytest

from manager.facts import exports
from manager.problems import Problem
from tests.userdata.shelf import NAME, Shelf


@pytest.fixture
def shelf(tmp_path):
    with Shelf(tmp_path) as one:
        one.put(b"one")
        one.put(b"two")
        one.put(b"three", "5_96xxdata.txt")
        exports.folder_of(one.config.home).parent.mkdir(parents=True, exist_ok=True)
        yield one


def test_a_copy_and_its_progress(shelf):
    told, now = [], time.time()
    made = exports.make(shelf.config, (), True, lambda *one: told.append(one), now)
    assert (made["files"], made["left"]) == (3, [])
    assert told[-1] == ("3 files", 2, 2) and ("5_96xxdata.txt", 0, 2) in told
    path, name = exports.find(shelf.config.home, made["id"], now)
    with zipfile.ZipFile(path) as archive:
        assert {NAME, "5_96xxdata.txt", "backups.csv"} < set(archive.namelist())
    assert name.startswith("userdata-20") and name.endswith(".zip")
    if os.name == "posix":
        assert (
            stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        )


def test_nothing_to_copy(shelf):
    with pytest.raises(Problem, match="nothing is kept of 77"):
        exports.make(shelf.config, ("77",), False, lambda *one: None, time.time())


def test_a_copy_goes_after_an_hour_and_so_does_a_half_one(shelf):
    home, now = shelf.config.home, time.time()
    made = exports.make(shelf.config, ("5",), False, lambda *one: None, now)
    (exports.folder_of(home) / ".x.zip.1.part").write_bytes(b"half")
    assert exports.prune(home, now + 60) == 0 and exports.find(home, made["id"], now + 60)
    with pytest.raises(LookupError, match="gone"):
        exports.find(home, made["id"], now + exports.KEPT + 60)
    assert list(exports.folder_of(home).iterdir()) == []


@pytest.mark.parametrize("key", ["", "..", "../manager", "20260101-000000-" + "a" * 21 + "/", "x" * 1000])
def test_no_other_file_is_found(shelf, key):
    with pytest.raises(LookupError):
        exports.find(shelf.config.home, key, time.time())
