"""Packet images: a file cut into DATA packets once and sent to many phones, or read straight into them."""

from __future__ import annotations

import os
import struct
from collections import OrderedDict

from mv_iptel.library.contents import Body
from mv_iptel.tftp.protocol import (
    DATA,
    SEGMENT,
    Packet,
    Segment,
    SourceLost,
    Terms,
    blocks_per_segment,
    cut,
    to_netascii,
)

KEPT = 64 << 20  # octets of packets that stay at hand while transfers run
# A ring's memory belongs to one transfer: large windows and the hundredth transfer share images instead.
RINGS, RING_OCTETS = 64, 512 << 10
# What CPython adds to a packet, its ACK and their places in the lists.
PER_PACKET = 33 + 40 + 16


class Images:
    """The segments at hand, the least used given up first. Used by one thread.

    Only those of files that several transfers send are kept: for one alone it would cost memory and gain
    nothing.
    """

    def __init__(self, kept: int = KEPT):
        self.octets = 0
        self.rings = 0  # transfers that read into memory of their own, see Ring
        self._kept = kept
        self._segments: OrderedDict[tuple, tuple[Segment, int]] = OrderedDict()
        self._users: dict[tuple, int] = {}

    def use(self, form: tuple) -> None:
        """One more transfer sends this form of a file: content, block size and mode."""
        self._users[form] = self._users.get(form, 0) + 1

    def unuse(self, form: tuple) -> None:
        """One less."""
        users = self._users[form] - 1
        if users:
            self._users[form] = users
        else:
            del self._users[form]

    def shared(self, form: tuple) -> bool:
        """Whether several transfers send it now."""
        return self._users.get(form, 0) > 1

    def get(self, place: tuple) -> Segment | None:
        """The segment of this place, if it is at hand."""
        found = self._segments.get(place)
        if found is None:
            return None
        self._segments.move_to_end(place)
        return found[0]

    def put(self, place: tuple, segment: Segment) -> None:
        """Keep a segment; transfers that hold one which is given up go on with it."""
        octets = sum(map(len, segment.packets)) + PER_PACKET * len(segment.packets)
        old = self._segments.pop(place, None)
        self._segments[place] = segment, octets
        self.octets += octets - (old[1] if old else 0)
        while self.octets > self._kept:
            _, (_, octets) = self._segments.popitem(last=False)
            self.octets -= octets

    def clear(self) -> None:
        """Give up everything: nothing is being sent."""
        self._segments.clear()
        self.octets = 0


