"""Many phones asked at a bounded rate, over real sockets; who is silent holds up nobody."""

from __future__ import annotations

import threading

import pytest

from mv_iptel.snmp import Silence, Terms
from mv_iptel.snmp.sweep import sweep
from tests.snmp.test_survey import SIP, TOLD, replies
from tests.snmp.wire import Asked, Responder

TERMS = Terms("ours", timeout=0.2, retries=1)


def proper(data, reply):
    for one in replies(Asked.read(data), SIP):
        reply(one)


def swept(addresses, port, **options):
    told = []
    sweep(addresses, TERMS._replace(port=port), lambda *one: told.append(one), **options)
    return told


def test_each_address_is_told_once():
    with Responder(proper) as agent:
        told = swept(["127.0.0.1"] * 50 + ["127.0.0.99", "no address"], agent.port, rate=1000, most=8)
    assert len(told) == 52
    assert sum(answer == TOLD for _, answer in told) == 50
    assert {one for one, answer in told if isinstance(answer, Silence)} == {"127.0.0.99", "no address"}


def test_no_more_than_so_many_wait_at_a_time():
    """Nobody answers before as many have asked as may: one more would hang, one less would not do."""
    held, most = [], 10

    def react(data, reply):
        held.append((data, reply))
        if len(held) == most:
            for each, back in held:
                proper(each, back)
            held.clear()

    with Responder(react) as agent:
        terms = TERMS._replace(port=agent.port, timeout=20)
        told = []
        sweep(["127.0.0.1"] * most, terms, lambda *one: told.append(one), most=most)
    assert [answer for _, answer in told] == [TOLD] * most


def test_the_rate_is_kept_and_a_pause_is_not_made_up_for():
    now, paused = [0.0], []

    def pause(seconds):
        paused.append(seconds)
        now[0] += seconds

    with Responder(proper) as agent:
        swept(["127.0.0.1"] * 11, agent.port, rate=10, clock=lambda: now[0], pause=pause)
        assert now[0] == pytest.approx(1.0) and max(paused) == pytest.approx(0.1)

        def addresses():
            for number in range(21):
                if number == 10:
                    now[0] += 100.0  # the machine slept
                yield "127.0.0.1"

        now[0] = 0.0
        swept(addresses(), agent.port, rate=10, clock=lambda: now[0], pause=pause)
    assert now[0] == pytest.approx(100.9 + 1.0, abs=0.2)


def test_nothing_to_ask():
    assert swept([], 9) == []


def test_a_fault_of_who_listens_ends_it():
    began = []

    def addresses():
        for _ in range(10_000):
            began.append(1)
            yield "127.0.0.1"

    with Responder(proper) as agent, pytest.raises(ZeroDivisionError):
        sweep(addresses(), TERMS._replace(port=agent.port), lambda *_: 1 / 0, most=2)
    assert len(began) < 100


def test_an_interruption_tells_who_waits_and_leaves_no_thread():
    told = []

    def addresses():
        yield "127.0.0.1"
        raise KeyboardInterrupt

    with Responder(lambda data, reply: None) as agent, pytest.raises(KeyboardInterrupt):
        sweep(addresses(), TERMS._replace(port=agent.port, timeout=60), lambda *one: told.append(one))
    assert [isinstance(answer, Silence) for _, answer in told] == [True]
    assert "snmp" not in {thread.name for thread in threading.enumerate()}
