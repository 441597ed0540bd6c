"""`firmware scan` over net-snmp's agents, and over a thousand of which some are silent and some hostile."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import pytest

from mv_iptel.firmware.scanning import ask
from mv_iptel.snmp import Terms
from mv_iptel.snmp.survey import Surveyed
from tests.clients.daemon import Daemon
from tests.clients.snmpd import COMMUNITY, ENTERPRISE, Agent, free_udp
from tests.firmware.field import COMMUNITY as FIELDS
from tests.firmware.field import FAULTS, Field, j100

NEW, OLD = "FW_S_J179_R4_1_3_0_6.bin", "FW_S_J179_R4_0_0_0_1.bin"
SCRIPTS = {
    "J100Supgrade.txt": f"SET APPNAME {NEW}\nGET 46xxsettings.txt\n",
    "16xxupgrade.txt": "SET APPNAME ha1616ua1_3100.bin\nGET 46xxsettings.txt\n",
    "96xxupgrade.txt": (
        "IF $SIG SEQ 2 GOTO SIP\nGOTO END\n# SIP\nIF $GROUP SEQ 876 GOTO TRIAL\n"
        "SET APPNAME SIP96xx_2_6_16_0.bin\nGOTO END\n# TRIAL\nSET APPNAME SIP96xx_2_6_17_0.bin\n# END\n"
        "GET 46xxsettings.txt\n"
    ),
}  # fmt: skip

# As net-snmp is told to speak: the number behind 1.69 in sysObjectID, and the leaves of each module.
PHONES = {
    "127.0.7.1": (6, {"1.52": "J179", "1.4": NEW, "1.57": "22WZ123", "7.27": "4711"}),
    "127.0.7.2": (6, {"1.52": "J179", "1.4": OLD, "7.27": "4712"}),
    "127.0.7.3": (4, {"1.52": "9640D01A", "1.4": "SIP96xx_2_6_17_0.bin", "1.50": "00:04:0d:00:00:03",
                      "1.31": 876, "1.7": "hb96xxua3_00.bin", "7.27": "4713"}),
    "127.0.7.4": (3, {"1.43": "1616D01A", "1.58": "ha1616ua1_3100.bin", "1.42": "00:04:0d:00:00:04",
                      "1.46": "N1", "6.3": "4714"}),
}  # fmt: skip


def scripts(daemon: Daemon) -> None:
    for name, text in SCRIPTS.items():
        (daemon.home.http_data / name).write_text(text)


def scan(daemon: Daemon, *words: str, status: int | None = None) -> dict:
    return json.loads(daemon.run("firmware", "scan", "--json", *words, status=status).stdout)


@pytest.fixture(scope="module")
def port(program):
    """The port at which all of PHONES answer."""
    program("snmpd")
    port = free_udp("127.0.7.1")
    with ExitStack() as stack:
        for address, (number, leaves) in PHONES.items():
            said = {f"{ENTERPRISE}.2.69.{number}.{leaf}.0": value for leaf, value in leaves.items()}
            identity = f"{ENTERPRISE}.1.69.{number}.1"
            agent = Agent(address, port, ext=None, model=None, sys_object=identity, overrides=said)
            stack.enter_context(agent)
        yield port


@pytest.mark.parametrize("version", ["1", "2c"])
def test_what_net_snmps_agents_tell(port, version):
    terms = Terms(COMMUNITY, version, port, timeout=3)
    found = ask(list(PHONES), terms, 200)
    assert found == {
        "127.0.7.1": Surveyed("J100", "4711", "J179", software=NEW, serial="22WZ123"),
        "127.0.7.2": Surveyed("J100", "4712", "J179", software=OLD),
        "127.0.7.3": Surveyed("96x0-sip", "4713", "9640D01A", "00040d000003", "SIP96xx_2_6_17_0.bin",
                              "hb96xxua3_00.bin", "876"),
        "127.0.7.4": Surveyed("16xx", "4714", "1616D01A", "00040d000004", "ha1616ua1_3100.bin", serial="N1"),
    }  # fmt: skip


def test_the_report_and_the_inventory(tmp_path, port):
    keys = {("SNMP", "SNMPPort"): port, ("SNMP", "Community"): COMMUNITY, ("SNMP", "SNMPTimeout"): 2}
    with Daemon(tmp_path / "home", keys) as daemon:
        scripts(daemon)
        told = scan(daemon, "--net", "127.0.7.1-127.0.7.5", status=1)
        # The inventory has them now, and a scan without networks asks them there.
        again = scan(daemon, status=1)
        phones = {one["address"]: one for one in json.loads(daemon.run("phones", "list", "--json").stdout)}
        shown = json.loads(daemon.run("phones", "show", "00:04:0d:00:00:03", "--json").stdout)
    for report in (told, again):
        assert report["answered"] == 4 and report["kept"] and report["problems"] == []
        found = {row["address"]: (row["state"], row["runs"], row["ordered"]) for row in report["phones"]}
        assert found == {
            "127.0.7.1": ("compliant", NEW, NEW), "127.0.7.2": ("pending", OLD, NEW),
            "127.0.7.3": ("compliant", "SIP96xx_2_6_17_0.bin", "SIP96xx_2_6_17_0.bin"),
            "127.0.7.4": ("compliant", "ha1616ua1_3100.bin", "ha1616ua1_3100.bin"),
        }  # fmt: skip
    assert (told["asked"], again["asked"]) == (5, 4)
    assert {address: (one["runs"], one["runs_source"]) for address, one in phones.items()} == {
        address: (row[1], "snmp") for address, row in found.items()
    }
    assert phones["127.0.7.4"]["mac"] == "00040d000004" and phones["127.0.7.1"]["mac"] == ""
    said = {(one["field"], one["value"]) for one in shown["identity"] if one["source"] == "snmp"}
    assert {("group", "876"), ("boot", "hb96xxua3_00.bin"), ("mac", "00040d000003")} <= said


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_a_thousand_phones_some_silent_some_hostile(tmp_path, request, count, evidence):
    """Of ten phones eight answer, one is silent, one hostile; all asked and reported in under 30 s."""
    many, rate = count("scan"), 200
    phones: dict[str, object] = {}
    for number in range(many):
        address = f"127.77.{number // 250}.{number % 250 + 1}"
        if number % 10 == 8:
            phones[address] = FAULTS[number // 10 % len(FAULTS)]
        elif number % 10 != 9:
            phones[address] = j100(software=NEW if number % 10 < 7 else OLD, ext=str(4000 + number))
    nets = [
        f"127.77.{block}.1-127.77.{block}.{min(250, many - block * 250)}" for block in range(-(-many // 250))
    ]
    with Field(phones) as field:  # type: ignore[arg-type]
        keys = {("SNMP", "SNMPPort"): field.port, ("SNMP", "Community"): FIELDS}
        with Daemon(tmp_path / "home", keys) as daemon:
            scripts(daemon)
            began = time.monotonic()
            told = scan(daemon, "--rate", str(rate), *(word for net in nets for word in ("--net", net)))
            seconds = time.monotonic() - began
            known = json.loads(daemon.run("phones", "list", "--json").stdout)
        span = max(field.asked.values()) - min(field.asked.values())
    honest = {address: phone for address, phone in phones.items() if isinstance(phone, dict)}
    found = {row["address"]: row for row in told["phones"]}
    assert told["asked"] == many == len(field.asked) and told["kept"]
    for address in honest:
        number = int(found[address]["ext"]) - 4000
        assert found[address]["state"] == ("compliant" if number % 10 < 7 else "pending"), found[address]
    kept = {one["address"] for one in known}
    # A hostile one that speaks SNMP and says no more than its model is a phone too.
    assert set(honest) <= kept <= set(phones)
    assert all(one["ext"].isdigit() and "/" not in one["runs"] for one in known if one["ext"] or one["runs"])
    if request.config.getoption("--evidence"):  # a busy machine decides over no test
        assert seconds < 30
    if many >= 500:
        assert span > 0.8 * (many - 1) / rate
    evidence("scan", phones=many, answered=told["answered"], silent_or_hostile=many - len(honest), rate=rate,
             asked_within_s=round(span, 2), sweep_s=told["seconds"], command_s=round(seconds, 2))  # fmt: skip
