"""One connection over real sockets: order, keep-alive, slow and vanishing clients, one event a request."""

from __future__ import annotations

import os
import random
import socket
import struct

import pytest

from mv_iptel.http import connection
from mv_iptel.http.protocol import MAX_BODY, Reply
from tests.http.site import answer, ask, read_all
from tests.http.test_protocol import FORMS, WRONG

SMALL = b"SET A 1\n"
BIG = random.Random(1).randbytes(5 << 20)
GET = b"GET /46xxsettings.txt HTTP/1.1\r\nHost: s\r\n\r\n"
BOTH = pytest.mark.parametrize("proto", ["http", "https"])


@pytest.fixture
def files(site):
    """A site that has a small and a big file."""
    site.write("46xxsettings.txt", SMALL)
    site.write("fw.bin", BIG)
    return site


def more(sock: socket.socket, size: int = 1 << 20) -> bytes:
    """What comes next; there must be something."""
    data = sock.recv(size)
    assert data, "the server closed"
    return data


def only(site) -> tuple[str, str, int]:
    """Outcome, reason and octets of the one request that was answered."""
    (event,) = site.finished()
    return event.outcome, event.reason, event.bytes


@BOTH
@pytest.mark.parametrize("size", [0, 1, 511, 65536, 65537, 5 << 20])
def test_every_octet_arrives(site, proto, size):
    site.write("a.bin", BIG[:size])
    reply = site.get("/a.bin", proto)
    assert (reply.status, bytes(reply.body) == BIG[:size], reply.headers["content-length"]) == (
        200,
        True,
        str(size),
    )
    (event,) = site.finished()
    assert (event.outcome, event.bytes, event.proto, event.name) == ("ok", size, proto, "a.bin")
    assert event.listener == f"{proto}:{site.ports(proto)[0]}"


@BOTH
def test_parts_conditions_and_heads(files, proto):
    whole = files.get("/fw.bin", proto, "HEAD")
    etag = whole.headers["etag"]
    assert (whole.status, whole.headers["content-length"], whole.received) == (200, str(len(BIG)), 0)
    for headers, status, body in [
        ({"Range": "bytes=1000000-3999999"}, 206, BIG[1_000_000:4_000_000]),
        ({"Range": "bytes=-5", "If-Range": etag}, 206, BIG[-5:]),
        ({"Range": "bytes=0-5", "If-Range": '"other"'}, 200, BIG),
        ({"If-None-Match": etag}, 304, b""),
        ({"If-Modified-Since": whole.headers["last-modified"]}, 304, b""),
        ({"Range": f"bytes={len(BIG)}-"}, 416, b""),
    ]:
        files.finished()
        reply = files.get("/fw.bin", proto, **headers)
        assert (reply.status, bytes(reply.body) == body) == (status, True), headers
        assert only(files) == ("ok", "", len(body))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_that_phones_send_is_answered(site, form):
    site.write("a.txt", SMALL)
    site.write("d/a.txt", SMALL)
    data, name = FORMS[form]
    got = site.talk(data, half=True)
    found = name.replace(b"%2e", b".").replace(b"\\", b"/").lstrip(b"/") in (b"a.txt", b"d/a.txt")
    if form.startswith("HTTP/0.9"):
        assert got == (SMALL if found else b"")
    else:
        reply = Reply()
        assert reply.receive(got) == b""
        assert (reply.complete, reply.status) == (True, 200 if found else 404), got
    (event,) = site.finished()
    assert event.outcome == ("ok" if found else "refused")


@pytest.mark.parametrize("what", WRONG)
def test_what_could_be_read_in_two_ways_ends_the_connection(site, what):
    reply = Reply()
    reply.receive(site.talk(WRONG[what] + GET))
    assert (reply.status, reply.headers["connection"], reply.headers["etag"]) == (
        400,
        "close",
        '"bad-request"',
    )
    assert only(site) == ("refused", "bad-request", 0)


