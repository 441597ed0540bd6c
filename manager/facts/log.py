"""The log: what was asked and what became of it, chosen by phone, protocol, outcome, reason and words."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from mv_iptel.addresses import address_of, mac_of
from mv_iptel.inventory.reader import Reader
from mv_iptel.journal import plain
from mv_iptel.status import words

LOOKED = 30_000  # rows that one question goes back at most, where no index helps
NEWEST = 1 << 62  # no row has such a number yet
OUTCOMES = {
    "": "everything", "ok": "complete", "refused": "refused", "failed": "broken off or failed",
    "notice": "notices",
}  # fmt: skip
FAILED = ("aborted", "timeout", "failed")
COLUMNS = (
    "time", "number", "event", "proto", "listener", "peer", "mac", "ext", "model", "version", "op", "name",
    "outcome", "reason", "detail", "source", "line", "bytes", "seconds", "count", "file", "agent",
)  # fmt: skip
_SEARCHED = ("name", "file", "detail", "reason", "model", "version", "agent", "ext", "peer", "mac")
_SEARCHED_NOTICE = ("kind", "text", "source", "peer")
_TONES = {"ok": "good", "refused": "warn", "error": "bad", "warning": "warn", "info": ""}


class Chosen(NamedTuple):
    """Which events are wanted; empty: all of them. `macs` and `peers` are what `who` stands for."""

    who: str = ""
    protocol: str = ""
    outcome: str = ""
    reason: str = ""
    text: str = ""
    mac: str = ""
    ext: str = ""
    peers: frozenset[str] = frozenset()

    def query(self) -> dict[str, str]:
        """As the parameters of an address."""
        told = zip(("who", "protocol", "outcome", "reason", "text"), self[:5], strict=True)
        return {key: value for key, value in told if value}

    @property
    def requests(self) -> bool:
        """Whether any request can be meant."""
        return self.outcome != "notice"

    @property
    def notices(self) -> bool:
        """Whether any notice can be meant."""
        return self.outcome in ("", "notice") and not self.protocol and not self.reason

    def wants(self, event: Mapping[str, Any]) -> bool:
        """Whether an event of the live stream is one of these; the same choice as the database's."""
        request = event.get("event") == "finished"
        if not (self.requests if request else self.notices):
            return False
        if self.who and not self._is(event):
            return False
        if request and (
            (self.protocol and event["proto"] != self.protocol)
            or (self.reason and event["reason"] != self.reason)
            or (self.outcome == "failed" and event["outcome"] not in FAILED)
            or (self.outcome in ("ok", "refused") and event["outcome"] != self.outcome)
        ):
            return False
        if not self.text:
            return True
        text = self.text.lower()
        if request:
            return any(text in str(event.get(key) or "").lower() for key in _SEARCHED)
        return any(text in value.lower() for value in notice_of(event).values() if isinstance(value, str))

    def _is(self, event: Mapping[str, Any]) -> bool:
        if event.get("event") != "finished":
            return event.get("peer", "") in self.peers
        if self.mac:
            return event["mac"] == self.mac or (not event["mac"] and event["peer"] in self.peers)
        return event["peer"] in self.peers or bool(self.ext and event["ext"] == self.ext)


class Page(NamedTuple):
    """A part of the log, the newest first. `before` continues it (empty: there is no more)."""

    rows: list[dict[str, Any]]
    before: str
    until: float  # how far back was looked, if that is not the end; else 0


def chosen(reader: Reader, who: str, protocol: str, outcome: str, reason: str, text: str) -> Chosen:
    """Find out who is meant: an address, or a phone by MAC or extension with all its addresses."""
    who = who.strip()
    base = Chosen(who, protocol, outcome, reason, text.strip())
    if not who:
        return base
    if address := address_of(who):
        return base._replace(peers=frozenset((address,)))
    row = reader.phone(who)
    if row is not None:
        places = frozenset(one["address"] for one in row["addresses"]) | {row["address"]}
        return base._replace(mac=row["mac"], peers=places - {""})
    return base._replace(mac=mac_of(who), ext=who)


