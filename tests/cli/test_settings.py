"""The commands `settings new` and `settings upgrade-script`: over a home, and without one."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.cli.settings import settings
from mv_iptel.config import load
from mv_iptel.home import Home
from mv_iptel.phones.boot import Servers, drive, dry, play
from mv_iptel.phones.families import Handset


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("authoring") / "home")
    done = CliRunner().invoke(
        group, ["init", str(home.root), "--address", "192.0.2.5", "--ports-offset", "6000"]
    )
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture
def home(pattern, tmp_path):
    shutil.copytree(pattern.root, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def run(home, *words, code=0, answers=None):
    done = CliRunner().invoke(settings, [*words, "--home", str(home.root)], input=answers)
    assert done.exit_code == code, done.output
    return done.output


def booted(home, model, group="0", offset=6000):
    servers = Servers(tftp=("192.0.2.5",), http=("192.0.2.5",), https=("192.0.2.5",), offset=offset)
    return drive(play(Handset(model, group=group), servers), dry(home.data)).booted


def test_a_new_file_has_the_ports_and_the_community_of_the_home(home):
    said = run(home, "new", "--call-server", "192.0.2.20", "--vlan", "20", code=1)
    assert "there already" in said and "46xxsettings.txt" in said
    run(home, "new", "--call-server", "192.0.2.20", "--vlan", "20", "--replace")
    community = load(home).snmp.community
    found = booted(home, "9608")
    assert found.ready, found.why
    values = {name: made.value for name, made in found.parameters.items()}
    assert values["BRURI"] == "https://192.0.2.5:6411/" and values["HTTPPORT"] == "6081"
    assert (values["SNMPSTRING"], values["SNMPADD"]) == (community, "192.0.2.5")
    assert (values["MCIPADD"], values["L2QVLAN"], values["TRUSTCERTS"]) == ("192.0.2.20", "20", "mv_ca.txt")
    assert booted(home, "1608").parameters["BRURI"].value == "http://192.0.2.5:6081/"


def test_what_is_replaced_comes_back(home):
    path = home.http_data / "46xxsettings.txt"
    before = path.read_bytes()
    run(home, "new", "--vlan", "20", "--replace")
    assert path.read_bytes() != before
    run(home, "undo", "HTTPdata/46xxsettings.txt")
    assert path.read_bytes() == before


def test_the_same_again_is_unchanged(home):
    run(home, "new", "--vlan", "20", "--replace")
    assert "unchanged" in run(home, "new", "--vlan", "20")


def test_vpn_phones(home):
    run(
        home,
        "new",
        "--vpn",
        "generic-psk",
        "--vpn-gateway",
        "198.51.100.1",
        "--set",
        "NVIKEID=OFFICE",
        "--replace",
    )
    for model in ("4620", "9640", "9608"):
        found = booted(home, model, "876")
        assert found.ready, found.why
        assert found.parameters["NVSGIP"].value == "198.51.100.1"
        assert found.parameters["NVIKEID"].value == "OFFICE"
        assert "NVSGIP" not in booted(home, model).parameters
    # The branch stays when the script is written anew for its firmware.
    (home.http_data / "4620_031225.app").write_bytes(b"\0")
    run(home, "upgrade-script", "--replace")
    assert booted(home, "4620", "876").parameters["NVSGIP"].value == "198.51.100.1"
    assert booted(home, "4620").handset.runs == "4620_031225.app"


def test_nothing_is_written_where_a_value_is_wrong(home):
    before = (home.http_data / "46xxsettings.txt").read_bytes()
    said = run(home, "new", "--vlan", "9999", "--set", "L2QVLAM=3", "--replace", code=2)
    assert "L2QVLAN is a number" in said and "did you mean L2QVLAN" in said
    assert "write NAME=VALUE" in run(home, "new", "--set", "PHNOL", code=2)
    assert "not among the families" in run(home, "new", "--vpn", "avaya", "--family", "96x1", code=2)
    assert "neither an offset" in run(home, "new", "--zone", "Mars", code=2)
    assert (home.http_data / "46xxsettings.txt").read_bytes() == before


def test_a_secret_comes_from_a_file(home, tmp_path):
    (tmp_path / "psk").write_text("s3cret\n")
    words = (
        "new",
        "--vpn",
        "generic-psk",
        "--vpn-gateway",
        "198.51.100.1",
        "--set",
        f"NVIKEPSK=@{tmp_path}/psk",
    )
    run(home, *words, "--replace")
    assert b"SET NVIKEPSK s3cret\n" in (home.http_data / "46vpnsetting.txt").read_bytes()
    assert "/none" in run(home, "new", "--set", "NVIKEPSK=@/none", code=2)


def test_questions(home):
    answers = (
        "96x1 j100-sip\n192.0.2.20\n192.0.2.30\nexample.com\n20\n192.0.2.50\n192.0.2.40\n\nEurope/Vienna\n"
    )
    shown = run(home, "new", "-", "--ask", answers=answers)
    for line in ("SET MCIPADD 192.0.2.20", "SET SIP_CONTROLLER_LIST 192.0.2.30", "SET SIPDOMAIN example.com",
                 "SET L2QVLAN 20", "SET LOGSRVR 192.0.2.50", "SET SNTPSRVR 192.0.2.40", "SET GMTOFFSET 1:00",
                 "SET TLSSRVR 192.0.2.5"):  # fmt: skip
        assert line in shown, line
    assert "9640" not in shown
    assert "no family 9x" in run(home, "new", "-", "--ask", answers="9x\n", code=2)


def test_without_a_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nowhere = Home(tmp_path / "none")
    run(nowhere, "new", "--server", "192.0.2.5", "--family", "4600", "--community", "abc")
    assert "SET FTPSRVR 192.0.2.5\n" in (tmp_path / "46xxsettings.txt").read_text()
    told = json.loads(run(nowhere, "new", "--dry", "--json", "--family", "16xx", "--no-backups"))
    assert told["findings"] == [] and told["files"][0]["what"] == "shown"
    assert "name a directory" in run(nowhere, "upgrade-script", code=2)


def test_upgrade_scripts(home):
    for name in ("FW_S_J179_R4_1_3_0_6.bin", "FW_S_J179_R4_0_1.bin"):
        (home.http_data / name).write_bytes(b"\0")
    before = (home.http_data / "J100Supgrade.txt").read_bytes()
    assert "there already" in run(home, "upgrade-script", code=1)
    assert "SET APPNAME FW_S_J179_R4_1_3_0_6.bin" in run(home, "upgrade-script", "--dry")
    assert (home.http_data / "J100Supgrade.txt").read_bytes() == before
    said = run(home, "upgrade-script", "--replace")
    assert "FW_S_J179_R4_0_1.bin" in said
    found = booted(home, "J179")
    assert (found.ready, found.handset.runs) == (True, "FW_S_J179_R4_1_3_0_6.bin")


def test_no_firmware_no_script(home, tmp_path):
    assert "holds no firmware" in run(home, "upgrade-script", code=1)
    (tmp_path / "depot").mkdir()
    (tmp_path / "depot" / "FW_S_J179_R4.bin").write_bytes(b"\0")
    (tmp_path / "depot" / "46xxsettings.txt").write_bytes(b"SET PHNOL 9\n")
    run(home, "upgrade-script", str(tmp_path / "depot"), "--family", "j100-sip")
    assert (tmp_path / "depot" / "J100Supgrade.txt").exists()
    assert "for 96x1" in run(home, "upgrade-script", str(tmp_path / "depot"), "--family", "96x1", code=1)
