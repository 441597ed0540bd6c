"""The care of user data: what a crash left is mended, what is too old goes, what is old is archived.

At the server's start and then daily, on a thread of its own. What changes a name's versions runs in its
lane, so that no commit is in the middle of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from mv_iptel.userdata import archive, versions
from mv_iptel.userdata.disk import locked, look, remove_parts
from mv_iptel.userdata.names import Kept, parse

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.userdata.lanes import Lanes
    from mv_iptel.userdata.quota import Ledger

EVERY = 86_400.0  # seconds between two rounds

Say = Callable[[str, str, str], None]  # kind, text, level of a notice


def lane_of(kept: Kept) -> str:
    """What is done one at a time: all names of one extension, for they share its quota."""
    return kept.ext or kept.file


def too_old(config: Config, ids: set[str], now: float) -> list[str]:
    """Which of a name's versions KeepVersions and KeepDays do not cover. The current file is none of them."""
    settings = config.settings
    oldest = versions.stamp(int(max(0.0, now - settings.keep_days * 86_400) * 1e9))
    return [
        one
        for place, one in enumerate(sorted(ids, reverse=True))
        if place >= settings.keep_versions or one < oldest
    ]


def discard(config: Config, ledger: Ledger, name: str, ids: list[str]) -> None:
    """Remove versions of a name, wherever they are. Raises OSError."""
    folder = versions.folder_of(config, name)
    tally = ledger.of(name)
    try:
        for one in ids:
            if one in tally.versions:
                (folder / one).unlink(missing_ok=True)
            if one in tally.archived:
                versions.member_of(config, name, one).unlink(missing_ok=True)
        ledger.gone(name, [one for one in ids if one in tally.archived])
    finally:
        ledger.count(name)


def prune(config: Config, ledger: Ledger, name: str, now: float) -> None:
    """Remove what is too old or too much of a name. Raises OSError."""
    tally = ledger.of(name)
    if ids := too_old(config, {*tally.versions, *tally.archived}, now):
        discard(config, ledger, name, ids)


def give_way(config: Config, ledger: Ledger, kept: Kept) -> int:
    """Remove the oldest contents of an extension that the quotas have no room for. Raises OSError."""
    surplus = ledger.surplus(kept)
    for name in dict.fromkeys(name for name, _, _ in surplus):
        discard(config, ledger, name, [one for owner, one, _ in surplus if owner == name])
    return len(surplus)


def unlink_twin(config: Config, name: str) -> bool:
    """Remove the version that is the current file itself: a crash came between its link and the rename.

    Else somebody who edits the current file in place would change the version too. Raises OSError.
    """
    current = config.http.backup_dir / name
    found = look(current)
    if found is None or found.st_nlink < 2:
        return False
    folder = versions.folder_of(config, name)
    gone = False
    with locked(config.home.lock):  # not between another process's link and its rename
        found = look(current)
        for one in versions.kept_in(folder) if found is not None else ():
            with suppress(FileNotFoundError):
                there = os.lstat(folder / one)
                if found is not None and (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
                    os.unlink(folder / one)
                    gone = True
    return gone


class Care:
    """The thread. `born` is when this process began to write: what is older and half written is a crash's."""

    def __init__(self, lanes: Lanes, say: Say, now: Callable[[], float], born: float):
        self._lanes = lanes
        self._say = say
        self._now = now
        self._born = born
        self._ledger: Ledger | None = None
        self._config: Config | None = None
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()

    def configure(self, config: Config, ledger: Ledger) -> None:
        """From now on by this configuration; a round that runs ends."""
        self._config, self._ledger = config, ledger
        self._wake.set()

    def start(self) -> None:
        """Begin the first round."""
        self._thread = threading.Thread(target=self._run, name="userdata-care", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; what is being archived is finished by the next start."""
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def round(self) -> None:
        """One round: count, archive, prune; after one that runs. Not for a lane."""
        with self._turn:
            self._round()

    def _round(self) -> None:
        config, ledger = self._config, self._ledger
        if config is None or ledger is None:
            return

        def stop() -> bool:
            return self._ended.is_set() or self._config is not config

        self._clean(config)
        if not ledger.scan(stop):
            return
        full = False
        for name in ledger.names():
            if stop():
                return
            try:
                if config.settings.archive and not full:
                    full = self._archive(config, ledger, name, stop)
                self._settle(config, ledger, name)
            except OSError as error:
                self._say("userdata-care", f"{error.filename or name}: {error.strerror}", "warning")

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.clear()
            try:
                self.round()
            except Exception as fault:
                self._say("fault", f"the care of user data failed: {type(fault).__name__}: {fault}", "error")
            self._wake.wait(EVERY)

    def _clean(self, config: Config) -> None:
        """Files that were being written when a crash came."""
        months = versions.archive_of(config)
        for parent in (months, versions.folders(config.home)):
            with suppress(OSError):
                for name in os.listdir(parent):
                    remove_parts(parent / name, self._born)

    def _archive(self, config: Config, ledger: Ledger, name: str, stop: Callable[[], bool]) -> bool:
        """Archive what is due of a name. True: the disk is full."""
        due = archive.due(ledger.of(name).versions, self._now())
        if not due:
            return False
        moved = archive.store(config, name, due, stop)
        for fault in moved.faults:
            self._say("userdata-archive", f"a version could not be archived: {fault}", "warning")
        if moved.done:
            ledger.archived(name, moved.done)

            def leave() -> None:
                try:
                    archive.remove(config, name, list(moved.done))
                finally:
                    ledger.count(name)

            self._in_lane(name, leave)
        return moved.full

    def _settle(self, config: Config, ledger: Ledger, name: str) -> None:
        """Twins and old versions of a name; the lane is taken only if there is something to do."""
        with suppress(FileNotFoundError):
            if os.lstat(config.http.backup_dir / name).st_nlink > 1:
                self._in_lane(name, lambda: unlink_twin(config, name) and ledger.count(name))
        tally = ledger.of(name)
        if too_old(config, {*tally.versions, *tally.archived}, self._now()):
            self._in_lane(name, lambda: prune(config, ledger, name, self._now()))

    def _in_lane(self, name: str, job: Callable[[], object]) -> None:
        kept = parse(name)
        faults: list[OSError] = []

        def run() -> None:
            try:
                job()
            except OSError as error:
                faults.append(error)

        if kept is not None:
            self._lanes.do(lane_of(kept), run)
        for fault in faults:
            raise fault
