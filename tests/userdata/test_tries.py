"""Wrong passwords are counted by address and file, and by address; the clock is turned by hand."""

from __future__ import annotations

import pytest

from mv_iptel.userdata import tries
from mv_iptel.userdata.tries import ALL, EACH, WITHIN, Tries

HERE, FILE = "192.0.2.1", "1_96xxdata.txt"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_ten_for_a_file_in_ten_minutes(clock):
    kept = Tries(clock)
    for _ in range(EACH):
        assert kept.wait(HERE, FILE) == 0
        kept.failed(HERE, FILE)
        clock.now += 1
    assert kept.wait(HERE, FILE) == WITHIN - EACH
    assert kept.wait(HERE, "2_96xxdata.txt") == 0 and kept.wait("192.0.2.2", FILE) == 0
    clock.now += WITHIN - EACH
    assert kept.wait(HERE, FILE) == 0
    kept.failed(HERE, FILE)  # only the oldest has gone
    assert kept.wait(HERE, FILE) == 1


def test_fifty_for_an_address(clock):
    kept = Tries(clock)
    for number in range(ALL):
        assert kept.wait(HERE, FILE) == 0
        kept.failed(HERE, f"{number}_96xxdata.txt")
    assert kept.wait(HERE, FILE) == WITHIN
    assert kept.wait("192.0.2.2", FILE) == 0


def test_the_right_one_clears_its_file_and_not_the_sum(clock):
    kept = Tries(clock)
    for _ in range(ALL // (EACH - 1) + 1):
        for _ in range(EACH - 1):
            kept.failed(HERE, FILE)
        kept.right(HERE, FILE)
    assert kept.wait(HERE, FILE) == WITHIN
    clock.now += WITHIN
    assert kept.wait(HERE, FILE) == 0


def test_a_phone_that_remembers_a_wrong_one_is_never_held_up(clock):
    """It tries at a start, at a login and at a change: say every two minutes, for ever."""
    kept = Tries(clock)
    for _ in range(1000):
        assert kept.wait(HERE, FILE) == 0
        kept.failed(HERE, FILE)
        clock.now += 120


def test_a_host_with_many_addresses_is_one_for_a_file(clock):
    kept = Tries(clock)
    for number in range(EACH):
        kept.failed(f"2001:db8::{number:x}", FILE)
    assert kept.wait("2001:db8::ffff", FILE) == WITHIN
    assert kept.wait("2001:db8::ffff", "2_96xxdata.txt") == 0 and kept.wait("2001:db8:0:1::1", FILE) == 0


def test_it_is_told_once_in_ten_minutes(clock):
    kept = Tries(clock)
    assert [kept.tell(HERE), kept.tell(HERE), kept.tell("192.0.2.2")] == [True, False, True]
    clock.now += WITHIN
    assert kept.tell(HERE)


def test_the_tables_end(clock, monkeypatch):
    monkeypatch.setattr(tries, "KNOWN", 100)
    kept = Tries(clock)
    for number in range(1000):
        kept.failed(f"10.0.{number // 250}.{number % 250}", FILE)
        kept.tell(f"10.0.{number // 250}.{number % 250}")
    assert {len(kept._failures), len(kept._sums), len(kept._told)} == {100}
