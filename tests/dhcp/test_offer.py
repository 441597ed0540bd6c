"""What phones are to be told: from a site to options."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel import config
from mv_iptel.dhcp.offer import CLASSES, Site, calls, fault, offer, site_of
from mv_iptel.home import Home
from mv_iptel.phones.served import Served

SITE = Site(("192.0.2.10",))


def values(site: Site, *classes: str) -> dict[int, str]:
    return {one.code: one.value for one in offer(site, *([classes] if classes else [])).options}


def test_a_plain_site():
    found = values(SITE)
    assert found[242] == "HTTPSRVR=192.0.2.10,TLSSRVR=192.0.2.10"
    assert found[176] == "TFTPSRVR=192.0.2.10" and found[66] == "192.0.2.10" and found[150] == "192.0.2.10"
    assert bytes.fromhex(found[43].replace(":", "")) == b"\1\x046889\2\n192.0.2.10\5\n192.0.2.10"


def test_pairs_call_servers_ports_and_a_vlan():
    site = SITE._replace(servers=("192.0.2.10", "192.0.2.11"), call_servers=("192.0.2.1", "192.0.2.2"),
                         http_port=6081, tls_port=6411, vlan=20)  # fmt: skip
    found = values(site)
    assert found[242] == (
        'MCIPADD="192.0.2.1,192.0.2.2",HTTPSRVR="192.0.2.10,192.0.2.11",HTTPPORT=6081,'
        'TLSSRVR="192.0.2.10,192.0.2.11",TLSPORT=6411,L2QVLAN=20'
    )
    assert found[176] == (
        'MCIPADD="192.0.2.1,192.0.2.2",MCPORT=1719,TFTPSRVR="192.0.2.10,192.0.2.11",L2QVLAN=20'
    )
    assert found[66] == "192.0.2.10" and found[150] == "192.0.2.10,192.0.2.11"
    data = bytes.fromhex(found[43].replace(":", ""))
    parts = {}
    while data:
        parts[data[0]], data = data[2 : 2 + data[1]].decode(), data[2 + data[1] :]
    pair = "192.0.2.10,192.0.2.11"
    assert parts == {1: "6889", 2: pair, 4: "6081", 5: pair, 7: "6411", 10: "20"}


def test_without_tftp_old_sets_are_sent_to_http():
    found = values(SITE._replace(tftp=False, https=False))
    assert found[176] == "HTTPSRVR=192.0.2.10" and 66 not in found and 150 not in found


def test_classes_that_want_urls():
    assert values(SITE, "b179") == {242: "http://192.0.2.10/"}
    assert values(SITE._replace(web_port=81), "e129") == {66: "http://192.0.2.10:81"}
    assert values(SITE._replace(http=False, tls_port=411), "url") == {66: "https://192.0.2.10:411/"}
    assert values(SITE._replace(servers=("2001:db8::1",)), "url") == {66: "http://[2001:db8::1]/"}


@pytest.mark.parametrize("other", ["b179", "e129", "url"])
def test_two_classes_that_want_one_option_are_told(other):
    assert "a network of their own" in offer(SITE, ("avaya", other)).notes[0]
    assert offer(SITE, ("avaya", "cisco")).notes == ()


def test_long_values_are_told():
    ten = tuple(f"192.0.2.{number}" for number in range(10, 20))
    assert any("some servers cut it" in note for note in offer(SITE._replace(servers=ten, vlan=20)).notes)
    told = offer(SITE._replace(servers=(*ten, "192.0.2.20", "192.0.2.21")))
    assert any("an option holds 255" in note for note in told.notes) and "older 4600" in told.notes[-1]


def test_names_serve_all_but_option_150():
    assert 150 not in values(SITE._replace(servers=("files.example.net",)))


def test_every_class_offers_something():
    assert all(values(SITE, name) for name in CLASSES)


@pytest.mark.parametrize("value", ["192.0.2.10", "files-1.example.net", "2001:db8::1"])
def test_hosts(value):
    assert fault(value) == ""


@pytest.mark.parametrize("value", ["", "a b", 'a"', "a,b", "x" * 300, "a;b", "ä.example"])
def test_no_hosts(value):
    assert "write one such as" in fault(value)


@pytest.fixture
def plain(tmp_path):
    return config.defaults(Home(tmp_path))


def served(text: str = "") -> Served:
    return Served.memory({"46xxsettings.txt": text.encode()})


def test_the_site_is_what_the_settings_say(plain):
    secure = replace(plain, https=replace(plain.https, run_https=True))
    site = site_of(secure, served("SET BRURI https://10.1.0.5:411/"), ("10.1.0.6",))
    assert site == Site(("10.1.0.5",), https=True)
    assert site_of(
        plain, served("SET BRURI https://[bad/"), ("127.0.0.1", "2001:db8::1", "10.1.0.6")
    ).servers == ("10.1.0.6",)
    assert calls(served("SET MCIPADD 10.0.0.1,10.0.0.2")) == ("10.0.0.1", "10.0.0.2") and not calls(served())


def test_what_is_asked_for_comes_first(plain):
    site = site_of(plain, served("SET BRURI https://10.1.0.5/"), (), ("a", "b", "a"), ("c",), 7)
    assert (site.servers, site.call_servers, site.vlan, site.https) == (("a", "b"), ("c",), 7, False)


def test_only_ports_that_phones_do_not_know(plain):
    moved = replace(
        plain,
        http=replace(plain.http, http_port=6081, http_alt_ports=(6080,)),
        https=replace(plain.https, run_https=True, https_port=6411, https_alt_ports=(6443,)),
        tftp=replace(plain.tftp, trivial_ftp_port=6069),
    )
    site = site_of(moved, served(), ())
    assert (site.http_port, site.tls_port, site.web_port) == (6081, 6411, 6081)
    assert "example" in site.notes[0] and "6069" in site.notes[1]
