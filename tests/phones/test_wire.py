"""The fused lock-step held against the plain form: the same server, the same words, the same outcome."""

from __future__ import annotations

import random
import socket
import threading

import pytest

from mv_iptel.phones.boot import Booted, Fetch, Fetched, Server, Servers
from mv_iptel.phones.live import Live
from mv_iptel.phones.storm import Plan, Storm
from mv_iptel.phones.wire import Reference, key
from mv_iptel.tftp import protocol as tftp

CONTENT = random.Random(4).randbytes(512 * 3 + 17)
PACKETS = tftp.cut(CONTENT, 1, 512, True).packets
EXACT = tftp.cut(CONTENT[:1024], 1, 512, True).packets

# What the server does after the request: a packet to send, or None: hear what the phone says.
SERVERS: dict[str, tuple[bytes, list[bytes | None]]] = {
    "in order": (CONTENT, [PACKETS[0], None, PACKETS[1], None, PACKETS[2], None, PACKETS[3], None]),
    "a block comes twice": (
        CONTENT,
        [PACKETS[0], None, PACKETS[0], None, PACKETS[1], None, PACKETS[1], None, PACKETS[2], None,
         PACKETS[3], None],
    ),
    "an older echo is passed over": (
        CONTENT,
        [PACKETS[0], None, PACKETS[1], None, PACKETS[2], None, PACKETS[0], PACKETS[3], None],
    ),
    "a block ahead is passed over": (
        CONTENT,
        [PACKETS[0], None, PACKETS[2], PACKETS[1], None, PACKETS[2], None, PACKETS[3], None],
    ),
    "noise is passed over": (
        CONTENT,
        [PACKETS[0], None, b"", b"\0", b"\0\4\0\2", PACKETS[1], None, PACKETS[2], None, PACKETS[3], None],
    ),
    "an acknowledgement was lost: it is said again": (
        CONTENT,
        [PACKETS[0], None, None, PACKETS[1], None, PACKETS[2], None, PACKETS[3], None],
    ),
    "a full last block": (CONTENT[:1024], [EXACT[0], None, EXACT[1], None, EXACT[2], None]),
    "an empty file": (b"", [tftp.cut(b"", 1, 512, True).packets[0], None]),
    "no such file": (CONTENT, [tftp.error(1)]),
    "refused in the middle": (CONTENT, [PACKETS[0], None, tftp.error(2)]),
}  # fmt: skip


def serve(steps: list[bytes | None]):
    """A server for one transfer: its place, what it heard, its thread."""
    main = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    main.bind(("127.0.0.1", 0))
    heard: list[bytes] = []

    def run() -> None:
        with main, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as transfer:
            for sock in (main, transfer):
                sock.settimeout(10)
            request, phone = main.recvfrom(600)
            heard.append(request)
            for step in steps:
                if step is None:
                    heard.append(transfer.recv(600))
                else:
                    transfer.sendto(step, phone)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return Server("tftp", "127.0.0.1", main.getsockname()[1]), heard, thread


def plain(wants: Fetch) -> Fetched:
    """One file by the plain form."""
    with Live(patience=8) as live:
        return live.fetch(wants)


def fused(wants: Fetch, content: bytes) -> tuple[Fetched | None, Storm]:
    """One file by a storm of one phone."""
    results: list[Fetched] = []

    def play(handset, servers, firmware):
        results.append((yield wants))
        return Booted(results[0].result == "ok", results[0].detail, handset)

    plan = Plan(1, {"tftp": Servers()}, {"tftp": 1}, arrival=0, within=8)
    storm = Storm(plan, {key(wants): Reference(content)}, play=play)
    storm.run()
    return (results[0] if results else None), storm


@pytest.mark.parametrize("case", SERVERS)
def test_the_fused_form_speaks_like_the_plain_one(case):
    content, steps = SERVERS[case]
    said, got = [], []
    for fetch in (plain, lambda wants: fused(wants, content)[0]):
        place, heard, thread = serve(steps)
        got.append(fetch(Fetch(place, "app.bin", "software")))
        thread.join(10)
        said.append(heard)
    assert said[0] == said[1]
    assert said[0][0] == b"\0\1app.bin\0octet\0"
    assert len(said[0]) == 1 + steps.count(None)
    assert got[0].result == got[1].result
    assert got[0].data == got[1].data
    assert got[0].data == (content if got[0].result == "ok" else None)
    assert got[0].size == got[1].size
    if got[0].result != "ok":
        assert got[0].detail == got[1].detail


@pytest.mark.parametrize("offset", [0, 511, 512, len(CONTENT) - 1])
def test_a_wrong_byte_is_told_with_its_block(offset):
    wrong = bytearray(CONTENT)
    wrong[offset] ^= 1
    packets = tftp.cut(bytes(wrong), 1, 512, True).packets
    steps: list[bytes | None] = []
    for packet in packets[: offset // 512]:
        steps += [packet, None]
    place, _, thread = serve([*steps, packets[offset // 512]])
    got, storm = fused(Fetch(place, "app.bin", "software"), CONTENT)
    thread.join(10)
    assert got is None
    (phone,) = storm.result.failed
    assert phone.why == f"app.bin: wrong bytes in block {offset // 512 + 1}"


def test_references_of_tftp_and_http_are_apart():
    keys = [key(Fetch(Server(protocol, "s", 0), "a", "file")) for protocol in ("tftp", "http", "https")]
    assert keys[0] != keys[1] == keys[2]


def test_the_packets_of_a_reference_are_made_once():
    reference = Reference(CONTENT)
    assert reference.segment is reference.segment
    assert reference.segment.packets == PACKETS
