"""Versions of user data, read from the disk alone: what is kept of a name, where, and what it held.

Commands use it beside a running server: it takes no lock. A version that is being archived is in both places
for a moment, never in none.
"""

from __future__ import annotations

import gzip
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.userdata import history
from mv_iptel.userdata.disk import hash_of, look, open_file
from mv_iptel.userdata.names import Kept, parse

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.events import Event
    from mv_iptel.home import Home
    from mv_iptel.library.answers import Refuse
    from mv_iptel.userdata.store import Origin, Stored

CURRENT = "current"
ID = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8}\Z")
_MEMBER = re.compile(r"(.+)\.([0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8})\.gz\Z")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}\Z")

Sizes = dict[str, int]  # id of a version -> octets on the disk


class Version(NamedTuple):
    """One content of a name. `id` is what `read` and `restore` take."""

    id: str  # "current", or "<UTC stamp>-<first 8 of sha256>": the stamp is when this content was stored
    time: float
    size: int  # octets of the content
    octets: int  # octets on the disk: less in the archive
    sha8: str
    place: str  # current, versions or archive
    path: str


class Held(NamedTuple):
    """One name and how much is kept of it."""

    name: str
    kept: Kept
    current: Version | None  # its sha8 is empty here: nothing is read for a listing
    versions: int  # older contents, the archive's included
    archived: int
    octets: int  # on the disk, all together
    since: float  # when the oldest content that is kept was stored
    changed: float  # when the newest was


# Where things lie


