"""What is remembered over restarts."""

from __future__ import annotations

import pytest

from watchdogd.judge import State
from watchdogd.memory import FILE, Memory


def test_it_is_kept(tmp_path):
    state = State(restarts=(1.5, 2.0), found=frozenset({"/b", "/a"}))
    memory = Memory(tmp_path / "data")
    assert memory.load() == State() and memory.keep(state) == ""
    assert Memory(tmp_path / "data").load() == state
    before = memory.path.stat()
    assert memory.keep(state) == "" and memory.path.stat() == before  # nothing new: nothing written


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"restarts": ["x"], "found": []}', '{"restarts": 1, "found": 2}']
)
def test_what_is_broken_is_not_there(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert Memory(tmp_path).load() == State()


def test_a_disk_that_takes_nothing(tmp_path):
    (tmp_path / "data").write_text("no directory")
    assert "cannot be written" in Memory(tmp_path / "data").keep(State(restarts=(1.0,)))
