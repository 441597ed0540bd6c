"""User data over real sockets and the real store: nothing half, nothing unasked, one event a request."""

from __future__ import annotations

import base64
import ipaddress
import random
import select
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from mv_iptel.config.values import Policy
from mv_iptel.http import connection, upload
from mv_iptel.http.protocol import ALLOW_KEPT, MAX_BODY, Reply
from mv_iptel.phones.agent import Agent, Says
from mv_iptel.phones.families import Handset
from tests.http.site import Site, answer, ask, read_all
from tests.http.test_connection import more
from tests.http.test_poller import Host

NAME = "1234_96xxdata.txt"
URL = f"/any/where/{NAME}"
DATA = b"ABKNAME001=Anna\nABKNUMBER001=201\n"
OTHER = b"ABKNAME001=Berta\n"
BIG = random.Random(3).randbytes(900_000)
BOTH = pytest.mark.parametrize("proto", ["http", "https"])
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PHONE = "127.0.0.41"


def kept(site, name: str = NAME) -> bytes | None:
    """The current content in the store."""
    path = site.config.http.backup_dir / name
    return path.read_bytes() if path.exists() else None


def lies_in(site) -> list[str]:
    """Everything in the directory of the store: no temporary file may stay."""
    return sorted(path.name for path in Path(site.config.http.backup_dir).iterdir())


def told(site) -> list[tuple]:
    """Operation, outcome, reason and octets of what was answered."""
    return [(one.op, one.outcome, one.reason, one.bytes) for one in site.finished()]


def chunked(content: bytes, size: int = 1000) -> bytes:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def put(content: bytes, *lines: bytes, name: str = URL, method: bytes = b"PUT") -> bytes:
    head = [method + b" " + name.encode() + b" HTTP/1.1", b"Host: s", b"Content-Length: %d" % len(content)]
    return b"\r\n".join([*head, *lines]) + b"\r\n\r\n" + content


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def open_site(home):
    """A site that asks nobody for anything."""
    with Site(home, {"http": {"backup_auth": "none"}}) as site:
        yield site


# --- PUT, GET and DELETE -------------------------------------------------------------------------


@BOTH
def test_new_replaced_same_fetched_and_deleted(open_site, proto):
    site = open_site
    with site.connect(proto) as sock:
        first = ask(sock, URL, "PUT", body=DATA)
        assert (first.status, first.phrase, first.headers["content-length"]) == (201, "Created", "0")
        got = ask(sock, f"/{NAME}")
        assert (got.status, bytes(got.body), got.headers["cache-control"]) == (200, DATA, "no-store")
        assert got.headers["etag"] == first.headers["etag"]
        second = ask(sock, URL, "PUT", body=OTHER)
        assert (second.status, second.headers["etag"] != first.headers["etag"]) == (204, True)
        assert kept(site) == OTHER
        again = ask(sock, URL, "PUT", body=OTHER)
        assert (again.status, again.headers["etag"]) == (204, second.headers["etag"])
        assert ask(sock, URL, headers=[("Range", "bytes=3-6")]).body == OTHER[3:7]
        assert ask(sock, URL, headers=[("If-None-Match", second.headers["etag"])]).status == 304
        assert ask(sock, URL, "HEAD").headers["content-length"] == str(len(OTHER))
        gone = ask(sock, URL, "DELETE")
        assert (gone.status, "etag" in gone.headers, gone.keep) == (204, False, True)
        assert (kept(site), ask(sock, URL).status, ask(sock, URL, "DELETE").status) == (None, 404, 404)
    assert told(site) == [
        ("store", "ok", "", len(DATA)), ("read", "ok", "", len(DATA)), ("store", "ok", "", len(OTHER)),
        ("store", "ok", "", len(OTHER)), ("read", "ok", "", 4), ("read", "ok", "", 0), ("read", "ok", "", 0),
        ("delete", "ok", "", 0), ("read", "refused", "no-file", 0), ("delete", "refused", "no-file", 0),
    ]  # fmt: skip


def test_what_the_events_say(open_site):
    for content in (DATA, DATA, OTHER):
        with open_site.connect() as sock:
            ask(sock, URL, "PUT", [("User-Agent", "AVAYA/96x1")], content)
    one, two, three = open_site.finished()
    assert (one.name, one.file) == (URL[1:], str(open_site.config.http.backup_dir / NAME))
    assert [event.detail.rpartition("; ")[2] for event in (one, two)] == ["new", "the same content"]
    assert (one.ext, three.op, three.proto) == ("1234", "store", "http")


