"""Puts together what `/status.json` and the page show, from the parts that know it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cryptography import x509

from mv_iptel import __version__
from mv_iptel.status.counters import Counters

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.events import Stream
    from mv_iptel.inventory import Inventory
    from mv_iptel.journal import Journal
    from mv_iptel.library import Library

SCHEMA = 1
MAX_ACTIVE = 500
LISTENER = ("proto", "address", "port", "state", "error", "tls")
CENTRAL = ("role", "peer", "last_ok", "lag_s", "queue")
BACKUPS = ("files", "versions", "bytes", "queued")
TRANSFER = ("id", "proto", "peer", "mac", "ext", "model", "name", "bytes", "total", "started")


class Front(Protocol):
    """A front end as the status sees it: its rows have at least the keys of `LISTENER` and `TRANSFER`."""

    def listeners(self) -> list[dict]: ...

    def active(self) -> list[dict]: ...


@dataclass
class Sources:
    """Who is asked. Callables where a reload or a stopped server changes the object."""

    config: Callable[[], Config]
    library: Library
    fronts: Callable[[], Iterable[Front]] = tuple
    inventory: Inventory | None = None
    stream: Stream | None = None
    journal: Journal | None = None
    # What turns the status red beside broken lists, as (file, line, text).
    more_problems: Callable[[], Sequence[tuple[str, int, str]]] = tuple
    # Legacy modes in force; without it those that the server told at its start.
    legacy: Callable[[], Sequence[str]] | None = None
    # How much user data is kept and waits to be sent on: files, versions, bytes, queued. Cheap.
    backups: Callable[[], Mapping[str, int]] = dict
    # Its part among other servers: role, peer, last_ok, lag_s, queue, and for a central one its branches.
    central: Callable[[], Mapping[str, Any]] = dict
    # What is published and what is arriving; the roll-out that runs. Empty: nothing, none.
    firmware: Callable[[], Mapping[str, Any]] = dict
    rollout: Callable[[], Mapping[str, Any]] = dict

    def problems(self) -> list[tuple[str, int, str]]:
        """Broken and lost lists, and whatever else must be mended."""
        return [*self.library.problems(), *self.more_problems()]


Answer = Any | Awaitable[Any]


@dataclass
class Controls:
    """What the control calls do. Each may be plain or async; None: answered with 501.

    reload() -> dict with at least `ok`, `findings`, `restart` (as in `Reloaded`)
    listener(proto, run) -> bool, False if there is no such protocol
    lift_ban(address) -> bool, False if it was not banned
    refresh() -> anything
    unpin(file) -> bool, False if no password is remembered for that name of user data
    Freeing a slot and forgetting a phone need nothing: library.slots.free, inventory.forget.
    """

    reload: Callable[[], Answer] | None = None
    listener: Callable[[str, bool], Answer] | None = None
    lift_ban: Callable[[str], Answer] | None = None
    refresh: Callable[[], Answer] | None = None
    unpin: Callable[[str], Answer] | None = None


@dataclass
class Snapshot:
    """Builds status.json, schema 1. Looks at files and the database: not for an event loop."""

    counters: Counters
    sources: Sources
    clock: Callable[[], float] = time.time
    _certs: dict[str, tuple[tuple[int, int], list[dict]]] = field(default_factory=dict)

    def build(self, now: float | None = None) -> dict[str, Any]:
        """The whole document (DESIGN section 7)."""
        now = self.clock() if now is None else now
        counters, sources = self.counters, self.sources
        config = sources.config()
        fronts = list(sources.fronts())
        slots = sources.library.slots
        legacy = counters.legacy if sources.legacy is None else sources.legacy()
        listeners = [{key: row[key] for key in LISTENER} for front in fronts for row in front.listeners()]
        active = [{key: row[key] for key in TRANSFER} for front in fronts for row in front.active()]
        findings = counters.findings
        if findings is None:
            findings = tuple(str(finding) for finding in getattr(config, "findings", ()))
        kept = sources.backups()
        inventory = sources.inventory
        counts = inventory.counts(now) if inventory is not None else {"known": 0, "seen_15m": 0}
        return {
            "schema": SCHEMA,
            "server": {
                "name": config.settings.server_name,
                "version": counters.version or __version__,
                "pid": os.getpid(),
                "started": round(counters.started, 3),
                "uptime_s": max(0, int(now - counters.started)),
                "home": str(config.home.root),
                "legacy": list(legacy),
            },
            "config": {
                "file": str(config.file) if config.file else None,
                "loaded": round(counters.loaded or counters.started, 3),
                "generation": counters.generation or 1,
                # A broken list is a finding until it is mended; it needs no reload to be one.
                "findings": [*findings, *map(problem, sources.problems())],
            },
            "listeners": listeners,
            "slots": {"max": slots.max, "used": slots.used, "refused": slots.refused},
            "transfers": {
                "active": active[:MAX_ACTIVE],
                "now": len(active),
                # With what is under way, so that the difference of two looks is what was sent between them.
                "octets": counters.octets() + sum(row["bytes"] or 0 for row in active),
                **counters.sums(),
            },
            "phones": {"known": counts["known"], "seen_15m": counts["seen_15m"]},
            "backups": dict.fromkeys(BACKUPS, 0) | {key: kept[key] for key in BACKUPS if key in kept},
            "central": {**dict.fromkeys(CENTRAL), "queue": 0, **sources.central()},
            "firmware": dict(sources.firmware()),
            "rollout": dict(sources.rollout()),
            "certs": self.certs(),
            "disk": self.disk(),
            "watchdog": {"last_seen": round(counters.watchdog_seen, 3) or None},
        }

    def disk(self) -> dict[str, int]:
        """Octets free and in all where the home lies; zeros if that cannot be told."""
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(self.sources.config().home.root)
            return {"free": usage.free, "total": usage.total}
        return {"free": 0, "total": 0}

    def certs(self) -> list[dict]:
        """File, subject and end of each certificate in use, chains too; read again when one changed."""
        config = self.sources.config()
        paths = dict.fromkeys(str(pair.cert_file) for pair in config.pairs() or (config.pair("https"),))
        self._certs = {path: known for path, known in self._certs.items() if path in paths}
        return [row for path in paths for row in self._read_certs(path)]

    def _read_certs(self, path: str) -> list[dict]:
        try:
            stat = os.stat(path)
            key = (stat.st_mtime_ns, stat.st_size)
            known = self._certs.get(path)
            if known is None or known[0] != key:
                with open(path, "rb") as file:
                    data = file.read(1 << 20)
                known = (key, [_certificate(path, one) for one in x509.load_pem_x509_certificates(data)])
                self._certs[path] = known
            return known[1]
        except (OSError, ValueError):
            return []


def _certificate(path: str, certificate: x509.Certificate) -> dict[str, Any]:
    return {
        "file": path,
        "subject": certificate.subject.rfc4514_string(),
        "not_after": int(certificate.not_valid_after_utc.timestamp()),
    }


def problem(place: tuple[str, int, str]) -> str:
    """A broken or lost list in the form of a finding."""
    file, line, text = place
    return f"{file}:{line}: {text}" if line else f"{file}: {text}"
