"""Which user data has changed since when: one entry for each name, numbered in the order of the changes.

`var/central/userdata.jsonl` has a line for each change and says who stored what and when. It is not synced:
at the start, and after another process has worked on the home, the current files are held against it.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.central.authority import folder
from mv_iptel.userdata.disk import hash_of, look, open_file, write_record
from mv_iptel.userdata.names import parse

if TYPE_CHECKING:
    from mv_iptel.config import Config

# A power cut may cost the last lines, whose numbers branches know already: the next start leaves room.
GAP = 1_000_000
SLACK = 1000  # lines more than names before the file is written anew


class Change(NamedTuple):
    """The last change of one name."""

    name: str
    number: int
    sha256: str  # empty: removed
    size: int
    changed: float  # when the phone stored it
    branch: str  # who sent it; empty: a phone of this server
    mtime_ns: int = 0  # of the file, by which an unchanged one is known without reading it


class Changes:
    """The changes of one home. Any thread; `open` and `stock` read the disk for long."""

    def __init__(self, config: Config, now: Callable[[], float] = time.time):
        self.config, self._now = config, now
        self._path = folder(config.home) / "userdata.jsonl"
        self._lock = threading.Lock()  # of what is known; nobody waits for a disk with it
        self._writing = threading.Lock()  # of the file
        self._by_name: dict[str, Change] = {}
        self._epoch, self._number, self._lines = "", 0, 0
        self.listeners: list[Callable[[], None]] = []  # told of each change, on its thread

    def open(self) -> None:
        """Read what was written down. Raises OSError."""
        with self._writing:
            with self._lock:
                self._read()
                self._number += GAP
            self._compact()

    def stock(self) -> None:
        """Hold the current files against what is known. Raises OSError."""
        present = self.config.http.backup_dir
        names = [name for name in os.listdir(present) if (kept := parse(name)) and kept.file == name]
        for name in names:
            with suppress(OSError):  # what is no file, or is gone since
                self._held(name, present / name)
        there = set(names)
        gone = [name for name, one in list(self._by_name.items()) if one.sha256 and name not in there]
        for name in gone:
            with suppress(OSError):
                if look(present / name) is None:
                    self.add(name, "", 0, self._now(), "")

    def get(self, name: str) -> Change | None:
        return self._by_name.get(name)

    def add(self, name: str, sha256: str, size: int, changed: float, branch: str, mtime_ns: int = 0) -> None:
        """A change that was made. Raises OSError if it cannot be written down, but it is known then."""
        with self._lock:
            known = self._by_name.get(name)
            if known is not None and known.sha256 == sha256 and known.mtime_ns == mtime_ns:
                later = bool(branch) and changed > known.changed  # a phone has stored the same again
                self._by_name[name] = known._replace(changed=changed, branch=branch) if later else known
                return  # told by two: by who stored it, and by the store
            self._number += 1
            change = Change(name, self._number, sha256, size, round(changed, 6), branch, mtime_ns)
            self._by_name.pop(name, None)
            self._by_name[name] = change  # at the end: the order of a dict is that of the numbers
            listeners = list(self.listeners)
        for listener in listeners:
            listener()
        with self._writing:
            self._append(change)

    def since(self, cursor: str, most: int) -> tuple[list[Change], str, bool]:
        """What changed after `cursor`, the new cursor, and whether there is more."""
        with self._lock:
            epoch, _, number = cursor.partition(".")
            known = epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < 19
            after = int(number) if known else 0
            found: list[Change] = []
            for one in reversed(self._by_name.values()):
                if one.number <= after:
                    break
                found.append(one)
            found.reverse()
            told = found[:most]
            last = told[-1].number if told else max(after, self._number)
            return told, f"{self._epoch}.{last}", len(found) > most

    def _held(self, name: str, path: Path) -> None:
        found = look(path)
        if found is None:
            return
        known = self._by_name.get(name)
        if known is not None and (known.size, known.mtime_ns) == (found.st_size, found.st_mtime_ns):
            return
        fd = open_file(path)
        try:
            sha256, found = hash_of(fd), os.fstat(fd)
        finally:
            os.close(fd)
        if known is not None and known.sha256 == sha256:
            with self._lock:  # the same content: nobody has to hear of it
                if self._by_name.get(name) is known:
                    self._by_name[name] = known._replace(mtime_ns=found.st_mtime_ns)
            return
        self.add(name, sha256, found.st_size, found.st_mtime, "", found.st_mtime_ns)

    def _read(self) -> None:
        self._by_name, self._epoch, self._number, self._lines = {}, "", 0, 0
        floor = 0
        with suppress(FileNotFoundError), open(self._path, encoding="utf-8", errors="replace") as file:
            for line in file:
                self._lines += 1
                with suppress(ValueError, TypeError):
                    told = json.loads(line)
                    if isinstance(told, dict):
                        self._epoch = str(told["epoch"]) if "epoch" in told else self._epoch
                        floor = max(floor, int(told.get("number", 0)))
                        continue
                    change = Change(*told)
                    known = self._by_name.get(change.name)
                    newer = known is None or change.number > known.number
                    if isinstance(change.name, str) and parse(change.name) and newer and change.number > 0:
                        self._number = max(self._number, change.number)
                        self._by_name[change.name] = change
        # Two that came at once may stand there in either order; that of the dict is that of the numbers.
        self._by_name = dict(sorted(self._by_name.items(), key=lambda one: one[1].number))
        self._number = max(self._number, floor)
        self._epoch = self._epoch or secrets.token_hex(4)

    def _append(self, change: Change) -> None:
        if self._lines > 2 * len(self._by_name) + SLACK or not self._path.exists():
            self._compact()
            return
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(list(change), separators=(",", ":")) + "\n")
        self._lines += 1

    def _compact(self) -> None:
        with self._lock:
            head = json.dumps({"epoch": self._epoch, "number": self._number})
            changes = list(self._by_name.values())
        lines = [head, *(json.dumps(list(one), separators=(",", ":")) for one in changes)]
        write_record(self._path, "".join(f"{line}\n" for line in lines).encode())
        self._lines = len(lines)
