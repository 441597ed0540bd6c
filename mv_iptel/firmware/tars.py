"""Tar archives, plain or packed with gzip, read strictly: files and folders, and nothing that is cleverer."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from mv_iptel.firmware.archives import CHUNK, Limits, Member, Refused, Tick, Truncated, checked, distinct
from mv_iptel.firmware.names import shown

_BLOCK = 512
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*\Z")
_LARGEST_PAX = 64 << 10  # octets of extended headers; a name and some times need 300
_FILE, _OLD_FILE, _FOLDER, _PAX, _PAX_ALL, _LONG = b"0", b"\0", b"5", b"x", b"g", b"L"
_NEVER = {
    b"1": "is a hard link", b"2": "is a link", b"3": "is a device", b"4": "is a device", b"6": "is a pipe",
    b"7": "is of a kind that only some systems have", b"S": "is a sparse file, whose true size is hidden",
    b"K": "is a link", b"D": "is a part of a backup", b"M": "is a part of another tape",
    b"N": "has its name in a form that is not read here", b"V": "is the label of a tape",
    b"X": "has its name in a form that is not read here", b"A": "has rights of another system",
}  # fmt: skip
# What an extended header may say without changing what the file is. `path` and `size` are read.
_HARMLESS = re.compile(
    r"mtime|atime|ctime|uid|gid|uname|gname|comment|path|size|hdrcharset|charset"
    r"|LIBARCHIVE\.(?:creationtime|xattr\..+)|SCHILY\.(?:xattr\..+|acl\..+|fflags|dev|ino|nlink)|RHT\.security\..+"
)
_SETUID, _SETGID = 0o4000, 0o2000


class _Header(NamedTuple):
    name: str
    kind: bytes
    size: int
    mode: int


class Tar:
    """One tar archive; `packed`: with gzip around it."""

    def __init__(self, file: BinaryIO, size: int, limits: Limits, packed: bool):
        self._file, self._size, self._limits, self._packed = file, size, limits, packed
        self._members: list[Member] = []

    def members(self, tick: Tick) -> list[Member]:
        """As `archives.Archive`."""
        folders: list[str] = []
        found: list[Member] = []
        total = 0
        for header, content in self._walk(tick):
            self._limits.crowded(len(found) + len(folders) + 1)
            if header.kind == _FOLDER:
                if header.name.rstrip("/") not in ("", "."):  # tar of the folder in which it stands
                    folders.append(checked(header.name.rstrip("/")))
                continue
            # What one file is packed to nobody can tell: the stream is held to the ratio of the whole.
            self._limits.exceeded(header.name, header.size, header.size)
            total += header.size
            self._limits.overflowing(total, total)
            if not self._packed and total > self._size:
                raise Truncated("it ends early")
            found.append(Member(checked(header.name), header.size))
            for _ in content:
                pass
        distinct(found, folders)
        self._members = found
        return found

    def unpack(self, tick: Tick) -> Iterator[tuple[int, Iterator[bytes]]]:
        """As `archives.Archive`."""
        number = 0
        for header, content in self._walk(tick):
            if header.kind == _FOLDER:
                continue
            told = Member(checked(header.name), header.size)
            if number >= len(self._members) or told != self._members[number]:
                raise Refused("it was changed while it was read")
            yield number, content
            for _ in content:  # what was not taken
                pass
            number += 1
        if number != len(self._members):
            raise Refused("it was changed while it was read")

    def _walk(self, tick: Tick) -> Iterator[tuple[_Header, Iterator[bytes]]]:
        """Files and folders, with the content of each; read to the very end."""
        stream = _Stream(self._file, self._size, self._limits, self._packed, tick)
        name, size, headers = "", -1, 0
        while True:
            block = stream.exactly(_BLOCK)
            if not any(block):
                break
            header = _parsed(block)
            headers += 1
            self._limits.crowded(headers // 2)  # each may have an extended header in front
            if header.kind in (_PAX, _PAX_ALL, _LONG):
                if (name or size >= 0) and header.kind != _PAX_ALL:
                    raise Refused("a name is told twice")
                if header.size > _LARGEST_PAX:
                    raise Refused("an extended header is too large")
                data = stream.exactly(header.size)
                stream.padding(header.size)
                if header.kind == _LONG:
                    name = _text(data.rstrip(b"\0"))
                    continue
                told = _extended(data)
                if header.kind == _PAX_ALL:
                    if "path" in told or "size" in told:
                        raise Refused("one name is told for all of its files")
                else:
                    name, size = told.get("path", ""), _size(told)
                continue
            if header.kind not in (_FILE, _OLD_FILE, _FOLDER):
                raise Refused(f"{shown(name or header.name)} {_NEVER.get(header.kind, 'is no file')}")
            if header.kind == _OLD_FILE and (name or header.name).endswith("/"):  # tar before POSIX
                header = header._replace(kind=_FOLDER)
            if size not in (-1, header.size):  # they may differ from 8 GiB on, and no file is that large here
                raise Refused(f"{shown(name or header.name)} has two sizes")
            header = header._replace(name=name or header.name, size=size if size >= 0 else header.size)
            _plain(header)
            content = stream.content(header.size)
            yield header, content
            for _ in content:
                pass
            stream.padding(header.size)
            name, size = "", -1
        if name or size >= 0:
            raise Refused("an extended header stands before nothing")
        stream.end()


def _parsed(block: bytes) -> _Header:
    if block[257:263] not in (b"ustar\0", b"ustar "):
        raise Refused("it is no tar, or one of a form that is not read here")
    told = _number(block[148:156])
    if told != sum(block[:148]) + sum(block[156:]) + 8 * 32:
        raise Refused("the sum of a header is wrong")
    name = _text(block[:100].rstrip(b"\0"))
    if block[257:263] == b"ustar\0" and block[345] != 0:  # GNU has times there
        name = f"{_text(block[345:500].rstrip(bytes(1)))}/{name}"
    kind = block[156:157]
    if any(block[157:257]) and kind in (_FILE, _OLD_FILE, _FOLDER):
        raise Refused(f"{shown(name)} is a link")
    return _Header(name, kind, _number(block[124:136]), _number(block[100:108]))


def _plain(header: _Header) -> None:
    folder = header.kind == _FOLDER
    if (folder and header.size) or (not folder and header.name.endswith("/")):
        raise Refused(f"{shown(header.name)} is a file and a folder at once")
    if header.mode & _SETUID or (header.mode & _SETGID and not folder):
        raise Refused(f"{shown(header.name)} would run with another user's rights (set-uid)")


def _number(field: bytes) -> int:
    """An octal number, or GNU's binary form of large ones."""
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
    elif not field.strip(b" \0"):
        value = 0
    elif match := _OCTAL.fullmatch(field):
        value = int(match[1], 8)
    else:
        raise Refused("a number in a header is broken")
    if value >= 1 << 62:
        raise Refused("a number in a header is broken")
    return value


