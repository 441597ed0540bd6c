"""Copies of the users' data for somewhere else, from a queue on disk: the customer's FTP server, the centre.

A `Way` says where to, and how. Each name that is due has one empty file in `var/queue/WAY/`. It says only
*that* the file has to go there; what goes is the content that is current then, so the newest wins and no name
overtakes itself. `var/queue/WAY.sent` says which content of each file is there. At the start, and when the
destination changes, the current files are held against it: a change that was stored just before a crash, and
never came into the queue, is found that way. A removal is passed on only where the way says so, and only if
the name's history knows of it: a file that is lost here does not take its copy along.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mv_iptel.config import Config
from mv_iptel.events import Event, Notice
from mv_iptel.files import replace
from mv_iptel.userdata import disk, history
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.versions import folder_of
from mv_iptel.userdata.ways import CUSTOM_FTP, Carrier, Way, Where

if TYPE_CHECKING:
    from mv_iptel.userdata.store import Origin, Stored

FIRST, LONGEST = 5.0, 900.0  # seconds: the first pause after a failure, and the longest
# So many files refused one after the other are the server's trouble, not the files': a full disk, say.
REFUSALS = 20
# One file that cannot be read holds up none of the others.
_NO_FILE = {errno.ENOENT, errno.EACCES, errno.EPERM}
UNKNOWN = "-"  # in place of a hash: an upload began, nobody knows what is there


def pause(failures: int, chance: float) -> float:
    """How long to wait after that many failures in a row; `chance` (0 to 1) spreads many servers out."""
    return min(LONGEST, FIRST * 2.0 ** min(failures - 1, 20)) * (0.5 + chance / 2)


class Outbox:
    """The queue, and the one thread that empties it. `add` is one of the store's listeners."""

    def __init__(
        self,
        config: Config,
        publish: Callable[[Event], None],
        now: Callable[[], float] = time.time,
        way: Way = CUSTOM_FTP,
    ):
        self._way = way
        self._queue_folder = config.home.var / "queue"
        self._entries, self._record = self._queue_folder / way.name, Path()
        self._config, self._publish, self._now = config, publish, now
        self._lock = threading.Lock()  # guards the queue: _due and the files that stand for it
        self._due: dict[str, int] = {}  # name -> which addition it is
        self._numbers = itertools.count(1)
        self._refused: dict[str, tuple[float, int]] = {}  # name -> when to try again, how often refused
        self._carrier: Carrier | None = None
        self._folder = Path()  # what was held against the record,
        self._stale = True  # unless it may have changed since
        self._failures, self._retry = 0, 0.0
        self._down = False  # the administrator was told that nothing gets there
        self._wake, self._running, self._stop = threading.Event(), False, False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send, if the configuration says so."""
        self._running = True
        if self._way.wanted(self._config) and self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._way.name, daemon=True)
            self._thread.start()

    def configure(self, config: Config) -> None:
        """A reload: another destination gets every file, and what failed before is tried at once."""
        self._config = config
        self._failures, self._retry, self._refused = 0, 0.0, {}
        if self._running:
            self.start()
        self._wake.set()

    def refresh(self) -> None:
        """Another process changed something: hold the files against the record again."""
        self._stale = True
        self._wake.set()

    def close(self) -> None:
        """End the thread. What it was sending stays queued."""
        self._running, self._stop = False, True
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        for _ in range(100):  # again and again: it may just be opening the next connection
            if self._carrier is not None:
                self._carrier.abort()
            thread.join(0.05)
            if not thread.is_alive():
                break

    def add(self, stored: Stored, origin: Origin) -> None:
        """A change was kept: its file is due. Called on the store's thread."""
        if not self._way.wanted(self._config) or (stored.removed and not self._way.removals):
            return
        name = os.path.basename(stored.file)
        if self._way.ours and origin.how == self._way.ours:
            return self._came(name, stored.sha256)
        self._refused.pop(name, None)  # other content, another attempt
        try:
            if self._queue(name):
                disk.sync_folder(self._entries)
        except OSError:
            pass  # it is due as long as we run, and the next start finds it by its content
        self._wake.set()

    def _came(self, name: str, sha: str) -> None:
        """This content came from there: it need not go back."""
        if self._record.name and sha:
            with suppress(OSError):  # then it goes back once, which changes nothing there
                self._note(sha, name)

    def push(self, names: Iterable[str]) -> None:
        """Send these again, whatever is known to be there: somebody asked for them. Raises OSError."""
        for name in names:
            self._refused.pop(name, None)
            self._queue(name)
        self._wake.set()

    def waits(self, name: str) -> bool:
        """Whether a change of this name has not got there yet."""
        return name in self._due

    def hurry(self) -> None:
        """Somebody answers there again: no pause is waited for."""
        self._failures, self._retry = 0, 0.0
        self._wake.set()

    def counts(self) -> dict[str, int]:
        """For the status: how many files wait."""
        return {"queued": len(self._due) if self._way.wanted(self._config) else 0}

    def step(self) -> float:
        """Send what is due; gives the seconds after which to look again. For the thread, or a test."""
        if not self._way.wanted(self._config):
            self._carrier = None
            return LONGEST
        wait = self._retry - self._now()
        if 0 < wait <= LONGEST:  # a longer one means that somebody set the clock back
            return wait
        if (hold := self._way.hold()) > 0:
            return min(LONGEST, hold)
        self._retry = 0.0
        try:
            self._opened()
            while ready := self._ready():
                self._deliver(self._opened(), ready)
        except Exception as error:  # whatever it is, the next attempt comes, and the administrator reads why
            self._failed(error)
        now = self._now()
        if (hold := self._way.hold()) > 0:
            return min(LONGEST, hold)
        if self._retry > now:
            return min(LONGEST, self._retry - now)
        return max(0.0, min([LONGEST, *(when - now for when, _ in list(self._refused.values()))]))

    def _run(self) -> None:
        while not self._stop:
            self._wake.clear()  # before the look: an addition during it is not lost
            self._wake.wait(self.step())

    # the queue

    def _queue(self, name: str) -> bool:
        """Put a name into the queue; whether it was not in it. Raises OSError, but then it is in it too."""
        with self._lock:
            known = name in self._due
            self._due[name] = next(self._numbers)
            if known:
                return False
            disk.make_folder(self._entries)
            os.close(os.open(self._entries / name, os.O_WRONLY | os.O_CREAT, 0o600))
            return True

    def _done(self, name: str, number: int) -> None:
        """That addition is dealt with; a later one of the same name is not."""
        with self._lock:
            if self._due.get(name) == number:
                del self._due[name]
                (self._entries / name).unlink(missing_ok=True)

    def _ready(self) -> list[tuple[str, int]]:
        """What can be sent now, in the order it came."""
        now = self._now()
        if self._stop or self._retry > now or not self._way.wanted(self._config) or self._way.hold() > 0:
            return []
        with self._lock:
            return [
                (name, number) for name, number in self._due.items()
                if not 0 < self._refused.get(name, (0.0, 0))[0] - now <= LONGEST
            ]  # fmt: skip

    def _opened(self) -> Carrier:
        """The destination that the configuration names, its queue complete."""
        to, folder = self._way.to(self._config), self._config.http.backup_dir
        if self._stale or self._carrier is None or self._carrier.to != to or self._folder != folder:
            self._stale = False
            self._record = self._queue_folder / self._way.record(to)
            self._take_stock(to, folder)
            self._carrier, self._folder = self._way.carrier(to), folder
        return self._carrier

    def _take_stock(self, to: Where, folder: Path) -> None:
        """Queue what the record does not know as sent, and what still was queued. Raises OSError."""
        disk.make_folder(self._entries)
        with os.scandir(self._entries) as entries:
            left = sorted((one.stat().st_mtime_ns, one.name) for one in entries if parse(one.name))
        with self._lock:
            for _, name in left:
                self._due.setdefault(name, next(self._numbers))
        sent, kept = self.sent(to), {}
        for name in sorted(filter(parse, os.listdir(folder))):
            file = _open(folder / name)
            if file is None:
                continue
            with file:
                current = hashlib.file_digest(file, "sha256").hexdigest()
            if name in sent:
                kept[name] = sent[name]
            if sent.get(name) != current:
                self._queue(name)
        disk.sync_folder(self._entries)
        lines = [to.head, *(f"{sha} {name}" for name, sha in kept.items())]
        replace(self._record, "".join(f"{line}\n" for line in lines).encode(), 0o600)

    def sent(self, to: Where) -> dict[str, str]:
        """The hash of each file's copy there, where it is known. Raises OSError."""
        try:
            record = self._queue_folder / self._way.record(to)
            first, *lines = record.read_text("utf-8", "replace").split("\n")
        except FileNotFoundError:
            return {}
        if first != to.head:
            return {}
        pairs = (line.partition(" ") for line in lines)
        return {name: sha for sha, _, name in pairs if parse(name)}

    def _note(self, sha: str, name: str) -> None:
        """Add a line to the record. Raises OSError."""
        with open(self._record, "a", encoding="utf-8") as record:
            record.write(f"{sha} {name}\n")
            if sha == UNKNOWN:  # the end of an upload may be forgotten, its beginning may not
                record.flush()
                os.fsync(record.fileno())

    # sending

    def _deliver(self, carrier: Carrier, ready: list[tuple[str, int]]) -> None:
        """Over one connection. Raises what made it useless."""
        config, refusals = self._config, 0
        carrier.connect()
        for name, number in ready:
            if self._stop or self._config is not config or self._way.hold() > 0:
                break
            said = self._send(carrier, name, number)
            if said is None:
                continue
            refusals = refusals + 1 if said else 0
            if refusals == REFUSALS:
                self._retry = self._now() + pause(5, random.random())
                break
        carrier.quit()
        self._failures = 0
        if self._down:
            self._down = False
            self._tell("info", f"user data is copied to {carrier.to.place} again")

    def _send(self, carrier: Carrier, name: str, number: int) -> str | None:
        """One file: "", or why the server refuses it; None: it is gone. Raises what FAILURES names."""
        file = _open(self._folder / name)
        current = UNKNOWN
        if file is None:
            when = self._removed(name)
            if not when:
                self._done(name, number)
                return None
            self._note(UNKNOWN, name)
            said = carrier.remove(name, when)
        else:
            with file:
                self._note(UNKNOWN, name)
                current = hashlib.file_digest(file, "sha256").hexdigest()
                said = carrier.send(name, file)
        if not said:
            self._note(current, name)
            self._done(name, number)
            if self._refused.pop(name, None) and not self._refused:
                self._tell("info", f"{carrier.to.place} takes every file again")
            return ""
        times = self._refused.get(name, (0.0, 0))[1] + 1
        if not self._refused:
            text = f"{carrier.to.place} refuses {name}: {carrier.words(said)}"
            self._tell("warning", f"{text}; it stays queued, the others go on")
        self._refused[name] = (self._now() + pause(times + 4, random.random()), times)
        return said

    def _removed(self, name: str) -> float:
        """When a phone removed it; 0 where that is not known, or not wanted there."""
        if not self._way.removals:
            return 0.0
        told = history.latest(folder_of(self._config, name))
        return told[0].time if told and told[0].op == "delete" else 0.0

    def _failed(self, error: Exception) -> None:
        carrier = self._carrier
        if carrier is not None:
            carrier.drop()
        if self._stop:
            return
        self._failures += 1
        self._retry = self._now() + pause(self._failures, random.random())
        if self._failures == 1:
            self._down = True
            place, words = self._words(carrier, error)
            if not isinstance(error, self._way.failures):
                words = f"{type(error).__name__}: {words}"
            waiting = f"{len(self._due)} wait in the queue"
            self._tell("warning", f"user data is not copied to {place}: {words}; {waiting}, tried again")

    def _words(self, carrier: Carrier | None, error: Exception) -> tuple[str, str]:
        """Where it did not go, and why."""
        try:
            to = self._way.to(self._config)
        except self._way.failures as none:
            return "any server", str(none)
        return to.place, (carrier or self._way.carrier(to)).words(error)

    def _tell(self, level: str, text: str) -> None:
        self._publish(Notice(self._way.kind, text, level, source=str(self._config.file or "")))


def _open(path: Path) -> BinaryIO | None:
    """A current file; None if there is none, or nothing that can be read. Raises OSError."""
    try:
        return open(disk.open_file(path), "rb")
    except disk.NotAFile:
        return None
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
