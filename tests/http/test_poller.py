"""Both ways to watch sockets tell the same, and a server runs on either."""

from __future__ import annotations

import asyncio
import select
import socket

import pytest

from mv_iptel.http import poller
from mv_iptel.turns import Turns
from tests.http.site import Site


class One:
    """One end of a pair of sockets, and what it was told."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.fd = sock.fileno()
        self.wants_write = False
        self.told: list[str] = []

    def readable(self) -> None:
        self.told.append("read")
        self.sock.recv(100)

    def writable(self) -> None:
        self.told.append("write")


@pytest.mark.parametrize("kind", [poller.Poller, poller.LoopPoller])
def test_what_is_told(kind):
    async def run() -> None:
        watching = kind(asyncio.get_running_loop(), Turns())
        here, there = socket.socketpair()
        with here, there:
            one = One(here)

            async def told(read: bool, write: bool) -> list[str]:
                one.wants_write = write
                watching.watch(one, read, write)
                one.told.clear()
                for _ in range(3):  # turns of the loop
                    await asyncio.sleep(0)
                return sorted(set(one.told))

            assert await told(True, False) == []
            there.send(b"x")
            assert await told(True, False) == ["read"]
            assert await told(True, True) == ["write"]
            there.send(b"x")
            assert await told(True, True) == ["read", "write"]
            there.send(b"x")
            assert await told(False, True) == ["write"]
            assert await told(False, False) == []
            assert await told(False, False) == []
            assert await told(True, False) == ["read"]
            there.close()
            assert await told(True, False) == ["read"]
            watching.watch(one, False, False)
        watching.close()
        watching.close()

    asyncio.run(run())


def test_a_server_without_epoll(home, monkeypatch):
    site = Site(home)
    monkeypatch.delattr(select, "epoll")
    content = bytes(range(256)) * 20_000
    with site:
        assert isinstance(site.server.poller, poller.LoopPoller)
        site.write("fw.bin", content)
        for proto in ("http", "https"):
            assert bytes(site.get("/fw.bin", proto).body) == content
        assert site.talk(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_fault_in_one_connection_touches_no_other(site):
    """Nothing is left that would come again and again."""
    site.write("a.txt", b"x")
    with site.connect() as broken, site.connect() as other:
        site.until(lambda: len(site.server._connections) == 2)

        def spoil() -> None:
            port = broken.getsockname()[1]
            (one,) = [c for c in site.server._connections if c.client.port == port]
            one.incoming = None  # what no code should do

        site.call(spoil)
        broken.sendall(b"GET /a.txt HTTP/1.1\r\n\r\n")
        assert broken.recv(1) == b""
        assert site.get("/a.txt").status == 200
        other.sendall(b"GET /a.txt HTTP/1.1\r\n\r\n")
        assert other.recv(12) == b"HTTP/1.1 200"
    assert [event.kind for event in site.events() if event.event == "notice"] == ["fault"]
