"""The guide's steps, told from what is there: files, certificate, inventory."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from manager.facts import guide
from mv_iptel.config import load
from mv_iptel.phones.sample import write_firmware
from mv_iptel.phones.served import Served
from tests.manager.facts.inventory import Inventory
from tests.manager.here import made

NOW = 1_800_000_000.0
OWN = ("pbx.example", "10.1.0.5")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return made(tmp_path_factory.mktemp("home"))


def settings(*lines):
    return Served.memory({"46xxsettings.txt": "\n".join((*lines, "")).encode()})


@pytest.mark.parametrize(
    ("lines", "state", "said"),
    [
        (("SET SNMPADD 10.1.0.5", "SET BRURI https://10.1.0.5:411/"), "done", "10.1.0.5"),
        (("SET BRURI http://pbx.example:81/",), "done", "pbx.example"),
        (
            ("SET SNMPADD 10.9.9.9",),
            "look",
            "10.9.9.9, which is no address or name of this host: TFTPdata/46xx",
        ),
        (("SET BRURI https://127.0.0.1:411/",), "look", "only this host itself"),
        (("## SET BRURI x",), "open", "does not say where"),
    ],
)
def test_the_servers_address(lines, state, said):
    step = guide.address(settings(*lines), OWN)
    assert step.state == state and said in " ".join(step.said)


def test_without_settings_there_is_one_thing_to_do():
    assert guide.address(Served.memory({}), OWN).state == "open"


def test_the_telephone_system():
    assert guide.system(settings("## SET MCIPADD 192.0.2.10")).state == "open"
    step = guide.system(settings("SET MCIPADD 192.0.2.10", "SET SIP_CONTROLLER_LIST 192.0.2.20:5061"))
    assert step.state == "done" and "H.323: 192.0.2.10; SIP: 192.0.2.20:5061" in step.said[0]


def test_firmware_is_ordered_missing_or_there(home, tmp_path):
    config = load(home)
    step, rows = guide.software(guide.served(config))
    assert step.state == "open" and any(row.script == "96xxupgrade.txt" and not row.ordered for row in rows)
    assert guide.software(Served.memory({}))[0].state == "open"
    script = {"96xxupgrade.txt": b"SET APPNAME x_3_2.bin\nGET 46xxsettings.txt\n"}
    step, _ = guide.software(Served.memory(script))
    assert step.state == "look" and "96xxupgrade.txt orders x_3_2.bin" in step.said[0]
    step, rows = guide.software(Served.memory({**script, "x_3_2.bin": b"x"}))
    assert step.state == "done" and rows[0].ordered == (("x_3_2.bin", True),)


def test_the_samples_with_firmware_are_done(tmp_path):
    home = made(tmp_path)
    write_firmware([home.tftp_data, home.http_data], size=10)
    assert guide.software(guide.served(load(home)))[0].state == "done"


def test_the_certificate(home):
    config = load(home)
    files = settings("SET BRURI https://127.0.0.1:411/")
    assert guide.certificate(config, files, time.time()).state == "done"
    other = guide.certificate(config, settings("SET BRURI https://10.9.9.9:411/"), time.time())
    assert other.state == "look" and "does not name 10.9.9.9" in other.said[0]
    assert "has ended" in guide.certificate(config, files, time.time() + 20 * 365 * 86400).said[0]
    none = replace(config, https=replace(config.https, cert_file=home.root / "none.pem"))
    assert guide.certificate(none, files, time.time()).state == "look"


def test_dhcp_says_the_address_and_only_ports_that_phones_do_not_know(home):
    config = load(home)
    told = guide.dhcp(config, settings("SET BRURI https://10.1.0.5:411/"), ())
    assert told.options[0][2] == "MCIPADD=<telephone system>,HTTPSRVR=10.1.0.5,TLSSRVR=10.1.0.5"
    assert told.options[1][2] == "MCIPADD=<telephone system>,MCPORT=1719,TFTPSRVR=10.1.0.5"
    assert 'dhcp-option=242,"MCIPADD' in told.dnsmasq and not told.notes
    http, https = (
        replace(config.http, http_port=6081, http_alt_ports=(6080,)),
        replace(config.https, run_https=False),
    )
    other = replace(config, http=http, https=https, tftp=replace(config.tftp, trivial_ftp_port=6069))
    told = guide.dhcp(other, settings("SET MCIPADD 192.0.2.1"), ("127.0.0.1", "2001:db8::5", "10.2.0.7"))
    assert told.options[0][2] == "HTTPSRVR=10.2.0.7,HTTPPORT=6081" and "6069" in told.notes[0]
    assert "example" in guide.dhcp(config, settings(), ("127.0.0.1",)).notes[0]


def test_the_password_and_what_still_lies_there(home):
    assert guide.password(home, True).state == "open"
    assert guide.password(home, False).state == "look"
    lines = [line for line in home.passwords.read_text().splitlines() if not line.startswith("manager ")]
    home.passwords.write_text("\n".join(lines))
    step = guide.password(home, False)
    assert step.state == "done" and "superuser" in step.said[1]
    home.passwords.unlink()
    assert guide.password(home, False).said == ("You have one.",)


def test_the_server():
    assert guide.server(None, "nobody there").said == ("It does not answer: nobody there",)
    row = {"proto": "http", "port": 81, "state": "up", "error": ""}
    assert guide.server({"listeners": [row]}, "").state == "done"
    failed = {**row, "proto": "tftp", "port": 69, "state": "failed", "error": "taken"}
    assert guide.server({"listeners": [row, failed]}, "").said == ("TFTP on port 69: taken",)
    assert guide.server({"listeners": []}, "").state == "look"


def test_the_phone_that_came_furthest_is_shown(tmp_path):
    inventory = Inventory(tmp_path)
    assert guide.phone(guide.first_phone(inventory.reader)).state == "open"
    inventory.phone("10.0.0.2", NOW, [("46xxupgrade.scr", NOW)])
    seen = guide.first_phone(inventory.reader)
    assert seen.script[0] == "46xxupgrade.scr" and "not read its settings" in guide.phone(seen).said[0]
    inventory.phone(
        "10.0.0.3", NOW - 60, [("d\\96xxupgrade.txt", NOW), ("x.bin", NOW), ("46xxsettings.txt", NOW)]
    )
    inventory.phone("10.0.0.4", NOW)
    seen = guide.first_phone(inventory.reader)
    assert (
        seen.address == "10.0.0.3" and seen.software == ("x.bin", NOW) and guide.phone(seen).state == "done"
    )
    inventory.close()
