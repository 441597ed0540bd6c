"""An attacker's day against the real manager: by curl, openssl, raw sockets, and what phones may say."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from manager.app import routes
from manager.guarding import SAFE
from mv_iptel.config import load
from tests.clients.daemon import Daemon
from tests.clients.manager import NEW, Manager, Person
from tests.clients.snmpd import COMMUNITY, Agent, free_udp

MARK = "planted-by-the-attacker"
# Out of an attribute, with one that htmx or app.js would act on.
QUOTES = '"pwn\' pwn="x" hx-get="/sign-in" data-api=\'DELETE /x\' hx-trigger="load'
SCRIPT, IMAGE = "<script>alert(1)</script>", "<img src=x onerror=alert(2)>"
PHONE = "127.0.0.77"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A file server and its manager."""
    folder = tmp_path_factory.mktemp("attacked")
    keys = {("SNMP", "SNMPPort"): free_udp(PHONE), ("SNMP", "Community"): COMMUNITY,
            ("HTTP", "BackupPerNet"): "127.0.0.78=none"}  # fmt: skip
    with Daemon(folder / "home", keys) as daemon, Manager(daemon.home) as running:
        running.daemon = daemon
        yield running


@pytest.fixture(scope="module")
def admin(site):
    return Person(site).settle()


def person(site, admin, role: str) -> Person:
    """A new user with this role, who has a password of his own."""
    made = admin.call("POST", "/api/v1/users", {"name": f"a.{role}", "role": role})
    first = made.json["password"]
    somebody = Person(site)
    assert somebody.sign_in(f"a.{role}", first).status == 303
    told = {"old": first, "new": NEW, "again": NEW}
    assert somebody.call("PUT", "/api/v1/account/password", told).status == 204
    assert somebody.sign_in(f"a.{role}", NEW).status == 303
    return somebody


def context(site) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(site.home.ca_cert))


@contextmanager
def line(site, source: str = "127.0.0.1") -> Iterator[ssl.SSLSocket]:
    """A connection over TLS."""
    with (
        socket.create_connection(("127.0.0.1", site.port), 20, (source, 0)) as plain,
        context(site).wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        yield secure


def raw(site, data: bytes, source: str = "127.0.0.1") -> bytes:
    """What comes back first of these octets; the attacker says no more."""
    with line(site, source) as secure:
        got = b""
        try:
            secure.sendall(data)
            while chunk := secure.recv(65536):
                got += chunk
                if b"\r\n\r\n" in got:
                    break
        except (ConnectionError, ssl.SSLError):
            pass
        return got


def cookie(somebody: Person) -> str:
    return "; ".join(f"{name}={value}" for name, value in somebody.cookies.items())


# the wire


def test_only_modern_tls(site, program):
    openssl = program("openssl")
    for version in ("-tls1", "-tls1_1"):
        told = [
            openssl,
            "s_client",
            version,
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-connect",
            f"127.0.0.1:{site.port}",
        ]
        done = subprocess.run(told, input=b"", capture_output=True, timeout=30)
        assert done.returncode, version
    for version in ("-tls1_2", "-tls1_3"):
        told = [openssl, "s_client", version, "-CAfile", str(site.home.ca_cert), "-verify_return_error",
                "-connect", f"localhost:{site.port}"]  # fmt: skip
        assert subprocess.run(told, input=b"", capture_output=True, timeout=30).returncode == 0, version


GET = b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 500 + b"\r\n\r\n",
        b"GET /sign-in\r\n\r\n",
        b"GET /sign-in HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        GET + b"X: a\r\n" * 5000 + b"\r\n",
        GET + b"X : a\r\n\r\n",
        GET + b"X: a\r\n folded\r\n\r\n",
        GET + b"X: a\0b\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 99999999999\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /sign-in HTTP/1.0\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=range(19),
)
def test_broken_requests(site, data):
    """Refused or closed; the manager says nothing of itself and goes on."""
    got = raw(site, data)
    assert not got or re.match(rb"HTTP/\d\.\d (303|4\d\d) ", got), got[:200]
    assert (
        b"Traceback" not in got
        and b"/manager/" not in got
        and b"aiohttp" not in got.partition(b"\r\n\r\n")[2]
    )


