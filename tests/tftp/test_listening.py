"""The port: who may have it, what is told of it, which address answers."""

from __future__ import annotations

import os
import socket

import pytest

from mv_iptel.events import Stream
from mv_iptel.ports import RETRY
from mv_iptel.tftp.listening import Listener, raise_buffer
from mv_iptel.tftp.protocol import REQUEST_MAX


@pytest.fixture
def told():
    class Told(list):
        def receive(self, batch):
            self.extend(batch)

    return Told()


@pytest.fixture
def listen(told):
    stream, made = Stream(told), []

    def listen_(address: str, port: int = 0) -> Listener:
        made.append(Listener(address, port, stream))
        return made[-1]

    yield listen_
    for one in made:
        one.close()
    stream.drain()


@pytest.mark.parametrize(
    ("address", "asked"), [("0.0.0.0", "127.0.0.5"), ("127.0.0.6", "127.0.0.6"), ("::", "::1")]
)
def test_a_datagram_and_its_answer(listen, address, asked):
    one = listen(address)
    assert one.open(0.0) and one.state == "up" and one.buffer > 0
    assert one.receive() is None
    with socket.socket(socket.AF_INET6 if ":" in asked else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"x" * 60_000, (asked, one.port))
        datagram = one.receive()
        assert datagram is not None and len(datagram.data) == REQUEST_MAX + 1  # cut, and known to be cut
        one.say(b"yes", datagram.peer, datagram.local)
        answer, sender = client.recvfrom(100)
        assert (answer, sender[:2]) == (b"yes", (asked, one.port))
    assert one.told()["state"] == "up"
    one.close()
    assert one.receive() is None
    one.say(b"nobody hears it", ("127.0.0.1", 9), b"")
    assert one.told()["state"] == "off"


def test_a_taken_port(listen, told):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        one = listen("127.0.0.1", holder.getsockname()[1])
        assert not one.open(100.0)
        assert one.state == "failed" and f"(process {os.getpid()})" in one.error
        assert one.retry_at == 100.0 + RETRY
        assert not one.open(130.0)
    assert one.open(160.0)
    assert (one.state, one.error, one.retry_at) == ("up", "", float("inf"))
    one._stream.drain()
    assert [event.state for event in told] == ["failed", "up"]  # not told again for every attempt


def test_an_address_that_is_not_ours(listen):
    one = listen("192.0.2.77")
    assert not one.open(0.0)
    assert one.state == "failed" and one.error and one.retry_at == RETRY


def test_the_buffer_is_raised():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert raise_buffer(sock) == sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= before
