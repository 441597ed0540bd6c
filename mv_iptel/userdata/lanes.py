"""A few threads that run jobs: many at once, but one at a time, and in order, for each name."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from mv_iptel import turn

Job = Callable[[], None]


class Lanes:
    """Each name has a lane. Threads start when there is work for them; a long lane holds up no other.

    But one job at a time computes, see `turn.py`.

    `failed` is told of what a job raised; the thread goes on.
    """

    def __init__(self, threads: int, name: str, failed: Callable[[Exception], None]):
        self._most = threads
        self._name = name
        self._failed = failed
        self._lanes: dict[str, deque[Job]] = {}
        self._ready: deque[str] = deque()  # lanes with a job that nobody runs
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._change = threading.Condition()

    def run(self, name: str, job: Job) -> bool:
        """Run `job` after all earlier ones of this name. False: closed, it will not run."""
        with self._change:
            if self._closed:
                return False
            lane = self._lanes.get(name)
            if lane is not None:
                lane.append(job)
                return True
            self._lanes[name] = deque((job,))
            self._ready.append(name)
            if self._idle < len(self._ready) and len(self._threads) < self._most:
                thread = threading.Thread(
                    target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
            else:
                self._change.notify()
            return True

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
        """Take no more jobs; come back when all that were taken have run."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._change:
                self._idle += 1
                while not self._ready:
                    if self._closed:  # a lane in work goes on with its own thread
                        return
                    self._change.wait()
                self._idle -= 1
                name = self._ready.popleft()
                job = self._lanes[name][0]
            try:
                with turn.held():
                    job()
            except Exception as fault:
                self._failed(fault)
            with self._change:
                lane = self._lanes[name]
                lane.popleft()
                if lane:
                    self._ready.append(name)  # behind the others; this thread or another takes it
                    self._change.notify()
                else:
                    del self._lanes[name]
