"""Where things live, and the watchdog's files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from mv_iptel import config
from mv_iptel.home import CHECK_FILE, Home, shipped, write_check_files


def test_the_option_wins_over_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MV_IPTEL_HOME", str(tmp_path / "env"))
    assert Home.find(tmp_path / "option").root == tmp_path / "option"
    assert Home.find(None).root == tmp_path / "env"
    assert Home.find("").root == tmp_path / "env"


def test_a_relative_home_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Home.find("site").root == tmp_path / "site"


def test_the_usual_place(monkeypatch, tmp_path):
    monkeypatch.delenv("MV_IPTEL_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert Home.find().root == Path("/var/lib/mv-iptel")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert Home.find().root == tmp_path / "mv-iptel"
    monkeypatch.setenv("XDG_DATA_HOME", "relative is to be ignored")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert Home.find().root == tmp_path / "me" / ".local" / "share" / "mv-iptel"


# Path beneath HOME: the contract's tree (DESIGN section 3).
TREE = {
    "ini": "MV_IPTel/bin/MV_IPTel.ini",
    "tftp_data": "MV_IPTel/data/TFTPdata",
    "ftp_data": "MV_IPTel/data/FTPdata",
    "http_data": "MV_IPTel/data/HTTPdata",
    "https_data": "MV_IPTel/data/HTTPSdata",
    "updates": "MV_IPTel/data/Updates",
    "certs": "MV_IPTel/certs",
    "docs": "MV_IPTel/docs",
    "log": "MV_IPTel/log",
    "var": "MV_IPTel/var",
    "database": "MV_IPTel/var/inventory.db",
    "token": "MV_IPTel/var/control.token",
    "lists": "MV_IPTel/var/lists",
    "lock": "MV_IPTel/var/lock",
    "manager_ini": "MV_Manager/bin/MV_Manager.ini",
    "ca_key": "MV_Manager/ca/ca-key.pem",
    "watchdog_ini": "MV_WatchDog/bin/MV_WatchDog.ini",
    "passwords": "initial-passwords.txt",
}


@pytest.mark.parametrize(("attribute", "path"), TREE.items())
def test_the_tree(tmp_path, attribute, path):
    assert getattr(Home(tmp_path), attribute) == tmp_path / path


def test_directories_come_with_their_parents_first(tmp_path):
    seen = {tmp_path}
    for directory in Home(tmp_path / "h").directories():
        assert directory.parent in seen
        seen.add(directory)


def test_the_shipped_files_are_found():
    assert {"MV_IPTel.ini", "MV_Manager.ini", "MV_WatchDog.ini", "TFTPdata", "HTTPdata"} <= set(
        os.listdir(shipped())
    )


def test_check_files_go_where_other_files_are(tmp_path):
    home = Home(tmp_path)
    for directory in (home.tftp_data, home.http_data, home.ftp_data):
        directory.mkdir(parents=True)
    (home.tftp_data / "46xxupgrade.scr").write_text("x")
    (home.http_data / "96xxupgrade.txt").write_text("x")
    (home.http_data / CHECK_FILE).write_text("there already")
    failed = write_check_files(config.defaults(home))
    assert [directory for directory, _ in failed] == [home.https_data], (
        "a directory that is not there is told"
    )
    assert len((home.tftp_data / CHECK_FILE).read_text()) > 60
    assert (home.http_data / CHECK_FILE).read_text() == "there already"
    assert os.listdir(home.ftp_data) == []


def test_one_directory_for_two_servers_gets_one_file(tmp_path):
    home = Home(tmp_path)
    home.http_data.mkdir(parents=True)
    (home.http_data / "a").write_text("x")
    plain = config.defaults(home)
    both = replace(
        plain,
        tftp=replace(plain.tftp, tftp_dir=home.http_data),
        https=replace(plain.https, https_dir=home.http_data),
        ftp=replace(plain.ftp, ftp_dir=home.http_data),
    )
    assert write_check_files(both) == []
    assert sorted(os.listdir(home.http_data)) == ["a", CHECK_FILE]
