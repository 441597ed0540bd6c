"""What keeps a central server a good neighbour: bandwidth, quiet hours, and slow answers to wrong tokens."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

from mv_iptel.addresses import host_of

PIECE = 128 << 10  # octets that are read and sent at a time
BURST = 0.05  # seconds of the rate that may be sent at once, after a pause
PER_SECOND = 8  # pieces a second at least, when the rate is low

SLOWEST = 8.0  # seconds that the answer to a wrong token may take
FORGIVEN = 600.0  # seconds after which an address begins anew
KNOWN = 4096  # addresses that are remembered
SAY_AGAIN = 600.0  # seconds before the same address is told again


class Bucket:
    """A limit of octets a second that all transfers share; 0 is no limit. `now` is any steady clock."""

    def __init__(self, rate: float = 0):
        self.rate = rate
        self._free = float("-inf")  # when what was taken so far is paid for

    @property
    def piece(self) -> int:
        """How many octets are a good piece at this rate."""
        return PIECE if not self.rate else max(1024, min(PIECE, int(self.rate / PER_SECOND)))

    def take(self, octets: int, now: float) -> float:
        """Seconds to wait before these octets may be sent. Who asks first goes first."""
        if not self.rate:
            return 0.0
        start = max(self._free, now - BURST)
        self._free = start + octets / self.rate
        return max(0.0, start - now)


def quiet(spans: str, at: datetime) -> float:
    """Seconds until `QuietHours` end, 0 outside them. Spans that touch are one; 00:00-00:00 is all day."""
    clock = at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6
    left = 0.0
    for _ in range(spans.count(",") + 1):
        more = max((_left(span, (clock + left) % 86400) for span in spans.split(",") if span), default=0.0)
        if not more:
            break
        left += more
    return min(left, 86400.0)


def _left(span: str, clock: float) -> float:
    begin, _, end = span.partition("-")
    length = (_seconds(end) - _seconds(begin)) % 86400 or 86400
    passed = (clock - _seconds(begin)) % 86400
    return length - passed if passed < length else 0.0


def _seconds(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 3600 + int(minutes) * 60


class Failures:
    """Wrong tokens by address: each makes the next answer later. `now` is any steady clock."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, float, float]] = OrderedDict()  # count, last, last told

    def failed(self, address: str, now: float) -> tuple[float, bool]:
        """One more of this address: seconds until it is answered, and whether that is news to tell."""
        host = host_of(address)
        count, last, told = self._known.pop(host, (0, now, float("-inf")))
        count = 1 if now - last > FORGIVEN else count + 1
        news = now - told >= SAY_AGAIN
        self._known[host] = (count, now, now if news else told)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return min(float(count), SLOWEST), news

    def right(self, address: str) -> None:
        """A token of this address was right: what was wrong before were slips."""
        self._known.pop(host_of(address), None)
