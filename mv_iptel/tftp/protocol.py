"""TFTP as bytes, both halves and no sockets: RFC 1350, 2347, 2348, 2349 and 7440.

`Transfer` is the server's half of one download, `Fetch` the client's. Both take datagrams and the time
(seconds, any monotonic clock) and give datagrams: `receive(data, now)`, `to_send()`, `deadline`, `tick(now)`.
Which port a datagram goes to or came from is the caller's business.
"""

from __future__ import annotations

import struct
import sys
from typing import NamedTuple, Protocol

from mv_iptel.library.answers import Reason

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)

# RFC 2347 sets 512 octets; network boot loaders exceed it with their options.
REQUEST_MAX = 2048
OPTIONS_MAX = 16  # what comes after the sixteenth option is left out like an unknown one
BLOCK = 512
BLOCK_MIN, BLOCK_TOP = 8, 65464  # RFC 2348
WAIT_TOP = 8.0  # seconds; a wait doubles up to this
# An answer nobody asked for goes to a victim whose address was forged: say it little.
REPEATED = 0.2  # seconds within which a repeated request draws no further packet
FIRST_RESENDS = 2

# RFC 1350, appendix; RFC 2347 adds 8. Nothing else is ever said to a client.
PHRASES = {
    0: b"Not defined",
    1: b"File not found",
    2: b"Access violation",
    3: b"Disk full or allocation exceeded",
    4: b"Illegal TFTP operation",
    5: b"Unknown transfer ID",
    8: b"Option refused",
}


_HEAD = struct.Struct(">HH").pack  # an opcode and a block number or error code


class ProtocolError(Exception):
    """A datagram that is no request. `silent`: do not answer it; `name`: what was readable of the name."""

    def __init__(self, what: str, *, silent: bool = False, name: bytes = b""):
        super().__init__(what)
        self.silent = silent
        self.name = name


class SourceLost(Exception):
    """The file can no longer be read as it was when the transfer began."""


def error(code: int) -> bytes:
    """An ERROR packet with the standard phrase of its code."""
    return _HEAD(ERROR, code) + PHRASES[code] + b"\0"


# What a phone is told for each reason; None is silence.
REPLIES: dict[Reason, bytes | None] = {
    Reason.BANNED: None,
    Reason.BUSY: None,
    Reason.NOT_LISTED: error(2),
    Reason.NO_SLOT: None,  # phones ask again each second
    Reason.BAD_NAME: error(1),
    Reason.NO_FILE: error(1),
    Reason.NOT_ALLOWED: error(1),
    Reason.READ_ONLY: error(2),
    Reason.NEED_LOGIN: error(2),
    Reason.BAD_LOGIN: error(2),
    Reason.NO_SNMP: error(2),
    Reason.SNMP_MISMATCH: error(2),
    Reason.PIN_MISMATCH: error(2),
    Reason.CHANGED: error(2),
    Reason.TOO_BIG: error(3),
    Reason.QUOTA: error(3),
    Reason.DISK_FULL: error(3),
    Reason.BAD_REQUEST: error(4),
    Reason.FAULT: error(0),
}


class Ask(NamedTuple):
    """A request as it came. `options` maps lower-case names to values, in the order asked."""

    name: bytes
    mode: str = "octet"  # octet or netascii
    options: dict[str, bytes] = {}  # noqa: RUF012 (never written to)
    write: bool = False


def parse(datagram: bytes) -> Ask:
    """The request in a datagram that came to the server's port; else ProtocolError."""
    if len(datagram) < 2:
        raise ProtocolError("shorter than an opcode", silent=True)
    opcode = datagram[0] << 8 | datagram[1]
    if DATA <= opcode <= OACK:
        # The rest of some transfer. RFC 1350 never answers an ERROR, and an answer to the others
        # would only help those who look for servers.
        raise ProtocolError(f"opcode {opcode} without a transfer", silent=True)
    if opcode not in (RRQ, WRQ):
        raise ProtocolError(f"unknown opcode {opcode}")
    if len(datagram) > REQUEST_MAX:
        raise ProtocolError(
            f"a request longer than {REQUEST_MAX} octets", name=datagram[2:66].partition(b"\0")[0]
        )
    parts = datagram[2:].split(b"\0", 2 + 2 * OPTIONS_MAX)
    name = parts[0]
    if len(parts) < 3:
        raise ProtocolError("name and mode do not end in NUL", name=name)
    if not name:
        raise ProtocolError("no name")
    mode = parts[1].lower()
    if mode not in (b"octet", b"netascii"):
        raise ProtocolError(f"mode {mode[:32]!r}", name=name)
    options: dict[str, bytes] = {}
    # The part after the last NUL is no value: an option that was cut off is left out.
    for key, value in zip(parts[2:-1:2], parts[3:-1:2], strict=False):
        options.setdefault(key.decode("latin-1").lower(), value)
    return Ask(name, mode.decode(), options, opcode == WRQ)


