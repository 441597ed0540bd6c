"""Users' data from a fresh installation: each phone stores it and gets it back, at any desk."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.daemon import Daemon
from tests.clients.snmpd import free_udp

# model, options: over what, and under which name it is kept
SAVES = {
    "4621SW": ((), "ftp", "{ext}_4620data.txt"),
    "4610SW": (("--active", "--ascii"), "ftp", "{ext}_4610data.txt"),
    "4625SW": (("--old-name",), "ftp", "{ext}_4620data.txt"),
    "9640": ((), "https", "{ext}_96xxdata.txt"),
    "9611G": (("--protocol", "http"), "http", "{ext}_96xxdata.txt"),
    "B189": ((), "https", "{ext}_96xxdata.txt"),
    "1616": ((), "http", "{ext}_16xxdata.txt"),
    "J179": (("--sig", "H323"), "http", "{ext}_96xxdata.txt"),
}
NUMBERS = {model: number for number, model in enumerate(SAVES, 1)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A fresh installation; its SNMPPort is one that anybody may answer on."""
    port = free_udp("127.0.4.1")
    with Daemon(tmp_path_factory.mktemp("site") / "home", {("SNMP", "SNMPPort"): port}) as daemon:
        daemon.kept = daemon.home.ftp_data
        yield daemon


def sim(site: Daemon, verb: str, model: str, address: str, ext: str, *more: str, status: int = 0) -> dict:
    """What `sim backup` or `sim restore` says; Daemon moves all standard ports by one offset."""
    done = site.run(
        "sim", verb, "--model", model, "--ext", ext, "--address", address,
        "--ports-offset", str(site.offset), *more, "--json", status=status,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("model", SAVES)
def test_what_is_saved_comes_back(site, model):
    options, protocol, kept = SAVES[model]
    number = NUMBERS[model]
    ext, address = str(4700 + number), f"127.0.4.{number}"
    stored = sim(site, "backup", model, address, ext, *options, "--agent")
    assert (stored["result"], stored["protocol"]) == ("ok", protocol)
    assert [each["outcome"] for each in stored["snmp"]] == ["answered"] * len(stored["snmp"])
    assert stored["snmp"]
    file = site.kept / kept.format(ext=ext)
    assert file.stat().st_size == stored["bytes"]
    # The same extension at another desk.
    fetched = sim(
        site, "restore", model, f"127.0.5.{number}", ext, *options, "--agent", "--expect", str(file)
    )
    assert (fetched["result"], fetched["sha256"]) == ("ok", stored["sha256"])
    # Who does not answer gets nothing; both wait for SNMP, together.
    with ThreadPoolExecutor(2) as pool:
        for told in pool.map(
            lambda verb: sim(site, verb, model, f"127.0.6.{number}", ext, *options, status=1),
            ("backup", "restore"),
        ):
            assert told["result"] == "refused"
    assert file.read_bytes().decode() == fetched["text"]


def test_what_a_4621_saved_comes_back_at_a_4625(site):
    stored = sim(site, "backup", "4621SW", "127.0.4.50", "4750", "--agent", "--seed", "3")
    fetched = sim(site, "restore", "4625SW", "127.0.4.51", "4750", "--agent", "--ascii")
    assert fetched["sha256"] == stored["sha256"]
    assert sim(site, "restore", "9640", "127.0.4.52", "4750", "--agent", status=1)["result"] == "missing"


def test_a_storm_in_which_each_phone_saves(site, count):
    phones = count("storm")
    done = site.run(
        "sim", "storm", "--phones", str(phones), "--arrival", "1", "--mix", "tftp=40,http=30,https=30",
        "--ports-offset", str(site.offset), "--backups", "--json",
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (told["failed"], told["failures"]) == (0, [])
    saved = told["user_data"]
    assert (saved["stored"], saved["restored"], saved["failed"]) == (phones, phones, 0)
    assert len(list(site.kept.glob("200*data.txt"))) == phones
