"""What a rollback and a removal come to: which names get back what a release replaced, and which go."""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mv_iptel.config import Config
from mv_iptel.firmware import foreseeing, generations
from mv_iptel.firmware.carrying import EDITED, Meddled, state_of
from mv_iptel.firmware.generations import Entry
from mv_iptel.firmware.journal import Change
from mv_iptel.firmware.keeping import keep_file
from mv_iptel.firmware.mapping import Unusable, path_of
from mv_iptel.firmware.planning import Conflict
from mv_iptel.firmware.releases import Releases
from mv_iptel.userdata.disk import NotAFile, hash_file


@dataclass
class Draft:
    """What is to be published afterwards, and how each path comes to it."""

    entries: dict[tuple[str, str], Entry]
    changes: dict[str, Change] = field(default_factory=dict)  # by path
    seen: dict[str, tuple[int, ...]] = field(default_factory=dict)  # the states of the live files
    left: list[str] = field(default_factory=list)  # what stays, and why
    conflicts: list[Conflict] = field(default_factory=list)


def keep(releases: Releases, path: str, sha256: str, role: str) -> None:
    """What lies there must be in the store before anything takes its place. Raises Meddled, OSError."""
    if sha256 and keep_file(releases, Path(path), link=role not in EDITED) != sha256:
        raise Meddled(errno.EBUSY, "it was changed just now; look at it and try again", path)


class Returning:
    """Plans of one home; nothing is changed but that what would be replaced is kept in the store."""

    def __init__(self, config: Config, releases: Releases, now: float):
        self.config, self.home, self.releases, self.now = config, config.home, releases, now

    def taken_back(self, ident: str, live: str) -> Draft:
        """What it replaced is there again; its own scripts go, other files where nobody needs them any more.

        Raises LookupError where what it replaced is not kept any more.
        """
        now = generations.current(self.home)
        draft = Draft(now.by_key())
        going: list[tuple[Entry, Path, str]] = []
        for one in now.of(ident):
            earlier = generations.before(self.home, one)
            located = self._live(one, draft)
            if located is None:
                continue
            path, there = located
            if one.role == "settings" and there != one.sha256:
                draft.left.append(f"{one.place}/{one.name} stays: settings are the site's own")
                continue
            edited = one.role in EDITED and there != one.sha256
            if edited and live == "stop":
                draft.conflicts.append(Conflict(one.place, one.name, "it is not as it was published"))
                continue
            if edited and live == "keep":
                draft.left.append(f"{one.place}/{one.name} stays as the site has changed it")
                continue
            if earlier is None:
                going.append((one, path, there))
                continue
            if not self.releases.has(earlier.sha256, earlier.size):
                raise LookupError(f"what {one.place}/{one.name} replaced is not in the store any more")
            keep(self.releases, str(path), there, one.role)
            if earlier.sha256 != there:
                draft.changes[str(path)] = Change(str(path), there, earlier.sha256, one.role)
            if earlier.release:
                draft.entries[one.key] = earlier
            else:
                del draft.entries[one.key]
        self._without(going, draft)
        return draft

    def removed(self, ident: str) -> Draft:
        """Its files go where nobody needs them any more; what was there before and is the same stays."""
        now = generations.current(self.home)
        draft = Draft(now.by_key())
        going: list[tuple[Entry, Path, str]] = []
        for one in now.of(ident):
            located = self._live(one, draft)
            if located is None:
                del draft.entries[one.key]
                continue
            with suppress(LookupError):
                earlier = generations.before(self.home, one)
                if earlier is not None and earlier.sha256 == one.sha256:
                    del draft.entries[one.key]
                    if earlier.release:
                        draft.entries[one.key] = earlier
                    continue
            going.append((one, *located))
        self._without(going, draft)
        return draft

    def _without(self, going: list[tuple[Entry, Path, str]], draft: Draft) -> None:
        """Take files away that no script names any more, and that no phone asked for lately."""
        changed: dict[str, Path | None] = {
            one.path: self.releases.content(one.after) if one.after else None
            for one in draft.changes.values()
        }
        scripts = {str(path): one for one, path, there in going if there and one.role in ("script", "list")}
        while True:
            named = foreseeing.names_of_scripts(self.config, {**changed, **dict.fromkeys(scripts)})
            # A script of the site's may GET one of these: then that one stays, and what it names.
            stay = [path for path, one in scripts.items() if named(one.name)]
            if not stay:
                break
            for path in stay:
                del scripts[path]
        asked = foreseeing.asked_lately(self.config, self.now) if going else {}
        for one, path, there in going:
            if not there:
                del draft.entries[one.key]
            elif why := self._needed(one, str(path), there, named(one.name), scripts, asked):
                draft.left.append(f"{one.place}/{one.name} stays: {why}")
            else:
                keep(self.releases, str(path), there, one.role)
                draft.changes[str(path)] = Change(str(path), there, "", one.role)
                del draft.entries[one.key]

    def _needed(
        self, one: Entry, path: str, there: str, who: str, scripts: dict[str, Entry], asked: dict[str, float]
    ) -> str:
        """Why it may not go; empty if it may."""
        if path in scripts:
            return ""
        if who:
            return f"{who} names it"
        if path in asked:
            return "a phone asked for it within 14 days"
        return "" if there == one.sha256 else "the site has changed it"

    def _live(self, one: Entry, draft: Draft) -> tuple[Path, str] | None:
        """The path of an entry and what lies there; None if that cannot be worked on."""
        try:
            path = path_of(self.config, one.place, one.name)
            state = draft.seen[str(path)] = state_of(path)
        except (Unusable, NotAFile) as error:
            draft.left.append(f"{one.place}/{one.name} stays: {error}")
            return None
        return path, hash_file(path) if state else ""
