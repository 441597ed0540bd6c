"""The downloads: what each answer is called; held against the disk; side by side within one time limit."""

from __future__ import annotations

import socket
import threading

import pytest

from mv_iptel.home import CHECK_FILE
from watchdogd.judge import Got, Target
from watchdogd.probes import Sides, Trust, blind, compared, probe

LOOP = "127.0.0.1"


@pytest.fixture
def data(tmp_path):
    (tmp_path / CHECK_FILE).write_bytes(b"alive")
    return [tmp_path]


@pytest.mark.parametrize(("proto", "reply", "result"), [
    ("http", b"HTTP/1.0 200 OK\r\n\r\nalive", "same"),
    ("http", b"HTTP/1.0 200 OK\r\n\r\nother", "differs"),
    ("http", b"HTTP/1.0 404 No\r\n\r\n", "missing"),
    ("http", b"HTTP/1.0 403 No\r\n\r\n", "missing"),
    ("http", b"HTTP/1.0 503 Later\r\n\r\n", "busy"),
    ("http", b"HTTP/1.0 500 Ouch\r\n\r\n", "broken"),
    ("http", b"SSH-2.0 what\r\n", "broken"),
    ("https", b"no TLS at all", "broken"),
    ("http", None, "silent"),
    ("https", None, "silent"),
    ("ftp", None, "silent"),
    ("ftps", None, "silent"),
])  # fmt: skip
def test_what_it_is_called(says, data, proto, reply, result):
    target = Target(proto, LOOP, says(reply))
    got = probe(target, data, 0.2 if reply is None else 10, blind() if proto.endswith("s") else None)
    assert (got.result, got.there, got.directory) == (result, True, str(data[0])), got


def test_nobody_listens(data):
    with socket.create_server((LOOP, 0)) as sock:
        port = sock.getsockname()[1]
    assert probe(Target("http", LOOP, port), data, 5, None).result == "closed"


@pytest.mark.parametrize("host", [LOOP, "::1"])
def test_a_tftp_port_that_never_answers(data, host):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        got = probe(Target("tftp", host, sock.getsockname()[1]), data, 0.4, None)
    assert got.result == "silent" and got.seconds < 5


def test_another_hosts_disk_is_not_looked_at(says):
    port = says(b"HTTP/1.0 404 No\r\n\r\n")
    assert probe(Target("http", LOOP, port), [], 10, None).result == "same"


def test_against_the_disk(tmp_path, data):
    first = tmp_path / "first"
    first.mkdir()
    got = compared(Got("same"), b"alive", [first, *data])
    assert got.result == "same" and got.directory == str(tmp_path)
    (tmp_path / CHECK_FILE).unlink()
    got = compared(Got("missing"), b"", [first, *data])
    assert (got.there, got.directory, got.others) == (False, str(first), 0)
    (first / "46xxsettings.txt").touch()
    assert compared(Got("missing"), b"", [first]).others == 1
    assert compared(Got("missing"), b"", [tmp_path / "none"]).others == -1
    assert compared(Got("same"), b"alive", [first]).result == "differs"
    (first / CHECK_FILE).mkdir()
    assert "cannot be read" in compared(Got("same"), b"alive", [first]).unreadable


def test_a_context_is_made_anew_when_a_certificate_is(home):
    trust = Trust()
    files = (home.ca_cert, home.cert_file, home.root / "none.pem")
    first = trust.context(files)
    assert trust.context(files) is first
    home.cert_file.write_bytes(home.cert_file.read_bytes() + b"\n")
    assert trust.context(files) is not first


def test_side_by_side():
    sides, ended = Sides(), threading.Event()
    begun = []

    def stands_still():
        begun.append(1)
        ended.wait(30)
        return "late"

    for _ in range(2):
        assert sides.run({"quick": lambda: "done", "slow": stands_still}, 0.2) == {"quick": "done"}
    assert len(begun) == 1  # not begun again while it stands
    ended.set()
    assert sides.run({"quick": lambda: "done"}, 5) == {"quick": "done"}