def request(ask: Ask) -> bytes:
    """The datagram that asks it."""
    parts = [struct.pack(">H", WRQ if ask.write else RRQ) + ask.name, ask.mode.encode()]
    for key, value in ask.options.items():
        parts += [key.encode("latin-1"), value]
    return b"\0".join(parts) + b"\0"


def number(value: bytes) -> int | None:
    """An option's value: decimal digits (RFC 2348), at most ten; None if it is anything else."""
    return int(value) if value.isdigit() and len(value) <= 10 else None


class Limits(NamedTuple):
    """What the configuration allows. `timeout` in seconds, `retries` for packets after the first."""

    blksize: int = BLOCK_TOP
    window: int = 64
    timeout: float = 1.0
    retries: int = 5


class Terms(NamedTuple):
    """What was agreed. `oack` is the packet that says so, empty if no option was accepted."""

    blksize: int = BLOCK
    window: int = 1
    timeout: float = 1.0
    retries: int = 5
    oack: bytes = b""


def agree(ask: Ask, size: int, limits: Limits) -> Terms:
    """The terms for a file of `size` octets. An unknown option and a value out of range are left out.

    tsize is left out with netascii, where the octets on the wire are known only once all are translated,
    and for an empty file: curl takes "tsize 0" in an answer for an error.
    """
    blksize, window, timeout = BLOCK, 1, limits.timeout
    granted: list[tuple[bytes, int]] = []
    for key, text in ask.options.items():
        value = number(text)
        if value is None:
            continue
        if key == "blksize" and value >= BLOCK_MIN:
            blksize = min(value, limits.blksize, BLOCK_TOP)
            granted.append((b"blksize", blksize))
        elif key == "windowsize" and 1 <= value <= 65535:
            window = min(value, limits.window)
            granted.append((b"windowsize", window))
        elif key == "timeout" and 1 <= value <= 255:
            timeout = float(value)
            granted.append((b"timeout", value))
        elif key == "tsize" and value == 0 and ask.mode == "octet" and size:
            granted.append((b"tsize", size))
    oack = b"".join(b"%s\0%d\0" % option for option in granted)
    return Terms(blksize, window, timeout, limits.retries, b"\0\6" + oack if oack else b"")


Packet = bytes | memoryview
# Octets, about: enough to make cutting cheap, little enough for 2,000 transfers of different files.
SEGMENT = 32 << 10


class Segment:
    """A run of DATA packets ready to send, with the ACK that answers each; shared by many transfers.

    `acks` may be empty where the window is larger than 1: they only serve the fused lock-step loop.
    `final`: the last packet ends the file. `after`: what the source needs to make the next segment.
    """

    __slots__ = ("acks", "after", "final", "packets")

    def __init__(self, packets: list[Packet], acks: list[bytes], final: bool, after: object = None):
        self.packets = packets
        self.acks = acks
        self.final = final
        self.after = after


