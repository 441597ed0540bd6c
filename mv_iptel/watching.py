"""Sees files change in a few directories, and says so once things have settled."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from mv_iptel.history.kinds import concerns

SETTLE = 0.3  # seconds without a further change before a change is told
MANY = 256  # files that wait for that

_log = logging.getLogger("mv_iptel.watching")
# Closed after writing, where the system tells that; every single write else. Never opened: each file that a
# phone fetches is opened, and hearing of that costs more than sending the file.
_CHANGES: tuple[type[FileSystemEvent], ...] = (FileCreatedEvent, FileDeletedEvent, FileMovedEvent)
_KINDS = ((Observer, [*_CHANGES, FileClosedEvent]), (PollingObserver, [*_CHANGES, FileModifiedEvent]))

# The library logs an error when a change arrives while it is being stopped; nothing is wrong then.
logging.getLogger("watchdog.observers.inotify").addFilter(
    lambda record: "called when the thread is inactive" not in record.getMessage()
)


class Watching:
    """Calls `changed(what, path)` on a thread of its own, once per settled change of a file.

    `settle` is how many seconds must pass without a further change.
    """

    def __init__(self, changed: Callable[[str, Path], None], settle: float = SETTLE):
        self._changed = changed
        self._settle = settle
        self._observer: Observer | PollingObserver | None = None
        # When each change has settled, the earliest first: each has the same time to wait.
        self._waiting: dict[tuple[str, Path], float] = {}
        self._more = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False

    def start(self, directories: dict[Path, str]) -> None:
        """Watch each directory (not what lies beneath it); the value is the `what` of its changes."""
        for kind, events in _KINDS:  # a system may have no watches left
            observer = kind()
            try:
                for directory, what in directories.items():
                    if directory.is_dir():
                        observer.schedule(_Handler(self, what), str(directory), event_filter=events)
                observer.start()
            except OSError as error:
                _log.warning("changes of files are looked for by polling: %s", error)
                continue
            self._observer = observer
            return

    def stop(self) -> None:
        """End; what has not settled is not told."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
        with self._more:
            self._ended = True
            self._more.notify()
        if self._thread is not None:
            self._thread.join(5)

    def touched(self, what: str, path: Path) -> None:
        """A change was seen; it is told when no other of this file follows in time.

        Of very many at once the directory is told: a whole tree is being copied.
        """
        with self._more:
            if len(self._waiting) > MANY and (what, path) not in self._waiting:
                path = path.parent
            self._waiting.pop((what, path), None)
            self._waiting[what, path] = time.monotonic() + self._settle
            if self._thread is None:
                self._thread = threading.Thread(target=self._tell, name="watching", daemon=True)
                self._thread.start()
            elif len(self._waiting) == 1:
                self._more.notify()

    def _tell(self) -> None:
        while (settled := self._next()) is not None:
            try:
                self._changed(*settled)
            except Exception:
                _log.exception("looking at %s failed", settled[1])

    def _next(self) -> tuple[str, Path] | None:
        """Wait for a change to settle. None: it is over."""
        with self._more:
            while not self._ended:
                first = next(iter(self._waiting), None)
                if first is None:
                    self._more.wait()
                    continue
                left = self._waiting[first] - time.monotonic()
                if left <= 0:
                    del self._waiting[first]
                    return first
                self._more.wait(left)
        return None


class _Handler(FileSystemEventHandler):
    def __init__(self, watching: Watching, what: str):
        self._watching = watching
        self._what = what

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.is_directory:
            return
        for name in (event.src_path, getattr(event, "dest_path", "")):
            path = Path(str(name))
            listed = path.name.lower().endswith("allow_ip.txt")
            if name and (self._what == "configuration" or listed or concerns(path.name)):
                self._watching.touched(self._what, path)