def source_of(images: Images, body: Body, terms: Terms, mode: str) -> Image | Ring:
    """Where a transfer's packets come from, in the cheapest way."""
    if terms.window > 1 and mode == "octet" and body.data is None and hasattr(os, "preadv"):
        octets = (terms.window // blocks_per_segment(terms.blksize) + 2) * SEGMENT
        if images.rings < RINGS and octets <= RING_OCTETS:
            return Ring(images, body, terms.blksize, terms.window)
    return Image(images, body, terms.blksize, mode)


class Image:
    """One transfer's view of its file as segments; the segments themselves are shared. `close` ends it."""

    __slots__ = ("_blksize", "_body", "_form", "_images", "_marks", "_text")

    def __init__(self, images: Images, body: Body, blksize: int, mode: str):
        self._images = images
        self._body = body
        self._blksize = blksize
        self._text = mode == "netascii"
        self._form = (body.key, blksize, mode)
        images.use(self._form)
        # netascii only: where each segment starts in the file, and what the one before left over.
        self._marks: list[tuple[int, bytes]] = [(0, b"")]

    def close(self) -> None:
        """The transfer has ended; called once."""
        self._images.unuse(self._form)

    def segment(self, index: int) -> Segment:
        """The index-th segment; SourceLost if the file was changed in place meanwhile.

        netascii segments are asked for in order the first time, as a transfer does.
        """
        place = (self._form, index)
        segment = self._images.get(place)
        if segment is None:
            segment = self._translated(index) if self._text else self._plain(index)
            if self._images.shared(self._form):
                self._images.put(place, segment)
        if self._text and index + 1 == len(self._marks):
            self._marks.append(segment.after)  # type: ignore[arg-type]
        return segment

    def _plain(self, index: int) -> Segment:
        count = blocks_per_segment(self._blksize)
        octets = count * self._blksize
        start = index * octets
        final = start + octets > self._body.size
        stream = self._read(start, min(octets, self._body.size - start))
        return cut(stream, index * count + 1, self._blksize, final)

    def _translated(self, index: int) -> Segment:
        count = blocks_per_segment(self._blksize)
        octets = count * self._blksize
        start, stream = self._marks[index]
        while len(stream) < octets and start < self._body.size:
            piece = self._read(start, min(octets - len(stream), self._body.size - start))
            start += len(piece)
            stream += to_netascii(piece)
        final = len(stream) < octets
        return cut(stream[:octets], index * count + 1, self._blksize, final, (start, stream[octets:]))

    def _read(self, start: int, octets: int) -> bytes:
        body = self._body
        if body.data is not None:
            return body.data[start : start + octets]
        try:
            stream = os.pread(body.fd, octets, start)
        except OSError as fault:
            raise SourceLost(f"reading {body.path}: {fault.strerror}") from fault
        check(body, len(stream), octets)
        return stream


class Ring:
    """The packets of one transfer in windows, read from the file right to their places behind the headers.

    A few segments' worth of memory is used over and over: a segment is good until the window that it
    belongs to has been left behind. Twice as cheap as cutting, and nothing that lock-step could use.
    """

    __slots__ = ("_blksize", "_body", "_buffers", "_images", "_places", "_runs", "_window")

    def __init__(self, images: Images, body: Body, blksize: int, window: int):
        self._images = images
        self._body = body
        self._blksize = blksize
        self._window = window
        self._buffers: list[bytearray] = []
        self._runs: list[list[Packet]] = []
        self._places: list[list[memoryview]] = []
        images.rings += 1

    def _lay_out(self) -> None:
        """Take the memory: when the first block is due, so that a forged request costs none."""
        blksize = self._blksize
        count, step = blocks_per_segment(blksize), blksize + 4
        # A window may begin and end within a segment.
        buffers = [bytearray(count * step) for _ in range(self._window // count + 2)]
        for buffer in buffers:
            buffer[1::step] = bytes([DATA]) * count
        self._buffers = buffers
        views = [memoryview(buffer) for buffer in buffers]
        starts = range(0, count * step, step)
        self._runs = [[view[at : at + step] for at in starts] for view in views]
        self._places = [[view[at + 4 : at + step] for at in starts] for view in views]

    def close(self) -> None:
        """The transfer has ended; called once."""
        self._images.rings -= 1

    def segment(self, index: int) -> Segment:
        """The index-th segment; SourceLost if the file was changed in place meanwhile."""
        if not self._buffers:
            self._lay_out()
        body, blksize, turn = self._body, self._blksize, index % len(self._buffers)
        packets, places, buffer = self._runs[turn], self._places[turn], self._buffers[turn]
        count, step = len(packets), blksize + 4
        left = body.size - index * count * blksize
        final = left < count * blksize
        heads = struct.pack(
            f">{count}H", *[n & 0xFFFF for n in range(index * count + 1, (index + 1) * count + 1)]
        )
        buffer[2::step], buffer[3::step] = heads[::2], heads[1::2]
        try:
            got = os.preadv(body.fd, places, index * count * blksize)
        except OSError as fault:
            raise SourceLost(f"reading {body.path}: {fault.strerror}") from fault
        check(body, got, min(left, count * blksize))
        if final:
            whole, rest = divmod(left, blksize)
            packets = [*packets[:whole], packets[whole][: 4 + rest]]
        return Segment(packets, [], final)


def check(body: Body, got: int, wanted: int) -> None:
    """SourceLost unless the file is still the one whose sending began."""
    if got != wanted or not body.fresh():
        raise SourceLost(f"{body.path} was changed while it was sent")