@BOTH
@pytest.mark.parametrize("size", [0, 1, 16384, 65536, 65537, 900_000])
def test_every_octet_is_kept(open_site, proto, size):
    with open_site.connect(proto) as sock:
        assert ask(sock, URL, "PUT", body=BIG[:size]).status == 201
        assert kept(open_site) == BIG[:size]
        assert bytes(ask(sock, URL).body) == BIG[:size]
    assert [event.bytes for event in open_site.finished()] == [size, size]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_put_by_either_version(open_site, version):
    head = b"PUT %b HTTP/%b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    got = open_site.talk(head % (URL.encode(), version, len(DATA)) + DATA)
    assert got.startswith(b"HTTP/1.1 201 Created\r\n") and b"\r\nConnection: close\r\n" in got
    assert kept(open_site) == DATA


@BOTH
def test_chunks(open_site, proto):
    head = b"PUT %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % URL.encode()
    with open_site.connect(proto) as sock:
        sock.sendall(head + chunked(BIG, 4097))
        assert answer(sock, "PUT").status == 201
        assert kept(open_site) == BIG
        sock.sendall(head + chunked(b""))
        assert answer(sock, "PUT").status == 204
        assert kept(open_site) == b""


def test_cut_at_every_octet(open_site):
    """However it is cut: kept whole, once."""
    whole = b"PUT %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % URL.encode() + chunked(DATA, 7)
    with open_site.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(1, len(whole)):
            sock.sendall(whole[:at])
            # The server has read the first part before the second is sent.
            open_site.until(lambda: any(c.incoming.begun for c in open_site.server._connections))
            sock.sendall(whole[at:])
            assert answer(sock, "PUT").status == (201 if at == 1 else 204)
            assert kept(open_site) == DATA
    assert len(open_site.finished()) == len(whole) - 1


@pytest.mark.parametrize("cut", [1, 40, 95, 100, -1])
@pytest.mark.parametrize("how", ["closes", "resets", "half"])
def test_an_incomplete_body_keeps_nothing(open_site, cut, how):
    site = open_site
    with site.connect() as sock:
        assert ask(sock, URL, "PUT", body=DATA).status == 201
    site.finished()
    whole = put(OTHER * 10)
    with site.connect() as sock:
        sock.sendall(whole[:cut])
        site.until(lambda: any(c.incoming.begun for c in site.server._connections))
        if how == "resets":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "half":
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == b""
    site.until(lambda: not site.server._connections)
    assert (kept(site), lies_in(site)) == (DATA, [NAME])
    (event,) = site.finished()
    assert event.outcome == "aborted"
    assert event.bytes <= len(OTHER) * 10


def test_a_body_that_does_not_come_in_time(open_site):
    site = open_site
    with site.connect() as sock:
        sock.sendall(put(BIG)[:200_000])
        site.until(lambda: any(one["bytes"] > 190_000 for one in site.server.active()))
        (shown,) = site.server.active()
        assert (shown["name"], shown["total"], shown["ext"]) == (URL[1:], len(BIG), "1234")
        site.pass_time(upload.BODY + 5)  # what came bought some seconds
        assert site.server.active()
        site.pass_time(200_000 / upload.SLOWEST)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")
    (event,) = site.finished()
    assert (event.outcome, event.op, 190_000 < event.bytes < len(BIG)) == ("timeout", "store", True)
    assert (kept(site), lies_in(site), site.server.active()) == (None, [], [])


