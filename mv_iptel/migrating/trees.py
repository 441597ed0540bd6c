"""Which directories of an old installation are copied where, and what in them is a file of user data.

Looks at the disk and changes nothing. Links are copied as links where they lead within what is copied,
never followed; what is no file is told.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config.keys import SERVER, keys_of
from mv_iptel.home import Home
from mv_iptel.migrating.inis import New, Place
from mv_iptel.migrating.old import Old, lower, place
from mv_iptel.migrating.report import CHANGED, DECIDE, TAKEN, Row, about
from mv_iptel.userdata.names import Kept, parse

DIRECTORIES: tuple[Place, ...] = (
    ("TFTP", "TFTPDir"), ("FTP", "FTPDir"), ("HTTP", "HTTPDir"), ("HTTPS", "HTTPSDir"),
)  # fmt: skip
_PAIR: tuple[Place, ...] = (("HTTPS", "CertFile"), ("HTTPS", "KeyFile"))
_NEVER = {"updates"}  # zips there would be published at the first start

# `4711_4620data.txt.gz`, with a date before or behind the name.
_PACKED = re.compile(
    r"(?:\A|[^0-9a-z])((?:[0-9]{1,20}_)?(?:4610|4620|96xx|16xx)data(?:_sip)?\.txt)(?![0-9a-z])", re.I
)


class Copy(NamedTuple):
    """One file, or a link (`link` is what it will say)."""

    source: Path
    target: Path
    size: int
    mtime_ns: int
    link: str = ""


class Data(NamedTuple):
    """A file of user data, as it is or packed."""

    source: Path
    kept: Kept
    mtime_ns: int
    size: int
    packed: bool


class Found(NamedTuple):
    """Everything beneath the directories."""

    copies: tuple[Copy, ...]
    data: tuple[Data, ...]
    rows: tuple[Row, ...]


def targets(old: Old, home: Home, written: Mapping[Place, str]) -> tuple[dict[Path, Path], dict[Place, New]]:
    """Source to target of each directory, and what becomes of the keys that name paths."""
    trees: dict[Path, Path] = {}
    news: dict[Place, New] = {
        ("Settings", "LogFile"): _own("Settings", "LogFile", "old logs stay where they are")
    }
    found: dict[Place, Path | None] = {}
    for one in DIRECTORIES:
        there = place(old, written.get(one) or f"MV_IPTel/data/{_leaf(one)}")
        found[one] = there.resolve() if there and there.is_dir() else None
    # The outer ones first: what lies in another one stays there.
    for one in sorted(DIRECTORIES, key=lambda one: len(found[one].parts) if found[one] else 0):
        source = found[one]
        default = home.data / _leaf(one)
        if source is None:
            why = f"{written[one]} is not there; nothing was copied for it" if one in written else ""
            news[one] = New(_inside(home, default), DECIDE if why else TAKEN, why)
            continue
        if _holds(source, old, home):
            why = (
                f"{source} holds more than phones may see; nothing was copied, put their files into {default}"
            )
            news[one] = New(_inside(home, default), DECIDE, why)
            continue
        outer = next((top for top in trees if top in source.parents), None)
        target = trees.get(source) or (trees[outer] / source.relative_to(outer) if outer else default)
        trees[source] = target
        same = written.get(one) == _inside(home, target)
        news[one] = New(
            _inside(home, target), TAKEN if same else CHANGED, "" if same else "copied into the home"
        )
    for one in _PAIR:
        news.setdefault(one, _own(*one, "a new certificate of this home"))
    return trees, news


def others(old: Old, trees: Mapping[Path, Path], home: Home) -> tuple[dict[Path, Path], list[Row]]:
    """What else lies in `data`: copied too, except what would take effect by itself."""
    data = lower(old.iptel, ("data",))
    more: dict[Path, Path] = {}
    rows: list[Row] = []
    for name in sorted(os.listdir(data)) if data and data.is_dir() else ():
        path = data / name  # type: ignore[operator]
        real = path.resolve()
        if not path.is_dir() or any(
            real == one or real in one.parents or one in real.parents for one in trees
        ):
            continue
        if name.lower() in _NEVER:
            count = len(os.listdir(path))
            if count:
                why = f"its {count} stay there: `mv-iptel firmware install FILE` takes in what is wanted"
                rows.append(about(path, why))
        elif not path.is_symlink():
            more[real] = home.data / name
    return more, rows


def _leaf(one: Place) -> str:
    return f"{one[0]}data"


def _own(section: str, key: str, why: str) -> New:
    default = next(each.default for each in keys_of(SERVER[section][1]).values() if each.name == key)
    return New(default, CHANGED, why)


def _inside(home: Home, path: Path) -> str:
    """As it stands in the ini: relative, so that a home can be moved."""
    return path.relative_to(home.root).as_posix()


def _holds(source: Path, old: Old, home: Home) -> bool:
    """Whether no phone may see a copy of a directory: it holds the program itself, or the home."""
    inner = (old.iptel.resolve(), old.ini.parent.resolve(), home.root.resolve())
    return (
        any(source == one or source in one.parents for one in inner) or home.root.resolve() in source.parents
    )


def survey(trees: Mapping[Path, Path], user_data: Iterable[Path]) -> Found:
    """Every file beneath these. `user_data` are the directories whose packed files may be an archive."""
    copies: list[Copy] = []
    data: list[Data] = []
    rows: list[Row] = []
    archives = tuple(user_data)
    for source, target in trees.items():
        for path, found in _walk(source, rows):
            if path != source and path in trees:
                continue
            where = target / path.relative_to(source)
            if any(top != source and top in path.parents and source in top.parents for top in trees):
                continue  # another one's
            if stat.S_ISLNK(found.st_mode):
                link = _link(path, where, trees)
                if link:
                    copies.append(Copy(path, where, 0, found.st_mtime_ns, link))
                else:
                    rows.append(
                        about(path, f"a link to {os.readlink(path)}, outside of what is copied; left out")
                    )
            elif not stat.S_ISREG(found.st_mode):
                rows.append(about(path, "neither file nor directory; left out"))
            elif one := _user_data(path, found, source in archives):
                data.append(one)
            else:
                if source in archives and path.name.lower().endswith(".gz"):
                    why = "an archive that names no user; copied as it is, `backups list` does not show it"
                    rows.append(about(path, why))
                copies.append(Copy(path, where, found.st_size, found.st_mtime_ns))
    return Found(tuple(copies), tuple(data), tuple(rows))


def _walk(source: Path, rows: list[Row]) -> Iterator[tuple[Path, os.stat_result]]:
    """Every entry that is no directory, in order."""

    def failed(error: OSError) -> None:
        rows.append(about(error.filename, f"cannot be read ({error.strerror}); left out"))

    for folder, folders, names in os.walk(source, onerror=failed):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = sorted(set(folders) - set(links))
        for name in sorted([*names, *links]):
            path = Path(folder, name)
            try:
                yield path, os.lstat(path)
            except OSError as error:
                failed(error)


def _link(path: Path, target: Path, trees: Mapping[Path, Path]) -> str:
    """What a link says in its new place; empty: it leads out, or nowhere."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return ""
    for source, top in trees.items():
        if real == source or source in real.parents:
            return os.path.relpath(top / real.relative_to(source), target.parent)
    return ""


def _user_data(path: Path, found: os.stat_result, archive: bool) -> Data | None:
    kept = parse(path.name)
    if kept and kept.ext:
        return Data(path, kept, found.st_mtime_ns, found.st_size, False)
    match = _PACKED.search(path.name[:-3]) if archive and path.name.lower().endswith(".gz") else None
    kept = parse(match[1]) if match else None
    return Data(path, kept, found.st_mtime_ns, found.st_size, True) if kept and kept.ext else None
