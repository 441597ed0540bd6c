"""The command params: what it prints of the table, its JSON, and its exit codes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mv_iptel.cli.params import params
from mv_iptel.phones.parameters import names, parameters, variables


def run(*arguments: object):
    return CliRunner().invoke(params, [str(each) for each in arguments])


def test_search_shows_what_is_found():
    done = run("search", "community")
    assert done.exit_code == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("SNMPSTRING"))
    assert line.split()[1:3] == ["text", '""']
    assert done.stdout.endswith("1 setting\n")


def test_search_wants_all_words():
    both = run("search", "vlan", "computer").stdout
    assert "PHY2VLAN" in both and "L2QVLAN" not in both


def test_search_for_one_family():
    done = run("search", "password", "--family", "j100-SIP", "--json")
    found = [each["name"] for each in json.loads(done.stdout)]
    assert "FORCE_WEB_ADMIN_PASSWORD" in found and "DIRPASSWORD" not in found
    assert (
        json.loads(run("search", "HTTPS", "port", "--family", "J100-sip", "--json").stdout)[0]["default"]
        == "443"
    )


def test_search_for_a_family_that_is_none():
    done = run("search", "vlan", "--family", "96x9")
    assert done.exit_code == 2
    assert "J100-sip" in done.stderr


def test_a_long_search_is_cut_short():
    short, full = run("search", "the"), run("search", "the", "--all")
    assert "more with --all" in short.stdout and "more with --all" not in full.stdout
    assert len(full.stdout.splitlines()) > len(short.stdout.splitlines()) > 60


def test_nothing_is_found():
    done = run("search", "MCIPADDR")
    assert done.exit_code == 1
    assert "did you mean MCIPADD" in done.stdout
    assert run("search", "no such thing", "--json").stdout == "[]\n"


def test_show_tells_everything():
    done = run("show", "nvvpncfgprof")
    assert done.exit_code == 0
    for words in (
        "NVVPNCFGPROF  VPN", "11  Nortel Contivity", "taken by       4600 96x0 96x1", "stands before",
        "96x1: one of 0, 2, 3, 5, 6, 8, 9, 11", "confirmed (families inferred)", "Presets that set it",
        "nortel-securid        Nortel Contivity, SecurID", "NORTELAUTH 3",
    ):  # fmt: skip
        assert words in done.stdout


def test_show_by_another_spelling():
    done = run("show", "SNMPSTAT")
    assert done.stdout.startswith("SNMPSTRING")
    assert "SNMPSTAT is an older guide's name" in done.stdout and "it is a secret" in done.stdout
    told = json.loads(run("show", "NVVLANTEST", "--json").stdout)
    assert told["name"] == "VLANTEST" and told["asked"]["name"] == "NVVLANTEST"


def test_show_a_variable():
    done = run("show", "$MODEL4")
    assert done.exit_code == 0
    assert "9608" in done.stdout and "IF tests it on 16xx" in done.stdout
    both = run("show", "GROUP").stdout
    assert "no file can set it" in both and "As a variable of scripts" in both


def test_show_what_is_a_name_only():
    done = run("show", "xsi_url")
    assert done.exit_code == 0 and "no more is known" in done.stdout
    assert json.loads(run("show", "WLAN_PASSWORD", "--json").stdout) == {
        "name": "WLAN_PASSWORD", "known": "name", "secret": True,
    }  # fmt: skip


def test_show_what_is_unknown():
    done = run("show", "MCIPADDR")
    assert done.exit_code == 1 and "did you mean MCIPADD?" in done.stderr
    assert "11xx" in run("show", "SERVER_IP1_1").stderr
    told = json.loads(run("show", "MCIPADDR", "--json").stdout)
    assert told["known"] is False and told["nearest"] == ["MCIPADD"]


def test_json_is_complete():
    told = json.loads(run("show", "REUSETIME", "--json").stdout)
    assert told["ranges"] == [[0, 0], [20, 999]] and told["unit"] == "s" and told["default"] == "60"
    assert told["families"]["96x1"] == "yes" and told["families"]["16xx"] == "unknown"
    assert told["mark"] == "confirmed" and told["from"] == ["file", "dhcp"]


@pytest.mark.parametrize("names", [sorted({*parameters(), *variables()}), sorted(names())[::37]])
def test_each_can_be_shown(names):
    for name in names:
        done = run("show", name)
        assert done.exit_code == 0 and done.stdout, name
        assert json.loads(run("show", name, "--json").stdout)["name"], name


def test_help_has_examples():
    for words in (("--help",), ("search", "--help"), ("show", "--help")):
        assert "mv-iptel params" in run(*words).stdout