@pytest.mark.parametrize(
    "body",
    [
        b"xyz\r\n",
        b"5\r\nhello\r\nxyz\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 4000,
        b"5;" + b"x" * 300,
    ],
)
def test_garbage_within_a_body_keeps_nothing(open_site, body):
    head = b"PUT %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % URL.encode()
    got = open_site.talk(head + body)
    assert got.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in got
    (event,) = open_site.finished()
    assert (event.op, event.outcome, event.reason, event.ext) == ("store", "refused", "bad-request", "1234")
    assert (kept(open_site), lies_in(open_site)) == (None, [])


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (b"PUT %b HTTP/1.1\r\n\r\n", 400, "bad-request"),  # it would empty the data
        (b"PUT %b HTTP/1.0\r\n\r\n", 400, "bad-request"),
        (b"PUT %b HTTP/1.1\r\nContent-Range: bytes 0-1/4\r\nContent-Length: 2\r\n\r\nab", 400, "bad-request"),
        (b"PUT %b HTTP/1.1\r\nIf-None-Match: *\r\nContent-Length: 2\r\n\r\nab", 400, "bad-request"),
        (b"PUT %b HTTP/1.1\r\nIf-Match:\r\nContent-Length: 2\r\n\r\nab", 400, "bad-request"),
        (b"POST %b HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", 405, "read-only"),
        (b"PATCH %b HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", 405, "read-only"),
        (b"OPTIONS %b HTTP/1.1\r\n\r\n", 405, "read-only"),
        (b"PUT %b HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413, "too-big"),
        (b'PUT %b HTTP/1.1\r\nIf-Match: "0123456789"\r\nContent-Length: 2\r\n\r\nab', 412, "changed"),
        (b'DELETE %b HTTP/1.1\r\nIf-Match: "0123456789"\r\n\r\n', 412, "changed"),
    ],
)
def test_forms_that_are_not_followed(open_site, head, status, reason):
    site = open_site
    with site.connect() as sock:
        assert ask(sock, URL, "PUT", body=DATA).status == 201
    site.finished()
    with site.connect() as sock:
        sock.sendall(head % URL.encode())
        reply = answer(sock)
    assert (reply.status, reply.headers["etag"]) == (status, f'"{reason}"')
    if status == 405:
        assert reply.headers["allow"] == ALLOW_KEPT
    assert [(event.outcome, event.reason) for event in site.finished()] == [("refused", reason)]
    assert (kept(site), lies_in(site)) == (DATA, [NAME])


def test_if_match(open_site):
    with open_site.connect() as sock:
        assert ask(sock, URL, "PUT", [("If-Match", "*")], DATA).status == 412
        etag = ask(sock, URL, "PUT", body=DATA).headers["etag"]
        renewed = ask(sock, URL, "PUT", [("If-Match", etag)], OTHER)
        assert renewed.status == 204
        assert ask(sock, URL, "PUT", [("If-Match", etag)], DATA).status == 412
        assert ask(sock, URL, "DELETE", [("If-Match", etag)]).status == 412
        assert kept(open_site) == OTHER
        etags = f'"x", {renewed.headers["etag"]}'
        assert ask(sock, URL, "DELETE", [("If-Match", etags)]).status == 204
    assert kept(open_site) is None


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "name",
    ["/46xxsettings.txt", "/1234_96xxdata.txt.bak", "/a/b/1234_96xxdata.tx", "/x_96xxdata.txt",
     "/9610data.txt", "/1234_9610data.txt", "/../1234_96xxdata.cfg", "/archive/1234_96xxdata.txt",
     "/HTTP_allow_IP.txt", "/.1234_96xxdata.txt.1.part", "/" + "1" * 21 + "_96xxdata.txt",
     "/1234_96xxdata.txt/", "/new/"],
)  # fmt: skip
def test_no_other_name_is_ever_made_or_removed(open_site, method, name):
    site = open_site
    before = {path for path in site.home.root.rglob("*") if "var" not in path.parts}
    site.write("46xxsettings.txt", DATA)
    with site.connect() as sock:
        reply = ask(sock, name, method, body=OTHER)
    if reply.status in (201, 204):  # a last slash is not part of a name
        assert name == "/1234_96xxdata.txt/"
        return
    assert reply.status in (404, 405) and reply.headers.get("allow", "GET, HEAD") == "GET, HEAD"
    assert (site.home.http_data / "46xxsettings.txt").read_bytes() == DATA
    after = {path for path in site.home.root.rglob("*") if "var" not in path.parts}
    assert after - before == {site.home.http_data / "46xxsettings.txt"}
    assert [event.outcome for event in site.finished()] == ["refused"]


@pytest.mark.parametrize("name", [NAME, f"a/b/{NAME}", f"//{NAME}", f"\\{NAME}", "%31234_96XXDATA.TXT"])
def test_any_prefix_and_any_case(open_site, name):
    with open_site.connect() as sock:
        assert ask(sock, name, "PUT", body=DATA).status == 201
    assert (kept(open_site), lies_in(open_site)) == (DATA, [NAME])


