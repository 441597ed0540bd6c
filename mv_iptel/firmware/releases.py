"""Releases as they lie on the disk: one record each, and their contents, of which each is kept once.

`var/releases/ID/release.json` is a release; `var/releases/content/<first two>/<sha256>` is what its files
hold. A published file is a second name (a hard link where the file system has them) of such a content.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.home import Home
from mv_iptel.userdata.disk import write_record

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}-[0-9a-f]{8}")
SHA256 = re.compile(r"[0-9a-f]{64}")  # as a content is named

# What becomes of a release (DESIGN 10).
ARRIVING, REFUSED, STAGED, RING = "arriving", "refused", "staged", "ring"
PUBLISHED, SUPERSEDED, REMOVED = "published", "superseded", "removed"
STATES = (ARRIVING, REFUSED, STAGED, RING, PUBLISHED, SUPERSEDED, REMOVED)

# Where a member goes.
PLACES = ("TFTPdata", "HTTPdata", "HTTPSdata", "FTPdata")
# What a file is to a phone. `script` is an upgrade script; `list` is an access list.
ROLES = ("script", "settings", "software", "language", "list", "other")


class File(NamedTuple):
    """One file of a release in one place; a member that goes to two places is two of these."""

    place: str  # one of PLACES
    name: str  # relative, with slashes, as the archive spells it
    size: int
    sha256: str
    role: str


@dataclass(frozen=True)
class Release:
    """One release. `note` says why it is refused or held, for people. Times in seconds since the epoch."""

    id: str
    state: str
    source: str  # updates, command, manager or central
    archive: str  # the file name that it came with
    arrived: float
    changed: float
    note: str = ""
    size: int = 0  # octets of the archive
    files: tuple[File, ...] = field(default=())

    def to(self, state: str, now: float, note: str = "") -> Release:
        """The same in another state."""
        return replace(self, state=state, changed=now, note=note)


class Releases:
    """The records of one home. It takes no lock: who changes something holds `var/releases/lock`."""

    def __init__(self, home: Home):
        self.folder = home.var / "releases"

    def all(self) -> list[Release]:
        """Every release that can be read, the newest first."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            found = [one for entry in entries if ID.fullmatch(entry.name) and (one := self.get(entry.name))]
        return sorted(found, key=lambda one: (one.arrived, one.id), reverse=True)

    def get(self, ident: str) -> Release | None:
        """One release, or None if there is no such record or nobody can read it."""
        if not ID.fullmatch(ident):
            return None
        try:
            told: dict[str, Any] = json.loads((self.folder / ident / "release.json").read_bytes())
            found = Release(**{**told, "files": tuple(File(*one) for one in told["files"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return found if found.id == ident and found.state in STATES else None

    def put(self, release: Release) -> None:
        """Write the record, synced. Raises OSError."""
        told = {**asdict(release), "files": [list(one) for one in release.files]}
        write_record(self.folder / release.id / "release.json", json.dumps(told, indent=1).encode())

    def content(self, sha256: str) -> Path:
        """Where a content lies, or would. ValueError: that is no sha256."""
        if not SHA256.fullmatch(sha256):
            raise ValueError("no sha256")
        return self.folder / "content" / sha256[:2] / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Whether a content lies there, as long as it must be."""
        try:
            return self.content(sha256).stat().st_size == size
        except (OSError, ValueError):
            return False

    def in_state(self, *states: str) -> list[Release]:
        """Those in one of these states, the newest first."""
        return [one for one in self.all() if one.state in states]


def called(ident: str, text: str) -> bool:
    """Whether an administrator may mean this release: by id, by the stem before the hash, by the hash."""
    return text in (ident, ident[:-9], ident[-8:])


def named(releases: Iterable[Release], text: str) -> list[Release]:
    """Those that an administrator may mean."""
    return [one for one in releases if called(one.id, text)]
