"""Sees files change in a few directories, and says so once things have settled."""

from __future__ import annotations

import logging
import threading
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
    """Calls `changed(what, path)` on a thread of its own, once per settled change of a file."""

    def __init__(self, changed: Callable[[str, Path], None]):
        self._changed = changed
        self._observer: Observer | PollingObserver | None = None
        self._waiting: dict[tuple[str, Path], threading.Timer] = {}
        self._lock = threading.Lock()

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
        with self._lock:
            for timer in self._waiting.values():
                timer.cancel()
            self._waiting.clear()

    def touched(self, what: str, path: Path) -> None:
        """A change was seen; it is told when no other follows for `SETTLE` seconds.

        Of very many at once the directory is told: a whole tree is being copied.
        """
        with self._lock:
            if len(self._waiting) > MANY and (what, path) not in self._waiting:
                path = path.parent
            timer = self._waiting.pop((what, path), None)
            if timer is not None:
                timer.cancel()
            timer = threading.Timer(SETTLE, self._tell, (what, path))
            timer.daemon = True
            self._waiting[what, path] = timer
            timer.start()

    def _tell(self, what: str, path: Path) -> None:
        with self._lock:
            self._waiting.pop((what, path), None)
        try:
            self._changed(what, path)
        except Exception:
            _log.exception("looking at %s failed", path)


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
