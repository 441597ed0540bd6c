"""The store of user data: written aside, synced, renamed, synced again, and only then acknowledged."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.events import Event, Notice
from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.contents import etag_of
from mv_iptel.userdata.disk import Aside, look, refusal
from mv_iptel.userdata.lanes import Lanes
from mv_iptel.userdata.names import Kept
from mv_iptel.userdata.swap import Places, swap, unmet

if TYPE_CHECKING:
    from mv_iptel.config import Config

THREADS = 8  # commits at once: they wait for the disk, and their syncs share its work
SPILL = 64 << 10  # octets of an upload that wait in memory; most backups are smaller than that


class Origin(NamedTuple):
    """Who stored it and how we know; goes to the history."""

    address: str = ""
    mac: str = ""
    model: str = ""
    proto: str = ""
    how: str = ""  # snmp, snmp-guess (extension from the name), pin, basic, none, superuser, restore


class Stored(NamedTuple):
    """What became of a commit, after everything was synced."""

    name: str
    file: str  # absolute path of the current file
    size: int
    created: bool
    same: bool  # the content was there already: nothing changed
    sha256: str
    removed: bool = False
    etag: str = ""  # of the new current file, without quotes; empty after a removal


Outcome = Stored | Refuse


class Draft:
    """A change that is being prepared: filled, then committed or aborted. One thread at a time uses it.

    Its methods never raise for the disk's or the client's faults.
    """

    __slots__ = ("_aside", "_ended", "_parts", "_refuse", "_sha", "_store", "_waiting", "also", "file",
                 "kept", "match", "origin", "remove", "size")  # fmt: skip

    def __init__(self, store: Store, kept: Kept, origin: Origin, match: str, remove: bool):
        self.kept, self.origin, self.match, self.remove = kept, origin, match, remove
        self.file = os.fspath(store.places(kept.file).current)
        self.size = 0
        # Run on the store's thread once the content is safe on the disk, before it takes its place and `done`
        # is called. If it raises, nothing is changed.
        self.also: Callable[[], None] | None = None
        self._store = store
        self._parts: list[bytes] = []
        self._waiting = 0
        self._aside: Aside | None = None
        self._sha = hashlib.sha256()
        self._refuse: Refuse | None = None
        self._ended = False

    def write(self, data: bytes) -> Refuse | None:
        """Append to the new content. After a Refuse (too big, disk full) the draft is good for nothing."""
        if self._ended and self._refuse is None:
            self._refuse = Refuse(Reason.FAULT, f"{self.file}: written to after its end")
        if self._refuse is not None:
            return self._refuse
        self.size += len(data)
        most = self._store.config.http.max_backup_bytes
        if self.size > most:
            self._refuse = Refuse(Reason.TOO_BIG, f"{self.kept.file}: more than MaxBackupBytes ({most})")
        else:
            self._parts.append(bytes(data))
            self._waiting += len(data)
            if self._waiting > SPILL:
                self._refuse = self._spill()
        if self._refuse is not None:
            self._forget()
        return self._refuse

    def commit(self, done: Callable[[Outcome], None]) -> None:
        """Make it so. `done` is called on a thread of the store's, after everything was synced."""
        if self._ended or not self._store.take(self, done):
            done(
                self._refuse or Refuse(Reason.FAULT, f"{self.file}: the store is closed, or the draft ended")
            )
            self.abort()
        self._ended = True

    def abort(self) -> None:
        """Forget it. May be called at any time and again; after `commit` it does nothing."""
        if not self._ended:
            self._ended = True
            self._forget()

    def hand_over(self) -> tuple[Aside | None, str] | Refuse:
        """Everything written aside, and its sha256. For the store, on its thread."""
        if self._refuse is None and not self.remove:
            self._refuse = self._spill()
        if self._refuse is not None:
            self._forget()
            return self._refuse
        aside, self._aside = self._aside, None
        return aside, self._sha.hexdigest()

    def _spill(self) -> Refuse | None:
        parts, self._parts, self._waiting = self._parts, [], 0
        try:
            if self._aside is None:
                self._aside = self._store.aside(Path(self.file))
            for part in parts:
                self._sha.update(part)
                self._aside.write(part)
        except OSError as error:
            return refusal(error, Path(self.file))
        return None

    def _forget(self) -> None:
        self._parts, self._waiting = [], 0
        if self._aside is not None:
            self._aside.discard()
            self._aside = None


