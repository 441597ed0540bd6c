"""Archives: every hostile one is refused with its reason before or while it is read; honest ones are read."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from mv_iptel.firmware.archives import Limits, Refused, Truncated, open_archive
from mv_iptel.firmware.nested import examine
from mv_iptel.firmware.tars import Tar
from mv_iptel.firmware.unpacking import unpack
from mv_iptel.firmware.zips import Zip
from tests.firmware import hostile

EVERY = list(hostile.every())


def unpacked(path: Path, tmp_path: Path, limits: Limits | None = None):
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    with open(path, "rb") as file:
        files, left_out = unpack(file, folder, limits or Limits(), {}, lambda *_: None)
    return {one.name: (folder / str(one.written)).read_bytes() for one in files}, left_out


@pytest.fixture
def archive(tmp_path):
    def write(data: bytes, name: str = "a.zip") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def test_there_are_enough_of_them():
    assert len(EVERY) >= 60
    assert len({name for name, _, _ in EVERY}) == len(EVERY)


@pytest.mark.parametrize(("name", "made", "reason"), EVERY, ids=[name for name, _, _ in EVERY])
def test_a_hostile_archive_is_refused_with_the_reason(name, made, reason, archive, tmp_path):
    with pytest.raises(Refused) as refused:
        unpacked(archive(hostile.octets(made), "hostile"), tmp_path)
    assert reason in str(refused.value)
    assert str(refused.value).isprintable()


CONTENTS = {
    "96xxupgrade.txt": hostile.SCRIPT,
    "one.bin": b"firmware" * 400,
    "signatures/one.bin.sig": b"s" * 128,
}


def zipped(**how) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **how) as one:
        one.mkdir("signatures")
        for name, data in CONTENTS.items():
            one.writestr(name, data)
    return out.getvalue()


class Streamed(io.RawIOBase):
    """What cannot be written at an earlier place: then zipfile writes descriptors."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)


def streamed() -> bytes:
    out = Streamed()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as one:
        for name, data in CONTENTS.items():
            one.writestr(name, data)
    return bytes(out.data)


def long_form() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as one:
        for name, data in CONTENTS.items():
            with one.open(name, "w", force_zip64=True) as file:
                file.write(data)
    return out.getvalue()


