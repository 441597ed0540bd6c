"""Both ways to watch sockets tell the same, and a server runs on either."""

from __future__ import annotations

import asyncio
import select
import socket
import threading

import pytest

from mv_iptel.http import poller
from tests.http.site import Site, read_all


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
        watching = kind(asyncio.get_running_loop())
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


class Host:
    """Another thread that serves, as TFTP's does while it is busy."""

    def __init__(self):
        self.busy = False
        self.guest = None
        self.thread = None
        self.served = set()  # by which threads

    def lend(self, guest) -> bool:
        if self.busy:
            self.guest = guest
            self.thread = threading.Thread(target=self.run, daemon=True)
            self.thread.start()
        return self.busy

    def run(self) -> None:
        guest = self.guest
        while self.busy:
            try:
                ready = select.select([guest.fd], [], [], 0.01)[0]
            except OSError:  # the server has ended
                return
            if ready:
                self.served.add(threading.current_thread().name)
                guest.serve()
        guest.back()

    def ends(self) -> None:
        self.busy = False
        if self.thread:
            self.thread.join(10)


def test_a_server_whose_connections_are_lent(home):
    host = Host()
    site = Site(home, {"settings": {"max_clients": 1}}, host.lend)
    content = bytes(range(256)) * 20_000
    # Sixteen requests at once, of which the last says that the connection ends.
    many = [b"GET /fw.bin HTTP/1.1\r\n\r\n"] * 15 + [b"GET /fw.bin HTTP/1.1\r\nConnection: close\r\n\r\n"]
    with site:
        site.write("fw.bin", content)
        for busy in (False, True, False, True):
            host.ends()
            host.busy = busy
            host.served.clear()
            for proto in ("http", "https"):
                assert bytes(site.get("/fw.bin", proto).body) == content
            assert len(site.talk(b"".join(many))) > 16 * len(content)
            # One that waits for a slot gets it, whichever thread it is served by.
            site.library.slots.take("127.0.0.9")
            with site.connect(source_address=("127.0.0.8", 0)) as sock:
                sock.sendall(b"GET /fw.bin HTTP/1.0\r\n\r\n")
                site.until(lambda: len(site.server._held) == 1)
                site.library.slots.free("127.0.0.9")
                assert read_all(sock).endswith(content)
            site.library.slots.free("127.0.0.8")
            assert bool(host.served) is busy
        host.busy = True
        with site.connect() as idle:
            idle.sendall(b"GET /none HTTP/1.1\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 404"
            site.pass_time(3600)  # deadlines hold for a lent connection too
            while idle.recv(100):
                pass
    host.ends()


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
