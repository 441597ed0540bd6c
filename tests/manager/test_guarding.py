"""Whose name was asked, which page asks, who may; what every answer wears; how faults are told."""

from __future__ import annotations

import errno
import http.client
import json
import shutil
import socket
import threading

import pytest

from manager import guarding
from manager.facts.changing import Changes
from manager.guarding import HEADERS, host_of
from manager.pages import frame
from manager.routing import OPERATOR, VIEWER
from mv_iptel import certs
from tests.clients.daemon import wait_for
from tests.clients.manager import Person

CHANGE = "/api/v1/session"  # DELETE; no role is needed


def sent(here, method, path, *headers, body=None):
    """One request with exactly these headers: status, headers, text."""
    line = http.client.HTTPConnection("127.0.0.1", here.port, timeout=15)
    line.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        line.putheader(name, value)
    line.endheaders(body)
    answer = line.getresponse()
    data = answer.read().decode()
    line.close()
    return answer.status, answer.headers, data


def cookie(person):
    return ("Cookie", "; ".join(f"{name}={value}" for name, value in person.cookies.items()))


# names


@pytest.mark.parametrize(
    ("header", "host"),
    [("Localhost:6092", "localhost"), ("[::1]:6092", "::1"), ("[::1]", "::1"), ("10.1.2.3", "10.1.2.3"),
     ("::1", "::1"), ("a.b:1", "a.b"), ("", ""), (" x ", "x"), ("[", ""),
     ("[::1]x", ""), ("evil@localhost", "evil@localhost")],
)  # fmt: skip
def test_the_name_in_a_host_header(header, host):
    assert host_of(header) == host


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:6092", "[::1]:6092", "127.9.9.9"])
def test_names_that_are_this_managers(here, host):
    assert sent(here, "GET", "/sign-in", ("Host", host))[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil@localhost", "localhost,evil.example", "203.0.113.7", "",
     "localhost.", "127.0.0.1.evil.example", "[::1].evil.example", "2130706433", "0x7f.1", "*"],
)  # fmt: skip
def test_names_that_are_not(here, host):
    """DNS rebinding: a name that was made to point here."""
    for path in ("/sign-in", "/", "/api/v1/operations", "/static/x/style.css", "/nothing", "/healthz"):
        status, _, text = sent(here, "GET", path, ("Host", host))
        assert status == 403 and "certificate" in text, (path, host)


def test_no_name_or_two(here):
    assert sent(here, "GET", "/sign-in")[0] in (400, 403)
    assert sent(here, "GET", "/sign-in", ("Host", "localhost"), ("Host", "evil.example"))[0] in (400, 403)


def test_names_of_the_certificate_as_it_is_now(here, tmp_path):
    files = here.home.cert_file, here.home.key_file
    kept = [shutil.copy(one, tmp_path) for one in files]
    names = certs.Names(("files.example", "*.sites.example"), ("192.0.2.5",))
    try:
        certs.make_server(here.home, names, *files)
        for host, status in (("files.example", 200), ("oslo.sites.example:1", 200), ("192.0.2.5", 200),
                             ("sites.example", 403), ("a.oslo.sites.example", 403)):  # fmt: skip
            assert sent(here, "GET", "/sign-in", ("Host", host))[0] == status, host
        here.home.cert_file.write_bytes(b"broken")
        assert sent(here, "GET", "/sign-in", ("Host", "files.example"))[0] == 403
    finally:
        for one, place in zip(kept, files, strict=True):
            shutil.copy(one, place)


def test_an_address_of_this_host(here, monkeypatch):
    row = type("Row", (), {"address": "192.0.2.77"})()
    monkeypatch.setattr(guarding.psutil, "net_if_addrs", lambda: {"eth0": [row]})
    monkeypatch.setattr(guarding, "INTERFACES", -1.0)
    assert sent(here, "GET", "/sign-in", ("Host", "192.0.2.77"))[0] == 200
    assert sent(here, "GET", "/sign-in", ("Host", "192.0.2.78"))[0] == 403


# which page asks


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({"Origin": "{url}"}, 204),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "SAME-ORIGIN"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "http://[broken"}, 403),
        ({"Origin": "x"}, 403),
    ],
)
def test_a_change_that_another_site_asks_for(here, headers, status):
    told = {name: value.format(url=here.url) for name, value in headers.items()}
    assert Person(here).ask("DELETE", CHANGE, None, told).status == status


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [("none", "navigate", 200), ("cross-site", "navigate", 200), ("same-origin", "cors", 200),
     ("cross-site", "no-cors", 403), ("same-site", "no-cors", 403), ("cross-site", "cors", 403)],
)  # fmt: skip
def test_another_site_may_link_here_and_read_nothing(here, viewer, site, mode, status):
    told = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert viewer.ask("GET", "/operations", headers=told).status == status