def tarred(mode: str, form: int, before: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as one:
        for folder in (before or ".", before + "signatures"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o2775
            one.addfile(info)
        for name, data in CONTENTS.items():
            info = tarfile.TarInfo(before + name)
            info.size, info.mtime = len(data), 1234.5
            one.addfile(info, io.BytesIO(data))
    return out.getvalue()


ZIP64 = hostile.made(*(hostile.Entry(name.encode(), data) for name, data in CONTENTS.items()),
                     zip64=hostile.larger_end())  # fmt: skip
HONEST = {
    "stored": zipped(),
    "deflated": zipped(compression=zipfile.ZIP_DEFLATED),
    "streamed": streamed(),
    "long form": long_form(),
    "zip64": ZIP64,
    "commented": hostile.made(
        *(hostile.Entry(name.encode(), data) for name, data in CONTENTS.items()), comment=b"Issue 2"
    ),
    "pax": tarred("w", tarfile.PAX_FORMAT),
    "gnu": tarred("w", tarfile.GNU_FORMAT, "./"),
    "ustar": tarred("w", tarfile.USTAR_FORMAT),
    "tar.gz": tarred("w:gz", tarfile.PAX_FORMAT, "./"),
}


def test_the_content_says_what_it_is_not_the_name(archive):
    kinds = {"tar.gz": Tar, "pax": Tar, "gnu": Tar, "ustar": Tar}
    for form, data in HONEST.items():
        with open(archive(data, "one.exe"), "rb") as file:
            assert isinstance(open_archive(file, Limits()), kinds.get(form, Zip))


def test_an_archive_within_is_held_to_the_same_limits(archive):
    for data, limits in (
        (HONEST["deflated"], Limits(entries=2)),
        (gzip.compress(b"a" * 9000), Limits(total=8000)),
    ):
        with open(archive(data), "rb") as file:
            examine("in.zip", file, Limits())
        with open(archive(data), "rb") as file, pytest.raises(Refused, match="in the archive"):
            examine("in.zip", file, limits)


@pytest.mark.parametrize("form", HONEST)
def test_honest_archives_are_read(form, archive, tmp_path):
    assert unpacked(archive(HONEST[form]), tmp_path) == (CONTENTS, [])


def test_long_names_of_both_kinds(archive, tmp_path):
    name = "signatures/" + "long" * 40 + ".sig"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        data = hostile.tar_of(hostile.member(), hostile.member(name, b"s"), form=form)
        assert name in unpacked(archive(data), tmp_path)[0]
        for path in (tmp_path / "in").iterdir():
            path.unlink()


@pytest.mark.parametrize("form", ["deflated", "streamed", "pax", "tar.gz"])
def test_a_part_of_an_archive_is_no_archive(form, archive, tmp_path):
    whole = HONEST[form]
    # Behind the empty blocks of its end a tar is filled up: those may be missing.
    for end in range(0, len(whole.rstrip(b"\0")), 7 if form != "pax" else 97):
        with pytest.raises(Refused) as refused:
            unpacked(archive(whole[:end]), tmp_path)
        # Who is still copying it is waited for.
        assert isinstance(refused.value, Truncated) or form == "deflated" or end < 263, end
        for path in (tmp_path / "in").iterdir():
            path.unlink()


@pytest.mark.parametrize("form", ["stored", "deflated", "streamed", "long form", "zip64", "tar.gz", "pax"])
def test_one_wrong_octet_is_found_or_does_no_harm(form, archive, tmp_path):
    """Whatever octet is another one: the archive is refused, or holds what it held."""
    whole = HONEST[form]
    headers = [*range(0, min(700, len(whole)), 2), *range(max(0, len(whole) - 500), len(whole))]
    for at in headers:
        data = bytearray(whole)
        data[at] ^= 0x41
        try:
            found, _ = unpacked(archive(bytes(data)), tmp_path)
        except Refused:
            found = None
        for path in (tmp_path / "in").iterdir():
            path.unlink()
        # A tar has no sums of contents, and names of a zip have none: other names are other names.
        if found is not None and form != "pax":
            assert sorted(found.values()) == sorted(CONTENTS.values()), at
            assert found == CONTENTS, at


def test_what_is_seen_before_is_not_written(archive, tmp_path):
    for title in (
        "climbs",
        "encrypted",
        "link",
        "overlapping",
        "two ends",
        "another name",
        "huge by its word",
    ):
        with pytest.raises(Refused):
            unpacked(archive(hostile.octets(hostile.ZIPS[title][0])), tmp_path)
        assert list((tmp_path / "in").iterdir()) == [], title


def test_limits_are_held(archive, tmp_path):
    path = archive(HONEST["stored"])
    for limits, word in (
        (Limits(entries=2), "entries"),
        (Limits(total=3000), "more than"),
        (Limits(one=3000), "larger than"),
    ):
        with pytest.raises(Refused, match=word):
            unpacked(path, tmp_path, limits)


def test_firmware_that_is_packed_stays_as_it_is(archive, tmp_path):
    """Phones take tar files, fonts in LZMA and programs in APK: an archive inside is not unpacked."""
    inner = {
        "S96x1_SALBR7.tar": HONEST["pax"], "font.rbm.lzma": b"]\0\0\x80\0" + b"x" * 40,
        "one.apk": zipped(compression=zipfile.ZIP_DEFLATED), "one.bin": gzip.compress(b"firmware" * 1000),
        "two.bin": b"PK\3\4 is how it begins", "three.bin": b"\x1f\x8bnot so", "four.bin": b"BZhno",
        "96x1Supgrade.txt": hostile.SCRIPT,
    }  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as one:
        for name, data in inner.items():
            one.writestr(name, data)
    assert unpacked(archive(out.getvalue()), tmp_path) == (inner, [])


def test_what_is_left_out_is_told(archive, tmp_path):
    data = hostile.named(
        b"MV_IPTel.ini", b".htaccess", b"mv_watchdog_check.txt", b"__MACOSX/._one.bin", b"k.p12"
    )
    files, left_out = unpacked(archive(data), tmp_path)
    assert list(files) == ["96xxupgrade.txt"]
    assert left_out == ["MV_IPTel.ini", ".htaccess", "mv_watchdog_check.txt", "k.p12"]


def test_a_disk_that_is_too_small(archive, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 1 << 40, 1 << 20))
    with pytest.raises(Refused, match="MiB on the disk, and only 0 are free"):
        unpacked(archive(HONEST["deflated"]), tmp_path)


def test_an_archive_that_changes_while_it_is_read(archive, tmp_path):
    path = archive(HONEST["pax"])
    with open(path, "rb") as file:
        one = open_archive(file, Limits())
        one.members(lambda *_: None)
        path.write_bytes(HONEST["pax"].replace(b"one.bin", b"two.bin"))
        with pytest.raises(Refused):
            for _, content in one.unpack(lambda *_: None):
                list(content)


def others_read(data: bytes) -> dict[str, bytes]:
    """What the standard library finds in it."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as one:
            return {info.filename: one.read(info) for info in one.infolist() if not info.is_dir()}
    with tarfile.open(fileobj=io.BytesIO(data)) as one:
        return {info.name.removeprefix("./"): one.extractfile(info).read() for info in one if info.isfile()}


def test_damaged_at_random_it_is_refused_or_means_the_same_to_others(archive, tmp_path):
    chance, taken = random.Random(5), 0
    for _ in range(600):
        data = bytearray(chance.choice(list(HONEST.values())))
        at = chance.randrange(len(data))
        kind = chance.random()
        if kind < 0.6:
            data[at] = chance.choice([0, 255, data[at] ^ (1 << chance.randrange(8))])
        elif kind < 0.8:
            del data[at : at + chance.choice([1, 2, 4, 512])]
        else:
            data[at:at] = data[: chance.choice([1, 4, 30, 512])]
        try:
            found, _ = unpacked(archive(bytes(data)), tmp_path)
        except Refused:
            found = None
        for path in (tmp_path / "in").iterdir():
            path.unlink()
        if found is not None:
            taken += 1
            theirs = others_read(bytes(data))
            assert found == {name: theirs.get(name) for name in found}
    assert taken
