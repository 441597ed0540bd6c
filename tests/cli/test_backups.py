"""The command `backups`: over a home without a server, and what it does not do."""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import http.client
import io
import itertools
import json
import os
import ssl
import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mv_iptel import config as configuration
from mv_iptel.cli import group
from mv_iptel.cli.backup_views import DAMAGED, FIELDS, words_of
from mv_iptel.cli.backups import backups
from mv_iptel.home import Home
from mv_iptel.library.answers import Refuse
from mv_iptel.userdata import versions
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.policies import Pins
from mv_iptel.userdata.store import Origin, keep
from tests.clients.daemon import Daemon, free_ports, set_keys, wait_for

DAY = 86400.0
START = 1_780_000_000.0  # the first of all stores here
FILE = "4711_96xxdata.txt"
FIRST = b"ABKNAME001=Anna\nABKNUMBER001=201\nLANGUSER=German\n"
SECOND = b"ABKNAME001=Anna\nABKNUMBER001=202\nHandset AGC=1\n"
PHONE = Origin("192.0.2.17", "00040d112233", "9640G", "https", "snmp")


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """A home whose sample settings and keys no test here needs to look at."""
    home = Home(tmp_path_factory.mktemp("backups") / "home")
    assert CliRunner().invoke(group, ["init", str(home.root), "--address", "127.0.0.1"]).exit_code == 0
    set_keys(home.ini, {("Settings", "StatusPort"): free_ports(1)[0]})
    return home


@pytest.fixture
def site(pattern, tmp_path):
    """A copy of it with two contents of one user's data, another user's, and one that was deleted."""
    import shutil

    home = Home(tmp_path / "home")
    shutil.copytree(pattern.root, home.root, symlinks=True)
    days = itertools.count()

    def store(name, data, origin=PHONE):
        now = START + next(days) * DAY
        stored = keep(configuration.load(home), parse(name), data, origin, now=lambda: now)
        assert not isinstance(stored, Refuse), stored
        return stored

    def run(*arguments, code=0):
        done = CliRunner().invoke(
            group, ["backups", *arguments, "--home", str(home.root)], env={"COLUMNS": "80"}
        )
        assert done.exit_code == code, (done.output, done.stderr, done.exception)
        return done

    store(FILE, FIRST)
    store(FILE, SECOND)
    store("4712_4620data_sip.txt", b"\x00\x01\x02", Origin("192.0.2.18", "", "=4621SW", "ftp", "snmp"))
    return SimpleNamespace(home=home, run=run, store=store, config=lambda: configuration.load(home))


def ids(site, name=FILE):
    return [one.id for one in versions.of(site.config(), name)]


# list


def test_who_has_data_and_since_when(site):
    said = site.run("list").stdout
    assert "4711       96xx" in said and "4620 SIP" in said
    assert "9640G" in said and "192.0.2.17" in said and "2 files of 2 extensions" in said
    rows = {row["file"]: row for row in json.loads(site.run("list", "--json").stdout)}
    row = rows[FILE]
    assert (row["extension"], row["class"], row["size"]) == ("4711", "96xx", len(SECOND))
    assert (row["since"], row["changed"]) == (START, START + DAY)
    assert (row["address"], row["mac"], row["model"], row["over"], row["how"]) == PHONE
    assert (row["versions"], row["archived"], row["bytes"]) == (1, 0, len(FIRST) + len(SECOND))
    assert row["password"] is False


def test_the_list_counts_as_people_do(site):
    site.store("20001_4620data.txt", b"x")
    assert [row["extension"] for row in json.loads(site.run("list", "--json").stdout)][-1] == "20001"


def test_the_list_as_csv_holds_no_formula(site):
    heads, *rows = csv.reader(io.StringIO(site.run("list", "--csv").stdout))
    told = [dict(zip(heads, row, strict=True)) for row in rows]
    assert [row["extension"] for row in told] == ["4711", "4712"]
    assert told[1]["model"] == "'=4621SW" and told[0]["since"].startswith("2026-05-2")


@pytest.mark.parametrize("chosen", ["4711", FILE, "4711_96XXdata.TXT"])
def test_the_list_of_one(site, chosen):
    assert [row["file"] for row in json.loads(site.run("list", chosen, "--json").stdout)] == [FILE]


def test_what_is_not_kept_is_a_negative_answer(site):
    assert "nothing is kept of 4799" in site.run("list", "4799", code=1).stdout
    assert "nothing is kept of 4799" in site.run("show", "4799", code=1).stderr
    assert "nothing is kept of 4799_96xxdata.txt" in site.run("diff", "4799_96xxdata.txt", code=1).stderr