def stamp(mtime_ns: int) -> str:
    """The UTC stamp that a content of this time carries as a version: 20260703T120000.000001Z."""
    seconds, rest = divmod(mtime_ns, 1_000_000_000)
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y%m%dT%H%M%S}.{rest // 1000:06d}Z"


def time_of(version: str) -> float:
    """When the content of this id was stored."""
    # By hand: strptime imports a module at its first use, and the server has given up its rights by then.
    day, _, rest = version.partition("-")[0].partition("T")
    clock, _, part = rest.rstrip("Z").partition(".")
    at = datetime(*_pairs(day[2:], int(day[:2]) * 100), *_pairs(clock), int(part), UTC)
    return at.timestamp()


def _pairs(digits: str, more: int = 0) -> tuple[int, ...]:
    """Numbers of two digits each; `more` is added to the first."""
    first, *others = (int(digits[place : place + 2]) for place in range(0, len(digits), 2))
    return (first + more, *others)


@lru_cache(maxsize=8)
def folders(home: Home) -> Path:
    """The folder of all versions. Asked for often, and a path is dear to put together."""
    return home.var / "versions"


def folder_of(config: Config, name: str) -> Path:
    """The folder of a name's versions and history."""
    return folders(config.home) / name


def archive_of(config: Config) -> Path:
    """The folder of the months. It is never served."""
    return config.http.backup_dir / "archive"


def member_of(config: Config, name: str, version: str) -> Path:
    """The file that holds this version in the archive."""
    return archive_of(config) / f"{version[:4]}-{version[4:6]}" / f"{name}.{version}.gz"


def kept_in(folder: Path) -> Sizes:
    """The versions in a name's folder."""
    found: Sizes = {}
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if ID.match(entry.name):
                with suppress(FileNotFoundError):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
    return found


def archived_in(archive: Path, name: str = "") -> dict[str, Sizes]:
    """The members of the archive by name; of one name only if it is given."""
    found: dict[str, Sizes] = {}
    for month in _names(archive):
        if _MONTH.match(month):
            _add_month(archive / month, name, found)
    return found


def _add_month(month: Path, name: str, found: dict[str, Sizes]) -> None:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(month) as entries:
        for entry in entries:
            if name and not entry.name.startswith(name):
                continue
            match = _MEMBER.match(entry.name)
            if match and (not name or match[1] == name):
                with suppress(FileNotFoundError):
                    size = entry.stat(follow_symlinks=False).st_size
                    found.setdefault(match[1], {})[match[2]] = size


class Archive:
    """The archive for who asks for many names: a month is looked through again only when it has changed."""

    def __init__(self, config: Config):
        self._folder = archive_of(config)
        self._months: dict[str, tuple[int, float, dict[str, Sizes]]] = {}  # changed, looked at, members

    def of(self, name: str) -> Sizes:
        """The members of a name, as they are now."""
        found: Sizes = {}
        for month in _names(self._folder):
            with suppress(FileNotFoundError):
                if _MONTH.match(month):
                    found |= self._month(month).get(name, {})
        return found

    def _month(self, name: str) -> dict[str, Sizes]:
        changed = os.stat(self._folder / name).st_mtime_ns
        known = self._months.get(name)
        # A change so shortly before the look may have been followed by another one with the same time.
        if known is None or known[0] != changed or known[1] - changed / 1e9 < 0.1:
            known = (changed, time.time(), {})
            _add_month(self._folder / name, "", known[2])
            self._months[name] = known
        return known[2]


def members_in(month: Path) -> Counter[str]:
    """How many members of each name a month of the archive has. Raises OSError."""
    found = (_MEMBER.match(name) for name in os.listdir(month) if _MONTH.match(month.name))
    return Counter(match[1] for match in found if match)


def names_in(config: Config) -> set[str]:
    """Every name that has a current file or a folder of versions (not those that are in the archive only)."""
    places = (config.http.backup_dir, folders(config.home))
    return {name for place in places for name in _names(place) if _canonical(name)}


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _canonical(name: str) -> Kept | None:
    kept = parse(name)
    return kept if kept is not None and kept.file == name else None


# What commands ask


def listing(config: Config) -> list[Held]:
    """Every name that something is kept of, by name."""
    archive = archived_in(archive_of(config))
    found = []
    for name in sorted(names_in(config) | archive.keys()):
        kept, current = _canonical(name), _current(config, name, hashed=False)
        if kept is None:
            continue
        versions, members = kept_in(folder_of(config, name)), archive.get(name, {})
        ids = sorted(versions.keys() | members.keys())
        if current is None and not ids:
            continue
        times = [time_of(one) for one in (ids[0], ids[-1])] if ids else []
        times += [current.time] if current else []
        octets = sum(versions.values()) + sum(members.values()) + (current.octets if current else 0)
        archived = len(members.keys() - versions.keys())
        found.append(Held(name, kept, current, len(ids), archived, octets, min(times), max(times)))
    return found


def of(config: Config, name: str, archive: Archive | None = None) -> list[Version]:
    """All contents of a name: the current one, then the others, the newest first. Empty: nothing is kept.

    Who asks for many names passes an `Archive`, which is not looked through for each.
    """
    name = _known(name)
    current = _current(config, name)
    folder = folder_of(config, name)
    # The folder first: what leaves it meanwhile is in the archive already.
    versions = kept_in(folder)
    members = archive.of(name) if archive else archived_in(archive_of(config), name).get(name, {})
    found = [current] if current else []
    for one in sorted(versions.keys() | members.keys(), reverse=True):
        if one in versions:
            place, path, octets, size = "versions", folder / one, versions[one], versions[one]
        else:
            place, path, octets = "archive", member_of(config, name, one), members[one]
            size = _unpacked(path)
        found.append(Version(one, time_of(one), size, octets, one[-8:], place, os.fspath(path)))
    return found


def changes(config: Config, name: str) -> list[history.Change]:
    """The history of a name, the oldest change first."""
    return history.changes(folder_of(config, _known(name)))


def find(config: Config, name: str, version: str = CURRENT) -> Version:
    """The one that `version` means: "current", the beginning of a stamp, or of a sha256.

    Raises LookupError with a sentence when there is none, or more than one content.
    """
    if version == CURRENT and (current := _current(config, _known(name))) is not None:
        return current
    found = of(config, name)
    if version == CURRENT:
        raise LookupError(f"{name} has no current file" + (f" and {len(found)} versions" if found else ""))
    wanted = version.strip().lower()
    fits = [one for one in found if wanted and (one.id.lower().startswith(wanted) or _is_sha(one, wanted))]
    if len({one.sha8 for one in fits}) == 1:
        return fits[0]
    if fits:
        raise LookupError(f"{wanted!r} means {len(fits)} versions of {name}: {', '.join(o.id for o in fits)}")
    raise LookupError(f"{name} has no version {wanted!r}" + ("" if found else "; nothing is kept of it"))


def read(config: Config, name: str, version: str = CURRENT) -> bytes:
    """The content of that version. Raises LookupError (see `find`) and OSError."""
    one = find(config, name, version)
    for _ in range(3):
        with suppress(FileNotFoundError):
            return content(one)
        one = find(config, name, one.id)  # it has just been archived, or replaced
    raise LookupError(f"{name} has no version {version!r} any more")


def content(version: Version) -> bytes:
    """The octets of one that was just found. Raises FileNotFoundError if it has moved meanwhile, OSError."""
    with open(open_file(Path(version.path)), "rb") as file:
        data = file.read()
    return gzip.decompress(data) if version.place == "archive" else data


def restore(
    config: Config,
    name: str,
    version: str,
    origin: Origin | None = None,
    publish: Callable[[Event], None] = lambda event: None,
    now: Callable[[], float] = time.time,
    match: str = "",
) -> Stored | Refuse:
    """Make that version the current content again, in the way every change goes. Raises as `read`.

    Works beside a running server, for both take `var/lock`; what is replaced becomes a version. With `match`,
    an If-Match, only what that names is replaced.
    """
    from mv_iptel.userdata import store  # it builds on this module

    data = read(config, name, version)
    kept = parse(_known(name))
    assert kept is not None
    return store.keep(config, kept, data, origin or store.Origin(how="restore"), publish, now, match)


def _known(name: str) -> str:
    kept = parse(name)
    if kept is None:
        raise LookupError(f"{name!r} is no name of user data, as 1234_4620data.txt is")
    return kept.file


def _is_sha(one: Version, wanted: str) -> bool:
    return len(wanted) >= 4 and one.sha8.startswith(wanted[:8])


def _current(config: Config, name: str, hashed: bool = True) -> Version | None:
    path = config.http.backup_dir / name
    try:
        found = look(path)
        if found is None:
            return None
        sha8 = ""
        if hashed:
            fd = open_file(path)
            try:
                sha8 = hash_of(fd)[:8]
            finally:
                os.close(fd)
    except OSError:
        return None  # a link or a folder under that name is no user data
    return Version(CURRENT, found.st_mtime, found.st_size, found.st_size, sha8, CURRENT, os.fspath(path))


def _unpacked(path: Path) -> int:
    """The length of the content of a .gz, from its last four octets."""
    with suppress(OSError), open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")
    return 0
