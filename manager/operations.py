"""Long work: runs on a thread, tells its progress, is remembered when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from manager.problems import NO_ROOM, Problem, full
from manager.store import Store

AT_ONCE = 4  # that run at the same time; more of them wait
WAITING = 32  # that may wait
KEPT = 200  # that have ended, in the database
PAUSE = 0.2  # seconds between two tellings of a stream
OVER = ("done", "failed", "interrupted")

_log = logging.getLogger("manager.operations")


class Operation:
    """One piece of work. `say` is for the work itself, the rest for who watches; from any thread."""

    def __init__(self, kind: str, what: str, who: str, then: str, now: float):
        self.id = secrets.token_urlsafe(9)
        self.kind, self.what, self.who, self.then = kind, what, who, then
        self.state, self.text = "waiting", ""
        self.done, self.total = 0, 0  # of whatever the work counts; a total of 0: not known
        self.begun, self.ended = now, 0.0
        self.result: Any = None  # of the work, if JSON can tell it
        self.problem: dict[str, Any] | None = None
        self.ending = False  # the manager ends soon: work that can stop in order does, by `end`

    def end(self) -> None:
        """For work to call where it may stop: it goes no further when the manager ends. Raises Problem."""
        if self.ending:
            raise Problem("busy", "the manager was ended meanwhile; what was done so far stays")

    def say(self, text: str = "", done: int = 0, total: int = 0) -> None:
        """How far it is."""
        self.text, self.done, self.total = text or self.text, done, total

    def told(self) -> dict[str, Any]:
        """As JSON tells it. `then` is the page to look at when it is done."""
        return {
            "id": self.id, "kind": self.kind, "what": self.what, "who": self.who, "state": self.state,
            "text": self.text, "done": self.done, "total": self.total, "begun": round(self.begun, 3),
            "ended": round(self.ended, 3), "then": self.then, "result": self.result, "problem": self.problem,
        }  # fmt: skip


class Operations:
    """All of one manager."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time):
        self._store, self._now = store, now
        self._threads = ThreadPoolExecutor(AT_ONCE, "operation")
        self._lock = threading.Condition()
        self._running: dict[str, Operation] = {}
        self._unkept: dict[str, dict[str, Any]] = {}  # that ended while the database took nothing
        self._closed = False
        # What ran when the last manager ended is not known to have ended well.
        store.change(
            "UPDATE operations SET state = 'interrupted' WHERE state NOT IN ('done', 'failed', 'interrupted')"
        )

    def begin(
        self, kind: str, what: str, who: str, work: Callable[[Operation], Any], then: str = ""
    ) -> Operation:
        """Begin `work(operation)`; what it returns is the result, its Problem is told. Raises Problem."""
        operation = Operation(kind, what, who, then, self._now())
        with self._lock:
            if self._closed:
                raise Problem("busy", "the manager is being ended; try again in a minute")
            if len(self._running) >= AT_ONCE + WAITING:
                raise Problem("busy", f"{len(self._running)} operations run or wait; try again in a minute")
            self._running[operation.id] = operation
        try:
            self._keep(operation)
            self._threads.submit(self._run, operation, work)
        except BaseException:
            self._leave(operation)
            raise
        return operation

    def get(self, key: str) -> dict[str, Any] | None:
        """One, running or ended."""
        running = self._running.get(key)
        if running is not None:
            return running.told()
        if key in self._unkept:
            return self._unkept[key]
        rows = self._store.ask("SELECT state, told FROM operations WHERE id = ?", key)
        return _kept(rows[0]) if rows else None

    def all(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest first; those that run are as they are now."""
        rows = self._store.ask("SELECT id, state, told FROM operations ORDER BY begun DESC LIMIT ?", limit)
        running = dict(self._running)
        return [running[row["id"]].told() if row["id"] in running else _kept(row) for row in rows]

    def running(self) -> list[dict[str, Any]]:
        return [one.told() for one in list(self._running.values())]

    async def watch(self, key: str) -> AsyncIterator[dict[str, Any]]:
        """Its state whenever that changes, until it is over."""
        before: dict[str, Any] | None = None
        while True:
            told = await asyncio.to_thread(self.get, key)
            if told is None:
                return
            if told != before:
                yield told
                before = told
            if told["state"] in OVER:
                return
            await asyncio.sleep(PAUSE)

    def close(self, patience: float = 30.0) -> bool:
        """Whether all has ended: what runs changes files and gets its time. What waits never begins."""
        with self._lock:
            self._closed = True
            for one in self._running.values():
                one.ending = True
            self._threads.shutdown(wait=False, cancel_futures=True)
            ended = self._lock.wait_for(
                lambda: not any(one.state == "running" for one in self._running.values()), patience
            )
            left = list(self._running.values())
        for one in left:
            one.state = "interrupted"
            with contextlib.suppress(sqlite3.Error):
                self._keep(one)
        return ended

    def _run(self, operation: Operation, work: Callable[[Operation], Any]) -> None:
        with self._lock:
            if self._closed:
                return
            operation.state = "running"
        try:
            operation.result = work(operation)
            operation.state = "done"
        except Problem as problem:
            operation.problem, operation.state = problem.document(), "failed"
        except Exception as fault:
            if full(fault):
                operation.problem = Problem("disk-full", NO_ROOM).document()
            else:
                _log.exception("the operation %s (%s) failed", operation.kind, operation.id)
                strerror = fault.strerror if isinstance(fault, OSError) else ""
                told = strerror or type(fault).__name__
                operation.problem = Problem("fault", f"{told}; the manager's log says more").document()
            operation.state = "failed"
        operation.ended = self._now()
        try:
            self._keep(operation)
        except sqlite3.Error as error:
            _log.error("how the operation %s ended could not be kept: %s", operation.kind, error)
            self._unkept[operation.id] = operation.told()
            while len(self._unkept) > KEPT:
                self._unkept.pop(next(iter(self._unkept)))
        self._leave(operation)

    def _leave(self, operation: Operation) -> None:
        with self._lock:
            self._running.pop(operation.id, None)
            self._lock.notify_all()

    def _keep(self, operation: Operation) -> None:
        told = json.dumps(operation.told(), default=str)
        self._store.change(
            "INSERT OR REPLACE INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            operation.id, operation.kind, operation.what, operation.who, operation.state, operation.begun,
            operation.ended, told,
        )  # fmt: skip
        self._store.change(
            "DELETE FROM operations WHERE id IN "
            "(SELECT id FROM operations ORDER BY begun DESC LIMIT -1 OFFSET ?)",
            KEPT,
        )


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    return {**json.loads(row["told"]), "state": row["state"]}
