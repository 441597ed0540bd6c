"""Killed at any call that changes the disk: no served script names a missing file, then old or new."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")


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