def blocks_per_segment(blksize: int) -> int:
    """How many packets are made at once; a power of two, at most 128."""
    return min(128, 1 << max(0, (SEGMENT // blksize).bit_length() - 1))


def cut(stream: bytes, first: int, blksize: int, final: bool, after: object = None) -> Segment:
    """Cut a piece of the file into packets; `first` is its first block's number, counted without wrap.

    The final piece ends in a block that is shorter than blksize, or empty.
    """
    count = len(stream) // blksize + final
    numbers = [block & 0xFFFF for block in range(first, first + count)]
    starts = range(0, count * blksize, blksize)
    return Segment(
        [_HEAD(DATA, block) + stream[at : at + blksize] for block, at in zip(numbers, starts, strict=True)],
        [_HEAD(ACK, block) for block in numbers],
        final,
        after,
    )


class Source(Protocol):
    """Where a transfer's packets come from."""

    def segment(self, index: int) -> Segment:
        """The index-th run of `blocks_per_segment` packets; SourceLost if it cannot be made any more."""
        ...


class Transfer:
    """The server's half of one download.

    `base` blocks were acknowledged and up to `window` more are on the wire; blocks are counted without
    wrap, the wire's 16 bits are compared modulo 65536. `outcome` becomes ok, aborted, timeout or failed.

    Where a client goes on is told by progress alone: an ACK of an earlier block starts no packet, else
    every doubled packet would be doubled for the rest of the transfer (RFC 1123, 4.2.3.1). One exception:
    an ACK that repeats itself a whole timeout after we last sent is the client's timer, not an echo.

    The server's loop does the lock-step case without a call: see `want`.
    """

    __slots__ = (
        "acked",
        "acks",
        "base",
        "next",
        "offset",
        "outcome",
        "packets",
        "per",
        "poked",
        "resends",
        "since",
        "size",
        "source",
        "terms",
        "top",
        "total",
        "tries",
        "want",
        "why",
    )

    def __init__(self, source: Source, terms: Terms, now: float):
        self.source = source
        self.terms = terms
        self.per = blocks_per_segment(terms.blksize)
        self.packets: list[Packet] = []
        self.acks: list[bytes] = []
        self.offset = 0  # blocks before the segment at hand
        self.total = sys.maxsize  # blocks; known once the final segment was made
        self.size = sys.maxsize  # octets on the wire's side, known then too
        self.base = 0
        self.top = 0  # the highest block that was sent
        self.next = 0 if terms.oack else 1  # the next block to send; 0 is the OACK
        self.acked = False  # whether the client answered the first packet
        self.tries = 0
        self.resends = 0
        self.since = now  # when the packets on the wire were sent
        self.poked = now  # when the client's timer made us resend
        self.outcome = ""
        self.why = ""
        # The ACK after which nothing is to do but send the packet behind it; None: call receive().
        self.want: bytes | None = None

    @property
    def sent(self) -> int:
        """Octets of the file that went out, repeats not counted."""
        top = self.top if self.terms.window > 1 or not self.acked else max(self.top, self.base + 1)
        return min(top * self.terms.blksize, self.size)

    @property
    def complete(self) -> bool:
        """Everything was sent; at most the last ACK is missing."""
        return self.acked and self.base + self.terms.window >= self.total

    @property
    def deadline(self) -> float:
        """When `tick` has something to do."""
        terms = self.terms
        # Who never answered may be forged: what it asked for must not hold a socket for a quarter of an hour.
        top = max(WAIT_TOP, terms.timeout) if self.acked else WAIT_TOP
        return self.since + min(terms.timeout * (1 << self.tries), top)

    def receive(self, data: bytes, now: float) -> bool:
        """Take a datagram of the client's. True: it was the answer we waited for."""
        if self.outcome or len(data) < 4 or data[0]:
            return False
        if data[1] == ERROR:
            self.end("aborted", f"client says {data[3]}: {printable(data[4:])}")
            return True
        if data[1] != ACK:
            return False
        ahead = ((data[2] << 8 | data[3]) - self.base) & 0xFFFF
        if not self.acked:
            if ahead != (0 if self.terms.oack else 1):
                return False
            self.acked = True
        elif not 1 <= ahead <= min(self.terms.window, self.total - self.base):
            if ahead == 0 and now - max(self.since, self.poked) >= self.terms.timeout:
                self.poked = now
                self.resends += 1
                self.next = self.base + 1
            return False
        self.base += ahead
        self.since = now
        self.tries = 0
        if self.base >= self.total:
            self.end("ok")
        else:
            self.next = self.base + 1
        return True

    def to_send(self) -> list[Packet]:
        """The packets that are due, first to last."""
        if self.outcome:
            return []
        if not self.next:
            self.next = sys.maxsize
            return [self.terms.oack]
        # Before the first ACK of a client without options the window is 1 anyway.
        last = self.base + self.terms.window
        packets: list[Packet] = []
        try:
            while self.next <= last:
                start = self.next - 1 - self.offset
                if not self.packets or not 0 <= start < len(self.packets):
                    if self.next > self.total:
                        break
                    self._load((self.next - 1) // self.per)
                    continue
                run = self.packets[start : last - self.offset]
                packets += run
                self.next += len(run)
        except SourceLost as lost:
            self.end("failed", str(lost))
            return [error(0)]
        if packets:
            self.top = max(self.top, self.next - 1)
            self.next = sys.maxsize
        if self.terms.window == 1:
            self._arm()
        return packets

    def again(self, now: float) -> None:
        """The client repeated its request: say the first packet again, but not to a flood of repeats.

        Phones ask once a second; a forger who repeats faster draws no more from us than one phone.
        """
        if now - self.since < REPEATED:
            return
        self.since = now
        self.resends += 1
        self.next = 0 if self.terms.oack else 1

    def tick(self, now: float) -> None:
        """Resend what was not answered in time, or give up."""
        if self.outcome or now < self.deadline:
            return
        allowed = self.terms.retries if self.acked else min(FIRST_RESENDS, self.terms.retries)
        if self.tries >= allowed:
            self.end("timeout", "all sent, the last ACK is missing" if self.complete else "")
            return
        self.tries += 1
        self.resends += 1
        self.since = now
        self.want = None
        self.next = self.base + 1 if self.acked or not self.terms.oack else 0

    def end(self, outcome: str, why: str = "") -> None:
        """The transfer ends here; nothing more is sent."""
        self.outcome = outcome
        self.why = why
        self.want = None

    def slow(self) -> None:
        """Let the next ACK come through `receive`."""
        self.want = None

    def _load(self, index: int) -> None:
        """Take up the segment that holds block index * per + 1."""
        segment = self.source.segment(index)
        self.packets, self.acks, self.offset = segment.packets, segment.acks, index * self.per
        if segment.final:
            self.total = self.offset + len(segment.packets)
            self.size = (self.total - 1) * self.terms.blksize + len(segment.packets[-1]) - 4

    def _arm(self) -> None:
        """Offer the next ACK to the server's loop, in the plain lock-step case."""
        place = self.base - self.offset
        plain = self.acked and not self.tries and not self.outcome
        self.want = self.acks[place] if plain and 0 <= place < len(self.acks) else None


def printable(text: bytes, most: int = 60) -> str:
    """What a stranger wrote, fit for a log."""
    return text.partition(b"\0")[0][:most].decode("latin-1").encode("unicode_escape").decode()


def to_netascii(data: bytes) -> bytes:
    """Local text for the wire (RFC 764: CR is followed by NUL or LF).

    Each octet becomes one or two whatever its neighbours are, so the text may be cut anywhere.
    """
    return data.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


class FromNetascii:
    """The way back, over pieces that may end between CR and what follows."""

    def __init__(self) -> None:
        self._held = False

    def feed(self, data: bytes, final: bool) -> bytes:
        """Local text of the next piece."""
        if self._held:
            data = b"\r" + data
        self._held = data.endswith(b"\r") and not final
        if self._held:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")


class Fetch:
    """The client's half of one download, as a phone or a boot loader does it.

    Send to the server's port until `answered`; from then on only to the port that answered first, and
    give `receive` only what comes from there. `outcome` becomes ok, refused (then `error` is the code and
    phrase), timeout or failed (`why` says what was wrong with the server). `read()` gives what has arrived.
    After ok the caller may go on giving datagrams: a repeated last block is acknowledged again.
    """

    __slots__ = (
        "_arrived",
        "_ask",
        "_due",
        "_nagged",
        "_retries",
        "_run",
        "_since",
        "_text",
        "_tries",
        "_wait",
        "answered",
        "blksize",
        "block",
        "error",
        "octets",
        "outcome",
        "repeats",
        "tsize",
        "why",
        "window",
    )

    def __init__(self, ask: Ask, now: float, *, wait: float = 1.0, retries: int = 5):
        """`wait` seconds between repeats, the same each time: phones ask once a second."""
        self._ask = ask
        self._wait = wait
        self._retries = retries
        self._since = now
        self._tries = 0
        self._due = [request(ask)]
        self._arrived: list[bytes] = []
        self._run = 0  # blocks that came since the last ACK
        self._nagged = False
        self._text = FromNetascii() if ask.mode == "netascii" else None
        self.answered = False
        self.blksize = BLOCK
        self.window = 1
        self.tsize: int | None = None
        self.block = 0  # the last block in order, counted without wrap
        self.octets = 0  # as they came over the wire
        self.repeats = 0  # datagrams that we had to say again
        self.error: tuple[int, str] | None = None
        self.outcome = ""
        self.why = ""

    @property
    def deadline(self) -> float:
        """When `tick` has something to do."""
        return self._since + self._wait

    def read(self) -> bytes:
        """What has arrived since the last read, translated if the mode is netascii."""
        data = b"".join(self._arrived)
        self._arrived.clear()
        return data

    def to_send(self) -> list[bytes]:
        """The datagrams that are due."""
        due, self._due = self._due, []
        return due

    def receive(self, data: bytes, now: float) -> None:
        """Take a datagram of the server's."""
        if len(data) < 4 or data[0] or (self.outcome and self.outcome != "ok"):
            return
        opcode = data[1]
        if opcode == DATA:
            self._data(data, now)
        elif self.outcome:
            return
        elif opcode == OACK and not self.block:
            self._oack(data, now)
        elif opcode == ERROR:
            self.error = (data[2] << 8 | data[3], printable(data[4:]))
            self.outcome = "refused"

    def tick(self, now: float) -> None:
        """Say again what was not answered in time, or give up."""
        if self.outcome or now < self.deadline:
            return
        if self._tries >= self._retries:
            self.outcome = "timeout"
            return
        self._tries += 1
        self.repeats += 1
        self._since = now
        self._nagged = False
        if self.answered:
            self._ack()
        else:
            self._due.append(request(self._ask))

    def _ack(self) -> None:
        self._due.append(_HEAD(ACK, self.block & 0xFFFF))
        self._run = 0

    def _fail(self, why: str, code: int) -> None:
        self.outcome, self.why = "failed", why
        self._due.append(error(code))

    def _progress(self, now: float) -> None:
        self._since = now
        self._tries = 0
        self._nagged = False
        self.answered = True

    def _oack(self, data: bytes, now: float) -> None:
        parts = data[2:].split(b"\0")
        for key, text in zip(parts[:-1:2], parts[1:-1:2], strict=False):
            option, value = key.decode("latin-1").lower(), number(text)
            asked = number(self._ask.options.get(option, b""))
            if asked is None or value is None:
                return self._fail(f"OACK of {option!r}, which was not asked or has no value", 8)
            if option == "tsize":
                self.tsize = value
            elif not 1 <= value <= asked or (option == "timeout" and value != asked):
                return self._fail(f"OACK grants {option} {value} where {asked} was asked", 8)
            elif option == "blksize":
                self.blksize = value
            elif option == "windowsize":
                self.window = value
        self._progress(now)
        self._ack()
        return None

    def _data(self, data: bytes, now: float) -> None:
        ahead = ((data[2] << 8 | data[3]) - self.block) & 0xFFFF
        if ahead == 1 and not self.outcome:
            payload = data[4:]
            if len(payload) > self.blksize:
                return self._fail(f"a block of {len(payload)} octets where {self.blksize} were agreed", 4)
            final = len(payload) < self.blksize
            self._progress(now)
            self.block += 1
            self._run += 1
            self.octets += len(payload)
            self._arrived.append(self._text.feed(payload, final) if self._text else payload)
            if final:
                self.outcome = "ok"
            if final or self._run >= self.window:
                self._ack()
        elif self.window == 1 or self.outcome:
            if ahead == 0 and self.block:
                self.repeats += 1
                self._ack()  # our ACK was lost
        elif not self._nagged and (-ahead & 0xFFFF) >= self._run:
            # A gap, or a window that came again: say once where we are (RFC 7440, 3).
            # An echo of a block of this window says nothing new.
            self._nagged = True
            self.repeats += 1
            self._ack()
        return None
