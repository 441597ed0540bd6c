"""Hostile input against the real daemon: an answer from the table or silence, and never harm to others."""

from __future__ import annotations

import itertools
import os
import random
import socket
import ssl
import time
from contextlib import ExitStack

import pytest

from tests.clients.daemon import Daemon, wait_for
from tests.clients.phone import Tftp, ask_tftp, ask_web

GOOD = b"SET GROUP 7\n"
SECRET = b"not for phones"
RRQ = b"\0\1"  # and then a name, which may begin with a digit
LONG = random.Random(5).randbytes(2 << 20)

CLIMBS = [
    "../bin/MV_IPTel.ini", "../../MV_IPTel/bin/MV_IPTel.ini", "/../bin/MV_IPTel.ini",
    "..\\bin\\MV_IPTel.ini",
    "a/../../bin/MV_IPTel.ini", "./../bin/MV_IPTel.ini", "....//bin/MV_IPTel.ini", "..", "../", "/..", ".",
    "%2e%2e/bin/MV_IPTel.ini", "%2e%2e%2fbin%2fMV_IPTel.ini", "..%5cbin%5cMV_IPTel.ini",
    "..%c0%afbin/MV_IPTel.ini",
    "%252e%252e/bin/MV_IPTel.ini", "C:\\Windows\\win.ini", "\\\\host\\share\\x", "/etc/passwd",
    "//etc/passwd", "outside.txt", "outside/secret.txt", "loop", "loop/x", "directory", "directory/", "fifo",
    ".hidden", "TFTP_allow_IP.txt.", "46xxsettings.txt/x", "x" * 300, "x/" * 300,
    "con", "nul", "aux",
    "46xxsettings.txt::$DATA", "46xxsettings.txt%00.bin", "~root/.profile", "$(id)", "`id`", "a\nb",
    "a\tb", "\x7f",
    "\xff\xfe", "‥/bin", "．．/bin",
]  # fmt: skip


@pytest.fixture(scope="module")
def daemon(home):
    """A daemon whose data directories hold good files, and traps that lead outside."""
    with Daemon(home, {("Settings", "DetailedLog"): 1}) as running:
        outside = running.home.mv_iptel / "secret"
        outside.mkdir()
        (outside / "secret.txt").write_bytes(SECRET)
        for folder in (running.home.tftp_data, running.home.http_data, running.home.https_data):
            running.write(folder, "46xxsettings.txt", GOOD)
            running.write(folder, "long.bin", LONG)
            (folder / "directory").mkdir()
            (folder / "outside.txt").symlink_to(outside / "secret.txt")
            (folder / "outside").symlink_to(outside)
            (folder / "loop").symlink_to("loop")
            (folder / ".hidden").write_bytes(SECRET)
            os.mkfifo(folder / "fifo")
        yield running


@pytest.fixture(autouse=True)
def unharmed(daemon, program):
    """Whatever a test did: the server lives, others are served at once, nothing went wrong inside."""
    yield
    assert daemon.process.poll() is None
    began = time.monotonic()
    assert ask_tftp(daemon, "127.0.0.9", "46xxsettings.txt") == GOOD
    for scheme in ("http", "https"):
        assert ask_web(program("curl"), scheme)(daemon, "127.0.0.9", "46xxsettings.txt") == GOOD
    assert time.monotonic() - began < 10
    daemon.assert_no_fault()


_hosts = itertools.count(2)


def stranger() -> str:
    """An address that no other test speaks from: its events are found by it."""
    number = next(_hosts)
    return f"127.7.{number >> 8}.{number & 255}"


