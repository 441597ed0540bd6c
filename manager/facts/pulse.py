"""The last minutes of the server as figures: looked at again and again, kept while the manager runs."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from mv_iptel.status.words import count, size

if TYPE_CHECKING:
    from manager.site import Site

KEPT = 600.0  # seconds
STEP = 5.0  # seconds that one point of the chart stands for
OFTEN, SELDOM = 1.0, 10.0  # seconds between two looks: while somebody watches, and else
WATCHED = 10.0  # seconds for which one who asked is taken to watch
GAP = 35.0  # seconds without a look of which nothing is known
WIDTH, HEIGHT = 600, 100  # of a chart, in units of its own


class Sample(NamedTuple):
    """One look at the server. Sums since its start, at the moment `time`."""

    time: float
    started: float  # when the server did; its sums began with 0 then
    now: int = 0
    octets: int = 0
    ok: int = 0
    refused: int = 0
    failed: int = 0


class Point(NamedTuple):
    """One step of the chart. Values are per second but `now`; None: nobody looked."""

    time: float
    octets: float | None = None
    done: float | None = None
    refused: float | None = None
    now: float | None = None
    seconds: float = 0.0  # of this step that are known


class Chart(NamedTuple):
    """One line of figures, drawn. `line` and `area` are paths within WIDTH and HEIGHT."""

    key: str
    title: str
    value: str  # now
    top: str  # the upper edge
    told: str  # the whole of it in a sentence
    line: str
    area: str


class Pulse:
    """What was seen of one server. Any thread may read; the loop writes."""

    def __init__(self, now: Callable[[], float] = time.time):
        self._now = now
        self._samples: deque[Sample] = deque(maxlen=int(KEPT / OFTEN) + 60)
        self._watched = float("-inf")
        self._woken: asyncio.Event | None = None

    def add(self, status: dict[str, Any], now: float) -> None:
        """One look."""
        sums = status["transfers"]
        last = self._samples[-1].time if self._samples else float("-inf")
        if now <= last:  # the clock was put back: what was is not to be compared with what is
            self._samples.clear()
        while self._samples and self._samples[0].time < now - KEPT - GAP:
            self._samples.popleft()
        self._samples.append(
            Sample(now, status["server"]["started"], sums["now"], sums["octets"], sums["ok"], sums["refused"],
                   sums["failed"])
        )  # fmt: skip

    def watch(self) -> None:
        """Somebody looks at it now. On the loop."""
        waited = self.pause() > OFTEN
        self._watched = self._now()
        if waited and self._woken is not None:
            self._woken.set()

    def pause(self) -> float:
        """Seconds until the server is to be looked at again."""
        return OFTEN if self._now() - self._watched <= WATCHED else SELDOM

    def samples(self) -> list[Sample]:
        return list(self._samples)

    def points(self, now: float, span: float = KEPT, step: float = STEP) -> list[Point]:
        """`span` seconds up to `now` in equal steps, oldest first."""
        first = (now // step) * step - span + step
        return _points(self.samples(), first, round(span / step), step)

    async def follow(self, site: Site) -> None:
        """Look again and again, for as long as the manager runs."""
        self._woken = asyncio.Event()
        renewing: asyncio.Future[None] | None = None
        while True:
            status = await site.link.status(OFTEN / 2)
            if status is not None:
                self.add(status, self._now())
            if renewing is None or renewing.done():
                renewing = asyncio.get_running_loop().run_in_executor(site.threads, site.inquiry.renew)
            self._woken.clear()
            try:
                async with asyncio.timeout(self.pause()):
                    await self._woken.wait()
            except TimeoutError:
                pass


def _points(samples: Sequence[Sample], first: float, many: int, step: float) -> list[Point]:
    seconds = [0.0] * many  # of each step that are known
    sums = [[0.0, 0.0, 0.0] for _ in range(many)]
    now: list[float | None] = [None] * many
    for before, after in pairwise(samples):
        length = after.time - before.time
        if length <= 0 or length > GAP:
            continue
        rates = [value / length for value in _deltas(before, after)]
        for at, share in _shares(before.time, after.time, first, many, step):
            seconds[at] += share
            for place, rate in enumerate(rates):
                sums[at][place] += rate * share
            now[at] = max(now[at] or 0, after.now)
    found = []
    for at in range(many):
        moment = first + at * step
        if seconds[at]:
            octets, done, refused = (value / seconds[at] for value in sums[at])
            found.append(Point(moment, octets, done, refused, now[at], seconds[at]))
        else:
            found.append(Point(moment))
    return found


def _deltas(before: Sample, after: Sample) -> tuple[int, int, int]:
    """Octets, completed and refused between two looks; a server that was started anew began with 0."""
    if before.started != after.started:
        before = Sample(before.time, after.started)
    # A transfer may end between the two sums of one look: it is never negative.
    return (
        max(0, after.octets - before.octets),
        max(0, after.ok - before.ok),
        max(0, after.refused - before.refused),
    )


def _shares(start: float, end: float, first: float, many: int, step: float) -> Iterator[tuple[int, float]]:
    """Which steps lie between two moments, and for how many seconds."""
    at = max(0, int((start - first) // step))
    while at < many and first + at * step < end:
        share = min(end, first + (at + 1) * step) - max(start, first + at * step)
        if share > 0:
            yield at, share
        at += 1


def charts(points: Sequence[Point]) -> list[Chart]:
    """What is sent, how much goes on at once, and what is refused, for people."""
    minutes = round(len(points) * STEP / 60)
    return [
        _chart("sent", "Sent", [one.octets for one in points], _rate, _binary, minutes),
        _chart("now", "Transfers at once", [one.now for one in points], _whole, _decimal, minutes),
        _chart(
            "refused",
            "Refused in a minute",
            _minute(points),
            _whole,
            _decimal,
            minutes,
        ),
    ]


def _chart(
    key: str,
    title: str,
    values: Sequence[float | None],
    word: Callable[[float], str],
    edge: Callable[[float], float],
    minutes: int,
) -> Chart:
    known = [one for one in values if one is not None]
    most = max(known, default=0.0)
    top = edge(most)
    # The newest step is not over yet: the one before it is steadier, if it is known.
    latest = next((one for one in reversed(values[:-1] or values) if one is not None), None)
    value = word(latest) if latest is not None else "–"
    told = f"{title}: {value} now, at most {word(most)} in the last {minutes} minutes"
    line, area = _drawn(values, top)
    return Chart(key, title, value, word(top), told, line, area)


def _drawn(values: Sequence[float | None], top: float) -> tuple[str, str]:
    """The path along the values, and the one around what is below it; broken where nothing is known."""
    line: list[str] = []
    area: list[str] = []
    each = WIDTH / max(1, len(values) - 1)
    run: list[str] = []

    def close(end: int) -> None:
        if not run:
            return
        begin = end - len(run) + 1
        if len(run) == 1:
            run.append(f"{(end + 0.4) * each:.0f},{run[0].partition(',')[2]}")
        line.append("M" + "L".join(run))
        area.append(f"M{begin * each:.0f},{HEIGHT}L" + "L".join(run) + f"V{HEIGHT}Z")
        run.clear()

    for at, value in enumerate(values):
        if value is None:
            close(at - 1)
        else:
            run.append(f"{at * each:.0f},{HEIGHT - min(value, top) / top * (HEIGHT - 4):.1f}")
    close(len(values) - 1)
    return "".join(line), "".join(area)


def _minute(points: Sequence[Point]) -> list[float | None]:
    """Refusals of the minute that ended with each point: by steps they would only jump."""
    wide = round(60 / STEP)
    return [
        None
        if one.refused is None
        else sum((each.refused or 0) * each.seconds for each in points[max(0, at - wide + 1) : at + 1])
        for at, one in enumerate(points)
    ]


def _rate(value: float) -> str:
    return f"{size(value)}/s"


def _whole(value: float) -> str:
    return count(round(value)) if value >= 10 else f"{value:.1f}".removesuffix(".0")


def _binary(most: float) -> float:
    """A round upper edge for octets, at least a KiB."""
    edge = 1024.0
    while edge < most:
        edge *= 2
    return edge


def _decimal(most: float) -> float:
    """A round upper edge for things that are counted, at least 5."""
    edge = 5.0
    while edge < most:
        edge *= 2 if str(edge)[0] in "15" else 2.5
    return edge
