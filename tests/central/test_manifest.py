"""The manifest: the published generation, sorted, the same body each time, and never an older one."""

from __future__ import annotations

import hashlib
import json

import pytest

from mv_iptel.central.manifest import Manifests, of
from mv_iptel.firmware.generations import Entry, Generation, put
from mv_iptel.home import Home

SHA = "a" * 64
FILES = (
    Entry("TFTPdata", "46xxupgrade.scr", 5, SHA, "script", "r-1"),
    Entry("HTTPdata", "b.bin", 7, SHA, "software", "r-1", since=2),
    Entry("HTTPdata", "a.bin", 6, SHA, "software", "r-2"),
    Entry("HTTPdata", "own.txt", 6, SHA, "settings", ""),
)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    (home.var / "releases").mkdir(parents=True)
    return home


def test_what_it_says():
    made = of(Generation(12, 5.5, "publish", "r-1", FILES))
    told = json.loads(made.body)
    assert (told["schema"], told["generation"], told["made"]) == (1, 12, 5.5)
    assert [one["name"] for one in told["files"]] == ["a.bin", "b.bin", "46xxupgrade.scr"]
    row = {"place": "HTTPdata", "name": "b.bin", "size": 7, "sha256": SHA, "role": "software"}
    assert told["files"][1] == {**row, "release": "r-1"}
    assert made.sha256 == hashlib.sha256(made.body).hexdigest()
    assert of(Generation(12, 5.5, "publish", "r-1", FILES[::-1])).body == made.body


def test_nothing_was_published(home):
    made = Manifests(home).current()
    assert made.generation == 0 and json.loads(made.body)["files"] == []


def test_it_follows_what_is_published(home):
    manifests = Manifests(home)
    assert manifests.current().generation == 0
    put(home, Generation(1, 1.0, "publish", "r-1", FILES[:1]))
    first = manifests.current()
    assert first.generation == 1 and manifests.current() is first
    put(home, Generation(2, 1.0, "publish", "r-1", FILES))
    assert manifests.current().generation == 2


def test_an_older_number_is_never_told(home):
    manifests = Manifests(home)
    put(home, Generation(7, 1.0, "publish", "r-1", FILES))
    told = manifests.current()
    put(home, Generation(6, 1.0, "publish", "r-1", FILES[:1]))
    assert manifests.current() == told


def test_a_damaged_record_is_passed_over(home):
    manifests = Manifests(home)
    put(home, Generation(7, 1.0, "publish", "r-1", FILES))
    (home.var / "releases" / "generation.json").write_text("{")
    assert manifests.current().generation == 7