def datagram(daemon: Daemon, packet: bytes, wait: float = 0.3, source: str = "127.0.0.1") -> bytes:
    """Send one datagram to the TFTP port; the answer, or nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.settimeout(wait)
        sock.sendto(packet, ("127.0.0.1", daemon.tftp))
        try:
            return sock.recv(65535)
        except TimeoutError:
            return b""


def web(daemon: Daemon, scheme: str, source: str = "127.0.0.1") -> socket.socket:
    """A connection to a web port."""
    connection = socket.create_connection(("127.0.0.1", getattr(daemon, scheme)), 20, (source, 0))
    if scheme == "https":
        trust = ssl.create_default_context(cafile=str(daemon.home.ca_cert))
        connection = trust.wrap_socket(connection, server_hostname="127.0.0.1")
    return connection


def exchange(daemon: Daemon, scheme: str, data: bytes, source: str = "127.0.0.1") -> bytes:
    """Send octets, read until the server closes or has answered whole."""
    with web(daemon, scheme, source) as connection:
        got = b""
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                got += piece
                head, found, body = got.partition(b"\r\n\r\n")
                if found and len(body) >= content_length(head):
                    break
        except (ConnectionError, ssl.SSLError, BrokenPipeError):
            pass
        return got


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


# TFTP


@pytest.mark.parametrize("name", CLIMBS)
def test_tftp_names(daemon, name):
    answer = datagram(daemon, b"\0\1" + name.encode("utf-8", "surrogateescape") + b"\0octet\0", wait=5)
    assert answer[:4] == b"\0\5\0\1", answer
    assert b"/" not in answer[4:] and SECRET not in answer


PACKETS = {
    "nothing": b"", "one octet": b"\0", "opcode 0": b"\0\0", "opcode 9": b"\0\x09abc\0octet\0",
    "opcode 65535": b"\xff\xffabc", "a stray DATA": b"\0\3\0\1hello", "a stray ACK": b"\0\4\0\1",
    "a stray OACK": b"\0\6blksize\0512\0", "a stray ERROR": b"\0\5\0\0no\0", "opcode without more": b"\0\1",
}  # fmt: skip


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_tftp_stray_packets(daemon, packet):
    """At the well-known port only a request means something; to the rest silence or one ERROR 4."""
    source = stranger()
    answer = datagram(daemon, packet, source=source)
    assert answer == b"" or answer[:4] == b"\0\5\0\4"
    assert len(answer) <= 64
    if packet[:2] in (b"\0\5", b"\0\3", b"\0\4"):
        assert answer == b"", "an answer here could go back and forth for ever"
    assert daemon.event(peer=source)["reason"] == "bad-request"


REQUESTS = {
    "no end of name": RRQ + b"46xxsettings.txt",
    "no mode": RRQ + b"46xxsettings.txt\0",
    "no end of mode": RRQ + b"46xxsettings.txt\0octet",
    "unknown mode": RRQ + b"46xxsettings.txt\0ebcdic\0",
    "mail": b"\0\1root\0mail\0",
    "empty name": b"\0\1\0octet\0",
    "only NUL": b"\0\1" + b"\0" * 400,
}  # fmt: skip


@pytest.mark.parametrize("packet", REQUESTS.values(), ids=REQUESTS)
def test_tftp_broken_requests(daemon, packet):
    source = stranger()
    answer = datagram(daemon, packet, wait=5, source=source)
    assert answer[:4] in (b"\0\5\0\1", b"\0\5\0\4")
    assert daemon.event(peer=source)["outcome"] == "refused"


OPTIONS = [
    (b"blksize", b"abc"), (b"blksize", b"-1"), (b"blksize", b"0"), (b"blksize", b"7"), (b"blksize", b"65465"),
    (b"blksize", b"9" * 4000), (b"blksize", b"\xd9\xa1\xd9\xa2"), (b"tsize", b"-1"), (b"timeout", b"0"),
    (b"timeout", b"256"), (b"windowsize", b"0"), (b"windowsize", b"65536"), (b"x" * 60_000, b"1"),
    (b"unknown", b"y" * 60_000), (b"", b""), (b"\xff", b"\xfe"),
]  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: f"{option[0][:9]}={option[1][:9]}")
def test_tftp_options(daemon, option):
    """A bad option is left out or refused (error 8); the file itself is still to be had."""
    answer = datagram(daemon, RRQ + b"46xxsettings.txt\0octet\0" + b"\0".join(option) + b"\0", wait=5)
    assert answer[:2] in (b"\0\3", b"\0\6") or answer[:4] in (b"\0\5\0\10", b"\0\5\0\4"), answer[:40]
    assert len(answer) < 600


def test_tftp_an_option_without_its_value(daemon):
    """Left out, as an option that nobody knows would be."""
    answer = datagram(daemon, RRQ + b"46xxsettings.txt\0octet\0blksize\0", wait=5)
    assert answer == b"\0\3\0\1" + GOOD


def test_tftp_ten_thousand_options(daemon):
    packet = RRQ + b"46xxsettings.txt\0octet\0" + b"a\0b\0" * 10_000
    answer = datagram(daemon, packet, wait=5)
    assert answer[:2] in (b"\0\3", b"\0\6", b"\0\5") and len(answer) < 600


def test_tftp_writes_nothing(daemon):
    for name, code in ((b"new.txt", 2), (b"46xxsettings.txt", 2), (b"../bin/x", 1)):
        assert datagram(daemon, b"\0\2" + name + b"\0octet\0", wait=5)[:4] == b"\0\5\0" + bytes([code])
    assert daemon.event(name="new.txt", proto="tftp")["reason"] == "read-only"


def test_tftp_one_event_for_each_refusal(daemon):
    for number in range(50):
        assert datagram(daemon, b"\0\1missing-%d\0octet\0" % number, wait=5)[:4] == b"\0\5\0\1"
    for number in range(50):
        assert daemon.event(name=f"missing-{number}")["reason"] == "no-file"


def test_tftp_silence_is_not_amplified(daemon):
    """A forged source gets the first packet at most three times (RFC 1350 has it repeated; we stop early)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(1)
        sock.sendto(b"\0\1long.bin\0octet\0", ("127.0.0.1", daemon.tftp))
        got = []
        end = time.monotonic() + 9
        while time.monotonic() < end:
            try:
                got.append(sock.recv(65535))
            except TimeoutError:
                continue
    assert 1 <= len(got) <= 3 and len(set(got)) == 1


