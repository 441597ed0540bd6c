"""How a client shows that user data is its own: which policy counts for it, and the file of passwords."""

from __future__ import annotations

import ipaddress
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mv_iptel import passwords
from mv_iptel.addresses import address_of
from mv_iptel.userdata.pins import Pinned, Pins

if TYPE_CHECKING:
    from mv_iptel.config import Config

__all__ = ["Passwords", "Pinned", "Pins", "policy_of"]

_MOST = 4 << 20  # octets of a file of passwords

Problem = tuple[str, int, str]  # file, line, what is wrong with it


def policy_of(config: Config, address: str) -> str:
    """snmp, pin, basic or none: the first match of BackupPerNet, else BackupAuth."""
    kept = address_of(address)
    if kept and config.http.backup_per_net:
        client = ipaddress.ip_address(kept)
        for network, policy in config.http.backup_per_net:
            if client in network:
                return policy
    return config.http.backup_auth


class Passwords:
    """`BackupPasswords`: lines `user:password` or `user:scrypt:...`, and comments that begin with #.

    Read again whenever the file has changed. A file that cannot be read lets nobody in.
    """

    def __init__(self, path: Path | None):
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int, int] | None = None
        self._users: dict[str, str] = {}
        self._slow = ""  # one of the hashed passwords
        self._problems: list[Problem] = []

    def check(self, user: str, password: str) -> bool:
        """Whether this is the user's password. Slow, see `passwords.check`.

        Where any password is hashed, all answers take as long: the time must not tell which users there are.
        """
        self._refresh()
        stored, slow = self._users.get(user, ""), self._slow
        if slow and not stored.startswith("scrypt:"):
            passwords.check(slow, password)
        return passwords.check(stored, password)

    def problems(self) -> list[Problem]:
        """What is wrong with the file, line by line; no password is told."""
        self._refresh()
        return list(self._problems)

    def _refresh(self) -> None:
        if self._path is None:
            return
        with self._lock:
            try:
                with open(self._path, "rb") as file:
                    found = os.fstat(file.fileno())
                    seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                    if seen == self._seen:
                        return
                    data = file.read(_MOST + 1)
            except OSError as error:
                self._seen, self._users, self._slow = None, {}, ""
                self._problems = [(str(self._path), 0, f"cannot be read ({error.strerror})")]
                return
            self._users, self._problems = self._parse(data)
            hashed = (stored for stored in self._users.values() if stored.startswith("scrypt:"))
            self._slow = next(hashed, "")
            self._seen = seen

    def _parse(self, data: bytes) -> tuple[dict[str, str], list[Problem]]:
        if len(data) > _MOST:
            return {}, [(str(self._path), 0, f"is larger than {_MOST >> 20} MiB; nobody is let in")]
        users: dict[str, str] = {}
        problems: list[Problem] = []
        for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            user, colon, stored = (part.strip() for part in text.partition(":"))
            if not colon or not user:
                wrong = "is not `user:password`"
            elif "\N{REPLACEMENT CHARACTER}" in text:
                wrong = "is not UTF-8"
            elif user in users:
                wrong = "names a user for the second time; the first line counts"
            else:
                wrong = passwords.broken(stored)
            if wrong:
                problems.append((str(self._path), number, wrong))
            else:
                users[user] = stored
        return users, problems
