"""The commands that show and steer a server: with one that runs, and with none."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.cli.forms import line_of
from mv_iptel.cli.seeing import _show_event, _show_why
from mv_iptel.events import Listening, Notice, Reloaded
from mv_iptel.home import Home
from mv_iptel.inventory import Inventory
from mv_iptel.journal import record
from tests.clients.daemon import COMMAND, free_ports, set_keys, wait_for
from tests.happened import finished, known, refused

MAC = "00040d112233"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A home without a server, with an inventory of some phones."""
    home = Home(tmp_path_factory.mktemp("home"))
    CliRunner().invoke(group, ["init", str(home.root), "--address", "127.0.0.1"])
    set_keys(home.ini, {("Settings", "StatusPort"): free_ports(1)[0]})
    (home.http_data / "HTTP_allow_IP.txt").write_text("192.0.2.17\n192.0.2.18\n")
    now = time.time()
    bad = {"name": "x y\x1b[31m", "detail": "no\r\nsuch", "proto": "tftp", "listener": "tftp:69"}
    inventory = Inventory(home.database)
    inventory.receive(
        [
            known(1, ext="4711", identified="agent+name", time=now - 7200, name="96xxupgrade.txt"),
            known(2, ext="4711", time=now - 7199),
            known(3, mac="c81fea83e85a", model="=J179", version="4.1", peer="192.0.2.18", time=now - 60,
                  agent="AVAYA/=J179"),
            refused(4, time=now - 50, **bad),
            refused(5, time=now - 49, **bad),
            refused(6, time=now - 40, peer="192.0.2.99", name="secret.txt"),
        ]
    )  # fmt: skip
    inventory.close()

    def run(*arguments, code=0):
        done = CliRunner().invoke(group, [*arguments, "--home", str(home.root)], env={"COLUMNS": "80"})
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return SimpleNamespace(home=home, run=run)


NO_SERVER = [
    ("status",), ("status", "--json"), ("watch",), ("watch", "192.0.2.17"), ("slots", "list"),
    ("slots", "free", "192.0.2.17"), ("phones", "forget", MAC), ("reload",),
]  # fmt: skip


@pytest.mark.parametrize("arguments", NO_SERVER, ids=" ".join)
def test_without_a_server_it_says_how_to_start_one(alone, arguments):
    done = alone.run(*arguments, code=3)
    assert "no server answers at http://127.0.0.1:" in done.stderr
    assert f"mv-iptel serve --home {alone.home.root}" in done.stderr


def test_a_status_server_that_is_switched_off_is_named(alone):
    text = alone.home.ini.read_text()
    set_keys(alone.home.ini, {("Settings", "RunStatus"): 0})
    try:
        assert "RunStatus=0" in alone.run("status", code=3).stderr
    finally:
        alone.home.ini.write_text(text)


USAGE = [
    (("watch", "nobody"), "neither an address nor a MAC"),
    (("why", "nobody"), "needs an address and a name"),
    (("why", "nobody", "x"), "nobody: not an IPv4 or IPv6 address"),
    (("why", "192.0.2.17", "x", "--mac", "12"), "twelve hex digits"),
    (("why", "192.0.2.17", "x", "--protocol", "smtp"), "smtp"),
    (("slots", "free", "nobody"), "an IPv4 or IPv6 address"),
    (("phones", "list", "--seen", "soon"), "15m or 30d"),
]


@pytest.mark.parametrize(("arguments", "said"), USAGE)
def test_what_is_asked_wrongly_is_told(alone, arguments, said):
    assert said in alone.run(*arguments, code=2).stderr


def test_a_home_that_is_none_is_not_an_empty_one(tmp_path):
    for arguments in (
        ["phones", "list"],
        ["why", "192.0.2.17", "x"],
        ["reload"],
        ["status"],
        ["slots", "list"],
    ):
        done = CliRunner().invoke(group, [*arguments, "--home", str(tmp_path)])
        assert done.exit_code == 2 and str(tmp_path) in done.stderr


