"""TFTP and HTTP take turns, instead of fighting for Python's lock at every system call.

Each system call gives that lock away, and with two busy threads each one then waits for it to come back:
several context switches for every packet and request. Here a thread does a whole batch undisturbed.
"""

from __future__ import annotations

import threading
import time

SLICE = 0.0005  # seconds after which a turn ends early, if somebody waits: a big file may be in the batch


class Turns:
    """`with turns:` around a batch. Who waits comes next: nobody gets two turns while another waits."""

    __slots__ = ("_gate", "_since", "_turn")

    def __init__(self) -> None:
        self._gate = threading.Lock()  # held by the one who is next
        self._turn = threading.Lock()
        self._since = 0.0

    def __enter__(self) -> None:
        with self._gate:
            self._turn.acquire()
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._turn.release()

    def pause(self) -> None:
        """Within a turn: let the other one go first, if it waits and this turn was long."""
        if self._gate.locked() and time.monotonic() - self._since > SLICE:
            self._turn.release()
            self.__enter__()
