"""A few threads that run jobs: many at once, but one at a time, and in order, for each name."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from mv_iptel import turn

Job = Callable[[], None]
MOST = 64  # items that are handled together: each may hold a descriptor


class Lanes:
    """Each name has a lane of jobs and items. A thread starts when there is work; no lane holds up another.

    Items are what goes better with others: the first ones of all lanes go to `together` at once, and those
    that come meanwhile go next. One thread at a time computes, see `turn.py`. `failed` is told of what a job
    or `together` raised; the thread goes on.
    """

    def __init__(
        self,
        threads: int,
        name: str,
        failed: Callable[[Exception], None],
        together: Callable[[list[Any]], None] = lambda items: None,
    ):
        self._most = threads
        self._name = name
        self._failed = failed
        self._together = together
        self._lanes: dict[str, deque[tuple[Job | None, Any]]] = {}
        self._jobs: deque[str] = deque()  # lanes that begin with a job, and nobody has taken it
        self._items: deque[str] = deque()  # lanes that begin with an item
        self._handling = False  # items are being handled
        self._idle = 0  # threads that wait
        self._called = 0  # of those: to get up
        self._coming = 0  # threads on their way to work, the called ones too
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._change = threading.Condition()

    def run(self, name: str, job: Job) -> bool:
        """Run `job` after all earlier ones of this name. False: closed, it will not run."""
        return self._append(name, (job, None))

    def add(self, name: str, item: Any) -> bool:
        """Handle `item` after all earlier ones of this name. False: closed, it will not be."""
        return self._append(name, (None, item))

    def do(self, name: str, job: Job) -> bool:
        """Run `job` in its turn, and come back when it has run. Not for a job."""
        ended = threading.Event()

        def then() -> None:
            try:
                job()
            finally:
                ended.set()

        return self.run(name, then) and ended.wait()

    def close(self) -> None:
        """Take no more; come back when all that was taken has run."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _append(self, name: str, work: tuple[Job | None, Any]) -> bool:
        with self._change:
            if self._closed:
                return False
            lane = self._lanes.get(name)
            if lane is not None:
                lane.append(work)
                return True
            lane = self._lanes[name] = deque((work,))
            self._stand(name, lane)
            if self._wanted():
                self._call()
            return True

    # Under the lock

    def _stand(self, name: str, lane: deque[tuple[Job | None, Any]]) -> None:
        (self._jobs if lane[0][0] is not None else self._items).append(name)

    def _wanted(self) -> bool:
        """Whether there is work that no thread is on its way to."""
        return len(self._jobs) + bool(self._items and not self._handling) > self._coming

    def _call(self) -> None:
        if self._idle:
            self._idle -= 1
            self._called += 1
            self._coming += 1
            self._change.notify()
        elif len(self._threads) < self._most:
            self._coming += 1
            thread = threading.Thread(
                target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _rest(self) -> bool:
        """Wait for work. False: there will be none."""
        if self._wanted():
            self._coming += 1
            return True
        self._idle += 1
        while not self._called:
            if self._closed:  # a lane in work goes on with its own thread
                return False
            self._change.wait()
        self._called -= 1
        return True

    def _take(self) -> list[str]:
        """The lanes whose first one is ours now: those of many items, or of one job."""
        self._coming -= 1
        if self._items and not self._handling:
            self._handling = True
            return [self._items.popleft() for _ in range(min(MOST, len(self._items)))]
        return [self._jobs.popleft()] if self._jobs else []

    def _leave(self, names: list[str]) -> None:
        """The first ones of these lanes are done; the lanes stand behind the others again."""
        for name in names:
            lane = self._lanes[name]
            job, _ = lane.popleft()
            if job is None:
                self._handling = False
            if lane:
                self._stand(name, lane)
            else:
                del self._lanes[name]

    # On a thread of ours

    def _work(self) -> None:
        more = True
        while more:
            with turn.held():
                with self._change:
                    names = self._take()
                    work = [self._lanes[name][0] for name in names]
                if work:
                    self._do(work)
            with self._change:
                self._leave(names)
                more = self._rest()

    def _do(self, work: list[tuple[Job | None, Any]]) -> None:
        job = work[0][0]
        try:
            if job is not None:
                job()
            else:
                self._together([item for _, item in work])
        except Exception as fault:
            self._failed(fault)
