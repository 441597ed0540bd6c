"""Slots and bans with real programs: few are served well, the others wait their turn."""

from __future__ import annotations

import socket
import subprocess
import threading
import time

import pytest

from tests.clients.daemon import Daemon, wait_for
from tests.clients.phone import Tftp, ask_tftp, ask_web

CONTENT = b"x" * 2000
FIRST, SECOND, THIRD, BANNED = "127.0.0.31", "127.0.0.32", "127.0.0.33", "127.0.0.34"


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path, {("Settings", "MaxClients"): 2, ("Settings", "ClientSessionTime"): 600}) as running:
        for folder in (running.home.tftp_data, running.home.http_data):
            running.write(folder, "fw.bin", CONTENT)
        yield running


def test_two_are_served_and_the_third_waits(daemon, program):
    http = ask_web(program("curl"), "http")
    assert http(daemon, FIRST, "fw.bin") == CONTENT
    assert ask_tftp(daemon, SECOND, "fw.bin") == CONTENT
    assert http(daemon, SECOND, "fw.bin") == CONTENT  # one slot for an address, over all protocols
    slots = daemon.seen()["slots"]
    assert (slots["max"], slots["used"]) == (2, 2)

    # TFTP: silence, and phones ask again each second.
    with Tftp(daemon.tftp, "fw.bin", THIRD) as transfer:
        transfer.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            transfer.finish()
        assert transfer.error is None and len(transfer.data) < len(CONTENT)
    assert daemon.event(peer=THIRD, proto="tftp")["reason"] == "no-slot"

    # HTTP: held for a while, then 503 with a time to come back.
    began = time.monotonic()
    done = subprocess.run(
        [program("curl"), "-sS", "-i", "--interface", THIRD, f"http://127.0.0.1:{daemon.http}/fw.bin"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert 4 < time.monotonic() - began < 20
    assert " 503 " in done.stdout.splitlines()[0]
    assert 'ETag: "no-slot"' in done.stdout and "Retry-After:" in done.stdout


def test_a_slot_freed_by_hand_serves_who_is_held(daemon, program):
    http = ask_web(program("curl"), "http")
    assert http(daemon, FIRST, "fw.bin") == http(daemon, SECOND, "fw.bin") == CONTENT
    got = []
    held = threading.Thread(target=lambda: got.append(http(daemon, THIRD, "fw.bin")))
    held.start()
    wait_for("the third is held", lambda: daemon.seen()["slots"]["used"] == 2)
    daemon.run("slots", "free", FIRST)
    held.join(30)
    assert got == [CONTENT]
    assert {slot["address"] for slot in daemon.slots()} == {SECOND, THIRD}


def test_this_host_needs_no_slot(daemon, program):
    http = ask_web(program("curl"), "http")
    assert http(daemon, FIRST, "fw.bin") == http(daemon, SECOND, "fw.bin") == CONTENT
    assert http(daemon, "127.0.0.1", "fw.bin") == ask_tftp(daemon, "127.0.0.1", "fw.bin") == CONTENT


def test_the_banned_hear_nothing(daemon, program):
    daemon.write(daemon.home.lists, "banned.txt", f"{BANNED}\n".encode())
    with Tftp(daemon.tftp, "fw.bin", BANNED) as transfer:
        transfer.sock.settimeout(1)
        with pytest.raises(TimeoutError):
            transfer.step()
    with socket.create_connection(("127.0.0.1", daemon.http), 10, source_address=(BANNED, 0)) as connection:
        connection.sendall(b"GET /fw.bin HTTP/1.0\r\n\r\n")
        try:
            answer = connection.recv(1000)
        except ConnectionResetError:
            answer = b""
        assert CONTENT[:100] not in answer
    assert ask_tftp(daemon, FIRST, "fw.bin") == CONTENT
    wait_for("a notice", lambda: f"{BANNED} is banned" in daemon.journal())
