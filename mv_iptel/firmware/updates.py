"""The daemon's watch of `data/Updates`: an archive is taken in once it is whole, and then is gone from there.

The directory itself is the truth, and is read again and again; events of the system only make that sooner.
So nothing depends on their being complete, or on their being there at all.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from watchdog.events import FileClosedEvent, FileCreatedEvent, FileMovedEvent, FileSystemEventHandler
from watchdog.observers import Observer

from mv_iptel.config import Config
from mv_iptel.events import Event, Notice
from mv_iptel.firmware import intake
from mv_iptel.firmware.intake import Progress
from mv_iptel.firmware.names import shown
from mv_iptel.firmware.releases import REFUSED, STAGED, SUPERSEDED, Release
from mv_iptel.firmware.writers import is_being_written
from mv_iptel.userdata.disk import write_record

# Seconds that a file must stay as it is: one that has its end; gzip, whose end nobody knows; one without.
QUIET, UNSURE, UNFINISHED = 1.0, 15.0, 60.0
SOON, IDLE = 0.5, 30.0  # seconds between two looks: while something is arriving, and else
AGAIN = 60.0  # after the disk failed
TOLD = 50  # names that the status tells
_TEMPORARY = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".swp", "~")
_BINARY = getattr(os, "O_BINARY", 0)
_DONE = (".refused", ".refused.txt")

_log = logging.getLogger("mv_iptel.firmware")


class _Ending(Exception):
    """The server ends: what is being taken in is left for the next start."""


class _Seen(NamedTuple):
    state: tuple[int, ...]
    since: float
    after: float  # not to be taken in before


class Updates:
    """Watches the directory on a thread of its own.

    `staged` is called with each release that should be published at once, which is where `UpdatesPublish`
    is auto; it gives an empty string, or why the release is held.
    """

    def __init__(
        self,
        config: Config,
        publish: Callable[[Event], None],
        staged: Callable[[Release], str] = lambda _: "nothing here publishes it",
        now: Callable[[], float] = time.time,
    ):
        self._config, self._publish, self._staged, self._now = config, publish, staged, now
        self._seen: dict[str, _Seen] = {}
        self._working: Progress | None = None
        self._stop, self._wake = threading.Event(), threading.Event()
        self._observer: Any = None
        self._thread: threading.Thread | None = None

    @property
    def folder(self) -> Path:
        """What is watched."""
        return self._config.home.updates

    def start(self) -> None:
        """Begin to watch."""
        self._observer = _observer(self.folder, self._wake.set)
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End. An archive that is being read stays where it is."""
        self._stop.set()
        self._wake.set()
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
        if self._thread is not None:
            self._thread.join(30)

    def configure(self, config: Config) -> None:
        """A reload."""
        self._config = config
        self._wake.set()

    def refresh(self) -> None:
        """Look now."""
        self._wake.set()

    def status(self) -> dict[str, object]:
        """What is arriving, and how far what is being read has come."""
        working = self._working
        arriving = [shown(name) for name in heapq.nsmallest(TOLD, list(self._seen))]
        return {"arriving": arriving, "working": working._asdict() if working else None}

    def _run(self) -> None:
        try:
            intake.clean(self._config.home)
        except OSError as error:
            self._tell("firmware-held", f"what a crash left cannot be cleaned: {error.strerror}", "warning")
        while not self._stop.is_set():
            try:
                self.look(time.monotonic())
            except _Ending:
                return
            except Exception:
                _log.exception("looking into %s failed", self.folder)
            self._wake.wait(SOON if self._seen else IDLE if self._observer is not None else SOON)
            self._wake.clear()

    def look(self, clock: float) -> None:
        """Read the directory, and take in what has become whole. `clock` counts seconds, from anywhere."""
        there = _files(self.folder)
        self._seen = {name: seen for name, seen in self._seen.items() if name in there}
        for name, state in sorted(there.items()):
            seen = self._seen.get(name)
            if seen is None or seen.state != state:
                self._seen[name] = _Seen(state, clock, 0.0)
            elif clock >= seen.after and clock - seen.since >= QUIET:
                path = self.folder / name
                if clock - seen.since >= _patience(path) and not is_being_written(path):
                    self._seen[name] = seen._replace(after=float("inf"))  # as long as it stays as it is
                    try:
                        self._take(path, seen, clock)
                    except _Ending:
                        raise
                    except Exception:
                        _log.exception("taking in %s failed", shown(name))
                    if not _is_same(path, state):  # it is gone, or another one, which has its turn
                        self._seen.pop(name, None)

    def _take(self, path: Path, seen: _Seen, clock: float) -> None:
        self._tell("firmware-arrived", f"{shown(path.name)} has arrived and is being looked at", "info", path)
        try:
            release = intake.take(self._config, path, "updates", self._progress, self._now)
        except OSError as error:
            self._seen[path.name] = seen._replace(after=clock + AGAIN)
            if error.errno == errno.ENOENT:  # somebody took it away
                return
            text = f"{shown(path.name)} could not be taken in: {error.strerror or type(error).__name__}"
            self._tell("firmware-held", f"{text}; it is tried again", "error", path)
            return
        finally:
            self._working = None
        if release.state == REFUSED and not _is_same(path, seen.state):
            return  # another one meanwhile
        if release.state == REFUSED:
            self._tell("firmware-refused", f"{shown(path.name)} was refused: {release.note}", "warning", path)
            _set_aside(path, release.note)
            return
        self._hand_on(release, path)
        if _is_same(path, seen.state):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                text = f"{shown(path.name)} cannot be removed from Updates: {error.strerror}"
                self._tell("firmware-held", text, "warning", path)

    def _hand_on(self, release: Release, path: Path) -> None:
        """Say that it is there, and have it published if that is wanted."""
        if release.state not in (STAGED, SUPERSEDED):
            self._tell(
                "firmware-staged", f"{release.id} was here already; it is {release.state}", "info", path
            )
            return
        count = len({file.name for file in release.files})
        more = f"; {release.note}" if release.note and release.state == STAGED else ""
        self._tell("firmware-staged", f"{release.id} is here, {count} files{more}", "info", path)
        if self._config.settings.updates_publish != "auto":
            why = "UpdatesPublish is hold"
        else:
            try:
                why = self._staged(release)
            except Exception as error:
                _log.exception("publishing %s failed", release.id)
                why = f"publishing failed ({type(error).__name__})"
        if why:
            text = f"{release.id} is held: {why}; `mv-iptel firmware publish {release.id}` publishes it"
            self._tell("firmware-held", text, "warning", path)

    def _progress(self, progress: Progress) -> None:
        self._working = progress
        if self._stop.is_set():
            raise _Ending

    def _tell(self, kind: str, text: str, level: str, path: Path | None = None) -> None:
        source = shown(str(path)) if path is not None else ""
        self._publish(Notice(kind, text, level, source=source))