def test_too_big_is_refused_when_it_shows(open_site):
    """By its length at once; in chunks where the limit is passed, and the client still sees why."""
    site = open_site
    site.reload({"http": {"max_backup_bytes": 1000}})
    with site.connect() as sock:
        assert ask(sock, URL, "PUT", body=b"x" * 1000).status == 201
        assert ask(sock, URL, "PUT", body=b"x" * 1001).status == 413
        head = b"PUT %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % URL.encode()
        sock.sendall(head + chunked(b"y" * 50_000))
        assert answer(sock).status == 413
        assert ask(sock, URL).body == b"x" * 1000
        sock.sendall(head + chunked(b"y" * (MAX_BODY + 300_000), 50_000))
        assert read_all(sock).startswith(b"HTTP/1.1 413 ")
    assert lies_in(site) == [NAME]
    events = told(site)
    assert [event[2] for event in events] == ["", "too-big", "too-big", "", "too-big"]
    assert events[1][3] == 0 and events[2][3] > 1000


def test_a_body_of_a_delete_says_nothing(open_site):
    with open_site.connect() as sock:
        ask(sock, URL, "PUT", body=DATA)
        assert ask(sock, URL, "DELETE", body=OTHER).status == 204
        assert ask(sock, URL).status == 404
        ask(sock, URL, "PUT", body=DATA)
        sock.sendall(b"DELETE %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % URL.encode())
        sock.sendall(chunked(b"z" * (MAX_BODY + 100_000), 50_000))
        assert answer(sock).status == 413
    assert kept(open_site) == DATA


# --- 100-continue --------------------------------------------------------------------------------


@BOTH
def test_a_client_that_waits_for_leave_gets_it(open_site, proto):
    with open_site.connect(proto) as sock:
        for status in (201, 204):
            sock.sendall(put(DATA, b"Expect: 100-continue")[: -len(DATA)])
            assert more(sock) == CONTINUE
            assert kept(open_site) == (None if status == 201 else DATA)
            sock.sendall(DATA)
            assert answer(sock, "PUT").status == status
        sock.sendall(put(DATA, b"Expect: 100-Continue"))  # it did not wait: then nobody tells it to go on
        assert answer(sock, "PUT").status == 204


@pytest.mark.parametrize(("name", "status"), [("/new.txt", 405), ("/../x", 404)])
def test_a_client_that_waits_for_leave_and_does_not_get_it(open_site, name, status):
    """The connection ends: whether the body comes is not known."""
    got = open_site.talk(put(DATA, b"Expect: 100-continue", name=name)[: -len(DATA)])
    assert got.startswith(b"HTTP/1.1 %d " % status) and b"Connection: close\r\n" in got
    assert [event.outcome for event in open_site.finished()] == ["refused"]


def test_too_big_for_leave(open_site):
    got = open_site.talk(put(b"", b"Expect: 100-continue").replace(b": 0", b": 99999999"))
    assert got.startswith(b"HTTP/1.1 413 ")


# --- order, and many -----------------------------------------------------------------------------


@BOTH
def test_requests_behind_each_other_keep_their_order(open_site, proto):
    """Sixty in one go: each sees what the one before it left."""
    site = open_site
    site.write("a.txt", b"plain")
    asked, wanted = b"", []
    for number in range(20):
        content = b"NAME=%d\n" % number * (number * 50)
        asked += put(content) + b"GET %b HTTP/1.1\r\n\r\n" % URL.encode() + b"GET /a.txt HTTP/1.1\r\n\r\n"
        wanted += [b"", content, b"plain"]
    with site.connect(proto) as sock:
        sock.sendall(asked)  # the answers fit into the client's buffers until it reads
        data, got = b"", []
        while len(got) < len(wanted):
            reply = Reply()
            while not reply.complete:
                data = reply.receive(data or more(sock))
            assert reply.status in (200, 201, 204)
            got.append(bytes(reply.body))
    assert got == wanted
    assert len(site.finished()) == len(wanted)


def test_hundreds_of_refused_writes_behind_each_other(open_site):
    """Each is answered before the next: no depth grows with them."""
    site = open_site
    site.reload({"http": {"max_backup_bytes": 1000}})
    tiny = b"PUT /1_96xxdata.txt HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + b"z" * 2000
    many = b"PUT /x HTTP/1.1\r\nContent-Length: 1\r\n\r\nz" * 900 + tiny * 50
    with site.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(many,))
        sender.start()
        data, statuses = b"", []
        while len(statuses) < 950:
            reply = Reply()
            while not reply.complete:
                data = reply.receive(data or more(sock))
            statuses.append(reply.status)
        sender.join()
    assert statuses == [405] * 900 + [413] * 50
    assert not [event for event in site.events() if event.event == "notice"]