class Store:
    """Everything that phones gave to keep: current files, versions, archive. Nothing is done before `open`.

    `now` is the time of day: it dates contents and decides what is too old. All methods may be called from
    any thread.
    """

    def __init__(
        self, config: Config, publish: Callable[[Event], None], now: Callable[[], float] = time.time
    ):
        self.config = config
        # Told after each commit that changed something, on the store's thread.
        self.listeners: list[Callable[[Stored, Origin], None]] = []
        self._publish = publish
        self._now = now
        self._lanes = Lanes(THREADS, "userdata", self._fault)

    def configure(self, config: Config) -> None:
        """Go on by a changed configuration; what is being committed ends by the old one."""
        self.config = config

    def open(self) -> None:
        """At the server's start: mend what a crash left, count what is there, start the daily care."""

    def close(self) -> None:
        """Take no more; come back when the commits that were taken have ended."""
        self._lanes.close()

    def draft(self, kept: Kept, origin: Origin, match: str = "") -> Draft | Refuse:
        """A new content for this name, to be filled."""
        return self._early(kept, match) or Draft(self, kept, origin, match, False)

    def removal(self, kept: Kept, origin: Origin, match: str = "") -> Draft | Refuse:
        """The removal of this name's current file; its versions stay."""
        return self._early(kept, match, remove=True) or Draft(self, kept, origin, match, True)

    def counts(self) -> dict[str, int]:
        """How much is kept: files, versions (archive too), bytes."""
        return {"files": 0, "versions": 0, "bytes": 0}

    def places(self, file: str) -> Places:
        """Where the data of this canonical name lies."""
        home = self.config.home
        return Places(self.config.http.backup_dir / file, home.var / "versions" / file, home.lock)

    def aside(self, target: Path) -> Aside:
        """A new file beside `target`. For drafts."""
        return Aside(target)

    def take(self, draft: Draft, done: Callable[[Outcome], None]) -> bool:
        """Commit a draft in its turn. False: the store is closed. For drafts."""
        return self._lanes.run(draft.kept.file, lambda: self._answer(draft, done))

    def _early(self, kept: Kept, match: str, remove: bool = False) -> Refuse | None:
        """What can be said at once; the commit looks again."""
        current = self.places(kept.file).current
        try:
            found = look(current)
        except OSError as error:
            return refusal(error, current)
        if found is None and remove:
            return Refuse(Reason.NO_FILE, f"there is no {current}")
        return unmet(match, kept.file, found)

    def _answer(self, draft: Draft, done: Callable[[Outcome], None]) -> None:
        try:
            outcome = self._commit(draft)
        except Exception as fault:
            self._fault(fault)
            outcome = Refuse(Reason.FAULT, f"{draft.file}: {type(fault).__name__}")
        done(outcome)
        if isinstance(outcome, Stored) and not outcome.same:
            for listener in self.listeners:
                listener(outcome, draft.origin)

    def _commit(self, draft: Draft) -> Outcome:
        file, places = draft.kept.file, self.places(draft.kept.file)
        ready = draft.hand_over()
        if isinstance(ready, Refuse):
            return ready
        aside, sha256 = ready
        swapped = swap(places, aside, "" if aside is None else sha256, draft.match, draft.also, self._now)
        if isinstance(swapped, Refuse):
            return swapped
        path = os.fspath(places.current)
        if swapped.new is None:
            return Stored(file, path, 0, False, False, "", True)
        etag = etag_of(file, swapped.new)
        return Stored(file, path, draft.size, swapped.old is None, swapped.same, sha256, etag=etag)

    def _fault(self, fault: Exception) -> None:
        text = f"a commit of user data failed: {type(fault).__name__}"
        self._publish(Notice("fault", text, "error", source="userdata"))
