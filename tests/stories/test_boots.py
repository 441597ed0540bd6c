"""Whole boots from a fresh installation: each simulated phone without a server, and over loopback."""

from __future__ import annotations

import json

import pytest

from mv_iptel.phones.boot import Servers, drive, dry, play
from mv_iptel.phones.families import Handset
from mv_iptel.phones.sample import made_up, write_firmware
from tests.clients.daemon import Daemon, wait_for
from tests.phones.stands import free_offset

SIZE = 70_000
# model, signalling, what it is told: then every request in its order
BOOTS = {
    ("4621SW", "", "tftp"): """
        tftp:69 46xxupgrade.scr
        tftp:69 4600_example_2_9_1.app
        tftp:69 46xxupgrade.scr
        tftp:69 46xxsettings.txt
        """,
    ("4621SW", "", "http"): """
        http:80 46xxupgrade.scr
        http:80 4600_example_2_9_1.app
        http:80 46xxupgrade.scr
        http:80 46xxsettings.txt
        """,
    ("9640", "", "https"): """
        https:411 96xxupgrade.txt
        https:411 46xxsettings.txt
        http:81 96x0_example_3_2_1.bin
        https:411 96xxupgrade.txt
        https:411 46xxsettings.txt
        https:411 mv_ca.txt
        """,
    ("9640", "SIP", "https"): """
        https:411 96xxupgrade.txt
        https:411 46xxsettings.txt
        https:411 SIP96x0_example_2_6_17.bin
        https:411 96xxupgrade.txt
        https:411 46xxsettings.txt
        https:411 mv_ca.txt
        """,
    ("9611G", "", "https"): """
        https:411 96x1Hupgrade.txt
        https:411 46xxsettings.txt
        http:81 S96x1_example_kernel_V22.tar
        http:81 S9608_11_example_6_8_5.tar
        https:411 96x1Hupgrade.txt
        https:411 46xxsettings.txt
        https:411 mv_ca.txt
        """,
    ("1616", "", "http"): """
        http:80 16xxupgrade.txt
        http:80 16xx_example_1_3_12.bin
        http:80 16xxupgrade.txt
        http:80 46xxsettings.txt
        """,
    ("J179", "", "http"): """
        http:80 J100Supgrade.txt
        http:80 FW_S_J179_R4_1_3_0.bin
        http:80 J100Supgrade.txt
        http:80 46xxsettings.txt
        http:80 mv_ca.txt
        """,
}  # fmt: skip
NUMBERS = {boot: number for number, boot in enumerate(BOOTS, 1)}


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A fresh installation with firmware, running on shifted ports."""
    offset = free_offset()
    ports = {
        ("TFTP", "TrivialFTPPort"): 69, ("HTTP", "HTTPPort"): 81, ("HTTP", "HTTPAltPorts"): 80,
        ("HTTPS", "HTTPSPort"): 411,
    }  # fmt: skip
    keys = {place: port + offset for place, port in ports.items()}
    daemon = Daemon(tmp_path_factory.mktemp("site") / "home", keys)
    write_firmware([daemon.home.tftp_data, daemon.home.http_data], SIZE)
    with daemon:
        daemon.offset = offset
        yield daemon


@pytest.mark.parametrize("boot", BOOTS, ids="-".join)
def test_without_a_server(site, boot):
    model, signalling, protocol = boot
    told = Servers(
        tftp=("s",) if protocol == "tftp" else (),
        http=("s",) if protocol != "tftp" else (),
        https=("s",) if protocol == "https" else (),
    )
    report = drive(play(Handset(model, signalling=signalling), told), dry(site.home.data))
    wants = [each.fetch for each in report.requests]
    assert [f"{each.server.protocol}:{each.server.port} {each.name}" for each in wants] == lines(BOOTS[boot])
    assert report.booted.ready and report.booted.reboots == 1


@pytest.mark.parametrize("boot", BOOTS, ids="-".join)
def test_over_loopback(site, boot):
    """The same order by real sockets, every byte right, and the server saw this very phone."""
    model, signalling, protocol = boot
    number = NUMBERS[boot]
    address, mac = f"127.0.3.{number}", f"00040d0003{number:02x}"
    sig = ("--sig", signalling) if signalling else ()
    done = site.run(
        "sim", "boot", "--model", model, *sig, "--protocol", protocol, "--ports-offset", str(site.offset),
        "--address", address, "--mac", mac, "--json",
    )  # fmt: skip
    told = json.loads(done.stdout)
    asked = [f"{each['protocol']}:{each['port'] - site.offset} {each['file']}" for each in told["requests"]]
    assert asked == lines(BOOTS[boot])
    assert told["ready"] and told["reboots"] == 1
    assert {(each["result"], each["tries"], each["resent"]) for each in told["requests"]} == {("ok", 1, 0)}

    folder = site.home.tftp_data if protocol == "tftp" else site.home.http_data
    for each in told["requests"]:
        content = (folder / each["file"]).read_bytes()
        assert each["bytes"] == len(content)
        if each["kind"] == "software":
            assert content == made_up(each["file"], SIZE)

    wait_for("an event for each answer", lambda: len(site.events(peer=address)) >= len(told["requests"]))
    seen = site.events(peer=address)
    assert sorted((event["proto"], event["name"]) for event in seen) == sorted(
        (each["protocol"], each["file"]) for each in told["requests"]
    )
    assert {event["outcome"] for event in seen} == {"ok"}
    if protocol != "tftp":
        assert {(event["mac"], event["model"]) for event in seen} == {(mac, model)}


def test_a_small_storm(site, count):
    done = site.run(
        "sim", "storm", "--phones", str(count("storm")), "--arrival", "0.5", "--json",
        "--mix", "tftp=40,http=30,https=30", "--ports-offset", str(site.offset),
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (told["phones"], told["failed"], told["unverified"]) == (count("storm"), 0, 0)
    assert told["bytes"] > count("storm") * SIZE


def test_a_storm_with_firmware_of_its_own(site):
    """The file is lent to the home's directories and taken back."""
    done = site.run(
        "sim", "storm", "--phones", "6", "--arrival", "0", "--size", "30000", "--json",
        "--ports-offset", str(site.offset),
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (told["ready"], told["failed"]) == (6, 0)
    assert 6 * 30_000 < told["bytes"] < 6 * 45_000
    assert site.events(name="mv_storm_30000.bin", outcome="ok")
    assert not list(site.home.data.rglob("mv_storm*"))