def page(reader: Reader, wanted: Chosen, before: str = "", limit: int = 100) -> Page:
    """The newest of what is wanted, or what comes before another page."""
    number, notice = _cursor(before)
    requests, floor, horizon = _requests(reader, wanted, number, limit)
    notices = _notices(reader, wanted, notice, limit, horizon)
    rows = sorted(requests + notices, key=lambda one: (one["time"], one["id"]), reverse=True)[:limit]
    shown = {one["id"] for one in rows if one["event"] == "finished"}
    told = {one["id"] for one in rows if one["event"] == "notice"}
    all_shown = len(shown) == len(requests)
    more = not all_shown or len(told) < len(notices) or len(requests) == limit or len(notices) == limit
    if all_shown and len(requests) < limit and floor:
        number, more = floor, True
    elif shown:
        number = min(shown)
    if told:
        notice = min(told)
    return Page(rows, f"{number}.{notice}" if more else "", horizon if len(rows) < limit else 0.0)


def notice_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of the live stream that is no request, in the form of the notices that are kept."""
    kind = event.get("kind") or event.get("event", "")
    if event.get("event") == "listening":
        text = f"{event['proto']} {event['port']} on {event['address']}: {event['error'] or event['state']}"
    elif event.get("event") == "reloaded":
        done = f"generation {event['generation']} is in force" if event["ok"] else "refused"
        parts = [done, *event["findings"], *(f"{key} needs a restart" for key in event["restart"])]
        text = "; ".join(map(str, parts))
    elif event.get("event") == "started":
        text = "; ".join([f"version {event['version']} in {event['home']}", *event["legacy"]])
    else:
        text = str(event.get("text") or event.get("why") or "")
    return {
        "event": "notice", "id": 0, "time": event.get("time", 0.0), "kind": str(kind), "text": text,
        "level": event.get("level", "info"), "source": event.get("source", ""), "line": event.get("line", 0),
        "peer": event.get("peer", ""),
    }  # fmt: skip


def shown(event: Mapping[str, Any], now: float | None = None) -> dict[str, Any]:
    """An event as a row of the page: texts without signs that do something, and a key that is its own."""
    now = time.time() if now is None else now
    request = event.get("event") == "finished"
    if not request and "id" not in event:
        event = notice_of(event)
    told = {
        "request": request, "time": event["time"], "clock": words.clock(event["time"], now),
        "peer": plain(event["peer"], 64), "place": _place(event), "count": event.get("count", 1),
    }  # fmt: skip
    if not request:
        key = zlib.crc32(f"{event['time']:.2f} {event['kind']} {event['text']}".encode("utf-8", "replace"))
        return {
            **told, "key": f"n{key:08x}", "same": "", "number": 0, "tone": _TONES.get(event["level"], ""),
            "word": plain(event["kind"], 40), "text": plain(event["text"], 400), "proto": "", "mac": "",
            "ext": "", "model": "", "name": "",
        }  # fmt: skip
    like = "\0".join(str(event[key]) for key in ("peer", "name", "outcome", "proto", "mac", "reason", "op"))
    return {
        **told, "key": f"r{event['id']}", "same": f"{zlib.crc32(like.encode('utf-8', 'replace')):08x}",
        "number": event["id"], "tone": _TONES.get(event["outcome"], "bad"),
        "word": event["reason"] or event["outcome"], "text": _text(event), "proto": event["proto"],
        "mac": event["mac"], "ext": plain(event["ext"], 40), "model": plain(event["model"], 40),
        "name": plain(event["name"], 200),
    }  # fmt: skip


def row_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as a row of a file to keep."""
    if event["event"] == "finished":
        return {**{key: event.get(key, "") for key in COLUMNS}, "number": event["id"]}
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    same = {key: event[key] for key in ("time", "source", "line", "peer")}
    row |= {
        **same,
        "event": "notice",
        "outcome": event["level"],
        "reason": event["kind"],
        "detail": event["text"],
    }
    return row


