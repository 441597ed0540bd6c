"""What publishing a release would do, found out before anything is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.firmware import generations
from mv_iptel.firmware.carrying import EDITED, state_of
from mv_iptel.firmware.foreseeing import Gain, Loss
from mv_iptel.firmware.foretelling import foretold
from mv_iptel.firmware.generations import Entry, Generation
from mv_iptel.firmware.keeping import keep_bytes
from mv_iptel.firmware.mapping import Unusable, path_of, spelled
from mv_iptel.firmware.merging import merge
from mv_iptel.firmware.placing import directories
from mv_iptel.firmware.releases import File, Release, Releases
from mv_iptel.home import shipped
from mv_iptel.userdata.disk import NotAFile, hash_file

# What becomes of a live script that is not as it was published: it stops the publication, it stays, it is
# replaced, or what stands at its top is carried over.
LIVE = ("stop", "keep", "replace", "merge")
MARGIN = 64 << 20  # octets that stay free


class Item(NamedTuple):
    """What becomes of one file of the release."""

    what: str  # new, replaced, same, kept (the site's own stays), merged
    file: File
    path: str
    before: str  # the content that lies there now; empty for none
    entry: Entry | None  # what is published afterwards; None: nothing is said of this name


class Conflict(NamedTuple):
    """A live file that the site has changed."""

    place: str
    name: str
    text: str


@dataclass
class Plan:
    """`problems` always stop it; conflicts until somebody says what shall become of them; see Publisher."""

    release: Release
    items: list[Item] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # names and contents that cannot be published
    errors: list[str] = field(default_factory=list)  # lint: what would not work
    losses: list[Loss] = field(default_factory=list)  # phones that would come off worse
    gains: list[Gain] = field(default_factory=list)  # phones that would get other firmware
    needs: int = 0  # octets on the disk
    free: int = 0
    seen: dict[str, tuple[int, ...]] = field(default_factory=dict)  # the states of the live files

    def count(self, what: str) -> int:
        return sum(one.what == what for one in self.items)

    @property
    def full(self) -> bool:
        return self.needs + MARGIN > self.free and self.needs > 0

    def changed(self, releases: Releases) -> dict[str, Path | None]:
        """Each path that gets another content, and where that lies."""
        return {
            one.path: releases.content(one.entry.sha256)
            for one in self.items
            if one.entry is not None and one.entry.sha256 != one.before
        }


def plan(
    config: Config, release: Release, live: str = "stop", ring: bool = False, apart: bool = False
) -> Plan:
    """Find out what publishing this release would do. Raises OSError.

    `ring`: only what no phone comes to by itself: everything but scripts, settings and lists; a file that
    another one lies under stays out. `apart`: what computes for long does so in a process of its own. What is
    merged is kept in the store, nothing else is written.
    """
    releases = Releases(config.home)
    made = Plan(release)
    planner = _Planner(config, releases, made, live, generations.current(config.home))
    for file in release.files:
        if not (ring and file.role in EDITED):
            planner.add(file, ring)
    planner.room()
    if not ring and not made.problems:
        changed = made.changed(releases)
        if changed:
            made.errors, made.losses, made.gains = foretold(config, changed, apart)
    return made


class _Planner:
    def __init__(self, config: Config, releases: Releases, made: Plan, live: str, generation: Generation):
        self.config, self.releases, self.made, self.live = config, releases, made, live
        self.generation = generation
        self._paths: dict[str, str] = {}  # path -> the content that is to lie there
        self._hashes: dict[str, str] = {}
        self._known: dict[str, set[str]] | None = None

    def add(self, file: File, ring: bool) -> None:
        made = self.made
        try:
            path = path_of(self.config, file.place, file.name)
            state = made.seen[os.fspath(path)] = state_of(path)
        except Unusable as error:
            made.problems.append(str(error))
            return
        except NotAFile as error:
            made.problems.append(f"{file.place}/{file.name}: {error.strerror}")
            return
        if not self.releases.has(file.sha256, file.size):
            made.problems.append(
                f"{file.place}/{file.name}: its content is not in the store; install it again"
            )
            return
        before = self._hash(path) if state else ""
        now = self.generation.entry(file.place, file.name)
        name = spelled(directories(self.config)[file.place], file.name)
        entry = Entry(file.place, name, file.size, file.sha256, file.role, made.release.id)
        if ring and before not in ("", file.sha256):
            item = Item("kept", file, str(path), before, now)
        elif not before:
            item = Item("new", file, str(path), before, entry)
        elif before == file.sha256:
            item = Item("same", file, str(path), before, entry)
        elif file.role == "settings":
            item = Item("kept", file, str(path), before, now)
        elif file.role in EDITED and not self._ours(file, now, before):
            found = self._conflict(file, path, before, now, entry, state[1])
            if found is None:
                return
            item = found
        else:
            item = Item("replaced", file, str(path), before, entry)
        after = item.entry.sha256 if item.entry else item.before
        if self._paths.setdefault(item.path, after) != after:
            made.problems.append(
                f"{file.place}/{file.name}: two places are one directory, and get two contents"
            )
            return
        made.items.append(item)

    def room(self) -> None:
        """Links need no room; copies do, and links to another file system are copies."""
        made = self.made
        store = self.releases.folder
        try:
            made.free = shutil.disk_usage(store).free
        except OSError:
            made.free = 0
        for one in made.items:
            if one.entry is None or one.entry.sha256 == one.before:
                continue
            if one.file.role in EDITED or not _together(store, Path(one.path)):
                made.needs += one.entry.size

    def _conflict(
        self, file: File, path: Path, before: str, now: Entry | None, entry: Entry, size: int
    ) -> Item | None:
        """What becomes of a file that the site has changed; None: somebody has to say."""
        if self.live == "keep":
            return Item(
                "kept", file, str(path), before, entry._replace(size=size, sha256=before, base=file.sha256)
            )
        if self.live == "replace":
            return Item("replaced", file, str(path), before, entry)
        why = "it is not as it was published" if now else "it lay here before, and no release brought it"
        if self.live == "merge" and file.role == "script":
            merged = merge(path.read_bytes(), self._content(file.sha256), self._vendors(file, now))
            if not isinstance(merged, str):
                sha256 = keep_bytes(self.releases, merged.data)
                entry = entry._replace(size=len(merged.data), sha256=sha256, base=file.sha256)
                return Item("merged", file, str(path), before, entry)
            why = f"its changes cannot be carried over: {merged}"
        elif self.live == "merge":
            why = "only upgrade scripts can be merged"
        self.made.conflicts.append(Conflict(file.place, file.name, why))
        return None

    def _ours(self, file: File, now: Entry | None, live: str) -> bool:
        """Whether what lies there came from a release, or from `init`, and nobody has changed it."""
        if now is not None and now.base and now.base != now.sha256:
            return live == now.base  # the site's own lines are in what was published
        return live in self._all_known().get(_last(file.name), ()) or (now is not None and live == now.sha256)

    def _all_known(self) -> dict[str, set[str]]:
        """Every content of the vendor's by file name, and what a new installation starts with."""
        if self._known is None:
            self._known = {}
            for release in self.releases.all():
                for file in release.files:
                    self._known.setdefault(_last(file.name), set()).add(file.sha256)
            for folder in ("TFTPdata", "HTTPdata", "HTTPSdata"):
                for sample in _files(shipped() / folder):
                    self._known.setdefault(_last(sample.name), set()).add(hash_file(sample))
        return self._known

    def _vendors(self, file: File, now: Entry | None) -> Iterable[bytes]:
        """Scripts of the vendor's that the live one may be made of, the likeliest first."""
        first = [now.base or now.sha256] if now else []
        for sha256 in dict.fromkeys((*first, *sorted(self._all_known().get(_last(file.name), ())))):
            try:
                yield self._content(sha256)
            except OSError:
                continue
        for folder in ("TFTPdata", "HTTPdata", "HTTPSdata"):
            for sample in _files(shipped() / folder):
                if _last(sample.name) == _last(file.name):
                    yield sample.read_bytes()

    def _content(self, sha256: str) -> bytes:
        return self.releases.content(sha256).read_bytes()

    def _hash(self, path: Path) -> str:
        key = os.fspath(path)
        if key not in self._hashes:
            self._hashes[key] = hash_file(path)
        return self._hashes[key]


def _last(name: str) -> str:
    return name.rpartition("/")[2].casefold()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _together(store: Path, path: Path) -> bool:
    """Whether both are on one file system."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return path.stat().st_dev == store.stat().st_dev
    except OSError:
        return False
