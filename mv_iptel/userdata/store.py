"""The store of user data: written aside, synced, renamed, synced again, and only then acknowledged."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.events import Event, Notice
from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.contents import etag_of
from mv_iptel.userdata import history
from mv_iptel.userdata.care import Care, give_way, lane_of, prune
from mv_iptel.userdata.disk import Aside, look, refusal, remove_parts
from mv_iptel.userdata.lanes import Lanes
from mv_iptel.userdata.names import Kept
from mv_iptel.userdata.quota import Ledger, Uploads
from mv_iptel.userdata.swap import Change, Places, Swapped, swap, unmet
from mv_iptel.userdata.versions import folder_of

if TYPE_CHECKING:
    from mv_iptel.config import Config

THREADS = 8  # one commits what comes together; the others do what takes its time
SAY_AGAIN = 3600.0  # seconds before the same notice is repeated
ADMINISTRATORS = ("restore", "superuser")  # who may do anything without being suspicious
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


def shrank(old: int, new: int) -> bool:
    """Whether a change of size looks like a loss: to nothing, or below a tenth of what was no trifle."""
    return new == 0 < old or new < old / 10 >= 20


class Draft:
    """A change that is being prepared: filled, then committed or aborted. One thread at a time uses it.

    Its methods never raise for the disk's or the client's faults.
    """

    __slots__ = ("_aside", "_ended", "_parts", "_refuse", "_sha", "_store", "_taken", "_waiting", "also",
                 "file", "kept", "match", "most", "origin", "places", "remove", "size")  # fmt: skip

    def __init__(
        self, store: Store, kept: Kept, places: Places, origin: Origin, match: str = "", remove: bool = False
    ):
        self.kept, self.places, self.origin, self.match, self.remove = kept, places, origin, match, remove
        self.file = os.fspath(places.current)
        self.size = 0
        self.most = store.config.http.max_backup_bytes
        # Run on the store's thread once the content is safe on the disk, before it takes its place and `done`
        # is called. If it refuses or raises, nothing is changed.
        self.also: Callable[[], Refuse | None] | None = None
        self._store = store
        self._parts: list[bytes] = []
        self._waiting = 0
        self._taken = 0  # octets that count as under way
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
        if self.size > self.most:
            self._refuse = Refuse(Reason.TOO_BIG, f"{self.file}: more than MaxBackupBytes ({self.most})")
        else:
            self._parts.append(bytes(data))
            self._waiting += len(data)
            if self._waiting > SPILL:
                self._refuse = self._take() or self._spill()
        if self._refuse is not None:
            self._forget()
        return self._refuse

    def commit(self, done: Callable[[Outcome], None]) -> None:
        """Make it so. `done` is called on a thread of the store's, after everything was synced."""
        if self._ended:
            done(Refuse(Reason.FAULT, f"{self.file}: the draft has ended"))
            return
        self._ended = True
        if not self._store.take(self, done):
            self._forget()
            done(Refuse(Reason.FAULT, f"{self.file}: the store is closed"))

    def abort(self) -> None:
        """Forget it. May be called at any time and again; after `commit` it does nothing."""
        if not self._ended:
            self._ended = True
            self._forget()

    def hand_over(self, refuse: Refuse | None) -> tuple[Aside | None, str] | Refuse:
        """Everything written aside, and its sha256, unless `refuse` forbids. For the store, on its thread."""
        self._refuse = self._refuse or refuse
        if self._refuse is None and not self.remove:
            self._refuse = self._spill()
        if self._refuse is not None:
            self._forget()
            return self._refuse
        aside, self._aside = self._aside, None
        return aside, self._sha.hexdigest()

    def give_back(self) -> None:
        """What it wrote is in its place, or gone: it counts as under way no more."""
        octets, self._taken = self._taken, 0
        if octets:
            self._store.uploads.give_back(self.origin.address, octets)

    def _take(self) -> Refuse | None:
        """Whether so much may lie aside. What a commit writes is not asked for: that is little."""
        address, octets = self.origin.address, self._waiting
        refuse = self._store.uploads.take(self._store.config, address, octets) if address else None
        if refuse is not None:
            return refuse._replace(detail=f"{self.file}: {refuse.detail}")
        self._taken += octets if address else 0
        return None

    def _spill(self) -> Refuse | None:
        parts, self._parts, self._waiting = self._parts, [], 0
        try:
            if self._aside is None:
                self._aside = Aside(self.places.current)
            for part in parts:
                self._sha.update(part)
                self._aside.write(part)
        except OSError as error:
            return refusal(error, self.places.current)
        return None

    def _forget(self) -> None:
        self._parts, self._waiting = [], 0
        if self._aside is not None:
            self._aside.discard()
            self._aside = None
        self.give_back()


