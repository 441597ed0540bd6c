"""The command `serve`: what it refuses before it starts; a running one is in tests/test_daemon.py."""

from __future__ import annotations

import json

from click.testing import CliRunner

from mv_iptel.cli.serve import _Console, _Lines, serve
from mv_iptel.home import Home
from tests.happened import finished


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(serve, arguments)
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


def test_without_an_installation_both_ways_out_are_named(tmp_path):
    said = refused("--home", str(tmp_path))
    assert f"mv-iptel init {tmp_path}" in said and "mv-iptel serve --dir" in said


def test_a_folder_that_is_not_there(tmp_path):
    assert "does not exist" in refused("--dir", str(tmp_path / "missing"))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "fw.bin").write_bytes(b"x")
    assert "is a file" in refused("--dir", str(tmp_path / "fw.bin"))


def test_an_offset_goes_with_a_folder(tmp_path):
    assert "--ports-offset goes with --dir" in refused("--home", str(tmp_path), "--ports-offset", "6000")


def test_every_mistake_of_the_ini_is_told(tmp_path):
    home = Home(tmp_path)
    home.bin.mkdir(parents=True)
    home.ini.write_text("[TFTP]\nTrivialFTPPort=many\n[HTTP]\nHTTPPort=-1\n")
    said = refused("--home", str(tmp_path))
    assert "MV_IPTel.ini:2: [TFTP] TrivialFTPPort" in said and "MV_IPTel.ini:4: [HTTP] HTTPPort" in said


def test_no_name_is_markup_not_even_with_what_stands_behind_it(capsys):
    told = ["a]b[/red", "a]b[red", "[link=http://phones.example]x", "\x1b[31mred\u202e", "plain"]
    _Console().receive([finished(name=name, detail=f"there is no {name!r}") for name in told])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(told)
    for name, line in zip(told[:3], lines, strict=False):
        assert f" {name}  3,069 octets in 0.00 s there is no {name!r}" in line
    assert all(line.isprintable() for line in lines)


def test_with_json_each_event_is_a_line(capsys):
    _Lines().receive([finished(1, name="a\nb"), finished(2)])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["event"], one["id"], one["name"]) for one in told] == [
        ("finished", 1, "a\nb"), ("finished", 2, "46xxsettings.txt"),
    ]  # fmt: skip