@pytest.mark.parametrize("given", [None, "", "x", "ü", "{other}"])
def test_a_token_that_is_not_the_sessions(here, admin, operator, given):
    headers = {"Content-Type": "application/json"}
    if given is not None:
        headers["X-CSRF-Token"] = given.format(other=operator.csrf).encode().decode("latin-1")
    answer = admin.ask("PUT", "/api/v1/account/password", b"{}", headers)
    assert answer.status == 403 and answer.json["type"] == "/problems/forged"


def test_forms_of_other_sites_are_no_json(here, admin):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = admin.call("PUT", "/api/v1/account/password", {}, headers={"Content-Type": kind})
        assert answer.status == 400, kind


# who


def test_a_session_is_looked_at_for_each_request(here):
    from manager.routing import VIEWER

    person = here.person(VIEWER, "gone")
    assert person.get("/operations").status == 200
    here.site.sessions.end_all("gone")
    assert person.get("/operations").status == 303
    assert person.get("/api/v1/operations").status == 401
    part = person.get("/state", **{"HX-Request": "true"})
    assert part.status == 401 and part.headers["HX-Redirect"] == "/sign-in"


def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(here):
    from manager.routing import VIEWER

    person = here.person(VIEWER, "away")
    here.site.store.change("UPDATE sessions SET last = last - 1000 WHERE user = 'away'")
    last = "SELECT last FROM sessions WHERE user = 'away'"
    (before,) = here.site.store.ask(last)
    person.get("/state", **{"X-Background": "1"})
    assert here.site.store.ask(last) == [before]
    person.get("/state")
    assert here.site.store.ask(last) != [before]


@pytest.mark.parametrize("value", ["", "x", "x" * 4000, "../../etc/passwd", "a b", '"', "%00"])
def test_cookies_that_are_none(here, viewer, value):
    name = next(iter(viewer.cookies))
    assert sent(here, "GET", "/operations", ("Host", "localhost"), ("Cookie", f"{name}={value}"))[0] == 303


def test_who_must_choose_a_password_sees_nothing_else(here):
    from manager.routing import ADMINISTRATOR

    person = here.person(ADMINISTRATOR, "newcomer")
    here.site.people.passwd("newcomer", "a password of a test", fresh=True)
    here.site.sessions.end_all("newcomer")
    token = here.site.sessions.open(here.site.people.get("newcomer"), "127.0.0.1", "a test")
    person.cookies = {name: token for name in person.cookies}
    assert person.get("/account").status == 200
    assert person.get("/operations").headers["Location"] == "/account"
    answer = person.get("/api/v1/operations")
    assert answer.status == 403 and "new password" in answer.json["detail"]


# what is answered


@pytest.mark.parametrize(
    "path",
    ["/sign-in", "/", "/nothing", "/healthz", "/static/x/style.css", "/api/v1/operations", "/operations"],
)
def test_every_answer_wears_the_headers(here, viewer, path):
    for person in (viewer, Person(here)):
        headers = person.get(path).headers
        for name, value in HEADERS.items():
            assert headers[name] == value or (name == "Cache-Control" and path.startswith("/static")), name
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy and "http" not in policy and policy.startswith("default-src 'none'")


def test_what_is_not_here(here, viewer):
    page, told = viewer.get("/nothing"), viewer.get("/api/v1/nothing")
    assert page.status == 404 and "no such thing" in page.text and "<nav" in page.text
    assert told.status == 404 and told.headers["Content-Type"] == "application/problem+json"
    assert told.json == {"type": "/problems/not-found", "title": "There is no such thing", "status": 404,
                         "instance": "/api/v1/nothing"}  # fmt: skip


def test_a_stranger_learns_not_what_is_here(here):
    stranger = Person(here)
    assert {stranger.get(path).status for path in ("/nothing", "/operations", "/phones/x")} == {303}
    assert {stranger.get(path).status for path in ("/api/v1/nothing", "/api/v1/operations")} == {401}
    assert stranger.ask("PATCH", "/nothing").status == 303


def test_other_methods(here, viewer):
    answer = viewer.call("PATCH", "/operations")
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"
    assert viewer.ask("HEAD", "/operations").body == b""
    assert viewer.ask("TRACE", "/operations").status == 405
    assert Person(here).ask("HEAD", "/healthz").status == 200


@pytest.fixture
def broken(here, monkeypatch):
    """The next status that is asked for ends in this exception."""

    def raises(fault):
        async def never(age):
            raise fault

        monkeypatch.setattr(here.site.link, "status", never)

    return raises