def test_tftp_old_acknowledgements_make_no_packets(daemon):
    """The Sorcerer's Apprentice (RFC 1123 section 4.2.3.1): a doubled ACK must not double the data."""
    with Tftp(daemon.tftp, "long.bin") as transfer:
        transfer.step()
        packet, sender = transfer.sock.recvfrom(65535)
        for _ in range(20):
            transfer.sock.sendto(b"\0\4\0\1", sender)
        transfer.sock.settimeout(0.4)
        extra = []
        try:
            while True:
                extra.append(transfer.sock.recv(65535))
        except TimeoutError:
            pass
        assert len(extra) <= 1 and packet[2:4] == b"\0\2"
        transfer.sock.sendto(b"\0\5\0\0enough\0", sender)


def test_tftp_garbage_into_a_transfer(daemon):
    """Whatever comes to the transfer's port, the transfer ends whole or ends cleanly."""
    chance = random.Random(4)
    with Tftp(daemon.tftp, "long.bin") as transfer:
        transfer.step()
        for _ in range(200):
            peer = None
            packet, peer = transfer.sock.recvfrom(65535)
            for junk in (
                b"",
                b"\0",
                chance.randbytes(3),
                b"\0\x63" + chance.randbytes(600),
                b"\0\4",
                b"\0\4\0",
            ):
                transfer.sock.sendto(junk, peer)
            transfer.sock.sendto(b"\0\4" + packet[2:4], peer)
            if packet[:2] == b"\0\5":
                break
        transfer.sock.sendto(b"\0\5\0\0enough\0", peer)


# HTTP and HTTPS


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


def test_web_names(daemon, scheme):
    """One answer, byte for byte, for everything that is not to be had."""
    answers = {}
    for name in CLIMBS:
        path = name.encode("utf-8", "surrogateescape").replace(b"\n", b"%0a")
        got = exchange(daemon, scheme, b"GET /" + path + b" HTTP/1.0\r\n\r\n")
        assert SECRET not in got
        head = [line for line in got.split(b"\r\n") if not line.lower().startswith(b"date:")]
        answers.setdefault(b"\r\n".join(head), []).append(name)
    assert len(answers) == 1, answers
    assert next(iter(answers)).startswith(b"HTTP/1.") and b" 404 " in next(iter(answers))[:16]