def test_the_raw_octet_of_the_11xx(files):
    agent = b"AVAYA/SIP12x0\x14/04.00.04.00"
    with files.connect() as sock:
        assert ask(sock, "/46xxsettings.txt", headers=[("User-Agent", agent)]).status == 200
    (event,) = files.finished()
    assert "AVAYA/SIP12x0" in event.agent and event.agent.isprintable()


@BOTH
def test_a_connection_stays(files, proto):
    with files.connect(proto) as sock:
        for name, status in [("/46xxsettings.txt", 200), ("/fw.bin", 200), ("/none", 404), ("/fw.bin", 200)]:
            reply = ask(sock, name)
            assert (reply.status, reply.keep) == (status, True)
        assert ask(sock, "/fw.bin", "HEAD").status == 200
        assert ask(sock, "/46xxsettings.txt", headers=[("Connection", "close")]).keep is False
        assert sock.recv(1) == b""
    assert [event.outcome for event in files.finished()] == ["ok", "ok", "refused", "ok", "ok", "ok"]


@pytest.mark.parametrize(("ask_for", "stays"), [(b"", False), (b"Connection: keep-alive\r\n", True)])
def test_http_10_stays_only_if_asked(files, ask_for, stays):
    with files.connect() as sock:
        for _ in range(2 if stays else 1):
            sock.sendall(b"GET /46xxsettings.txt HTTP/1.0\r\n" + ask_for + b"\r\n")
            assert answer(sock).keep is stays
        if not stays:
            assert sock.recv(1) == b""


@BOTH
def test_requests_behind_each_other_are_answered_in_order(files, proto):
    names = ["/46xxsettings.txt", "/fw.bin", "/none"] * 20
    with files.connect(proto) as sock:
        sock.sendall(b"".join(b"GET %b HTTP/1.1\r\nHost: s\r\n\r\n" % name.encode() for name in names))
        data, statuses, sizes = b"", [], []
        while len(statuses) < len(names):
            reply = Reply()
            while not reply.complete:
                data = reply.receive(data or more(sock))
            statuses.append(reply.status)
            sizes.append(reply.received)
    assert statuses == [200, 200, 404] * 20
    assert sizes == [len(SMALL), len(BIG), 10] * 20


def test_a_client_that_sends_on_while_it_takes_nothing_is_not_read_without_end(files):
    """What it sends fills its own buffers, not our memory."""
    with files.connect() as sock:
        sock.setblocking(False)
        sock.send(b"GET /fw.bin HTTP/1.1\r\n\r\n" * 3)
        sent = 0
        files.until(lambda: bool(files.server.active()))
        try:
            while sent < 64 << 20:
                sent += sock.send(b"GET /46xxsettings.txt HTTP/1.1\r\n\r\n" * 1000)
        except BlockingIOError:
            pass
        (running,) = files.call(lambda: list(files.server._connections))
        assert running.incoming.waiting <= connection.WAITING + connection.READ


@pytest.mark.parametrize("name", ["/46xxsettings.txt", "/fw.bin"])
def test_a_client_that_closes_its_side_still_gets_its_answer(files, name):
    reply = Reply()
    reply.receive(files.talk(b"GET %b HTTP/1.1\r\nHost: s\r\n\r\n" % name.encode(), half=True))
    assert reply.complete and reply.received == len(SMALL if "46" in name else BIG)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "BREW"])
def test_writing_is_refused_and_the_connection_stays(files, method):
    with files.connect() as sock:
        reply = ask(sock, "/46xxsettings.txt", method, body=b"x" * 20_000)
        assert (reply.status, reply.headers["allow"], reply.keep) == (405, "GET, HEAD", True)
        assert ask(sock, "/46xxsettings.txt").status == 200
    assert [event.reason for event in files.finished()] == ["read-only", ""]