def test_without_any_home_the_server_of_a_folder_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("MV_IPTEL_HOME", str(tmp_path))  # the usual place, and nothing is in it
    assert CliRunner().invoke(group, ["status"]).exit_code in (0, 3)


def test_a_broken_ini_is_told_with_its_line(alone):
    text = alone.home.ini.read_text()
    set_keys(alone.home.ini, {("Settings", "MaxClients"): "many"})
    try:
        for arguments in (["status"], ["reload"], ["phones", "list"]):
            assert "[Settings] MaxClients" in alone.run(*arguments, code=2).stderr
        assert json.loads(alone.run("reload", "--json", code=2).stdout)["ok"] is False
    finally:
        alone.home.ini.write_text(text)


# phones


def test_phones_are_listed_in_columns_that_are_not_folded(alone):
    lines = alone.run("phones", "list").stdout.splitlines()
    assert lines[0].split() == ["MAC", "ext", "model", "runs", "address", "requests", "refused", "seen"]
    assert lines[1].startswith("c8:1f:ea:83:e8:5a") and lines[2].startswith("00:04:0d:11:22:33")
    assert "4711" in lines[2] and lines[2].endswith("119 min ago") and "2 phones" in lines[3]
    at = lines[0].index("model")
    assert lines[1][at:].startswith("=J179") and lines[2][at:].startswith("9640")


FILTERS = [
    ((), ["c81fea83e85a", MAC]), (("--sort", "mac"), [MAC, "c81fea83e85a"]), (("--model", "96"), [MAC]),
    (("--version", "3.2"), [MAC]), (("--seen", "1h"), ["c81fea83e85a"]), (("--unseen", "1h"), [MAC]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "macs"), FILTERS)
def test_phones_can_be_chosen(alone, options, macs):
    assert [one["mac"] for one in json.loads(alone.run("phones", "list", *options, "--json").stdout)] == macs


def test_no_such_phone_is_a_negative_answer(alone):
    assert json.loads(alone.run("phones", "list", "--model", "zz", "--json", code=1).stdout) == []
    assert "no such phone" in alone.run("phones", "show", "0815", code=1).stderr
    assert "no such phone" in alone.run("phones", "forget", "0815", code=1).stderr


def test_csv_is_no_formula(alone):
    rows = list(csv.DictReader(io.StringIO(alone.run("phones", "list", "--csv").stdout)))
    assert [row["model"] for row in rows] == ["'=J179", "9640"] and rows[1]["ext"] == "4711"


@pytest.mark.parametrize("who", [MAC, "00:04:0D:11:22:33", "4711"])
def test_a_phone_is_shown_with_who_told_it_and_one_time_line(alone, who):
    said = alone.run("phones", "show", who).stdout
    assert said.startswith("9640 00:04:0d:11:22:33\n")
    assert "by its User-Agent" in said and "name of a file it asked for" in said
    assert said.index("96xxupgrade.txt") < said.rindex("46xxsettings.txt")
    told = json.loads(alone.run("phones", "show", who, "--json").stdout)
    assert [row["id"] for row in told["timeline"]] == [1, 2] and told["runs"] == "3.2.1"


def test_a_stranger_has_a_time_line_with_refusals_in_plain_words(alone):
    said = alone.run("phones", "show", "192.0.2.99").stdout
    assert "is no known phone" in said and "the address is on no line" in said and "mv-iptel why 6" in said


# why


def test_why_reads_the_home_and_says_what_it_cannot_know(alone):
    done = alone.run("why", "192.0.2.99", "46xxsettings.txt", code=1)
    assert "No server runs: slots and recent sightings are unknown." in done.stdout
    assert "It is refused: not-listed" in done.stdout
    steps = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("  1. ", "  2. "))]
    assert steps == ["name", "list"]
    told = json.loads(alone.run("why", "192.0.2.18", "46xxsettings.txt", "--json").stdout)
    assert told["decision"] == "serve" and told["unknown"] == ["slots", "recent sightings"]
    step = told["steps"][1]
    assert step["source"].endswith("HTTP_allow_IP.txt") and step["line"] == 2


