"""What an administrator is to see at a glance: what wants attention, who is refused, who is on fallback."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from manager.facts import storms
from manager.facts.storms import Storm
from mv_iptel.config import Config
from mv_iptel.inventory.reader import Reader
from mv_iptel.status.page import CERT_DAYS, DISK_SHARE, LEGACY
from mv_iptel.status.words import AWAY, REASONS, count, many, size, span

T = TypeVar("T")

DAY = 86400.0
STALE = 60.0  # seconds after which an answer that nobody renewed is not given any more
ROWS = 5000  # refusals that are looked at; what is older is not lately
FINDINGS = 8  # that are shown as they are
WATCHDOG = 900.0  # seconds without its look after which it is missed
PORTS = {"tftp": "TFTP", "http": "HTTP", "https": "HTTPS", "ftp": "FTP", "ftps": "FTPS",
         "central": "Central server", "status": "Status"}  # fmt: skip
# What the ini calls the server of a protocol: what is stopped by hand comes back as this says.
KEYS = {"tftp": "RunTrivialFTP", "http": "RunHTTP", "https": "RunHTTPS", "ftp": "RunFTP", "ftps": "RunFTPS"}
PLACES = {"": "all", "0.0.0.0": "all IPv4", "::": "all IPv6"}  # noqa: S104


_log = logging.getLogger("manager")


class Matter(NamedTuple):
    """Something that wants attention; `href` leads to where it is mended, if that is a page of ours."""

    tone: str  # bad, warn, legacy or good
    text: str
    href: str = ""
    word: str = ""


class Refused(NamedTuple):
    """Requests of one reason that were refused within a day."""

    reason: str
    why: str
    count: int
    peers: int  # addresses that asked
    number: int  # reference number of the last one
    last: float


class Fallback(NamedTuple):
    """Phones that get fxd files, because a list does not have them."""

    phones: int
    since: float  # when the first such file went out that is still remembered


NOBODY = Fallback(0, 0.0)


class Listener(NamedTuple):
    """One protocol with its ports, as people think of it."""

    proto: str
    title: str
    ports: str
    state: str  # up, off, failed or part
    notes: tuple[str, ...]
    key: str  # of the ini; empty: it cannot be started or stopped alone


class Kept(Generic[T]):
    """The answer to a question that costs something: kept fresh by `renew`, so that no page waits for it."""

    def __init__(
        self,
        age: float,
        nothing: T,
        question: Callable[[T | None], T],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._age, self._nothing, self._question, self._clock = age, nothing, question, clock
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._due = float("-inf")
        self._answer: T | None = None

    def __call__(self) -> T:
        """The last answer; asked here and now only if there is none, or nobody renewed it for long."""
        if self._answer is None or self._clock() - self._asked > STALE:
            try:
                self.renew()
            except sqlite3.Error as fault:  # the rest of the page is worth showing
                _log.warning("the inventory cannot be read: %s", fault)
                return self._nothing
        return self._nothing if self._answer is None else self._answer

    def renew(self) -> None:
        """Ask again if it is time to. What takes long is asked seldom: a tenth of a thread at most."""
        with self._lock:
            begun = self._clock()
            if begun < self._due:
                return
            self._answer = self._question(self._answer)
            self._asked = self._clock()
            self._due = self._asked + max(self._age, 10 * (self._asked - begun))


class Inquiry:
    """The Overview's questions to the inventory. They block, and each is asked once for all who look."""

    def __init__(self, inventory: Callable[[], Reader], now: Callable[[], float] = time.time):
        self.refusals = Kept(4.0, [], lambda _: refusals(inventory(), now()))
        self._fallback = Kept(60.0, [NOBODY], lambda _: [fallback(inventory(), now())])
        self._storm = Kept(
            3.0, [None], lambda last: [storms.look(inventory(), now(), last[0] if last else None)]
        )

    def storm(self) -> Storm | None:
        return self._storm()[0]

    def on_fallback(self) -> Fallback:
        return self._fallback()[0]

    def renew(self) -> None:
        """Whatever is due, now and then while the manager runs."""
        try:
            for one in (self._storm, self.refusals, self._fallback):
                one.renew()
        except sqlite3.Error as fault:
            _log.warning("the inventory cannot be read: %s", fault)


