"""What a branch remembers: it survives, and a damaged file costs only questions."""

from __future__ import annotations

import pytest

from mv_iptel.central import state as state_module
from mv_iptel.central.peers import Peer
from mv_iptel.central.state import Done, Known, State
from mv_iptel.home import Home

ONE, TWO = Peer("primary", "192.0.2.1", 6093), Peer("secondary", "192.0.2.2", 6093)


def test_it_survives(tmp_path):
    home = Home(tmp_path)
    home.var.mkdir(parents=True)
    state = State(home)
    assert state.of(ONE) == Known() and state.taken == ("", 0, 0.0)
    state.learn(ONE, cursor="8f.2", name="Oslo")
    state.take(ONE, "central-g3-01234567", 3, 5.5, "ab" * 32)
    state.learn(TWO, generation=9)
    state.finish(Done("id1", False, "no"))
    again = State(home)
    assert again.of(ONE) == Known(3, "ab" * 32, "8f.2", "Oslo")
    assert again.of(TWO) == Known(9)
    assert again.taken == ("central-g3-01234567", 3, 5.5)
    assert again.done("id1") == Done("id1", False, "no") and again.done("id2") is None
    again.forget(ONE)
    assert State(home).of(ONE) == Known() and State(home).of(TWO) == Known(9)


def test_old_orders_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(state_module, "MOST_DONE", 3)
    home = Home(tmp_path)
    home.var.mkdir(parents=True)
    state = State(home)
    for number in range(5):
        state.finish(Done(str(number), True, ""))
    assert [bool(State(home).done(str(number))) for number in range(5)] == [False, False, True, True, True]


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"peers": {"x": {}}}', b"\xff", b"null"])
def test_a_damaged_file_is_as_none(tmp_path, damage):
    home = Home(tmp_path)
    home.var.mkdir(parents=True)
    State(home).learn(ONE, cursor="1")
    (home.var / "central" / "branch.json").write_bytes(damage)
    assert State(home).of(ONE) == Known()
