"""Which directories lint looks at together, and what it knows of the server."""

from __future__ import annotations

import pytest

from mv_iptel import config, init, linted
from mv_iptel.home import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("linted") / "home")
    init.create(home, "files1", ["192.0.2.10"])
    return home


def changed(home: Home, **values: str):
    places = {tuple(place.split(".")): value for place, value in values.items()}
    before = home.ini.read_text("utf-8")
    home.ini.write_text(config.changed(before, places), "utf-8")
    try:
        return config.load(home)
    finally:
        home.ini.write_text(before, "utf-8")


def test_every_directory_that_is_served(home):
    places = linted.places(config.load(home))
    assert [place.path.name for place in places] == ["TFTPdata", "HTTPdata", "HTTPSdata"]
    assert [[other.name for other in place.elsewhere] for place in places] == [[], [], ["HTTPdata"]]
    assert [one for _, one in linted.served(config.load(home)) if one.severity != "info"] == []


def test_a_directory_twice_is_linted_once(home):
    same = changed(home, **{"HTTPS.HTTPSDir": "MV_IPTel/data/HTTPdata", "TFTP.RunTrivialFTP": "0"})
    assert [place.path.name for place in linted.places(same)] == ["HTTPdata"]


def test_what_is_known_of_the_server(home):
    site = linted.places(config.load(home))[1].site
    assert "192.0.2.10" in site.addresses and "files1" in site.names
    assert 81 in site.http and 411 in site.https
    assert site.snmp and site.ftp_snmp and not site.lists
    assert linted.places(changed(home, **{"HTTP.BackupAuth": "none"}))[1].site.snmp is False
    assert linted.places(changed(home, **{"HTTPS.CertFile": "gone.pem"}))[1].site.addresses == frozenset()
    assert linted.places(changed(home, **{"HTTP.HTTPPort": "0"}))[1].site.http is None


def test_a_list_keeps_files_from_others(home):
    listed = home.http_data / "HTTP_allow_IP.txt"
    listed.write_text("192.0.2\n")
    try:
        assert [place.site.lists for place in linted.places(config.load(home))] == [False, True, False]
    finally:
        listed.unlink()


def test_a_servers_data_without_its_configuration(home, tmp_path):
    for directory in (home.root, home.http_data.parent):
        places = linted.places_in(directory)
        assert [place.path for place in places] == [home.tftp_data, home.http_data, home.https_data]
        assert places[2].elsewhere == (home.http_data,)
    assert linted.places_in(tmp_path) == [linted.Place(tmp_path)]
