"""The commands sim backup, sim restore and sim agent: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from mv_iptel.cli.sim import sim
from mv_iptel.config.editing import changed
from mv_iptel.home import Home, shipped
from mv_iptel.phones import userdata
from mv_iptel.phones.agent import FAULTS
from mv_iptel.snmp import Asker, Shown, Terms
from mv_iptel.userdata.names import Kept
from tests.phones.depots import FtpDepot, HttpDepot
from tests.phones.test_agent import free


def run(*arguments: object):
    return CliRunner().invoke(sim, [str(each) for each in arguments])


@pytest.fixture
def server(tmp_path):
    (tmp_path / "kept").mkdir()
    with FtpDepot(tmp_path / "kept") as running:
        running.folder = tmp_path / "kept"
        running.where = ("--ext", "4711", "--ports-offset", running.port - 21)
        yield running


def test_a_4621_stores_and_fetches(server, tmp_path):
    done = run("backup", *server.where, "--address", "127.0.0.5", "--active", "--ascii")
    assert done.exit_code == 0, done.output
    made = userdata.made_up(Kept("4711", "4620"))
    for wanted in ("4621SW, extension 4711 at 127.0.0.5", f"ftp 127.0.0.1:{server.port}", "4711_4620data.txt",
                   "octets", "result", "226"):  # fmt: skip
        assert wanted in done.stdout
    assert "TYPE A" in server.heard and any(line.startswith("PORT") for line in server.heard)
    (server.folder / "4711_4620data.txt").write_bytes(made)
    done = run("restore", *server.where, "--model", "4625SW")
    assert done.exit_code == 0
    assert "ABKNAME001=" in done.stdout
    out = tmp_path / "out.txt"
    done = run("restore", *server.where, "--out", out, "--json")
    told = json.loads(done.stdout)
    assert (told["result"], told["bytes"], told["text"]) == ("ok", len(made), made.decode())
    assert out.read_bytes() == made


def test_a_file_of_ones_own_and_what_is_expected(server, tmp_path):
    mine = tmp_path / "labels.txt"
    mine.write_bytes(bytes(range(256)))
    done = run("backup", *server.where, "--file", mine, "--json")
    assert json.loads(done.stdout)["sha256"] and done.exit_code == 0
    assert run("restore", *server.where, "--expect", mine).exit_code == 0
    mine.write_bytes(b"other")
    done = run("restore", *server.where, "--expect", mine)
    assert done.exit_code == 1
    assert "different" in done.stdout and "not the 5 octets of" in done.stdout
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout


def test_nothing_there_is_a_negative_answer(server):
    done = run("restore", *server.where)
    assert done.exit_code == 1 and "refused" in done.stdout and "550" in done.stdout
    with HttpDepot() as web:
        done = run("restore", "--model", "9640", "--ext", "1", "--bruri", f"http://127.0.0.1:{web.port}/u/")
    assert done.exit_code == 1 and "missing" in done.stdout and "404" in done.stdout


def test_by_bruri_with_a_password():
    with HttpDepot("10.0.0.9:secret") as web:
        where = ("--model", "9611G", "--ext", "4712", "--bruri", f"http://127.0.0.1:{web.port}/u/")
        login = ("--password", "secret", "--call-server", "10.0.0.9")
        assert run("backup", *where).exit_code == 1
        done = run("backup", *where, *login, "--seed", 9)
        assert done.exit_code == 0 and "secret" not in done.output
        assert run("restore", *where, *login).exit_code == 0
    assert web.files == {"/u/4712_96xxdata.txt": userdata.made_up(Kept("4712", "96xx"), 9)}


def test_a_9610_asks_for_its_own_and_then_for_everybodys():
    with HttpDepot() as web:
        web.files["/9610data.txt"] = "\ufeffLANGUSER=English\r\n".encode("utf-16-le")
        where = ("--model", "9610", "--ext", "5", "--protocol", "http", "--http-port", web.port)
        done = run("restore", *where)
        assert done.exit_code == 0 and "LANGUSER=English" in done.stdout
        assert [path for _, path, _, _ in web.heard] == ["/5_9610data.txt", "/9610data.txt"]
        assert run("backup", *where).exit_code == 2


def test_the_name_of_old(server):
    assert run("backup", *server.where, "--old-name").exit_code == 0
    assert [path.name for path in server.folder.iterdir()] == ["4620data.txt"]
    assert run("restore", *server.where, "--old-name").exit_code == 0


def test_nobody_answers():
    done = run("backup", "--ext", 1, "--ports-offset", 59_000, "--patience", 2)
    assert done.exit_code == 3 and "connection refused" in done.stdout
    assert run("restore", "--model", "1616", "--ext", 1, "--http-port", 1).exit_code == 3


USAGE = {
    "no extension": ("backup",),
    "no number": ("backup", "--ext", "x"),
    "SIP": ("backup", "--ext", 1, "--model", "J179"),
    "an unknown phone": ("restore", "--ext", 1, "--model", "9999"),
    "https of a 16xx": ("backup", "--ext", 1, "--model", "1616", "--protocol", "https"),
    "a broken BRURI": ("backup", "--ext", 1, "--model", "9640", "--bruri", "server"),
    "BRURI of a 4600": ("backup", "--ext", 1, "--bruri", "http://h/"),
    "an old name of a 9640": ("restore", "--ext", 1, "--model", "9640", "--old-name"),
    "an agent elsewhere": ("backup", "--ext", 1, "--address", "192.0.2.1", "--agent", "--snmp-port", 0),
    "no address": ("agent", "--address", "here"),
    "an address elsewhere": ("agent", "--address", "192.0.2.1"),
    "many of no number": ("agent", "--ext", "x", "--count", 2),
    "a fault that is none": ("agent", "--fault", "polite"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage(case):
    done = run(*USAGE[case])
    assert done.exit_code == 2, done.output
    assert done.stderr.strip()


@pytest.mark.parametrize("command", ["backup", "restore", "agent"])
def test_help_has_examples(command):
    done = run(command, "--help")
    assert "Examples:" in done.stdout and "Exit codes:" in done.stdout


def test_help_tells_the_faults():
    said = " ".join(run("agent", "--help").stdout.split())
    assert all(name in said for name in FAULTS)


def ask(address: str, port: int, word: str) -> object:
    """What our own server makes of the phone at that address, in a thread's queue."""
    asker, said = Asker(), queue.Queue()
    terms = Terms(word, port=port, timeout=0.2, retries=50, limit=20.0)
    asker.ask(address, terms, said.put)
    try:
        return said.get(timeout=30)
    finally:
        asker.close()


