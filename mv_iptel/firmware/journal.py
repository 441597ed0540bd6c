"""The intention of a publication, on the disk before its first rename: `var/releases/journal.json`.

Whoever finds one carries it out, or takes it back: both ways the contents are in the store already.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.firmware.generations import Generation, parsed
from mv_iptel.firmware.releases import ROLES
from mv_iptel.home import Home
from mv_iptel.userdata.disk import sync_folder, write_record

_SHA256 = re.compile(r"[0-9a-f]{64}|")
_TAG = re.compile(r"[0-9a-f]{8}")


class Change(NamedTuple):
    """One name and the content that it has before and after; empty where there is no such file."""

    path: str  # absolute
    before: str
    after: str
    role: str

    def back(self) -> Change:
        """The same, taken back."""
        return self._replace(before=self.after, after=self.before)


@dataclass(frozen=True)
class Journal:
    """What is to be done. `changes` stand in the order that DESIGN asks for; see carrying.py."""

    tag: str  # eight hex digits: what is written aside carries them in its name
    time: float
    generation: Generation  # that is to come
    states: tuple[tuple[str, str, str], ...]  # release, state and note that it is to have
    changes: tuple[Change, ...]
    back: bool = False  # it could not be carried out, and is being taken back

    def turned(self) -> Journal:
        return replace(self, back=not self.back)


class Damaged(ValueError):
    """There is a journal, and nobody can read it."""


def write(home: Home, journal: Journal) -> None:
    """Synced. Raises OSError."""
    told: dict[str, Any] = {
        **asdict(journal),
        "generation": json.loads(journal.generation.as_json()),
        "changes": [one._asdict() for one in journal.changes],
    }
    write_record(path_of(home), json.dumps(told, indent=1).encode())


def read(home: Home) -> Journal | None:
    """What was left to do, or None. Raises Damaged, OSError."""
    try:
        data = path_of(home).read_bytes()
    except FileNotFoundError:
        return None
    try:
        told = json.loads(data)
        changes = tuple(Change(**one) for one in told["changes"])
        found = Journal(
            str(told["tag"]), float(told["time"]), parsed(told["generation"]),
            tuple((str(one), str(state), str(note)) for one, state, note in told["states"]),
            changes, bool(told["back"]),
        )  # fmt: skip
        for one in changes:
            hashes = _SHA256.fullmatch(one.before) and _SHA256.fullmatch(one.after)
            if not (os.path.isabs(one.path) and one.role in ROLES and hashes):
                raise ValueError(one.path)
        if not _TAG.fullmatch(found.tag):
            raise ValueError(found.tag)
    except (TypeError, KeyError, ValueError) as error:
        raise Damaged(f"{path_of(home)} is damaged: {error}") from None
    return found


def clear(home: Home) -> None:
    """It is done. Raises OSError."""
    path_of(home).unlink(missing_ok=True)
    sync_folder(path_of(home).parent)


def set_aside(home: Home) -> Path:
    """Move a damaged one out of the way, for people to look at."""
    path = path_of(home)
    target = path.with_name("journal.damaged")
    with suppress(FileNotFoundError):
        os.replace(path, target)
    return target


def path_of(home: Home) -> Path:
    return home.var / "releases" / "journal.json"
