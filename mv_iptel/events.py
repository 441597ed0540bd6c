"""What can happen, a dataclass each, and the one stream that carries it to the listeners.

Publishing is an append; a thread of its own hands batches to the listeners (journal, inventory,
status), so that no transfer waits for a disk.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

_faults = logging.getLogger("mv_iptel.events")

BATCH_SECONDS = 0.05
# Beyond this backlog a publisher waits a little: a flood is slowed down before it costs memory.
BACKLOG = 8192


@dataclass(slots=True)
class Finished:
    """One answered request, published exactly once, whatever became of it.

    `outcome` is ok, refused, aborted, timeout or failed; `reason` is set when refused.
    `bytes` counts the body's octets sent, `seconds` runs from the request to the last octet.
    """

    event: ClassVar[str] = "finished"
    id: int
    time: float  # seconds since the epoch
    proto: str
    listener: str
    peer: str
    port: int
    mac: str
    ext: str
    model: str
    version: str
    name: str  # as asked, cleaned or made printable
    file: str  # the file that was sent, absolute path; empty if none
    outcome: str
    reason: str
    bytes: int
    seconds: float
    resends: int = 0
    blksize: int = 0
    window: int = 0
    detail: str = ""
    source: str = ""
    line: int = 0
    identified: str = ""  # what told us the phone: agent, name, snmp, neighbour, recent
    agent: str = ""
    op: str = "read"  # read, store or delete


@dataclass(slots=True)
class Started:
    """The server is up. `legacy` names each legacy mode in force."""

    event: ClassVar[str] = "started"
    version: str
    home: str
    legacy: tuple[str, ...] = ()
    time: float = field(default_factory=time.time)


@dataclass(slots=True)
class Stopped:
    """The server ends."""

    event: ClassVar[str] = "stopped"
    why: str
    time: float = field(default_factory=time.time)


@dataclass(slots=True)
class Listening:
    """A listener changed its state: up, off or failed (then `error` names the holder of the port)."""

    event: ClassVar[str] = "listening"
    proto: str
    address: str
    port: int
    state: str
    error: str = ""
    buffer: int = 0  # the receive buffer that the system granted, in octets
    tls: str = ""
    time: float = field(default_factory=time.time)


@dataclass(slots=True)
class Reloaded:
    """A changed configuration is in force, or was refused: then `findings` says why."""

    event: ClassVar[str] = "reloaded"
    file: str
    ok: bool
    generation: int
    findings: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()  # keys that need a restart
    time: float = field(default_factory=time.time)


@dataclass(slots=True)
class Notice:
    """Something the administrator should read: `kind` is a fixed word, `text` a sentence.

    `level` is info, warning or error. Kinds: list-broken, list-lost, config-changed, tls-failed,
    mac-mismatch, twins, certificate, disk, fault, slow-client, ...
    """

    event: ClassVar[str] = "notice"
    kind: str
    text: str
    level: str = "warning"
    source: str = ""
    line: int = 0
    peer: str = ""
    time: float = field(default_factory=time.time)


Event = Finished | Started | Stopped | Listening | Reloaded | Notice


class Listener(Protocol):
    """Something that is told of every event, in batches, on the stream's thread.

    One that gathers before it writes may also have `tick(now: float)`: it is called on the same thread
    every `BATCH_SECONDS`, also when nothing happened.
    """

    def receive(self, batch: list[Event]) -> None: ...


class Stream:
    """The one stream of events. `publish` may be called from any thread."""

    def __init__(self, *listeners: Listener, first_id: int = 1):
        self.listeners = list(listeners)
        self.lost = 0  # events dropped because a listener stood still
        self._full = False  # somebody has waited for room, and there still is none
        self._queue: deque[Event] = deque()
        self._ids = itertools.count(first_id)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def next_id(self) -> int:
        """The next request's reference number."""
        return next(self._ids)

    def publish(self, event: Event) -> None:
        """Append an event; it reaches the listeners within `BATCH_SECONDS`.

        A full backlog makes the caller wait at most 50 ms, then the event counts as lost; and until
        there is room nobody waits again, or a listener that stands still would hold up every request.
        What the listeners themselves publish is never lost: nobody else can make room for it.
        """
        if len(self._queue) >= BACKLOG and self._thread not in (None, threading.current_thread()):
            if self._full:
                self.lost += 1
                return
            for _ in range(50):
                time.sleep(0.001)
                if len(self._queue) < BACKLOG:
                    break
            else:
                self._full = True
                self.lost += 1
                return
        self._queue.append(event)
        if len(self._queue) > BACKLOG // 2:
            self._wake.set()  # do not let the pause between two batches fill the backlog

    def drain(self, most: float = math.inf) -> None:
        """Hand what waits, but not many more than `most` events, to the listeners.

        Called by the thread, or by a test.
        """
        queue = self._queue
        done = 0
        while queue and done < most:
            done += 1024
            batch = [queue.popleft() for _ in range(min(len(queue), 1024))]
            self._full = False
            for listener in self.listeners:
                try:
                    listener.receive(batch)
                except Exception:  # one listener's fault must not silence the others
                    _faults.exception("a listener failed")

    def start(self) -> None:
        """Start the thread that drains."""
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hand over what waits, then end the thread."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None
        self.drain()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(BATCH_SECONDS)
            self._wake.clear()
            self.drain(BACKLOG)
            self.tick(time.time())

    def tick(self, now: float) -> None:
        """Let the listeners that gather write what is due. Called by the thread, or by a test."""
        for listener in self.listeners:
            tick = getattr(listener, "tick", None)
            if tick is not None:
                try:
                    tick(now)
                except Exception:
                    _faults.exception("a listener failed")
