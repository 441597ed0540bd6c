"""Keeps running totals and the latest refusals and notices in memory, and feeds live watchers."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mv_iptel.events import Event, Finished, Listening, Notice, Reloaded, Started
from mv_iptel.home import CHECK_FILE
from mv_iptel.userdata.names import parse

RECENT_REFUSALS = 200
RECENT_NOTICES = 50

# Upper bounds of the transfer times, in seconds: a settings file takes a few ms, firmware over a slow
# branch line some minutes.
SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0)


# What SNMP had the last word on; the outcome of everything else says nothing of the phones' agents.
CHALLENGES = frozenset({"no-snmp", "snmp-mismatch"})


@dataclass(slots=True)
class Refusal:
    """Identical refusals in a row, as one: `count` of them, the last one under number `id`."""

    id: int
    time: float
    proto: str
    listener: str
    peer: str
    mac: str
    ext: str
    model: str
    name: str
    reason: str
    detail: str
    source: str
    line: int
    count: int = 1


class Counters:
    """A listener of the stream. Written by the stream's thread, read by the status server's.

    The totals are plain dictionaries of lists: a reader may see one event half counted, never a broken
    structure, and no event waits for a lock.
    """

    def __init__(self, clock: Callable[[], float] = time.time):
        self.clock = clock
        self.started = clock()  # until the server says so itself
        self.version = ""
        self.legacy: tuple[str, ...] = ()
        # (proto, listener, outcome, reason) -> [requests, octets, resends]
        self.totals: dict[tuple[str, str, str, str], list[int]] = {}
        # proto -> [count per bound of SECONDS and above, sum of seconds]; answered transfers only
        self.seconds: dict[str, list[float]] = {}
        # The same of user data, by what was done: op -> key as above -> [requests, octets]
        self.userdata: dict[str, dict[tuple[str, str, str, str], list[int]]] = {
            "read": {}, "store": {}, "delete": {},
        }  # fmt: skip
        self.userdata_seconds: dict[str, list[float]] = {}  # as `seconds`: a question to the phone is in them
        # (outcome, reason) -> requests that a phone's answer by SNMP decided
        self.challenges: dict[tuple[str, str], int] = {}
        self.refusals: deque[Refusal] = deque(maxlen=RECENT_REFUSALS)
        self.notices: deque[Notice] = deque(maxlen=RECENT_NOTICES)
        self.levels: dict[str, int] = {}  # notices counted by level
        self.generation = 0
        self.loaded = 0.0  # when the configuration in force was loaded
        self.findings: tuple[str, ...] | None = None  # of the last reload; None: there was none
        self.reload_refused = ""  # the file of the last reload, if that was refused
        self.restart: tuple[str, ...] = ()  # keys that wait for a restart
        self.watchdog_seen = 0.0
        self.listening: dict[tuple[str, str, int], Listening] = {}
        self._watchers: tuple[Callable[[list[Event]], None], ...] = ()

    def receive(self, batch: list[Event]) -> None:
        """Count a batch. Runs on the stream's thread."""
        totals = self.totals
        for event in batch:
            if type(event) is Finished:
                outcome = event.outcome
                key = (event.proto, event.listener, outcome, event.reason)
                row = totals.get(key)
                if row is None:
                    row = totals[key] = [0, 0, 0]
                row[0] += 1
                if event.op == "read":
                    row[1] += event.bytes
                if event.resends:
                    row[2] += event.resends
                seconds = self.seconds
                if event.op != "read" or ("data" in event.name[-12:].lower() and parse(event.name)):
                    self._userdata(event, key)
                    seconds = self.userdata_seconds
                if outcome == "ok":
                    took = seconds.get(event.proto)
                    if took is None:
                        took = seconds[event.proto] = [0] * (len(SECONDS) + 1) + [0.0]
                    took[bisect_left(SECONDS, event.seconds)] += 1
                    took[-1] += event.seconds
                    if event.name.endswith(CHECK_FILE):
                        self.watchdog_seen = event.time
                elif outcome == "refused":
                    self._refused(event)
            else:
                self._other(event)
        for watcher in self._watchers:
            watcher(batch)

    def watch(self, watcher: Callable[[list[Event]], None]) -> None:
        """Hand every batch to `watcher` too, on the stream's thread, until `unwatch`."""
        self._watchers = (*self._watchers, watcher)

    def unwatch(self, watcher: Callable[[list[Event]], None]) -> None:
        self._watchers = tuple(one for one in self._watchers if one != watcher)

    def sums(self) -> dict[str, int]:
        """Requests by outcome: ok, refused, and failed for all that broke off."""
        sums = {"ok": 0, "refused": 0, "failed": 0}
        for (_, _, outcome, _), (count, _, _) in list(self.totals.items()):
            sums[outcome if outcome in sums else "failed"] += count
        return sums

    def octets(self) -> int:
        """Octets sent since the start, of requests that have ended."""
        return sum(row[1] for row in list(self.totals.values()))

    def kept(self) -> dict[str, int]:
        """User data since the start: stored, restored, deleted, and what was refused of it."""
        found = {"stored": 0, "restored": 0, "deleted": 0, "refused": 0}
        words = {"store": "stored", "read": "restored", "delete": "deleted"}
        for op, table in self.userdata.items():
            for (_, _, outcome, _), (count, _) in list(table.items()):
                if outcome == "ok":
                    found[words[op]] += count
                elif outcome == "refused":
                    found["refused"] += count
        return found

    def _userdata(self, event: Finished, key: tuple[str, str, str, str]) -> None:
        table = self.userdata.setdefault(event.op, {})
        row = table.get(key)
        if row is None:
            row = table[key] = [0, 0]
        row[0] += 1
        row[1] += event.bytes
        if event.reason in CHALLENGES or (event.outcome == "ok" and "snmp" in event.identified):
            asked = event.outcome, event.reason
            self.challenges[asked] = self.challenges.get(asked, 0) + 1

    def _refused(self, event: Finished) -> None:
        refusals = self.refusals
        if refusals:
            last = refusals[-1]
            if last.peer == event.peer and last.name == event.name and last.reason == event.reason:
                last.id, last.time = event.id, event.time
                last.count += 1
                return
        refusals.append(
            Refusal(
                event.id, event.time, event.proto, event.listener, event.peer, event.mac, event.ext,
                event.model, event.name[:200], event.reason, event.detail[:300], event.source, event.line,
            )
        )  # fmt: skip

    def _other(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.notices.append(event)
            self.levels[event.level] = self.levels.get(event.level, 0) + 1
        elif isinstance(event, Started):
            self.started, self.version, self.legacy = event.time, event.version, event.legacy
        elif isinstance(event, Reloaded):
            self.findings = event.findings
            self.reload_refused = "" if event.ok else event.file
            if event.ok:
                self.generation, self.loaded, self.restart = event.generation, event.time, event.restart
        elif isinstance(event, Listening):
            self.listening[event.proto, event.address, event.port] = event
