"""The command `firmware scan`: what it shows, writes and keeps, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.config import load
from mv_iptel.config.editing import changed
from mv_iptel.inventory import Inventory
from tests.firmware.field import COMMUNITY, Field, j100, sip96x0
from tests.happened import finished

NEW, OLD = "FW_S_J179_R4_1_3_0_6.bin", "FW_S_J179_R4_0_0_0_1.bin"


def scan(home, *words):
    done = CliRunner().invoke(group, ["firmware", "scan", "--home", str(home.root), *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture
def here(site):
    """A home whose agents are those of a field: `here(phones)` is its context."""

    def make(phones):
        field = Field(phones)
        keys = {("SNMP", "SNMPPort"): str(field.port), ("SNMP", "Community"): COMMUNITY,
                ("SNMP", "SNMPTimeout"): "1", ("SNMP", "SNMPRetries"): "1"}  # fmt: skip
        site.ini.write_text(changed(site.ini.read_text("utf-8"), keys), "utf-8")
        (load(site).http.http_dir / "J100Supgrade.txt").write_text(
            f"SET APPNAME {NEW}\nGET 46xxsettings.txt\n"
        )
        return field

    return make


def test_all_is_well(site, here):
    with here({"127.9.1.1": j100()}):
        done = scan(site, "--net", "127.9.1.1")
    assert done.exit_code == 0, done.output
    assert (
        "1 address asked" in done.stdout
        and "1 phone answered" in done.stdout
        and "1 compliant" in done.stdout
    )
    assert "127.9.1.1" not in done.stdout  # there is nothing to see
    assert "not kept in the inventory: only the server writes it, and it does not run" in done.stderr


def test_where_nobody_answers_it_says_what_phones_answer_to(site, here):
    with here({}):
        said = scan(site, "--net", "127.9.1.9").stdout
    assert "0 phones answered" in said and "SNMPADD" in said


def test_what_there_is_to_see(site, here):
    with here(
        {"127.9.1.1": j100(software=OLD), "127.9.1.2": sip96x0(), "127.9.1.3": j100(), "127.9.1.4": "path"}
    ):
        done = scan(site, "--net", "127.9.1.1-127.9.1.5")
        everyone = scan(site, "--net", "127.9.1.1-127.9.1.5", "--all")
    assert done.exit_code == 1
    assert f"pending 127.9.1.1 - 4711 J179 {OLD} {NEW} ordered" in " ".join(done.stdout.split())
    assert "00:04:0d:00:00:01" in done.stdout and "127.9.1.3" not in done.stdout
    assert "weak" in done.stdout and "[96x0-sip-tls-1.0]" in done.stdout and "(inferred)" in done.stdout
    assert "127.9.1.3" in everyone.stdout and ".." not in everyone.stdout


def test_as_json(site, here):
    with here({"127.9.1.1": j100(software=OLD), "127.9.1.2": sip96x0()}):
        done = scan(site, "--net", "127.9.1.0/29", "--json")
    told = json.loads(done.stdout)
    assert (told["asked"], told["answered"], told["kept"]) == (6, 2, False)
    assert told["states"]["pending"] == 1 and sum(told["states"].values()) == 2
    (one,) = [row for row in told["phones"] if row["address"] == "127.9.1.1"]
    assert (one["runs"], one["ordered"], one["ordered_by"]) == (OLD, NEW, "J100Supgrade.txt:1")
    (other,) = [row for row in told["phones"] if row["address"] == "127.9.1.2"]
    assert other["advisories"][0]["id"] == "96x0-sip-tls-1.0" and other["advisories"][0]["confirmed"]
    assert COMMUNITY not in done.output


def test_as_csv(site, here, tmp_path):
    with here({"127.9.1.1": j100(model="=J179", software=OLD), "127.9.1.2": sip96x0()}):
        done = scan(site, "--net", "127.9.1.1-127.9.1.2", "--csv", "-")
        filed = scan(site, "--net", "127.9.1.1-127.9.1.2", "--csv", str(tmp_path / "phones.csv"))
    for text in (done.stdout, (tmp_path / "phones.csv").read_text()):
        rows = {row["address"]: row for row in csv.DictReader(io.StringIO(text))}
        assert sorted(rows) == ["127.9.1.1", "127.9.1.2"]
        assert rows["127.9.1.2"]["advisories"] == "96x0-sip-tls-1.0 96x0-out-of-support"
        assert rows["127.9.1.1"]["model"] == "" and rows["127.9.1.1"]["runs"] == OLD
    assert "asked in" in filed.stdout


def test_the_inventory_is_asked_without_networks(site, here):
    with here({"127.9.1.1": j100()}):
        inventory = Inventory(load(site).settings.database)
        event = finished(peer="127.9.1.1", mac="00040d000001", model="J179", identified="agent")
        inventory.receive([replace(event, time=time.time() - 60)])
        inventory.close()
        done = scan(site, "--json")
        long_ago = scan(site, "--seen", "1s")
    told = json.loads(done.stdout)
    assert [row["mac"] for row in told["phones"]] == ["00040d000001"] and done.exit_code == 0
    assert "no phone is known" in long_ago.stdout and long_ago.exit_code == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--net", "phones.example.org"], "is no address; write an address"),
        (["--net", "10.0.0.0/8"], "more than 65,536 addresses"),
        (["--rate", "0"], "rate"),
        (["--stuck", "soon"], "--stuck soon: a number"),
        (["--json", "--csv", "-"], "name a file"),
    ],
)
def test_what_cannot_be_done(site, words, text):
    done = scan(site, *words)
    assert done.exit_code == 2 and text in done.output


def test_a_mistake_in_the_sites_advisories_is_told(site, here):
    (site.ini.parent / "advisories.toml").write_text("schema = 7\n")
    with here({"127.9.1.1": j100()}):
        done = scan(site, "--net", "127.9.1.1")
    assert done.exit_code == 0 and "advisories.toml: schema is not 1" in done.stderr


def test_a_file_that_cannot_be_written(site, here, tmp_path):
    with here({"127.9.1.1": j100()}):
        done = scan(site, "--net", "127.9.1.1", "--csv", str(tmp_path / "none" / "x.csv"))
    assert done.exit_code == 2 and "No such file" in done.stderr
