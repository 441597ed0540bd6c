"""Which line sent a phone to a file that is not there: in why, in why NUMBER and in phones show."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.cli.leads import Leads, words
from mv_iptel.config import load
from mv_iptel.home import Home
from mv_iptel.inventory import Inventory
from tests.clients.daemon import free_ports, set_keys
from tests.happened import known, refused

MAC = "00040d112233"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A home whose scripts send a 9640 to files that are not there, and what the inventory saw of that."""
    home = Home(tmp_path_factory.mktemp("home"))
    CliRunner().invoke(group, ["init", str(home.root), "--address", "127.0.0.1"])
    set_keys(home.ini, {("Settings", "StatusPort"): free_ports(1)[0]})
    (home.http_data / "HTTP_allow_IP.txt").unlink(missing_ok=True)
    (home.http_data / "96xxupgrade.txt").write_text("SET APPNAME app.bin\nGET 46xxsettings.txt\n")
    text = (
        "IF $GROUP SEQ 5 GOTO FIVE\nGOTO END\n# FIVE\nSET SCREENSAVER five.jpg\n# END\nSET LANGSYS german.txt"
    )
    (home.http_data / "46xxsettings.txt").write_text(text)
    (home.http_data / "96x1Supgrade.txt").write_text("GET others.txt\n")
    missing = {
        "mac": MAC,
        "model": "9640",
        "reason": "no-file",
        "detail": "no such file",
        "source": "",
        "line": 0,
    }
    now = time.time() - 60
    inventory = Inventory(home.database)
    inventory.receive(
        [
            known(1, time=now, name="96xxupgrade.txt"),
            refused(2, time=now + 1, name="app.bin", **missing),
            refused(3, time=now + 2, name="german.txt", **missing),
        ]
    )
    inventory.close()
    return home


def run(site, *arguments, code=0):
    done = CliRunner().invoke(group, [*arguments, "--home", str(site.root)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_the_line_that_this_phone_reads(site):
    leads = Leads(load(site))
    phone = {"key": MAC, "mac": MAC, "model": "9640", "runs": "", "files": ()}
    found = leads.line("German.TXT", phone)
    assert words(found) == "46xxsettings.txt:6 (LANGSYS) sent it there"
    assert leads.line("five.jpg", phone)["line"] == 4  # in group 5, for all that is known
    assert leads.line("unheard.of", phone) is None


def test_a_line_that_somebody_reads(site):
    leads = Leads(load(site))
    phone = {"key": MAC, "mac": MAC, "model": "9640", "runs": "", "files": ()}
    for who in (None, phone, {**phone, "key": "x", "model": "strange"}):
        found = leads.line("others.txt", who)
        assert words(found).startswith("96x1Supgrade.txt:1 (GET) names that file; whether")


def test_why_says_it(site):
    shown = run(site, "why", "192.0.2.17", "app.bin", code=1)
    assert "96xxupgrade.txt:1 (APPNAME) sent it there" in shown
    told = json.loads(run(site, "why", "192.0.2.17", "app.bin", "--json", code=1))
    assert told["sent_by"] == {"file": "96xxupgrade.txt", "line": 1, "by": "APPNAME", "sure": True}
    assert "sent_by" not in json.loads(run(site, "why", "192.0.2.17", "46xxsettings.txt", "--json"))


def test_why_says_it_of_a_number(site):
    assert "46xxsettings.txt:6 (LANGSYS) sent it there" in run(site, "why", "3")


def test_phones_show_says_it(site):
    shown = run(site, "phones", "show", MAC)
    assert "96xxupgrade.txt:1 (APPNAME) sent it there" in shown
    assert "46xxsettings.txt:6 (LANGSYS) sent it there" in shown
    rows = json.loads(run(site, "phones", "show", MAC, "--json"))["timeline"]
    assert [row["sent_by"]["line"] for row in rows if "sent_by" in row] == [1, 6]
