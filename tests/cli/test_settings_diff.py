"""The command settings-diff: a handful of lines for the whole inventory, the broken phones first."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.cli.settings_diff import settings_diff
from mv_iptel.home import Home
from mv_iptel.inventory import Inventory
from tests.happened import known

SETTINGS = """\
SET SNMPSTRING oldsecret
SET L2QVLAN 7
IF $GROUP SEQ 876 GOTO VPN
GOTO END
# VPN
SET NVVPNMODE 1
# END
"""


@pytest.fixture
def sides(tmp_path, monkeypatch):
    """Two directories, the second a copy of the first to be changed; and no home."""
    monkeypatch.setenv("MV_IPTEL_HOME", str(tmp_path / "none"))
    for side in ("old", "new"):
        (tmp_path / side).mkdir()
        for script in ("96x1Hupgrade.txt", "96x1Supgrade.txt", "96xxupgrade.txt", "46xxupgrade.scr"):
            (tmp_path / side / script).write_text("GET 46xxsettings.txt\n")
        (tmp_path / side / "46xxsettings.txt").write_text(SETTINGS)
    return tmp_path / "old", tmp_path / "new"


def run(*arguments, code):
    done = CliRunner().invoke(settings_diff, [str(one) for one in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def edit(folder, *pairs, name="46xxsettings.txt"):
    text = (folder / name).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (folder / name).write_text(text)


def test_no_change(sides):
    assert "No phone would notice anything." in run(*sides, code=0).stdout
    edit(sides[1], ("SET L2QVLAN", "## a comment\nSET L2QVLAN"))
    assert json.loads(run(*sides, "--json", code=0).stdout)["changed"] is False


def test_broken_phones_come_first(sides):
    edit(sides[1], ("L2QVLAN 7", "L2QVLAN 8"))
    edit(sides[1], ("GET", "SET APPNAME a.tar\nGET"), name="96x1Hupgrade.txt")
    lines = run(*sides, "--model", "9611G,4621SW", code=1).stdout.splitlines()
    assert lines[:3] == [
        "Would stop finding firmware, settings or files",
        "  9611G",
        "    APPNAME names a.tar, which is not there: it asks and restarts for ever  96x1Hupgrade.txt:1",
    ]
    assert lines[3:6] == [
        "Would have other settings", "  every phone", "    L2QVLAN  7 → 8  46xxsettings.txt:2",
    ]  # fmt: skip


def test_groups_that_scripts_ask_for(sides):
    edit(sides[1], ("NVVPNMODE 1", "NVVPNMODE 0"))
    shown = run(*sides, "--model", "9611G,4621SW", code=1).stdout
    assert "  every phone in group 876\n    NVVPNMODE  1 → 0  46xxsettings.txt:6\n" in shown
    assert run(*sides, "--model", "9611G,4621SW", "--group", "0,5", code=0)
    assert "every phone\n" in run(*sides, "--model", "9611G,4621SW", "--group", "876", code=1).stdout


def test_secrets_stay_hidden(sides):
    edit(sides[1], ("oldsecret", "newsecret"))
    edit(sides[1], ("# END", "# END\nSET SNMPSTRNG slip\nSET BRURI https://me:word@192.0.2.1/"))
    for more in ((), ("--json",)):
        shown = run(*sides, *more, code=1).stdout
        assert not any(word in shown for word in ("oldsecret", "newsecret", "slip", "word@"))
    shown = run(*sides, code=1).stdout
    assert "SNMPSTRING  (secret) → (secret), another one" in shown


def test_what_does_not_count_is_said(sides):
    edit(sides[1], ("L2QVLAN 7", "L2QVLAN 7\nSET L2QVLAN 9999\nSET LANGUAGES a.xml\nSET NOSUCHTHING 1"))
    shown = run(*sides, "--model", "9611G", code=1).stdout
    assert "L2QVLAN  SET to 9999 fails, 7 stays: " in shown
    assert "LANGUAGES  not set → a.xml  ignored: they do not take it" in shown
    assert "NOSUCHTHING  not set → 1  no such setting is known" in shown


def test_one_file_for_another(sides, tmp_path):
    draft = tmp_path / "draft.txt"
    draft.write_text(SETTINGS.replace("L2QVLAN 7", "L2QVLAN 8"))
    shown = run(sides[0] / "46xxsettings.txt", draft, "--model", "9611G", code=1).stdout
    assert "9611G\n    L2QVLAN  7 → 8  46xxsettings.txt:2" in shown and "No upgrade script" not in shown
    other = tmp_path / "other.txt"
    other.write_text(SETTINGS)
    shown = run(other, draft, "--model", "9611G", code=1).stdout
    assert "L2QVLAN  7 → 8  draft.txt:2" in shown and "No upgrade script leads to these files" in shown


def test_a_long_list_is_cut_short(sides):
    more = "".join(f"SET LANG{number}FILE x\nSET MYCERTURL_{number} http://x/\n" for number in range(1, 6))
    edit(
        sides[1],
        (
            "# END",
            f"# END\n{more}SET PHNLD 2\nSET PHNIC 00\nSET PHNCC 49\nSET VLANTEST 5\nSET L2QAUD 3",
        ),
    )
    short, full = (run(*sides, "--model", "9611G", *all_, code=1).stdout for all_ in ((), ("--all",)))
    assert "more; --all shows them" in short and "--all" not in full
    assert len(full.splitlines()) > len(short.splitlines())


def test_json(sides):
    edit(sides[1], ("L2QVLAN 7", "L2QVLAN 8"))
    edit(sides[1], ("GET", "GOTO X\nGET"), name="96x1Hupgrade.txt")
    told = json.loads(run(*sides, "--model", "9611G,4621SW", "--group", "0", "--json", code=1).stdout)
    assert told["changed"] and told["judged"] == "given" and told["kinds"] == 2
    (broken,) = told["breaks"]
    assert broken["who"] == "9611G" and broken["told"][0]["kind"] == "settings"
    assert broken["told"][0]["new_lines"] == [{"file": "96x1Hupgrade.txt", "line": 1}]
    (change,) = told["changes"]
    assert change["kinds"] == [{"family": "4600", "model": "4621SW", "group": "0", "mac": ""}]
    assert {key: change["told"][0][key] for key in ("name", "effect", "old", "new")} == {
        "name": "L2QVLAN", "effect": "effective", "old": "7", "new": "8",
    }  # fmt: skip


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    CliRunner().invoke(group, ["init", str(home.root), "--address", "127.0.0.1"])
    inventory = Inventory(home.database)
    now = time.time() - 100

    def seen(number, model, name, mac):
        return known(number, time=now + number, model=model, name=name, mac=mac, peer=f"192.0.2.{number}")

    inventory.receive(
        [
            *(seen(n, "9640", "96xxupgrade.txt", f"00040d0000{n:02x}") for n in range(1, 9)),
            seen(20, "9611G", "96x1Supgrade.txt", "00040d000020"),
            seen(21, "9611G", "96x1Hupgrade.txt", "00040d000021"),
            seen(22, "strange", "x.txt", "00040d000022"),
        ]
    )
    inventory.close()
    return home


def test_the_inventory(sides, home):
    edit(sides[1], ("L2QVLAN 7", "L2QVLAN 8\nSET SIPDOMAIN b.example"))
    shown = run(*sides, "--home", home.root, code=1).stdout
    assert "  10 phones: every phone\n    L2QVLAN  7 → 8" in shown
    assert "  1 phone: 9611G (SIP)\n    SIPDOMAIN" in shown
    assert "  9 phones: 9640, 9611G" in shown or "  9 phones: 9611G, 9640" in shown or "all 96x0" in shown
    assert "Not judged, for nobody knows their model: 1 (strange)" in shown
    told = json.loads(run(*sides, "--home", home.root, "--json", code=1).stdout)
    assert told["judged"] == "inventory" and told["phones"] == 10


def test_the_inventory_knows_no_groups(sides, home):
    edit(sides[1], ("NVVPNMODE 1", "NVVPNMODE 0"))
    shown = run(*sides, "--home", home.root, code=1).stdout
    assert "in group 876\n    NVVPNMODE" in shown and "The inventory does not know groups" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "9999"), "no phone model 9999"),
        (("--model", ","), "names no model"),
        (("--group", "0,x"), "0 to 999"),
        (("--mac", "00:04:0d:11:22:33"), "--mac goes with --model"),
    ],
)
def test_what_is_asked_wrongly(sides, arguments, said):
    assert said in run(*sides, *arguments, code=2).stderr


def test_what_is_not_there(sides, tmp_path):
    assert run(sides[0], tmp_path / "nothing", code=2)
    (tmp_path / "lone.txt").write_text("")
    assert "has no lone.txt" in run(sides[0], tmp_path / "lone.txt", code=2).stderr


def test_nothing_of_a_script_reaches_the_terminal_raw(sides):
    hostile = "\x1b[31m\x9b2J\u202e"
    edit(sides[1], ("SET L2QVLAN 7", f"SET X{hostile} 1\nSET L2QVLAN {hostile}\nSET APPNAME {hostile}.bin"))
    assert run(*sides, code=1).stdout.replace("\n", "").isprintable()
    assert run(*sides, "--json", code=1).stdout.replace("\n", "").isprintable()
