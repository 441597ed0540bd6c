"""The sample scripts and settings of a new installation, and the made-up firmware for a scratch home."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mv_iptel.phones.boot import Servers, drive, dry, play
from mv_iptel.phones.families import MODELS, Handset
from mv_iptel.phones.lint import Folder, lint
from mv_iptel.phones.sample import made_up, write_firmware
from mv_iptel.phones.script import parse

DATA = Path(__file__).resolve().parents[2] / "data"
FOLDERS = ("TFTPdata", "HTTPdata", "HTTPSdata")
TOLD = {
    "tftp": Servers(tftp=("s",)),
    "http": Servers(http=("s",)),
    "https": Servers(http=("s",), https=("s",)),
}


def problems(directory, elsewhere=()):
    found = lint(Folder.read(directory, elsewhere=elsewhere))
    return [str(one) for one in found if one.severity != "info"]


@pytest.fixture
def fresh(tmp_path):
    """A fresh home's data directories, with what init puts beside the samples."""
    for name in FOLDERS:
        shutil.copytree(DATA / name, tmp_path / name)
    (tmp_path / "HTTPdata" / "mv_ca.txt").write_bytes(b"ca")
    return tmp_path


def boot(directory, model, signalling=""):
    handset = Handset(model, signalling=signalling)
    return drive(play(handset, TOLD[handset.family.protocol]), dry(directory))


SAMPLES = [path for folder in (*FOLDERS, "docs") for path in (DATA / folder).glob("*.[st]*")]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_sample_is_clean(path):
    text = path.read_bytes()
    script = parse(path.name, text)
    assert [each for each in script.statements if each.note] == []
    assert text.isascii()
    assert b"\t" not in text and b" \n" not in text
    assert max(map(len, text.splitlines())) <= 110
    firmware = [each for each in script.statements if each.name in ("APPNAME", "RFSNAME")]
    assert firmware == [], "a fresh installation names no firmware"


def test_a_fresh_installation_has_no_problems(fresh):
    for name, elsewhere in (("TFTPdata", ()), ("HTTPdata", ()), ("HTTPSdata", [fresh / "HTTPdata"])):
        assert problems(fresh / name, elsewhere) == []


WITH_SCRIPT = [model for model in MODELS if not model.startswith(("K1", "B189"))]


@pytest.mark.parametrize("model", WITH_SCRIPT)
def test_every_model_boots_from_a_fresh_installation(fresh, model):
    report = boot(fresh, model)
    assert report.booted.ready
    assert report.booted.reboots == 0
    assert [line.fetch.name for line in report.requests if line.got.result != "ok"] == []


@pytest.mark.parametrize("model", WITH_SCRIPT)
def test_every_model_loads_the_made_up_firmware(fresh, model):
    write_firmware([fresh / "TFTPdata", fresh / "HTTPdata"], 1000)
    report = boot(fresh, model)
    software = [line for line in report.requests if line.fetch.kind == "software"]
    assert report.booted.ready
    assert software and all(line.got.size == 1000 for line in software)


BACKUPS = {
    ("4621SW", ""): {"FTPSRVR": "@SERVER@"},
    ("1616", ""): {"BRURI": "http://@SERVER@:@HTTP_PORT@/"},
    ("9640", ""): {"BRURI": "https://@SERVER@:@HTTPS_PORT@/", "TRUSTCERTS": "mv_ca.txt"},
    ("9611G", ""): {"BRURI": "https://@SERVER@:@HTTPS_PORT@/", "TRUSTCERTS": "mv_ca.txt"},
    ("J179", ""): {"TRUSTCERTS": "mv_ca.txt"},
    ("9611G", "SIP"): {"TRUSTCERTS": "mv_ca.txt"},
    ("9640", "SIP"): {"TRUSTCERTS": "mv_ca.txt"},
}


@pytest.mark.parametrize("model", BACKUPS, ids="-".join)
def test_backups_trust_and_snmp_are_switched_on(fresh, model):
    parameters = boot(fresh, *model).booted.parameters
    names = [name for name in ("FTPSRVR", "BRURI", "TRUSTCERTS") if name in parameters]
    assert {name: parameters[name].value for name in names} == BACKUPS[model]
    assert parameters["SNMPADD"].value == "@SERVER@"
    assert parameters["SNMPSTRING"].value == "@COMMUNITY@"


def test_a_4600_over_http_gets_its_own_settings(fresh):
    report = drive(play(Handset("4621SW"), TOLD["http"]), dry(fresh))
    assert set(report.booted.parameters) == {"SNMPADD", "SNMPSTRING", "FTPSRVR"}


def test_firmware_is_the_same_each_time_and_scripts_become_live(fresh):
    written = write_firmware([fresh / "TFTPdata"], 5000, 7)
    assert [path.name for path in written] == ["4600_example_2_9_1.app"]
    assert written[0].read_bytes() == made_up(written[0].name, 5000, 7)
    assert made_up("a", 10, 7) != made_up("a", 10, 8) != made_up("b", 10, 8)
    script = (fresh / "TFTPdata" / "46xxupgrade.scr").read_text()
    assert "\nSET APPNAME 4600_example_2_9_1.app\n" in script
    assert problems(fresh / "TFTPdata") == []
    assert write_firmware([fresh / "TFTPdata"], 5000, 7) == [], "a live line is left alone"


def test_only_the_named_scripts_order_firmware(fresh):
    written = write_firmware([fresh / "HTTPdata"], 10, scripts=["96xxupgrade.txt"])
    assert sorted(path.name for path in written) == ["96x0_example_3_2_1.bin", "SIP96x0_example_2_6_17.bin"]
    assert boot(fresh, "9611G").booted.reboots == 0
