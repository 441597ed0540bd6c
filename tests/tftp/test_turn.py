"""The server's fused loop against the plain state machine, datagram by datagram."""

from __future__ import annotations

import contextlib
import select
import socket
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mv_iptel.tftp.flow import Flow
from mv_iptel.tftp.poller import IN
from mv_iptel.tftp.protocol import Terms, Transfer
from tests.tftp.channel import Text

# What the client sends next, relative to the block on the wire; or what else happens.
MOVES = st.lists(
    st.sampled_from(
        ["right"] * 12 + ["echo", "older", "ahead", "short", "long", "error", "noise", "late", "mute"]
    ),
    max_size=400,
)


def drain(sock: socket.socket) -> list[bytes]:
    got = []
    with contextlib.suppress(BlockingIOError):
        while True:
            got.append(sock.recv(70000))
    return got


@pytest.fixture
def server(house):
    return house(start=False).server


@contextlib.contextmanager
def flow_of(server, source, terms):
    """A flow that speaks over a pair of sockets; the client's end."""
    ours, client = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    client.setblocking(False)
    flow = Flow(source, terms, 0.0, ours)
    flow.gso = []  # no UDP here
    flow.id = 1
    server._all[1] = server.flows[flow.fd] = flow
    server._poller.register(flow.fd, IN)
    try:
        yield flow, client
    finally:
        server._finish(flow, 0.0)
        client.close()


def packet_of(move: str, block: int) -> bytes:
    number = {"right": block, "late": block, "echo": block - 1, "older": block - 2, "ahead": block + 1}
    if move in number:
        return struct.pack(">HH", 4, number[move] & 0xFFFF)
    right = struct.pack(">HH", 4, block & 0xFFFF)
    return {
        "short": right[:3],
        "long": right + b"\0",
        "error": b"\0\5\0\0bye\0",
        "noise": b"\0\3" + right[2:],
    }[move]


@given(
    st.integers(0, 3000),
    st.sampled_from(
        [Terms(8), Terms(16), Terms(8, oack=b"\0\6blksize\x008\0"), Terms(8, 3, oack=b"\0\6x\x008\0")]
    ),
    MOVES,
)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_fused_loop_is_the_plain_machine(server, size, terms, moves):
    content = bytes(n % 251 for n in range(size))
    plain = Transfer(Text(content, terms.blksize), terms, 0.0)
    with flow_of(server, Text(content, terms.blksize), terms) as (flow, client):
        server._go(flow, 0.0)
        said = drain(client)
        assert said == plain.to_send()
        now, block, fused = 0.0, 0 if terms.oack else 1, 0
        for move in moves:
            now += {"late": 1.2, "mute": 2.5}.get(move, 0.01)
            if move == "mute":
                plain.tick(now)
                flow.tick(now)
                server._go(flow, now)
            else:
                packet = packet_of(move, block)
                plain.receive(packet, now)
                client.send(packet)
                fused += flow.want == packet
                server.turn([(flow.fd, select.POLLIN)], now)
            expected = plain.to_send()
            assert drain(client) == expected
            for packet in expected:
                if packet[1] == 3:
                    block = max(block, struct.unpack(">H", packet[2:4])[0])
            state = [
                (one.base, one.acked, one.tries, one.resends, one.since, one.outcome, one.sent, one.total)
                for one in (plain, flow)
            ]
            assert state[0] == state[1]
            if plain.outcome:
                break
            assert plain.deadline == flow.deadline
        if terms.window == 1 and moves[:3] == ["right"] * 3 and plain.base >= 3:
            assert fused  # the fast way was taken


def test_the_fast_way_carries_a_whole_file(server):
    """Over segments and the wrap of block numbers, almost nothing goes the plain way."""
    content = bytes(8 * 66_000)
    terms = Terms(8)
    with flow_of(server, Text(content, 8), terms) as (flow, client):
        server._go(flow, 0.0)
        block = fast = got = 0
        while not flow.outcome:
            (packet,) = drain(client)
            block += 1
            got += len(packet) - 4
            assert packet[:4] == struct.pack(">HH", 3, block & 0xFFFF)
            answer = b"\0\4" + packet[2:4]
            before = flow.packets
            fast += flow.want == answer
            client.send(answer)
            server.turn([(flow.fd, IN)], 0.0)
            assert flow.packets is before or block % flow.per == 0
        assert (flow.outcome, got, block) == ("ok", len(content), 66_001)
        assert fast >= block - 2


def test_what_finds_no_room_waits_until_there_is_some(server):
    content = bytes(range(256)) * 40
    terms = Terms(64, 64, oack=b"\0\6windowsize\x0064\0")
    with flow_of(server, Text(content, 64), terms) as (flow, client):
        server._go(flow, 0.0)
        got, block = b"", 0
        while not flow.outcome:
            for packet in drain(client):
                if packet[1] == 3:
                    block += 1
                    assert packet[:4] == struct.pack(">HH", 3, block)
                    got += packet[4:]
            if flow.unsent:
                assert flow.fd not in server.flows
                server.turn(server._poller.poll(0), 0.0)
            else:
                assert flow.fd in server.flows
                client.send(struct.pack(">HH", 4, block))
                server.turn(server._poller.poll(0), 0.0)
        assert (flow.outcome, got) == ("ok", content)


def test_a_mistake_of_ours_ends_one_transfer_and_is_told(house):
    class Broken(Text):
        def segment(self, index):
            if index:
                raise RuntimeError("a mistake")
            return super().segment(index)

    one = house(start=False)
    with flow_of(one.server, Broken(bytes(5000), 8), Terms(8)) as (flow, client):
        one.server._go(flow, 0.0)
        for block in range(1, 129):
            client.send(struct.pack(">HH", 4, block))
            one.server.turn([(flow.fd, IN)], 0.0)
        assert drain(client)[-1] == b"\0\5\0\0Not defined\0"
        assert flow.outcome == "failed" and "a mistake" in flow.why
    (notice,) = one.events("notice")
    assert notice.kind == "fault" and "test_turn.py" in notice.text
    one.heard.events.clear()
