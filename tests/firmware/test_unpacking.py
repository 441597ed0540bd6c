"""Unpacking: files under numbers, with their hashes, places and roles; names never reach the disk."""

from __future__ import annotations

import hashlib

import pytest

from mv_iptel.firmware.archives import Limits, Refused
from mv_iptel.firmware.unpacking import hashed, unpack
from tests.firmware import hostile

SETTINGS = b"SET LOGSRVR 10.0.0.1\n"
XML = b"<r><files-in-release><file><name>odd.xyz</name><type>app</type></file></files-in-release></r>"


def test_what_is_written_is_told(tmp_path):
    archive = tmp_path / "one.zip"
    archive.write_bytes(hostile.made(
        hostile.ONE, hostile.Entry(b"site.txt", SETTINGS), hostile.Entry(b"odd.xyz", b"x"),
        hostile.Entry(b"release.xml", XML), hostile.Entry(b".hidden", b"x"),
    ))  # fmt: skip
    folder, steps = tmp_path / "in", []
    folder.mkdir()
    with open(archive, "rb") as file:
        files, left_out = unpack(file, folder, Limits(), {}, lambda *told: steps.append(told))
    assert {(one.name, one.role) for one in files} == {
        ("96xxupgrade.txt", "script"), ("site.txt", "settings"), ("odd.xyz", "software"),
        ("release.xml", "other"),
    }  # fmt: skip
    assert left_out == [".hidden"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(str(one.written) for one in files)
    for one in files:
        data = (folder / str(one.written)).read_bytes()
        assert (one.size, one.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert {what for what, _, _ in steps} == {"looking", "unpacking"}
    assert all(done <= total for _, done, total in steps)


def test_the_hash_of_an_archive(tmp_path):
    (tmp_path / "one").write_bytes(b"a" * 3_000_000)
    steps = []
    with open(tmp_path / "one", "rb") as file:
        assert hashed(file, lambda *told: steps.append(told)) == (
            hashlib.sha256(b"a" * 3_000_000).hexdigest(), 3_000_000
        )  # fmt: skip
    assert steps[-1] == ("hashing", 3_000_000, 3_000_000)


def test_no_file_of_the_folder_is_written_over(tmp_path):
    archive = tmp_path / "one.zip"
    archive.write_bytes(hostile.made(hostile.ONE))
    (tmp_path / "target").write_text("mine")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "0").symlink_to(tmp_path / "target")
    with open(archive, "rb") as file, pytest.raises(FileExistsError):
        unpack(file, folder, Limits(), {}, lambda *_: None)
    assert (tmp_path / "target").read_text() == "mine"


def test_places_that_are_one_directory_here(tmp_path):
    archive = tmp_path / "one.zip"
    archive.write_bytes(hostile.named(b"TFTPdata/a.bin", b"HTTPdata/a.bin"))
    with open(archive, "rb") as file, pytest.raises(Refused, match="one name"):
        unpack(file, tmp_path, Limits(), {"TFTPdata": tmp_path, "HTTPdata": tmp_path}, lambda *_: None)