def test_a_flood_into_one_name(open_site):
    """Eight clients store at once: what lies there in the end is whole, and each was told so."""
    contents = [bytes([65 + number]) * (10_000 + number) for number in range(8)]
    statuses: list[int] = []

    def store(content: bytes) -> None:
        with open_site.connect() as sock:
            for _ in range(5):
                statuses.append(ask(sock, URL, "PUT", body=content).status)

    threads = [threading.Thread(target=store, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(statuses)) == [201, 204] and len(statuses) == 40
    assert kept(open_site) in contents and lies_in(open_site) == [NAME]


def test_a_quota(open_site):
    open_site.reload({"settings": {"quota_per_extension": 3000}, "http": {"max_backup_bytes": 10_000}})
    with open_site.connect() as sock:
        assert ask(sock, URL, "PUT", body=b"x" * 2000).status == 201
        assert ask(sock, URL, "PUT", body=b"y" * 5000).status == 413
        assert ask(sock, "/77_96xxdata.txt", "PUT", body=b"z" * 2000).status == 201
    assert kept(open_site) == b"x" * 2000
    assert [event.reason for event in open_site.finished()] == ["", "quota", ""]


@BOTH
@pytest.mark.parametrize("kind", ["lent", "without epoll"])
def test_whoever_serves_the_connections(home, proto, kind, monkeypatch):
    """TFTP's thread while it is busy, and the loop's own watching."""
    host = Host()
    host.busy = kind == "lent"
    if not host.busy:
        monkeypatch.delattr(select, "epoll")
    with Site(home, {"http": {"backup_auth": "none"}}, host.lend) as site:
        with site.connect(proto) as sock:
            for status in (201, 204):
                sock.sendall(put(BIG, b"Expect: 100-continue")[: -len(BIG)])
                assert more(sock) == CONTINUE
                sock.sendall(BIG)
                assert answer(sock, "PUT").status == status
                assert bytes(ask(sock, URL).body) == BIG
            assert ask(sock, URL, "DELETE").status == 204
        assert bool(host.served) is (kind == "lent")
        host.ends()
        assert [event.outcome for event in site.finished()] == ["ok"] * 5


# --- slots ---------------------------------------------------------------------------------------


def test_a_write_waits_for_a_slot(home):
    changes = {"settings": {"max_clients": 1, "client_session_time": 5.0}, "http": {"backup_auth": "none"}}
    with Site(home, changes) as site:
        assert site.library.slots.take("127.0.0.2", False)
        for body in (put(DATA), put(OTHER, b"Expect: 100-continue")[: -len(OTHER)]):
            with site.connect(source_address=("127.0.0.3", 0)) as sock:
                sock.sendall(body)
                site.until(lambda: len(site.server._held) == 1)
                assert site.library.slots.free("127.0.0.2")
                if b"Expect" in body:
                    assert more(sock) == CONTINUE
                    sock.sendall(OTHER)
                assert answer(sock, "PUT").status in (201, 204)
            site.until(lambda: not site.server._connections)
            site.library.slots.free("127.0.0.3")
            assert site.library.slots.take("127.0.0.2", False)
        assert kept(site) == OTHER
        site.reload({"settings": {"client_session_time": 0.0}})
        with site.connect(source_address=("127.0.0.3", 0)) as sock:
            sock.sendall(put(DATA))
            site.until(lambda: len(site.server._held) == 1)
            site.pass_time(connection.HOLD + 1)
            assert answer(sock, "PUT").status == 503
            assert site.library.slots.used == 1
        assert kept(site) == OTHER


# --- passwords -----------------------------------------------------------------------------------


def test_basic(home):
    passwords = home.root / "passwords.txt"
    passwords.write_text("1234:geheim\n")
    changes = {"http": {"backup_auth": "basic", "backup_passwords": passwords}}
    with Site(home, changes) as site, site.connect() as sock:
        asks = ask(sock, URL, "PUT", body=DATA)
        assert (asks.status, asks.headers["www-authenticate"]) == (401, 'Basic realm="mv-iptel"')
        wrong = ask(sock, URL, "PUT", [("Authorization", basic("1234", "falsch"))], DATA)
        assert (wrong.status, wrong.headers["etag"]) == (401, '"bad-login"')
        assert kept(site) is None
        right = [("Authorization", basic("1234", "geheim"))]
        assert ask(sock, URL, "PUT", right, DATA).status == 201
        assert bytes(ask(sock, URL, headers=right).body) == DATA
        assert ask(sock, URL).status == 401
        assert ask(sock, "/99_96xxdata.txt", "PUT", right, DATA).status == 401
        assert ask(sock, URL, "DELETE", right).status == 204
        for coded in ("geheim", "falsch", basic("1234", "geheim")[6:]):
            assert coded not in repr(site.events())


def test_pins(home):
    pin, other = [("Authorization", basic("192.0.2.1", "4711"))], [("Authorization", basic("192.0.2.1", "1"))]
    with Site(home, {"http": {"backup_auth": "pin"}}) as site, site.connect("https") as sock:
        assert ask(sock, URL, headers=pin).status == 403  # nothing is remembered before a first backup
        assert ask(sock, URL, "PUT", body=DATA).status == 403
        assert ask(sock, URL, "PUT", pin, DATA).status == 201
        refused = ask(sock, URL, "PUT", other, OTHER)
        assert (refused.status, refused.headers["etag"]) == (403, '"pin-mismatch"')
        assert "www-authenticate" not in refused.headers
        assert (ask(sock, URL, headers=other).status, ask(sock, URL, "DELETE", other).status) == (403, 403)
        assert (kept(site), bytes(ask(sock, URL, headers=pin).body)) == (DATA, DATA)
        with site.connect() as plain:  # it must not travel in the clear
            assert ask(plain, URL, headers=pin).status == 403
        assert "4711" not in repr(site.events())


def test_a_policy_for_each_net(home):
    nets = (Policy(ipaddress.ip_network("127.0.0.9/32"), "none"),)
    with Site(home, {"http": {"backup_auth": "basic", "backup_per_net": nets}}) as site:
        for address, status in [("127.0.0.8", 401), ("127.0.0.9", 201)]:
            with site.connect(source_address=(address, 0)) as sock:
                assert ask(sock, URL, "PUT", body=DATA).status == status


# --- challenges ----------------------------------------------------------------------------------


class Phone:
    """A phone's agent that looks at its mail when the test says so."""

    def __init__(self, site: Site):
        self.site = site
        self.agent = Agent(PHONE, 0, Says(Handset("9640", ext="1234"), "ours"))
        site.reload({
            "http": {"backup_auth": "snmp"}, "ftp": {"ftp_time_out": 60.0},
            "snmp": {"community": "ours", "snmp_port": self.agent.port, "snmp_timeout": 50.0},
        })  # fmt: skip

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *_: object) -> None:
        self.agent.close()

    def asked(self) -> None:
        """Until the question has come."""
        self.agent.sock.settimeout(20)
        self.agent.sock.recv(1, socket.MSG_PEEK)
        self.agent.sock.setblocking(False)

    def answers(self) -> None:
        """Answer the question that has come, or will have."""
        self.asked()
        self.agent.receive(time.monotonic())

    def connect(self, proto: str = "http") -> socket.socket:
        """A connection from the phone."""
        if proto == "http":
            return self.site.connect(source_address=(PHONE, 0))
        return self.site.connect(proto, source_address=(PHONE, 0))

    def waits(self, count: int = 1) -> None:
        """Until so many requests wait for the agent."""
        self.site.until(lambda: len(asking(self.site)) == count)


