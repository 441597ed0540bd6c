"""A changed configuration comes into force while transfers are on their way; none of them notices."""

from __future__ import annotations

import random
import signal
import subprocess

import pytest

from tests.clients.daemon import Daemon, set_keys, wait_for
from tests.clients.phone import Tftp, ask_tftp, ask_web

CONTENT = random.Random(3).randbytes(1 << 20)
# More than the buffers of a connection hold: a slow reader keeps the server at work.
LONG = random.Random(4).randbytes(40 << 20)


@pytest.fixture
def daemon(tmp_path):
    """A daemon of its own for each test: its configuration is what is tested."""
    with Daemon(tmp_path) as running:
        for folder in (running.home.tftp_data, running.home.http_data):
            running.write(folder, "fw.bin", CONTENT)
        running.write(running.home.http_data, "long.bin", LONG)
        yield running


def test_transfers_in_flight_go_on(daemon, program, tmp_path):
    curls = {}
    for scheme in ("http", "https"):
        target = tmp_path / scheme
        curls[target] = subprocess.Popen(
            [program("curl"), "-sS", "-f", "--limit-rate", "8M", "--cacert", str(daemon.home.ca_cert),
             "-o", str(target), f"{scheme}://127.0.0.1:{getattr(daemon, scheme)}/long.bin"],
        )  # fmt: skip
    with Tftp(daemon.tftp, "fw.bin") as slow:
        while slow.blocks < 50:
            slow.step()
        wait_for("three transfers", lambda: len(daemon.seen()["transfers"]["active"]) == 3)
        # A new directory, another TFTP port and no HTTP at all: everything that could hurt.
        other = tmp_path / "other"
        other.mkdir()
        (other / "fw.bin").write_bytes(b"other")
        before, daemon.tftp = daemon.tftp, daemon.tftp + 1
        set_keys(daemon.home.ini, {
            ("TFTP", "TFTPDir"): other, ("TFTP", "TrivialFTPPort"): daemon.tftp,
            ("HTTP", "RunHTTP"): 0, ("HTTPS", "HTTPSDir"): other,
        })  # fmt: skip
        daemon.run("reload")
        assert ask_tftp(daemon, "127.0.0.1", "fw.bin") == b"other"
        assert ask_web(program("curl"), "https")(daemon, "127.0.0.1", "fw.bin") == b"other"
        ports = {one["port"] for one in daemon.seen()["listeners"] if one["state"] == "up"}
        assert daemon.tftp in ports and not {before, daemon.http, daemon.http_alt} & ports
        assert slow.finish() == CONTENT
    for target, curl in curls.items():
        assert curl.wait(60) == 0, target
        assert target.read_bytes() == LONG
    wait_for("two events", lambda: len(daemon.events(name="long.bin", outcome="ok")) == 2)
    assert len(daemon.events(name="long.bin")) == 2


def test_a_bad_file_leaves_the_old_one_in_force(daemon):
    generation = daemon.seen()["config"]["generation"]
    set_keys(daemon.home.ini, {("TFTP", "TrivialFTPPort"): "sixty-nine"})
    done = daemon.run("reload", status=None)
    assert done.returncode != 0 and "TrivialFTPPort" in done.stdout + done.stderr
    assert ask_tftp(daemon, "127.0.0.1", "fw.bin") == CONTENT
    assert daemon.seen()["config"]["generation"] == generation


def test_a_signal_reloads_too(daemon, tmp_path):
    other = tmp_path / "signal"
    other.mkdir()
    (other / "fw.bin").write_bytes(b"other")
    set_keys(daemon.home.ini, {("TFTP", "TFTPDir"): other})
    daemon.process.send_signal(signal.SIGHUP)
    wait_for("the new directory", lambda: ask_tftp(daemon, "127.0.0.1", "fw.bin") == b"other")


def test_a_taken_port_keeps_nobody_from_booting(daemon, program):
    """The listener is failed and names its holder; the rest runs."""
    set_keys(daemon.home.ini, {("HTTP", "HTTPAltPorts"): daemon.status})
    daemon.run("reload", status=None)
    failed = [one for one in daemon.seen()["listeners"] if one["state"] == "failed"]
    assert [one["port"] for one in failed] == [daemon.status] * len(failed) and failed
    assert str(daemon.process.pid) in failed[0]["error"] or "mv-iptel" in failed[0]["error"]
    assert ask_web(program("curl"), "http")(daemon, "127.0.0.1", "fw.bin") == CONTENT


def test_a_file_replaced_by_rename_is_sent_as_it_was(daemon, program, tmp_path):
    with Tftp(daemon.tftp, "fw.bin") as slow:
        slow.step()
        daemon.write(daemon.home.tftp_data, "fw.bin", b"new")
        assert ask_tftp(daemon, "127.0.0.1", "fw.bin") == b"new"
        assert slow.finish() == CONTENT


def test_a_file_overwritten_in_place_is_never_sent_half_old_half_new(daemon):
    """The administrator copied over it: the transfer ends with an error, and the phone asks again."""
    with Tftp(daemon.tftp, "fw.bin") as slow:
        for _ in range(10):
            slow.step()
        new = bytes(reversed(CONTENT))
        (daemon.home.tftp_data / "fw.bin").write_bytes(new)
        got = slow.finish()
        assert slow.error is not None or got == CONTENT
    assert ask_tftp(daemon, "127.0.0.1", "fw.bin") == new
