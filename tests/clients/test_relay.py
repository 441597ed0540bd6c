"""The relay itself: what it loses, doubles and keeps apart, against plain sockets."""

from __future__ import annotations

import socket

import pytest

from tests.clients.relay import Relay, Weather

CALM = Weather(lose=0, double=0, reorder=0)


def udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(5)
    return made


@pytest.fixture
def server():
    with udp() as sock:
        yield sock


@pytest.fixture
def client():
    with udp() as sock:
        yield sock


def test_each_answering_port_is_a_port_of_its_own(server, client):
    with Relay(server.getsockname(), seed=1, weather=CALM) as relay, udp() as second:
        client.sendto(b"request", relay.address)
        data, upstream = server.recvfrom(100)
        assert data == b"request"
        server.sendto(b"from the first", upstream)
        data, first_port = client.recvfrom(100)
        assert data == b"from the first"
        second.sendto(b"from another", upstream)
        data, second_port = client.recvfrom(100)
        assert data == b"from another" and second_port != first_port
        client.sendto(b"to another", second_port)
        assert second.recvfrom(100) == (b"to another", upstream)
        client.sendto(b"to the first", first_port)
        assert server.recvfrom(100) == (b"to the first", upstream)


def test_clients_are_kept_apart(server, client):
    with Relay(server.getsockname(), seed=1, weather=CALM) as relay, udp() as other:
        client.sendto(b"one", relay.address)
        other.sendto(b"two", relay.address)
        seen = dict(server.recvfrom(100) for _ in range(2))
        assert seen[b"one"] != seen[b"two"]
        server.sendto(b"for two", seen[b"two"])
        assert other.recvfrom(100)[0] == b"for two"


def test_it_doubles(server, client):
    with Relay(server.getsockname(), seed=1, weather=Weather(lose=0, double=1, reorder=0)) as relay:
        client.sendto(b"once", relay.address)
        assert [server.recvfrom(100)[0] for _ in range(2)] == [b"once", b"once"]
    assert (relay.tally.passed, relay.tally.doubled) == (2, 1)


def test_it_loses_and_reorders_as_the_seed_says(server, client):
    def arrivals(seed: int) -> list[bytes]:
        with Relay(server.getsockname(), seed, Weather(lose=0.2, double=0, reorder=0.2, hold=0.2)) as relay:
            for number in range(50):
                client.sendto(b"%d" % number, relay.address)
            client.sendto(b"", relay.address)
            got = []
            while len(got) + relay.tally.lost < 51:
                got.append(server.recvfrom(100)[0])
            assert relay.tally.lost and relay.tally.reordered
            return got

    first = arrivals(7)
    assert sorted(first, key=lambda data: int(data or 50)) != first and len(set(first)) == len(first)
    assert set(arrivals(7)) == set(first) != set(arrivals(8))