def asking(site) -> list[connection.Connection]:
    return [c for c in site.server._connections if isinstance(c._task, upload.Asking)]


@pytest.fixture
def phone(home):
    """A site that asks a phone's agent."""
    with Site(home) as site, Phone(site) as one:
        yield one


def quiet(sock: socket.socket) -> bool:
    """Whether nothing has come."""
    sock.setblocking(False)
    try:
        return not sock.recv(1, socket.MSG_PEEK) and False
    except (BlockingIOError, OSError):
        return True
    finally:
        sock.settimeout(20)


@pytest.mark.parametrize("cut", [True, False])
def test_a_store_waits_for_the_phones_answer(phone, cut):
    whole = put(DATA)
    with phone.connect() as sock:
        sock.sendall(whole[:-10] if cut else whole)
        phone.waits()
        assert quiet(sock) and kept(phone.site) is None
        (shown,) = phone.site.server.active()
        assert (shown["name"], shown["total"]) == (URL[1:], 0)
        phone.answers()
        if cut:
            phone.site.until(lambda: not asking(phone.site))
            sock.sendall(whole[-10:])
        assert answer(sock, "PUT").status == 201
        assert bytes(ask(sock, URL).body) == DATA  # what it showed holds in its session
    first, second = phone.site.finished()
    assert (first.op, first.outcome, first.bytes, first.model, first.identified) == (
        "store", "ok", len(DATA), "9640", "snmp")  # fmt: skip
    assert (second.op, second.outcome) == ("read", "ok")


