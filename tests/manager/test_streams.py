"""Live pages: silence, a session that ends, a source that fails, a browser that takes nothing."""

from __future__ import annotations

import asyncio
import http.client

import pytest

from manager import streams
from manager.problems import Problem
from manager.routing import VIEWER


@pytest.fixture
def watched(here, monkeypatch):
    """`watched(source)`: what a person gets of an operation whose events are this source."""

    def get(source, person):
        monkeypatch.setattr(here.site.operations, "watch", lambda key: source())
        monkeypatch.setattr(here.site.operations, "get", lambda key: {"id": "x", "who": "viewer"})
        line = http.client.HTTPConnection("127.0.0.1", here.port, timeout=30)
        cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
        line.request("GET", "/api/v1/operations/x/events", headers={"Cookie": cookies})
        return line.getresponse()

    return get


def all_of(answer) -> str:
    try:
        return answer.read().decode()
    except (http.client.IncompleteRead, ConnectionError) as cut:
        return getattr(cut, "partial", b"").decode()


def test_silence_is_filled(watched, viewer, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)
    go = asyncio.Event()

    async def source():
        await go.wait()
        yield {"who": "viewer", "text": "\u2028 <script> ü \udc80"}

    answer = watched(source, viewer)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.readline() == b": still here\n"
    go._loop.call_soon_threadsafe(go.set)
    text = all_of(answer)
    assert "event: operation\ndata: " in text and text.isascii() and "event: end" in text


def test_it_ends_with_the_session(here, watched, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)
    person, closed = here.person(VIEWER, "leaves"), []

    async def source():
        try:
            while True:
                yield {"who": "leaves"}
                await asyncio.sleep(3600)
        finally:
            closed.append(True)

    answer = watched(source, person)
    assert answer.readline() == b"event: operation\n"
    here.site.sessions.end_all("leaves")
    all_of(answer)
    assert closed and not streams._open


@pytest.mark.parametrize("fault", [ValueError("a secret"), Problem("unreachable"), ConnectionError()])
def test_a_source_that_fails(watched, viewer, caplog, fault):
    async def source():
        yield {"who": "viewer"}
        raise fault

    text = all_of(watched(source, viewer))
    assert "event: operation" in text and "event: end" not in text and "secret" not in text
    assert ("a stream failed" in caplog.text) == isinstance(fault, ValueError)
    assert not streams._open


def test_a_browser_that_takes_nothing(here, watched, viewer, monkeypatch):
    monkeypatch.setattr(streams, "PATIENCE", 0.05)
    done = asyncio.Event()

    async def source():
        try:
            while True:
                yield {"who": "viewer", "text": "x" * 1_000_000}
        finally:
            done.set()

    answer = watched(source, viewer)
    asyncio.run_coroutine_threadsafe(asyncio.wait_for(done.wait(), 30), here.loop).result(30)
    answer.close()


def test_one_user_takes_not_all_of_them(here, watched, viewer, monkeypatch):
    """With however many browsers."""
    monkeypatch.setattr(streams, "OF_ONE", 1)
    go = asyncio.Event()

    async def source():
        yield {"who": "viewer"}
        await go.wait()

    answer = watched(source, viewer)
    assert answer.readline() == b"event: operation\n"
    assert watched(source, here.person(VIEWER)).status == 503
    other = watched(source, here.person(VIEWER, "another"))
    assert other.status == 200
    here.loop.call_soon_threadsafe(go.set)
    all_of(answer), all_of(other)
