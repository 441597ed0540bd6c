"""The command sim boot: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mv_iptel.cli.sim import sim

DATA = Path(__file__).resolve().parents[2] / "data"


def run(*arguments: object):
    return CliRunner().invoke(sim, [str(each) for each in arguments])


def test_a_dry_boot_is_printed():
    done = run("boot", "--model", "9611g", "--dry", DATA, "--trace", "--group", "2")
    assert done.exit_code == 0
    assert "https:411" in done.stdout
    assert "96x1Hupgrade.txt" in done.stdout
    assert "46xxsettings.txt:39  IF $MODEL4 SEQ 9611 GOTO SETTINGS96X1  -> true, jumps" in done.stdout
    assert "9611G booted: ready" in done.stdout


def test_a_dry_boot_as_json():
    done = run("boot", "--model", "4621SW", "--dry", DATA, "--json", "--ports-offset", 6000)
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert [(each["port"], each["file"]) for each in told["requests"]] == [
        (6069, "46xxupgrade.scr"), (6069, "46xxsettings.txt"),
    ]  # fmt: skip
    assert told["parameters"]["FTPSRVR"]["line"] == 10


def test_not_ready_is_a_negative_answer(tmp_path):
    done = run("boot", "--model", "4621SW", "--dry", tmp_path)
    assert done.exit_code == 1
    assert "NOT READY" in done.stdout
    (tmp_path / "46xxupgrade.scr").write_text("SET APPNAME gone.app\nGET 46xxsettings.txt\n")
    done = run("boot", "--model", "4621SW", "--dry", tmp_path)
    assert done.exit_code == 1
    assert "gone.app" in done.stdout and "46xxupgrade.scr:1" in done.stdout


def test_no_server_answers():
    done = run("boot", "--model", "4621SW", "--ports-offset", 59_000, "--patience", 1)
    assert done.exit_code == 3
    done = run("boot", "--model", "1616", "--http-port", 1)
    assert done.exit_code == 3
    assert "connection refused" in done.stdout


USAGE = {
    "model": ("boot", "--model", "9999"),
    "signalling": ("boot", "--model", "1616", "--sig", "SIP"),
    "mac": ("boot", "--mac", "00:04"),
    "group": ("boot", "--group", "1000"),
    "directory": ("boot", "--dry", "/no/such/place"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage(case):
    done = run(*USAGE[case])
    assert done.exit_code == 2
    assert done.stderr.strip()


def test_a_file_that_is_no_certificate(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    done = run("boot", "--model", "9640", "--ca", tmp_path / "ca.pem")
    assert done.exit_code == 2
    assert "no certificate" in done.stderr


def test_help_has_examples():
    done = run("boot", "--help")
    assert "Examples:" in done.stdout
    assert "Exit codes:" in done.stdout