def test_a_write_that_waits_for_leave_is_refused_at_once(files):
    got = files.talk(b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 405 ") and b"Connection: close" in got
    assert only(files) == ("refused", "read-only", 0)


def test_a_write_without_length(files):
    assert files.talk(b"PUT /a HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 405 ")


def test_a_huge_write_gets_its_answer_though_it_is_not_read(files):
    """Closing at once would reset the connection and destroy the answer."""
    with files.connect() as sock:
        sock.sendall(b"PUT /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 500_000))
        sock.sendall(b"x" * 500_000)
        got = read_all(sock)
    assert got.startswith(b"HTTP/1.1 405 ")
    assert only(files) == ("refused", "read-only", 0)


def test_chunks_are_read_away(files):
    with files.connect() as sock:
        sock.sendall(b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert answer(sock).status == 405
        assert ask(sock, "/46xxsettings.txt").status == 200


def test_a_head_that_does_not_come_in_time(files):
    with files.connect() as sock:
        sock.sendall(b"GET /46xxsettings.txt HTTP/1.1\r\nHost:")
        files.until(lambda: any(c.incoming.begun for c in files.server._connections))
        files.pass_time(connection.HEAD - 1)
        sock.sendall(b" s\r\nX: y\r\n")  # going on slowly does not help
        files.until(lambda: any(c.incoming.waiting > 45 for c in files.server._connections))
        files.pass_time(2)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")
    (event,) = files.finished()
    assert (event.outcome, event.reason, event.name) == (
        "timeout",
        "bad-request",
        "/46xxsettings.txt",
    )


def test_a_body_that_does_not_come_in_time(files):
    with files.connect() as sock:
        sock.sendall(b"PUT /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n123")
        files.until(lambda: any(c.incoming.in_body for c in files.server._connections))
        files.pass_time(connection.BODY + 1)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")
    assert only(files) == ("timeout", "bad-request", 0)


@BOTH
def test_an_idle_connection_ends_in_silence(files, proto):
    with files.connect(proto) as sock:
        ask(sock, "/46xxsettings.txt")
        files.pass_time(connection.IDLE - 1)
        ask(sock, "/46xxsettings.txt")
        files.pass_time(connection.IDLE - 1)
        ask(sock, "/46xxsettings.txt")
        sock.sendall(b"\r\n" * 10)  # empty lines are no request
        files.pass_time(connection.IDLE + 1)
        assert sock.recv(1) == b""
    assert [event.outcome for event in files.finished()] == ["ok"] * 3


def test_a_connection_without_a_word_ends_in_silence(files):
    with files.connect() as sock:
        files.until(lambda: len(files.server._connections) == 1)
        files.pass_time(connection.IDLE + 1)
        assert sock.recv(1) == b""
    assert files.finished() == []


@BOTH
def test_a_client_that_takes_nothing(files, proto):
    with files.connect(proto) as sock:
        sock.sendall(b"GET /fw.bin HTTP/1.1\r\n\r\n" * 4)  # more than the socket's buffers hold
        files.until(lambda: bool(files.server.active()))
        files.pass_time(connection.STALLED / 2 + 1)
        assert len(files.server.active()) == 1  # looked at twice: the kernel may still be sending
        for _ in range(10):  # what is on its way to the client's own buffers still counts
            files.pass_time(connection.STALLED / 2 + 1)
        assert files.server.active() == []
        *_, last = files.finished()
    assert (last.outcome, last.name) == ("timeout", "fw.bin")
    assert 0 <= last.bytes < len(BIG)


@BOTH
def test_a_client_that_reads_slowly_is_waited_for(files, proto):
    with files.connect(proto) as sock:
        sock.sendall(b"GET /fw.bin HTTP/1.1\r\n\r\n" * 2)
        left = b""
        for _ in range(2):
            reply = Reply()
            while not reply.complete:
                left = reply.receive(left or more(sock, 300_000))
                assert left == b"" or reply.complete
                files.pass_time(connection.STALLED / 50)
    assert [event.outcome for event in files.finished()] == ["ok", "ok"]


@BOTH
def test_a_client_that_goes_away_while_it_is_sent_to(files, proto):
    with files.connect(proto) as sock:
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # a reset, as power lost
        sock.sendall(b"GET /fw.bin HTTP/1.1\r\n\r\n" * 4)
        files.until(lambda: bool(files.server.active()))
    files.until(lambda: not files.server._connections)
    events = files.finished()
    assert events[-1].outcome == "aborted" and events[-1].bytes < len(BIG)


@pytest.mark.parametrize(
    "data", [b"GET /a", b"GET /a HTTP/1.1\r\nHost", b"PUT /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n1"]
)
def test_a_request_that_is_cut_off_is_an_event(files, data):
    assert files.talk(data, half=True) == b""
    (event,) = files.finished()
    assert (event.outcome, event.reason) == ("aborted", "bad-request")
    assert "/a" in event.name


@BOTH
def test_a_file_that_changes_under_way_is_never_half_of_each(files, proto):
    with files.connect(proto) as sock:
        sock.sendall(b"GET /fw.bin HTTP/1.1\r\n\r\n" * 4)
        files.until(lambda: bool(files.server.active()))
        path = files.home.http_data / "fw.bin"
        os.truncate(path, 0)  # as `cp` over it does
        data = read_all(sock)
    whole = 0
    reply = Reply()
    while True:
        data = reply.receive(data)
        if not reply.complete:
            break
        assert bytes(reply.body) == BIG
        whole, reply = whole + 1, Reply()
    assert BIG.startswith(bytes(reply.body))
    events = files.finished()
    assert [event.outcome for event in events] == ["ok"] * whole + ["failed"]
    assert "changed" in events[-1].detail


def test_a_file_that_is_replaced_under_way_is_sent_as_it_was(files):
    with files.connect() as sock:
        sock.sendall(b"GET /fw.bin HTTP/1.1\r\n\r\n" * 2)
        files.until(lambda: bool(files.server.active()))
        aside = files.write("aside", b"new")
        aside.rename(files.home.http_data / "fw.bin")
        reply, left = Reply(), b""
        while not reply.complete:
            left = reply.receive(left or more(sock))
        assert bytes(reply.body) == BIG
    assert bytes(files.get("/fw.bin").body) == b"new"


def test_the_three_that_must_not_be_told_apart(files):
    """The same octets for a name that climbs, one that is missing and one that is not for this phone."""
    answers = set()
    for name in ("/../../etc/passwd", "/none.txt", "/HTTP_allow_IP.txt", "/%2e%2e/x", "/.hidden", "/"):
        got = files.talk(b"GET %b HTTP/1.0\r\n\r\n" % name.encode())
        answers.add(b"\r\n".join(line for line in got.split(b"\r\n") if not line.startswith(b"Date:")))
    assert len(answers) == 1
    assert answers.pop().startswith(b"HTTP/1.1 404 Not Found\r\n")


def test_credentials_reach_no_event(files):
    reply = files.get("/46xxsettings.txt", Authorization="Basic c2VjcmV0OnNlY3JldA==")
    assert reply.status == 200
    assert "c2Vjc" not in repr(files.events())


def test_a_fault_of_ours_is_500_for_the_phone_and_a_place_for_the_operator(files):
    files.library._rules = None  # what no code should do
    with files.connect() as sock:
        for _ in range(2):
            reply = ask(sock, "/46xxsettings.txt")
            assert (reply.status, reply.headers["etag"]) == (500, '"fault"')
    events = files.events()
    assert [event.outcome for event in events if event.event == "finished"] == ["failed"] * 2
    notices = [event for event in events if event.event == "notice"]
    assert notices[0].kind == "fault" and "AttributeError" in notices[0].text and ".py:" in notices[0].text


def test_a_flood_of_headers_is_one_event(files):
    with files.connect() as sock:
        sock.sendall(b"GET /46xxsettings.txt HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")
    assert only(files) == ("refused", "bad-request", 0)


def test_many_bad_requests_leave_nothing_behind(files):
    rng = random.Random(7)
    for number in range(200):
        data = rng.choice(list(WRONG.values())) if number % 2 else rng.randbytes(rng.randrange(1, 400))
        with files.connect() as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                read_all(sock)
            except OSError:
                pass
    files.until(lambda: not files.server._connections)
    assert files.get("/46xxsettings.txt").status == 200
    assert not [event for event in files.events() if event.event == "notice" and event.kind == "fault"]
