"""`mv-iptel standby`: what it prints, writes and ends with."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.home import CHECK_FILE, Home
from tests.standby.test_converting import HA_CF, KEYS, RESOURCES


def run(*arguments: object):
    return CliRunner().invoke(group, ["standby", *map(str, arguments)])


@pytest.fixture
def old(tmp_path):
    paths = [tmp_path / name for name in ("ha.cf", "haresources", "authkeys")]
    for path, text in zip(paths, (HA_CF, RESOURCES, KEYS), strict=True):
        path.write_text(text)
    return paths


def test_convert_prints_the_file_alone(old):
    done = run("convert", *old)
    assert done.exit_code == 1  # there is something to decide
    assert done.stdout.startswith("# keepalived")
    assert done.stdout.endswith("}\n")
    assert "decision" in done.stderr
    assert "decision" not in done.stdout


def test_convert_writes_and_replaces_only_when_told(old, tmp_path):
    out = tmp_path / "keepalived.conf"
    done = run("convert", *old, "--out", out, "--interface", "eth9")
    assert done.exit_code == 1
    assert "interface eth9" in out.read_text()
    assert run("convert", *old, "--out", out).exit_code == 2
    assert "interface eth9" in out.read_text()
    assert run("convert", *old, "--out", out, "--force").exit_code == 1
    assert "interface eth1" in out.read_text()
    assert [path.read_text() for path in old] == [HA_CF, RESOURCES, KEYS]


def test_convert_as_json(old):
    told = json.loads(run("convert", *old, "--json").stdout)
    assert told["configuration"].startswith("# keepalived")
    assert {"file", "what", "value", "outcome", "text"} == set(told["rows"][0])
    assert any(finding["file"] == "authkeys" for finding in told["findings"])


@pytest.mark.parametrize(
    "more",
    [("--address", "EY-FTP1"), ("--address", "EY-FTP1=here"), ("--interface", "a b"), ("--router-id", "0"),
     ("--address", "EY-FTP1=192.0.2.1")],
)  # fmt: skip
def test_what_is_wrong_ends_with_2(old, more):
    assert run("convert", *old, *more).exit_code == 2


def test_files_that_are_not_there(tmp_path):
    assert run("convert", tmp_path / "a", tmp_path / "b").exit_code == 1


def test_check(tmp_path):
    assert run("check", "--home", tmp_path).exit_code == 2
    home = Home(tmp_path)
    home.bin.mkdir(parents=True)
    home.ini.write_text("[HTTPS]\nRunHTTPS=1\nHTTPSPort=1\n")
    (tmp_path / CHECK_FILE).write_text("x")
    done = run("check", "--home", tmp_path, "--limit", "0.2")
    assert (done.exit_code, "nobody listens" in done.output) == (1, True)
    told = json.loads(run("check", "--home", tmp_path, "--limit", "0.2", "--json").stdout)
    assert told["good"] is False
    assert told["downloads"][0]["port"] == 1
