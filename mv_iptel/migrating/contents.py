"""User data moves in: of each name the newest content is the current one, all others go to the archive.

What the home has already counts as one of them, so a move that is repeated changes nothing, and one that is
made again before the switch brings what was stored meanwhile.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.migrating.report import Row, about
from mv_iptel.migrating.trees import Data
from mv_iptel.userdata import versions
from mv_iptel.userdata.disk import Aside, lasting_folder, open_file, sync_folder


class Content(NamedTuple):
    """One content of a name. `source` is None for the one that the home has."""

    mtime_ns: int
    octets: bytes
    source: Path | None

    @property
    def id(self) -> str:
        return f"{versions.stamp(self.mtime_ns)}-{hashlib.sha256(self.octets).hexdigest()[:8]}"


class Moved(NamedTuple):
    """What became of the names: files written, and rows."""

    current: int
    archived: int
    rows: list[Row]


def by_name(data: Iterable[Data]) -> dict[str, list[Data]]:
    """The files of each canonical name."""
    found: dict[str, list[Data]] = {}
    for one in data:
        found.setdefault(one.kept.file, []).append(one)
    return found


def move(config: Config, name: str, data: Iterable[Data]) -> Moved:
    """Everything of one name. Raises OSError for the home's disk only."""
    rows: list[Row] = []
    contents = list(_read(data, config.http.max_backup_bytes, rows))
    target = config.http.backup_dir / name
    here = _here(target)
    every = {one.id: one for one in [*contents, *here]}
    if not every:
        return Moved(0, 0, rows)
    newest = max(every.values(), key=lambda one: (one.mtime_ns, one.source is None))
    archived = 0
    for one in every.values():
        if one is not newest and one.octets != newest.octets:
            archived += _pack(versions.member_of(config, name, one.id), one)
    current = 0
    if newest.source is not None and not any(one.octets == newest.octets for one in here):
        lasting_folder(target.parent)
        aside = Aside(target)
        try:
            aside.write(newest.octets)
            aside.finish(newest.mtime_ns)
            aside.place()
        finally:
            aside.discard()
        sync_folder(target.parent)
        current = 1
    return Moved(current, archived, rows)


def _here(target: Path) -> list[Content]:
    """The content that the home has, if it has one."""
    try:
        fd = open_file(target)
    except FileNotFoundError:
        return []
    with open(fd, "rb") as file:
        return [Content(os.fstat(file.fileno()).st_mtime_ns, file.read(), None)]


def _read(data: Iterable[Data], limit: int, rows: list[Row]) -> Iterator[Content]:
    for one in data:
        try:
            with open(open_file(one.source), "rb") as raw:
                if one.packed:
                    with gzip.GzipFile(fileobj=raw) as packed:
                        octets = packed.read(limit + 1)
                        mtime_ns = int(packed.mtime or 0) * 1_000_000_000 or one.mtime_ns
                else:
                    octets, mtime_ns = raw.read(limit + 1), one.mtime_ns
        except (OSError, EOFError, zlib.error) as error:
            rows.append(about(one.source, f"cannot be read ({error}); left out"))
            continue
        if len(octets) > limit:
            rows.append(about(one.source, f"holds more than {limit} octets (MaxBackupBytes); left out"))
        else:
            yield Content(mtime_ns, octets, one.source)


def _pack(target: Path, one: Content) -> int:
    """A member of the archive; 0: it is there."""
    if target.exists():
        return 0
    lasting_folder(target.parent)
    aside = Aside(target)
    try:
        aside.write(gzip.compress(one.octets, 9, mtime=0))
        aside.finish(one.mtime_ns)
        aside.place()
    finally:
        aside.discard()
    sync_folder(target.parent)
    return 1
