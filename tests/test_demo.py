"""What `make run` shows: both phones boot and keep their data, and what holds it up is said."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from mv_iptel import demo
from mv_iptel.home import Home
from tests.clients.daemon import STATUS, free_offset, free_ports, wait_for


@pytest.fixture
def ports():
    offset = free_offset()
    return {"offset": offset, "status": STATUS + offset, "manager": free_ports(1)[0],
            "watchdog": free_ports(1)[0]}  # fmt: skip


def test_both_phones_boot_and_get_their_data_back(tmp_path, ports, capsys):
    assert demo.main(tmp_path / "home", **ports, once=True) == 0
    said = capsys.readouterr().out
    assert said.count("booted in") == 2 and "did not boot" not in said
    assert said.count("the same came back") == 2 and "asked 0 times" not in said
    assert f"ftp {21 + ports['offset']}" in said
    data = tmp_path / "home" / "MV_IPTel" / "data" / "FTPdata"
    assert {path.name for path in data.glob("*data.txt")} == {"4621_4620data.txt", "9640_96xxdata.txt"}
    for wanted in ("46xxupgrade.scr", "96xxupgrade.txt", "46xxsettings.txt", f"https {411 + ports['offset']}",
                   f"http {81 + ports['offset']}", f"tftp {69 + ports['offset']}"):  # fmt: skip
        assert wanted in said, said
    assert said.count("exit code 0") == 3 and "Status page" not in said


def test_a_taken_port_is_said(tmp_path, ports, capsys):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        taken.bind(("::", 69 + ports["offset"]))
        assert demo.main(tmp_path / "home", **ports, once=True) == 1
    said = capsys.readouterr().out
    assert str(69 + ports["offset"]) in said and "booted in" not in said


def test_it_stays_until_interrupted_and_ends_cleanly(tmp_path, ports):
    code = (
        "import pathlib, sys; from mv_iptel import demo; "
        f"sys.exit(demo.main(pathlib.Path({str(tmp_path / 'home')!r}), **{ports!r}, once=False))"
    )
    output = tmp_path / "said"
    with output.open("wb") as said:
        running = subprocess.Popen(
            [sys.executable, "-c", code], stdout=said, stderr=said, env={**os.environ, "COLUMNS": "200"}
        )
    try:
        wait_for("the status page", lambda: "Ctrl-C ends it" in output.read_text())
        said = output.read_text()
        assert f"http://127.0.0.1:{ports['status']}/" in said
        assert f"Manager: https://localhost:{ports['manager']}/" in said
        assert f"Watchdog: http://127.0.0.1:{ports['watchdog']}/" in said
        name, password = demo.first_password(Home(tmp_path / "home"))
        assert f"sign in as {name} with {password}" in said
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
    assert output.read_text().count("exit code 0") == 3 and "Traceback" not in output.read_text()


def test_a_port_that_the_manager_wants_is_said(tmp_path, ports, capsys):
    with socket.create_server(("127.0.0.1", ports["manager"])):
        assert demo.main(tmp_path / "home", **ports, once=True) == 1
    said = capsys.readouterr().out
    assert f"port {ports['manager']} is taken by" in said and "The server has ended" in said
