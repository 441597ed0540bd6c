"""Whose data is kept: lists that cost little with 50,000 users, and one name with all that is known of it."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.config import Config
from mv_iptel.home import Home
from mv_iptel.library.contents import etag_of
from mv_iptel.userdata import compare, history, versions
from mv_iptel.userdata.disk import look
from mv_iptel.userdata.names import Kept, parse
from mv_iptel.userdata.pins import Pins

SORTS = ("extension", "changed", "size")
STATES = ("all", "kept", "deleted", "password")
KINDS = ("all", "96xx", "4620", "4610", "16xx", "9610")
DEAR = 0.1  # seconds: a store that takes longer to look through is looked through aside
STALE = 10.0  # seconds that a list of such a store may be old
BLURRED = 0.1  # seconds: a folder that changed so shortly before it was read may have changed since
ENTRIES = 300  # lines of a content that a page shows
SENTENCES = 300  # differences that a page shows
_BY = ("op", "address", "mac", "model", "proto", "how")


# The list


class Key(NamedTuple):
    """What a list is searched and sorted by."""

    name: str
    kept: Kept
    size: int  # -1: no current content
    changed: float  # of a deleted one: when its versions' folder changed


class Shelf:
    """All keys of one moment, with their orders made when they are first wanted."""

    def __init__(self, keys: list[Key], archived: Mapping[str, int]):
        self.archived = archived  # name -> versions in the archive
        self.extensions = len({key.kept.ext for key in keys if key.kept.ext})
        self._sorted = {"extension": sorted(keys, key=_ORDER["extension"])}
        self._names: dict[str, list[str]] = {}

    def keys(self, sort: str = "extension") -> list[Key]:
        if sort not in self._sorted:
            self._sorted[sort] = sorted(self._sorted["extension"], key=_ORDER[sort])
        return self._sorted[sort]

    def names(self, sort: str) -> list[str]:
        """What is searched in, of each key: with many users a plain list is read ten times as fast."""
        if sort not in self._names:
            # A name without an extension begins with none: its digits are the model's.
            self._names[sort] = [key.name if key.kept.ext else f"_{key.name}" for key in self.keys(sort)]
        return self._names[sort]


class Index:
    """All names of one store, read again when its folders have changed.

    The rows of a page are read afresh (`row`), so only what is searched and sorted by may be some seconds
    old, and that only where a store is so large that reading it would keep a page waiting.
    """

    def __init__(self, now: Callable[[], float] = time.time):
        self._now = now
        self._lock = threading.Lock()
        self._state: object = None
        self._shelf = Shelf([], {})
        self._months: dict[str, tuple[int, Counter[str]]] = {}
        self._built = self._took = 0.0
        self._busy = False

    def read(self, config: Config) -> Shelf:
        """What is there."""
        state, blurred = self._look(config)
        if state != self._state or blurred > self._built:
            age = self._now() - self._built
            if self._took > DEAR and age < 60 * STALE:
                self._aside(config, age)
            else:
                self._build(config)
        return self._shelf

    def _look(self, config: Config) -> tuple[object, float]:
        """The state of the folders, and until when a reading of them cannot be trusted."""
        archive = versions.archive_of(config)
        months = [archive / name for name in _names(archive)]
        state = {}
        for place in (config.http.backup_dir, versions.folders(config.home), archive, *months):
            with suppress(OSError):
                state[str(place)] = os.stat(place).st_mtime_ns
        return state, max(state.values(), default=0) / 1e9 + BLURRED

    def _aside(self, config: Config, age: float) -> None:
        with self._lock:
            if self._busy or age < STALE:
                return
            self._busy = True
        threading.Thread(target=self._build, args=(config,), daemon=True, name="userdata").start()

    def _build(self, config: Config) -> None:
        begun = time.perf_counter()
        try:
            state, _ = self._look(config)
            built = self._now()
            archived = self._archive(config)
            shelf = Shelf(_keys(config, archived), archived)
            with self._lock:
                self._state, self._built, self._shelf = state, built, shelf
        finally:
            self._took = time.perf_counter() - begun
            self._busy = False

    def _archive(self, config: Config) -> dict[str, int]:
        """Counted by month: a month that is over is read once."""
        archive = versions.archive_of(config)
        months: dict[str, tuple[int, Counter[str]]] = {}
        for name in _names(archive):
            with suppress(OSError):
                changed = os.stat(archive / name).st_mtime_ns
                before = self._months.get(name)
                if before is not None and before[0] == changed and self._now() - changed / 1e9 > BLURRED:
                    months[name] = before
                else:
                    months[name] = (changed, versions.members_in(archive / name))
        self._months = months
        return dict(sum((found for _, found in months.values()), Counter[str]()))


_ORDER: dict[str, Callable[[Key], Any]] = {
    "extension": lambda key: (len(key.kept.ext), key.kept.ext, key.name),  # 4711 before 20001
    "changed": lambda key: (key.changed, key.name),
    "size": lambda key: (key.size, key.name),
}


@lru_cache(maxsize=4)
def index_of(backup_dir: Path, folder: Path) -> Index:
    """The index of a store, made at the first question."""
    return Index()


def listing(
    config: Config, query: str = "", kind: str = "all", state: str = "all", sort: str = "extension",
    down: bool = False, offset: int = 0, limit: int = 50,
) -> dict[str, Any]:  # fmt: skip
    """A page of the list: `items`, and the `total` of what fits. `extensions` counts people, not files."""
    shelf = index_of(config.http.backup_dir, versions.folders(config.home)).read(config)
    keys = found = shelf.keys(sort)
    query = query.strip().casefold()
    if query.isdigit():
        found = [key for key, name in zip(found, shelf.names(sort), strict=True) if name.startswith(query)]
    elif query:
        found = [key for key, name in zip(found, shelf.names(sort), strict=True) if query in name]
    if kind != "all":
        found = [key for key in found if key.kept.cls == kind]
    if state == "password":
        pins = passwords(config)
        found = [key for key in found if key.name in pins]
    elif state != "all":
        found = [key for key in found if (key.size < 0) == (state == "deleted")]
    total = len(found)
    shown = list(islice(reversed(found) if down else found, offset, offset + limit))
    return {
        "items": [row(config, key.kept, shelf.archived.get(key.name, 0)) for key in shown],
        "total": total, "kept": len(keys), "extensions": shelf.extensions,
    }  # fmt: skip


def row(config: Config, kept: Kept, archived: int) -> dict[str, Any]:
    """One name as a list tells it; nothing of its content. Reads little."""
    folder = versions.folder_of(config, kept.file)
    found = _state(config, kept.file)
    ids = versions.kept_in(folder)
    times = [versions.time_of(one) for one in (min(ids), max(ids))] if ids else []
    if found is not None:
        times.append(found.st_mtime)
    last = next(iter(history.latest(folder)), history.Change(0.0, ""))
    return {
        "extension": kept.ext, "kind": kind_of(kept), "file": kept.file,
        "size": found.st_size if found is not None else None,
        "since": min(times, default=0.0), "changed": last.time or max(times, default=0.0),
        **{field: getattr(last, field) for field in _BY},
        "versions": len(ids) + archived, "archived": archived,
        "password": _pinned(config, kept.file),
    }  # fmt: skip


def passwords(config: Config) -> dict[str, float]:
    """Since when a password is remembered, by file; nothing if the manager may not read that."""
    try:
        return dict(pins_of(config.home).all())
    except (OSError, ValueError):
        return {}


def _pinned(config: Config, name: str) -> bool:
    try:
        return pins_of(config.home).known(name)
    except (OSError, ValueError):
        return False


@lru_cache(maxsize=4)
def pins_of(home: Home) -> Pins:
    """The remembered passwords; read again when somebody has changed them."""
    return Pins(home.var / "pins", time.time)


def kind_of(kept: Kept) -> str:
    """The phones that share this data."""
    return kept.cls + (" SIP" if kept.sip else "")


def _keys(config: Config, archived: Iterable[str]) -> list[Key]:
    found: dict[str, Key] = {}
    with suppress(OSError), os.scandir(config.http.backup_dir) as entries:
        for entry in entries:
            kept = _canonical(entry.name)
            if kept is not None:
                with suppress(OSError):
                    told = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(told.st_mode):
                        found[entry.name] = Key(entry.name, kept, told.st_size, told.st_mtime)
    folders = versions.folders(config.home)
    for name in {*_names(folders), *archived} - found.keys():
        kept = _canonical(name)
        if kept is not None and (versions.kept_in(folders / name) or name in archived):
            changed = 0.0
            with suppress(OSError):
                changed = os.stat(folders / name).st_mtime
            found[name] = Key(name, kept, -1, changed)
    return list(found.values())


def _canonical(name: str) -> Kept | None:
    kept = parse(name)
    return kept if kept is not None and kept.file == name else None


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _state(config: Config, name: str) -> os.stat_result | None:
    try:
        return look(config.http.backup_dir / name)
    except OSError:
        return None  # a link or a folder under that name is no user data


# One name


def etag(config: Config, name: str) -> str:
    """Which state of the current content somebody has seen: as phones get it, or `none`."""
    found = _state(config, name)
    return etag_of(name, found) if found is not None else "none"


def one(config: Config, name: str) -> dict[str, Any]:
    """A name, its versions and changes, who made them; nothing of its content. Raises LookupError."""
    kept = parse(name)
    assert kept is not None, "the caller has looked at the name"
    name = kept.file
    tag = etag(config, name)
    every = versions.of(config, name)
    since = passwords(config).get(name)
    if not every and since is None:
        raise LookupError(f"nothing is kept of {name}")
    changes = versions.changes(config, name)
    rows = []
    for version in every:
        told = version._asdict()
        del told["path"]
        by = history.stored_by(changes, version.sha8, version.time)
        rows.append({**told, **{field: getattr(by, field) for field in _BY}})
    return {
        "file": name, "extension": kept.ext, "kind": kind_of(kept), "etag": tag,
        "deleted": not every or every[0].id != versions.CURRENT, "versions": rows,
        "changes": [change._asdict() for change in reversed(changes)], "password_since": since,
    }  # fmt: skip


def content(config: Config, name: str, version: str) -> dict[str, Any]:
    """What a version says, as its user knows it. Raises LookupError, OSError, EOFError, zlib.error."""
    meant, data = _read(config, name, version)
    found = compare.parse(data)
    entries = [entry._asdict() for entry in found.entries[:ENTRIES]]
    return {
        "version": meant.id, "size": len(data), "summary": found.summary(), "encoding": found.encoding,
        "ends": found.ends, "entries": entries, "more": len(found.entries) - len(entries) + found.more,
    }  # fmt: skip


def before(config: Config, name: str, version: str) -> str:
    """The version that this one has replaced. Raises LookupError: there is none."""
    every = versions.of(config, name)
    wanted = versions.find(config, name, version).id
    at = next((number for number, one in enumerate(every) if one.id == wanted), len(every))
    if at + 1 >= len(every):
        raise LookupError(f"no version of {name} is older than {wanted}; there is nothing to compare")
    return every[at + 1].id


def differences(config: Config, name: str, old: str, new: str) -> dict[str, Any]:
    """What changed from one version to another, in words. Raises as `content`."""
    sides, contents = zip(*(_read(config, name, version) for version in (old, new)), strict=True)
    found = compare.differences(*contents)
    told = compare.sentences(found)
    tones = {one.words(): one.what for one in found}
    return {
        "file": name, "old": _side(sides[0]), "new": _side(sides[1]),
        "differences": [{**one._asdict(), "words": one.words()} for one in found[:SENTENCES]],
        "sentences": [{"what": tones.get(text, compare.MOVED), "text": text} for text in told[:SENTENCES]],
        "more": max(0, len(told) - SENTENCES),
    }  # fmt: skip


def _read(config: Config, name: str, version: str) -> tuple[versions.Version, bytes]:
    """Which one is meant, and its octets: the archive is looked through once."""
    meant = versions.find(config, name, version)
    try:
        return meant, versions.content(meant)
    except FileNotFoundError:  # archived or replaced since
        return meant, versions.read(config, name, meant.id)


def _side(version: versions.Version) -> dict[str, Any]:
    told = version._asdict()
    del told["path"]
    return told
