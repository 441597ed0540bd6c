"""When each branch was seen and how it said it was; `var/central/seen.json` has it for commands."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

from mv_iptel.central.authority import folder
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.userdata.disk import write_record

WRITE_AGAIN = 10.0  # seconds between two writings of the file
_TEXTS = {"server": 100, "version": 40, "error": 500}
_NUMBERS = ("generation", "queue", "phones")


class Reports:
    """What is known of the branches by name. Times in seconds since the epoch."""

    def __init__(self, home: Home):
        self._path = folder(home) / "seen.json"
        self._lock = threading.Lock()
        self._known = read(home)
        self._changed, self._written = False, 0.0

    def seen(self, name: str, address: str, now: float) -> None:
        """A request of this branch came."""
        with self._lock:
            row = self._known.setdefault(name, {})
            row["last_seen"], row["address"] = round(now, 3), address
            self._changed = True

    def said(self, name: str, told: dict[str, Any], now: float) -> None:
        """Its report. ValueError: a field is not what it must be."""
        row: dict[str, Any] = {"reported": round(now, 3), "error": ""}
        for key, longest in _TEXTS.items():
            if key in told:
                if not isinstance(told[key], str):
                    raise ValueError(f"{key}: a text")
                row[key] = plain(told[key], longest)
        for key in _NUMBERS:
            if key in told:
                if type(told[key]) is not int or not 0 <= told[key] < 1 << 53:
                    raise ValueError(f"{key}: a number, not below 0")
                row[key] = told[key]
        with self._lock:
            self._known.setdefault(name, {}).update(row)
            self._changed = True

    def all(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            return {name: dict(row) for name, row in self._known.items()}

    def last(self) -> float:
        """When any branch was seen last."""
        with self._lock:
            return max((row.get("last_seen", 0.0) for row in self._known.values()), default=0.0)

    def save(self, now: float, force: bool = False) -> None:
        """Write the file, if something has changed and the last time is long ago. Raises OSError."""
        with self._lock:
            if not self._changed or (not force and 0 <= now - self._written < WRITE_AGAIN):
                return
            self._changed, self._written = False, now
            data = json.dumps(self._known, indent=1).encode() + b"\n"
        write_record(self._path, data)


def read(home: Home) -> dict[str, dict[str, Any]]:
    """The file; empty where there is none that can be read."""
    with suppress(OSError, ValueError):
        told = json.loads((folder(home) / "seen.json").read_bytes())
        rows = told.items() if isinstance(told, dict) else ()
        return {name: row for name, row in rows if isinstance(row, dict)}
    return {}
