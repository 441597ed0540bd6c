"""The reference's five modes of operation: each shipped example is clean, boots, and serves its phones."""

from __future__ import annotations

import configparser
import re
import socket
from pathlib import Path

import pytest

from mv_iptel import check, config, init
from mv_iptel.config import keys_of
from mv_iptel.config.keys import SERVER
from mv_iptel.home import Home, shipped
from mv_iptel.phones import userdata
from tests.clients.daemon import CENTRAL, STATUS, free_offset, set_keys, wait_for
from tests.clients.sites import NEW, OLD, Site

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = {mode: shipped() / "examples" / f"MV_IPTel-{mode}.ini" for mode in init.MODES}
# What runs in each mode: the servers for phones, the server for branches, the questions to a centre.
RUNS = {
    "1a": ({"http", "https"}, False, False),
    "1b": ({"tftp", "ftp", "http", "https"}, False, False),
    "2": ({"tftp", "ftp", "http", "https"}, False, True),
    "3": ({"https"}, True, False),
    "4": ({"tftp", "ftp", "http", "https"}, True, True),
}


def made(folder: Path, mode: str) -> Home:
    """A fresh home in this mode, on ports that are free now, that only this host reaches."""
    home = Home(folder)
    offset = free_offset()
    init.create(home, "files1", ["127.0.0.1"], offset, mode=mode)
    set_keys(home.ini, {
        ("Settings", "BindAddress"): "127.0.0.1",
        ("Settings", "StatusPort"): STATUS + offset,
        ("BACKUP_SERVERS", "FileServerPort"): CENTRAL + offset,
    })  # fmt: skip
    return home


def test_every_mode_is_shipped_and_told():
    assert {path.name for path in (shipped() / "examples").iterdir()} == {
        path.name for path in EXAMPLES.values()
    }
    packed = configparser.ConfigParser()
    packed.read(ROOT / "setup.cfg", "utf-8")
    files = packed["options.data_files"]
    assert files["share/mv-iptel/data/examples"].strip() == "data/examples/*"
    told = (ROOT / "docs" / "modes.md").read_text("utf-8")
    assert [path.name for path in EXAMPLES.values() if f"`{path.name}`" not in told] == []
    assert [mode for mode in init.MODES if f"--mode {mode}" not in told] == []


@pytest.mark.parametrize("mode", EXAMPLES)
def test_the_example_has_the_references_keys_and_names_ours(mode, tmp_path):
    text = EXAMPLES[mode].read_text("utf-8")
    loaded = config.load(Home(tmp_path), EXAMPLES[mode])
    assert loaded.findings == ()
    assert list(dict.fromkeys(section for section, _ in loaded.lines)) == list(SERVER)
    rows = text.splitlines()
    for (section, name), line in loaded.lines.items():
        key = next(one for one in keys_of(SERVER[section][1]).values() if one.name == name)
        above = next(row for row in reversed(rows[: line - 1]) if row.startswith("#"))
        assert key.ours == above.startswith("# Ours"), (section, name)
    assert not re.search(r"^[^#\n]+#", text, re.M), "a value would hold the comment"


@pytest.mark.parametrize("mode", EXAMPLES)
def test_check_is_clean(mode, tmp_path):
    """But for a branch that has not joined yet."""
    home = made(tmp_path / "home", mode)
    report = check.check(home)
    assert report.usable
    assert [one.key for one in report.findings] == (["UsePrimarySvr"] if RUNS[mode][2] else [])
    assert all("central invite" in one.text for one in report.findings)
    loaded = config.load(home)
    assert loaded.snmp.community not in ("", "public") and not loaded.ftp.superuser
    serving, centre, branch = RUNS[mode]
    assert {one.proto for one in check.listeners(loaded)} - {"status", "central"} == serving
    servers = loaded.backup_servers
    assert servers.file_server == centre and servers.use_primary_svr == branch
    assert servers.request_updates == servers.request_backup == branch


def test_an_ini_that_is_there_is_kept(tmp_path):
    home = made(tmp_path / "home", "1a")
    before = home.ini.read_bytes()
    done = init.create(home, "files1", ["127.0.0.1"], 6000, mode="4")
    assert home.ini.read_bytes() == before
    assert any("--mode was not applied" in note for note in done.notes)


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("mode", EXAMPLES)
def test_it_boots_and_serves(mode, tmp_path):
    serving, centre, _ = RUNS[mode]
    with Site(tmp_path / "home", mode) as site:
        up = {one["proto"] for one in site.seen()["listeners"] if one["state"] == "up"}
        assert up - {"status", "central"} == serving
        if centre:
            wait_for("the central API", lambda: is_open(site.central))
        assert is_open(site.central) == centre
        wait_for("what it tells at its start", lambda: "status: " in site.output.read_text("utf-8"))
        assert (f":{site.central} " in site.output.read_text("utf-8")) == centre
        assert is_open(site.ftp) == ("ftp" in serving)
        site.firmware()
        visits = [(OLD, "tftp")] if "tftp" in serving else []
        if "http" in serving:
            visits.append((NEW, "https"))
        for desk, protocol in visits:
            report = site.boot(desk, protocol)
            assert report.booted.ready and report.booted.reboots == 1, report.booted.why
            settings = {name: one.value for name, one in report.booted.parameters.items()}
            depot = userdata.depot_in(desk.handset, settings, site.offset)
            assert depot.server == site.depot(desk).server, "the settings name this very server"
            data = userdata.made_up(userdata.kept_by(desk.handset))
            stored = site.store(desk, data)
            assert stored.result == "ok", stored.detail
            assert site.restore(desk).data == data
            assert (site.home.ftp_data / userdata.stored_as(desk.handset)).read_bytes() == data


def test_what_is_not_copied_is_told_at_check_at_start_and_on_the_page(tmp_path):
    keys = {("BACKUP_SERVERS", "CDRBackup"): 1, ("BACKUP_SERVERS", "BCMSBackup"): 1}
    with Site(tmp_path / "home", "2", keys) as site:
        rows = site.home.ini.read_text("utf-8").splitlines()
        places = [
            f"{site.home.ini}:{number}: [BACKUP_SERVERS] {key}:"
            for key in ("CDRBackup", "BCMSBackup")
            for number, row in enumerate(rows, 1)
            if row.partition("=")[0].strip() == key
        ]
        assert len(places) == 2
        printed = " ".join(site.output.read_text("utf-8").split())
        checked = " ".join(site.run("check", status=1).stdout.split())
        for place in places:
            assert f"{place} is 1 and" in printed and f"{place} is 1 and" in checked
        told = [one for one in site.seen()["config"]["findings"] if "is not copied" in one]
        assert len(told) == 2 and all(any(place in one for place in places) for one in told)
        assert site.get("/").decode().count("is not copied") == 2
