"""The commands init and check, as somebody types them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mv_iptel import config
from mv_iptel.cli import home as cli
from mv_iptel.home import Home


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A home made by the command, with ports that nobody has."""
    root = tmp_path_factory.mktemp("cli") / "site"
    done = CliRunner().invoke(cli.init, [str(root), "--name", "files1", "--address", "192.0.2.10"])
    assert done.exit_code == 0, done.output
    home = Home(root)
    ports = [("TFTP", "TrivialFTPPort"), ("FTP", "FTPPort"), ("HTTP", "HTTPPort"), ("HTTP", "HTTPAltPorts"),
             ("HTTPS", "HTTPSPort"), ("HTTPS", "HTTPSAltPorts"), ("Settings", "StatusPort")]  # fmt: skip
    home.ini.write_text(config.changed(home.ini.read_text("utf-8"), dict.fromkeys(ports, "0")), "utf-8")
    return home, done.output


def run(command, home: Home, *arguments: str):
    return CliRunner().invoke(command, [*arguments, "--home", str(home.root)])


def test_init_says_what_it_made_and_what_comes_next(site):
    home, output = site
    assert "is complete" in output and "made  MV_IPTel/bin/MV_IPTel.ini" in output
    assert str(home.passwords) in output
    assert f"mv-iptel check --home {home.root}" in output


def test_init_again_keeps(site):
    done = run(cli.init, site[0], "--json")
    assert done.exit_code == 0
    said = json.loads(done.output)
    assert said["made"] == [] and str(site[0].ini) in said["kept"] and said["home"] == str(site[0].root)


def test_init_without_samples_has_all_that_runs(tmp_path):
    home = Home(tmp_path / "bare")
    done = run(cli.init, home, "--no-samples", "--json")
    assert done.exit_code == 0 and list(home.tftp_data.iterdir()) == []
    assert home.ini.exists() and (home.watchdog / "bin" / "mv_iptel_alert.sh").exists()


@pytest.mark.parametrize("arguments", [["--address", "192.0.2"], ["--ports-offset", "x"]])
def test_init_refuses_what_it_does_not_understand(tmp_path, arguments):
    done = run(cli.init, Home(tmp_path / "new"), *arguments)
    assert done.exit_code == 2 and arguments[1] in done.output


def test_check_ends_with_0_1_or_2(site, tmp_path):
    home = site[0]
    done = run(cli.check, home)
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "nothing to mend")
    good = home.ini.read_text("utf-8")
    try:
        home.ini.write_text(config.changed(good, {("Settings", "MaxClients"): "5"}), "utf-8")
        done = run(cli.check, home)
        assert done.exit_code == 1 and "1 thing to mend" in done.output
        assert f"{home.ini}:" in done.output and "[Settings] ClientSessionTime:" in done.output
        home.ini.write_text(config.changed(good, {("Settings", "MaxClients"): "x"}), "utf-8")
        done = run(cli.check, home, "--json")
        assert done.exit_code == 2
        (finding,) = json.loads(done.output)["findings"]
        assert (finding["section"], finding["key"], finding["level"]) == ("Settings", "MaxClients", "error")
        assert finding["line"] == good.split("\n").index("MaxClients        = 0") + 1
    finally:
        home.ini.write_text(good, "utf-8")
    done = run(cli.check, Home(tmp_path / "none"))
    assert done.exit_code == 2 and "mv-iptel init" in done.output
