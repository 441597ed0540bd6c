"""Copies users' data out of the store, into a folder or a ZIP; nothing there already is lost silently."""

from __future__ import annotations

import os
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel import files
from mv_iptel.userdata import versions
from mv_iptel.userdata.versions import CURRENT

if TYPE_CHECKING:
    from mv_iptel.config import Config

LIST = "backups.csv"
MODE = 0o600  # names and numbers of people
_FIRST = (1980, 1, 1, 0, 0, 0)  # a ZIP knows nothing earlier


class Taken(NamedTuple):
    """What an export wrote, and what it left out: "PATH: why"."""

    files: int
    octets: int
    left: tuple[str, ...]


class Exists(Exception):
    """These files are there already; nothing was written."""

    def __init__(self, paths: list[Path]):
        super().__init__(f"{len(paths)} files are there already")
        self.paths = paths


class _Member(NamedTuple):
    path: str  # inside the folder or ZIP
    name: str  # of the user data
    version: versions.Version


def served(config: Config, target: Path) -> Path | None:
    """The directory of downloads that `target` lies in, where any phone could fetch it; None: in none."""
    real = target.resolve()
    for root in (config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir):
        inner = root.resolve()
        if real == inner or inner in real.parents:
            return root
    return None


def to_folder(
    config: Config, names: Iterable[str], target: Path, old: bool, overwrite: bool, table: bytes
) -> Taken:
    """Write each name's current file flat into `target`, the list beside, with `old` also all versions.

    Raises Exists before anything is written, and OSError.
    """
    members = list(_members(config, names, old))
    paths = [target / member.path for member in members] + [target / LIST]
    there = [path for path in paths if os.path.lexists(path)]
    if there and not overwrite:
        raise Exists(there)
    done = octets = 0
    left: list[str] = []
    for member, path in zip(members, paths, strict=False):
        found = _read(config, member)
        if isinstance(found, str):
            left.append(f"{member.path}: {found}")
            continue
        data, when = found
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data, overwrite)
        os.utime(path, (when, when))
        done += 1
        octets += len(data)
    target.mkdir(parents=True, exist_ok=True)
    _write(target / LIST, table, overwrite)
    return Taken(done, octets, tuple(left))


def to_zip(
    config: Config, names: Iterable[str], target: Path, old: bool, overwrite: bool, table: bytes
) -> Taken:
    """The same into one ZIP, which is whole or not there. Raises Exists and OSError."""
    if os.path.lexists(target) and not overwrite:
        raise Exists([target])
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), MODE)
    try:
        done = octets = 0
        left: list[str] = []
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for member in _members(config, names, old):
                    found = _read(config, member)
                    if isinstance(found, str):
                        left.append(f"{member.path}: {found}")
                        continue
                    data, when = found
                    archive.writestr(_info(member.path, when), data, zipfile.ZIP_DEFLATED)
                    done += 1
                    octets += len(data)
                archive.writestr(_info(LIST, time.time()), table, zipfile.ZIP_DEFLATED)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(aside, target)
        else:
            _place(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return Taken(done, octets, tuple(left))


def to_file(target: Path, table: bytes, overwrite: bool) -> Taken:
    """The list alone. Raises Exists and OSError."""
    try:
        _write(target, table, overwrite)
    except FileExistsError:
        raise Exists([target]) from None
    return Taken(1, len(table), ())


def _members(config: Config, names: Iterable[str], old: bool) -> Iterator[_Member]:
    archive = versions.Archive(config)
    for name in names:
        for version in versions.of(config, name, archive):
            if version.id == CURRENT:
                yield _Member(name, name, version)
            elif old:
                yield _Member(f"versions/{name}/{version.id}", name, version)


def _read(config: Config, member: _Member) -> tuple[bytes, float] | str:
    """Content and time, or why there is none: one damaged version must not cost the copy of all others."""
    try:
        found = member.version
        if found.id == CURRENT:
            found = versions.find(config, member.name)
        try:
            return versions.content(found), found.time
        except FileNotFoundError:  # archived or replaced since
            return versions.read(config, member.name, found.id), found.time
    except (LookupError, FileNotFoundError):
        return "was removed meanwhile"
    except (OSError, EOFError, zlib.error) as error:
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"


def _write(path: Path, data: bytes, overwrite: bool) -> None:
    if overwrite:
        files.replace(path, data, MODE, sync=False)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, MODE), "wb") as file:
        file.write(data)


def _place(aside: Path, target: Path) -> None:
    """Give it its name if nobody has taken that meanwhile."""
    if os.name != "posix":
        os.rename(aside, target)  # fails over an existing file there
        return
    try:
        os.link(aside, target)
    except FileExistsError:
        raise Exists([target]) from None
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise Exists([target]) from None
        os.rename(aside, target)


def _info(path: str, when: float) -> zipfile.ZipInfo:
    local = time.localtime(when)[:6]
    info = zipfile.ZipInfo(path, max(local, _FIRST))
    info.external_attr = MODE << 16
    info.create_system = 3  # Unix: so that the rights are read
    return info
