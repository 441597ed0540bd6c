"""Asks phones by SNMP: one thread, and for each question a socket of its own.

The socket is connected, so an answer arrives only from the address and port that was asked, and its own
port is the system's random choice: who forges an answer must guess that and the request id.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from mv_iptel import turn
from mv_iptel.addresses import address_of
from mv_iptel.snmp.families import Silence, Terms
from mv_iptel.snmp.protocol import LARGEST, Dialogue

Done = Callable[[Any], None]  # told what the dialogue's result is: Shown or Silence, if no other was begun
Begin = Callable[[Terms, float], Dialogue]
_TURN = 8  # datagrams read from one socket before the others get their turn


class _Talk:
    """One question that waits for its answer."""

    __slots__ = ("address", "begin", "cancelled", "dialogue", "done", "due", "sock", "terms")

    def __init__(self, address: str, terms: Terms, done: Done, begin: Begin):
        self.address, self.terms, self.done, self.begin = address, terms, done, begin
        self.sock: socket.socket | None = None
        self.dialogue: Dialogue | None = None
        self.due = 0.0
        self.cancelled = False


class Asker:
    """One thread of its own, started at the first question.

    `failed` is told of what a `done` raised; the thread goes on.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, failed: Callable[[Exception], None] | None = None
    ):
        self._clock = clock
        self._failed = failed or _as_thread
        self._lock = threading.Lock()
        self._new: deque[_Talk] = deque()
        self._dropped: deque[_Talk] = deque()
        self._timers: list[tuple[float, int, _Talk]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def ask(self, address: str, terms: Terms, done: Done, begin: Begin = Dialogue) -> Callable[[], None]:
        """Ask the phone at this address; `done` is told once, on the thread of this object. Gives a cancel.

        Cancelled in time, `done` is never called; it may be running already. `begin` makes another dialogue
        than the one for extension and type.
        """
        talk = _Talk(address, terms, done, begin)
        with self._lock:
            closed = self._closed
            if not closed:
                self._new.append(talk)
                self._wake_up()
        if closed:
            done(Silence("it was not asked: the server is stopping"))

        def cancel() -> None:
            talk.cancelled = True
            with self._lock:
                if not self._closed:
                    self._dropped.append(talk)
                    self._wake_up()

        return cancel

    def close(self) -> None:
        """End the thread; who still waits is told that."""
        with self._lock:
            thread, was, self._closed = self._thread, self._closed, True
            if thread is not None and not was:
                self._ring()  # after the word is there: the thread looks once for each bell
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # The thread

    def _wake_up(self) -> None:
        """With the lock held."""
        if self._thread is None:
            self._selector = selectors.DefaultSelector()
            self._near, self._far = socket.socketpair()
            for end in (self._near, self._far):
                end.setblocking(False)
            self._selector.register(self._near, selectors.EVENT_READ)
            self._thread = threading.Thread(target=self._run, name="snmp", daemon=True)
            self._thread.start()
        self._ring()

    def _ring(self) -> None:
        try:
            self._far.send(b"x")
        except BlockingIOError:
            pass  # it has bells enough to wake up

    def _run(self) -> None:
        try:
            with turn.held():
                while not self._closed:
                    self._round()
        finally:
            with self._lock:
                self._closed = True
                waiting = list(self._new)
            for key in list(self._selector.get_map().values()):
                if key.data is not None:
                    self._end(key.data, Silence("no answer by SNMP yet, and the server is stopping"))
            for talk in waiting:
                self._end(talk, Silence("it was not asked: the server is stopping"))
            self._selector.close()
            self._near.close()
            self._far.close()

    def _round(self) -> None:
        wait = max(0.0, self._timers[0][0] - self._clock()) if self._timers else None
        with turn.away():
            ready = self._selector.select(wait)
        for key, _ in ready:
            if key.data is not None:
                self._safely(self._read, key.data)
            else:
                self._near.recv(4096)
        while self._new:
            self._safely(self._begin, self._new.popleft())
        while self._dropped:
            self._end(self._dropped.popleft(), None)
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            due, _, talk = heapq.heappop(self._timers)
            if talk.sock is not None and talk.due == due:  # else it has ended, or its time was moved
                self._safely(self._tick, talk)

    def _safely(self, act: Callable[[_Talk], None], talk: _Talk) -> None:
        """A fault over one phone is told, and does not end the thread that all others need."""
        try:
            act(talk)
        except Exception as error:
            self._failed(error)
            self._end(talk, Silence("it could not be asked: a fault of the server's own"))

    def _begin(self, talk: _Talk) -> None:
        if talk.cancelled:
            return
        if not address_of(talk.address):  # a name would be looked up, and hold up everybody
            self._end(talk, Silence("it could not be asked: no address"))
            return
        try:
            family = socket.AF_INET6 if ":" in talk.address else socket.AF_INET
            talk.sock = socket.socket(family, socket.SOCK_DGRAM)
            talk.sock.setblocking(False)
            talk.sock.connect((talk.address, talk.terms.port))
        except OSError as error:  # no descriptor left, no way there
            self._end(talk, Silence(f"it could not be asked: {_why(error)}"))
            return
        self._selector.register(talk.sock, selectors.EVENT_READ, talk)
        talk.dialogue = talk.begin(talk.terms, self._clock())
        self._carry_on(talk, True)

    def _carry_on(self, talk: _Talk, timer: bool) -> None:
        """Send what is to be sent, end what is over, remember when to look again."""
        dialogue = talk.dialogue
        for data in dialogue.to_send():
            self._send(talk, data)
        if dialogue.result is not None:
            self._end(talk, dialogue.result)
        elif timer or dialogue.deadline != talk.due:
            talk.due = dialogue.deadline
            heapq.heappush(self._timers, (talk.due, next(self._order), talk))

    def _send(self, talk: _Talk, data: bytes) -> None:
        for _ in range(2):  # the first error may tell of the attempt before: then nothing was sent
            try:
                talk.sock.send(data)
            except OSError as error:
                talk.dialogue.failed(_why(error))
            else:
                return

    def _tick(self, talk: _Talk) -> None:
        talk.dialogue.tick(self._clock())
        self._carry_on(talk, True)

    def _read(self, talk: _Talk) -> None:
        for _ in range(_TURN):
            if talk.sock is None:
                return
            try:
                data = talk.sock.recv(LARGEST + 1)
            except BlockingIOError:
                break
            except OSError as error:
                talk.dialogue.failed(_why(error))
            else:
                talk.dialogue.receive(data, self._clock())
            if talk.dialogue.result is not None:
                break
        self._carry_on(talk, False)

    def _end(self, talk: _Talk, answer: Any) -> None:
        """Give the socket back and tell; once."""
        done, talk.done = talk.done, None
        if talk.sock is not None:
            try:
                self._selector.unregister(talk.sock)
            except KeyError:
                pass  # it never came so far
            talk.sock.close()
            talk.sock = None
        if done is None or answer is None or talk.cancelled:
            return
        try:
            done(answer)
        except Exception as error:  # one listener's fault is not to silence all phones
            self._failed(error)


def _why(error: OSError) -> str:
    """An error of the system in words: no address, no path."""
    if error.errno == errno.ECONNREFUSED:
        return "nothing listens on that port (refused)"
    return os.strerror(error.errno).lower() if error.errno else "an error of the system"


def _as_thread(error: Exception) -> None:
    """Report it as Python does for the end of a thread."""
    what = (type(error), error, error.__traceback__, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(what))