@pytest.mark.parametrize("number", ["4", "5", "#5"])
def test_a_number_is_resolved_from_the_database(alone, number):
    said = alone.run("why", number).stdout
    assert "not-listed" in said and "/data/allow_IP.txt:3" in said and "\x1b" not in said
    assert "x y\\x1b[31m" in said and "--protocol tftp" in said and "times       2" in said
    assert json.loads(alone.run("why", number, "--json").stdout)["id"] == 4


def test_an_unknown_number_is_a_negative_answer(alone):
    assert "no request has the number 77" in alone.run("why", "77", code=1).stderr


@pytest.mark.parametrize("event", [finished(1, proto="tftp", resends=2, outcome="timeout", detail="silent"),
                                   finished(2, file="/data/fxd_settings.txt"), refused(3)])  # fmt: skip
def test_a_line_of_a_time_line_is_one_line(event):
    from mv_iptel.journal import record

    text = line_of(record(event)).plain
    assert "\n" not in text and event.outcome in text and event.name in text
    assert ("was sent fxd_settings.txt" in text) == ("fxd" in event.file)
    assert ("2 sent again" in text) == bool(event.resends) and ("#3" in text) == (event.outcome == "refused")


def test_a_line_says_what_was_stored():
    kept = {"name": "1234_4620data.txt", "file": "/data/1234_4620data.txt", "proto": "ftp", "bytes": 2150}
    line = line_of(record(finished(1, op="store", **kept))).plain
    assert "ok       stored 1234_4620data.txt, 2.1 KiB in 0.00 s" in line
    line = line_of(record(finished(1, op="store", **{**kept, "name": "4620data.txt"}))).plain
    assert "stored 4620data.txt, 2.1 KiB in 0.00 s  kept as 1234_4620data.txt" in line
    assert "deleted 1234_4620data.txt, in 0.00 s" in line_of(record(finished(1, op="delete", **kept))).plain
    line = line_of(record(refused(1, op="store", name="1234_4620data.txt", reason="no-snmp"))).plain
    assert "refused  would store 1234_4620data.txt  no-snmp" in line


DECISIONS = [
    ("challenge", "192.0.2.17 would be asked", "It depends on what the client shows then"),
    ("store", "", "It would be stored"),
    ("delete", "kept as 4711_4620data.txt", "It would be deleted"),
]


@pytest.mark.parametrize(("decision", "detail", "words"), DECISIONS)
def test_why_tells_what_is_not_decided_yet(decision, detail, words, capsys):
    told = {"decision": decision, "reason": "", "file": "", "detail": detail, "steps": []}
    _show_why(told, {"address": "192.0.2.17", "name": "4711_4620data.txt", "protocol": "ftp"}, "")
    said = capsys.readouterr().out
    assert words in said and detail in said


# with a server


def fetch(daemon, name):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{daemon.http}/{name}", timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_status_of_a_running_server(daemon):
    said = daemon.run("status").stdout
    assert f"process {daemon.process.pid}" in said and "no limit (MaxClients=0)" in said
    rows = [line.split() for line in said.splitlines() if line.startswith("http ")]
    assert {row[2] for row in rows} == {str(daemon.http), str(daemon.http_alt)}
    assert {row[3] for row in rows} == {"up"}
    assert json.loads(daemon.run("status", "--json").stdout)["schema"] == 1


def test_watch_shows_requests_as_they_come(daemon):
    command = [str(COMMAND), "watch", "127.0.0.1", "--json", "--home", str(daemon.home.root)]
    seen: list[dict] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        reader = threading.Thread(target=lambda: seen.append(json.loads(watching.stdout.readline())))
        reader.start()
        # The watcher connects in its own time, so the file is asked for until it shows it.
        wait_for("a line", lambda: fetch(daemon, "watched.txt") and seen)
        reader.join()
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.wait(30) == 0
    assert (seen[0]["event"], seen[0]["name"], seen[0]["peer"]) == ("finished", "watched.txt", "127.0.0.1")