WRONG = [
    ("list", "../4711_96xxdata.txt"), ("show", "/etc/passwd"), ("diff", "x\x1b[31m"),
    ("restore", "", "current"),
    ("unpin", "../4711_96xxdata.txt"), ("export", "x", "nobody"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG, ids=repr)
def test_what_is_neither_an_extension_nor_a_name(site, arguments):
    done = site.run(*arguments, code=2)
    assert "neither an extension nor a name" in done.stderr and "\x1b" not in done.stderr


# show


def test_content_in_the_terms_of_the_user(site):
    said = site.run("show", "4711").stdout
    assert "speed dial 1  Anna 202" in said and "handset AGC  on" in said
    assert "1 speed dial, 1 option; 47 B, ASCII, LF" in said
    assert "from 9640G 00:04:0d:11:22:33 192.0.2.17 over https, shown by its SNMP answer" in said
    assert all(one in said for one in ids(site))


def test_an_earlier_version(site):
    old = ids(site)[1]
    said = site.run("show", FILE, "--version", old[:8]).stdout
    assert "speed dial 1  Anna 201" in said and f"{old}*" in said
    told = json.loads(site.run("show", FILE, "--version", old[-8:], "--json").stdout)
    assert told[0]["shown"] == old and told[0]["entries"][1]["value"] == "German"
    assert "no version" in site.run("show", FILE, "--version", "1999", code=1).stderr


def test_bytes_as_they_are(site):
    assert site.run("show", "4712", "--raw").stdout_bytes == b"\x00\x01\x02"
    said = site.run("show", "4712").stdout
    assert "this is no text" in said and "\x00" not in said


def test_what_a_phone_sends_cannot_paint_the_terminal(site):
    site.store(FILE, b"[red]x[/]=[bold]y\nLANGUSER=\xc2\x9b31m\xe2\x80\xae\n")
    said = site.run("show", FILE).stdout + site.run("diff", FILE).stdout
    assert "[red]x[/]" in said and "[bold]y" in said
    assert "\x9b" not in said and "\u202e" not in said and "\\x9b31m" in said


def test_an_extension_with_two_phones_shows_both(site):
    site.store("4711_4620data.txt", FIRST)
    said = site.run("show", "4711").stdout
    assert "4711_4620data.txt" in said and FILE in said
    assert "name the one you mean" in site.run("diff", "4711", code=2).stderr


def test_what_was_deleted_is_shown_and_says_so(site):
    os.unlink(site.home.ftp_data / FILE)
    assert "deleted" in site.run("list").stdout
    said = site.run("show", "4711").stdout
    assert "this is the newest version" in said and "Anna 201" in said


# diff


def test_differences_in_words(site):
    said = site.run("diff", "4711").stdout
    assert "speed dial 1: Anna 201 -> Anna 202" in said
    assert "handset AGC added: on" in said and "display language removed: German" in said
    told = json.loads(site.run("diff", FILE, ids(site)[1], "current", "--json").stdout)
    assert told["differences"][0]["words"] == "speed dial 1: Anna 201 -> Anna 202"
    back = json.loads(site.run("diff", FILE, "current", ids(site)[1], "--json").stdout)
    assert back["differences"][0]["old"] == "Anna 202"


def test_a_version_without_an_older_one(site):
    assert "nothing to compare" in site.run("diff", "4712", code=1).stderr
    assert "no difference" in site.run("diff", "4712", "current", "current").stdout


# restore


def test_an_earlier_version_becomes_current_and_what_it_replaces_a_version(site):
    old = ids(site)[1]
    said = site.run("restore", "4711", old[-8:]).stdout
    assert "is as it was on" in said and "speed dial 1: Anna 202 -> Anna 201" in said
    assert (site.home.ftp_data / FILE).read_bytes() == FIRST
    kept = [one for one in ids(site)[1:] if one in said]
    assert len(kept) == 1 and versions.read(site.config(), FILE, kept[0]) == SECOND
    assert versions.changes(site.config(), FILE)[-1].how == "restore"
    assert "restored by the administrator" in site.run("show", "4711").stdout
    assert "  restored  " in site.run("list", "4711").stdout
    assert "already" in site.run("restore", FILE, old[-8:]).stdout


def test_what_was_deleted_comes_back(site):
    os.unlink(site.home.ftp_data / FILE)
    told = json.loads(site.run("restore", FILE, ids(site)[0], "--json").stdout)
    assert told["created"] and (site.home.ftp_data / FILE).read_bytes() == FIRST


def test_a_version_that_is_none_restores_nothing(site):
    assert "no version 'beef'" in site.run("restore", FILE, "beef", code=1).stderr
    assert (site.home.ftp_data / FILE).read_bytes() == SECOND


def test_a_store_that_cannot_be_written_says_why(site):
    target = site.home.ftp_data / FILE
    old = ids(site)[1]
    target.unlink()
    target.mkdir()
    assert "was not restored" in site.run("restore", FILE, old, code=1).stderr


# export


def damage(site):
    """A version in the archive that cannot be unpacked."""
    name = "20260102T030405.000006Z-0badc0de"
    month = site.home.ftp_data / "archive" / "2026-01"
    month.mkdir(parents=True)
    (month / f"{FILE}.{name}.gz").write_bytes(gzip.compress(FIRST)[:-9])
    return name


def test_a_folder_of_copies(site, tmp_path):
    out = tmp_path / "out"
    site.run("export", str(out))
    assert (out / FILE).read_bytes() == SECOND and (out / "4712_4620data_sip.txt").read_bytes() == b"\0\1\2"
    assert (out / FILE).stat().st_mtime == START + DAY
    assert stat.S_IMODE((out / FILE).stat().st_mode) == 0o600
    assert "4711" in (out / "backups.csv").read_text() and sorted(os.listdir(out))[-1] == "backups.csv"


def test_nothing_is_overwritten_silently(site, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "4712_4620data_sip.txt").write_text("mine")
    assert "nothing was written" in site.run("export", str(out), code=1).stderr
    assert os.listdir(out) == ["4712_4620data_sip.txt"]
    site.run("export", str(out), "--overwrite")
    assert (out / "4712_4620data_sip.txt").read_bytes() == b"\0\1\2"
    site.run("export", str(out), "4799", code=1)


def test_a_zip_of_one_user_with_versions(site, tmp_path):
    target = tmp_path / "users.zip"
    site.run("export", str(target), "4711", "--versions")
    with zipfile.ZipFile(target) as archive:
        old = f"versions/{FILE}/{ids(site)[1]}"
        assert sorted(archive.namelist()) == sorted([FILE, old, "backups.csv"])
        assert (archive.read(FILE), archive.read(old)) == (SECOND, FIRST)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    before = target.read_bytes()
    assert "there already" in site.run("export", str(target), code=1).stderr
    assert target.read_bytes() == before and sorted(os.listdir(tmp_path)) == ["home", "users.zip"]
    site.run("export", str(target), "--overwrite")
    with zipfile.ZipFile(target) as archive:
        assert "4712_4620data_sip.txt" in archive.namelist()


@pytest.mark.parametrize("target", ["out", "out.zip"])
def test_one_damaged_version_does_not_cost_the_others(site, tmp_path, target):
    bad = damage(site)
    done = site.run("export", str(tmp_path / target), "--versions", code=1)
    assert f"left out: versions/{FILE}/{bad}: cannot be read" in done.stdout
    assert "3 files" in done.stdout
    assert "cannot be read" in site.run("show", FILE, "--version", bad, code=1).stderr
    assert "cannot be read" in site.run("restore", FILE, bad, code=1).stderr
    assert "Anna 202" in site.run("show", FILE).stdout


def test_the_list_alone(site, tmp_path):
    assert site.run("export", "--csv").stdout == site.run("list", "--csv").stdout
    assert site.run("export", "--csv", "--json").stdout == site.run("list", "--json").stdout
    site.run("export", str(tmp_path / "who.csv"), "--csv")
    assert (tmp_path / "who.csv").read_text().startswith("extension,class,file")
    assert "there already" in site.run("export", str(tmp_path / "who.csv"), "--csv", code=1).stderr


@pytest.mark.parametrize("forgotten", ["4711", FILE])
def test_a_forgotten_target_is_no_target(site, forgotten, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "before it" in site.run("export", forgotten, code=2).stderr
    assert list(tmp_path.glob("*data.txt")) == [] and not (tmp_path / forgotten).exists()


def test_copies_do_not_go_where_phones_fetch(site):
    assert (
        "every phone could fetch it" in site.run("export", str(site.home.http_data / "x.zip"), code=2).stderr
    )
    assert "name a folder or a ZIP" in site.run("export", code=2).stderr


# unpin


def test_a_remembered_password_is_forgotten(site):
    pins = Pins(site.home.var / "pins", lambda: START)
    pins.remember(FILE, "1234")
    assert "remembered since" in site.run("show", FILE).stdout
    assert "is forgotten" in site.run("unpin", "4711").stdout
    assert not pins.known(FILE)
    assert "no password is remembered" in site.run("unpin", FILE, code=1).stderr
    assert "no password is remembered for extension 4711" in site.run("unpin", "4711", code=1).stderr
    pins.remember(FILE, "1234")
    assert json.loads(site.run("unpin", FILE.upper(), "--json").stdout) == {"ok": True}


def test_a_fault_in_words():
    assert words_of(OSError(28, "No space left on device", "/x")) == "/x: No space left on device"
    assert words_of(LookupError("there is none")) == "there is none" and EOFError in DAMAGED


def test_the_documentation_has_every_command_and_policy():
    text = (Path(__file__).parent.parent.parent / "docs" / "backups.md").read_text("utf-8")
    assert [name for name in backups.commands if f"backups {name}" not in text] == []
    assert [name for name in ("snmp", "pin", "basic", "none") if f"| `{name}` |" not in text] == []
    assert [field for field in FIELDS if field not in text] == []


# with a server


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that wants nothing shown over HTTP, and the remembered password over HTTPS."""
    keys = {("HTTP", "BackupAuth"): "pin", ("HTTP", "BackupPerNet"): "127.0.0.1/32=none"}
    with Daemon(tmp_path_factory.mktemp("served"), keys) as daemon:
        yield daemon


def ask(daemon, method, name, data=None, password="", source="127.0.0.1"):
    """Status and body; with a password over TLS."""
    if password:
        context = ssl._create_unverified_context()
        line = http.client.HTTPSConnection(
            "127.0.0.1", daemon.https, timeout=30, source_address=(source, 0), context=context
        )
        login = base64.b64encode(f"192.0.2.1:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"}
    else:
        line = http.client.HTTPConnection("127.0.0.1", daemon.http, 30, (source, 0))
        headers = {}
    with contextlib.closing(line):
        line.request(method, f"/{name}", data, headers)
        answer = line.getresponse()
        return answer.status, answer.read()


def told(daemon, *arguments, code=0):
    done = CliRunner().invoke(group, [*arguments, "--home", str(daemon.home.root)])
    assert done.exit_code == code, (done.output, done.stderr)
    return done.stdout


def test_what_phones_store_is_seen_compared_and_restored(served):
    assert ask(served, "PUT", FILE, FIRST)[0] == 201 and ask(served, "PUT", FILE, SECOND)[0] == 204
    assert "speed dial 1: Anna 201 -> Anna 202" in told(served, "backups", "diff", "4711")
    number = served.event(event="finished", op="store", name=FILE, bytes=len(SECOND))["id"]
    assert f"{FILE} --protocol http --method PUT" in told(served, "why", str(number))
    said = told(served, "backups", "show", "4711")
    assert "from 127.0.0.1 over http, nothing had to be shown" in said
    old = json.loads(told(served, "backups", "show", "4711", "--json"))[0]["versions"][1]["id"]
    assert "Anna 202 -> Anna 201" in told(served, "backups", "restore", "4711", old)
    assert ask(served, "GET", FILE) == (200, FIRST), "the server gives it back at once"
    assert ask(served, "DELETE", FILE)[0] == 204
    assert "deleted" in told(served, "backups", "list", "4711")
    wait_for("the time line", lambda: f"deleted {FILE}" in told(served, "phones", "show", "127.0.0.1"))
    said = told(served, "phones", "show", "127.0.0.1")
    assert f"stored {FILE}, {len(FIRST)} B in" in said and "deleted, changed" in said
    status = json.loads(told(served, "status", "--json"))
    assert status["backups"]["files"] == 0 and status["backups"]["versions"] == 3
    assert "0 files and 3 earlier versions" in told(served, "status")


def test_a_changed_password_is_let_in_again(served):
    name, other = "4713_96xxdata.txt", "127.0.0.13"
    assert ask(served, "PUT", name, FIRST, "1234", other)[0] == 201
    assert ask(served, "PUT", name, SECOND, "9999", other)[0] == 403
    refusal = served.event(event="finished", reason="pin-mismatch")
    assert "unpin" in told(served, "why", str(refusal["id"]))
    assert json.loads(told(served, "backups", "list", name, "--json"))[0]["password"] is True
    assert "is forgotten" in told(served, "backups", "unpin", name)
    told(served, "backups", "unpin", name, code=1)
    assert ask(served, "PUT", name, SECOND, "9999", other)[0] == 204
    served.assert_no_fault()
