"""The command sim storm: its usage, and a small storm that also keeps user data."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from mv_iptel.cli.sim import sim
from mv_iptel.phones.arrival import CURVES


def run(*arguments: object):
    return CliRunner().invoke(sim, ["storm", *(str(each) for each in arguments)])


def test_no_server_answers():
    assert run("--phones", 2, "--mix", "http=1", "--http-port", 1).exit_code == 3


USAGE = {
    "mix without share": ("--mix", "tftp"),
    "mix of an unknown protocol": ("--mix", "ftp=1"),
    "mix of nothing": ("--mix", "tftp=0"),
    "size without a first download": ("--size", "100", "--dry", "."),
    "backups to a server elsewhere": ("--backups", "--server", "192.0.2.1", "--mix", "tftp=1"),
    "a group that is none": ("--groups", "1000=5"),
    "groups without share": ("--groups", "5"),
    "a curve that is none": ("--curve", "z"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage(case):
    done = run(*USAGE[case])
    assert done.exit_code == 2
    assert done.stderr.strip()


def test_a_port_that_nobody_may_have_is_said():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.1.1.1", 0))
        done = run("--backups", "--mix", "tftp=1", "--snmp-port", taken.getsockname()[1])
    assert done.exit_code == 2
    assert "cannot answer SNMP on 127.1.1.1" in done.stderr and "SNMPPort" in done.stderr


def test_help():
    said = run("--help").stdout
    assert "Examples:" in said and "Exit codes:" in said and "--backups" in said
    assert f"[{'|'.join(CURVES)}]" in said