def test_a_fetch_waits_and_what_is_behind_it_too(phone):
    phone.site.write("a.txt", b"plain")
    (phone.site.config.http.backup_dir / NAME).write_bytes(DATA)
    with phone.connect() as sock:
        sock.sendall(
            b"GET %b HTTP/1.1\r\nRange: bytes=0-3\r\n\r\n" % URL.encode() + b"GET /a.txt HTTP/1.0\r\n\r\n"
        )
        phone.waits()
        assert quiet(sock)
        with phone.site.connect() as other:  # and nobody else waits
            assert bytes(ask(other, "/a.txt").body) == b"plain"
        phone.answers()
        reply = Reply()
        rest = reply.receive(read_all(sock))
        assert (reply.status, bytes(reply.body), rest.endswith(b"plain")) == (206, DATA[:4], True)


def test_leave_comes_after_the_challenge(phone):
    with phone.connect() as sock:
        sock.sendall(put(DATA, b"Expect: 100-continue")[: -len(DATA)])
        phone.waits()
        assert quiet(sock)
        phone.answers()
        assert more(sock) == CONTINUE
        sock.sendall(DATA)
        assert answer(sock, "PUT").status == 201


def test_another_extension_is_refused(phone):
    for lines in ((), (b"Expect: 100-continue",)):
        whole = put(DATA, *lines, name="/99_96xxdata.txt")
        with phone.connect() as sock:
            sock.sendall(whole[: -len(DATA)] if lines else whole)
            phone.answers()
            reply = answer(sock, "PUT")
            assert (reply.status, reply.headers["etag"]) == (403, '"snmp-mismatch"')
            assert reply.keep is not bool(lines)
    assert lies_in(phone.site) == []
    assert [event.reason for event in phone.site.finished()] == ["snmp-mismatch"] * 2


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_phone_that_does_not_answer(home, method):
    changes = {
        "http": {"backup_auth": "snmp"}, "ftp": {"ftp_time_out": 0.2},
        "snmp": {"community": "ours", "snmp_port": 9, "snmp_timeout": 0.1},
    }  # fmt: skip
    with Site(home, changes) as site:
        (site.config.http.backup_dir / NAME).write_bytes(DATA)
        with site.connect() as sock:
            reply = ask(sock, URL, method, body=OTHER if method == "PUT" else b"")
            assert (reply.status, reply.headers["etag"], reply.keep) == (403, '"no-snmp"', True)
        assert (kept(site), [event.reason for event in site.finished()]) == (DATA, ["no-snmp"])


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("method", [b"GET", b"PUT"])
def test_a_client_that_leaves_cancels(phone, method, how):
    with phone.connect() as sock:
        sock.sendall(put(DATA, method=method))
        phone.waits()
        phone.asked()
        if how == "resets":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    phone.site.until(lambda: not phone.site.server._connections)
    phone.answers()  # too late
    assert (kept(phone.site), phone.site.server.active()) == (None, [])
    (event,) = phone.site.finished()
    assert (event.outcome, event.bytes, event.name) == ("aborted", 0, URL[1:])


def test_a_verdict_that_comes_too_late_is_given_back(phone):
    """The client leaves between the verdict and its arrival at the loop: no file, no slot stays."""
    site = phone.site
    site.reload({"settings": {"max_clients": 5, "client_session_time": 1000.0}})
    with phone.connect() as sock:
        sock.sendall(put(DATA))
        phone.waits()
        (one,) = asking(site)
        came = threading.Event()
        soon, site.server.poller.soon = site.server.poller.soon, None

        def late(action):
            came.set()
            actions.append(action)

        actions: list = []
        site.server.poller.soon = late
        phone.answers()
        assert came.wait(20)
        site.server.poller.soon = soon
        site.call(one.end)
        for action in actions:
            soon(action)
        site.call(lambda: None)
    assert (kept(site), lies_in(site)) == (None, [])
    assert [slot["sessions"] for slot in site.library.slots.snapshot()] in ([], [0])
    assert [event.outcome for event in site.finished()] == ["aborted"]