class Store:
    """Everything that phones gave to keep: current files, versions, archive.

    `now` is the time of day: it dates contents and decides what is too old. All methods may be called from
    any thread. Nothing touches the disk before `open`, or the first draft.
    """

    def __init__(
        self, config: Config, publish: Callable[[Event], None], now: Callable[[], float] = time.time
    ):
        self.config = config
        # Told after each commit that changed something, on the store's thread.
        self.listeners: list[Callable[[Stored, Origin], None]] = []
        self._publish = publish
        self._now = now
        self._born = time.time()  # the file system's clock, whatever `now` says
        self._ledger = Ledger(config)
        self.uploads = Uploads()  # for drafts
        self._lanes = Lanes(THREADS, "userdata", self._fault, self._answer)
        self._care = Care(self._lanes, self._say, now, self._born)
        self._care.configure(config, self._ledger)
        self._said: dict[tuple[str, str], float] = {}

    def configure(self, config: Config) -> None:
        """Go on by a changed configuration; what is being committed ends by the old one."""
        moved = config.http.backup_dir != self.config.http.backup_dir or config.home != self.config.home
        self.config = config
        if moved:
            self._ledger = Ledger(config)
        self._ledger.config = config
        self._care.configure(config, self._ledger)

    def refresh(self) -> None:
        """Count anew, soon: another process has changed something."""
        self._care.configure(self.config, self._ledger)

    def open(self) -> None:
        """At the server's start: remove what a crash left, and begin the daily care on its own thread."""
        remove_parts(self.config.http.backup_dir, self._born)
        self._care.start()

    def tidy(self) -> None:
        """A round of that care at once, after one that runs; comes back when it is done."""
        self._care.round()

    def close(self) -> None:
        """Take no more; come back when the commits that were taken have ended."""
        self._care.stop()
        self._lanes.close()

    def draft(self, kept: Kept, origin: Origin, match: str = "") -> Draft | Refuse:
        """A new content for this name, to be filled."""
        places = self._places(kept)
        return _early(places, match) or Draft(self, kept, places, origin, match)

    def removal(self, kept: Kept, origin: Origin, match: str = "") -> Draft | Refuse:
        """The removal of this name's current file; its versions stay."""
        places = self._places(kept)
        return _early(places, match, remove=True) or Draft(self, kept, places, origin, match, True)

    def beside(self, kept: Kept, size: int, keep: Callable[[], bool]) -> bool | Refuse:
        """Have `keep` put a content of this size among the versions of a name: in its turn, by the quotas.

        Gives what `keep` gives: whether something was added. Waits, so it is not for a loop.
        """
        outcome: list[bool | Refuse] = []

        def job() -> None:
            config, ledger = self.config, self._ledger
            refuse = ledger.take(kept, size)
            if refuse is not None:
                outcome.append(refuse)
                return
            try:
                outcome.append(keep())
            except OSError as error:
                outcome.append(refusal(error, folder_of(config, kept.file)))
            finally:
                ledger.give_back(size)
            ledger.count(kept.file)
            self._make_room(config, ledger, kept)

        self._lanes.do(lane_of(kept), job)
        return outcome[0] if outcome else Refuse(Reason.FAULT, "the store is closed, or has failed")

    def counts(self) -> dict[str, int]:
        """How much is kept: files, versions (the archive's too), bytes."""
        return self._ledger.counts()

    def take(self, draft: Draft, done: Callable[[Outcome], None]) -> bool:
        """Commit a draft in its turn. False: the store is closed. For drafts."""
        lane = lane_of(draft.kept)
        if draft.also is not None:  # it may take its time, and no other waits with it
            return self._lanes.run(lane, lambda: self._answer([(draft, done)]))
        return self._lanes.add(lane, (draft, done))

    def _places(self, kept: Kept) -> Places:
        config = self.config
        return Places(config.http.backup_dir / kept.file, folder_of(config, kept.file), config.home.lock)

    def _answer(self, taken: list[tuple[Draft, Callable[[Outcome], None]]]) -> None:
        """Commit what came together, and tell each what became of it."""
        try:
            outcomes = self._commit([draft for draft, _ in taken])
        except Exception as fault:
            self._fault(fault)
            outcomes = [Refuse(Reason.FAULT, f"{one.file}: {type(fault).__name__}") for one, _ in taken]
        for (draft, done), outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, Refuse):
                draft.hand_over(outcome)  # what was written is forgotten, wherever it failed
            draft.give_back()
            self._try(lambda done=done, outcome=outcome: done(outcome))
            if isinstance(outcome, Stored) and not outcome.same:
                for listener in self.listeners:
                    self._try(lambda tell=listener, what=outcome, who=draft.origin: tell(what, who))

    def _try(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception as fault:
            self._fault(fault)

    def _commit(self, drafts: list[Draft]) -> list[Outcome]:
        config, ledger = self.config, self._ledger
        coming = 0
        ways: list[Change | Refuse] = []
        try:
            for draft in drafts:
                refuse = self._room(ledger, draft)
                coming += draft.size if refuse is None else 0
                ways.append(self._ready(draft, refuse))
            swap([way for way in ways if isinstance(way, Change)], self._now)
            outcomes = [self._kept(ledger, draft, way) for draft, way in zip(drafts, ways, strict=True)]
        finally:
            ledger.give_back(coming)
        for draft, outcome in zip(drafts, outcomes, strict=True):
            if isinstance(outcome, Stored) and not outcome.same:
                self._make_room(config, ledger, draft.kept)
        return outcomes

    def _room(self, ledger: Ledger, draft: Draft) -> Refuse | None:
        kept = draft.kept
        try:
            refuse = ledger.take(kept, draft.size)
        except OSError as error:
            return refusal(error, draft.places.current)
        if refuse is not None:
            text = f"{kept.file} was refused: {refuse.detail}"
            self._say("userdata-quota", text, "warning", f"refused {kept.ext or kept.file}")
        return refuse

    @staticmethod
    def _ready(draft: Draft, refuse: Refuse | None) -> Change | Refuse:
        ready = draft.hand_over(refuse)
        if isinstance(ready, Refuse):
            return ready
        return Change(draft.places, *ready, draft.match, draft.also)

    def _kept(self, ledger: Ledger, draft: Draft, way: Change | Refuse) -> Outcome:
        """What became of a change, counted and written down."""
        swapped = way if isinstance(way, Refuse) else way.outcome
        assert swapped is not None
        if isinstance(swapped, Refuse):
            return swapped
        name, removed = draft.kept.file, swapped.new is None
        stored = Stored(
            name,
            draft.file,
            draft.size,
            created=swapped.old is None,
            same=swapped.same,
            sha256="" if removed else way.sha256,
            removed=removed,
            etag="" if swapped.new is None else etag_of(name, swapped.new),
        )
        if not swapped.same:
            old = swapped.old.st_size if swapped.old is not None else 0
            with suppress(OSError):  # what is done is done; the daily count tells it
                ledger.changed(name, -1 if removed else draft.size, swapped.version, old)
            self._note(draft.places, stored, draft.origin, swapped)
        return stored

    def _note(self, places: Places, stored: Stored, origin: Origin, swapped: Swapped) -> None:
        """Write the change down, and tell what is suspicious about it."""
        told: Iterable[history.Change] = ()
        at, op = round(self._now(), 6), "delete" if stored.removed else "store"
        if origin.how == "restore":
            op = "restore"
        try:
            told = history.append(
                places.versions, history.Change(at, op, stored.sha256[:8], stored.size, *origin)
            )
        except OSError as error:
            self._say("userdata-history", f"{error.filename or places.versions}: {error.strerror}", "warning")
        if origin.how in ADMINISTRATORS:
            return
        old = -1 if swapped.old is None else swapped.old.st_size
        if not stored.removed and shrank(old, stored.size):
            text = f"{stored.name} shrank from {old} to {stored.size} octets; the old content is a version"
            self._publish(
                Notice(
                    "userdata-shrunk", f"{text}: {swapped.version}", source=stored.file, peer=origin.address
                )
            )
        before = next((one for one in told if one.address and one.how not in ADMINISTRATORS), None)
        if before is not None and origin.address and origin.address != before.address:
            level = "info" if origin.how in ("snmp", "pin", "basic") else "warning"
            text = f"{stored.name} comes from {origin.address} now, before from {before.address}"
            self._publish(Notice("userdata-moved", text, level, source=stored.file, peer=origin.address))

    def _make_room(self, config: Config, ledger: Ledger, kept: Kept) -> None:
        """After a change: what is too old or too much goes."""
        try:
            prune(config, ledger, kept.file, self._now())
            if gone := give_way(config, ledger, kept):
                whose = f"extension {kept.ext}" if kept.ext else kept.file
                text = (
                    f"{gone} older contents of {whose} were removed: QuotaPerExtension or QuotaTotal is full"
                )
                self._say("userdata-quota", text, "warning", whose)
        except OSError as error:
            self._say("userdata-care", f"{error.filename or kept.file}: {error.strerror}", "warning")

    def _say(self, kind: str, text: str, level: str, about: str = "") -> None:
        """A notice, but not again and again: a phone that stores in a loop must not fill the journal."""
        now, key = time.monotonic(), (kind, about or text)
        if now - self._said.get(key, float("-inf")) < SAY_AGAIN:
            return
        if len(self._said) > 4096:
            self._said.clear()
        self._said[key] = now
        self._publish(Notice(kind, text, level, source=os.fspath(self.config.http.backup_dir)))

    def _fault(self, fault: Exception) -> None:
        where = fault.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f" ({where.tb_frame.f_code.co_name}, line {where.tb_lineno})" if where is not None else ""
        self._say("fault", f"keeping user data failed: {type(fault).__name__}{place}", "error")


def _early(places: Places, match: str, remove: bool = False) -> Refuse | None:
    """What can be said at once; the commit looks again."""
    try:
        found = look(places.current)
    except OSError as error:
        return refusal(error, places.current)
    if found is None and remove:
        return Refuse(Reason.NO_FILE, f"there is no {places.current}")
    return unmet(match, places.current.name, found)


def keep(
    config: Config,
    kept: Kept,
    data: bytes,
    origin: Origin,
    publish: Callable[[Event], None] = lambda event: None,
    now: Callable[[], float] = time.time,
    match: str = "",
) -> Outcome:
    """Make `data` the current content of a name, from a process that has no open store."""
    store = Store(config, publish, now)
    outcomes: list[Outcome] = []
    draft = store.draft(kept, origin, match)
    if isinstance(draft, Refuse):
        return draft
    draft.most = max(draft.most, len(data))  # what was accepted once may come back
    draft.write(data)
    draft.commit(outcomes.append)
    store.close()
    return outcomes[0]
