"""What clients send: too much, too slow, cut off, packed, in pieces."""

from __future__ import annotations

import asyncio
import http.client
import socket
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.http_exceptions import TransferEncodingError

from manager import bodies
from manager.bodies import Bodies
from manager.problems import Problem


class Content:
    """A body that comes in these pieces; None: nothing comes any more; an exception is raised."""

    def __init__(self, *pieces):
        self._pieces = list(pieces)

    async def read(self, size):
        piece = self._pieces.pop(0) if self._pieces else b""
        if piece is None:
            await asyncio.Event().wait()
        if isinstance(piece, Exception):
            raise piece
        return piece


def request(*pieces, length=None, **headers):
    closed = []
    return SimpleNamespace(
        content=Content(*pieces), content_length=length, headers=headers,
        protocol=SimpleNamespace(force_close=lambda: closed.append(True)), closed=closed,
    )  # fmt: skip


def whole(asked, most=10):
    return asyncio.run(Bodies().whole(asked, most))


def parts(asked, most=10):
    async def all_of_it():
        return [piece async for piece in Bodies().parts(asked, most)]

    return asyncio.run(all_of_it())


def test_all_of_it():
    assert whole(request(b"ab", b"cd")) == b"abcd"
    assert parts(request(b"ab", b"cd", length=4)) == [b"ab", b"cd"]


@pytest.mark.parametrize("read", [whole, parts])
@pytest.mark.parametrize("asked", [
    lambda: request(length=11), lambda: request(b"x" * 6, b"x" * 5),
    lambda: request(b"x" * 6, b"x" * 5, length=6),
])  # fmt: skip
def test_too_much(read, asked):
    with pytest.raises(Problem) as told:
        read(asked())
    assert told.value.kind == "too-big"


@pytest.mark.parametrize("fault", [web.RequestPayloadError("cut"), TransferEncodingError("bad chunk")])
@pytest.mark.parametrize("read", [whole, parts])
def test_what_does_not_hold_what_it_says(read, fault):
    asked = request(b"ab", fault)
    with pytest.raises(Problem) as told:
        read(asked)
    assert told.value.kind == "bad-request" and asked.closed


def test_an_upload_that_is_cut_off():
    with pytest.raises(Problem, match="cut off"):
        parts(request(b"ab", length=4))


@pytest.mark.parametrize("read", [whole, parts])
def test_packed_bodies(read):
    with pytest.raises(Problem, match="Content-Encoding"):
        read(request(b"ab", **{"Content-Encoding": "gzip"}))


def test_a_body_that_does_not_come(monkeypatch):
    monkeypatch.setattr(bodies, "PATIENCE", 0.01)
    monkeypatch.setattr(bodies, "WINDOW", 0.01)
    for read in (whole, parts):
        asked = request(b"a", None)
        with pytest.raises(Problem):
            read(asked)
        assert asked.closed


def test_an_upload_by_drops(monkeypatch):
    clock = iter(range(0, 1000, 7))
    monkeypatch.setattr(bodies, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    with pytest.raises(Problem, match="slower"):
        parts(request(*[b"x"] * 20), most=1000)
    fast = [b"x" * bodies.SLOWEST * 8] * 9
    assert parts(request(*fast), most=1 << 24) == fast


# over a real line


def raw(here, person, head: str, body: bytes = b"") -> bytes:
    """The answer; who waits for the end of the connection waits as long as aiohttp does for the body."""
    cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    head += (
        f"Host: localhost\r\nCookie: {cookies}\r\nX-CSRF-Token: {person.csrf}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", here.port), 15) as line:
        line.sendall(head.encode() + body)
        answer = http.client.HTTPResponse(line)
        answer.begin()
        answer.read()
        return f"HTTP/1.1 {answer.status} {answer.reason}".encode()


PUT = "PUT /api/v1/account/password HTTP/1.1\r\nContent-Type: application/json\r\n"


def test_a_document_that_is_too_big(here, viewer):
    assert b" 413 " in raw(here, viewer, PUT + "Content-Length: 9999999\r\n")
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    assert b" 413 " in raw(here, viewer, PUT + "Transfer-Encoding: chunked\r\n", piece * 2)


def test_broken_framing(here, viewer, caplog):
    assert b" 400 " in raw(here, viewer, PUT + "Transfer-Encoding: chunked\r\n", b"zz\r\nx")
    both = PUT + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    assert b" 400 " in raw(here, viewer, both, b"0\r\n\r\n")
    assert b" 400 " in raw(here, viewer, PUT + "Content-Length: 2\r\nContent-Length: 3\r\n", b"{}x")
    assert b" 400 " in raw(here, viewer, PUT + "Content-Length: -1\r\n")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_what_is_no_document(here, viewer):
    for body in (b"[]", b"5", b"{", b"\xff", b"[" * 60000, b'"x"', b"NaN"):
        head = PUT + f"Content-Length: {len(body)}\r\n"
        assert b" 400 " in raw(here, viewer, head, body), body[:10]
