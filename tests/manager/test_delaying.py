"""Delays after failures: how they grow, whom they keep out and whom not, tries that come together."""

from __future__ import annotations

import asyncio

import pytest

from manager import delaying
from manager.delaying import FORGOTTEN, LONGEST, Delays, delay
from manager.problems import Problem
from manager.store import Store

HERE, THERE = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def clock():
    return [1_000_000.0]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "manager.db")
    yield made
    made.close()


@pytest.fixture
def delays(store, clock):
    return Delays(store, lambda: clock[0])


def test_twice_as_long_each_time():
    assert [delay(count) for count in range(6)] == [0, 1, 2, 4, 8, 16]
    assert delay(10) == 512 and delay(11) == delay(10**9) == LONGEST == 900


def test_whoever_guesses_waits_longer_and_longer(delays, clock):
    assert delays.wait("anna", HERE) == 0
    waited = 0.0
    for count in range(1, 20):
        delays.failed("anna", HERE)
        assert delays.wait("anna", HERE) == delay(count)
        clock[0] += delay(count) - 0.5
        assert delays.wait("anna", HERE) == 0.5
        clock[0] += 0.5
        assert delays.wait("anna", HERE) == 0
        waited += delay(count)
    assert waited > 2 * 3600  # for 19 guesses


def test_another_name_from_the_same_address_waits_and_the_name_from_another_one(delays):
    for _ in range(5):
        delays.failed("anna", HERE)
    assert delays.wait("bert", HERE) == delays.wait("ANNA", THERE) == 16
    assert delays.wait("bert", THERE) == 0


def test_it_is_forgotten_after_a_day(delays, clock, store):
    for _ in range(12):
        delays.failed("anna", HERE)
    clock[0] += FORGOTTEN + 1
    delays.failed("anna", HERE)
    assert delays.wait("anna", HERE) == 1
    clock[0] += FORGOTTEN + 1
    delays.failed("bert", THERE)
    assert store.ask("SELECT count(*) AS n FROM failures") == [{"n": 2}]


def test_nobody_locks_a_user_out_of_his_own_address(delays, clock):
    delays.right("anna", HERE)
    for _ in range(12):
        delays.failed("anna", THERE)
    assert delays.wait("anna", HERE) == 0 and delays.wait("anna", THERE) == LONGEST
    clock[0] += 31 * 86400
    delays.failed("anna", THERE)
    assert delays.wait("anna", HERE) == 1  # so long ago it is not known as his


def test_the_right_password_ends_the_waiting(delays):
    for _ in range(3):
        delays.failed("anna", HERE)
    delays.right("anna", HERE)
    assert delays.wait("anna", HERE) == delays.wait("anna", THERE) == delays.wait("bert", HERE) == 0


def test_an_account_of_ones_own_does_not_reset_the_guessing_at_others(delays, clock):
    for count in range(1, 8):
        delays.failed("admin", HERE)
        delays.right("eve", HERE)
        assert delays.wait("admin", HERE) == delays.wait("eve", HERE) == delay(count)
        clock[0] += delay(count)


def test_one_network_of_ipv6_is_one_address(delays):
    for number in range(4):
        delays.failed(f"name{number}", f"2001:db8::{number}:1")
    assert delays.wait("other", "2001:db8::ffff") == 8
    assert delays.wait("other", "2001:db8:0:1::1") == 0


def test_it_survives_a_restart_and_a_clock_that_is_set_back(delays, store, clock):
    for _ in range(3):
        delays.failed("anna", HERE)
    again = Delays(store, lambda: clock[0])
    assert again.wait("anna", HERE) == 4
    clock[0] -= 7 * 86400
    assert again.wait("anna", HERE) == 4
    clock[0] += 4
    assert again.wait("anna", HERE) == 0


def test_what_was_typed_as_a_name_stands_nowhere(delays, store):
    delays.failed("my secret password", HERE)
    assert "secret" not in str(store.ask("SELECT * FROM failures"))


def test_many_addresses_fill_no_disk(delays, store, clock, monkeypatch):
    monkeypatch.setattr(delaying, "MOST", 20)
    delays.right("anna", HERE)
    for number in range(60):
        clock[0] += 1
        delays.failed(f"name{number}", f"203.0.113.{number}")
    assert store.ask("SELECT count(*) AS n FROM failures")[0]["n"] <= 23
    assert delays.wait("name59", "203.0.113.59") == 1  # the newest are kept
    assert delays.wait("anna", HERE) == 0


def test_tries_that_come_together_are_looked_at_one_by_one(delays):
    """A hundred at once are no hundred guesses: the first failure makes the others wait."""
    looked = []

    async def attempt():
        try:
            async with delays.turn("anna", HERE):
                if delays.wait("anna", HERE):
                    return
                looked.append(1)
                await asyncio.sleep(0)  # the hash is computed on a thread: others run meanwhile
                delays.failed("anna", HERE)
        except Problem as problem:
            assert problem.status == 429

    async def all_at_once():
        await asyncio.gather(*(attempt() for _ in range(100)))

    asyncio.run(all_at_once())
    assert len(looked) == 1


def test_two_at_once_and_each_address_has_few_that_wait(delays):
    async def story():
        inside, most, refused = [0], [0], [0]
        go = asyncio.Event()

        async def attempt(name, peer):
            try:
                async with delays.turn(name, peer):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    await go.wait()
                    inside[0] -= 1
            except Problem:
                refused[0] += 1

        flood = [asyncio.create_task(attempt(f"n{i}", HERE)) for i in range(30)]
        await asyncio.sleep(0)
        assert refused[0] == 30 - 1 - delaying.OF_ONE
        other = asyncio.create_task(attempt("anna", THERE))
        for _ in range(3):
            await asyncio.sleep(0)
        assert inside[0] == 2  # somebody elsewhere has his turn at once
        go.set()
        await asyncio.gather(*flood, other)
        assert most[0] == 2
        async with delays.turn("anna", HERE):
            pass

    asyncio.run(story())


def test_one_that_leaves_while_it_waits_keeps_nobody_waiting(delays):
    async def story():
        async def attempt():
            async with delays.turn("anna", HERE):
                pass

        async with delays.turn("anna", THERE):
            gone, stays = asyncio.create_task(attempt()), asyncio.create_task(attempt())
            await asyncio.sleep(0)
            gone.cancel()
        await asyncio.wait_for(stays, 10)

    asyncio.run(story())
