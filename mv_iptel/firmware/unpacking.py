"""What the worker does with one archive: look at all of it, then write its files under numbers.

No name of the archive becomes a name on the disk here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mv_iptel.firmware import placing
from mv_iptel.firmware.archives import Archive, Limits, Member, Refused, open_archive, without_change
from mv_iptel.firmware.names import shown
from mv_iptel.firmware.nested import examine
from mv_iptel.history.kinds import LARGEST

Told = Callable[[str, int, int], None]  # (hashing, looking or unpacking; octets done, of how many)
ROOM = 64 << 20  # octets of the disk that stay free


class Unpacked(NamedTuple):
    """One file as it was written: `written` is its number in the folder."""

    written: int
    places: tuple[str, ...]
    name: str
    size: int
    sha256: str
    role: str


def hashed(file: BinaryIO, told: Told) -> tuple[str, int]:
    """The sha256 of an archive, and its size. Raises OSError."""
    size = os.fstat(file.fileno()).st_size
    found, done = hashlib.sha256(), 0
    file.seek(0)
    while data := file.read(1 << 20):
        found.update(data)
        done += len(data)
        told("hashing", done, size)
    return found.hexdigest(), done


def unpack(
    file: BinaryIO, folder: Path, limits: Limits, where: Mapping[str, Path], told: Told
) -> tuple[list[Unpacked], list[str]]:
    """The files of an archive, synced, and the names that were left out. Raises Refused, OSError."""
    before = os.fstat(file.fileno())
    archive = open_archive(file, limits)
    members = archive.members(lambda done, total: told("looking", done, total))
    if not members:
        raise Refused("it holds no file")
    placed = placing.place([one.name for one in members], where)
    if placed.wrong:
        raise Refused(placed.wrong)
    total = sum(one.size for one in members)
    free = shutil.disk_usage(folder).free - ROOM
    if total > free:
        raise Refused(f"it needs {(total >> 20) + 1} MiB on the disk, and only {max(0, free) >> 20} are free")
    files = _write(archive, members, placed.placed, folder, told)
    without_change(file, before)
    return _with_roles(files, folder, limits), placed.left_out


def _write(
    archive: Archive, members: list[Member], placed: list[placing.Placed], folder: Path, told: Told
) -> list[Unpacked]:
    wanted = {one.member: one for one in placed}
    files = []
    for number, content in archive.unpack(lambda done, total: told("unpacking", done, total)):
        one = wanted.get(number)
        if one is None:
            for _ in content:  # whether it is whole matters all the same
                pass
            continue
        found, size = hashlib.sha256(), 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(folder / str(number), flags, 0o600), "wb") as target:
            for data in content:
                size += len(data)
                if size > members[number].size:  # the readers see to it; nothing is written beyond
                    raise Refused(f"{shown(one.name)} is larger than it says")
                found.update(data)
                target.write(data)
            target.flush()
            os.fsync(target.fileno())
        files.append(Unpacked(number, one.places, one.name, size, found.hexdigest(), ""))
    return files


def _with_roles(files: list[Unpacked], folder: Path, limits: Limits) -> list[Unpacked]:
    """The same with what each is to a phone, and with no bomb among them. Raises Refused."""
    told = placing.Described()
    for one in files:
        if one.name.rpartition("/")[2].lower() == placing.RELEASE_XML and one.size <= placing.LARGEST_XML:
            try:
                told = placing.described((folder / str(one.written)).read_bytes())
            except ValueError as error:
                raise Refused(str(error)) from None
    done = []
    for one in files:
        path, data = folder / str(one.written), None
        if placing.needs_content(one.name) and one.size <= LARGEST:
            data = path.read_bytes()
        with open(path, "rb") as inner:
            examine(one.name, inner, limits)
        done.append(one._replace(role=placing.role(one.name, data, told.type_of(one.name))))
    return done
