"""Archives from strangers: what one holds, told before anything of it is written, or why it is not taken.

Zip, tar and tar.gz, each read by code that knows one meaning of every octet: where two programs could
read an archive in two ways it is refused. `zips.py` and `tars.py` are the two forms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

from mv_iptel.firmware.names import collision, shown, wrong

CHUNK = 256 << 10


class Refused(Exception):
    """This archive is not taken; the argument says why, for people."""


class Truncated(Refused):
    """It ends before it should: perhaps it is still being copied."""


@dataclass(frozen=True)
class Limits:
    """What an archive may be. The largest package of a vendor is near 1 GiB, and has some 300 files."""

    entries: int = 10_000
    total: int = 8 << 30  # octets of all that it holds
    one: int = 2 << 30  # of one file
    ratio: int = 200  # how often larger than packed one file may be,
    ratio_from: int = 4 << 20  # if it is larger than this;
    whole_ratio: int = 100  # and all of it together,
    whole_from: int = 16 << 20  # if larger than this

    def crowded(self, entries: int) -> None:
        """Raises Refused for too many entries."""
        if entries > self.entries:
            raise Refused(f"it has more than {self.entries} entries")

    def exceeded(self, name: str, size: int, packed: int) -> None:
        """Raises Refused for one file that is too large, or too much larger than packed."""
        if size > self.one:
            raise Refused(f"{shown(name)} is larger than {self.one >> 20} MiB")
        if size > self.ratio_from and size > self.ratio * packed:
            raise Refused(f"{shown(name)} is packed more than {self.ratio} times, as a bomb is")

    def overflowing(self, total: int, packed: int) -> None:
        """Raises Refused for all of it."""
        if total > self.total:
            raise Refused(f"it holds more than {self.total >> 20} MiB")
        if total > self.whole_from and total > self.whole_ratio * packed:
            raise Refused(f"it is packed more than {self.whole_ratio} times, as a bomb is")


class Member(NamedTuple):
    """One file in an archive, by its name as spelled there without a leading `./`."""

    name: str
    size: int


Tick = Callable[[int, int], None]  # (octets read, of how many)


class Archive(Protocol):
    """One open archive."""

    def members(self, tick: Tick) -> list[Member]:
        """The files that it holds. Raises Refused, OSError."""

    def unpack(self, tick: Tick) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Each member's number and its content, which is taken in order; it is whole when the iterator ends.

        Only after `members`. Raises Refused, OSError.
        """


def open_archive(file: BinaryIO, limits: Limits) -> Archive:
    """What reads this file. Raises Refused, OSError."""
    from mv_iptel.firmware.tars import Tar
    from mv_iptel.firmware.zips import Zip

    file.seek(0)
    head = file.read(512)
    size = os.fstat(file.fileno()).st_size
    if not head:
        raise Truncated("it is empty")
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        return Zip(file, size, limits)
    if head[:2] == b"\x1f\x8b":
        return Tar(file, size, limits, packed=True)
    if head[257:262] == b"ustar":
        return Tar(file, size, limits, packed=False)
    told = _kind(head)
    file.seek(max(0, size - (64 << 10)))
    if not told and b"PK\5\6" in file.read():
        return Zip(file, size, limits)  # it will say what is wrong with it
    raise Refused(told or "it is no zip, tar or tar.gz")


# What people bring instead, by its first octets.
_KINDS = (
    (b"MZ", "it is a Windows program (a self-extracting package, perhaps), and nothing here runs it;"
            " unpack it on a PC and bring what it held as a zip"),
    (b"\x7fELF", "it is a program, and nothing here runs it; bring the files that it installs as a zip"),
    (b"#!", "it is a script of a Unix system, and nothing here runs it; bring the files in it as a zip"),
    (b"Rar!", "it is a RAR archive; unpack it, and bring its files as a zip"),
    (b"7z\xbc\xaf", "it is a 7-Zip archive; unpack it, and bring its files as a zip"),
    (b"BZh", "it is packed with bzip2; bring a zip, a tar or a tar.gz"),
    (b"\xfd7zXZ", "it is packed with xz; bring a zip, a tar or a tar.gz"),
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd; bring a zip, a tar or a tar.gz"),
    (b"PK\7\x08", "it is one part of a zip that was split; join the parts first"),
    (b"PK00", "it is one part of a zip that was split; join the parts first"),
    (b"\xed\xab\xee\xdb", "it is an RPM package; bring the files that it installs as a zip"),
    (b"!<arch>", "it is a Debian package; bring the files that it installs as a zip"),
    (b"MSCF", "it is a Windows cabinet; unpack it, and bring its files as a zip"),
    (b"<", "it is a web page or XML, not an archive; was the download whole?"),
    (b"%PDF", "it is a PDF document, not an archive"),
)  # fmt: skip


def _kind(head: bytes) -> str:
    for magic, text in _KINDS:
        if head.startswith(magic):
            return text
    return ""


def checked(name: str) -> str:
    """The name of a member or folder, found good. Raises Refused."""
    while name.startswith("./") and len(name) > 2:
        name = name[2:]  # tar of the folder in which it stands
    told = wrong(name)
    if told:
        raise Refused(f"{told}: {shown(name)}")
    return name


def distinct(members: Sequence[Member], folders: Sequence[str]) -> None:
    """Raises Refused if two names are one on some system."""
    found = collision((one.name for one in members), folders)
    if found is not None:
        raise Refused(f"{shown(found[0])} and {shown(found[1])} are one name on some system")


def without_change(file: BinaryIO, before: os.stat_result) -> None:
    """Raises Refused if the archive was written to while it was read."""
    now = os.fstat(file.fileno())
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise Refused("it was changed while it was read")
