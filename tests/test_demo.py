"""What `make run` shows: both phones boot, and what holds it up is said."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from mv_iptel import demo
from tests.clients.daemon import free_ports, wait_for

STANDARD = (69, 21, 20, 990, 889, 80, 81, 411, 443)


def free_offset() -> int:
    """An offset at which every standard port is free now."""
    while True:
        offset = free_ports(1)[0] // 2
        with_offset = [port + offset for port in STANDARD]
        held = []
        try:
            for port in with_offset:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    held.append(socket.socket(socket.AF_INET, kind))
                    held[-1].bind(("", port))
            return offset
        except OSError:
            continue
        finally:
            for sock in held:
                sock.close()


@pytest.fixture
def ports():
    return {"offset": free_offset(), "status": free_ports(1)[0]}


def test_both_phones_boot(tmp_path, ports, capsys):
    assert demo.main(tmp_path / "home", **ports, once=True) == 0
    said = capsys.readouterr().out
    assert said.count("booted in") == 2 and "did not boot" not in said
    for wanted in ("46xxupgrade.scr", "96xxupgrade.txt", "46xxsettings.txt", f"https {411 + ports['offset']}",
                   f"http {81 + ports['offset']}", f"tftp {69 + ports['offset']}"):  # fmt: skip
        assert wanted in said, said
    assert "exit code 0" in said and "Status page" not in said


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
        assert f"http://127.0.0.1:{ports['status']}/" in output.read_text()
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
    assert "exit code 0" in output.read_text() and "Traceback" not in output.read_text()
