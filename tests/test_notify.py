"""systemd's protocol: what is said, to which kind of socket; who stands still is not called alive."""

from __future__ import annotations

import os
import secrets
import socket

import pytest

from mv_iptel import notify

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd is Linux's")


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """What listens in systemd's place, on both kinds of sockets."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if request.param == "file":
            name = address = str(tmp_path / "n")
        else:
            name = "@" + secrets.token_hex(8)
            address = "\0" + name[1:]
        sock.bind(address)
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield sock


def test_what_is_said(manager):
    said = lambda: manager.recv(4096).decode().split("\n")  # noqa: E731
    assert notify.ready("serving\nwell") and said() == ["READY=1", "STATUS=serving well"]
    assert notify.reloading()
    first, moment = said()
    assert first == "RELOADING=1" and moment.startswith("MONOTONIC_USEC=") and int(moment[15:]) > 0
    assert notify.status("two listeners") and said() == ["STATUS=two listeners"]
    assert notify.alive() and said() == ["WATCHDOG=1"]
    assert notify.stopping() and said() == ["STOPPING=1"]


@pytest.mark.parametrize("where", ["", "relative", "@nobody-listens-here", "/nowhere/at/all"])
def test_nobody_listens(where):
    assert not notify.send("READY=1", environ={"NOTIFY_SOCKET": where} if where else {})


def test_a_manager_that_reads_nothing_holds_nobody_up(manager):
    while notify.alive():
        pass  # until its queue is full


@pytest.mark.parametrize(("usec", "pid", "seconds"), [
    ("30000000", "", 30.0), ("500000", "7", 0.5), ("500000", "8", 0.0), ("", "", 0.0), ("never", "", 0.0),
])  # fmt: skip
def test_patience(usec, pid, seconds):
    assert notify.patience({"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}, 7) == seconds
    assert notify.patience({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}) == 1.0


def test_a_part_that_stands_still_stops_the_pulse():
    given, waiting = [], []
    pulse = notify.Pulse({"quick": lambda done: done(), "slow": waiting.append}, lambda: given.append(1))
    assert pulse.tick() == () and len(given) == 1
    assert pulse.tick() == ("slow",) and len(given) == 1
    assert pulse.tick() == ("slow",) and len(given) == 1 and len(waiting) == 1
    waiting.pop()()
    assert pulse.tick() == () and len(given) == 2