def _observer(folder: Path, changed: Callable[[], None]) -> Any:
    """Hears of changes in a directory, where the system tells; None: it does not."""

    class Handler(FileSystemEventHandler):
        def on_any_event(self, _: object) -> None:
            changed()

    observer = Observer()
    try:
        observer.schedule(
            Handler(), str(folder), event_filter=[FileCreatedEvent, FileMovedEvent, FileClosedEvent]
        )
        observer.start()
    except OSError as error:
        _log.warning("Updates is looked into again and again, for the system does not tell: %s", error)
        return None
    return observer


def _files(folder: Path) -> dict[str, tuple[int, ...]]:
    """What may be an archive there, and the state of each."""
    found = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if _is_ignored(entry.name):
                continue
            with contextlib.suppress(OSError):
                there = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(there.st_mode):
                    found[entry.name] = _state(there)
    return found


def _is_ignored(name: str) -> bool:
    """Temporary names, and what was refused."""
    return name.startswith((".", "~$")) or name.lower().endswith((*_TEMPORARY, *_DONE))


def _state(there: os.stat_result) -> tuple[int, ...]:
    return there.st_ino, there.st_size, there.st_mtime_ns


def _is_same(path: Path, state: tuple[int, ...]) -> bool:
    try:
        return _state(os.lstat(path)) == state
    except OSError:
        return False


def _patience(path: Path) -> float:
    """How long the file must have stayed as it is, by what it looks like. A copy over a network may pause."""
    try:
        # What was a file a moment ago may be a pipe now, which would be waited for without end.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(path, "rb", opener=lambda name, _: os.open(name, flags | _BINARY)) as file:
            head = file.read(512)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 65557))
            tail = file.read()
    except OSError:
        return UNFINISHED
    if head[:2] == b"PK":
        return QUIET if b"PK\5\6" in tail[-65557:] else UNFINISHED
    if head[:2] == b"\x1f\x8b":
        return UNSURE
    if head[257:262] == b"ustar":
        return QUIET if size >= 1024 and not any(tail[-1024:]) else UNFINISHED
    return UNSURE if head else UNFINISHED


def _cut(name: str) -> str:
    """A name with room behind it; its last character stays whole, if it was one."""
    octets = os.fsencode(name)
    while len(octets) > 200:
        octets = os.fsencode(name := name[:-1])
    return os.fsdecode(octets)


def _set_aside(path: Path, why: str) -> None:
    """Give a refused archive a name under which it is left alone, beside a text that says why."""
    aside = path.with_name(f"{_cut(path.name)}.refused")
    try:
        os.replace(path, aside)
        text = f"{shown(path.name)} was refused: {why}\n"
        write_record(aside.with_name(f"{aside.name}.txt"), text.encode())
    except OSError as error:
        _log.warning("%s cannot be renamed: %s", shown(str(path)), error.strerror)
