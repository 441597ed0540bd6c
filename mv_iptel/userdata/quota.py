"""How much is kept, counted in memory: of each name, each extension and in all; and whether more may come."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.userdata import versions
from mv_iptel.userdata.disk import look
from mv_iptel.userdata.names import Kept, parse

if TYPE_CHECKING:
    from mv_iptel.config import Config

CLASSES = ("4610", "4620", "96xx", "16xx", "9610")
NAMES = 200_000  # more than any site has users: empty files cost no octets, but memory, inodes and folders

# Octets of uploads that have not ended, which no count of what is kept knows:
UNDER_WAY = 256 << 20  # of all clients,
UNDER_WAY_EACH = 16 << 20  # and of one address


@lru_cache(maxsize=4096)
def _siblings(ext: str) -> tuple[str, ...]:
    """All names of an extension."""
    return tuple(Kept(ext, cls, sip).file for cls in CLASSES for sip in (False, True))


class Uploads:
    """Octets of uploads under way that lie on the disk already. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all = 0
        self._of: Counter[str] = Counter()

    def take(self, config: Config, address: str, octets: int) -> Refuse | None:
        """So many more are about to be written for this address."""
        largest = config.http.max_backup_bytes  # one such must be possible, whatever else was set
        most = min(config.settings.quota_total, max(UNDER_WAY, largest))
        each = max(UNDER_WAY_EACH, largest)
        with self._lock:
            if self._all + octets > most:
                return Refuse(Reason.QUOTA, f"{self._all} octets of uploads are under way, {most} may be")
            if self._of[address] + octets > each:
                text = f"{self._of[address]} octets of uploads of {address} are under way, {each} may be"
                return Refuse(Reason.QUOTA, text)
            self._all += octets
            self._of[address] += octets
        return None

    def give_back(self, address: str, octets: int) -> None:
        """They are gone, or in their place."""
        with self._lock:
            self._all -= octets
            self._of[address] -= octets
            if not self._of[address]:
                del self._of[address]


class Tally(NamedTuple):
    """What is kept of one name, in octets on the disk. `current` is -1 where there is no current file."""

    current: int
    versions: versions.Sizes
    archived: versions.Sizes

    @property
    def older(self) -> int:
        """Octets of everything but the current file."""
        return sum(self.versions.values()) + sum(self.archived.values())

    @property
    def octets(self) -> int:
        return max(self.current, 0) + self.older