def test_another_protocol_on_its_port(site):
    with socket.create_connection(("127.0.0.1", site.port), 20) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = b""
        try:
            while chunk := plain.recv(4096):
                got += chunk
        except ConnectionError:
            pass
    assert b"HTTP/" not in got


def test_a_proxys_form_of_address_changes_nothing(site):
    got = raw(site, b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert b" 403 " in got[:20] and b"evil.example" not in got
    got = raw(site, b"GET https://localhost/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert b" 403 " in got[:20]
    got = raw(
        site, b"GET https://evil.example/sign-in HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert b" 403 " in got[:20]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "203.0.113.9", "[2001:db8::1]"])
def test_a_name_that_was_made_to_point_here(site, program, host):
    """DNS rebinding, by curl: whatever is asked for, nothing of the manager comes."""
    curl = program("curl")
    told = [curl, "-sk", "-o", "-", "-w", "%{http_code}", "-H", f"Host: {host}"]
    for path in ("/", "/sign-in", "/api/v1/operations", "/healthz"):
        done = subprocess.run([*told, f"https://localhost:{site.port}{path}"], capture_output=True, text=True)
        assert done.stdout.endswith("403") and "password" not in done.stdout.lower(), path


def test_who_opens_many_connections_keeps_nobody_out(site, admin):
    """Handshakes that never come, requests that never end, bodies that never come: others are served."""
    with ExitStack() as held:
        for number in range(150):
            source = f"127.0.2.{number % 5 + 1}"
            held.enter_context(socket.create_connection(("127.0.0.1", site.port), 20, (source, 0)))
        for _ in range(10):
            secure = held.enter_context(line(site, "127.0.3.1"))
            secure.sendall(b"GET /sign-in HTTP/1.1\r\nHost: loc")
        for _ in range(10):
            secure = held.enter_context(line(site, "127.0.3.2"))
            secure.sendall(POST + b"Content-Length: 1000\r\n\r\nname=")
        begun = time.monotonic()
        assert admin.get("/operations").status == 200 and Person(site).get("/sign-in").status == 200
        assert time.monotonic() - begun < 10


def test_more_than_is_taken(site, admin):
    big = b"x" * (5 << 20)
    for method, path, kind in (
        ("POST", "/sign-in", "application/x-www-form-urlencoded"),
        ("PUT", "/api/v1/account/password", "application/json"),
        ("PUT", "/api/v1/access/lists/http", "application/json"),
    ):
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            f"Cookie: {cookie(admin)}\r\nX-CSRF-Token: {admin.csrf}\r\nConnection: close\r\n"
        ).encode()
        assert b" 413 " in raw(site, head + b"Content-Length: 999999999999\r\n\r\n")[:20], path
        assert b" 413 " in raw(site, head + b"Content-Length: 5242880\r\n\r\n")[:20], path
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (big[: 1 << 20],) * 5)
        got = raw(site, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        assert not got or b" 413 " in got[:20], path  # it may be gone before all was sent


# sessions


@pytest.fixture(scope="module")
def viewer(site, admin):
    return person(site, admin, "viewer")


def test_a_cookie_that_the_attacker_gave_is_not_the_one_that_is_used(site, viewer, program):
    """Session fixation; and what the browser is told of the cookie, as curl sees it."""
    (name,) = viewer.cookies
    told = [program("curl"), "-s", "--cacert", str(site.home.ca_cert), "-D", "-", "-o", "/dev/null",
            "-b", f"{name}=given-by-the-attacker", "--data-urlencode", "name=a.viewer",
            "--data-urlencode", f"password={NEW}", f"{site.url}/sign-in"]  # fmt: skip
    head = subprocess.run(told, capture_output=True, text=True).stdout
    given = re.search(r"(?i)^set-cookie: (.*)$", head, re.MULTILINE)[1].lower()
    assert given.startswith(f"{name}=".lower()) and "given-by-the-attacker" not in given
    assert all(f"; {word}" in given for word in ("secure", "httponly", "samesite=lax", "path=/"))
    assert "domain" not in given
    stranger = Person(site)
    stranger.cookies = {name: "given-by-the-attacker"}
    assert stranger.get("/operations").status == 303


def test_who_guesses_waits_and_the_user_himself_does_not(site, admin):
    """Brute force from one address; the session that there is goes on."""
    said = [Person(site).sign_in("admin", f"guess {number}").status for number in range(6)]
    assert 429 in said and 303 not in said
    assert admin.get("/operations").status == 200
    trail = admin.get("/api/v1/audit?action=sign-in%20failed").text
    assert "admin" in trail and "guess" not in trail


def test_a_form_on_another_site(site, admin):
    """CSRF: what a page elsewhere can have a signed-in browser send."""
    forged = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for route in routes():
        if route.method in SAFE:
            continue
        path = re.sub(r"\{[^}]+\}", "x", route.path)
        for headers in (forged, {**forged, "X-CSRF-Token": admin.csrf}, {"Content-Type": "text/plain"}):
            if route.role is None and headers is not forged:
                continue
            got = admin.ask(route.method, path, b"name=x", headers)
            assert got.status == 403, (route.method, path, headers)
    assert admin.get("/operations").status == 200, "nobody was signed out"


def test_a_viewer_does_not_climb(viewer):
    """By his own role, another's password, a header, a field more than there is."""
    for method, path, told in (
        ("PATCH", "/api/v1/users/a.viewer", {"role": "administrator"}),
        ("POST", "/api/v1/users", {"name": "b", "role": "administrator"}),
        ("POST", "/api/v1/users/admin/password", {}),
        ("DELETE", "/api/v1/users/admin", None),
        ("PUT", "/api/v1/access/lists/http", {"text": ""}),
    ):
        claims = {"X-Role": "administrator", "X-HTTP-Method-Override": "GET", "X-Forwarded-User": "admin"}
        assert viewer.call(method, path, told, "*", claims).status == 403, (method, path)
    old = {"old": NEW, "new": NEW + "!", "again": NEW + "!", "role": "administrator", "name": "admin"}
    viewer.call("PUT", "/api/v1/account/password", old)
    assert viewer.get("/users").status in (303, 403)


# what phones say


class Attributes(HTMLParser):
    """Whether somebody broke out of an attribute."""

    broken = ""

    def handle_starttag(self, tag, attrs):
        names = {name for name, _ in attrs}
        if any("pwn" in name or name == "onerror" for name in names):
            self.broken = self.get_starttag_text()


def breaks_out(html: str) -> str:
    parser = Attributes()
    parser.feed(html)
    return parser.broken


def test_what_phones_say_stays_text(site, admin, program):
    """HTML in a User-Agent, a file name, an SNMP answer, an extension and a backup."""
    daemon, curl = site.daemon, program("curl")
    web = f"http://127.0.0.1:{daemon.http}"
    agent = f"AVAYA/9640-3.2.8 {SCRIPT} (MAC:00040d666666)"

    def phone(source: str, *what: str) -> int:
        told = [
            curl,
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--interface",
            source,
            "-A",
            agent,
            *what,
        ]
        return int(subprocess.run(told, capture_output=True, text=True, timeout=30).stdout)

    for name in (SCRIPT, IMAGE, QUOTES, f"a?{QUOTES}", "46xxsettings.txt", f"00040d666666{IMAGE}.txt"):
        phone("127.0.0.79", f"{web}/{quote(name)}")
    assert phone("127.0.0.78", "--data-binary", f"ABK01=\"{SCRIPT}\"\n{IMAGE}=1\n", "-X", "PUT",
                 f"{web}/4711_96xxdata.txt") in (200, 201, 204)  # fmt: skip
    said = {"ext": IMAGE[:60].replace('"', ""), "model": SCRIPT}
    if shutil.which("snmpd", path="/usr/sbin:/usr/bin:/sbin"):
        with Agent(PHONE, daemon_snmp(site), **said):
            assert phone(PHONE, "--data-binary", "x", "-X", "PUT", f"{web}/4712_96xxdata.txt") == 403
    (site.home.http_data / f"{IMAGE.replace('/', '')}.txt").write_text(SCRIPT)
    quoted = QUOTES.replace("/", "")
    (site.home.http_data / f"{quoted}.txt").write_text(QUOTES)
    (site.home.http_data / f"folder {quoted}").mkdir()
    assert admin.call("POST", "/api/v1/access/bans", {"entry": "203.0.113.9", "note": QUOTES}).status == 201
    refused = admin.get("/api/v1/log").json["items"]
    numbers = [str(row.get("id") or row.get("number") or "") for row in refused][:8]
    pages = [route.path for route in routes() if route.method == "GET" and "{" not in route.path]
    pages += ["/phones/00040d666666", "/phones/00040d666666/timeline", "/phones/00040d666666/refused",
              f"/phones/{PHONE}", "/phones/127.0.0.79", "/phones/127.0.0.79/timeline",
              "/userdata/4711_96xxdata.txt", "/userdata/4711_96xxdata.txt/differences",
              f"/search?q={quote(SCRIPT)}", f"/phones?q={quote(IMAGE)}", f"/log?text={quote(SCRIPT)}",
              f"/files/{site.home.http_data.name}",
              *(f"{part}/{quote(quoted)}.txt{more}" for part in ("/files/HTTPdata", "/api/v1/files/HTTPdata")
                for more in ("", "?part=askers", "?part=history", "?text=1")),
              f"/files/HTTPdata/{quote(f'folder {quoted}')}", f"/files/HTTPdata?q={quote(QUOTES)}&sort=size",
              f"/files/HTTPdata/{quote(quoted)}?new=1", f"/search?q={quote(QUOTES)}",
              f"/phones?q={quote(QUOTES)}&model={quote(QUOTES)}",
              f"/log?who={quote(QUOTES)}&text={quote(QUOTES)}",
              f"/access?address={quote(QUOTES)}&name={quote(QUOTES)}", "/access/lists/banned",
              f"/userdata?q={quote(QUOTES)}", f"/sign-in?to={quote(QUOTES)}", f"/audit?text={quote(IMAGE)}",
              "/phones/00040d666666/boot", "/phones/00040d666666/settings",
              *(f"/refusals/{number}" for number in numbers if number)]  # fmt: skip
    escaped = 0
    for path in pages:
        if path.endswith("/events"):
            continue
        for extra in ({}, {"HX-Request": "true"}):
            got = admin.get(path, **extra)
            kind = got.headers.get("Content-Type", "")
            assert got.status < 500, (path, got.text[:300])
            if kind.startswith("text/html"):
                assert "<script>alert" not in got.text and "<img src=x" not in got.text, path
                assert not breaks_out(got.text), path
                escaped += "&lt;script&gt;alert" in got.text or "&lt;img src=x" in got.text
            else:
                assert got.headers["X-Content-Type-Options"] == "nosniff", path
                assert "html" not in kind and "svg" not in kind, path
    assert escaped >= 8, "the attacker's words were shown, as words"


def daemon_snmp(site) -> int:
    return load(site.home).snmp.snmp_port


# paths

TRICKS = [
    "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "/etc/passwd", "%2fetc%2fpasswd",
    "..%5c..%5cbin%5cMV_IPTel.ini", "%2e%2e%2f%2e%2e%2fbin%2fMV_IPTel.ini",
    "..%252f..%252fbin%252fMV_IPTel.ini", "../var/control.token", "..%2fvar%2fcontrol.token",
    "..%2f..%2finitial-passwords.txt", "..%c0%af..%c0%afx",
    "a%00.txt", "x%0d%0aSet-Cookie:%20a=b", "..", ".", "%2e%2e", "evil%2fout", "linked%2fpasswd", "linked",
    "C:%5cWindows%5cwin.ini", "CON", "a" * 300, "..%2f..%2f..%2fMV_Manager%2fca%2fca.key", "%ff%fe",
    "HTTP_allow_IP.txt%2f..%2f..%2f..%2fbin%2fMV_IPTel.ini",
]  # fmt: skip
SECRETS = [b"root:x:0", b"PRIVATE KEY", b"scrypt:", b"TrivialFTPPort", b"\nmanager admin "]


class Line:
    """One connection that is kept, with a person's cookie and token."""

    def __init__(self, site, somebody: Person):
        self._line = http.client.HTTPSConnection("localhost", site.port, timeout=60, context=context(site))
        self._headers = {"Cookie": cookie(somebody), "X-CSRF-Token": somebody.csrf, "If-Match": "*"}

    def ask(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[int, bytes]:
        self._line.request(method, path, body, {**self._headers, "Content-Type": kind})
        answer = self._line.getresponse()
        data = answer.read()
        assert "a=b" not in (answer.headers.get("Set-Cookie") or "")
        if answer.headers.get("Connection") == "close":
            self._line.close()
        return answer.status, data


def planted(site) -> list[str]:
    """Where the attacker's content lies though it must not."""
    home = site.home
    fine = [home.http_data, home.https_data, home.tftp_data, home.ftp_data, home.updates,
            home.var, home.manager / "data", home.manager / "log"]  # fmt: skip
    found = subprocess.run(["grep", "-rla", MARK, str(home.root.parent)], capture_output=True, text=True)
    return [one for one in found.stdout.splitlines() if not one.startswith(tuple(f"{at}/" for at in fine))]


def test_path_tricks_in_everything_that_takes_a_name(site, admin):
    """Every route of every module: in its path, in its query and in its body."""
    home = site.home
    (home.http_data / "linked").symlink_to("/etc")
    (home.http_data / "linked.txt").symlink_to("/etc/passwd")
    token = home.token.read_bytes().strip()
    areas = [path.name for path in (home.http_data, home.updates)]
    asked, wrong = 0, []
    wire = Line(site, admin)
    for route in routes():
        if route.role is None or route.path in ("/api/v1/account/sessions", "/api/v1/account/password"):
            continue
        if route.path.endswith("/events") or "/sessions/" in route.path or "server/reload" in route.path:
            continue
        for trick in TRICKS:
            path = route.path.replace("{area}", trick if asked % 5 == 4 else areas[asked % 2])
            path = re.sub(r"\{[^}]+\}", lambda _, trick=trick: trick, path)
            if path == route.path and route.method == "GET" and asked % 3:
                asked += 1
                continue  # a page without a name: each third trick in its query is enough
            fields = ("name", "file", "path", "to", "copy", "q", "area", "address", "ext", "mac", "release")
            query = "&".join(f"{field}={trick}" for field in fields)
            told = {**dict.fromkeys(fields, trick), "text": MARK, "content": MARK}
            kind = "application/octet-stream" if route.streams else "application/json"
            body = MARK.encode() if route.streams else json.dumps(told).encode()
            status, data = wire.ask(
                route.method, f"{path}?{query}", None if route.method in SAFE else body, kind
            )
            asked += 1
            told_secret = token in data or any(secret in data for secret in SECRETS)
            if told_secret or (status >= 500 and status not in (502, 503)):
                wrong.append((route.method, path[:200], status))
    assert "\n".join(map(str, wrong)) == "" and asked > 1000
    assert planted(site) == []
    assert (home.http_data / "linked").is_symlink() and (home.http_data / "linked.txt").is_symlink()
    assert "Traceback" not in site.output.read_text()