def test_with_its_agent_a_phone_answers_meanwhile(server, tmp_path):
    """The home's own community and port are what its agent takes."""
    home, port = Home(tmp_path / "home"), free()
    home.ini.parent.mkdir(parents=True)
    text = (shipped() / "MV_IPTel.ini").read_text("utf-8")
    keys = {("SNMP", "Community"): "word", ("SNMP", "SNMPPort"): str(port)}
    home.ini.write_text(changed(text, keys), "utf-8")
    seen: list[object] = []
    asking = threading.Thread(target=lambda: seen.append(ask("127.0.0.57", port, "word")))

    # The server goes on with the phone when that has answered.
    server._server.handler.on_login = lambda handler, user: (asking.start(), asking.join(25))
    done = run("backup", *server.where, "--address", "127.0.0.57", "--agent", "--home", home.root)
    assert done.exit_code == 0, done.output
    assert seen == [Shown("4711", "4621SW", "4600")]
    assert "asked once: answered" in done.stdout


def test_a_refused_phone_is_told_of_its_agent(tmp_path):
    with FtpDepot(tmp_path, rights="elr") as server:
        where = ("--ext", 1, "--ports-offset", server.port - 21)
        assert "--agent does" in run("backup", *where).stdout
        done = run("backup", *where, "--agent", "--snmp-port", 0)
    assert done.exit_code == 1 and "nobody asked" in done.stdout and "--agent does" not in done.stdout


def test_the_agent_runs_until_it_is_interrupted():
    port = free()
    program = [sys.executable, "-c", "from mv_iptel.cli import main; main()", "sim", "agent"]
    options = ["--ext", "4711", "--address", "127.0.0.58", "--count", "2", "--port", str(port)]
    command = [*program, *options, "--community", "word"]
    wide = {**os.environ, "COLUMNS": "300"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=wide) as one:
        try:
            assert f"answers SNMP on 127.0.0.58 port {port} and 1 more" in one.stdout.readline()
            assert ask("127.0.0.58", port, "word") == Shown("4711", "4621SW", "4600")
            assert ask("127.0.0.59", port, "word") == Shown("4712", "4621SW", "4600")
            one.send_signal(signal.SIGINT)
            said = one.stdout.read()
            assert one.wait(20) == 0
        finally:
            one.kill()
    assert "127.0.0.58 was asked by 127.0.0.1, v2c: 1.3.6.1.2.1.1.2.0, " in said and "answered" in said
    assert "word" not in said


def test_a_taken_port_is_said():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.5", 0))
        done = run("agent", "--port", taken.getsockname()[1])
    assert done.exit_code == 2
    assert "cannot answer SNMP on 127.0.0.5" in done.stderr