class Ledger:
    """The count of everything. Complete after the first `scan`; before it a name is counted when asked for.

    What we change is added as it happens; other processes change things too (an administrator restores), and
    the daily scan counts all anew.
    """

    def __init__(self, config: Config):
        self.config = config
        self._lock = threading.RLock()
        self._names: dict[str, Tally] = {}
        self._archive: dict[str, versions.Sizes] | None = None
        self._fresh: set[str] = set()  # counted since the running scan began: by a change, so newer than it
        self._complete = False
        self._files = self._versions = self._octets = 0
        self._coming = 0  # octets that running commits add

    def counts(self) -> dict[str, int]:
        """What is known by now."""
        return {"files": self._files, "versions": self._versions, "bytes": self._octets}

    def names(self) -> list[str]:
        """Every name that is counted."""
        with self._lock:
            return list(self._names)

    def of(self, name: str) -> Tally:
        """What is kept of a name."""
        with self._lock:
            known = self._names.get(name)
        if known is not None:
            return known
        return Tally(-1, {}, {}) if self._complete else self.count(name)

    def extension(self, kept: Kept) -> dict[str, Tally]:
        """What is kept of this name, and of the others of its extension that there are."""
        names = _siblings(kept.ext)
        if not self._complete:
            return {name: self.of(name) for name in names}
        with self._lock:
            found = {name: tally for name in names if (tally := self._names.get(name)) is not None}
        found.setdefault(kept.file, Tally(-1, {}, {}))
        return found

    def count(self, name: str) -> Tally:
        """Look at the disk for one name."""
        archive = self._archived()
        current, sizes = self._look(name)
        with self._lock:
            tally = Tally(current, sizes, archive.get(name, {}))
            self._put(name, tally)
            self._fresh.add(name)
        return tally

    def archived(self, name: str, added: versions.Sizes) -> None:
        """These versions of a name are in the archive now."""
        archive = self._archived()
        with self._lock:
            archive[name] = {**archive.get(name, {}), **added}

    def gone(self, name: str, ids: list[str]) -> None:
        """These versions of a name are not in the archive any more."""
        archive = self._archived()
        with self._lock:
            archive[name] = {one: size for one, size in archive.get(name, {}).items() if one not in ids}
            if not archive[name]:
                del archive[name]

    def scan(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Count everything anew. False: stopped."""
        with self._lock:
            self._fresh = set()
        found = versions.archived_in(versions.archive_of(self.config))
        with self._lock:
            archive = self._archive = {name: found[name] for name in found if parse(name) is not None}
        names = versions.names_in(self.config) | archive.keys()
        for name in names:
            if stop():
                return False
            current, sizes = self._look(name)
            with self._lock:
                if name not in self._fresh:
                    self._put(name, Tally(current, sizes, archive.get(name, {})))
        with self._lock:
            for name in self._names.keys() - names - self._fresh:
                self._put(name, Tally(-1, {}, {}))
            self._complete = True
        return True

    def take(self, kept: Kept, size: int) -> Refuse | None:
        """Whether a current file of this size may come; if so, `give_back` follows once it has, or has not.

        The older contents of its extension may give way to it, those of others may not.
        """
        if self.of(kept.file).current < 0 and len(self._names) >= NAMES and kept.file not in self._names:
            return Refuse(Reason.QUOTA, f"{NAMES} names are kept, and {kept.file} would be one more")
        if not size:  # a removal makes room, and an empty file needs none
            return None
        settings = self.config.settings
        own = self.extension(kept)
        before = max(own[kept.file].current, 0)
        currents = sum(max(tally.current, 0) for tally in own.values()) - before + size
        most = settings.quota_per_extension
        if currents > most:
            whose = f"extension {kept.ext}" if kept.ext else "names without extension"
            return Refuse(Reason.QUOTA, f"{currents} octets for {whose}, QuotaPerExtension is {most}")
        with self._lock:
            least = self._octets + self._coming - sum(t.older for t in own.values()) - before + size
            if least <= settings.quota_total:
                self._coming += size
                return None
        return Refuse(Reason.QUOTA, f"{least} octets in all, QuotaTotal is {settings.quota_total}")

    def give_back(self, size: int) -> None:
        """What was taken is counted as kept, or will not come."""
        with self._lock:
            self._coming -= size

    def changed(self, name: str, size: int, version: str, octets: int) -> None:
        """We changed this name's current file (-1: removed it), and `version` of so many octets was added."""
        with self._lock:
            old = self._names.get(name)
            if old is None and self._complete:
                old = Tally(-1, {}, {})
            if old is not None:
                kept = {**old.versions, version: octets} if version else old.versions
                self._put(name, Tally(size, kept, old.archived))
                self._fresh.add(name)
                return
        self.count(name)

    def surplus(self, kept: Kept) -> list[tuple[str, str, bool]]:
        """What must give way now: (name, id, whether from the archive) of this extension, the oldest first.

        The versions go before the archive: a phone that stores without end must not wash away the months.
        """
        settings = self.config.settings
        own = self.extension(kept)
        over = max(
            sum(tally.octets for tally in own.values()) - settings.quota_per_extension,
            self._octets - settings.quota_total,
        )
        found = []
        for archived in (False, True):
            older = [
                (one, name, size)
                for name, tally in own.items()
                for one, size in (tally.archived if archived else tally.versions).items()
            ]
            for one, name, size in sorted(older):
                if over <= 0:
                    return found
                found.append((name, one, archived))
                over -= size
        return found

    def _look(self, name: str) -> tuple[int, versions.Sizes]:
        try:
            found = look(self.config.http.backup_dir / name)
        except OSError:
            found = None  # a link or a folder: no user data
        return -1 if found is None else found.st_size, versions.kept_in(versions.folder_of(self.config, name))

    def _archived(self) -> dict[str, versions.Sizes]:
        with self._lock:
            if self._archive is None:
                self._archive = versions.archived_in(versions.archive_of(self.config))
            return self._archive

    def _put(self, name: str, tally: Tally) -> None:
        old = self._names.pop(name, None)
        for sign, one in ((-1, old), (1, tally)):
            if one is not None:
                self._files += sign * (one.current >= 0)
                self._versions += sign * len(one.versions.keys() | one.archived.keys())
                self._octets += sign * one.octets
        if tally.current >= 0 or tally.versions or tally.archived:
            self._names[name] = tally
