"""HTTP as bytes: what phones send is read, what would be read in two ways is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.http import protocol
from mv_iptel.http.protocol import MAX_BODY, MAX_HEAD, REPLIES, Asked, Chunks, Incoming, ProtocolError, Reply
from mv_iptel.library import Body, Reason
from mv_iptel.library.answers import Login
from mv_iptel.userdata.store import Stored

NOW = 1_700_000_000.0


class Feed:
    """What comes from one client: complete requests in `found`, the bodies of writes in `bodies`."""

    def __init__(self) -> None:
        self.incoming = Incoming()
        self.found: list[Asked | str] = []
        self.bodies: list[bytes] = []
        self.ended = False
        self._write: Asked | None = None  # given out, its body still coming

    def receive(self, data: bytes) -> None:
        self.incoming.receive(data)
        while not self.ended:
            try:
                asked = self._next()
            except ProtocolError as error:
                self.found.append(f"error: {error}")
                self.ended = True
                return
            if asked is None:
                return
            self.found.append(asked)
            self.ended = not asked.keep

    def _next(self) -> Asked | None:
        incoming = self.incoming
        if self._write is None:
            asked = incoming.next()
            if asked is None or not incoming.in_body:
                return asked
            assert asked.request.write
            self._write = asked
            self.bodies.append(b"")
        self.bodies[-1] += incoming.content()
        if incoming.in_body:
            return None
        asked, self._write = self._write, None
        return asked


def read(data: bytes, step: int = 0) -> list[Asked | str]:
    """Every request in `data`, fed whole or in pieces of `step` octets, up to the first that ends it."""
    return feed(data, step).found


def feed(data: bytes, step: int = 0) -> Feed:
    """The same, with the bodies."""
    one = Feed()
    for at in range(0, len(data), step or max(1, len(data))):
        if not one.ended:
            one.receive(data[at : at + (step or len(data))])
    return one


def one(data: bytes) -> Asked:
    """The one request in `data`, which must read the same however it is cut."""
    (asked,) = read(data)
    assert isinstance(asked, Asked), asked
    for step in (1, 2, 3, 7):
        (cut,) = read(data, step)
        assert isinstance(cut, Asked), cut
        assert vars(cut) == vars(asked), step
    return asked


# What strict parsers refuse and phones send (reference: engines 4, phones 1.4 and 14).
FORMS = {
    "plain": (b"GET /a.txt HTTP/1.1\r\nHost: s\r\n\r\n", b"/a.txt"),
    "bare line feeds": (b"GET /a.txt HTTP/1.1\nHost: s\n\n", b"/a.txt"),
    "mixed line ends": (b"GET /a.txt HTTP/1.1\nHost: s\n\r\n", b"/a.txt"),
    "no Host": (b"GET /a.txt HTTP/1.1\r\n\r\n", b"/a.txt"),
    "a space in the path": (b"GET /my file.txt HTTP/1.1\r\n\r\n", b"/my file.txt"),
    "several spaces": (b"GET   /my  file.txt   HTTP/1.1\r\n\r\n", b"/my  file.txt"),
    "tabs": (b"GET\t/a.txt\tHTTP/1.0\r\n\r\n", b"/a.txt"),
    "a blank behind the version": (b"GET /a.txt HTTP/1.1 \r\n\r\n", b"/a.txt"),
    "a backslash in the path": (b"GET \\dir\\a.txt HTTP/1.1\r\n\r\n", b"\\dir\\a.txt"),
    "a Latin-1 octet in the path": (b"GET /f\xfcr.txt HTTP/1.1\r\n\r\n", b"/f\xfcr.txt"),
    "a control octet in the path": (b"GET /a\x14.txt HTTP/1.1\r\n\r\n", b"/a\x14.txt"),
    "no leading slash": (b"GET a.txt HTTP/1.1\r\n\r\n", b"a.txt"),
    "percent forms stay": (b"GET /a%2etxt HTTP/1.1\r\n\r\n", b"/a%2etxt"),
    "a query": (b"GET /a.txt?mac=00&x=? HTTP/1.1\r\n\r\n", b"/a.txt"),
    "absolute form": (b"GET http://10.0.0.1:81/d/a.txt?x HTTP/1.1\r\nHost: s\r\n\r\n", b"/d/a.txt"),
    "absolute form in capitals": (b"GET HTTPS://s/a.txt HTTP/1.1\r\n\r\n", b"/a.txt"),
    "absolute form without path": (b"GET http://s HTTP/1.1\r\n\r\n", b"/"),
    "a URL within a path": (b"GET /x/http://s/a HTTP/1.1\r\n\r\n", b"/x/http://s/a"),
    "a header without colon": (b"GET /a.txt HTTP/1.1\r\nnonsense\r\n\r\n", b"/a.txt"),
    "a blank before the colon": (b"GET /a.txt HTTP/1.1\r\nHost : s\r\n\r\n", b"/a.txt"),
    "a control character in a header": (b"GET /a.txt HTTP/1.1\r\nX: a\x01b\x00\r\n\r\n", b"/a.txt"),
    "a folded header": (b"GET /a.txt HTTP/1.1\r\nX: a\r\n\tb\r\n c\r\n\r\n", b"/a.txt"),
    "a lower-case method": (b"get /a.txt HTTP/1.1\r\n\r\n", b"/a.txt"),
    "a lower-case version": (b"GET /a.txt http/1.1\r\n\r\n", b"/a.txt"),
    "an odd Cookie": (b'GET /a.txt HTTP/1.1\r\nCookie: =;\xff,"\r\n\r\n', b"/a.txt"),
    "two equal lengths": (b"GET /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", b"/a"),
    "equal lengths in one line": (b"GET /a.txt HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\nab", b"/a.txt"),
    "an empty header value": (b"GET /a.txt HTTP/1.1\r\nX:\r\nUser-Agent:\r\n\r\n", b"/a.txt"),
    "empty lines in front": (b"\r\n\r\nGET /a.txt HTTP/1.1\r\n\r\n", b"/a.txt"),
    "HTTP/1.0": (b"GET /a.txt HTTP/1.0\r\n\r\n", b"/a.txt"),
    "HTTP/0.9": (b"GET /a.txt\r\n", b"/a.txt"),
    "HTTP/0.9 and an empty line": (b"GET /a b.txt\n\n", b"/a b.txt"),
    "a later 1.x": (b"GET /a.txt HTTP/1.2\r\n\r\n", b"/a.txt"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_phones_send_is_read(form):
    data, name = FORMS[form]
    asked = one(data)
    assert (asked.method, asked.name, asked.request.name, asked.request.write) == (b"GET", name, name, False)


@pytest.mark.parametrize("octet", [b"\x14", b"\x16", b"\x17", b"\xff"])
def test_the_raw_octet_of_the_11xx_stays_in_its_agent(octet):
    asked = one(b"GET /1220SIP.cfg HTTP/1.1\r\nUser-Agent: AVAYA/SIP12x0" + octet + b"/04.00.04.00\r\n\r\n")
    assert asked.request.agent == f"AVAYA/SIP12x0{octet.decode('latin-1')}/04.00.04.00"


def test_an_agent_is_bounded():
    asked = one(b"GET /a HTTP/1.1\r\nuser-agent:\t" + b"x" * 5000 + b"\r\n\r\n")
    assert len(asked.request.agent) == protocol.MAX_AGENT


@pytest.mark.parametrize(
    ("method", "seen", "write"),
    [(b"HEAD", b"HEAD", False), (b"PUT", b"PUT", True), (b"delete", b"DELETE", True),
     (b"BREW", b"BREW", True), (b"OPTIONS", b"OPTIONS", True), (b"M-SEARCH", b"M-SEARCH", True)],
)  # fmt: skip
def test_everything_but_reading_is_a_write(method, seen, write):
    asked = one(method + b" /a.txt HTTP/1.1\r\nHost: s\r\n\r\n")
    assert (asked.method, asked.request.write) == (seen, write)


@pytest.mark.parametrize(
    ("line", "version", "keep"),
    [
        (b"GET /a HTTP/1.1\r\n\r\n", 11, True),
        (b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n", 11, False),
        (b"GET /a HTTP/1.1\r\nconnection:Close, TE\r\n\r\n", 11, False),
        (b"GET /a HTTP/1.0\r\n\r\n", 10, False),
        (b"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 10, True),
        (b"GET /a HTTP/1.0\r\nConnection: TE, keep-alive\r\n\r\n", 10, True),
        (b"GET /a HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 10, False),
        (b"GET /a HTTP/0.9\r\n\r\n", 10, False),
        (b"GET /a\r\n", 9, False),
    ],
)
def test_whether_the_connection_stays(line, version, keep):
    asked = one(line)
    assert (asked.version, asked.keep) == (version, keep)


# Two readings of these are possible, or none: 400 and the end of the connection.
WRONG = {
    "no words": b"\0\1\2\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a later major version": b"GET /a HTTP/3.0\r\n\r\n",
    "no path": b"GET\r\n\r\n",
    "only a version": b"GET HTTP/1.1\r\n\r\n",
    "not a word as method": b"G(T /a HTTP/1.1\r\n\r\n",
    "a method without end": b"G" * 33 + b" /a HTTP/1.1\r\n\r\n",
    "a blank in front": b" GET /a HTTP/1.1\r\n\r\n",
    "HTTP/0.9 can only read": b"PUT /a\r\n\r\n",
    "two different lengths": b"PUT /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "two in one line": b"PUT /a HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\nab",
    "a negative length": b"PUT /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a length with sign": b"PUT /a HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
    "a hexadecimal length": b"PUT /a HTTP/1.1\r\nContent-Length: 0x1\r\n\r\na",
    "an empty length": b"PUT /a HTTP/1.1\r\nContent-Length:\r\n\r\n",
    "a length of 19 digits": b"PUT /a HTTP/1.1\r\nContent-Length: 1000000000000000000\r\n\r\n",
    "a length in other digits": "PUT /a HTTP/1.1\r\nContent-Length: ٣\r\n\r\n".encode(),
    "a blank before a length's colon": b"PUT /a HTTP/1.1\r\nContent-Length : 1\r\n\r\na",
    "a length without colon": b"PUT /a HTTP/1.1\r\nContent-Length\r\n\r\n",
    "a folded length": b"PUT /a HTTP/1.1\r\nContent-Length: 1\r\n 2\r\n\r\n",
    "a folded coding": b"PUT /a HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
    "length and coding": b"PUT /a HTTP/1.1\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": b"PUT /a HTTP/1.1\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "another coding": b"PUT /a HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    "two codings": b"PUT /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a coding in HTTP/1.0": b"PUT /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no number as chunk length": b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a negative chunk": b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "a long chunk": b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "a chunk without end": b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 300,
    "too many lines": b"GET /a HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    "a head that is too long": b"GET /a HTTP/1.1\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n",
    "a line that is too long": b"GET /" + b"a" * MAX_HEAD,
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_could_be_read_in_two_ways_is_refused(what):
    for step in (0, 1, 5):
        assert [type(found) for found in read(WRONG[what], step)] == [str], (what, step)


def test_the_name_of_a_refused_request_is_known():
    incoming = Incoming()
    incoming.receive(WRONG["two different lengths"])
    with pytest.raises(ProtocolError, match="two different lengths") as caught:
        incoming.next()
    assert caught.value.name == b"/a"


@pytest.mark.parametrize("lines", [MAX_HEAD - 21, MAX_HEAD - 20])
def test_the_longest_head(lines):
    """The limit is the same however the head is cut."""
    data = b"GET /a HTTP/1.1\r\nX: " + b"y" * lines
    for step in (0, 1000):
        (found,) = read(data + b"\r\n\r\n", step)
        assert isinstance(found, Asked) == (len(data) + 1 <= MAX_HEAD)


PIPELINE = (
    b"GET /1 HTTP/1.1\r\nHost: s\r\n\r\n"
    b"\r\nHEAD /2 HTTP/1.1\n\n"
    b"PUT /3 HTTP/1.1\r\nContent-Length: 26\r\n\r\nGET /no HTTP/1.1\r\nHost: s\r\n"
    b"PUT /4 HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n1A\r\n"
    + b"z"
    * 26
    + b"\r\n0\r\nT: x\r\n\r\n"
    b"GET /5 HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n"
)


@pytest.mark.parametrize("step", range(0, 40))
def test_requests_behind_each_other_keep_their_order_however_they_are_cut(step):
    found = read(PIPELINE, step)
    assert [asked.name for asked in found] == [b"/1", b"/2", b"/3", b"/4", b"/5"]


def test_cut_at_every_octet():
    whole = [vars(asked) for asked in read(PIPELINE)]
    for at in range(1, len(PIPELINE)):
        cut = Feed()
        for piece in (PIPELINE[:at], PIPELINE[at:]):
            cut.receive(piece)
        assert [vars(asked) for asked in cut.found] == whole, at
        assert cut.bodies == [b"GET /no HTTP/1.1\r\nHost: s\r", b"abc" + b"z" * 26], at


@pytest.mark.parametrize("method", [b"PUT", b"DELETE"])
def test_a_write_is_given_out_before_its_body(method):
    """It is decided on before a body may come."""
    head = method + b" /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    for step in (len(head), 1):
        incoming = Incoming()
        for at in range(0, len(head), step):
            assert incoming.next() is None
            incoming.receive(head[at : at + step])
        asked = incoming.next()
        assert (asked.method, asked.continues, asked.unread, asked.keep) == (method, True, False, True)
        assert (asked.framed, asked.length, asked.request.delete) == (True, 9, method == b"DELETE")
        assert incoming.in_body and incoming.content() == b""
        incoming.receive(b"123456")
        assert (incoming.content(), incoming.in_body) == (b"123456", True)
        incoming.receive(b"789GET /b HTTP/1.1\r\n\r\n")
        assert (incoming.content(), incoming.in_body) == (b"789", False)
        assert incoming.next().name == b"/b"


def test_a_body_that_is_given_up_ends_everything():
    incoming = Incoming()
    incoming.receive(b"PUT /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n12345")
    assert incoming.next().name == b"/a"
    incoming.give_up()
    assert (incoming.in_body, incoming.waiting, incoming.begun) == (False, 0, False)


@pytest.mark.parametrize(
    ("lines", "framed", "length"),
    [(b"", False, 0), (b"Content-Length: 0\r\n", True, 0), (b"Transfer-Encoding: chunked\r\n", True, -1)],
)
def test_whether_a_write_says_how_long_it_is(lines, framed, length):
    incoming = Incoming()
    incoming.receive(b"PUT /a HTTP/1.1\r\n" + lines + b"\r\n")
    asked = incoming.next()
    assert (asked.framed, asked.length, incoming.in_body) == (framed, length, length != 0)


def test_nobody_who_speaks_1_0_is_told_to_go_on():
    asked = one(b"PUT /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx")
    assert asked.continues is False


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (b"", ""),
        (b'If-Match: "0123456789"\r\n', '"0123456789"'),
        (b"if-match:*\r\n", "*"),
        (b'If-Match: "a", "b"\r\nIf-Match: W/"c"\r\n', '"a", "b",W/"c"'),
    ],
)
def test_what_a_write_must_match(lines, match):
    for method in (b"PUT", b"DELETE"):
        asked = one(method + b" /a HTTP/1.1\r\n" + lines + b"Content-Length: 0\r\n\r\n")
        assert asked.request.match == match
    assert one(b"GET /a HTTP/1.1\r\n" + lines + b"\r\n").request.match == ""


@pytest.mark.parametrize("value", [b"", b" , ", b'"' + b"x" * protocol.MAX_MATCH + b'"'])
def test_a_match_that_is_none_is_not_taken_for_leave(value):
    """To go on without it would overwrite what the client wanted to keep."""
    (error,) = read(b"PUT /a HTTP/1.1\r\nIf-Match: " + value + b"\r\nContent-Length: 0\r\n\r\n")
    assert "If-Match" in error


def test_a_part_of_something():
    asked = one(b"PUT /a HTTP/1.1\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nab")
    assert asked.partial
    assert not one(b"PUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nab").partial


def test_another_body_that_waits_for_leave_is_not_waited_for():
    asked = one(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
    assert (asked.unread, asked.keep) == (True, False)


@pytest.mark.parametrize("length", [MAX_BODY, MAX_BODY + 1])
def test_a_body_is_read_away_up_to_a_limit(length):
    data = b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % length
    found = read(data + b"x" * length, 100_000)
    assert [(asked.unread, asked.keep) for asked in found] == [(length > MAX_BODY, length <= MAX_BODY)]


def test_chunks_are_read_away_up_to_a_limit():
    data = (
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17
    )
    (asked,) = read(data, 100_000)
    assert (asked.unread, asked.keep) == (True, False)


def test_trailers_without_end_are_given_up():
    data = b" /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 4000
    (asked,) = read(b"POST" + data, 1000)
    assert (asked.unread, asked.keep) == (True, False)
    (error,) = read(b"PUT" + data, 1000)
    assert "without end" in error


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE"])
def test_credentials_are_read_and_not_kept(method):
    secret = b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    head = method + b" /a HTTP/1.1\r\nAuthorization: Basic " + secret + b"\r\n\r\n"
    asked = one(head)
    assert asked.login
    assert asked.request.login == Login("Aladdin", "open sesame", "plain")
    for told in (secret.decode(), "open sesame"):
        assert told not in repr(vars(asked))
    assert not any(secret in head for head in protocol._seen)
    incoming = Incoming()
    incoming.channel = "null"
    incoming.receive(head)
    assert incoming.next().request.login.channel == "null"


def test_credentials_that_are_none_are_noticed_too():
    asked = one(b"GET /a HTTP/1.1\r\nAuthorization: Digest username=x\r\n\r\n")
    assert (asked.login, asked.request.login) == (True, None)


def test_equal_heads_are_read_once_and_stay_as_they_are():
    data = b"GET /same HTTP/1.1\r\nUser-Agent: phone\r\n\r\n"
    first, second = read(data)[0], read(data)[0]
    assert first is second
    last = first.last()
    assert (first.keep, last.keep, last.name, last.request) == (True, False, b"/same", first.request)


def test_remembered_heads_are_bounded():
    for number in range(protocol.KEPT_HEADS * 2):
        read(b"GET /%d HTTP/1.1\r\n\r\n" % number)
    read(b"GET /long HTTP/1.1\r\nX: " + b"y" * protocol.KEPT_HEAD + b"\r\n\r\n")
    assert len(protocol._seen) <= protocol.KEPT_HEADS
    assert max(map(len, protocol._seen)) <= protocol.KEPT_HEAD


WORDS = st.sampled_from([
    b"GET ", b"get", b"PUT /x", b" HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t",
    b":", b"Content-Length", b"Transfer-Encoding", b"chunked", b"5", b"0", b"Expect: 100-continue",
    b"Range: bytes=0-1", b"Connection: close", b"DELETE /x", b"Content-Range: x", b"If-Match: *",
    b"Authorization: Basic eDp5", b"http://s/", b"?", b"\x00", b"\xff", b"ffffffff\r\n", b";",
])  # fmt: skip


@given(st.lists(WORDS | st.binary(max_size=20), max_size=60).map(b"".join), st.integers(1, 50))
def test_any_octets_end_in_a_request_or_a_protocol_error(data, step):
    """Never another exception, always bounded, and the same however they are cut."""
    whole, cut = read(data), read(data, step)
    assert [x if isinstance(x, str) else vars(x) for x in whole][:-1] == [
        x if isinstance(x, str) else vars(x) for x in cut
    ][: max(0, len(whole) - 1)]
    fed = feed(data)
    assert all(found if isinstance(found, str) else found.name for found in fed.found)
    assert fed.incoming.waiting + sum(map(len, fed.bodies)) <= len(data)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 30), st.binary(max_size=10))
def test_chunks_decode_what_was_put_into_them(pieces, step, rest):
    data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n" + rest
    chunks, content = Chunks(), b""
    for at in range(0, len(data), step):
        if chunks.done:
            chunks.rest += data[at : at + step]
        else:
            content += chunks.receive(data[at : at + step])
    assert (content, chunks.rest, chunks.done) == (b"".join(pieces), rest, True)


# --- answering ---------------------------------------------------------------------------------


@pytest.fixture
def body(tmp_path: Path) -> Body:
    """A body of 1000 octets, last changed at 1,600,000,000."""
    path = tmp_path / "46xxsettings.txt"
    path.write_bytes(bytes(range(250)) * 4)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    fd = os.open(path, os.O_RDONLY)
    made = Body(fd, os.fstat(fd), path.name, str(path))
    os.close(fd)
    return made


def asking(**fields: object) -> Asked:
    """A conditional request."""
    asked = Asked()
    asked.conditional = True
    for name, value in fields.items():
        setattr(asked, name, value)
    return asked


WHOLE = (200, 0, 1000)


@pytest.mark.parametrize(
    ("ranges", "part"),
    [
        (b"bytes=0-99", (206, 0, 100)),
        (b"bytes=900-", (206, 900, 1000)),
        (b"bytes=-1", (206, 999, 1000)),
        (b"bytes=-5000", (206, 0, 1000)),
        (b"bytes=999-5000", (206, 999, 1000)),
        (b"BYTES = 1 - 1", (206, 1, 2)),
        (b"bytes=1000-", (416, 0, 0)),
        (b"bytes=-0", (416, 0, 0)),
        (b"bytes=5-4", WHOLE),
        (b"bytes=-", WHOLE),
        (b"bytes=0-1,3-4", WHOLE),
        (b"lines=0-1", WHOLE),
        (b"bytes=a-b", WHOLE),
        (b"bytes=0-" + b"9" * 30, WHOLE),
    ],
)
def test_one_range_is_taken_and_several_are_not(body, ranges, part):
    assert protocol.select(asking(ranges=ranges), body) == part
    assert protocol.select(asking(ranges=ranges, method=b"HEAD"), body) == WHOLE


def test_conditions(body):
    etag = body.etag.encode()
    then, later = b"Sun, 13 Sep 2020 12:26:40 GMT", b"Sun, 13 Sep 2020 12:26:41 GMT"
    before = b"Sun, 13 Sep 2020 12:26:39 GMT"
    some = b"bytes=0-9"
    for asked, status in [
        (asking(none_match=b'"' + etag + b'"'), 304),
        (asking(none_match=b'W/"' + etag + b'"'), 304),
        (asking(none_match=b'"x", "' + etag + b'"'), 304),
        (asking(none_match=etag), 304),
        (asking(none_match=b"*"), 304),
        (asking(none_match=b'"x"'), 200),
        (asking(none_match=b'"x"', since=later), 200),  # If-None-Match counts alone
        (asking(since=then), 304),
        (asking(since=later), 304),
        (asking(since=before), 200),
        (asking(since=b"yesterday"), 200),
        (asking(since=then + b"; length=1000"), 304),
        (asking(ranges=some, if_range=b'"' + etag + b'"'), 206),
        (asking(ranges=some, if_range=b'W/"' + etag + b'"'), 200),
        (asking(ranges=some, if_range=b'"x"'), 200),
        (asking(ranges=some, if_range=then), 206),
        (asking(ranges=some, if_range=later), 200),
        (asking(ranges=some, none_match=b'"' + etag + b'"'), 304),
    ]:
        assert protocol.select(asked, body).status == status, vars(asked)


@pytest.mark.parametrize(
    "text", [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"]
)
def test_the_three_forms_of_a_date(text):
    assert protocol.parse_date(text) == 784111777


@given(st.binary(max_size=40) | st.from_regex(rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [0-9:]{8} GMT"))
def test_any_octets_are_a_date_or_none(data):
    assert isinstance(protocol.parse_date(data), int | None)


def lines_of(answer: bytes) -> dict[str, str]:
    """The header lines of an answer, by name."""
    reply = Reply("HEAD")
    reply.receive(answer)
    return {"status": f"{reply.status} {reply.phrase}", **reply.headers}


def test_the_head_of_a_file(body):
    asked = Asked()
    assert lines_of(protocol.head(asked, body, protocol.select(asked, body), NOW)) == {
        "status": "200 OK",
        "date": "Tue, 14 Nov 2023 22:13:20 GMT",
        "content-type": "text/plain",
        "content-length": "1000",
        "last-modified": "Sun, 13 Sep 2020 12:26:40 GMT",
        "etag": f'"{body.etag}"',
        "accept-ranges": "bytes",
    }
    assert b"Date: Tue, 14 Nov 2023 22:13:21 GMT" in protocol.head(
        asked, body, protocol.select(asked, body), NOW + 1
    )


def test_the_head_of_parts(body):
    for ranges, status, said in [
        (
            b"bytes=10-19",
            "206 Partial Content",
            {"content-length": "10", "content-range": "bytes 10-19/1000"},
        ),
        (
            b"bytes=1000-",
            "416 Range Not Satisfiable",
            {"content-length": "0", "content-range": "bytes */1000"},
        ),
    ]:
        asked = asking(ranges=ranges)
        found = lines_of(protocol.head(asked, body, protocol.select(asked, body), NOW))
        assert found.items() >= {"status": status, **said}.items()
    asked = asking(none_match=b"*")
    found = lines_of(protocol.head(asked, body, protocol.select(asked, body), NOW))
    assert found.items() >= {"status": "304 Not Modified", "content-length": "1000"}.items()


@pytest.mark.parametrize(
    ("version", "keep", "said"),
    [(11, True, None), (11, False, "close"), (10, True, "keep-alive"), (10, False, "close")],
)
def test_the_connection_line(body, version, keep, said):
    asked = Asked()
    asked.version, asked.keep = version, keep
    for _ in range(2):  # made, then remembered with the body
        found = lines_of(protocol.head(asked, body, protocol.select(asked, body), NOW))
        assert found.get("connection") == said
    assert lines_of(protocol.refusal(asked, Reason.NO_FILE, NOW)).get("connection") == said


def test_http_09_has_no_heads(body):
    asked = Asked()
    asked.version = 9
    assert protocol.head(asked, body, protocol.select(asked, body), NOW) == b""
    assert protocol.refusal(asked, Reason.NO_FILE, NOW) == b""


def test_every_reason_has_its_answer():
    assert set(REPLIES) == set(Reason)
    for reason, (status, phrase) in REPLIES.items():
        answer = protocol.refusal(Asked(), reason, NOW)
        if reason is Reason.BANNED:
            assert answer == b""
            continue
        reply = Reply()
        assert reply.receive(answer) == b""
        assert reply.complete
        assert (reply.status, reply.phrase, bytes(reply.body)) == (status, phrase, phrase.encode() + b"\n")
        assert {"date", "content-length", "etag"} <= set(reply.headers)
        assert reason.value in reply.headers["etag"] or status == 404


def test_three_reasons_cannot_be_told_apart():
    asked = Asked()
    three = {protocol.refusal(asked, reason, NOW)
             for reason in (Reason.BAD_NAME, Reason.NO_FILE, Reason.NOT_ALLOWED)}  # fmt: skip
    assert len(three) == 1
    assert b'ETag: "no-file"' in three.pop()


def test_what_some_refusals_add():
    asked = Asked()
    assert lines_of(protocol.refusal(asked, Reason.READ_ONLY, NOW))["allow"] == "GET, HEAD"
    assert lines_of(protocol.refusal(asked, Reason.NO_SLOT, NOW, retry=7))["retry-after"] == "7"
    for reason in (Reason.NEED_LOGIN, Reason.BAD_LOGIN):
        told = lines_of(protocol.refusal(asked, reason, NOW))["www-authenticate"]
        assert told == 'Basic realm="mv-iptel"'
    kept = asked.but(allow=protocol.ALLOW_KEPT)
    assert lines_of(protocol.refusal(kept, Reason.READ_ONLY, NOW))["allow"] == "GET, HEAD, PUT, DELETE"
    assert (asked.allow, asked.last().keep, asked.keep) == ("GET, HEAD", False, True)


def test_user_data_is_not_kept_by_anybody_on_the_way(tmp_path):
    for name, kept in [("1234_96xxdata.txt", True), ("96xxdata.txt.bin", False), ("a.txt", False)]:
        path = tmp_path / name
        path.write_bytes(b"x")
        fd = os.open(path, os.O_RDONLY)
        data = Body(fd, os.fstat(fd), name, str(path))
        os.close(fd)
        for asked in (Asked(), asking(ranges=b"bytes=0-0"), asking(none_match=b"*")):
            found = lines_of(protocol.head(asked, data, protocol.select(asked, data), NOW))
            assert (found.get("cache-control") == "no-store") is kept


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"created": True}, {"status": "201 Created", "content-length": "0", "etag": '"0123456789"'}),
        ({}, {"status": "204 No Content", "etag": '"0123456789"'}),
        ({"same": True}, {"status": "204 No Content", "etag": '"0123456789"'}),
        ({"removed": True, "etag": ""}, {"status": "204 No Content"}),
    ],
)
def test_what_became_of_user_data(fields, said):
    kept = Stored(
        "1_96xxdata.txt",
        "/x",
        5,
        **{"created": False, "same": False, "etag": "0123456789"} | fields,
        sha256="",
    )
    for version, keep, link in [(11, True, None), (11, False, "close"), (10, True, "keep-alive")]:
        told = protocol.stored(Asked().but(version=version, keep=keep), kept, NOW)
        found = lines_of(told)
        assert found.pop("connection", None) == link
        assert found.pop("date") == "Tue, 14 Nov 2023 22:13:20 GMT"
        assert found == said
        assert told.endswith(b"\r\n\r\n")


def test_a_refused_head_has_no_body():
    asked = Asked()
    asked.method = b"HEAD"
    answer = protocol.refusal(asked, Reason.NO_FILE, NOW)
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 10\r\n" in answer


# --- the client's half -------------------------------------------------------------------------


def test_a_request_keeps_the_order_and_octets_of_its_headers():
    headers = [("User-Agent", b"AVAYA/SIP12x0\x14/04"), ("Host", "10.0.0.1"), ("Accept", "*/*")]
    assert protocol.request("GET", "/1220SIP.cfg", headers, "1.0") == (
        b"GET /1220SIP.cfg HTTP/1.0\r\n"
        b"User-Agent: AVAYA/SIP12x0\x14/04\r\nHost: 10.0.0.1\r\nAccept: */*\r\n\r\n"
    )
    assert protocol.request("GET", b"/f\xfcr", version="0.9") == b"GET /f\xfcr\r\n"
    assert protocol.request("PUT", "/x", [("Host", "s")], body=b"abc") == (
        b"PUT /x HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert protocol.request("PUT", "/x", [("content-length", "9")]).count(b"ength") == 1


def test_what_we_send_we_read():
    asked = one(protocol.request("GET", "/a b.txt", [("User-Agent", b"x\xff"), ("Range", "bytes=1-2")]))
    assert (asked.name, asked.request.agent, asked.ranges) == (b"/a b.txt", "x\xff", b"bytes=1-2")


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", 200, b"hello", True),
    (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "GET", 200, b"hello", True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", 200, b"hello", False),
    (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", "GET", 200, b"", True),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "GET", 200, b"hello", False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", 200, b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", 304, b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n", "PUT", 201, b"", True),
    (b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
     "GET", 200, b"hello", True),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET", 200, b"until the end", False),
]  # fmt: skip


@pytest.mark.parametrize(("data", "method", "status", "content", "keep"), ANSWERS)
def test_an_answer_reads_the_same_however_it_is_cut(data, method, status, content, keep):
    for step in (len(data), 1, 3):
        reply = Reply(method)
        for at in range(0, len(data), step):
            assert reply.receive(data[at : at + step]) == b""
        reply.end()
        assert (reply.status, bytes(reply.body), reply.received, reply.complete, reply.keep) == (
            status, content, len(content), True, keep)  # fmt: skip


def test_what_belongs_to_the_next_answer_comes_back():
    for data, *_ in ANSWERS[:9]:
        if b"HEAD" in data:
            continue
        reply = Reply("HEAD" if data == ANSWERS[5][0] else "GET")
        assert reply.receive(data + b"HTTP/1.1 next") == b"HTTP/1.1 next"


def test_a_sink_takes_the_pieces():
    pieces: list[bytes] = []
    reply = Reply(sink=pieces.append)
    reply.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
    reply.receive(b"cd")
    assert (pieces, bytes(reply.body), reply.complete) == ([b"ab", b"cd"], b"", True)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
        b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
def test_half_an_answer_is_an_error(data):
    reply = Reply()
    reply.receive(data)
    with pytest.raises(ProtocolError):
        reply.end()


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest))
def test_any_octets_are_an_answer_or_a_protocol_error(data):
    reply = Reply()
    try:
        reply.receive(data)
        reply.end()
    except ProtocolError:
        return
    assert reply.complete
