"""The command explain: value, lines, default, and what it says of settings that do not count."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mv_iptel.cli.explain import explain

FILES = {
    "96x1Hupgrade.txt": "GET 46xxsettings.txt\n",
    "J100Supgrade.txt": "GET 46xxsettings.txt\n",
    "46xxsettings.txt": """\
SET HTTPPORT 81
SET HTTPPORT 82
SET HTTPPORT 99999
SET SNMPSTRING topsecret
IF $GROUP SEQ 876 GOTO VPN
SET HTTPPORT 83
IF $MACADDR SEQ 00040d112233 GOTO END
SET LANGUAGES a.xml
SET L2QVLAN 7
SET BRURI https://me:word@192.0.2.1:411/
GOTO END
# VPN
SET NVIKEIDTYPE 1
SET NVVPNCFGPROF 3
# END
""",
}


@pytest.fixture
def run(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "a.xml").write_text("")

    def run(*arguments, code=0):
        done = CliRunner().invoke(explain, [*arguments, "--dir", str(tmp_path)])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def test_value_lines_and_default(run):
    shown = run("httpport", "--model", "9611g").stdout.splitlines()
    assert shown[0] == "HTTPPORT  on a 9611G (96x1) in group 0"
    assert [line.split() for line in shown[1:6]] == [
        ["value", "83"],
        ["set", "by", "46xxsettings.txt:6", "SET", "HTTPPORT", "83"],
        ["overrode", "46xxsettings.txt:2", "SET", "HTTPPORT", "82"],
        ["46xxsettings.txt:1", "SET", "HTTPPORT", "81"],
        shown[5].split(),
    ]
    assert (
        shown[5].startswith("  failed    46xxsettings.txt:3  SET HTTPPORT 99999: ")
        and "too large" in shown[5]
    )
    assert any(line.split() == ["default", "80"] for line in shown)


def test_lines_that_this_phone_does_not_come_to(run):
    shown = run("HTTPPORT", "--model", "9611G", "--group", "876").stdout
    assert "value     82" in shown and "not read  46xxsettings.txt:6  SET HTTPPORT 83" in shown


def test_nothing_sets_it(run):
    assert "60, the default: no line sets it" in run("VLANTEST", "--model", "9611G").stdout


def test_a_setting_that_the_family_ignores(run):
    done = run("LANGUAGES", "--model", "9611G", code=1)
    assert "none: this phone does not take it" in done.stdout
    assert "ignored   46xxsettings.txt:8  SET LANGUAGES a.xml: a 96x1 does not take LANGUAGES" in done.stdout
    assert "a.xml" in run("LANGUAGES", "--model", "J179").stdout


def test_the_phone_is_what_the_options_say(run):
    assert json.loads(run("L2QVLAN", "--model", "9611G", "--json").stdout)["value"] == "7"
    with_mac = run("L2QVLAN", "--model", "9611G", "--mac", "00:04:0D:11:22:33", "--json")
    assert json.loads(with_mac.stdout)["source"] == "default"
    assert "scripts ask for the MAC 00040d112233" in run("L2QVLAN", "--model", "9611G").stdout


def test_secrets_stay_hidden(run):
    for arguments in (("SNMPSTRING",), ("BRURI",), ("SNMPSTRING", "--json"), ("BRURI", "--json")):
        shown = run(*arguments, "--model", "9611G").stdout
        assert "topsecret" not in shown and "me:word@" not in shown
    assert "https://...@192.0.2.1:411/" in run("BRURI", "--model", "9611G").stdout


def test_what_a_profile_writes(run):
    shown = run("NVIKEIDTYPE", "--model", "9611G", "--group", "876").stdout
    assert "as the profile of NVVPNCFGPROF sets it" in shown and "overrode  46xxsettings.txt:13" in shown


def test_another_spelling(run):
    shown = run("SNMPSTAT", "--model", "9611G").stdout
    assert shown.startswith("SNMPSTRING ") and "an older guide's name" in shown


def test_json(run):
    told = json.loads(run("HTTPPORT", "--model", "9611G", "--json").stdout)
    assert told["set_by"] == {"file": "46xxsettings.txt", "line": 6} and told["default"] == "80"
    assert [each["what"] for each in told["lines"]] == ["overridden", "overridden", "rejected", "set"]
    assert told["scripts"] == ["96x1Hupgrade.txt", "46xxsettings.txt"] and told["taken"] == "yes"


def test_a_phone_that_finds_no_script(run):
    done = run("L2QVLAN", "--model", "9640", code=1)
    assert "there is no 96xxupgrade.txt" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("MCIPADDR", "--model", "9611G"), 1, "did you mean MCIPADD"),
        (("MCIPADD", "--model", "9999"), 2, "no phone model 9999"),
        (("MCIPADD", "--model", "9611G", "--group", "x"), 2, "0 to 999"),
        (("MCIPADD",), 2, "--model"),
    ],
)
def test_what_is_asked_wrongly(run, arguments, code, said):
    assert said in run(*arguments, code=code).stderr


def test_a_home(tmp_path):
    from mv_iptel.cli import group

    CliRunner().invoke(group, ["init", str(tmp_path), "--address", "192.0.2.7"])
    done = CliRunner().invoke(explain, ["BRURI", "--model", "9611G", "--home", str(tmp_path)])
    assert done.exit_code == 0 and "https://192.0.2.7:411/" in done.stdout
    assert (
        CliRunner().invoke(explain, ["BRURI", "--model", "9611G", "--home", str(tmp_path / "x")]).exit_code
        == 2
    )


def test_nothing_of_a_script_reaches_the_terminal_raw(run, tmp_path):
    hostile = "\x1b[31m\x9b2J\u202e"
    text = f"IF $MACADDR SEQ {hostile} GOTO {hostile}\nSET L2QVLAN {hostile}\nSET X{hostile} 1\n"
    (tmp_path / "46xxsettings.txt").write_text(text)
    shown = run("L2QVLAN", "--model", "9611G").stdout
    assert "scripts ask for the MAC" in shown and shown.replace("\n", "").isprintable()
    assert run(f"X{hostile}", "--model", "9611G", code=1).output.replace("\n", "").isprintable()