def test_backpressure_while_a_challenge_runs(phone):
    """A body that nobody has allowed yet fills the client's buffers, not our memory; then it is kept."""
    phone.site.reload({"http": {"max_backup_bytes": 4 << 20}})
    content = BIG * 4
    with phone.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(put(content),))
        sender.start()
        phone.waits()
        (one,) = asking(phone.site)
        phone.site.until(lambda: one._paused)
        assert one.incoming.waiting <= connection.WAITING + connection.READ
        phone.answers()
        assert answer(sock, "PUT").status == 201
        sender.join()
    assert kept(phone.site) == content
    (event,) = phone.site.finished()
    assert event.bytes == len(content)


def test_a_challenge_without_end_is_a_fault(phone):
    with phone.connect() as sock:
        sock.sendall(put(DATA))
        phone.waits()
        phone.site.pass_time(60 + upload.LATE + 1)
        assert answer(sock, "PUT").status == 500
    (event,) = phone.site.finished()
    assert (event.outcome, event.reason) == ("failed", "fault")


# --- the end -------------------------------------------------------------------------------------


class Slow:
    """Holds the store's commits until it is told."""

    def __init__(self, site: Site):
        self.go = threading.Event()
        self.began = threading.Event()
        store = site.library.backups.store
        draft = store.draft

        def held(*arguments):
            made = draft(*arguments)
            made.also = self.wait
            return made

        store.draft = held

    def wait(self) -> None:
        self.began.set()
        assert self.go.wait(20)


def test_a_stop_waits_for_what_is_being_kept(open_site):
    site = open_site
    slow = Slow(site)
    with site.connect() as sock, site.connect() as other:
        sock.sendall(put(DATA))
        other.sendall(put(OTHER, name="/77_96xxdata.txt")[:-3])
        assert slow.began.wait(20)
        site.until(lambda: len(site.server.active()) == 2)
        threading.Timer(0.3, slow.go.set).start()
        site.call(site.server.stop(0))
        reply = answer(sock, "PUT")
        assert (reply.status, reply.keep) == (201, False)
        assert read_all(other) == b""
    assert (kept(site), lies_in(site)) == (DATA, [NAME])
    assert {(event.ext, event.outcome) for event in site.finished()} == {("1234", "ok"), ("77", "aborted")}


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_a_client_that_leaves_within_the_commit(open_site, how):
    """What it handed over whole is kept: it cannot be taken back."""
    site = open_site
    slow = Slow(site)
    with site.connect() as sock:
        sock.sendall(put(DATA))
        assert slow.began.wait(20)
        if how == "resets":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    site.until(lambda: all(c._ended for c in site.server._connections))
    slow.go.set()
    site.until(lambda: not site.server._connections)
    assert kept(site) == DATA
    (event,) = site.finished()
    assert (event.op, event.outcome in ("ok", "aborted"), event.bytes) == ("store", True, len(DATA))
    assert event.detail.endswith("new")


def test_nothing_is_said_before_the_commit(open_site):
    slow = Slow(open_site)
    with open_site.connect() as sock:
        sock.sendall(put(DATA) + b"GET %b HTTP/1.1\r\n\r\n" % URL.encode())
        assert slow.began.wait(20)
        open_site.call(lambda: None)
        assert quiet(sock)
        open_site.pass_time(3600)  # no deadline cuts it off
        assert quiet(sock)
        slow.go.set()
        reply = Reply("PUT")
        data = b""
        while not reply.complete:
            data = reply.receive(data or more(sock))
        assert reply.status == 201
        reply = Reply()
        while not reply.complete:
            data = reply.receive(data or more(sock))
        assert bytes(reply.body) == DATA


def test_a_closed_store_refuses(open_site):
    open_site.library.backups.store.close()
    with open_site.connect() as sock:
        assert ask(sock, URL, "PUT", body=DATA).status == 500
    assert [event.outcome for event in open_site.finished()] == ["failed"]


def test_a_reload_that_closes_the_port_lets_a_store_end(open_site):
    site = open_site
    with site.connect() as sock:
        sock.sendall(put(DATA)[:-5])
        site.until(lambda: bool(site.server.active()))
        site.reload({"http": {"run_http": False}})
        sock.sendall(DATA[-5:])
        reply = answer(sock, "PUT")
        assert (reply.status, reply.keep) == (201, False)
    assert kept(site) == DATA
