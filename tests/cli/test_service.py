"""The command `service`: what it would do can be looked at, and it changes no host that it should not."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

from mv_iptel import services
from mv_iptel.cli import group

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has services of its own")


def run(*words: str):
    return CliRunner().invoke(group, ["service", *words])


def test_files_are_laid_out_to_look_at(tmp_path):
    root, home = str(tmp_path / "root"), str(tmp_path / "home")
    done = run("install", "--root", root, "--home", home)
    assert done.exit_code == 0, done.output
    assert "systemctl enable --now mv-iptel.service" in done.output and "mv-iptel init " + home in done.output
    assert not (tmp_path / "home").exists()
    unit = (tmp_path / "root/etc/systemd/system/mv-iptel.service").read_text()
    assert f"ExecStart={services.programs()}/mv-iptel serve\n" in unit
    again = run("install", "--root", root, "--home", home, "--json", "--no-start")
    told = json.loads(again.output)
    assert told["written"] == [] and told["ran"] == []
    assert ["systemctl", "enable", *services.UNITS] in told["to_run"]
    done = run("remove", "--root", root, "--home", home)
    assert done.exit_code == 0 and done.output.count("  removed  ") == 9, done.output
    assert not [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert "There were no services" in run("remove", "--root", root, "--home", home).output


def test_an_ini_with_mistakes_stops_it(tmp_path):
    home = tmp_path / "home"
    (home / "MV_IPTel/bin").mkdir(parents=True)
    (home / "MV_IPTel/bin/MV_IPTel.ini").write_text("[HTTP]\nHTTPPort=eighty\n")
    done = run("install", "--root", str(tmp_path / "root"), "--home", str(home))
    assert done.exit_code == 2 and "HTTPPort" in done.output and not (tmp_path / "root").exists()


def test_directories_of_the_configuration_are_opened(tmp_path):
    home = tmp_path / "home"
    (home / "MV_IPTel/bin").mkdir(parents=True)
    (home / "MV_IPTel/bin/MV_IPTel.ini").write_text("[TFTP]\nTFTPDir=/mnt/firmware\n")
    done = run("install", "--root", str(tmp_path / "root"), "--home", str(home))
    assert done.exit_code == 0, done.output
    drop_in = tmp_path / "root/etc/systemd/system/mv-iptel.service.d" / services.DROP_IN
    assert "ReadWritePaths=-/mnt/firmware\n" in drop_in.read_text()


@pytest.mark.skipif(services.RUNNING.is_dir(), reason="systemd runs here: nothing may be changed")
@pytest.mark.parametrize("what", ["install", "remove", "status"])
def test_without_systemd_nothing_is_done(what, tmp_path):
    done = run(what, "--home", str(tmp_path / "home"))
    assert done.exit_code == 1 and "systemd does not run" in done.output and not list(tmp_path.iterdir())
