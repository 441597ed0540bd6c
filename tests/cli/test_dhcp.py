"""The command dhcp, as somebody types it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mv_iptel import config
from mv_iptel.cli.dhcp import dhcp
from mv_iptel.home import Home


def run(home: Home, *words: str):
    return CliRunner().invoke(dhcp, [*words, "--home", str(home.root)])


def test_lines_alone_on_standard_output(site):
    site.ini.write_text(
        config.changed(site.ini.read_text("utf-8"), {("TFTP", "TrivialFTPPort"): "69"}), "utf-8"
    )
    done = run(site, "--server", "dnsmasq", "--address", "192.0.2.10", "--call-server", "192.0.2.1")
    assert (
        done.stdout.startswith("# 242: ")
        and 'dhcp-option=242,"MCIPADD=192.0.2.1,HTTPSRVR=192.0.2.10' in done.stdout
    )
    assert all(line[0] in "#d" for line in done.stdout.splitlines())


def test_notes_and_the_exit_code(site):
    site.ini.write_text(
        config.changed(site.ini.read_text("utf-8"), {("TFTP", "TrivialFTPPort"): "6069"}), "utf-8"
    )
    done = run(site, "--address", "192.0.2.10")
    assert done.exit_code == 1 and "6069" in done.stderr and "no call server" not in done.stdout
    done = run(site, "--address", "192.0.2.10", "--json", "--phones", "e129")
    told = json.loads(done.stdout)
    assert told["servers"] == ["192.0.2.10"] and told["options"][0]["code"] == 66
    assert told["options"][0]["data"].startswith("68747470")


@pytest.mark.parametrize(
    "words", [["--address", "a b"], ["--call-server", 'x"'], ["--server", "x"], ["--vlan", "0"]]
)
def test_what_is_refused(site, words):
    assert run(site, *words).exit_code == 2


def test_no_home(tmp_path):
    assert run(Home(tmp_path)).exit_code == 2
