"""Holds what is served against what was published: every file is read again and its hash compared."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.firmware import generations, journal
from mv_iptel.firmware.generations import Entry
from mv_iptel.firmware.mapping import Unusable, path_of
from mv_iptel.firmware.releases import REFUSED, REMOVED, Releases
from mv_iptel.userdata.disk import hash_file

# The settings are the site's own: that they are others than those that came is no fault.
FAULTS = ("missing", "changed", "unreadable", "damaged")


class Deviation(NamedTuple):
    """A file that is not as it was published. `what` is one of FAULTS, or `edited` (settings)."""

    place: str
    name: str
    what: str
    text: str
    release: str = ""

    @property
    def fault(self) -> bool:
        return self.what in FAULTS


class Verified(NamedTuple):
    """What was looked at, and what is wrong with it."""

    generation: int
    files: int
    octets: int
    found: tuple[Deviation, ...]

    @property
    def sound(self) -> bool:
        return not any(one.fault for one in self.found)


def verify(config: Config, progress: Callable[[int, int], None] = lambda *_: None) -> Verified:
    """Read everything that is published, and every content that a release or a way back needs.

    `progress` is told octets read and octets in all. Nothing is changed. Raises OSError for what is no fault
    of a single file.
    """
    now = generations.current(config.home)
    releases = Releases(config.home)
    told: list[Deviation] = []
    if journal.path_of(config.home).exists():
        text = "a publication was broken off; it is finished or undone at the server's next start"
        told.append(Deviation("", "journal.json", "changed", text))
    stored = _stored(releases, now.files)
    total = sum(one.size for one in now.files) + sum(stored.values())
    done, hashes = 0, _Hashes()
    for one in now.files:
        found = _look(config, one, hashes)
        if found is not None:
            told.append(found)
        done += one.size
        progress(done, total)
    for sha256, size in stored.items():
        try:
            what = "" if hashes.of(releases.content(sha256)) == sha256 else "damaged"
            text = "its octets are not those that its name says; install the release again"
        except FileNotFoundError:
            what, text = "missing", "it is not in the store any more; install the release again"
        except OSError as error:
            what, text = "unreadable", error.strerror or type(error).__name__
        if what:
            told.append(Deviation("content", sha256, what, text))
        done += size
        progress(done, total)
    return Verified(now.number, len(now.files), total, tuple(told))


def _look(config: Config, one: Entry, hashes: _Hashes) -> Deviation | None:
    def deviation(what: str, text: str) -> Deviation:
        return Deviation(one.place, one.name, what, text, one.release)

    try:
        found = hashes.of(path_of(config, one.place, one.name))
    except FileNotFoundError:
        return deviation("missing", "it was published, and is not there")
    except Unusable as error:
        return deviation("changed", str(error))
    except OSError as error:
        return deviation("unreadable", error.strerror or type(error).__name__)
    if found == one.sha256:
        return None
    if one.role == "settings":
        return deviation("edited", "the site has its own settings in it")
    return deviation("changed", "it was changed since it was published")


def _stored(releases: Releases, entries: tuple[Entry, ...]) -> dict[str, int]:
    """Contents that must be whole, with their sizes."""
    found = {one.sha256: one.size for one in entries}
    for release in releases.all():
        if release.state not in (REFUSED, REMOVED):
            found |= {file.sha256: file.size for file in release.files}
    return found


class _Hashes:
    """Each inode is read once: most published files are links to the store."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], str] = {}

    def of(self, path: Path) -> str:
        there = os.stat(path)
        key = there.st_dev, there.st_ino
        if key not in self._known or not there.st_ino:
            self._known[key] = hash_file(path)
        return self._known[key]
