"""The wiring: one server per home, taken ports, reload, switching listeners, users, the first minute."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest

from tests.clients.daemon import COMMAND, Daemon, free_ports, set_keys, wait_for


def notices(daemon, kind):
    lines = daemon.home.log.joinpath("MV_IPTel.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return [event for event in events if event.get("kind") == kind or event["event"] == kind]


def control(daemon, path):
    token = daemon.home.token.read_text().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.status}/control/{path}",
        method="POST",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def up(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_one_server_for_one_home(daemon):
    second = daemon.run("serve", status=2)
    assert str(daemon.process.pid) in second.stderr and "already" in second.stderr


def test_listeners_are_switched_until_the_next_reload(daemon):
    assert up(daemon.http)
    control(daemon, "listeners/http/stop")
    assert not up(daemon.http) and not up(daemon.http_alt) and up(daemon.https)
    control(daemon, "listeners/http/start")
    assert up(daemon.http) and up(daemon.http_alt)


def test_a_changed_ini_is_told_and_put_in_force_by_reload_or_signal(daemon):
    before = daemon.seen()["config"]["generation"]
    set_keys(daemon.home.ini, {("Settings", "ServerName"): "changed", ("Settings", "MaxClients"): 7})
    wait_for("the notice", lambda: notices(daemon, "config-changed"))
    assert daemon.seen()["server"]["name"] != "changed"
    os.kill(daemon.process.pid, signal.SIGHUP)
    wait_for("the new configuration", lambda: daemon.seen()["server"]["name"] == "changed")
    assert daemon.seen()["slots"]["max"] == 7
    wait_for("its generation", lambda: daemon.seen()["config"]["generation"] == before + 1)
    set_keys(daemon.home.ini, {("Settings", "MaxClients"): "many", ("TFTP", "TFTPTimeout"): "soon"})
    refused = daemon.run("reload", status=2)
    said = re.sub(r"\s+", " ", refused.stdout + refused.stderr)
    assert "[Settings] MaxClients" in said and "[TFTP] TFTPTimeout" in said
    assert daemon.seen()["slots"]["max"] == 7
    set_keys(daemon.home.ini, {
        ("Settings", "MaxClients"): 0, ("TFTP", "TFTPTimeout"): 1, ("Settings", "User"): "nobody",
    })  # fmt: skip
    told = daemon.run("reload", "--json", status=None)
    assert "User" in json.loads(told.stdout)["restart"]
    set_keys(daemon.home.ini, {("Settings", "User"): ""})
    daemon.run("reload")


def test_a_broken_list_is_told_before_anybody_asks(daemon):
    folder = daemon.home.http_data
    (folder / "HTTP_allow_IP.txt").write_text("127.\nnot an address\n")
    wait_for("the notice", lambda: notices(daemon, "list-broken"))
    assert notices(daemon, "list-broken")[0]["line"] == 2
    wait_for(
        "the finding", lambda: any("not an address" in one for one in daemon.seen()["config"]["findings"])
    )
    (folder / "HTTP_allow_IP.txt").unlink()


def test_a_taken_port_fails_alone(tmp_path):
    server = Daemon(tmp_path)
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", server.http))
        holder.listen()
        server.output = tmp_path / "out"
        with server.output.open("wb") as output:
            server.process = subprocess.Popen(
                [str(COMMAND), "serve", "--home", str(tmp_path)], stdout=output, stderr=output
            )
        try:
            wait_for("the other listeners", lambda: _serves(server.http_alt) and _serves(server.status))
            rows = {
                (row["proto"], row["port"]): row
                for row in server.seen()["listeners"]
                if "." in row["address"]
            }
            assert rows["http", server.http]["state"] == "failed"
            assert str(os.getpid()) in rows["http", server.http]["error"]
            assert rows["tftp", server.tftp]["state"] == "up"
        finally:
            server.process.terminate()
            assert server.process.wait(30) == 0


def _serves(port):
    try:
        return up(port)
    except OSError:
        return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another user")
def test_the_user_is_changed_once_the_ports_are_open():
    with tempfile.TemporaryDirectory(
        prefix="mv-iptel-test-"
    ) as name:  # pytest's own folders are root's alone
        os.chmod(name, 0o755)
        _serves_as_nobody(Path(name))


def _serves_as_nobody(folder):
    server = Daemon(folder, {("Settings", "User"): "nobody"})
    subprocess.run(["chown", "-R", "nobody", str(server.home.root)], check=True)
    with server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert re.search(r"Uid:\s+65534\s+65534\s+65534", status)
        threads = Path(f"/proc/{server.process.pid}/task").iterdir()
        assert all(re.search(r"Uid:\s+65534\s+65534", (one / "status").read_text()) for one in threads)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.http}/46xxsettings.txt") as answer:
            assert answer.status == 200
        assert server.event(name="46xxsettings.txt", outcome="ok")
        database = server.home.var / "inventory.db"
        assert stat.S_IMODE(database.stat().st_mode) == 0o660, "readers of the group need its lock"


def test_serve_dir_in_the_first_minute(tmp_path, program):
    folder = tmp_path / "firmware"
    folder.mkdir()
    (folder / "a.bin").write_bytes(os.urandom(3000))
    offset = free_ports(1)[0] - 69
    command = [str(COMMAND), "serve", "--dir", str(folder), "--ports-offset", str(min(offset, 60000))]
    port = 69 + min(offset, 60000)
    with (tmp_path / "out").open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "COLUMNS": "200"}
        )
    try:
        wait_for("http", lambda: _serves(port + 12))
        with urllib.request.urlopen(f"http://127.0.0.1:{port + 12}/a.bin") as answer:
            assert answer.read() == (folder / "a.bin").read_bytes()
        done = subprocess.run(
            [program("curl"), "-s", f"tftp://127.0.0.1:{port}/a.bin"], capture_output=True, timeout=30
        )
        assert done.stdout == (folder / "a.bin").read_bytes()
        wait_for("its lines", lambda: (tmp_path / "out").read_text().count("a.bin") >= 2)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert sorted(entry.name for entry in folder.iterdir()) == ["a.bin"], "the folder is left as it was"


def test_without_a_home_serve_says_what_to_do(tmp_path):
    done = subprocess.run(
        [str(COMMAND), "serve", "--home", str(tmp_path / "none")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "mv-iptel init" in re.sub(r"\s+", " ", done.stderr)


def test_an_account_that_does_not_exist_is_told_with_its_line(tmp_path):
    server = Daemon(tmp_path, {("Settings", "User"): "nosuchaccount"})
    done = server.run("serve", status=2)
    said = re.sub(r"\s+", " ", done.stderr)
    assert "[Settings] User: there is no account 'nosuchaccount'" in said and "Traceback" not in said


def test_the_lock_is_no_way_to_write_elsewhere(tmp_path):
    server = Daemon(tmp_path)
    target = tmp_path / "precious"
    target.write_text("mine")
    (server.home.var / "server.lock").unlink(missing_ok=True)
    (server.home.var / "server.lock").symlink_to(target)
    server.run("serve", status=None)
    assert target.read_text() == "mine"
