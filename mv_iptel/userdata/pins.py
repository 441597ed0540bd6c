"""Passwords that phones sent with their first backup: remembered so that only the same one counts later.

What is kept is an HMAC by a key that lies in a file of its own, and that in turn by scrypt: a copy of the
one file without the other tells nothing, not even by trying short numbers. The key is the server's alone;
the rest its group has, because the manager and commands show who has one, and forget it, without the key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mv_iptel import passwords
from mv_iptel.userdata.disk import make_folder, open_lock, write_record

try:
    import fcntl
except ImportError:  # Windows: the command asks the running server there
    fcntl = None

_KEY = 32


class Pinned(Exception):
    """Another password is remembered already: two phones made their first backup at once."""


class _Pin(NamedTuple):
    since: float
    hashed: str


class Pins:
    """The pins in a folder (`key`, `pins.json`), by the canonical name of the file they guard.

    A damaged folder raises ValueError or OSError: to take it for an empty one would let the next comer in.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time):
        self._folder = folder
        self._key_file, self._file = folder / "key", folder / "pins.json"
        self._now = now
        self._lock = threading.RLock()
        self._seen: tuple[int, int, int] | None = None
        self._pins: dict[str, _Pin] = {}

    def known(self, file: str) -> bool:
        """Whether a password is remembered for this file."""
        return file in self._read()

    def check(self, file: str, password: str) -> bool:
        """Whether this is the password that is remembered. Slow: nothing for an event loop."""
        pin = self._read().get(file)
        return pin is not None and passwords.check(pin.hashed, self._keyed(file, password, make=False))

    def remember(self, file: str, password: str) -> None:
        """Keep it, if none is kept. Raises Pinned where another one is. Slow."""
        if self._is_kept(file, password):
            return
        with self._alone():
            pin = _Pin(self._now(), passwords.make(self._keyed(file, password, make=not self._read())))
            # Under the lock of the folder: whoever was first since is in what is read now.
            if not self._is_kept(file, password):
                self._write({**self._read(), file: pin})

    def release(self, file: str) -> bool:
        """Forget it: the next backup's password is remembered. False: none was."""
        if not self.known(file):
            return False
        with self._alone():
            pins = dict(self._read())
            found = pins.pop(file, None) is not None
            if found:
                self._write(pins)
            return found

    def all(self) -> list[tuple[str, float]]:
        """(file, since) of every pin."""
        return sorted((file, pin.since) for file, pin in self._read().items())

    def _is_kept(self, file: str, password: str) -> bool:
        if not self.known(file):
            return False
        if not self.check(file, password):
            raise Pinned(f"another password is remembered for {file}")
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread, and no command of the administrator's, writes meanwhile."""
        with self._lock:
            make_folder(self._folder)
            if fcntl is None:
                yield
                return
            descriptor = open_lock(self._folder / "lock")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _read(self) -> dict[str, _Pin]:
        """The pins; read again when somebody else has changed them."""
        with self._lock:
            try:
                with open(self._file, "rb") as file:
                    found = os.fstat(file.fileno())
                    seen = (found.st_ino, found.st_size, found.st_mtime_ns)
                    if seen != self._seen:
                        self._pins = _parse(file.read())
                        self._seen = seen
            except FileNotFoundError:
                self._pins, self._seen = {}, None
            return self._pins

    def _write(self, pins: dict[str, _Pin]) -> None:
        text = json.dumps({file: list(pin) for file, pin in sorted(pins.items())}, indent=0)
        write_record(self._file, text.encode())
        self._seen = None

    def _keyed(self, file: str, password: str, make: bool) -> str:
        """The password as only the holder of the key can compute it; it fits this file's pin only."""
        try:
            key = self._key_file.read_bytes()
        except FileNotFoundError:
            if not make:  # a new one would fit no pin there is, and all phones would be refused for ever
                raise ValueError(f"{self._key_file} is missing; restore it, or release all pins") from None
            key = secrets.token_bytes(_KEY)
            write_record(self._key_file, key, 0o600)
        if len(key) != _KEY:
            raise ValueError(f"{self._key_file} is damaged: not {_KEY} octets")
        said = file.encode("utf-8", "surrogatepass") + b"\0" + password.encode("utf-8", "surrogatepass")
        return hmac.new(key, said, hashlib.sha256).hexdigest()


def _parse(data: bytes) -> dict[str, _Pin]:
    try:
        return {
            str(file): _Pin(float(since), str(hashed)) for file, (since, hashed) in json.loads(data).items()
        }
    except (ValueError, TypeError, AttributeError):
        raise ValueError("pins.json is damaged; restore it, or remove it to release all pins") from None
