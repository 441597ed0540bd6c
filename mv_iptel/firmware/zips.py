"""Zip archives, read strictly: directory, local headers and contents must tell one story without a gap."""

from __future__ import annotations

import codecs
import stat
import zlib
from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO, NamedTuple

from mv_iptel.firmware.archives import CHUNK, Limits, Member, Refused, Tick, Truncated, checked, distinct
from mv_iptel.firmware.names import shown

_END = Struct("<4sHHHHIIH")
_LOCATOR = Struct("<4sIQI")
_END64 = Struct("<4sQHHIIQQQQ")
_CENTRAL = Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL = Struct("<4sHHHHHIIIHH")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_OLD = codecs.lookup("cp437")  # looked up now: later the worker may not be allowed to read our files
_LARGEST_DIRECTORY = 16 << 20
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_DESCRIPTOR = 0x0008
_KNOWN_FLAGS = 0x0002 | 0x0004 | _DESCRIPTOR | 0x0800
_METHODS = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    12: "bzip2",
    14: "lzma",
    93: "zstd",
    95: "xz",
    98: "ppmd",
}
_STORED, _DEFLATED = 0, 8
_NEWEST = 63  # the version of the format that a reader needs; 20 is usual, 45 is zip64
_ZIP64, _AES, _NAME = 0x0001, 0x9901, 0x7075


class _Entry(NamedTuple):
    name: str
    raw: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int  # where the local header begins
    start: int = 0  # where the content begins


