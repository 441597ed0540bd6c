"""Branches and invitations: who may ask this central server, by tokens of which only the hash is kept.

`var/central/branches.json` is written by commands (invite, revoke) and by the server (join), under
`var/lock`; whoever reads it looks at each question whether it was changed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from mv_iptel.central.authority import folder
from mv_iptel.central.inviting import TOKEN
from mv_iptel.files import states
from mv_iptel.home import Home
from mv_iptel.userdata.disk import locked, write_record

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
MOST = 10_000  # branches, and as many invitations


@dataclass(frozen=True)
class Branch:
    """One that has joined. `certificate` is the fingerprint of the one it was given."""

    name: str
    token: str  # sha256, in hex
    certificate: str
    joined: float
    server: str = ""  # what it calls itself
    revoked: float = 0.0


@dataclass(frozen=True)
class Invitation:
    """One line that was printed. `key` is the one that joined with it: it alone may come again."""

    name: str
    token: str  # sha256, in hex, of the one-time token
    made: float
    until: float
    key: str = ""


class Branches:
    """The file of one home. Any thread, any process. Changes raise OSError."""

    def __init__(self, home: Home, now: Callable[[], float] = time.time):
        self._home, self._now = home, now
        self.path = folder(home) / "branches.json"
        self._state: object = None
        self._branches: dict[str, Branch] = {}
        self._invitations: dict[str, Invitation] = {}
        self._by_token: dict[str, Branch] = {}

    def all(self) -> list[Branch]:
        """Those that have joined, by name; the revoked ones too."""
        self._look()
        return sorted(self._branches.values(), key=lambda one: one.name.casefold())

    def get(self, name: str) -> Branch | None:
        """One by its name, in any letter case."""
        self._look()
        return self._branches.get(name.casefold())

    def invitations(self) -> list[Invitation]:
        """Those that can still be used, the newest first."""
        self._look()
        now = self._now()
        found = [one for one in self._invitations.values() if now < one.until and not one.key]
        return sorted(found, key=lambda one: one.made, reverse=True)

    def who(self, token: str) -> Branch | None:
        """Whose token this is; None for nobody's, and for a revoked one."""
        if not TOKEN.fullmatch(token):
            return None
        self._look()
        return self._by_token.get(hash_of(token))

    def still(self, branch: Branch) -> bool:
        """Whether what `who` gave some time ago holds: its token was neither revoked nor replaced since."""
        self._look()
        return self._by_token.get(branch.token) is not None

    def invite(self, name: str, days: float) -> str:
        """A one-time token for a branch; earlier invitations of this name are worth nothing then.

        ValueError: that is no name.
        """
        if not NAME.fullmatch(name):
            raise ValueError("a branch's name has letters, digits, dots, dashes and underscores, 63 at most")
        token, now = secrets.token_urlsafe(32), self._now()
        with locked(self._home.lock):
            self._look(strict=True)
            fresh = {
                one.token: one for one in self._invitations.values()
                if now < one.until and one.name.casefold() != name.casefold()
            }  # fmt: skip
            if len(fresh) >= MOST or len(self._branches) >= MOST:
                raise ValueError(f"there are {MOST} branches or invitations already")
            made = Invitation(name, hash_of(token), now, now + days * 86400)
            self._write(self._branches, {**fresh, made.token: made})
        return token

    def invited(self, token: str, key: str) -> Invitation | str:
        """The invitation that this one-time token is, for this key; or a sentence on why it is none."""
        self._look()
        found = self._invitations.get(hash_of(token)) if TOKEN.fullmatch(token) else None
        if found is None:
            return "this invitation is unknown here; make a new one with `mv-iptel central invite`"
        if self._now() >= found.until:
            return "this invitation has ended; make a new one with `mv-iptel central invite`"
        if found.key and found.key != key:
            return "this invitation was used already; make a new one with `mv-iptel central invite`"
        return found

    def join(self, invitation: Invitation, key: str, certificate: str, server: str) -> str | None:
        """Take a branch in; gives its token. None: somebody else has used the invitation meanwhile."""
        token, name = secrets.token_urlsafe(32), invitation.name
        with locked(self._home.lock):
            self._look(strict=True)
            found = self._invitations.get(invitation.token)
            if found is None or found.key not in ("", key) or self._now() >= found.until:
                return None
            made = Branch(name, hash_of(token), certificate, self._now(), server)
            used = {**self._invitations, found.token: replace(found, key=key)}
            self._write({**self._branches, name.casefold(): made}, used)
        return token

    def revoke(self, name: str) -> bool:
        """Its token and its invitations are worth nothing from now on. False: there is no such branch."""
        key = name.casefold()
        with locked(self._home.lock):
            self._look(strict=True)
            left = {one.token: one for one in self._invitations.values() if one.name.casefold() != key}
            found = self._branches.get(key)
            if (found is None or found.revoked) and len(left) == len(self._invitations):
                return False
            branches = dict(self._branches)
            if found is not None:
                branches[key] = replace(found, token="", certificate="", revoked=self._now())
            self._write(branches, left)
        return True

    def _look(self, strict: bool = False) -> None:
        """Read it again if it was changed. While it is damaged what was known before goes on."""
        state = states([self.path])
        if state == self._state and not strict:
            return
        try:
            branches, invitations = _read(self.path.read_bytes()) if state != [()] else ({}, {})
        except ValueError:
            if strict:
                text = "is damaged; mend it, or move it away and invite every branch again"
                raise OSError(errno.EINVAL, text, str(self.path)) from None
            branches, invitations = self._branches, self._invitations
        self._branches, self._invitations = branches, invitations
        self._by_token = {one.token: one for one in branches.values() if one.token and not one.revoked}
        self._state = state

    def _write(self, branches: dict[str, Branch], invitations: dict[str, Invitation]) -> None:
        told = {
            "schema": 1,
            "branches": [asdict(one) for one in branches.values()],
            "invitations": [asdict(one) for one in invitations.values()],
        }
        write_record(self.path, json.dumps(told, indent=1).encode() + b"\n")
        self._state = None


def hash_of(token: str) -> str:
    """What is kept of a token: 32 random octets need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _read(data: bytes) -> tuple[dict[str, Branch], dict[str, Invitation]]:
    """What the file says; an entry that is damaged is nobody's. ValueError: all of it is."""
    told = json.loads(data)
    branches, invitations = {}, {}
    for row in _rows(told, "branches"):
        with suppress(TypeError):
            branch = Branch(**row)
            branches[branch.name.casefold()] = branch
    for row in _rows(told, "invitations"):
        with suppress(TypeError):
            invitation = Invitation(**row)
            invitations[invitation.token] = invitation
    return branches, invitations


def _rows(told: Any, key: str) -> list[dict[str, Any]]:
    rows = told.get(key) if isinstance(told, dict) else None
    texts = ("name", "token")
    return [
        row for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and all(isinstance(row.get(text), str) for text in texts)
    ]  # fmt: skip
