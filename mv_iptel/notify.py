"""Tells systemd how a process of ours is: ready, reloading, ending, alive (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping

# A part tells that it lives by calling what it is given, from whichever thread and loop it is.
Ask = Callable[[Callable[[], None]], None]


def send(*lines: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Hand these lines to the service manager; False where there is none that listens."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@") or sys.platform == "win32":
        return False
    # "@" is how an abstract socket is written; on the wire such a name begins with a zero.
    place = "\0" + address[1:] if address[0] == "@" else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)  # a manager that reads nothing must not hold us up
        sock.sendto("\n".join(one.replace("\n", " ") for one in lines).encode("utf-8", "replace"), place)
        return True
    return False


def ready(status: str = "") -> bool:
    """Everything is up; after a reload: the new configuration is in force, or the old one still is."""
    return send("READY=1", *([f"STATUS={status}"] if status else []))


def status(text: str) -> bool:
    """One line for `systemctl status`."""
    return send(f"STATUS={text}")


def reloading() -> bool:
    """A reload begins; `ready` ends it. The time is what Type=notify-reload wants to see."""
    return send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping(status: str = "") -> bool:
    """It ends in order."""
    return send("STOPPING=1", *([f"STATUS={status}"] if status else []))


def alive() -> bool:
    """Sign of life: the next one must come within WatchdogSec."""
    return send("WATCHDOG=1")


def patience(environ: Mapping[str, str] = os.environ, pid: int = 0) -> float:
    """Seconds within which systemd wants signs of life of this process; 0: it wants none."""
    meant, micro = environ.get("WATCHDOG_PID", ""), environ.get("WATCHDOG_USEC", "")
    if meant and meant != str(pid or os.getpid()):  # of the process that started us
        return 0.0
    return int(micro) / 1e6 if micro.isascii() and micro.isdigit() and len(micro) < 16 else 0.0


class Pulse:
    """A sign of life is given only while every part answers.

    Each tick looks whether all have answered the question of the last one, and asks again. A part that
    stands still makes no sign be given, and systemd ends what does not serve.
    """

    def __init__(self, parts: Mapping[str, Ask], give: Callable[[], object] = alive):
        self._parts = dict(parts)
        self._give = give
        self._answered: set[str] | None = None  # None: nobody was asked yet

    def tick(self) -> tuple[str, ...]:
        """One look; the names of those that have not answered since the last one."""
        silent: tuple[str, ...] = ()
        if self._answered is not None:
            silent = tuple(name for name in self._parts if name not in self._answered)
        if not silent:
            self._give()
            answered: set[str] = set()
            self._answered = answered
            for name, ask in self._parts.items():
                ask(lambda name=name: answered.add(name))  # type: ignore[misc]
        return silent
