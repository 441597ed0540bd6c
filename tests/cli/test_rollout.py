"""The command `rollout`: what it says beforehand, what it does, what it refuses, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.cli.rollout import rollout
from mv_iptel.firmware.releases import Releases
from mv_iptel.home import Home
from mv_iptel.inventory import Inventory
from mv_iptel.rollout import plans
from mv_iptel.rollout.plans import HALTED, Halt, Log, Met
from tests.happened import finished
from tests.rollout.rings import ID, staged

NEW_APP = "S9640_R9_0_0.bin"
PHONE = Met("00040d000001", "10.1.0.1", "00040d000001", "9640", 0, "loops", 1.0, True, "it loaded it thrice")


@pytest.fixture
def site(site: Home) -> Home:
    """A home with a release that orders new firmware for the 96x0, and a phone that was seen."""
    script = (site.http_data / "96xxupgrade.txt").read_bytes().replace(
        b"GET 46xxsettings.txt", f"SET APPNAME {NEW_APP}\nGET 46xxsettings.txt".encode()
    )  # fmt: skip
    assert NEW_APP.encode() in script
    staged(site, {"96xxupgrade.txt": script, NEW_APP: b"x" * 1_000_000}, places=("HTTPdata",))
    inventory = Inventory(site.database)
    mac = {"mac": PHONE.mac, "model": "9640", "peer": PHONE.address, "identified": "agent"}
    inventory.receive([finished(1, **mac)])
    inventory.close()
    return site


def run(home: Home, *words: str, code: int = 0, answers: str | None = None) -> str:
    done = CliRunner().invoke(rollout, [*words, "--home", str(home.root)], input=answers)
    assert done.exit_code == code, done.output
    return done.output


def told(home: Home, *words: str, code: int = 0) -> dict:
    return json.loads(run(home, *words, "--json", code=code))


def begin(home: Home, *words: str) -> dict:
    return told(home, "start", ID, *(words or ("--group", "5")))


def test_what_a_plan_says(site):
    found = told(site, "plan", ID, "--to", "10.1.0.0/16", "--stage", "group=5", "--bandwidth", "8")
    assert found["scripts"] == ["96xxupgrade.txt"] and found["against"] == [] == found["losses"]
    first, second, rest = found["stages"]
    assert (first["who"], first["phones"], first["bytes"]) == ("10.1.0.0/16", 1, 1_000_000)
    assert first["seconds"] == 1.0
    assert (second["phones"], second["asked"], rest["who"]) == (0, 0, "everybody else")
    assert told(site, "plan", ID, "--group", "5")["stages"][0]["asked"] == 1
    said = run(site, "plan", ID, "--to", "10.1.0.0/16", "--bandwidth", "0.1")
    assert "96xxupgrade.txt" in said and "80 s" in said and "everybody else: it is published" in said
    assert plans.load(site) is None


def test_a_plan_says_who_loses_firmware(site):
    broken = b"SET APPNAME gone.bin\nGET 46xxsettings.txt\n"
    staged(site, {"96xxupgrade.txt": broken}, "bad-01234567", ("HTTPdata",))
    found = told(site, "plan", "bad", "--group", "5", code=1)
    assert found["losses"] or found["against"]
    assert "gone.bin" in run(site, "plan", "bad", "--group", "5", code=1)
    assert "nothing was changed" in run(site, "start", "bad", "--group", "5", code=1)
    assert plans.load(site) is None


def test_from_start_to_the_end(site):
    begun = begin(site, "--group", "5", "--stage", "to=10.1.0.0/16")
    assert (begun["state"], begun["stage"], begun["stages"]) == ("running", 1, ["group 5", "10.1.0.0/16"])
    assert (site.http_data / NEW_APP).is_file()
    assert NEW_APP not in (site.http_data / "96xxupgrade.txt").read_text()
    assert "is running" in run(site, "status") and Releases(site).get(ID).state == "ring"
    assert "is paused" in run(site, "pause")
    run(site, "status", code=1)
    assert "paused" in run(site, "promote", code=1)
    assert "goes on" in run(site, "start", ID[:-9])
    assert "stage 2 of 2: 10.1.0.0/16" in run(site, "promote")
    assert "is published to every phone" in run(site, "promote")
    assert NEW_APP in (site.http_data / "96xxupgrade.txt").read_text()
    assert told(site, "status")["state"] == "done" and Releases(site).get(ID).state == "published"
    refused = told(site, "promote", code=1)
    assert not refused["done"] and "no roll-out is under way" in refused["why"][0]
    assert run(site, "pause", code=1) == "no roll-out is under way; begin one with `mv-iptel rollout start`\n"


def test_a_halt_is_shown_with_its_phones(site):
    begun = begin(site)
    log = Log(plans.log_of(site, begun["run"]))
    log.write([PHONE, PHONE._replace(key="10.1.0.2", address="10.1.0.2", mac="", counts=False)])
    log.write([Halt(plans.load(site).changed + 1, "1 in a boot loop")])
    said = run(site, "status", code=1)
    assert "is halted" in said and "1 in a boot loop" in said and "10.1.0.1" in said
    assert "10.1.0.2" not in said and "10.1.0.2" in run(site, "status", "--all", code=1)
    found = told(site, "status", code=1)
    assert (found["state"], found["loops"], found["unknown"]) == (HALTED, 1, 1)
    assert found["by_stage"][0]["loops"] == 1 and found["phones"][0]["stage"] == 1
    assert f"rollout start {ID}" in said and "rollout abort" in said and "promote --force" in said
    assert "; --force" in run(site, "promote", code=1)
    assert "goes on as it was begun" in run(site, "start", ID, "--group", "6", code=2)


def test_abort_asks_first(site):
    begun = begin(site)
    Log(plans.log_of(site, begun["run"])).write([PHONE])
    assert "1 phone with the new scripts" in run(site, "abort", code=1, answers="n\n")
    run(site, "abort", "--json", code=2)
    assert plans.load(site).state == "running"
    assert "is aborted" in run(site, "abort", "--yes")
    assert Releases(site).get(ID).state == "staged" and not (site.http_data / NEW_APP).exists()
    assert told(site, "status", code=1)["state"] == "aborted"
    begin(site)


def test_a_model_that_there_is_not_is_told(site):
    """It may be one of tomorrow; a slip of the hand would wait for ever."""
    assert "no known model begins with 9999" in run(site, "plan", ID, "--model", "9999")
    assert "no known model" not in run(site, "plan", ID, "--model", "96", "--stage", "model=9640d01a")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("start", ID), 2),
        (("start", ID, "--group", "1000"), 2),
        (("start", ID, "--to", "10.1.0.0/77"), 2),
        (("start", ID, "--stage", "who=me"), 2),
        (("start", ID, "--group", "5", "--max-failures", "many"), 2),
        (("start", ID, "--group", "5", "--max-failures", "101%"), 2),
        (("start", ID, "--group", "5", "--max-failures", "-1"), 2),
        (("start", "nothing", "--group", "5"), 1),
        (("plan", "nothing", "--group", "5"), 1),
        (("plan", ID), 2),
        (("pause",), 1),
        (("promote",), 1),
        (("abort",), 1),
        (("status",), 1),
    ],
)
def test_what_is_refused(site, words, code):
    run(site, *words, code=code)
    assert plans.load(site) is None


@pytest.mark.parametrize(
    ("text", "limits"),
    [("0", (1, 5.0, 0)), ("12", (1, 5.0, 12)), ("2.5%", (-1, 2.5, -1)), ("", (1, 5.0, -1))],
)
def test_how_much_may_go_wrong(site, text, limits):
    begin(site, "--group", "5", *(("--max-failures", text) if text else ()))
    assert plans.load(site).limits == limits


def test_a_script_that_the_site_changed_wants_an_answer(site):
    path = site.http_data / "96xxupgrade.txt"
    path.write_bytes(b"IF $GROUP SEQ 876 GOTO VPN\n" + path.read_bytes() + b"# VPN\nGET 46xxvpn.scr\n")
    said = run(site, "start", ID, "--group", "5", code=1)
    assert "against it" in said and "--keep, --replace or --merge" in said
    begin(site, "--group", "5", "--replace", "--despite-losses", "--despite-errors")
    assert plans.load(site).terms == ("replace", True, True)


def test_control_characters_of_a_file_do_not_reach_the_terminal(site):
    begin(site)
    found = replace(plans.load(site), state="paused", note="\x1b[31mred")
    plans.save(site, found)
    assert "\x1b[31m" not in run(site, "status", code=1)


def test_phones_show_tells_the_ring(site):
    def shown(*more: str) -> str:
        done = CliRunner().invoke(group, ["phones", "show", PHONE.mac, "--home", str(site.root), *more])
        assert done.exit_code == 0, done.output
        return done.output

    assert "roll-out" not in shown() and json.loads(shown("--json"))["rollout"] is None
    begun = begin(site)
    Log(plans.log_of(site, begun["run"])).write([PHONE])
    assert f"{ID} (running), stage 1: in a boot loop, it loaded it thrice" in shown()
    told = json.loads(shown("--json"))["rollout"]
    assert (told["release"], told["stage"], told["fate"]) == (ID, 1, "loops")
    run(site, "abort", "--yes")
    assert "roll-out" not in shown()
