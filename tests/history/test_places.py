"""Names of files in the history, and reading them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest

from mv_iptel.history.kinds import LARGEST
from mv_iptel.history.places import Places, TooLarge


def test_there_and_back_again(desk):
    places = desk.history.places
    path = desk.home.http_data / "paris" / "46xxsettings.txt"
    assert places.key_of(path) == "HTTPdata/paris/46xxsettings.txt"
    assert places.path_of("HTTPdata/paris/46xxsettings.txt") == path
    assert places.root_of(path) == desk.home.http_data
    for outside in (desk.home.ini, desk.home.http_data, desk.home.http_data / ".." / "x.txt"):
        assert places.key_of(outside) is None
    assert places.path_of("FTPdata/46xxsettings.txt") is None
    assert places.path_of("HTTPdata") is None


def test_directories_elsewhere_do_not_mix(desk, tmp_path):
    one, other = tmp_path / "a" / "HTTPdata", tmp_path / "b" / "HTTPdata"
    config = replace(desk.config, http=replace(desk.config.http, http_dir=one))
    config = replace(config, https=replace(config.https, https_dir=other))
    labels = list(Places.of(config).roots)
    assert len(labels) == 3 and labels[0] == "TFTPdata" and labels[1] != labels[2]
    assert all(label.startswith("HTTPdata-") for label in labels[1:])


def test_one_directory_for_all_has_one_history(desk, tmp_path):
    config = desk.config
    config = replace(
        config,
        tftp=replace(config.tftp, tftp_dir=config.http.http_dir),
        https=replace(config.https, https_dir=config.http.http_dir),
    )
    places = Places.of(config)
    assert list(places.roots) == ["HTTPdata"]
    assert places.judged(desk.home.http_data).elsewhere == ()


def test_what_https_lacks_is_looked_for_in_http(desk):
    places = desk.history.places
    assert places.judged(desk.home.https_data).elsewhere == (str(desk.home.http_data),)
    assert places.judged(desk.home.http_data).elsewhere == ()


def test_candidates(desk):
    desk.write("x", "46xxupgrade.scr")
    desk.write("x", "46xxsettings.txt", desk.home.http_data / "paris")
    desk.write("x", "46xxsettings.txt", desk.home.http_data / "archive")
    desk.write("x", "46xxsettings.txt", desk.home.http_data / ".git")
    desk.write("x", "firmware.bin")
    found = [key for key, _ in desk.history.places.candidates()]
    assert found == ["HTTPdata/46xxupgrade.scr", "HTTPdata/paris/46xxsettings.txt"]


def test_reading(desk):
    read = desk.history.places.read
    assert read(desk.home.http_data / "46xxsettings.txt") is None
    assert read(desk.write("SET A 1\n")).data == b"SET A 1\n"
    assert read(desk.write("words\n", "0004f2000001.txt")) is None
    assert read(desk.write("words\n", "0004f2000001.txt"), known=True) is not None
    (desk.home.http_data / "96xxupgrade.txt").mkdir()
    if sys.platform != "win32":
        assert read(desk.home.http_data / "96xxupgrade.txt") is None
        os.mkfifo(desk.home.http_data / "odd.scr")
        assert read(desk.home.http_data / "odd.scr") is None
    with pytest.raises(TooLarge):
        read(desk.write(b"#" * (LARGEST + 1)))