def refusals(reader: Reader, now: float) -> list[Refused]:
    """Of the last day by their reason, the most frequent first."""
    rows = reader.ask(
        "SELECT reason, sum(count) AS count, count(DISTINCT peer) AS peers, max(id) AS number, "
        "max(last) AS last FROM (SELECT reason, count, peer, id, last FROM requests "
        "WHERE outcome = 'refused' ORDER BY id DESC LIMIT ?) "
        "WHERE last > ? GROUP BY reason ORDER BY count DESC, reason", ROWS, now - DAY)  # fmt: skip
    return [Refused(why=REASONS.get(row["reason"], row["reason"]), **row) for row in rows]


def fallback(reader: Reader, now: float) -> Fallback:
    """How many phones got an fxd file as the last answer to a name, within 30 days."""
    rows = reader.ask("SELECT count(DISTINCT phone) AS phones FROM files WHERE last_seen > ? "
                      "AND file LIKE '%/fxd\\_%' ESCAPE '\\'", now - 30 * DAY)  # fmt: skip
    phones = rows[0]["phones"] if rows else 0
    if not phones:
        return NOBODY
    first = reader.ask(
        "SELECT time FROM requests WHERE file LIKE '%/fxd\\_%' ESCAPE '\\' ORDER BY id LIMIT 1"
    )
    return Fallback(phones, first[0]["time"] if first else 0.0)


def matters(
    status: Mapping[str, Any] | None,
    config: Config,
    fxd: Fallback,
    now: float,
    certs: Iterable[Mapping[str, Any]] = (),
) -> list[Matter]:
    """What wants attention, the worst first. Without a server's status what the home alone tells."""
    found: list[Matter] = []
    disk: Mapping[str, int] = {"free": 0, "total": 0}
    if status is not None:
        found += _listeners(status)
        found += _configuration(status, config)
        found += _others(status, now)
        certs, disk = [*status["certs"], *certs], status["disk"]
    else:
        try:
            usage = shutil.disk_usage(config.home.root)
            disk = {"free": usage.free, "total": usage.total}
        except OSError:
            pass  # then nothing is known of it
    found += _certificates(certs, now)
    if disk["total"] and disk["free"] / disk["total"] < DISK_SHARE * 2:
        tone = "bad" if disk["free"] / disk["total"] < DISK_SHARE else "warn"
        found.append(Matter(tone, f"Only {size(disk['free'])} of {size(disk['total'])} are free on the disk"))
    if fxd.phones:
        who = many(fxd.phones, "phone")
        long = f" for {span(now - fxd.since)}" if fxd.since else ""
        text = f"{who} on fxd files{long}: no list has them, so they get the fallback's settings"
        found.append(Matter("warn", text, "/access", "Look at the lists"))
    worth = {"bad": 0, "warn": 1, "legacy": 2}
    return sorted(found, key=lambda one: worth.get(one.tone, 3))


def _listeners(status: Mapping[str, Any]) -> Iterable[Matter]:
    for row in status["listeners"]:
        if row["state"] == "failed":
            title = PORTS.get(row["proto"], row["proto"])
            yield Matter("bad", f"{title} on port {row['port']} is not up: {row['error']}")


def _configuration(status: Mapping[str, Any], config: Config) -> Iterable[Matter]:
    told = status["config"]
    for finding in told["findings"][:FINDINGS]:
        yield Matter("warn", finding)
    if len(told["findings"]) > FINDINGS:
        yield Matter(
            "warn", f"and {len(told['findings']) - FINDINGS} more findings; `mv-iptel check` tells all"
        )
    for mode in status["server"]["legacy"]:
        yield Matter("legacy", f"Legacy mode {LEGACY.get(mode, mode)}")
    try:
        changed = config.home.ini.stat().st_mtime
    except OSError:
        return
    if changed > told["loaded"] + 2:
        yield Matter("warn", "MV_IPTel.ini was changed and is not loaded yet", "reload", "Load it")