def _requests(
    reader: Reader, wanted: Chosen, before: int, limit: int
) -> tuple[list[dict[str, Any]], int, float]:
    """Rows, the number at which the search ended (0: at the first one there is) and that one's time."""
    if not wanted.requests:
        return [], 0, 0.0
    where, values = ["id < ?"], [before]
    indexed = wanted.outcome == "refused" and not (wanted.protocol or wanted.reason or wanted.text)
    if wanted.who:
        places = sorted(wanted.peers)[:100]
        indexed = bool(places)
        of_place = f"peer IN ({', '.join('?' * len(places))})"
        if wanted.mac and places:
            where.append(f"{of_place} AND mac IN (?, '')")
            values += [*places, wanted.mac]
        elif places:
            where.append(of_place)
            values += places
        else:
            where.append("(mac = ? AND mac != '' OR ext = ?)")
            values += [wanted.mac, wanted.ext]
    if wanted.protocol:
        where.append("proto = ?")
        values.append(wanted.protocol)
    if wanted.outcome == "failed":
        where.append(f"outcome IN ({', '.join('?' * len(FAILED))})")
        values += FAILED
    elif wanted.outcome:
        where.append("outcome = 'refused'" if wanted.outcome == "refused" else "outcome = 'ok'")
    if wanted.reason:
        where.append("reason = ?")
        values.append(wanted.reason)
    _search(wanted.text, _SEARCHED, where, values)
    floor, horizon = 0, 0.0
    if len(where) > 1 and not indexed:
        # Refusals have an index, but lie far from each other.
        only, most = ("AND outcome = 'refused'", LOOKED // 3) if wanted.outcome == "refused" else ("", LOOKED)
        last = reader.ask(
            f"SELECT id, time FROM requests WHERE id < ? {only} ORDER BY id DESC LIMIT 1 OFFSET ?",  # noqa: S608
            before, most,
        )  # fmt: skip
        if last:
            floor, horizon = last[0]["id"], last[0]["time"]
            where.append("id >= ?")
            values.append(floor)
    found = reader.ask(
        f"SELECT *, 'finished' AS event FROM requests WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",  # noqa: S608 - only marks
        *values, limit,
    )  # fmt: skip
    return found, floor, 0.0 if len(found) == limit else horizon


def _notices(reader: Reader, wanted: Chosen, before: int, limit: int, since: float) -> list[dict[str, Any]]:
    if not wanted.notices:
        return []
    where, values = ["id < ?", "time >= ?"], [before, since]
    if wanted.who:
        places = sorted(wanted.peers)[:100]
        where.append(f"peer IN ({', '.join('?' * len(places))})")
        values += places
    _search(wanted.text, _SEARCHED_NOTICE, where, values)
    return reader.ask(
        f"SELECT *, 'notice' AS event FROM notices WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",  # noqa: S608 - only marks
        *values, limit,
    )  # fmt: skip


def _search(text: str, columns: tuple[str, ...], where: list[str], values: list[Any]) -> None:
    if text:
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        where.append("(" + " OR ".join(f"{one} LIKE ? ESCAPE '\\'" for one in columns) + ")")
        values += [f"%{escaped}%"] * len(columns)


def _cursor(before: str) -> tuple[int, int]:
    number, _, notice = before.partition(".")
    if all(one.isascii() and one.isdigit() and len(one) <= len(str(NEWEST)) for one in (number, notice)):
        return min(int(number), NEWEST), min(int(notice), NEWEST)
    return NEWEST, NEWEST


def _text(event: Mapping[str, Any]) -> str:
    """What is worth saying of a request beside its outcome."""
    if event["outcome"] == "refused":
        detail, source = event["detail"], event["source"]
        if source:  # the row says where; whole paths stand on the number's own page
            detail = detail.replace(source, _last(source))
        return plain(detail or words.REASONS.get(event["reason"], ""), 400)
    done = words.OPS.get(event.get("op", "read"), "")
    seconds = event["seconds"]
    took = f"{seconds:.3g} s" if seconds >= 1 else f"{max(1, round(seconds * 1000))} ms"
    parts = [f"{words.size(event['bytes'])} in {took}"]
    if event.get("op", "read") != "read":
        parts.insert(0, done)
    if event["detail"]:
        parts.append(plain(event["detail"], 300))
    if event["resends"]:
        parts.append(f"{event['resends']} packets sent again")
    return ", ".join(parts)


def _place(event: Mapping[str, Any]) -> str:
    """The file that decided, unless the text names it."""
    source = event["source"]
    if not source or (not event["line"] and source in event.get("detail", "")):
        return ""
    line = f", line {event['line']}" if event["line"] else ""
    return f"{plain(_last(source), 200)}{line}"


def _last(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path