def test_a_refusal_is_explained_by_its_number(daemon):
    assert fetch(daemon, "no-such-file.txt") == 404
    number = daemon.event(name="no-such-file.txt")["id"]
    said = daemon.run("why", str(number)).stdout
    assert "no-file: there is no such file" in said and "no-such-file.txt" in said


def test_why_asks_the_running_server(daemon):
    told = json.loads(daemon.run("why", "127.0.0.1", "46xxsettings.txt", "--json").stdout)
    assert told["decision"] == "serve" and told["unknown"] == []
    assert "It gets" in daemon.run("why", "127.0.0.1", "46xxsettings.txt").stdout


def test_phones_and_slots_of_a_running_server(daemon):
    agent = "Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/J179-4.1.3.0.6 (MAC:c81fea83e85a)"
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.http}/46xxsettings.txt", headers={"User-Agent": agent}
    )
    urllib.request.urlopen(request, timeout=30).close()

    def listed():
        return daemon.run("phones", "list", "--model", "J179", "--json", status=None).stdout

    wait_for("the phone", lambda: json.loads(listed()))
    assert "c81fea83e85a is forgotten" in daemon.run("phones", "forget", "c8:1f:ea:83:e8:5a").stdout
    assert json.loads(listed()) == []
    assert "no limit" in daemon.run("slots", "list").stdout
    assert "192.0.2.1 has no slot" in daemon.run("slots", "free", "192.0.2.1", status=1).stderr


def test_another_home_with_the_same_status_port_is_not_told_of(daemon, tmp_path):
    home = Home(tmp_path / "other")
    CliRunner().invoke(group, ["init", str(home.root), "--address", "127.0.0.1"])
    set_keys(home.ini, {("Settings", "StatusPort"): daemon.status})
    home.token.write_text(daemon.home.token.read_text())  # as in a copy of the whole home
    for arguments in (["status"], ["watch"], ["slots", "list"], ["reload"]):
        done = CliRunner().invoke(group, [*arguments, "--home", str(home.root)])
        assert done.exit_code == 3 and f"the server of {daemon.home.root} answers" in done.stderr
    done = CliRunner().invoke(group, ["why", "127.0.0.1", "46xxsettings.txt", "--home", str(home.root)])
    assert str(home.http_data) in done.stdout and "No server runs" in done.stdout


def test_an_event_that_is_no_request_says_what_happened(capsys):
    broken = Notice("script-broken", "there is no '# X'", "error", "/srv/a.txt", 7, time=0.0)
    _show_event(record(broken), False)
    _show_event(record(Reloaded("x.ini", True, 3, ("a finding",), ("User",), time=0.0)), False)
    _show_event(record(Reloaded("x.ini", False, 3, ("x.ini:7: bad",), time=0.0)), False)
    _show_event(record(Listening("http", "127.0.0.1", 8089, "failed", "port 8089 is taken", time=0.0)), False)
    said = [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "script-broken: /srv/a.txt:7: there is no '# X'",
        "reloaded: generation 3 is in force; a finding; User needs a restart",
        "reloaded: refused; x.ini:7: bad",
        "listening: http 8089 on 127.0.0.1: port 8089 is taken",
    ]


def test_reload_of_a_running_server(daemon):
    assert json.loads(daemon.run("reload", "--json", status=None).stdout)["ok"] is True
    assert "generation" in daemon.run("reload", status=None).stdout


def test_without_the_token_nothing_is_changed(daemon):
    token = daemon.home.token.read_text()
    daemon.home.token.write_text("another\n")
    try:
        # Both sides read the same file, so a wrong copy is what a reader elsewhere has.
        request = urllib.request.Request(
            f"http://127.0.0.1:{daemon.status}/control/reload", method="POST",
            headers={"Authorization": f"Bearer {token.strip()}"},
        )  # fmt: skip
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=30)
        assert refusal.value.code == 401
    finally:
        daemon.home.token.write_text(token)
