"""Time zones as SIP phones are told them: an offset, and two days of the year."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OFFSET = re.compile(r"([+-]?)(0?[0-9]|1[0-4]):([0-5][0-9])")
_YEARS = 6  # a rule that holds so long is one


class Clock(NamedTuple):
    """The difference to universal time in winter, and when summer time begins and ends; empty: never."""

    offset: str  # 1:00, -5:00
    start: str = ""  # LSunMar2L: the last Sunday of March, 2 hours local time
    stop: str = ""
    hours: int = 1

    def sets(self) -> list[tuple[str, str]]:
        """The settings, in order."""
        summer = [("DSTOFFSET", str(self.hours)), ("DSTSTART", self.start), ("DSTSTOP", self.stop)]
        found = [("GMTOFFSET", self.offset)]
        return found + (summer if self.start else [("DSTOFFSET", "0")])


def clock_of(text: str, year: int) -> Clock:
    """The clock of `1:00`, `-5:00` (no summer time) or of a zone such as Europe/Vienna. Raises ValueError."""
    match = _OFFSET.fullmatch(text.strip())
    if match:
        return Clock(f"{'-' if match[1] == '-' else ''}{int(match[2])}:{match[3]}")
    try:
        zone = ZoneInfo(text.strip())
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{text} is neither an offset such as 1:00 nor a zone such as Europe/Vienna"
        ) from None
    seen = [_changes(zone, each) for each in range(year, year + _YEARS)]
    winter = min(zone.utcoffset(datetime(year, month, 1, 12)) or timedelta() for month in (1, 7))
    if not any(seen):
        return Clock(_offset(winter))
    if any(len(changes) != 2 for changes in seen):
        raise ValueError(f"{text}: its summer time follows no rule that phones can be told; give an offset")
    found: dict[bool, str] = {}
    hours = 0
    for which in (0, 1):
        forward = seen[0][which][1] > timedelta()
        hours = max(hours, int(seen[0][which][1].total_seconds()) // 3600)
        moments = [changes[which][0] for changes in seen]
        found[forward] = _rule(moments, text)
    if set(found) != {True, False} or hours not in (1, 2):
        raise ValueError(f"{text}: phones know summer times of one or two hours; give an offset")
    return Clock(_offset(winter), found[True], found[False], hours)


def _offset(delta: timedelta) -> str:
    minutes = int(delta.total_seconds()) // 60
    return f"{'-' if minutes < 0 else ''}{abs(minutes) // 60}:{abs(minutes) % 60:02d}"


def _changes(zone: tzinfo, year: int) -> list[tuple[datetime, timedelta]]:
    """Each change in a year: the local time before it, and by how much the clock moves."""
    found = []
    at = datetime(year, 1, 1, tzinfo=UTC)
    before = at.astimezone(zone).utcoffset() or timedelta()
    for hour in range(1, 366 * 24):
        moment = at + timedelta(hours=hour)
        now = moment.astimezone(zone).utcoffset() or timedelta()
        if now != before:
            found.append(((moment + before).replace(tzinfo=None), now - before))
            before = now
    return found


def _rule(moments: list[datetime], text: str) -> str:
    """The one description that fits the change of every year."""
    weekdays = {(moment.weekday(), moment.month, moment.hour) for moment in moments}
    if len(weekdays) == 1:
        weekday, month, hour = weekdays.pop()
        tail = f"{_DAYS[weekday]}{_MONTHS[month - 1]}{hour}L"
        if all(moment.day + 7 > monthrange(moment.year, moment.month)[1] for moment in moments):
            return f"L{tail}"
        ordinals = {(moment.day + 6) // 7 for moment in moments}
        if len(ordinals) == 1:
            return f"{ordinals.pop()}{tail}"
    raise ValueError(f"{text}: its summer time follows no rule that phones can be told; give an offset")
