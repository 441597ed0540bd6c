"""Killed at any call that changes the disk: no served script names a missing file, then old or new."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.firmware.site import Site, script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")


def test_each_step_is_on_the_disk_before_the_next(tmp_path, monkeypatch):
    """When the power goes a script must not be there without what it names."""
    site = Site(tmp_path)
    app = "HTTPdata/a.tar"
    ident = site.add("one", {app: b"a", "HTTPdata/96x1Hupgrade.txt": script("a.tar"),
                             "HTTPdata/46xxsettings.txt": b""})  # fmt: skip
    told: list[str] = []
    replace, fsync, home = os.replace, os.fsync, str(site.home.http_data)

    def renamed(source, target, **more):
        told.append(f"rename {os.path.relpath(target, tmp_path)}")
        return replace(source, target, **more)

    def synced(fd):
        path = os.readlink(f"/proc/self/fd/{fd}")
        told.append("sync" if path == home else f"sync {os.path.relpath(path, tmp_path)}")
        return fsync(fd)

    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    site.publisher.publish(ident)
    at = {word: told.index(f"rename MV_IPTel/{word}") for word in (
        "var/releases/journal.json", f"data/{app}", "data/HTTPdata/96x1Hupgrade.txt",
        "var/releases/generation.json")}  # fmt: skip
    first, binary, last, record = at.values()
    assert first < binary < last < record
    assert "sync MV_IPTel/var/releases" in told[first:binary], "the intention lasts before anything is done"
    assert "sync" in told[binary:last] and "sync" in told[last:record]


def run(scenario: str, folder: str, kills: int, *more: str) -> list[dict]:
    words = [sys.executable, "-m", "tests.firmware.steps", scenario, folder, str(kills), *more]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def look(found: list[dict]) -> None:
    for one in found:
        assert (one["missing"], one["strange"], one["left"]) == ([], [], False), one
        assert one["generation"] in ("old", "new"), one


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", ["first", "second", "rollback", "remove"])
def test_killed_at_any_call(tmp_path, count, scenario):
    kills = count("kills") // 2
    found = run(scenario, str(tmp_path), kills)
    assert len(found) >= min(kills, 50)
    look(found)
    assert {one["generation"] for one in found} == {"old", "new"}
    assert any(one["journal"] for one in found)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", ["second", "rollback"])
def test_killed_while_it_recovers(tmp_path, count, scenario):
    look(run(scenario, str(tmp_path), count("kills") // 4, "again"))
