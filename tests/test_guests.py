"""Connections of an aiohttp server: how many of whom, those that say nothing, plain ones and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time

import pytest

from mv_iptel import certs, guests, ports
from mv_iptel.guests import Context, Guests, Limits
from mv_iptel.home import Home
from mv_iptel.init import create


class Echo(asyncio.Protocol):
    """Says back what it hears."""

    transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, error):
        self.transport = None


@contextlib.asynccontextmanager
async def serving(limits=Limits(), context=None, **more):  # noqa: B008
    sock = ports.listen("127.0.0.1", 0, 64)
    here = Guests(Echo, limits, **more)
    task = asyncio.create_task(here.accept(sock, context))
    try:
        yield here, sock.getsockname()[1]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for one in [*here.here, *HELD]:
            one.close()
        HELD.clear()
        sock.close()


HELD: list[asyncio.StreamWriter] = []  # who forgets a connection closes it


async def visit(port, source="127.0.0.1", context=None):
    """A connection, and what came back of one octet: nothing if it was closed."""
    name = "localhost" if context else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        port,
        local_addr=(source, 0),
        ssl=context,
        server_hostname=name,
    )
    HELD.append(writer)
    try:
        writer.write(b"x")
        return writer, await reader.read(1)
    except ConnectionError:
        return writer, b""


def test_one_host_has_only_so_many():
    async def story():
        async with serving(Limits(strange=3)) as (here, port):
            got = [(await visit(port))[1] for _ in range(5)]
            assert got == [b"x"] * 3 + [b""] * 2
            assert (await visit(port, "127.0.0.2"))[1] == b"x"
            assert len(here.here) == 4

    asyncio.run(story())


def test_who_is_known_counts_as_no_stranger():
    async def story():
        async with serving(Limits(strange=1, named=2)) as (here, port):
            for _ in range(2):
                assert (await visit(port))[1] == b"x"
                (stranger,) = [one for one in here.here if not one.name]
                assert here.known(stranger.protocol, "anna") and here.known(stranger.protocol, "anna")
            assert (await visit(port))[1] == b"x"
            (stranger,) = [one for one in here.here if not one.name]
            assert not here.known(stranger.protocol, "anna") and here.known(stranger.protocol, "bert")

    asyncio.run(story())


def test_the_oldest_of_who_has_most_makes_room():
    async def story():
        async with serving(Limits(strangers=4)) as (here, port):
            for source in ("127.0.0.2", "127.0.0.3", "127.0.0.3", "127.0.0.4"):
                assert (await visit(port, source))[1] == b"x"
            assert (await visit(port, "127.0.0.5"))[1] == b"x"
            assert sorted(one.host[-1] for one in here.here) == ["2", "3", "4", "5"]

    asyncio.run(story())


def test_a_banned_host():
    async def story():
        async with serving(banned=lambda address: address == "127.0.0.9") as (here, port):
            assert (await visit(port, "127.0.0.9"))[1] == b"" and not here.here

    asyncio.run(story())


def test_who_says_nothing_goes_and_who_is_served_stays():
    async def story():
        async with serving() as (here, port):
            for _ in range(2):
                await visit(port)
            first, second = here.here
            here.busy(second.protocol)
            here.forget(time.monotonic() + guests.IDLE + 1)
            assert list(here.here) == [second] and first.protocol.transport.is_closing()
            here.idle(second.protocol)
            here.forget(time.monotonic())
            assert list(here.here) == [second]
            here.busy(None), here.idle(None)  # a connection that is gone already
            assert here.known(None, "x")

    asyncio.run(story())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    create(home, "localhost", ["127.0.0.1"])
    return home


def test_over_tls_and_a_certificate_that_is_replaced(home):
    told: list[str] = []
    context = Context(home.cert_file, home.key_file, told.append)
    trust = ssl.create_default_context(cafile=str(home.ca_cert))

    async def story():
        async with serving(context=context) as (_, port):

            async def shown():
                writer, got = await visit(port, context=trust)
                assert got == b"x"
                return writer.get_extra_info("peercert")["serialNumber"]

            first = await shown()
            certs.renew(home, force=True)
            second = await shown()
            assert second != first and not told
            # A key of another kind takes the place of the old one, which no client may find beside it.
            names = certs.names_of(certs.load_chain(home.cert_file)[0])
            certs.make_server(home, names, shape=certs.Shape("p256"))
            assert await shown() not in (first, second)
            trust.maximum_version = ssl.TLSVersion.TLSv1_2
            trust.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await shown()
            trust.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
            second = await shown()
            home.key_file.write_bytes(b"broken")
            assert await shown() == second and "stays in use" in told[0]
            with socket.create_connection(("127.0.0.1", port)) as plain:
                plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
                plain.setblocking(False)
                with contextlib.suppress(ConnectionError):
                    while await asyncio.get_running_loop().sock_recv(plain, 100):
                        pass
            assert str(context) == str(home.cert_file)

    asyncio.run(story())