def _text(raw: bytes) -> str:
    """A name; octets behind a NUL are seen by some programs only, and `names.wrong` refuses them."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("a name is not in UTF-8") from None


def _extended(data: bytes) -> dict[str, str]:
    """The records of an extended header, each `LENGTH KEY=VALUE` and a line end."""
    told: dict[str, str] = {}
    at = 0
    while at < len(data):
        blank = data.find(b" ", at, at + 8)
        digits = data[at:blank] if blank > at else b""
        if not digits.isdigit() or digits[:1] == b"0":
            raise Refused("an extended header is broken")
        end = at + int(digits)
        key, sign, value = data[blank + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= blank + 2 or data[end - 1 : end] != b"\n" or not sign:
            raise Refused("an extended header is broken")
        name = key.decode("utf-8", "replace")
        if name == "linkpath":
            raise Refused("it has a link in it")
        if name.startswith("GNU.sparse"):
            raise Refused("it has a sparse file in it, whose true size is hidden")
        if not _HARMLESS.fullmatch(name) or name in told:
            raise Refused(f"an extended header says what is not read here: {shown(name)}")
        told[name] = _text(value) if name == "path" else value.decode("utf-8", "replace")
        if name == "path" and not told[name]:
            raise Refused("a name is empty")
        at = end
    return told


def _size(told: dict[str, str]) -> int:
    text = told.get("size")
    if text is None:
        return -1
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused("a number in a header is broken")
    return int(text)


class _Stream:
    """The octets of a tar archive in order, unpacked if need be, and counted."""

    def __init__(self, file: BinaryIO, size: int, limits: Limits, packed: bool, tick: Tick):
        self._file, self._size, self._limits, self._tick = file, size, limits, tick
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS) if packed else None
        self._rest = b""  # packed octets that wait
        self._read = self._given = 0
        self._have = b""
        file.seek(0)

    def _more(self) -> bytes:
        """Some more octets; none at the end."""
        if self._inflate is None:
            return self._packed()
        while True:
            if self._inflate.eof:
                if self._inflate.unused_data or self._rest or self._packed():
                    raise Refused("something stands behind its end")
                return b""
            waiting = self._rest or self._packed()
            try:
                data = self._inflate.decompress(waiting, CHUNK)
            except zlib.error:
                raise Refused("it is damaged: it cannot be unpacked") from None
            self._rest = self._inflate.unconsumed_tail
            if data:
                self._given += len(data)
                self._limits.overflowing(self._given, self._read)
                return data
            if not waiting and not self._inflate.eof:
                raise Truncated("it ends early")

    def _packed(self) -> bytes:
        data = self._file.read(CHUNK)
        self._read += len(data)
        self._tick(self._read, self._size)
        return data

    def _take(self, most: int) -> bytes:
        if not self._have:
            self._have = self._more()
        data, self._have = self._have[:most], self._have[most:]
        return data

    def exactly(self, length: int) -> bytes:
        """So many octets."""
        data = b""
        while len(data) < length:
            if not (more := self._take(length - len(data))):
                raise Truncated("it ends early")
            data += more
        return data

    def content(self, left: int) -> Iterator[bytes]:
        """The octets of one file."""
        while left:
            if not (data := self._take(left)):
                raise Truncated("it ends early")
            left -= len(data)
            yield data

    def padding(self, size: int) -> None:
        """What fills the last block of a file."""
        self.exactly(-size % _BLOCK)

    def end(self) -> None:
        """Behind the first of the empty blocks at the end: another one, and nothing else."""
        if any(self.exactly(_BLOCK)):
            raise Refused("something stands behind its end")
        while data := self._take(CHUNK):
            if any(data):
                raise Refused("something stands behind its end")
