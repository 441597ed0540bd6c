"""Hostile archives, made here octet by octet, each with a word of the reason for which it is refused."""

# ruff: noqa: E501 - a table: one archive, one line

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

SCRIPT = b"SET APPNAME one.bin\nGET 46xxsettings.txt\n"
LINK, DEVICE, FIFO = 0o120777 << 16, 0o020666 << 16, 0o010644 << 16


@dataclass(frozen=True)
class Entry:
    """One entry of a zip, and what it lies about. None: the truth."""

    name: bytes = b"96xxupgrade.txt"
    data: bytes = SCRIPT
    deflated: bool = True
    method: int | None = None
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    attributes: int = 0o100644 << 16
    extra: bytes = b""
    disk: int = 0
    needs: int = 20
    header: int | None = None  # where the directory says that it begins
    body: bytes | None = None  # the packed octets
    behind: bytes = b""  # after the packed octets
    # What only the local header says.
    local_name: bytes | None = None
    local_flags: int | None = None
    local_method: int | None = None
    local_crc: int | None = None
    local_size: int | None = None
    local_packed: int | None = None
    local_extra: bytes = b""
    unlisted: bool = False  # the directory does not know it


ONE = Entry()
BIN = Entry(b"one.bin", b"firmware" * 50)


def made(
    *entries: Entry,
    before: bytes = b"",
    after: bytes = b"",
    gap: bytes = b"",
    comment: bytes = b"",
    shift: int = 0,
    count: int | None = None,
    disk: int = 0,
    zip64: Callable[[int, int, int, int], bytes] | None = None,
    end: dict[str, int] | None = None,
    directory_tail: bytes = b"",
) -> bytes:
    """A zip of these entries. `shift`: how wrong offsets are; `zip64` makes what stands before its end."""
    out, listed = bytearray(before), bytearray()
    known = 0
    for one in entries:
        body = one.body
        if body is None:
            body = _deflated(one.data) if one.deflated else one.data
        method = one.method if one.method is not None else 8 if one.deflated else 0
        crc = zlib.crc32(one.data) if one.crc is None else one.crc
        size = len(one.data) if one.size is None else one.size
        packed = len(body) if one.packed is None else one.packed
        name = one.name if one.local_name is None else one.local_name

        def local(told: int | None, truth: int) -> int:
            return truth if told is None else told

        header = len(out) - shift if one.header is None else one.header
        out += struct.pack(
            "<4sHHHHHIIIHH", b"PK\3\4", 20, local(one.local_flags, one.flags),
            local(one.local_method, method), 0, 0x5A21, local(one.local_crc, crc),
            local(one.local_packed, packed), local(one.local_size, size), len(name), len(one.local_extra),
        ) + name + one.local_extra + body + one.behind  # fmt: skip
        if not one.unlisted:
            known += 1
            listed += struct.pack(
                "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0x0314, one.needs, one.flags, method, 0, 0x5A21, crc, packed, size,
                len(one.name), len(one.extra), 0, one.disk, 0, one.attributes, header,
            ) + one.name + one.extra  # fmt: skip
    out += gap
    listed += directory_tail
    at, number = len(out) - shift, known if count is None else count
    out += listed
    if zip64 is not None:
        out += zip64(number, len(listed), at, len(out))
    told = {"count": number, "here": number, "size": len(listed), "at": at, **(end or {})}
    out += struct.pack("<4sHHHHIIH", b"PK\5\6", disk, disk, told["here"], told["count"], told["size"],
                       told["at"], len(comment))  # fmt: skip
    return bytes(out + comment + after)


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def larger_end(
    records: int | None = None, place: int = 0, size: int = 44
) -> Callable[[int, int, int, int], bytes]:
    """The larger end, and where it is; with lies."""

    def end(count: int, length: int, at: int, here: int) -> bytes:
        many = count if records is None else records
        return struct.pack(
            "<4sQHHIIQQQQ", b"PK\6\6", size, 45, 45, 0, 0, many, many, length, at
        ) + struct.pack("<4sIQI", b"PK\6\7", 0, here + place, 1)

    return end