def _others(status: Mapping[str, Any], now: float) -> Iterable[Matter]:
    seen = status["watchdog"]["last_seen"]
    if seen and now - seen > WATCHDOG:
        yield Matter("warn", f"The watchdog has not looked for {span(now - seen)}")
    rollout = status["rollout"]
    if rollout.get("state") == "halted" or rollout.get("failed") or rollout.get("loops"):
        lost = rollout.get("failed", 0) + rollout.get("loops", 0)
        note = f": {rollout['note']}" if rollout.get("note") else ""
        text = (
            f"The roll-out of {rollout['release']} is {rollout['state']}{note}; {many(lost, 'phone')} failed"
        )
        yield Matter("bad" if rollout["state"] == "halted" else "warn", text, "/firmware", "Firmware")
    central = status["central"]
    if central.get("error"):
        yield Matter("warn", f"Central server: {central['error']}")
    away = [one["name"] for one in central.get("branches") or () if now - (one["last_seen"] or 0) > AWAY]
    if away:
        more = f" and {count(len(away) - 5)} more" if len(away) > 5 else ""
        yield Matter("warn", f"Not heard of for an hour: {', '.join(away[:5])}{more}")


def _certificates(certs: Iterable[Mapping[str, Any]], now: float) -> Iterable[Matter]:
    for one in {(each["subject"], each["not_after"]): each for each in certs}.values():
        left = one["not_after"] - now
        if left < CERT_DAYS * DAY:
            text = f"The certificate {one['subject']} "
            text += f"ends in {span(left)}" if left > 0 else "has ended"
            yield Matter("warn" if left > 0 else "bad", f"{text}; `mv-iptel certs renew` makes the next one")


def listeners(status: Mapping[str, Any]) -> list[Listener]:
    """The ports by protocol, in the order of PORTS. One that is off has no port."""
    rows: dict[str, list[Mapping[str, Any]]] = {proto: [] for proto in KEYS}
    for row in status["listeners"]:
        rows.setdefault(row["proto"], []).append(row)
    found = []
    for proto, every in rows.items():
        states = {row["state"] for row in every}
        state = "off"
        if "failed" in states:
            state = "part" if "up" in states else "failed"
        elif "up" in states:
            state = "up"
        places: dict[tuple[int, str], list[str]] = {}
        for row in every:
            if row["state"] != "off":
                places.setdefault((row["port"], row["state"]), []).append(
                    PLACES.get(row["address"], row["address"])
                )
        ports = ", ".join(dict.fromkeys(str(port) for port, _ in places)) or "–"
        notes = dict.fromkeys(
            f"port {row['port']}: {row['error']}"
            for row in every
            if row["state"] == "failed" and row["error"]
        )
        bound = dict.fromkeys(name for names in places.values() for name in names)
        if bound and set(bound) != {"all IPv4", "all IPv6"} and set(bound) != {"all"}:
            notes[f"on {', '.join(bound)}"] = None
        for row in every:
            if row["tls"]:
                notes[f"port {row['port']}: {row['tls']}"] = None
        found.append(
            Listener(proto, PORTS.get(proto, proto), ports, state, tuple(notes), KEYS.get(proto, ""))
        )
    order = list(PORTS)
    return sorted(found, key=lambda one: order.index(one.proto) if one.proto in order else len(order))


def worded(storm: Storm, now: float) -> str:
    """`312 of 500 phones done, the rest by 09:42`."""
    text = f"{count(storm.done)} of {count(storm.total)} phones done"
    if storm.over:
        return f"{text}, the last at {time.strftime('%H:%M', time.localtime(storm.last or now))}"
    if storm.ends:
        # A whole minute later rather than a promise that is not kept.
        return f"{text}, the rest by {time.strftime('%H:%M', time.localtime(storm.ends + 59))}"
    return f"{text}; none became ready in the last two minutes"