def test_a_fault_of_ours(here, viewer, broken, caplog):
    broken(ValueError("a secret thing"))
    answer = viewer.get("/state", **{"HX-Request": "true"})
    assert answer.status == 500 and "secret" not in answer.text and "banner" in answer.text
    assert "the manager failed at /state" in caplog.text


def test_a_disk_without_room(here, viewer, broken):
    broken(OSError(errno.ENOSPC, "No space left on device"))
    answer = viewer.get("/state", **{"HX-Request": "true"})
    assert answer.status == 507 and "make room" in answer.text


def test_a_name_that_no_file_can_have(here, viewer, broken):
    broken(OSError(errno.ENAMETOOLONG, "File name too long"))
    assert viewer.get("/state", **{"HX-Request": "true"}).status == 404


def test_a_page_of_faults_that_fails(here, viewer, broken):
    broken(ValueError("a secret thing"))
    answer = viewer.get("/operations")
    assert (answer.status, answer.text) == (500, "The manager could not do it\n")
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


def test_refusals_stand_in_the_log_without_what_was_sent(here, viewer, caplog):
    caplog.set_level("INFO", "manager")
    viewer.ask("PUT", "/api/v1/account/password", b'{"old": "s3cret"}', {"X-CSRF-Token": "t0ken"})
    viewer.get("/nothing%0a2026%20forged?password=s3cret")
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "refused viewer at 127.0.0.1: PUT /api/v1/account/password: forged" in text
    assert "s3cret" not in text and "t0ken" not in text and viewer.csrf not in text


def test_health(here):
    answer = Person(here).get("/healthz")
    assert (answer.status, answer.text) == (200, "ok\n")
    assert frame.ROUTES[0].role is None


def test_a_problem_is_told_as_html_and_harmless(here, viewer):
    answer = viewer.get("/operations/<script>alert(1)</script>")
    assert answer.status == 404 and "<script>alert" not in answer.text
    told = viewer.get("/api/v1/operations?limit=<b>")
    assert told.status == 400 and json.loads(told.text)["detail"].startswith("limit=<b>")
    assert told.headers["X-Content-Type-Options"] == "nosniff"


def test_no_name_has_a_nul(viewer):
    for path in ("/files/HTTPdata/a%00b", "/phones/%00", "/search?q=%00", "/api/v1/operations/%00"):
        assert viewer.get(path).status == 404, path


# changes whose sender does not stay


def begun(here, person, method, path, body, size=0, kind="application/json"):
    """A change on its way: the connection, with `body` sent of `size` octets."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {here.netloc}\r\n{': '.join(cookie(person))}\r\n"
        f"If-None-Match: *\r\nX-CSRF-Token: {person.csrf}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {size or len(body)}\r\n\r\n"
    )
    line = socket.create_connection(("127.0.0.1", here.port), 30)
    line.sendall(head.encode() + body)
    return line


def test_who_leaves_at_once_still_stands_in_the_audit_trail(here, operator, monkeypatch):
    working, go, put = threading.Event(), threading.Event(), Changes.put

    def slowly(*args):
        working.set()
        assert go.wait(30)
        return put(*args)

    monkeypatch.setattr(Changes, "put", slowly)
    before = len(here.connections)
    with begun(here, operator, "PUT", "/api/v1/files/HTTPdata/left.txt", b'{"text": "SET A 1"}'):
        assert working.wait(30)
    wait_for("the end of its connection", lambda: len(here.connections) <= before)
    go.set()
    wait_for(
        "the line in the audit trail",
        lambda: [one for one in here.site.audit.last(1) if one["what"] == "HTTPdata/left.txt"],
    )
    assert (here.home.http_data / "left.txt").read_text() == "SET A 1"


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream"])
def test_who_loses_the_role_while_a_body_comes_changes_nothing(here, kind):
    somebody = here.person(OPERATOR, "demoted")
    here.site.people.change("demoted", OPERATOR, False)
    body = b'{"text": "SET A 1"}'
    with begun(here, somebody, "PUT", "/api/v1/files/HTTPdata/flight.txt", body[:9], len(body), kind) as line:
        wait_for("the request", here.waits)
        here.site.people.change("demoted", VIEWER, False)
        line.sendall(body[9:])
        assert b" 403 " in line.recv(4096)[:20]
    assert not list(here.home.http_data.glob("*flight*")) and not list(here.home.http_data.glob(".*part"))


def test_who_is_signed_out_while_a_body_comes_changes_nothing(here):
    somebody = here.person(OPERATOR, "leaver")
    with begun(here, somebody, "POST", "/api/v1/firmware/releases?name=a.zip", b"PK", 9) as line:
        wait_for("the request", here.waits)
        here.site.sessions.end_all("leaver")
        line.sendall(b"3456789")
        assert b" 401 " in (told := line.recv(4096))[:20], told
    assert list((here.home.var / "incoming").iterdir()) == []
