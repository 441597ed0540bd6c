"""The log of the manager and of the watchdog: one line each, in files of limited size."""

from __future__ import annotations

import logging
import os
import queue
import sys
import time
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

from mv_iptel.journal import plain

BYTES = 20 << 20  # of a file; as the server's log has it
FILES = 10  # older ones that are kept
HELD = 10_000  # lines that may wait for a slow disk; more are counted and not written
LONGEST = 1000  # characters of a line


class LogFile:
    """What `logging` says below WARNING comes from `name` only. `with LogFile(path, "manager"):`.

    A thread writes it: no request waits for the disk. A file that cannot be written stops nobody.
    """

    def __init__(self, path: Path, name: str, most: int = BYTES, files: int = FILES):
        self._name = name
        self._file = _File(path, maxBytes=most, backupCount=files, delay=True)
        self._file.setFormatter(_Line())
        self._queued = _Queued(queue.Queue(HELD))
        self._listener = QueueListener(self._queued.queue, self._file)
        # Faults are for whoever looks at the service's own output too.
        self._screen = logging.StreamHandler(sys.stderr)
        self._screen.setLevel(logging.WARNING)
        self._screen.setFormatter(_Line())
        self._handlers = (self._queued, self._screen)

    def __enter__(self) -> LogFile:
        root = logging.getLogger()
        for handler in self._handlers:
            root.addHandler(handler)
        logging.getLogger(self._name).setLevel(logging.INFO)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
        self._listener.stop()
        self._file.close()


class _Queued(QueueHandler):
    """Hands lines to the thread that writes."""

    lost = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.lost += 1

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # the same process: nothing has to be made fit for sending


class _File(RotatingFileHandler):
    """The file. It is said once that it cannot be written."""

    failed = False

    def __init__(self, path: Path, **more: Any):
        super().__init__(path, encoding="utf-8", errors="backslashreplace", **more)

    def _open(self) -> TextIO:
        os.makedirs(os.path.dirname(self.baseFilename), exist_ok=True)
        return open(
            self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors,
            opener=lambda path, flags: os.open(path, flags, 0o640),
        )  # fmt: skip

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if self.stream is not None:
            self.failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self.failed:
            self.failed = True
            print(f"the log {self.baseFilename} cannot be written: {sys.exc_info()[1]}", file=sys.stderr)


class _Line(logging.Formatter):
    """Nobody breaks a line or forges one: control signs are shown as such."""

    def format(self, record: logging.LogRecord) -> str:
        local = time.localtime(record.created)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", local) + f".{int(record.msecs):03d}"
        line = f"{moment}{time.strftime('%z', local)} {record.levelname.lower()} {record.name} "
        lines = [line + plain(record.getMessage(), LONGEST)]
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            lines += ["    " + plain(one, LONGEST) for one in trace.splitlines()]
        return "\n".join(lines)
