"""A restore that is not here, and what other branches change: from a real central server."""

from __future__ import annotations

import os
import threading

import pytest

from mv_iptel.library import Client, Request, Serve
from mv_iptel.library.answers import Challenge
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.store import Origin
from tests.central.branch import Branch, at_the_centre, store_there, until
from tests.central.office import Office

A = "4711_96xxdata.txt"
OPEN = {"snmp": {"use_snmp": False}, "http": {"backup_auth": "none"}}


@pytest.fixture
def office(tmp_path):
    with Office(tmp_path / "office") as running:
        yield running


@pytest.fixture
def branch(tmp_path, office):
    with Branch(tmp_path / "oslo", office, **OPEN) as running:
        until(lambda: running.client.status()["last_ok"])
        yield running


def ask(branch: Branch, name: str, proto: str):
    session = branch.library.admit(Client("192.0.2.7", 1024, proto, f"{proto}:1"))
    answer = session.ask(Request(name.encode()))
    told = []
    if isinstance(answer, Challenge):
        answer.start(told.append)
        [answer] = until(lambda: told)
    return answer


@pytest.mark.parametrize("proto", ["ftp", "http"])
def test_a_phone_gets_what_it_stored_elsewhere(office, branch, proto):
    data = os.urandom(90_000)
    store_there(office, A, data)
    answer = ask(branch, A, proto)
    assert isinstance(answer, Serve), answer
    with answer.body as body:
        assert body.size == len(data)
    assert branch.has(A) == data
    assert branch.library.backups.store.counts() is not None
    assert not branch.client.outbox.waits(A)  # what came from there does not go back
    assert isinstance(ask(branch, A, proto), Serve)


def test_what_nobody_has_is_no_file(branch):
    refused = ask(branch, "99_96xxdata.txt", "ftp")
    assert refused.reason == "no-file" and "none either" in refused.detail


def test_a_centre_that_says_nothing_costs_the_phone_its_time_out_and_no_more(tmp_path, office):
    with Branch(tmp_path / "oslo", office, ftp={"ftp_time_out": 0.2}, **OPEN) as branch:
        until(lambda: branch.client.status()["last_ok"])
        hold = threading.Event()
        office.loop.call_soon_threadsafe(hold.wait, 20)
        try:
            refused = ask(branch, A, "ftp")
            assert refused.reason == "no-file" and "within 0.2 s" in refused.detail
        finally:
            hold.set()


def test_without_a_centre_it_is_said_at_once(office, branch):
    office.call(office.server.stop(0))
    until(lambda: branch.client.status()["error"])
    refused = ask(branch, A, "ftp")
    assert refused.reason == "no-file" and "no central server answers" in refused.detail


def test_many_phones_ask_once(office, branch):
    store_there(office, A, b"one")
    told = []
    for _ in range(20):
        branch.library.backups.elsewhere(parse(A), told.append)
    until(lambda: len(told) == 20)
    assert told == [""] * 20
    history = branch.home.var / "versions" / A / "history.jsonl"
    until(lambda: history.exists() and history.read_text())
    assert len(history.read_text().splitlines()) == 1


def test_what_the_phone_stores_meanwhile_wins(office, branch):
    store_there(office, A, b"from the centre")
    branch.store(A, b"from the phone")
    told = []
    branch.library.backups.elsewhere(parse(A), told.append)
    until(lambda: told)
    assert branch.has(A) == b"from the phone"
    until(lambda: at_the_centre(office, A) == b"from the phone")


def test_a_removal_at_the_centre_removes_what_was_sent(office, branch):
    branch.store(A, b"one")
    until(lambda: at_the_centre(office, A) == b"one" and not branch.client.outbox.waits(A))
    draft = office.library.backups.store.removal(parse(A), Origin())
    draft.commit(lambda stored: None)
    until(lambda: branch.has(A) is None)
    assert list((branch.home.var / "versions" / A).glob("*Z-*"))  # its versions stay
