"""What is published: `var/releases/generation.json` is now, `var/releases/generations/N.json` was before.

Every change of what phones are offered has a number of its own, which only grows. The record says which
content stands under which name and whose it is: the manifest for branches is made of it, `verify` holds
the disk against it, and a rollback finds in it what a release took the place of.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.firmware.releases import PLACES, ROLES, SHA256
from mv_iptel.home import Home
from mv_iptel.userdata.disk import write_record

KEPT = 50  # generations; to older ones nobody goes back


class Entry(NamedTuple):
    """One file that is published, or that lay there before the first release that replaced it."""

    place: str  # one of releases.PLACES
    name: str  # relative, with slashes, as it is spelled on the disk
    size: int
    sha256: str  # of what is served
    role: str
    release: str = ""  # whose it is; empty: it was the site's own
    base: str = ""  # the vendor's content, where the site has put something of its own to it
    since: int = 0  # the generation that it came with

    @property
    def key(self) -> tuple[str, str]:
        """What two entries may not share: letter case does not make two files."""
        return self.place, self.name.casefold()


@dataclass(frozen=True)
class Generation:
    """What is published at a time. Number 0 is a home in which nothing was ever published."""

    number: int = 0
    time: float = 0.0
    action: str = ""  # publish, expose, withdraw, rollback or remove
    release: str = ""  # the release that it was about
    files: tuple[Entry, ...] = ()

    def entry(self, place: str, name: str) -> Entry | None:
        """What is published under a name, in any letter case."""
        key = place, name.casefold()
        return next((one for one in self.files if one.key == key), None)

    def by_key(self) -> dict[tuple[str, str], Entry]:
        return {one.key: one for one in self.files}

    def of(self, release: str) -> list[Entry]:
        """What belongs to a release."""
        return [one for one in self.files if one.release == release]

    def as_json(self) -> bytes:
        told = {
            "number": self.number, "time": self.time, "action": self.action, "release": self.release,
            "files": [one._asdict() for one in self.files],
        }  # fmt: skip
        return json.dumps(told, indent=1).encode()


def parsed(data: bytes | str | dict[str, Any]) -> Generation:
    """A generation of its record. ValueError for what is none."""
    try:
        told = json.loads(data) if isinstance(data, bytes | str) else data
        entries = tuple(Entry(**one) for one in told["files"])
        found = Generation(
            int(told["number"]), float(told["time"]), str(told["action"]), str(told["release"]), entries
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"no record of a generation: {error}") from None
    for one in found.files:
        texts = one.place, one.name, one.sha256, one.role, one.release, one.base
        if not all(isinstance(text, str) for text in texts) or type(one.size) is not int:
            raise ValueError("no record of a generation: a field has another type")
        if one.place not in PLACES or one.role not in ROLES or not SHA256.fullmatch(one.sha256):
            raise ValueError(f"no record of a generation: {one.place}/{one.name}")
    return found


def current(home: Home) -> Generation:
    """What is published now. A damaged record is passed over for the newest whole one."""
    with suppress(OSError, ValueError):
        return parsed(_now(home).read_bytes())
    known = numbers(home)
    for number in reversed(known):
        if found := at(home, number):
            return replace(found, number=known[-1])  # numbers only grow, also over a damaged record
    return Generation()


def at(home: Home, number: int) -> Generation | None:
    """An earlier generation, or None if it is not kept."""
    with suppress(OSError, ValueError):
        found = parsed((_folder(home) / f"{number}.json").read_bytes())
        return found if found.number == number else None
    return None


def numbers(home: Home) -> list[int]:
    """Those that are kept, the oldest first."""
    with suppress(OSError):
        return sorted(
            int(path.stem) for path in _folder(home).iterdir()
            if path.suffix == ".json" and path.stem.isascii() and path.stem.isdigit()
        )  # fmt: skip
    return []


def before(home: Home, entry: Entry) -> Entry | None:
    """What stood under the name before this entry came. LookupError: that is not known any more."""
    earlier = at(home, entry.since - 1) if entry.since else None
    if earlier is None:
        raise LookupError(f"what {entry.place}/{entry.name} replaced is not kept any more")
    return earlier.entry(entry.place, entry.name)


def adopt(home: Home, generation: Generation, found: list[Entry]) -> Generation:
    """Note in a generation what truly lay there when it was replaced: the site's own, and its changes."""
    noted = replace(
        generation, files=tuple({**generation.by_key(), **{one.key: one for one in found}}.values())
    )
    _write(home, noted)
    return noted


def put(home: Home, generation: Generation) -> None:
    """Make it the current one. Raises OSError."""
    _write(home, generation)
    write_record(_now(home), generation.as_json())
    for number in numbers(home)[:-KEPT]:
        with suppress(OSError):
            (_folder(home) / f"{number}.json").unlink()


def _write(home: Home, generation: Generation) -> None:
    write_record(_folder(home) / f"{generation.number}.json", generation.as_json())


def _now(home: Home) -> Path:
    return home.var / "releases" / "generation.json"


def _folder(home: Home) -> Path:
    return home.var / "releases" / "generations"
