"""Calls to the status port: where it is, and what is said when nobody answers there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel.cli.asking import Unreachable, base, get, installed, post, refresh, tell
from mv_iptel.config import defaults
from mv_iptel.home import Home
from tests.clients.daemon import free_ports


def bound(tmp_path, **settings):
    config = defaults(Home(tmp_path))
    return replace(config, settings=replace(config.settings, **settings))


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:6090"),
        ("0.0.0.0", "http://127.0.0.1:6090"),
        ("::", "http://[::1]:6090"),
        ("2001:db8::5", "http://[2001:db8::5]:6090"),
    ],
)
def test_where_the_status_port_is(tmp_path, bind, expected):
    assert base(bound(tmp_path, status_bind=bind)) == expected


def test_nobody_answers(tmp_path):
    config = bound(tmp_path, status_port=free_ports(1)[0])
    with pytest.raises(Unreachable, match=f"no server answers at {base(config)}; start it with"):
        get(config, "/status.json")


def test_a_status_server_that_is_off_is_not_sought_in_vain(tmp_path):
    config = bound(tmp_path, status_port=free_ports(1)[0], run_status=False)
    with pytest.raises(Unreachable, match="RunStatus=0 switches the status server off; set it to 1"):
        get(config, "/status.json")


def test_a_home_that_must_be_there(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        installed(Home(tmp_path / "none"))
    assert ended.value.code == 2 and "name the installation with --home" in capsys.readouterr().err


def test_a_server_that_is_told_something_must_run(tmp_path, capsys):
    config = bound(tmp_path, status_port=free_ports(1)[0])  # nor is there a token: none ever ran
    with pytest.raises(SystemExit) as ended:
        post(config, "/control/reload")
    assert ended.value.code == 3 and "start it with" in capsys.readouterr().err
    with pytest.raises(Unreachable):
        tell(config, "/control/reload")
    refresh(config)
    assert capsys.readouterr() == ("", "")