RANGES = b",".join(b"%d-%d" % (number, number) for number in range(2000))
BROKEN = {
    "nothing to parse": b"\r\n" * 50 + b"\x00\x01\x02\r\n\r\n",
    "a TLS hello": bytes.fromhex("160301020001000001fc0303") + bytes(100) + b"\r\n\r\n",
    "a NUL in the path": b"GET /46xx\x00settings.txt HTTP/1.0\r\n\r\n",
    "no path": b"GET\r\n\r\n",
    "only a version": b"HTTP/1.1\r\n\r\n",
    "two lengths": b"GET /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length of letters": b"PUT /x HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
    "a negative length": b"PUT /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "length and coding": (
        b"PUT /x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "an unknown coding": b"PUT /x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a broken chunk": b"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a long line": b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    "a long header": b"GET /x HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET /x HTTP/1.1\r\n" + b"X: 1\r\n" * 20_000 + b"\r\n",
    "an endless head": b"GET /x HTTP/1.1\r\n" + b"X" * 500_000,
    "CONNECT": b"CONNECT phones.example:443 HTTP/1.1\r\n\r\n",
    "TRACE": b"TRACE / HTTP/1.1\r\nX-Secret: 1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a future version": b"GET /x HTTP/9.9\r\n\r\n",
    "many ranges": (
        b"GET /long.bin HTTP/1.0\r\nRange: bytes=" + RANGES + b"\r\n\r\n"
    ),
    "a broken range": b"GET /46xxsettings.txt HTTP/1.0\r\nRange: bytes=9-1\r\n\r\n",
    "a huge range": b"GET /46xxsettings.txt HTTP/1.0\r\nRange: bytes=" + b"9" * 5000 + b"-\r\n\r\n",
    "a broken date": b"GET /46xxsettings.txt HTTP/1.0\r\nIf-Modified-Since: \xff" + b"9" * 300 + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_web_broken_requests(daemon, scheme, data):
    """Refused by code or by closing; nothing of what was sent comes back."""
    source = stranger()
    got = exchange(daemon, scheme, data, source)
    assert daemon.event(peer=source)["outcome"] in ("refused", "ok")
    if got:
        status = int(got.split()[1])
        assert status in (200, 400, 404, 405, 411, 413, 414, 416, 431, 501, 505), got[:200]
        assert b"X-Secret" not in got and b"Traceback" not in got
        if status == 200:
            assert got.endswith((GOOD, LONG))


def test_web_smuggling(daemon):
    """After a refused body the connection ends: its octets are never read as the next request."""
    inner = b"GET /46xxsettings.txt HTTP/1.1\r\n\r\n"
    with web(daemon, "http") as connection:
        connection.sendall(
            b"PUT /x HTTP/1.1\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%s"
            % (len(inner), inner)
        )
        got = b""
        while piece := connection.recv(65536):
            got += piece
    assert GOOD not in got and got.count(b"HTTP/1.") == 1


def test_web_one_event_for_each_refusal(daemon, scheme):
    for number in range(20):
        got = exchange(daemon, scheme, b"GET /%s-gone-%d HTTP/1.0\r\n\r\n" % (scheme.encode(), number))
        assert got.split()[1] == b"404"
    for number in range(20):
        assert daemon.event(name=f"{scheme}-gone-{number}")["reason"] == "no-file"


def test_slow_and_half_open_clients(daemon, scheme, program):
    """Two hundred that connect and say little: others are served, and the slow are cut off in the end."""
    with ExitStack() as stack:
        slow = []
        for number in range(200):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", getattr(daemon, scheme)), 20)
            )
            connection.sendall(b"GET /46xx"[: number % 10])
            slow.append(connection)
        reading = [stack.enter_context(web(daemon, scheme)) for _ in range(20)]
        for connection in reading:  # these ask and never read
            connection.sendall(b"GET /long.bin HTTP/1.0\r\n\r\n")
        began = time.monotonic()
        for _ in range(10):
            assert ask_web(program("curl"), scheme)(daemon, "127.0.0.8", "46xxsettings.txt") == GOOD
        assert ask_tftp(daemon, "127.0.0.8", "46xxsettings.txt") == GOOD
        assert time.monotonic() - began < 15


