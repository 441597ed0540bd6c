"""An honest package of each family is installed, and phones of that family take the new firmware."""

from __future__ import annotations

import hashlib
import re
from xml.etree import ElementTree

import pytest

from mv_iptel import config
from mv_iptel.firmware import intake
from mv_iptel.firmware.publishing import Done, Held, Publisher
from mv_iptel.phones.boot import Fetch, Server
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import Live
from tests.clients.packages import PACKAGES
from tests.clients.sites import HOST, Desk, Site

# What a package takes from phones that had firmware before; that has to be said, and agreed to.
TAKES = {"96x0": "96x0-sip"}
ADDRESSES = {
    handset.mac: f"127.0.5.{number}"
    for number, handset in enumerate((one for pack in PACKAGES.values() for one, _, _ in pack.takes), 1)
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A fresh installation that serves; the packages come one after the other."""
    with Site(tmp_path_factory.mktemp("packages") / "home", "1b") as running:
        yield running


@pytest.mark.parametrize("name", PACKAGES)
def test_it_installs_and_its_phones_take_it(site, name, tmp_path):
    package = PACKAGES[name]
    loaded = config.load(site.home)
    release = intake.take(loaded, package.write(tmp_path), "command")
    assert release.state == "staged", release.note
    publisher = Publisher(loaded, lambda _: None)
    done = publisher.publish(release.id)
    if name in TAKES:
        assert isinstance(done, Held) and any(TAKES[name] in why for why in done.why)
        done = publisher.publish(release.id, losses=True)
    assert isinstance(done, Done) and not done.left, done
    for folder in (site.home.tftp_data, site.home.http_data):
        for file, data in package.files.items():
            assert (folder / file).read_bytes() == data, file
    for handset, protocol, software in package.takes:
        takes(site, name, handset, protocol, software)


def takes(site: Site, name: str, handset: Handset, protocol: str, software: tuple[str, ...]) -> None:
    """The phone boots, fetches this software and no other, runs it, and wants nothing more."""
    report = site.boot(Desk(handset, ADDRESSES[handset.mac]), protocol)
    assert report.booted.ready, report.booted.why
    taken = [line for line in report.requests if line.fetch.kind == "software"]
    assert tuple(line.fetch.name for line in taken) == software
    for line in taken:
        assert line.got.sha256 == hashlib.sha256(PACKAGES[name].files[line.fetch.name]).hexdigest()
    assert report.booted.handset.runs == software[-1]


def fetch(site: Site, name: str, agent: str) -> bytes:
    """A plain HTTP GET, as phones do it that read no scripts."""
    with Live("127.0.5.200") as live:
        got = live.fetch(Fetch(Server("http", HOST, site.http), name, "settings", keep=True, agent=agent))
    assert got.result == "ok", got.detail
    return got.data


def test_an_1140_takes_it(site):
    """After the test above: the set reads sections, and fetches what `[FW]` names."""
    agent = "AVAYA/SIP1140e/04.04.18.00"
    told = fetch(site, "1140eSIP.cfg", agent).decode()
    [name] = re.findall(r"^FILENAME[ \t]+(\S+)", told.partition("[FW]")[2], re.M)
    assert fetch(site, name, agent) == PACKAGES["11xx"].files[name]


def test_a_b179_takes_it(site):
    """It checks the MD5 that the XML file tells."""
    told = ElementTree.fromstring(fetch(site, "avaya_fw_version.xml", "Avaya B179"))
    data = fetch(site, told.findtext("filename"), "Avaya B179")
    assert hashlib.md5(data, usedforsecurity=False).hexdigest() == told.findtext("checksum")
