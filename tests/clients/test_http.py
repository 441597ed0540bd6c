"""curl speaks all of HTTP that phones and administrators use, in the clear and over TLS."""

from __future__ import annotations

import email.utils
import random
import re
import socket
import subprocess
from dataclasses import dataclass

import pytest

CONTENT = random.Random(9).randbytes(300_000)
NAME = "fw/image one.bin"
QUOTED = "fw/image%20one.bin"


@dataclass
class Answer:
    """What curl got: the last answer's status, its headers in lower case, the body."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module", params=["http", "https"])
def ask(request, daemon, program, tmp_path_factory):
    """`ask(name, *options)`: one request by curl."""
    folder = tmp_path_factory.mktemp(request.param)
    target = daemon.home.http_data / "fw"
    target.mkdir(exist_ok=True)
    daemon.write(daemon.home.http_data, NAME, CONTENT)  # HTTPS falls back to HTTPdata
    base = f"{request.param}://127.0.0.1:{getattr(daemon, request.param)}"

    def asked(name: str, *options: str) -> Answer:
        body = folder / "body"
        body.unlink(missing_ok=True)
        done = subprocess.run(
            [program("curl"), "-sS", "--path-as-is", "--cacert", str(daemon.home.ca_cert), "--max-time", "60",
             "-D", "-", "-o", str(body), *options, f"{base}/{name}"],
            capture_output=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        head = done.stdout.decode("latin-1").replace("\r", "")
        first, _, rest = head.strip().split("\n\n")[-1].partition("\n")
        version, status = first.split()[:2]
        pairs = (line.split(": ", 1) for line in rest.splitlines())
        headers = {name.lower(): value for name, value in pairs}
        content = body.read_bytes() if body.exists() else b""
        if "-I" in options:  # then curl writes the head to both places
            content = content.removeprefix(done.stdout)
        return Answer(version, int(status), headers, content)

    return asked


def test_get(ask):
    got = ask(QUOTED)
    assert (got.status, got.body) == (200, CONTENT)
    assert got.headers["content-length"] == str(len(CONTENT))
    assert re.fullmatch(r'"[0-9a-f]{10}"', got.headers["etag"])
    assert email.utils.parsedate_to_datetime(got.headers["date"])
    assert email.utils.parsedate_to_datetime(got.headers["last-modified"])
    assert "transfer-encoding" not in got.headers


def test_head(ask):
    got, whole = ask(QUOTED, "-I"), ask(QUOTED)
    assert (got.status, got.body) == (200, b"")
    for name in ("content-length", "etag", "last-modified"):
        assert got.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 0), ("100-299", 100, 299), ("299990-", 299_990, 299_999), ("-7", 299_993, 299_999),
     ("5-999999999", 5, 299_999)],
)  # fmt: skip
def test_range(ask, asked, first, last):
    got = ask(QUOTED, "-r", asked)
    assert (got.status, got.body) == (206, CONTENT[first : last + 1])
    assert got.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"


def test_a_range_beyond_the_end(ask):
    got = ask(QUOTED, "-r", "300000-")
    assert got.status == 416
    assert got.headers["content-range"] == f"bytes */{len(CONTENT)}"


def test_if_range(ask):
    etag = ask(QUOTED, "-I").headers["etag"]
    got = ask(QUOTED, "-r", "10-19", "-H", f"If-Range: {etag}")
    assert (got.status, got.body) == (206, CONTENT[10:20])
    got = ask(QUOTED, "-r", "10-19", "-H", 'If-Range: "0000000000"')
    assert (got.status, got.body) == (200, CONTENT)


def test_not_modified(ask):
    head = ask(QUOTED, "-I").headers
    got = ask(QUOTED, "-H", f"If-None-Match: {head['etag']}")
    assert (got.status, got.body, got.headers["etag"]) == (304, b"", head["etag"])
    since = f"If-Modified-Since: {head['last-modified']}"
    got = ask(QUOTED, "-H", since)
    assert (got.status, got.body) == (304, b"")
    got = ask(QUOTED, "-H", 'If-None-Match: "0000000000"', "-H", since)
    assert got.status == 200  # RFC 9110 section 13.2.2: the tag decides, not the date


def test_resume_after_a_cut(ask, daemon, program, tmp_path):
    """curl -C goes on where a cut download ended."""
    part = tmp_path / "part"
    part.write_bytes(CONTENT[:123_456])
    url = f"http://127.0.0.1:{daemon.http}/{QUOTED}"
    subprocess.run([program("curl"), "-sS", "-f", "-C", "-", "-o", str(part), url], check=True, timeout=60)
    assert part.read_bytes() == CONTENT


def test_http_1_0(ask):
    got = ask(QUOTED, "--http1.0")
    assert (got.status, got.body) == (200, CONTENT)
    assert got.headers["content-length"] == str(len(CONTENT))


def test_keep_alive(daemon, program, tmp_path, ask):
    """Three requests, one connection; curl says how many it opened."""
    for scheme, port in (("http", daemon.http), ("https", daemon.https)):
        url = f"{scheme}://127.0.0.1:{port}/{QUOTED}"
        argv = [program("curl"), "-sS", "--cacert", str(daemon.home.ca_cert), "-w", "%{num_connects}"]
        for _ in range(3):
            argv += ["-o", str(tmp_path / "got"), url]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == "100"


def test_refusals(ask):
    """The table of reasons: 404 for what is not there, 405 for what would write; a short word as ETag."""
    for name in ("missing.bin", "../bin/MV_IPTel.ini", "%2e%2e/bin/MV_IPTel.ini", "fw", "fw/", ""):
        got = ask(name)
        assert (got.status, got.headers["etag"]) == (404, '"no-file"'), name
    same = {(ask(name).body, frozenset(ask(name, "-I").headers)) for name in ("missing.bin", "../x", "fw")}
    assert len(same) == 1  # one answer for all that is not to be had
    for method in ("PUT", "DELETE", "POST"):
        got = ask("new.bin", "-X", method, "-d", "x")
        assert (got.status, got.headers["etag"]) == (405, '"read-only"'), method


def test_what_strict_parsers_refuse(daemon, ask):
    """Request forms of old phones: no Host, raw octets in the User-Agent, bare line feeds, a backslash."""
    forms = [
        b"GET /plain.txt HTTP/1.0\r\n\r\n",
        b"GET /plain.txt HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /plain.txt HTTP/1.0\n\n",
        b"GET /plain.txt HTTP/1.0\r\nUser-Agent: AVAYA/SIP12x0\x14/04.00.04.00\r\n\r\n",
        b"GET /plain.txt HTTP/1.0\r\nUser-Agent: AVAYA/SIP12x0\xff/04.00.04.00\r\n\r\n",
        b"GET \\plain.txt HTTP/1.0\r\n\r\n",
        b"GET plain.txt HTTP/1.0\r\n\r\n",
        b"GET //plain.txt HTTP/1.0\r\n\r\n",
        b"GET /two words.txt HTTP/1.0\r\n\r\n",
        b"GET http://phones.example/plain.txt HTTP/1.0\r\n\r\n",
        b"GET /plain.txt?mac=00040d000001 HTTP/1.0\r\n\r\n",
        b"GET /PLAIN.TXT HTTP/1.0\r\n\r\n",
    ]
    daemon.write(daemon.home.http_data, "plain.txt", b"served\n")
    daemon.write(daemon.home.http_data, "two words.txt", b"served\n")
    for form in forms:
        with socket.create_connection(("127.0.0.1", daemon.http), 20) as connection:
            connection.sendall(form)
            got = b""
            while piece := connection.recv(65536):
                got += piece
        assert got.split(b"\r\n")[0].split()[1:2] == [b"200"] and got.endswith(b"\r\n\r\nserved\n"), form
