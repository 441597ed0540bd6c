"""`central join` and the branch's half of `central status`, as an administrator types them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mv_iptel.central.inviting import Invite
from mv_iptel.cli import group
from tests.central.branch import Site, invitation
from tests.central.office import Office


@pytest.fixture
def office(tmp_path):
    with Office(tmp_path / "office", settings={"server_name": "Head office"}) as running:
        yield running


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "oslo")
    made.home.ini.write_text(made.home.ini.read_text() + "[Settings]\nRunStatus=0\n")
    return made


def run(site: Site, *arguments: str, text: str = "", code: int = 0) -> str:
    done = CliRunner().invoke(group, ["central", *arguments, "--home", str(site.home.root)], input=text)
    assert done.exit_code == code, done.output
    return done.output


def test_join_and_status(office, site):
    line = invitation(office).line
    said = run(site, "join", *line.split()[3:])
    assert "joined Head office" in said and "as Oslo" in said and "no server runs here" in said
    told = json.loads(run(site, "status", "--json"))
    assert told["role"] == "client"
    [one] = told["centre"]["servers"]
    assert (one["role"], one["port"], one["name"]) == ("primary", office.port, "Oslo")
    assert "where this is Oslo" in run(site, "status")
    secret = (site.home.certs / "peer.token").read_text().strip()
    assert secret not in run(site, "status", "--json") + said


def test_the_whole_line_or_from_a_file(office, site):
    told = json.loads(run(site, "join", "--json", "-", text=invitation(office).line + "\n"))
    assert (told["name"], told["role"], told["running"]) == ("Oslo", "primary", False)


@pytest.mark.parametrize("line", ["mvc1:", "mvc1:AAAA", "hello", "mvc1:" + "A" * 9000])
def test_no_invitation(site, line):
    said = run(site, "join", line, code=2)
    assert "AAAA" not in said


def test_a_used_one_is_a_negative_answer(office, site):
    line = invitation(office).line.split()[3]
    run(site, "join", line)
    assert "used" in run(site, "join", line, code=1)


def test_nobody_answers(site):
    said = run(site, "join", Invite(("127.0.0.1",), 1, "00" * 32, "t" * 43).line.split()[3], code=3)
    assert "127.0.0.1:1: Connection refused" in said and "port 1 open" in said and "--address" in said


def test_no_branch(site):
    assert "no branch" in run(site, "status", code=1)
