"""What all commands share: the home, JSON, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mv_iptel.cli.options import NEGATIVE, USAGE, common, end, failed, print_json
from mv_iptel.home import Home


@click.command()
@common
def show(home: Home, as_json: bool) -> None:
    """A command for this test."""
    print_json({"home": home.root, "json": as_json})


def said(*arguments: str, **environment: str) -> dict:
    done = CliRunner().invoke(show, arguments, env=environment)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_home_is_the_option_else_the_environment(tmp_path):
    assert said("--home", str(tmp_path), MV_IPTEL_HOME="/elsewhere")["home"] == str(tmp_path)
    assert said(MV_IPTEL_HOME=str(tmp_path))["home"] == str(tmp_path)
    assert said("--home", "here")["home"] == str(Path("here").absolute())


def test_json_is_a_switch(tmp_path):
    assert said("--home", str(tmp_path), "--json")["json"] is True
    assert said("--home", str(tmp_path))["json"] is False


def test_what_json_does_not_know_becomes_text(capsys):
    print_json({"path": Path("a/b"), "umlaut": "ü"})
    assert json.loads(capsys.readouterr().out) == {"path": "a/b", "umlaut": "ü"}


@pytest.mark.parametrize("code", [NEGATIVE, USAGE])
def test_the_end_says_why_on_the_error_stream(code, capsys):
    with pytest.raises(SystemExit) as ended:
        end(code, "46xxsettings.txt [is] missing")
    assert ended.value.code == code
    out, err = capsys.readouterr()
    assert out == "" and "46xxsettings.txt [is] missing" in err  # no markup of what phones sent


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "/srv/x"), USAGE,
         "nothing was changed: /srv/x: Permission denied; run as the server's user or in its group"),
        (OSError(28, "No space left on device", "/srv/x"), NEGATIVE,
         "nothing was changed: /srv/x: No space left on device"),
        (OSError("odd"), NEGATIVE, "nothing was changed: odd"),
    ],
)  # fmt: skip
def test_a_fault_of_the_disk_says_where_and_what_helps(error, code, said, capsys):
    with pytest.raises(SystemExit) as ended:
        failed(error, "nothing was changed")
    assert ended.value.code == code
    assert " ".join(capsys.readouterr().err.split()) == said


def test_no_control_character_reaches_a_terminal(capsys):
    """Names and texts are what phones, scripts and file names hold: C1 codes, and names that are no UTF-8."""
    hostile = "\x1b[2J\x9b2J\u202e\x7f\udcff\u2028"
    print_json({"text": hostile, "umlaut": "ü"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": hostile, "umlaut": "ü"}
    assert "ü" in out and out.replace("\n", "").isprintable()
    with pytest.raises(SystemExit):
        end(NEGATIVE, f"first line\n{hostile}")
    err = capsys.readouterr().err
    assert len(err.split("\n")) == 3 and err.replace("\n", "").isprintable()
