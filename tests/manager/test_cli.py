"""The command `mv-manager` itself: what it says when it cannot run."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from manager.cli import group
from mv_iptel import __version__
from mv_iptel.home import Home


def ran(*words):
    return CliRunner().invoke(group, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    for path in (made.ini, made.manager_ini):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return made


def test_version_and_help():
    assert ran("--version").stdout.split() == ["mv-manager,", "version", __version__]
    assert "mv-manager user list" in ran("--help").stdout


def test_without_a_home(tmp_path):
    done = ran("--home", tmp_path / "x")
    assert done.exit_code == 2 and "mv-iptel init" in done.stderr and not (tmp_path / "x").exists()


def test_settings_that_are_wrong_are_named_with_their_line(home):
    home.manager_ini.write_text("[Settings]\nManagerPort = nonsense\n")
    done = ran("--home", home.root)
    assert done.exit_code == 2 and "MV_Manager.ini" in done.stderr and "ManagerPort" in done.stderr


def test_without_a_certificate(home):
    done = ran("--home", home.root)
    assert done.exit_code == 2 and "server" in done.stderr
