"""Carries a journal out, in the order in which no script ever names a file that is not there.

First every file that comes or changes and is no script, then settings and scripts, those that are named
before those that name them, then scripts that go, then what else goes; each step is on the disk before the
next. Backwards it is the same with before and after exchanged. Each step may be repeated, so that after a
crash, at whatever instant, the whole is simply done again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from mv_iptel.firmware.journal import Change, Journal
from mv_iptel.firmware.keeping import give
from mv_iptel.firmware.releases import Releases
from mv_iptel.home import Home
from mv_iptel.userdata.disk import hash_file, lasting_folder, locked, look, settle, sync_folder

EDITED = ("script", "settings", "list")  # what people write in: copied, never linked to the store
MODE = 0o664  # of a copy; a link has the store's

# What may be done while somebody waits for it: (files done, files in all).
Step = Callable[[int, int], None]


class Meddled(OSError):
    """A file changed between the plan and its replacement: somebody works on it just now."""


def carry(
    home: Home, journal: Journal, seen: dict[str, tuple[int, ...]] | None = None, step: Step = lambda *_: None
) -> list[str]:
    """Do what the journal says; gives the paths that somebody else changed, which are left as they are.

    `seen` are the states of the live files at the time of the plan; if one is another now nothing is done
    (Meddled). Raises OSError: then it is to be taken back.
    """
    changes = [one.back() for one in journal.changes] if journal.back else list(journal.changes)
    work = _Work(home, journal, step, len(changes))
    coming = [one for one in changes if one.after and one.role not in EDITED]
    # What is new first: an old script that becomes another one may name it.
    scripts = sorted(
        (one for one in changes if one.after and one.role in EDITED), key=lambda one: bool(one.before)
    )
    going = [one for one in reversed(changes) if not one.after]
    try:
        for one in (*coming, *scripts):
            work.prepare(one, seen)
        if seen is not None:
            _unchanged(seen, (Path(one.path) for one in changes))
        work.place(coming, seen)
        work.place(scripts, seen)
        if not work.foreign:  # what somebody's script names is not known
            work.remove([one for one in going if one.role in EDITED])
            work.remove([one for one in going if one.role not in EDITED])
    finally:
        work.tidy()
    return work.foreign


def state_of(path: Path) -> tuple[int, ...]:
    """Tells whether a file was changed or replaced; empty for one that is not there."""
    there = look(path)
    return () if there is None else (there.st_ino, there.st_size, there.st_mtime_ns)


def tidy(journal: Journal) -> None:
    """Remove what a crash left written aside."""
    for one in journal.changes:
        with suppress(OSError):
            _aside(journal, one).unlink()


class _Work:
    def __init__(self, home: Home, journal: Journal, step: Step, total: int):
        self.home, self.journal, self.step, self.total = home, journal, step, total
        self.releases = Releases(home)
        self.foreign: list[str] = []
        self.ready: dict[str, Path] = {}
        self.done = 0

    def prepare(self, one: Change, seen: dict[str, tuple[int, ...]] | None) -> None:
        """Lay the new content beside its place."""
        path, aside = Path(one.path), _aside(self.journal, one)
        lasting_folder(path.parent)
        with suppress(FileNotFoundError):
            aside.unlink()
        if seen is None and self._holds(path) == one.after:
            return
        edited = one.role in EDITED
        give(self.releases, one.after, aside, link=not edited)
        if edited or aside.stat().st_nlink == 1:  # a copy, and not a link
            when = int(self.journal.time * 1e9)
            os.utime(aside, ns=(when, when), follow_symlinks=os.utime not in os.supports_follow_symlinks)
            settle(aside, MODE, os.stat(path.parent))
        self.ready[one.path] = aside

    def place(self, changes: list[Change], seen: dict[str, tuple[int, ...]] | None) -> None:
        """Rename them into place, and make that last."""
        ours = [one for one in changes if one.path in self.ready and self._ours(one, seen)]
        with locked(self.home.lock):
            if seen is not None:
                _unchanged(seen, (Path(one.path) for one in changes))
            for one in ours:
                aside = self.ready.pop(one.path)
                target = Path(one.path)
                self._later(aside, target)
                os.replace(aside, target)
                with suppress(FileNotFoundError):  # two names of one file: then a rename does nothing
                    aside.unlink()
        self._last(changes)

    def remove(self, changes: list[Change]) -> None:
        ours = [one for one in changes if look(Path(one.path)) is not None and self._ours(one, None)]
        with locked(self.home.lock):
            for one in ours:
                os.unlink(one.path)
        self._last(changes)

    def tidy(self) -> None:
        for aside in self.ready.values():
            with suppress(OSError):
                aside.unlink()

    def _ours(self, one: Change, seen: dict[str, tuple[int, ...]] | None) -> bool:
        """Whether what lies there is what the journal knows of. What was just looked at is."""
        if seen is not None:
            return True
        there = self._holds(Path(one.path))
        if there in (one.before, one.after):
            return True
        self.foreign.append(one.path)
        return False

    def _holds(self, path: Path) -> str:
        return "" if look(path) is None else hash_file(path)

    def _later(self, aside: Path, target: Path) -> None:
        """A phone that asks whether a file is newer than what it has must hear of this one."""
        there = look(target)
        if there is not None and aside.stat().st_mtime_ns <= there.st_mtime_ns:
            when = max(int(self.journal.time * 1e9), there.st_mtime_ns + 1_000_000_000)
            with suppress(PermissionError):  # the content belongs to another user
                os.utime(aside, ns=(when, when), follow_symlinks=os.utime not in os.supports_follow_symlinks)

    def _last(self, changes: Iterable[Change]) -> None:
        for folder in sorted({str(Path(one.path).parent) for one in changes}):
            with suppress(FileNotFoundError):
                sync_folder(Path(folder))
        self.done += len(list(changes))
        self.step(self.done, self.total)


def _unchanged(seen: dict[str, tuple[int, ...]], paths: Iterable[Path]) -> None:
    for path in paths:
        if state_of(path) != seen.get(os.fspath(path), ()):
            raise Meddled(
                errno.EBUSY, "it was changed just now; look at it and publish again", os.fspath(path)
            )


def _aside(journal: Journal, one: Change) -> Path:
    path = Path(one.path)
    return path.with_name(f".{path.name}.{journal.tag}.part")