def test_clients_that_leave(daemon, scheme):
    """Cut in the middle of a head, of a body, of a handshake: each is one client gone, nothing more."""
    for number in range(60):
        with socket.create_connection(("127.0.0.1", getattr(daemon, scheme)), 20) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(b"GET /long.bin HTTP/1.1\r\n\r\n"[: number % 27] or b"\x16\x03\x01")
    for _ in range(20):
        with web(daemon, scheme) as connection:
            connection.sendall(b"GET /long.bin HTTP/1.1\r\n\r\n")
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_for("no transfer is left", lambda: not daemon.seen()["transfers"]["active"])


# Memory


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_memory_after_bad_requests(tmp_path, program, count, evidence):
    """Half over TFTP, half over HTTP: resident memory ends at most 16 MiB above that of a fresh server."""
    total = count("bad")
    with Daemon(tmp_path, {("Settings", "DetailedLog"): 1}) as fresh:
        fresh.write(fresh.home.http_data, "46xxsettings.txt", GOOD)
        assert ask_web(program("curl"), "http")(fresh, "127.0.0.9", "46xxsettings.txt") == GOOD
        before = fresh.resident()
        answered = bad_tftp(fresh, total // 2, seed=3)
        bad_http(fresh, total // 2, seed=4)
        wait_for("all is told", lambda: not fresh.seen()["transfers"]["active"])
        after = fresh.resident()
    grown = after - before
    evidence("memory", requests=total, tftp_answered=answered, before=before, after=after, grown=grown)
    assert answered > total // 4
    assert grown <= 16 << 20


def bad_tftp(daemon: Daemon, number: int, seed: int) -> int:
    """Send bad requests from many addresses, in bursts that the buffers hold; how many were answered."""
    chance, answered = random.Random(seed), 0
    bases = [b"\0\1" + name.encode("utf-8", "surrogateescape") + b"\0octet\0" for name in CLIMBS]
    bases += [*REQUESTS.values(), *PACKETS.values(), b"\0\2new\0octet\0"]
    for _ in range(max(1, number // 100)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((f"127.0.{chance.randrange(1, 250)}.{chance.randrange(1, 250)}", 0))
            sock.settimeout(0.05)
            for _ in range(100):
                packet = chance.choice(bases)
                if chance.random() < 0.3:
                    packet = packet[:8] + chance.randbytes(chance.randrange(20)) + packet[8:]
                sock.sendto(packet, ("127.0.0.1", daemon.tftp))
            try:
                while True:
                    sock.recv(65535)
                    answered += 1
            except TimeoutError:
                pass
    return answered


def bad_http(daemon: Daemon, number: int, seed: int) -> None:
    """Send bad requests, as many on a connection as the server takes."""
    chance, sent = random.Random(seed), 0
    bases = [data for data in BROKEN.values() if len(data) < 1000]
    names = [name.encode("utf-8", "surrogateescape").replace(b"\n", b"%0a") for name in CLIMBS]
    while sent < number:
        source = f"127.0.{chance.randrange(1, 250)}.{chance.randrange(1, 250)}"
        with socket.create_connection(
            ("127.0.0.1", daemon.http), 20, source_address=(source, 0)
        ) as connection:
            batch = [
                b"GET /%s HTTP/1.1\r\nUser-Agent: %d\r\n\r\n"
                % (chance.choice(names), chance.randrange(1 << 30))
                for _ in range(50)
            ]
            batch.append(chance.choice(bases))
            sent += len(batch)
            try:
                connection.sendall(b"".join(batch))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 20):
                    pass
            except OSError:
                continue