class Zip:
    """One zip archive."""

    def __init__(self, file: BinaryIO, size: int, limits: Limits):
        self._file, self._size, self._limits = file, size, limits
        self._entries: list[_Entry] = []
        self._tick: Tick = lambda *_: None

    def members(self, tick: Tick) -> list[Member]:
        """As `archives.Archive`."""
        count, offset, length = self._end()
        self._limits.crowded(count)
        if length > _LARGEST_DIRECTORY:
            raise Refused("its directory is too large")
        listed = self._directory(self._at(offset, length), count)
        self._connected(listed, offset)
        total = 0
        for entry in self._entries:
            self._limits.exceeded(entry.name, entry.size, entry.packed)
            total += entry.size
            self._limits.overflowing(total, self._size)
        found = [Member(checked(entry.name), entry.size) for entry in self._entries]
        distinct(found, [checked(entry.name[:-1]) for entry in listed if entry.name.endswith("/")])
        tick(self._size, self._size)
        return found

    def unpack(self, tick: Tick) -> Iterator[tuple[int, Iterator[bytes]]]:
        """As `archives.Archive`."""
        self._tick = tick
        for number, entry in enumerate(self._entries):
            yield number, self._content(entry)

    def _at(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise Truncated("it ends early")
        return data

    # The end of the archive

    def _end(self) -> tuple[int, int, int]:
        """How many entries the directory has, where it begins, how long it is."""
        length = min(self._size, _END.size + _FULL16)
        tail = self._at(self._size - length, length)
        found, more, at = [], False, tail.find(b"PK\5\6")
        while at >= 0:
            begins = at + _END.size
            ends = begins + (_END.unpack_from(tail, at)[7] if begins <= length else 0)
            more = more or ends < length
            if ends == length:
                found.append(at)
            at = tail.find(b"PK\5\6", at + 1)
        if not found:
            raise Refused("there is something behind its end") if more else Truncated("it ends early")
        if len(found) > 1:
            raise Refused("it has two ends, and two programs would read two archives")
        place = self._size - length + found[0]
        _, disk, first, here, count, size, offset, _ = _END.unpack_from(tail, found[0])
        locator = self._at(place - _LOCATOR.size, _LOCATOR.size) if place >= _LOCATOR.size else b""
        if locator[:4] == b"PK\6\7":
            short = (disk, first, here, count, size, offset)
            place, (disk, first, here, count, size, offset) = self._end64(
                place - _LOCATOR.size, locator, short
            )
        if disk or first or here != count:
            raise Refused("it is one part of a zip that was split; join the parts first")
        if offset + size < place:
            raise Refused("something stands before it, or in front of its end")
        if offset + size != place:
            raise Refused("its directory does not lie where its end says")
        return count, offset, size

    def _end64(self, place: int, locator: bytes, short: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """The larger end of a zip64 archive: where it begins, and what it says."""
        _, disk, offset, disks = _LOCATOR.unpack(locator)
        if disk or disks > 1 or offset + _END64.size != place:
            raise Refused("its zip64 end does not lie where it says")
        told = _END64.unpack(self._at(offset, _END64.size))
        if told[0] != b"PK\6\6" or told[1] != _END64.size - 12:
            raise Refused("its zip64 end is broken")
        long = tuple(told[4:])
        full = (_FULL16, _FULL16, _FULL16, _FULL16, _FULL32, _FULL32)
        if any(one not in (limit, large) for one, large, limit in zip(short, long, full, strict=True)):
            raise Refused("its end and its zip64 end disagree")
        return offset, long

    # The directory

    def _directory(self, data: bytes, count: int) -> list[_Entry]:
        entries, at = [], 0
        for _ in range(count):
            if at + _CENTRAL.size > len(data) or data[at : at + 4] != b"PK\1\2":
                raise Refused("its directory is broken")
            (_, _, needs, flags, method, _, _, crc, packed, size, names, extras, comment, disk, _, attributes,
             header) = _CENTRAL.unpack_from(data, at)  # fmt: skip
            at += _CENTRAL.size
            if at + names + extras + comment > len(data):
                raise Refused("its directory is broken")
            raw = data[at : at + names]
            extra = _extras(data[at + names : at + names + extras])
            at += names + extras + comment
            name = _decoded(raw, flags, extra)
            wide = [value for value in (size, packed, header) if value == _FULL32]
            size, packed, header = _widened((size, packed, header), extra.get(_ZIP64), len(wide))
            if disk:
                raise Refused("it is one part of a zip that was split; join the parts first")
            if needs & 0xFF > _NEWEST:
                raise Refused(f"{shown(name)} is packed in a way that is not read here")
            _usual(name, flags, method, extra)
            _regular(name, attributes, size, packed)
            if method == _STORED and size != packed:
                raise Refused(f"the sizes of {shown(name)} contradict each other")
            entries.append(_Entry(name, raw, flags, method, crc, packed, size, header))
        if at != len(data):
            raise Refused("its directory has more in it than it says")
        return entries

    # What stands before each content

    def _connected(self, entries: list[_Entry], directory: int) -> None:
        """See that local headers say what the directory says, and that everything lies side by side."""
        entries = sorted(entries, key=lambda entry: entry.header)
        place = 0
        started = {}
        for number, entry in enumerate(entries):
            if entry.header != place:
                raise Refused(
                    "two of its entries overlap" if entry.header < place
                    else "something stands before it" if not place
                    else "something that is in no directory lies between its entries"
                )  # fmt: skip
            follows = entries[number + 1].header if number + 1 < len(entries) else directory
            start = self._local(entry)
            started[entry.header] = start
            place = start + entry.packed
            if place > follows:
                raise Refused("two of its entries overlap")
            if entry.flags & _DESCRIPTOR:
                place += self._descriptor(entry, place, follows)
        if place != directory:
            raise Refused("something that is in no directory lies between its entries")
        # In the order in which they lie there: each octet is read once.
        self._entries = [
            entry._replace(start=started[entry.header]) for entry in entries if not entry.name.endswith("/")
        ]

    def _local(self, entry: _Entry) -> int:
        """Where the content begins."""
        if entry.header + _LOCAL.size > self._size:
            raise Refused("its directory leads nowhere")
        _, _, flags, method, _, _, crc, packed, size, names, extras = head = _LOCAL.unpack(
            self._at(entry.header, _LOCAL.size)
        )
        if head[0] != b"PK\3\4":
            raise Refused("its directory leads nowhere")
        data = self._at(entry.header + _LOCAL.size, names + extras)
        raw, extra = data[:names], _extras(data[names:])
        if raw != entry.raw or _decoded(raw, flags, extra) != entry.name:
            raise Refused(f"{shown(entry.name)} has another name in front of its content")
        if (flags, method) != (entry.flags, entry.method):
            raise Refused(f"{shown(entry.name)} is packed in two ways, says its directory and itself")
        if _AES in extra:
            raise Refused(f"{shown(entry.name)} is encrypted")
        wide = [value for value in (size, packed) if value == _FULL32]
        if wide or _ZIP64 in extra:
            size, packed = _local_sizes(size, packed, extra.get(_ZIP64))
        later = bool(flags & _DESCRIPTOR)
        told = ((crc, entry.crc), (packed, entry.packed), (size, entry.size))
        if any(one != other and not (later and one == 0) for one, other in told):
            raise Refused(f"{shown(entry.name)} has another size or sum in front of its content")
        return entry.header + _LOCAL.size + names + extras

    def _descriptor(self, entry: _Entry, place: int, follows: int) -> int:
        """How long the record behind a content is that was written without knowing its size."""
        length = follows - place
        if length not in (12, 16, 20, 24):
            raise Refused("something that is in no directory lies between its entries")
        data = self._at(place, length)
        if length in (16, 24):
            if data[:4] != b"PK\7\x08":
                raise Refused(f"what stands behind {shown(entry.name)} is broken")
            data = data[4:]
        form = Struct("<III" if len(data) == 12 else "<IQQ")
        if form.unpack(data) != (entry.crc, entry.packed, entry.size):
            raise Refused(f"{shown(entry.name)} has another size or sum behind its content")
        return length

    # Contents

    def _content(self, entry: _Entry) -> Iterator[bytes]:
        self._file.seek(entry.start)
        left, size, crc = entry.packed, 0, 0
        for data in self._stored(left) if entry.method == _STORED else self._inflated(entry):
            size += len(data)
            if size > entry.size:
                raise Refused(f"{shown(entry.name)} is larger than it says")
            crc = zlib.crc32(data, crc)
            yield data
        if size != entry.size:
            raise Refused(f"{shown(entry.name)} is smaller than it says")
        if crc != entry.crc:
            raise Refused(f"{shown(entry.name)} is damaged: its sum is wrong")

    def _stored(self, left: int) -> Iterator[bytes]:
        while left:
            data = self._file.read(min(left, CHUNK))
            if not data:
                raise Truncated("it ends early")
            left -= len(data)
            self._tick(self._file.tell(), self._size)
            yield data

    def _inflated(self, entry: _Entry) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for data in self._stored(entry.packed):
                while data:
                    if inflate.eof:
                        raise Refused(f"something stands behind the content of {shown(entry.name)}")
                    yield inflate.decompress(data, CHUNK)
                    data = inflate.unconsumed_tail or inflate.unused_data
            while not inflate.eof:
                if not (data := inflate.decompress(inflate.unconsumed_tail, CHUNK)):
                    raise Refused(f"{shown(entry.name)} is damaged: its content ends early")
                yield data
        except zlib.error:
            raise Refused(f"{shown(entry.name)} is damaged") from None


def _decoded(raw: bytes, flags: int, extra: dict[int, bytes]) -> str:
    """The name that these octets mean. Raises Refused for none, and for two."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        if flags & 0x0800:
            raise Refused("a name is not the UTF-8 that it says it is") from None
        name = _OLD.decode(raw)[0]
    other = extra.get(_NAME)
    if other is not None and (len(other) < 5 or other[0] != 1 or other[5:] != raw):
        raise Refused(f"{shown(name)} has a second name")
    return name


def _extras(data: bytes) -> dict[int, bytes]:
    """The extra fields by their numbers. Raises Refused."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        number, length = (
            int.from_bytes(data[at : at + 2], "little"),
            int.from_bytes(data[at + 2 : at + 4], "little"),
        )
        if at + 4 + length > len(data) or (number in found and number in (_ZIP64, _AES, _NAME)):
            raise Refused("what stands beside a name is broken")
        found[number] = data[at + 4 : at + 4 + length]
        at += 4 + length
    if any(data[at:]):  # some programs fill up with zeros
        raise Refused("what stands beside a name is broken")
    return found


def _widened(values: tuple[int, ...], extra: bytes | None, wide: int) -> tuple[int, ...]:
    """Values of the directory, those that do not fit into it from the zip64 field."""
    if extra is None and not wide:
        return values
    if extra is None or len(extra) != 8 * wide:
        raise Refused("its zip64 sizes are broken")
    large = iter(int.from_bytes(extra[at : at + 8], "little") for at in range(0, len(extra), 8))
    return tuple(next(large) if value == _FULL32 else value for value in values)


def _local_sizes(size: int, packed: int, extra: bytes | None) -> tuple[int, int]:
    """Sizes in front of a content whose zip64 field has always both (APPNOTE 4.5.3)."""
    if extra is None or len(extra) != 16 or (size, packed) != (_FULL32, _FULL32):
        raise Refused("its zip64 sizes are broken")
    return int.from_bytes(extra[:8], "little"), int.from_bytes(extra[8:], "little")


def _usual(name: str, flags: int, method: int, extra: dict[int, bytes]) -> None:
    if flags & _ENCRYPTED or _AES in extra:
        raise Refused(f"{shown(name)} is encrypted")
    if flags & ~_KNOWN_FLAGS:
        raise Refused(f"{shown(name)} is packed in a way that is not read here")
    if method not in (_STORED, _DEFLATED):
        how = _METHODS.get(method, f"method {method}")
        raise Refused(f"{shown(name)} is packed with {how}; pack it again as usual (deflate)")


def _regular(name: str, attributes: int, size: int, packed: int) -> None:
    """See that it is a file or a folder, and no more than that."""
    mode, kind = attributes >> 16, stat.S_IFMT(attributes >> 16)
    folder = name.endswith("/")
    if kind == stat.S_IFLNK:
        raise Refused(f"{shown(name)} is a link")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or attributes & 0x0440:  # DOS: device, reparse point
        raise Refused(f"{shown(name)} is a device, or stands for one")
    directory = kind == stat.S_IFDIR or attributes & 0x10
    if (directory and not folder) or (kind == stat.S_IFREG and folder) or (folder and size):
        raise Refused(f"{shown(name)} is a file and a folder at once")
    if folder and packed > 2:  # an empty deflated content has two octets
        raise Refused(f"{shown(name)} is a file and a folder at once")
    if mode & stat.S_ISUID or (mode & stat.S_ISGID and not folder):
        raise Refused(f"{shown(name)} would run with another user's rights (set-uid)")
