"""The command `central`: the one line, the branches, orders and what becomes of them."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from mv_iptel.central import authority, inviting
from mv_iptel.central.orders import Orders
from mv_iptel.central.reports import Reports
from mv_iptel.central.tokens import Branches
from mv_iptel.certs import load_chain
from mv_iptel.cli import group
from mv_iptel.config import load
from mv_iptel.firmware import generations
from tests.clients.daemon import set_keys

FILE = "4711_96xxdata.txt"


@pytest.fixture
def run(site):
    """`run(*words)`: what the command says (output, errors) and its exit code must be `code`."""

    def ran(*words: str, code: int = 0) -> tuple[str, str]:
        done = CliRunner().invoke(
            group, ["central", *words, "--home", str(site.root)], catch_exceptions=False
        )
        assert done.exit_code == code, (done.stdout, done.stderr)
        return done.stdout, done.stderr

    return ran


@pytest.fixture
def centre(site):
    set_keys(site.ini, {("BACKUP_SERVERS", "FileServer"): 1, ("BACKUP_SERVERS", "FileServerPort"): 7093})
    return load(site)


def join(site, name="Oslo"):
    branches = Branches(site)
    return branches.join(branches.invited(branches.invite(name, 7), "k"), "k", "c", f"At {name}")


# invite


def test_one_line_that_works(run, site, centre):
    out, err = run("invite", "Oslo", "--address", "10.0.0.5", "--address", "Centre.example")
    assert out.count("\n") == 1 and out.startswith("mv-iptel central join mvc1:")
    made = inviting.parse(out)
    assert (made.addresses, made.port) == (("10.0.0.5", "centre.example"), 7093)
    assert made.authority == authority.fingerprint(load_chain(site.ca_cert)[0])
    assert Branches(site).invited(made.token, "k").name == "Oslo"
    assert "does not name 10.0.0.5" in err and "FileServer" not in err
    assert made.token not in err


def test_where_the_certificate_says_it_is(run, centre):
    made = inviting.parse(run("invite", "Oslo")[0])
    assert made.addresses and "127.0.0.1" not in made.addresses and "localhost" not in made.addresses


def test_where_it_listens(run, centre, site):
    set_keys(site.ini, {("Settings", "BindAddress"): "127.0.0.10"})
    made = inviting.parse(run("invite", "Oslo")[0])
    assert [one for one in made.addresses if one[0].isdigit()] == ["127.0.0.10"]


def test_for_programs(run, centre):
    told = json.loads(run("invite", "Oslo", "--address", "10.0.0.5", "--days", "2", "--json")[0])
    assert inviting.parse(told["line"]).addresses == ("10.0.0.5",) == tuple(told["addresses"])
    assert abs(told["until"] - time.time() - 2 * 86400) < 100


def test_a_server_that_is_no_centre_is_told_so(run):
    assert "FileServer=1" in run("invite", "Oslo")[1]


@pytest.mark.parametrize("words", [
    ("a/b",), ("",), ("Oslo", "--days", "0"), ("Oslo", "--days", "999"), ("Oslo", "--address", "http://x/"),
    ("Oslo", "--address", "10.0.0.5:6093"), ("Oslo", *("--address", "10.0.0.5") * 9),
])  # fmt: skip
def test_wrong_usage(run, site, words):
    run("invite", *words, code=2)
    assert Branches(site).invitations() == []


def test_without_a_certificate(run, site):
    site.cert_file.unlink()
    assert "IPTelcert.pem" in run("invite", "Oslo", code=2)[1]


# status


def test_neither_centre_nor_branch(run):
    assert "no central server" in run("status", code=1)[1]
    assert json.loads(run("status", "--json", code=1)[0])["role"] is None


def test_the_branches(run, site, centre):
    token = join(site)
    run("invite", "Bergen")
    reports = Reports(site)
    reports.seen("Oslo", "192.0.2.7", time.time() - 90)
    reports.said(
        "Oslo", {"generation": 3, "queue": 4, "phones": 210, "error": "disk \x1b[2J full"}, time.time()
    )
    reports.save(time.time(), force=True)
    generations.put(site, generations.Generation(4, 1.0, "publish", "r-1"))
    out, _ = run("status")
    for words in ("Oslo", "192.0.2.7", "210", "generation 4 is published", "Bergen is invited until"):
        assert words in out
    assert "\x1b[2J" not in out
    told = json.loads(run("status", "--json")[0])
    assert (told["role"], told["generation"]) == ("server", 4)
    assert told["branches"][0]["queue"] == 4 and told["invitations"][0]["name"] == "Bergen"
    everything = out + json.dumps(told)
    assert token not in everything and Branches(site).get("Oslo").token not in everything


def test_revoked(run, site, centre):
    token = join(site)
    assert "may ask nothing" in run("status", "--revoke", "oslo")[0]
    assert Branches(site).who(token) is None
    assert "no such branch" in run("status", "--revoke", "oslo", code=1)[1]
    assert "revoked" in run("status")[0]
    assert "no branch of this server" in run("pull", "Oslo", code=1)[1]


# pull and push


def test_pull(run, site, centre):
    join(site)
    assert "back up everything" in run("pull", "Oslo")[0]
    told = json.loads(run("pull", "oslo", FILE.upper(), "--json")[0])
    assert told["names"] == [FILE] and told["branch"] == "Oslo" and told["ended"] is None
    assert [one.names for one in Orders(site).waiting("Oslo")] == [(), (FILE,)]
    assert run("status")[0].count("waits since") == 2


@pytest.mark.parametrize("name", ["notes.txt", "96xxdata.txt", "../4711_96xxdata.txt"])
def test_pull_takes_names_of_user_data(run, site, centre, name):
    join(site)
    assert "no name of user data" in run("pull", "Oslo", name, code=2)[1]


def test_push(run, site, centre):
    join(site)
    centre.http.backup_dir.mkdir(exist_ok=True)
    (centre.http.backup_dir / FILE).write_bytes(b"LANG=en\n")
    told = json.loads(run("push", "Oslo", "4711", "--json")[0])
    assert told["kind"] == "restore" and told["name"] == FILE and len(told["sha256"]) == 64
    assert told["version"] == told["sha256"]
    assert json.loads(run("push", "Oslo", "--firmware", "--json")[0])["kind"] == "update"
    run("push", "Oslo", "4712", code=1)
    run("push", "Oslo", code=2)
    run("push", "Oslo", "4711", "--firmware", code=2)
    run("push", "Oslo", "4711", "--version", "deadbeef", code=1)


def test_nobody_answers_in_time(run, site, centre):
    join(site)
    out, _ = run("pull", "Oslo", "--wait", "0.01", code=1)
    assert "central status" in out


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_what_became_of_it(run, site, centre, ok, code, monkeypatch):
    join(site)
    reported = []

    def report(seconds: float) -> None:
        """The branch answers while the command waits."""
        orders = Orders(site)
        reported.extend(orders.report("Oslo", one.id, ok, "sent 3 files") for one in orders.waiting("Oslo"))

    monkeypatch.setattr("mv_iptel.cli.central.time.sleep", report)
    out, _ = run("pull", "Oslo", "--wait", "60", code=code)
    assert reported and "sent 3 files" in out
    assert ("done" if ok else "failed") in run("status")[0]


def test_help_has_an_example(run):
    for verb in ("invite", "status", "pull", "push"):
        done = CliRunner().invoke(group, ["central", verb, "--help"])
        assert f"mv-iptel central {verb}" in done.output
