"""Releases as pages tell them: what is here, what is in one, what is published, how a file differs."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.config import Config
from mv_iptel.files import states
from mv_iptel.firmware import generations, releases
from mv_iptel.firmware.generations import Generation
from mv_iptel.firmware.mapping import Unusable, path_of
from mv_iptel.firmware.releases import File, Release, Releases
from mv_iptel.home import Home
from mv_iptel.rollout import plans

GONE = (releases.REFUSED, releases.REMOVED)
LONGEST = 256 * 1024  # octets of a file that is shown
SHOWN = 60_000  # characters of a difference that are shown
TEXTS = ("script", "settings", "list")
_ORDER = {role: place for place, role in enumerate(releases.ROLES)}

# Records by path, with the state of their file: hundreds are looked at whenever a page refreshes itself.
_records: dict[str, tuple[object, Release | None]] = {}
_MOST = 2000


def all_releases(home: Home) -> list[Release]:
    """Every release, the newest first; a record that has not changed is not read again."""
    kept = Releases(home)
    try:
        names = [one for one in os.listdir(kept.folder) if releases.ID.fullmatch(one)]
    except OSError:
        return []
    found = [one for name in names if (one := release(home, name)) is not None]
    return sorted(found, key=lambda one: (one.arrived, one.id), reverse=True)


def release(home: Home, ident: str) -> Release | None:
    """One release by its whole id."""
    kept = Releases(home)
    if not releases.ID.fullmatch(ident):
        return None
    path = kept.folder / ident / "release.json"
    state = states([path])
    there = _records.get(str(path))
    if there is None or there[0] != state:
        if len(_records) >= _MOST:
            _records.clear()
        there = _records[str(path)] = (state, kept.get(ident))
    return there[1]


def listed(home: Home, everything: bool = False) -> list[Release]:
    """Those that a page lists: without what was refused or removed, unless everything is wanted."""
    return [one for one in all_releases(home) if everything or one.state not in GONE]


def etag(home: Home, one: Release) -> str:
    """Another one when the release, or what is published, is not what it was."""
    number = generations.current(home).number
    told = f"{one.state} {one.changed!r} {number}".encode()
    return f"{number}-{hashlib.sha256(told).hexdigest()[:12]}"


def told(one: Release) -> dict[str, Any]:
    """For JSON, without its files."""
    return {
        "id": one.id, "state": one.state, "source": one.source, "archive": one.archive,
        "arrived": one.arrived, "changed": one.changed, "note": one.note, "size": one.size,
        "files": len({file.name for file in one.files}),
        "roles": dict(Counter(role for _, role in {(file.name, file.role) for file in one.files})),
    }  # fmt: skip


class Content(NamedTuple):
    """One content of a release, and the places that it goes to."""

    name: str
    role: str
    size: int
    sha256: str
    places: tuple[str, ...]


def contents(one: Release, role: str = "", text: str = "") -> list[Content]:
    """What is in a release: scripts first; of one role, or with a text in their names."""
    found: dict[tuple[str, str], list[File]] = {}
    for file in one.files:
        if (not role or file.role == role) and text.casefold() in file.name.casefold():
            found.setdefault((file.name, file.sha256), []).append(file)
    rows = [
        Content(name, files[0].role, files[0].size, sha256, tuple(file.place for file in files))
        for (name, sha256), files in found.items()
    ]
    return sorted(rows, key=lambda row: (_ORDER[row.role], row.name.casefold(), row.places))


class Looked(NamedTuple):
    """One file of a release: its lines, or how it differs from what phones get now."""

    file: File
    how: str  # diff, same, new, text or none
    lines: tuple[tuple[str, str], ...]  # (added, removed, place or nothing, the line)
    cut: bool = False  # there is more


def look(config: Config, one: Release, place: str, name: str, compare: bool) -> Looked | None:
    """A file of a release; None: it has none of that name. Without `compare` nothing of the site's is read.

    Scripts of the site may hold what not everybody should read.
    """
    file = next((each for each in one.files if (each.place, each.name) == (place, name)), None)
    if file is None:
        return None
    if file.role not in TEXTS or file.size > LONGEST:
        return Looked(file, "none", ())
    try:
        new = _text(Releases(config.home).content(file.sha256))
        live = _text(path_of(config, place, name)) if compare else None
    except (Unusable, ValueError, OSError):
        return Looked(file, "none", ())
    if new is None:
        return Looked(file, "none", ())
    if live is None:
        return Looked(file, "new" if compare else "text", *_cut(("", line) for line in new))
    if live == new:
        return Looked(file, "same", *_cut(("", line) for line in new))
    return Looked(file, "diff", *_cut(_marked(difflib.unified_diff(live, new, "now", "then", lineterm=""))))


def _text(path: Path) -> list[str] | None:
    """Lines of a file, None if it is not there or too long."""
    if not path.is_file() or path.stat().st_size > LONGEST:
        return None
    with path.open("rb") as file:
        return file.read(LONGEST).decode("utf-8", "replace").splitlines()


def _marked(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(lines):
        if number >= 2:  # without the names of the two
            yield {"+": "added", "-": "removed", "@": "place"}.get(line[:1], ""), line


def _cut(lines: Iterable[tuple[str, str]]) -> tuple[tuple[tuple[str, str], ...], bool]:
    kept, length = [], 0
    for one in lines:
        length += len(one[1]) + 40
        if length > SHOWN:
            return tuple(kept), True
        kept.append(one)
    return tuple(kept), False


def changes(old: Generation, new: Generation) -> tuple[str, str]:
    """What stood under the names that changed, before and after; for the audit trail."""
    before, after = old.by_key(), new.by_key()
    texts: list[tuple[str, str]] = []
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if (one.sha256 if one else "") != (other.sha256 if other else ""):
            named = other or one
            assert named is not None
            name = f"{named.place}/{named.name}"
            texts.append(tuple(f"{name} {each.sha256[:8]} {each.release}".rstrip() if each else f"{name} -"
                               for each in (one, other)))  # fmt: skip  # type: ignore[arg-type]
    first, second = ("\n".join(each[side] for each in texts)[:20_000] for side in (0, 1))
    return f"generation {old.number}\n{first}", f"generation {new.number}\n{second}"


class Past(NamedTuple):
    """One change of what is published."""

    number: int
    time: float
    action: str
    release: str


def history(home: Home, limit: int = 8) -> list[Past]:
    """The last changes of what is published, the newest first."""
    found = []
    for number in reversed(generations.numbers(home)[-limit:]):
        path = home.var / "releases" / "generations" / f"{number}.json"
        state = states([path])
        there = _pasts.get(str(path))
        if there is None or there[0] != state:
            one = generations.at(home, number)
            past = Past(one.number, one.time, one.action, one.release) if one else None
            if len(_pasts) >= _MOST:
                _pasts.clear()
            there = _pasts[str(path)] = (state, past)
        if there[1] is not None and there[1].number:
            found.append(there[1])
    return found


_pasts: dict[str, tuple[object, Past | None]] = {}


def last_published(home: Home, found: Iterable[Release]) -> Release | None:
    """The one that `firmware rollback` would take back."""
    now = generations.current(home)
    since: dict[str, int] = {}
    for one in now.files:
        since[one.release] = max(since.get(one.release, 0), one.since)
    published = [one for one in found if one.state == releases.PUBLISHED]
    return max(published, key=lambda one: since.get(one.id, 0), default=None)


class Rollout(NamedTuple):
    """The roll-out that is under way, to be read only."""

    release: str
    state: str
    note: str
    stage: int
    stages: tuple[str, ...]
    began: float


def rollout(home: Home) -> Rollout | None:
    """None if none is under way."""
    found = plans.load(home)
    if found is None or found.state in plans.OVER:
        return None
    words = tuple(one.words() for one in found.stages)
    return Rollout(found.release, found.state, found.note, found.stage + 1, words, found.began)
