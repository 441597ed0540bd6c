"""Publishes releases and takes them back; what a crash has left half done is finished or undone first.

Everything is planned, written down and on the disk before the first rename; see journal.py, carrying.py.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.events import Event, Notice
from mv_iptel.firmware import generations, journal, releases
from mv_iptel.firmware.carrying import Meddled, Step, carry, tidy
from mv_iptel.firmware.generations import Entry, Generation
from mv_iptel.firmware.journal import Change, Journal
from mv_iptel.firmware.keeping import sweep
from mv_iptel.firmware.ordering import ordered
from mv_iptel.firmware.planning import Plan, plan
from mv_iptel.firmware.releases import Release, Releases
from mv_iptel.firmware.returning import Draft, Returning, keep
from mv_iptel.firmware.working import alone
from mv_iptel.phones.families import FAMILIES
from mv_iptel.rollout import plans


class Done(NamedTuple):
    """It is done. `left` says what was not, and why."""

    release: Release
    generation: int
    changed: int  # files
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Held:
    """Nothing was changed: `why`, a sentence each. `plan` is there where one was made."""

    why: tuple[str, ...]
    plan: Plan | None = None


class Publisher:
    """Works on the releases of one home, under their lock; any process may. Faults of the disk are raised.

    `publish` (the argument) is told what happened, as on the stream of events. `apart`, for the server: what
    computes for long does so in a process of its own.
    """

    def __init__(
        self, config: Config, publish: Callable[[Event], None], now: Callable[[], float] = time.time,
        apart: bool = False,
    ):  # fmt: skip
        self._apart = apart
        self.config, self.home = config, config.home
        self._tell, self._now = publish, now
        self.releases = Releases(config.home)

    def publish(
        self,
        ident: str,
        live: str = "stop",
        losses: bool = False,
        force: bool = False,
        step: Step = lambda *_: None,
        promoted: bool = False,
    ) -> Done | Held:
        """Publish a release to every phone.

        `live` says what becomes of scripts that the site has changed (planning.LIVE), `losses` that phones
        may come off worse, `force` that lint's errors are known; `promoted`: by its roll-out, at its end.
        """
        with alone(self.home):
            self._recover()
            release = self.releases.get(ident)
            if release is None:
                return Held((f"there is no release {ident}",))
            if release.state not in (releases.STAGED, releases.RING, releases.SUPERSEDED, releases.PUBLISHED):
                return Held((f"{ident} is {release.state}, and cannot be published",))
            if not promoted and self._is_rolled_out(ident):
                return Held((f"{ident} is being rolled out: {_STEER}",))
            made = plan(self.config, release, live, apart=self._apart)
            why = reasons(made, losses, force)
            if why:
                return self._held(release, why, made)
            now = generations.current(self.home)
            done = self._carry_out(made, now, "publish", release, step)
            if isinstance(done, Done):
                self._say("firmware-published", f"{ident} is published: {_files(done.changed)} changed")
            return done

    def expose(self, ident: str, step: Step = lambda *_: None) -> Done | Held:
        """Lay out what a roll-out's scripts name: all but scripts, settings and lists."""
        with alone(self.home):
            self._recover()
            release = self.releases.get(ident)
            if release is None:
                return Held((f"there is no release {ident}",))
            if release.state not in (releases.STAGED, releases.RING, releases.SUPERSEDED):
                return Held((f"{ident} is {release.state}, and cannot be rolled out",))
            made = plan(self.config, release, ring=True)
            why = reasons(made, True, True)
            if why:
                return self._held(release, why, made)
            now = generations.current(self.home)
            done = self._carry_out(made, now, "expose", release, step)
            if isinstance(done, Done):
                other = [f"{one.file.place}/{one.file.name}" for one in made.items if one.what == "kept"]
                left = tuple(f"{name} stays as it is: another file of that name is served" for name in other)
                done = done._replace(left=left)
                self._say("firmware-exposed", f"the files of {ident} are there for a roll-out")
            return done

    def withdraw(self, ident: str) -> Done | Held:
        """Take away what `expose` laid out, but what phones still ask for; the release is staged again."""
        with alone(self.home):
            self._recover()
            release = self.releases.get(ident)
            if release is None or release.state != releases.RING:
                return Held((f"{ident} is in no roll-out",))
            draft = self._returning().removed(release.id)
            done = self._change(draft, "withdraw", release, releases.STAGED)
            self._say("firmware-withdrawn", f"the files of {ident} are taken away again")
            return done

    def rollback(self, ident: str | None = None, live: str = "stop") -> Done | Held:
        """Serve again what a release replaced; the one published last, if none is named.

        `live`: what becomes of scripts that the site has changed since: stop, keep or replace.
        """
        with alone(self.home):
            self._recover()
            found = self._standing(ident)
            if isinstance(found, Held):
                return found
            if self._is_rolled_out(found.id):  # its files would go, and the ring's scripts name them
                return Held((f"{found.id} is being rolled out: {_STEER}",))
            try:
                draft = self._returning().taken_back(found.id, live)
            except LookupError as error:
                return Held((str(error.args[0]),))
            if draft.conflicts:
                texts = (f"{one.place}/{one.name}: {one.text}" for one in draft.conflicts)
                return Held((*texts, "choose --keep or --replace"))
            done = self._change(draft, "rollback", found, releases.SUPERSEDED)
            self._say("firmware-rolled-back", f"{found.id} is taken back; what it replaced is served again")
            return done

    def remove(self, ident: str) -> Done | Held:
        """Remove what only this release has, from what is served and from the store."""
        with alone(self.home):
            self._recover()
            release = self.releases.get(ident)
            if release is None:
                return Held((f"there is no release {ident}",))
            if release.state == releases.PUBLISHED:
                return Held((f"{ident} is published; publish another one, or take it back with rollback",))
            if release.state == releases.RING:
                return Held((f"{ident} is being rolled out; abort that first",))
            draft = self._returning().removed(release.id)
            if draft.left:
                return Held(tuple(draft.left))
            done = self._change(draft, "remove", release, releases.REMOVED)
            sweep(self.releases, self._wanted())
            self._say("firmware-removed", f"{ident} is removed")
            return done

    def recover(self) -> list[str]:
        """Finish or undo what a crash has left; what was done, a sentence each. Raises OSError."""
        with alone(self.home):
            return self._recover()

    # What is to be done, carried out.

    def _carry_out(
        self, made: Plan, now: Generation, action: str, release: Release, step: Step
    ) -> Done | Held:
        found: list[Entry] = []
        number = now.number + 1
        entries = now.by_key()
        changes: dict[str, Change] = {}
        for one in made.items:
            old = entries.get((one.file.place, one.file.name.casefold()))
            if one.entry is None:
                continue
            keep(self.releases, one.path, one.before, one.file.role)
            if one.before and (old is None or old.sha256 != one.before):
                size = made.seen[one.path][1]
                base = old.base or old.sha256 if old else ""
                mine = Entry(one.entry.place, one.entry.name, size, one.before, one.file.role,
                             old.release if old else "", base, old.since if old else 0)  # fmt: skip
                found.append(mine)
            same = old is not None and old._replace(since=0) == one.entry
            entries[one.entry.key] = old if same and old else one.entry._replace(since=number)
            if one.entry.sha256 != one.before:
                changes[one.path] = Change(one.path, one.before, one.entry.sha256, one.file.role)
        draft = Draft(entries, changes, made.seen)
        generations.adopt(self.home, now, found)
        state = releases.PUBLISHED if action == "publish" else releases.RING
        try:
            return self._change(draft, action, release, state, step)
        except Meddled as error:
            return Held((f"{error.filename}: {error.strerror}",), made)

    def _change(
        self, draft: Draft, action: str, release: Release, state: str, step: Step = lambda *_: None
    ) -> Done:
        """Write down what is to be done, do it, and note that it is done."""
        now, old = self._now(), generations.current(self.home)
        coming = Generation(old.number + 1, now, action, release.id, tuple(draft.entries.values()))
        changes = ordered(self.releases, draft.changes.values())
        states = ((release.id, state, ""), *self._others(coming, release.id, action))
        written = Journal(secrets.token_hex(4), now, coming, states, tuple(changes))
        journal.write(self.home, written)
        try:
            carry(self.home, written, draft.seen, step)
        except BaseException:
            self._undo(written)
            raise
        self._finish(written)
        done = self.releases.get(release.id) or release
        return Done(done, coming.number, len(changes), tuple(draft.left))

    def _undo(self, written: Journal) -> None:
        back = replace(written, back=True)
        with suppress(OSError):  # a full disk: the way back is found without this too
            journal.write(self.home, back)
        carry(self.home, back)
        self._finish(back)

    def _finish(self, written: Journal) -> None:
        tidy(written)
        if not written.back:
            generations.put(self.home, written.generation)
            for ident, state, note in written.states:
                release = self.releases.get(ident)
                if release is not None:
                    self.releases.put(release.to(state, written.time, note))
        journal.clear(self.home)

    def _recover(self) -> list[str]:
        try:
            left = journal.read(self.home)
        except journal.Damaged as error:
            aside = journal.set_aside(self.home)
            text = (
                f"{error}; it lies at {aside} now. Look at `firmware verify`, then publish or roll back again"
            )
            self._say("firmware-fault", text, "error")
            return [text]
        if left is None:
            return []
        what = f"{left.generation.action} of {left.generation.release}"
        try:
            foreign = carry(self.home, left)
        except OSError as error:
            if left.back:
                raise
            left = replace(left, back=True)
            journal.write(self.home, left)
            foreign = carry(self.home, left)
            what += f" could not be finished ({error}) and"
        self._finish(left)
        how = "was taken back" if left.back else "was finished"
        told = [f"the {what}, broken off by a crash, {how}"]
        told += [f"{path} was changed by somebody else meanwhile and left as it is" for path in foreign]
        for text in told:
            self._say("firmware-recovered", text, "warning")
        return told

    # Which releases it is about.

    def _returning(self) -> Returning:
        return Returning(self.config, self.releases, self._now())

    def _standing(self, ident: str | None) -> Release | Held:
        published = self.releases.in_state(releases.PUBLISHED)
        if ident is not None:
            found = next((one for one in published if one.id == ident), None)
            return found or Held((f"{ident} is not published",))
        now = generations.current(self.home)
        last = {one.release: one.since for one in sorted(now.files, key=lambda one: one.since)}
        published.sort(key=lambda one: last.get(one.id, 0))
        return published[-1] if published else Held(("nothing is published",))

    def _is_rolled_out(self, ident: str) -> bool:
        rollout = plans.load(self.home)
        return rollout is not None and rollout.state not in plans.OVER and rollout.release == ident

    def _others(self, coming: Generation, ident: str, action: str) -> Iterable[tuple[str, str, str]]:
        """What becomes of the other releases: one whose scripts are all replaced is superseded."""
        if action not in ("publish", "rollback"):
            return
        names: dict[str, set[str]] = {}
        for entry in coming.files:
            names.setdefault(entry.release, set()).add(entry.name.rpartition("/")[2].casefold())
        for one in self.releases.in_state(releases.PUBLISHED, releases.SUPERSEDED):
            if one.id == ident:
                continue
            had = {file.name.rpartition("/")[2].casefold() for file in one.files}
            # What it was for: phones come to the rest of it from these.
            stands = bool(names.get(one.id, set()) & (had & _FIRST or had))
            if stands != (one.state == releases.PUBLISHED) and (stands or action == "publish"):
                yield one.id, releases.PUBLISHED if stands else releases.SUPERSEDED, ""

    def _wanted(self) -> set[str]:
        """Contents that a release, a way back or a roll-out needs."""
        gone = {one.id for one in self.releases.in_state(releases.REMOVED)}
        wanted = {
            file.sha256
            for one in self.releases.all()
            if one.state not in (releases.REMOVED, releases.REFUSED)
            for file in one.files
        }
        known = [generations.at(self.home, number) for number in generations.numbers(self.home)]
        for generation in (generations.current(self.home), *known):
            for one in generation.files if generation else ():
                if one.release not in gone:
                    wanted |= {one.sha256, one.base}
        return wanted | plans.contents(self.home)

    def _held(self, release: Release, why: list[str], made: Plan) -> Held:
        note = "; ".join(why)[:500]
        if release.state == releases.STAGED and release.note != note:
            self.releases.put(release.to(release.state, release.changed, note))
        return Held(tuple(why), made)

    def _say(self, kind: str, text: str, level: str = "info") -> None:
        self._tell(Notice(kind, text, level, time=self._now()))


_STEER = "`mv-iptel rollout promote` goes on to all phones, `mv-iptel rollout abort` ends it"
_FIRST = {script.casefold() for family in FAMILIES.values() for script in family.scripts}


def reasons(made: Plan, losses: bool = False, force: bool = False) -> list[str]:
    """Why this plan is not carried out; empty if it may be."""
    why = list(made.problems)
    why += [f"{one.place}/{one.name}: {one.text}" for one in made.conflicts]
    if not force:
        why += made.errors
    if not losses:
        why += [f"{one.who}: {one.text}" for one in made.losses]
    if made.full:
        need = (made.needs >> 20) + 1
        why.append(
            f"the disk has no room: {need} MiB are needed beside what stays free, {made.free >> 20} are there"
        )
    return why


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"
