"""Copies of users' data: what is there stays, a ZIP is whole or absent, nothing goes where phones fetch."""

from __future__ import annotations

import os
import zipfile

import pytest

from mv_iptel import config as configuration
from mv_iptel.home import Home
from mv_iptel.userdata import exporting
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.store import Origin, keep

NAME = "4711_4620data.txt"


@pytest.fixture
def config(tmp_path):
    config = configuration.defaults(Home(tmp_path / "home"))
    config.http.backup_dir.mkdir(parents=True)
    for number in range(2):
        keep(config, parse(NAME), b"a=%d\n" % number, Origin(), now=lambda at=number: 1_780_000_000.0 + at)
    return config


def test_a_folder_and_a_zip_hold_the_same(config, tmp_path):
    assert exporting.to_folder(config, [NAME], tmp_path / "a", True, False, b"list") == (2, 8, ())
    assert exporting.to_zip(config, [NAME], tmp_path / "a.zip", True, False, b"list") == (2, 8, ())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "a" / name).read_bytes()
        assert len(archive.namelist()) == 3 and archive.testzip() is None


def test_what_is_there_is_named_and_nothing_is_written(config, tmp_path):
    (tmp_path / "a").mkdir()
    os.symlink("nowhere", tmp_path / "a" / exporting.LIST)
    with pytest.raises(exporting.Exists) as raised:
        exporting.to_folder(config, [NAME], tmp_path / "a", False, False, b"")
    assert raised.value.paths == [tmp_path / "a" / exporting.LIST] and os.listdir(tmp_path / "a") == [
        exporting.LIST
    ]
    exporting.to_folder(config, [NAME], tmp_path / "a", False, True, b"list")
    assert not (tmp_path / "nowhere").exists() and (tmp_path / "a" / exporting.LIST).read_bytes() == b"list"


def test_a_zip_that_came_meanwhile_is_not_replaced(config, tmp_path):
    aside, target = tmp_path / "aside", tmp_path / "a.zip"
    aside.write_text("ours")
    target.write_text("theirs")
    with pytest.raises(exporting.Exists):
        exporting._place(aside, target)
    assert target.read_text() == "theirs"


def test_a_zip_that_fails_leaves_nothing(config, tmp_path):
    with pytest.raises(OSError):
        exporting.to_zip(config, [NAME], tmp_path / "none" / "a.zip", False, False, b"")
    before = sorted(os.listdir(tmp_path))

    def names():
        yield NAME
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exporting.to_zip(config, names(), tmp_path / "a.zip", False, False, b"")
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("name", ["1234_4620data.txt", "9999_96xxdata.txt"])
def test_what_is_not_kept_is_no_member(config, tmp_path, name):
    assert exporting.to_folder(config, [name], tmp_path / "a", True, False, b"") == (0, 0, ())


def test_the_directories_that_are_served(config, tmp_path):
    config.http.http_dir.mkdir(parents=True, exist_ok=True)
    os.symlink(config.http.http_dir, tmp_path / "way")
    assert exporting.served(config, tmp_path / "way" / "x.zip") == config.http.http_dir
    assert exporting.served(config, config.tftp.tftp_dir) == config.tftp.tftp_dir
    assert exporting.served(config, tmp_path / "x.zip") is None