def named(*names: bytes, **more: Any) -> bytes:
    """An honest script, and files of these names."""
    return made(ONE, *(replace(BIN, name=name, **more) for name in names))


def zip_of(**members: bytes) -> bytes:
    """A usual zip, by the standard library."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return out.getvalue()


def _unicode_path(raw: bytes, name: bytes) -> bytes:
    data = b"\1" + struct.pack("<I", zlib.crc32(raw)) + name
    return struct.pack("<HH", 0x7075, len(data)) + data


def _overlapping() -> bytes:
    """Two entries of the directory that lead to the same octets."""
    return made(replace(ONE, name=b"a.txt"), replace(ONE, name=b"a.txt", header=0))


def _quoted(times: int = 50) -> bytes:
    """Many entries whose contents are one (David Fifield's form, simplified): each lies within the next."""
    kernel = _deflated(b"\0" * 100_000)
    first = Entry(b"0.bin", b"\0" * 100_000, body=kernel)
    return made(first, *(replace(first, name=b"%d.bin" % number, header=0) for number in range(1, times)))


ZIPS: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    # names
    "climbs": (named(b"../one.bin"), "climbs"),
    "climbs within": (named(b"signatures/../../one.bin"), "climbs"),
    "climbs at the end": (named(b"signatures/.."), "climbs"),
    "climbs into the configuration": (named(b"TFTPdata/../../bin/MV_IPTel.ini"), "climbs"),
    "absolute": (named(b"/etc/cron.d/one"), "absolute"),
    "drive letter": (named(b"C:/windows/one.bin"), "drive letter"),
    "drive letter alone": (named(b"c:one.bin"), "drive letter"),
    "backslash": (named(b"..\\one.bin"), "backslash"),
    "backslash inside": (named(b"signatures\\one.bin"), "backslash"),
    "UNC": (named(b"\\\\server\\share\\one.bin"), "backslash"),
    "NUL": (named(b"one.bin\0.txt"), "NUL"),
    "line end": (named(b"one\n.bin"), "nobody sees"),
    "escape": (named(b"\x1b[2Jone.bin"), "nobody sees"),
    "right to left": (named("one\u202etxt.bin".encode(), flags=0x0800), "nobody sees"),
    "zero width": (named("46xx\u200bsettings.txt".encode(), flags=0x0800), "nobody sees"),
    "no UTF-8": (named(b"one\xff.bin", flags=0x0800), "UTF-8"),
    "overlong UTF-8": (named(b"\xc0\xae\xc0\xae/one.bin", flags=0x0800), "UTF-8"),
    "percent": (named(b"%2e%2e%2fone.bin"), "percent"),
    "empty name": (named(b""), "empty"),
    "empty part": (named(b"signatures//one.bin"), "empty"),
    "dot part": (named(b"signatures/./one.bin"), "empty"),
    "device": (named(b"nul.bin"), "device"),
    "device with blanks": (named(b"signatures/COM1 .bin"), "device"),
    "device in digits": (named("lpt\u00b9.txt".encode(), flags=0x0800), "device"),
    "stream": (named(b"one.bin:hidden"), "Windows"),
    "question mark": (named(b"one?.bin"), "Windows"),
    "dot at the end": (named(b"one.bin."), "ends with"),
    "blank at the end": (named(b"one.bin "), "ends with"),
    "blank folder": (named(b"signatures /one.bin"), "ends with"),
    "long part": (named(b"a" * 201 + b".bin"), "longer than"),
    "long name": (named(b"/".join([b"a" * 150] * 4)), "longer than"),
    "deep": (named(b"a/" * 9 + b"one.bin"), "deep"),
    # names that are one
    "twice": (made(ONE, BIN, BIN), "one name"),
    "letter case": (named(b"one.bin", b"ONE.BIN"), "one name"),
    "Unicode forms": (named("\u00e9.bin".encode(), "e\u0301.bin".encode(), flags=0x0800), "one name"),
    "compatible forms": (named("\ufb01rm.bin".encode(), b"firm.bin", flags=0x0800), "one name"),
    "sharp s": (named("stra\u00dfe.bin".encode(), b"STRASSE.bin", flags=0x0800), "one name"),
    "file and folder": (named(b"a", b"a/one.bin"), "one name"),
    "file and folder in case": (named(b"A", b"a/one.bin"), "one name"),
    "across places": (named(b"TFTPdata/one.bin", b"one.bin"), "one name"),
    "across places in case": (named(b"httpDATA/One.bin", b"one.bin"), "one name"),
    "user data": (named(b"FTPdata/4711_96xxdata.txt"), "user data"),
    "user data in a folder": (named(b"FTPdata/sub/4711_4620DATA_sip.txt"), "user data"),
    "a file for a place": (named(b"TFTPdata"), "data directory"),
    # kinds and rights
    "link": (made(ONE, replace(BIN, attributes=LINK, data=b"/etc/passwd")), "link"),
    "device node": (made(ONE, replace(BIN, attributes=DEVICE, data=b"")), "device"),
    "pipe": (made(ONE, replace(BIN, attributes=FIFO, data=b"")), "device"),
    "reparse point": (made(ONE, replace(BIN, attributes=0x0400)), "device"),
    "set-uid": (made(ONE, replace(BIN, attributes=0o104755 << 16)), "set-uid"),
    "set-gid": (made(ONE, replace(BIN, attributes=0o102755 << 16)), "set-uid"),
    "folder with content": (named(b"signatures/"), "file and a folder"),
    "folder by its rights": (made(ONE, replace(BIN, attributes=0o040755 << 16)), "file and a folder"),
    "folder by DOS": (made(ONE, replace(BIN, attributes=0x10)), "file and a folder"),
    # encrypted
    "encrypted": (made(ONE, replace(BIN, flags=1)), "encrypted"),
    "strongly encrypted": (made(ONE, replace(BIN, flags=0x41)), "encrypted"),
    "masked": (made(ONE, replace(BIN, flags=0x2000)), "encrypted"),
    "AES": (made(ONE, replace(BIN, extra=struct.pack("<HH7s", 0x9901, 7, b"\2\0AE\3\x08\0"))), "encrypted"),
    "AES locally": (
        made(ONE, replace(BIN, local_extra=struct.pack("<HH7s", 0x9901, 7, b"\2\0AE\3\x08\0"))), "encrypted"
    ),
    # methods and flags
    "method bzip2": (made(ONE, replace(BIN, method=12, body=bz2.compress(BIN.data))), "bzip2"),
    "method unknown": (made(ONE, replace(BIN, method=77)), "method 77"),
    "patched data": (made(ONE, replace(BIN, flags=0x20)), "not read here"),
    "from the future": (made(ONE, replace(BIN, needs=99)), "not read here"),
    "reserved flag": (made(ONE, replace(BIN, flags=0x8000)), "not read here"),
    # local header against directory
    "another name": (made(ONE, replace(BIN, local_name=b"two.bin")), "another name"),
    "another case": (made(ONE, replace(BIN, local_name=b"One.bin")), "another name"),
    "another size": (made(ONE, replace(BIN, local_size=5)), "another size"),
    "another packed size": (made(ONE, replace(BIN, local_packed=5)), "another size"),
    "another sum": (made(ONE, replace(BIN, local_crc=5)), "another size or sum"),
    "another method": (made(ONE, replace(BIN, local_method=0)), "two ways"),
    "other flags": (made(ONE, replace(BIN, local_flags=0x0008)), "two ways"),
    "encrypted locally": (made(ONE, replace(BIN, local_flags=1)), "two ways"),
    "second name": (made(ONE, replace(BIN, extra=_unicode_path(b"one.bin", b"../x"))), "second name"),
    "second name locally": (made(ONE, replace(BIN, local_extra=_unicode_path(b"one.bin", b"x"))), "second name"),
    "descriptor lies": (
        made(ONE, replace(BIN, flags=8, behind=b"PK\7\x08" + struct.pack("<III", 1, 2, 3))), "behind its content"
    ),
    "descriptor broken": (made(ONE, replace(BIN, flags=8, behind=b"abcd" * 4)), "broken"),
    "no descriptor": (made(ONE, replace(BIN, flags=8)), "in no directory"),
    # where things lie
    "before": (made(ONE, before=b"GIF89a polyglot", shift=15), "before it"),
    "before, told": (made(ONE, before=b"PK\3\4 polyglot"), "before it"),
    "a program before": (made(ONE, before=b"MZ" + bytes(600), shift=602), "Windows program"),
    "a program before, told": (made(ONE, before=b"MZ" + bytes(600)), "Windows program"),
    "after": (made(ONE, BIN, after=b"<html>"), "behind its end"),
    "after, zeros": (made(ONE, BIN, after=bytes(10)), "behind its end"),
    "between entries": (made(replace(ONE, behind=b"hidden"), BIN), "in no directory"),
    "before the directory": (made(ONE, BIN, gap=b"hidden"), "in no directory"),
    "unlisted entry": (made(ONE, replace(BIN, unlisted=True)), "in no directory"),
    "two ends": (made(ONE, comment=made(BIN)), "two ends"),
    "overlapping": (_overlapping, "overlap"),
    "overlapping, quoted": (_quoted, "overlap"),
    "leads nowhere": (made(ONE, replace(BIN, header=3)), "overlap"),
    "leads beyond": (made(ONE, replace(BIN, header=1 << 30)), "in no directory"),
    "packed beyond": (made(ONE, replace(BIN, packed=1 << 20)), "overlap"),
    # counts and ends
    "count too low": (made(ONE, BIN, count=1), "directory"),
    "count too high": (made(ONE, BIN, count=3), "broken"),
    "count elsewhere": (made(ONE, BIN, end={"here": 1}), "split"),
    "other disk": (made(ONE, BIN, disk=1), "split"),
    "entry on other disk": (made(ONE, replace(BIN, disk=1)), "split"),
    "directory elsewhere": (made(ONE, BIN, end={"at": 1 << 20}), "does not lie"),
    "directory too large": (made(ONE, BIN, end={"size": 1 << 20}), "does not lie"),
    "directory with a tail": (made(ONE, BIN, directory_tail=b"PK\5\5\4\0abcd"), "directory"),
    "no entries": (made(), "no file"),
    "only folders": (made(Entry(b"a/", b"", deflated=False, attributes=0o040755 << 16)), "no file"),
    "only litter": (zip_of(__DS_Store=b"x"), "no file"),
    "truncated": (made(ONE, BIN)[:-30], "early"),
    "half": (made(ONE, BIN)[:60], "early"),
    "empty": (b"", "empty"),
    # zip64
    "zip64 count": (made(ONE, BIN, zip64=larger_end(records=1)), "disagree"),
    "zip64 elsewhere": (made(ONE, BIN, zip64=larger_end(place=4)), "zip64"),
    "zip64 broken": (made(ONE, BIN, zip64=larger_end(size=45)), "zip64"),
    "zip64 without need": (
        made(ONE, replace(BIN, extra=struct.pack("<HHQQ", 1, 16, 5, 5))), "zip64 sizes"
    ),
    "zip64 missing": (made(ONE, replace(BIN, size=0xFFFFFFFF)), "zip64 sizes"),
    "zip64 huge": (
        made(ONE, replace(BIN, size=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 1 << 50))), "size"
    ),
    "zip64 twice": (
        made(ONE, replace(BIN, extra=struct.pack("<HHHH", 1, 0, 1, 0))), "beside a name"
    ),
    "extra broken": (made(ONE, replace(BIN, extra=b"\1\0\xff\xff")), "beside a name"),
    # contents
    "wrong sum": (made(ONE, replace(BIN, crc=5)), "sum is wrong"),
    "larger than told": (made(ONE, replace(BIN, size=10)), "larger than it says"),
    "smaller than told": (made(ONE, replace(BIN, size=4000)), "smaller than it says"),
    "stored in two sizes": (made(ONE, replace(BIN, deflated=False, size=10)), "contradict"),
    "damaged": (made(ONE, replace(BIN, body=b"\xff" * 30)), "damaged"),
    "behind the content": (made(ONE, replace(BIN, body=_deflated(BIN.data) + b"more")), "behind the content"),
    "content ends early": (made(ONE, replace(BIN, body=_deflated(BIN.data)[:-3])), "damaged"),
    # bombs
    "bomb": (lambda: made(ONE, replace(BIN, data=bytes(32 << 20))), "bomb"),
    "bomb of many": (
        lambda: made(ONE, *(replace(BIN, name=b"%d.bin" % number, data=bytes(3 << 20)) for number in range(8))),
        "bomb",
    ),
    "bomb that lies": (lambda: made(ONE, replace(BIN, data=bytes(32 << 20), size=1000)), "larger than it says"),
    "huge by its word": (made(ONE, replace(BIN, size=0xF0000000)), "larger than"),
    "bomb inside": (lambda: made(ONE, replace(BIN, name=b"in.zip", data=made(replace(BIN, data=bytes(32 << 20))))),
                    "bomb"),
    "bomb inside, other name": (
        lambda: made(ONE, replace(BIN, name=b"in.bin", data=gzip.compress(bytes(32 << 20)))), "bomb"
    ),
    "bomb inside bzip2": (
        lambda: made(ONE, replace(BIN, name=b"in.bin", data=bz2.compress(bytes(32 << 20)))), "bomb"
    ),
    "bomb inside xz": (
        lambda: made(ONE, replace(BIN, name=b"in.bin", data=lzma.compress(bytes(32 << 20), preset=0))), "bomb"
    ),
    "zips in zips": (
        lambda: made(ONE, replace(BIN, name=b"a.zip", data=made(replace(BIN, name=b"b.zip", data=made(BIN))))),
        "one more",
    ),
    "too many": (lambda: made(*(replace(ONE, name=b"%d" % number) for number in range(10_001))), "entries"),
    "entities": (
        made(ONE, replace(BIN, name=b"release.xml", data=b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')), "entities"
    ),
    # what is no archive
    "program": (b"MZ\x90\0" + bytes(1000), "Windows program"),
    "self-extracting": (b"MZ\x90\0" + bytes(1000) + made(ONE, BIN), "Windows program"),
    "ELF": (b"\x7fELF" + bytes(1000), "program"),
    "shell script": (b"#!/bin/sh\n" + made(ONE), "Unix"),
    "RAR": (b"Rar!\x1a\7\1\0" + bytes(100), "RAR"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + bytes(100), "7-Zip"),
    "bzip2": (bz2.compress(b"x"), "bzip2"),
    "xz": (lzma.compress(b"x"), "xz"),
    "split": (b"PK\7\x08" + made(ONE, BIN), "split"),
    "web page": (b"<!DOCTYPE html><title>404</title>", "web page"),
    "text": (SCRIPT, "no zip"),
}  # fmt: skip


# tar


def member(name: str = "96xxupgrade.txt", data: bytes = SCRIPT, **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    """One member, with what it is told to be."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar_of(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these, as the standard library writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if data else None)
    return out.getvalue()


def block(name: bytes, kind: bytes = b"0", size: int = 0, link: bytes = b"", size_field: bytes = b"",
          mode: int = 0o644) -> bytes:  # fmt: skip
    """One header, by hand."""
    head = struct.pack(
        "<100s8s8s8s12s12s8s1s100s8s", name, b"%07o\0" % mode, b"0000000\0", b"0000000\0",
        size_field or b"%011o\0" % size, b"00000000000\0", b" " * 8, kind, link, b"ustar\x0000",
    ).ljust(512, b"\0")  # fmt: skip
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    """One record of an extended header."""
    length = len(key) + len(value) + 3
    length += len(str(length + len(str(length))))
    return b"%d %s=%s\n" % (length, key, value)


END = bytes(1024)
FIRST = block(b"96xxupgrade.txt", size=len(SCRIPT)) + padded(SCRIPT)


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    data = b"".join(records)
    return block(b"PaxHeader", kind, len(data)) + padded(data)


def then(name: bytes = b"one.bin", data: bytes = b"firmware") -> bytes:
    return block(name, size=len(data)) + padded(data)


def _linked(kind: bytes, to: str = "/etc/passwd") -> bytes:
    return tar_of(member(), member("one.bin", b"", type=kind, linkname=to))


_T = tarfile
TARS: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "climbs": (tar_of(member(), member("../one.bin")), "climbs"),
    "climbs in a pax name": (FIRST + pax(record(b"path", b"../one.bin")) + then() + END, "climbs"),
    "climbs in a GNU name": (FIRST + block(b"././@LongLink", b"L", 11) + padded(b"../one.bin\0") + then() + END,
                             "climbs"),
    "absolute": (tar_of(member(), member("/etc/one.bin")), "absolute"),
    "backslash": (tar_of(member(), member("a\\one.bin")), "backslash"),
    "NUL in a pax name": (FIRST + pax(record(b"path", b"one.bin\0x")) + then() + END, "NUL"),
    "hidden behind a NUL": (FIRST + then(b"one.bin\0/../../x") + END, "NUL"),
    "no UTF-8": (FIRST + then(b"\xff.bin") + END, "UTF-8"),
    "letter case": (tar_of(member(), member("a.bin"), member("A.bin")), "one name"),
    "twice": (tar_of(member(), member("a.bin"), member("a.bin")), "one name"),
    "file and folder": (tar_of(member(), member("a"), member("a", b"", type=_T.DIRTYPE)), "one name"),
    "link": (_linked(_T.SYMTYPE), "link"),
    "hard link": (_linked(_T.LNKTYPE), "link"),
    "hard link to a member": (_linked(_T.LNKTYPE, "96xxupgrade.txt"), "link"),
    "link name in a pax header": (FIRST + pax(record(b"linkpath", b"/etc/passwd")) + then() + END, "link"),
    "link name of a file": (FIRST + block(b"one.bin", link=b"/etc/passwd") + END, "link"),
    "GNU link name": (FIRST + block(b"././@LongLink", b"K", 12) + padded(b"/etc/passwd\0") + then() + END, "link"),
    "character device": (_linked(_T.CHRTYPE, ""), "device"),
    "block device": (_linked(_T.BLKTYPE, ""), "device"),
    "pipe": (_linked(_T.FIFOTYPE, ""), "pipe"),
    "contiguous": (FIRST + block(b"one.bin", b"7") + END, "some systems"),
    "sparse": (FIRST + block(b"one.bin", b"S") + END, "sparse"),
    "pax sparse": (FIRST + pax(record(b"GNU.sparse.major", b"1"), record(b"GNU.sparse.realsize", b"999999999"))
                   + then() + END, "sparse"),
    "star sparse": (FIRST + pax(record(b"SCHILY.realsize", b"999999999")) + then() + END, "not read here"),
    "multi-volume": (FIRST + block(b"one.bin", b"M") + END, "tape"),
    "unknown kind": (FIRST + block(b"one.bin", b"Q") + END, "no file"),
    "set-uid": (tar_of(member(), member("one.bin", mode=0o4755)), "set-uid"),
    "set-gid": (tar_of(member(), member("one.bin", mode=0o2755)), "set-uid"),
    "folder with content": (FIRST + block(b"a/", b"5", 8) + padded(b"firmware") + END, "file and a folder"),
    "pax name for all": (FIRST + pax(record(b"path", b"one.bin"), kind=b"g") + then() + END, "for all"),
    "pax size lies": (FIRST + pax(record(b"size", b"2")) + then() + END, "two sizes"),
    "pax name twice": (FIRST + pax(record(b"path", b"a"), record(b"path", b"b")) + then() + END, "not read here"),
    "pax headers twice": (FIRST + pax(record(b"path", b"a")) + pax(record(b"path", b"b")) + then() + END, "twice"),
    "pax before nothing": (FIRST + pax(record(b"path", b"a")) + END, "before nothing"),
    "pax broken": (FIRST + pax(b"999 path=a\n") + then() + END, "broken"),
    "pax unknown": (FIRST + pax(record(b"hdrmagic", b"1")) + then() + END, "not read here"),
    "pax too large": (FIRST + pax(record(b"comment", b"a" * 70_000)) + then() + END, "too large"),
    "size negative": (FIRST + block(b"one.bin", size_field=b"\xff" * 12) + END, "number"),
    "size huge": (FIRST + block(b"one.bin", size_field=b"\x80" + bytes(4) + b"\x7f" * 7) + END, "larger than"),
    "size no number": (FIRST + block(b"one.bin", size_field=b"0x000000010\0") + END, "number"),
    "size beyond": (FIRST + block(b"one.bin", size=1 << 20) + END, "early"),
    "sum of a header": (FIRST + then().replace(b"one.bin", b"two.bin", 1) + END, "sum of a header"),
    "no end": (FIRST + then(), "early"),
    "half an end": (FIRST + then() + bytes(512), "early"),
    "cut": (FIRST + then()[:-100], "early"),
    "behind its end": (FIRST + END + then(), "behind its end"),
    "behind half an end": (FIRST + bytes(512) + then() + END, "behind its end"),
    "user data": (tar_of(member(), member("FTPdata/4711_16xxdata.txt")), "user data"),
    "across places": (tar_of(member(), member("TFTPdata/96xxupgrade.txt")), "one name"),
    "only folders": (tar_of(member("a", b"", type=_T.DIRTYPE)), "no file"),
    "too many": (lambda: (block(b"a/", b"5")) * 10_001 + END, "entries"),
    "too many headers": (lambda: pax(record(b"comment", b"x"), kind=b"g") * 20_100 + FIRST + END, "entries"),
}  # fmt: skip

GZIPS: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "garbage behind": (gzip.compress(FIRST + END) + b"garbage", "behind its end"),
    "zeros behind": (gzip.compress(FIRST + END) + bytes(10), "behind its end"),
    "two members": (gzip.compress(FIRST + END) + gzip.compress(FIRST + END), "behind its end"),
    "continued": (gzip.compress(FIRST) + gzip.compress(END), "behind its end"),
    "cut": (gzip.compress(FIRST + END)[:-12], "early"),
    "wrong sum": (gzip.compress(FIRST + END)[:-8] + b"\1\2\3\4" + gzip.compress(FIRST + END)[-4:], "damaged"),
    "damaged": (gzip.compress(FIRST + END)[:10] + b"\xff" * 40, "damaged"),
    "bomb": (lambda: gzip.compress(block(b"one.bin", size=64 << 20) + bytes(64 << 20) + END), "bomb"),
    "bomb behind the end": (lambda: gzip.compress(FIRST + END + bytes(64 << 20)), "bomb"),
    "no tar in it": (gzip.compress(SCRIPT * 20), "no tar"),
    "a short file in it": (gzip.compress(SCRIPT), "early"),
    "link": (gzip.compress(_linked(_T.SYMTYPE)), "link"),
    "climbs": (gzip.compress(tar_of(member(), member("../../x"))), "climbs"),
}


def octets(made_or_maker: bytes | Callable[[], bytes]) -> bytes:
    """The archive itself."""
    return made_or_maker if isinstance(made_or_maker, bytes) else made_or_maker()


def every() -> Iterable[tuple[str, bytes | Callable[[], bytes], str]]:
    """(file name, the archive or who makes it, a word of the reason)."""
    for kinds, ending in ((ZIPS, "zip"), (TARS, "tar"), (GZIPS, "tar.gz")):
        for title, (archive, reason) in kinds.items():
            yield f"{title}.{ending}", archive, reason
