"""Keeps a copy of each script and settings file at every change, and says when one of them is broken."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.events import Event, Notice
from mv_iptel.history.copies import Copies, Copy
from mv_iptel.history.judging import Place, Problem, judge
from mv_iptel.history.kinds import concerns
from mv_iptel.history.places import Places, TooLarge
from mv_iptel.home import Home

AGAIN = 1800.0  # seconds between two stock-takings: what the watcher missed is kept then
PAUSE = 1.0  # seconds without a change before lint: a whole release is being copied, file by file
LATEST = 10.0  # seconds after which lint waits no longer
MANY = 1000  # changed files that are looked at one by one
MOST = 8  # problems that the status names
TOLD = 5  # notices for one look

State = tuple[int, int, int, int]
Judge = Callable[[Sequence[Place]], dict[str, list[Problem]] | None]


class Taken(NamedTuple):
    """A change that was kept: of which file, and the copy; `first`: there was no copy before."""

    key: str
    copy: Copy
    first: bool


def copies_of(home: Home) -> Copies:
    """The copies of a home."""
    return Copies(home.var / "history", home.lock)


class History:
    """Copies of the scripts of one server. `seen` may be called from any thread and costs nothing.

    A thread of its own does the work; `work` is what it does, for tests and for commands.
    """

    def __init__(
        self,
        config: Config,
        publish: Callable[[Event], None],
        now: Callable[[], float] = time.time,
        judge: Judge = judge,
    ):
        self.copies = copies_of(config.home)
        self.places = Places.of(config)
        self._publish = publish
        self._now = now
        self._judge = judge
        self._seen: set[Path] = set()
        self._stock = False  # everything is to be looked at
        self._change = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._states: dict[str, State] = {}  # key -> what the file was when last read
        self._problems: dict[str, list[Problem]] = {}  # folder -> what is broken in it
        self._dirty: set[Path] = set()  # folders to look at again
        self._quiet: set[Path] = set()  # of these, those where nobody saw a change
        self._news: set[str] = set()  # and files there that were found changed
        self._complained: set[str] = set()  # keys of which no copy can be made; "" for a look that failed
        self._taking = threading.Lock()

    # The server's side.

    def start(self) -> None:
        """Take stock in a thread, then wait for changes."""
        self._stock = True
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; a change that waits is kept at the next start."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None

    def configure(self, config: Config) -> None:
        """After a reload: the directories may be others."""
        with self._change:
            places = Places.of(config)
            if places != self.places:
                self.places = places
                self._stock = True
                self._change.notify_all()

    def seen(self, path: Path) -> None:
        """This file was made, changed, moved or removed; of a data directory: many in it were."""
        if not concerns(path.name):
            return
        with self._change:
            # Of very many changes at once the watcher names only the directory.
            whole = Path(os.path.realpath(path)) in self.places.roots.values()
            if len(self._seen) < MANY and not whole:
                self._seen.add(path)
            else:
                self._stock = True
            self._change.notify_all()

    def problems(self) -> list[tuple[str, int, str]]:
        """What is broken now: (file, line, what), not more than a page can show."""
        found = [one for problems in list(self._problems.values()) for one in problems]
        rows = [(one.file, one.line, one.text) for one in found[:MOST]]
        if len(found) > MOST:
            rest = len(found) - MOST
            rows.append((found[MOST].file, 0, f"and {rest} more such errors: mv-iptel lint"))
        return rows

    def _run(self) -> None:
        stock_due = time.monotonic() + AGAIN
        look_due = latest = 0.0
        while True:
            with self._change:
                if not (self._seen or self._stock or self._closed):
                    self._change.wait(max(0.0, look_due - time.monotonic()) if self._dirty else 60)
                if self._closed:
                    return
                now = time.monotonic()
                if now >= stock_due:
                    self._stock, stock_due = True, now + AGAIN
                work = self._seen or self._stock
            if work:
                if not self._dirty:
                    latest = now + LATEST
                self._go_on(self.work)
                look_due = min(time.monotonic() + PAUSE, latest)
            elif self._dirty and now >= look_due:
                self._go_on(self.look)

    def _go_on(self, step: Callable[[], None]) -> None:
        """A fault of ours ends one step, not the thread: it is told, and the next change is looked at."""
        try:
            step()
        except Exception as fault:
            self._tell_once("scripts could not be looked at", type(fault).__name__)

    def work(self) -> None:
        """Keep what has changed. Called by the thread, or by a test."""
        with self._change:
            paths, self._seen = self._seen, set()
            stock, self._stock = self._stock, False
        places = self.places
        if stock:
            # What a first look finds has long been so; what changed since the last one is news.
            found = (places.path_of(one.key) for one in self.take_stock() if not one.first)
            self._news.update(os.fspath(path) for path in found if path is not None)
            self._quiet.update(set(places.roots.values()) - self._dirty)
            self._dirty.update(places.roots.values())
        for path in sorted(paths):
            self.take(path)
            root = places.root_of(path)
            if root is not None:
                self._dirty.add(root)
                self._quiet.discard(root)

    # Copies.

    def take_stock(self) -> list[Taken]:
        """Keep every script that differs from its newest copy, and note which are gone."""
        taken: list[Taken] = []
        there = set()
        for key, path in self.places.candidates():
            there.add(key)
            taken += self._take(key, path)
        for key in self.copies.files():
            path = self.places.path_of(key)
            if key not in there and path is not None:
                taken += self._take(key, path)
        with suppress(OSError):
            self.copies.prune(self._now())
        return taken

    def take(self, path: Path) -> list[Taken]:
        """Keep one file, if it is a script and differs from its newest copy."""
        key = self.places.key_of(path)
        return self._take(key, path) if key is not None else []

    def _take(self, key: str, path: Path) -> list[Taken]:
        with self._taking:
            try:
                return self._kept(key, path)
            except OSError as error:
                if key not in self._complained:
                    self._complained.add(key)
                    why = error.strerror or type(error).__name__
                    text = f"no copy of this file was kept for `mv-iptel settings undo`: {why}"
                    self._publish(Notice("settings-history", text, source=os.fspath(path)))
                return []

    def _kept(self, key: str, path: Path) -> list[Taken]:
        state = _state(path)
        if state is not None and self._states.get(key) == state:
            return []
        before = self.copies.of(key)
        now = self._now()
        try:
            content = self.places.read(path, known=bool(before))
        except TooLarge:
            if state is not None:
                self._states[key] = state
            raise
        if content is not None:
            made = self.copies.keep(key, content.data, content.changed, now)
        else:
            made = self.copies.gone(key, now) if before and state is None else None
        if state is not None:
            self._states[key] = state
        else:
            self._states.pop(key, None)
        self._complained.discard(key)
        return [Taken(key, made, not before)] if made is not None else []

    # Broken scripts.

    def look(self) -> None:
        """Look what is broken where something changed. Called by the thread, or by a test."""
        folders, self._dirty = self._dirty, set()
        quiet, self._quiet = self._quiet, set()
        news, self._news = self._news, set()
        places = self.places
        roots = set(places.roots.values())
        judged = self._judge([places.judged(folder) for folder in sorted(folders & roots)])
        if judged is None:
            self._tell_once("it could not be found out whether scripts are broken", "see `mv-iptel lint`")
        else:
            self._complained.discard("")
        for folder, found in (judged or {}).items():
            old = {(one.file, one.text) for one in self._problems.get(folder, ())}
            self._problems[folder] = found
            new = [one for one in found if (one.file, one.text) not in old]
            self._tell(folder, [one for one in new if Path(folder) not in quiet or one.file in news])
        for folder in set(self._problems) - {os.fspath(root) for root in roots}:
            del self._problems[folder]  # a reload has named another directory

    def _tell_once(self, text: str, why: str) -> None:
        if "" not in self._complained:
            self._complained.add("")
            self._publish(Notice("settings-history", f"{text}: {why}"))

    def _tell(self, folder: str, found: list[Problem]) -> None:
        for one in found[:TOLD]:
            self._publish(Notice("script-broken", one.text, "error", one.file, one.line))
        if len(found) > TOLD:
            text = f"{len(found) - TOLD} more errors in the scripts of this directory: mv-iptel lint"
            self._publish(Notice("script-broken", text, "error", folder))


def _state(path: Path) -> State | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
