"""Archives within an archive: nothing here unpacks them, but a bomb is not handed to phones and people."""

from __future__ import annotations

import bz2
import lzma
import os
import zipfile
import zlib
from typing import BinaryIO, Protocol

from mv_iptel.firmware.archives import CHUNK, Limits, Refused
from mv_iptel.firmware.names import shown

_MEMORY = 64 << 20  # octets that unpacking xz may take
_PACKED = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".lz")
_PROGRAMS = (".apk", ".jar")  # zips by form, not by use


class _Unpacker(Protocol):
    eof: bool

    def decompress(self, data: bytes, most: int) -> bytes: ...


def examine(name: str, file: BinaryIO, limits: Limits) -> None:
    """Raises Refused if this file is an archive that holds far more than it is large, or archives in turn."""
    head = file.read(6)
    try:
        if head[:4] in (b"PK\3\4", b"PK\5\6"):
            _zip(name, file, limits)
        elif head[:2] == b"\x1f\x8b":
            _gzip(file, limits)
        elif head[:3] == b"BZh":
            _stream(file, bz2.BZ2Decompressor(), limits)
        elif head == b"\xfd7zXZ\0":
            _stream(file, lzma.LZMADecompressor(memlimit=_MEMORY), limits)
    except Refused as error:
        raise Refused(f"{shown(name)} is an archive in the archive: {error}") from None
    except (
        zlib.error,
        zipfile.BadZipFile,
        NotImplementedError,
        OSError,
        EOFError,
        ValueError,
        lzma.LZMAError,
    ):
        pass  # it only looked like one: phones may know what it is


def _zip(name: str, file: BinaryIO, limits: Limits) -> None:
    """What its directory says is enough here; some that phones take are no zips in every respect (APK)."""
    with zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
        limits.crowded(len(listed))
        for one in listed:
            limits.exceeded(one.filename, one.file_size, one.compress_size)
        limits.overflowing(sum(one.file_size for one in listed), os.fstat(file.fileno()).st_size)
    inner = next((one.filename for one in listed if one.filename.lower().endswith(_PACKED)), "")
    if inner and not name.lower().endswith(_PROGRAMS):
        raise Refused(f"it holds one more, {shown(inner)}")


def _gzip(file: BinaryIO, limits: Limits) -> None:
    file.seek(0)
    inflate, packed, size = zlib.decompressobj(16 + zlib.MAX_WBITS), 0, 0
    while not inflate.eof and (data := file.read(CHUNK)):
        packed += len(data)
        while data and not inflate.eof:
            size += len(inflate.decompress(data, CHUNK))
            limits.overflowing(size, packed)
            data = inflate.unconsumed_tail


def _stream(file: BinaryIO, unpacker: _Unpacker, limits: Limits) -> None:
    file.seek(0)
    packed = size = 0
    while not unpacker.eof and (data := file.read(CHUNK)):
        packed += len(data)
        while not unpacker.eof:
            found = unpacker.decompress(data, CHUNK)
            size += len(found)
            limits.overflowing(size, packed)
            data = b""
            if not found:
                break
