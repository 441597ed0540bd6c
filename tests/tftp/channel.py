"""A network in memory between the two halves of the protocol: loses, doubles and delays, by a seed."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

from mv_iptel.tftp.protocol import (
    Ask,
    Fetch,
    Limits,
    Segment,
    Transfer,
    agree,
    blocks_per_segment,
    cut,
    parse,
    to_netascii,
)


class Text:
    """A source of packets in memory: what `Image` is for files."""

    def __init__(self, data: bytes, blksize: int, mode: str = "octet"):
        self.stream = to_netascii(data) if mode == "netascii" else data
        self.blksize = blksize

    def segment(self, index: int) -> Segment:
        """The index-th run of packets."""
        count = blocks_per_segment(self.blksize)
        start, octets = index * count * self.blksize, count * self.blksize
        piece = self.stream[start : start + octets]
        return cut(piece, index * count + 1, self.blksize, len(piece) < octets)


@dataclass
class Weather:
    """Shares from 0 to 1; a datagram takes up to `delay` seconds, so that they overtake each other."""

    lose: float = 0.0
    double: float = 0.0
    delay: float = 0.02


@dataclass
class Talk:
    """What came of one download."""

    fetch: Fetch
    transfer: Transfer | None = None
    data: bytes = b""
    seconds: float = 0.0
    said: list[bytes] = field(default_factory=list)  # every datagram of the server's, in order


def talk(
    data: bytes,
    ask: Ask,
    weather: Weather,
    seed: int,
    *,
    limits: Limits | None = None,
    retries: int = 12,
    most: float = 3600.0,
) -> Talk:
    """One download from the first request until both sides have ended or been silent."""
    rng = random.Random(seed)
    order = itertools.count()
    wire: list[tuple[float, int, bool, bytes]] = []  # when, order, to the server, datagram
    now = 0.0
    result = Talk(Fetch(ask, now, retries=retries))
    fetch = result.fetch

    def put(to_server: bool, packets: list[bytes]) -> None:
        for packet in packets:
            for _ in range(2 if rng.random() < weather.double else 1):
                if rng.random() >= weather.lose:
                    heapq.heappush(wire, (now + rng.random() * weather.delay, next(order), to_server, packet))

    def server(packet: bytes | None) -> None:
        transfer = result.transfer
        if packet is None:
            assert transfer is not None
            transfer.tick(now)
        elif packet[1] == 1:
            asked = parse(packet)
            if transfer is None:
                terms = agree(asked, len(data), limits or Limits())
                transfer = result.transfer = Transfer(Text(data, terms.blksize, asked.mode), terms, now)
            elif not transfer.acked and not transfer.outcome:
                transfer.again(now)
        elif transfer is not None:
            transfer.receive(packet, now)
        if transfer is not None:
            packets = transfer.to_send()
            result.said += packets
            put(False, packets)

    put(True, fetch.to_send())
    while now < most:
        transfer = result.transfer
        waits = [(wire[0][0], 0)] if wire else []
        if transfer is not None and not transfer.outcome:
            waits.append((transfer.deadline, 1))
        if not fetch.outcome:
            waits.append((fetch.deadline, 2))
        if not waits:
            break
        now, what = min(waits)
        if what == 1:
            server(None)
        elif what == 2:
            fetch.tick(now)
        else:
            _, _, to_server, packet = heapq.heappop(wire)
            if to_server:
                server(packet)
            else:
                fetch.receive(packet, now)
        result.data += fetch.read()
        put(True, fetch.to_send())
    result.seconds = now
    return result
