"""HTTP/1.x as bytes, without any I/O: the server's half and the client's half.

Lenient in what it reads, because phones of 2004 send what strict parsers refuse; strict in how long
a body is (RFC 9112 section 6), because two readings of that are an attack; bounded everywhere.
"""

from __future__ import annotations

import calendar
import copy
import re
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.http import credentials
from mv_iptel.http.framing import MAX_BODY, MAX_HEAD, Chunks, Counted, ProtocolError
from mv_iptel.library.answers import Login, Reason, Request
from mv_iptel.library.contents import Body
from mv_iptel.userdata import names

if TYPE_CHECKING:
    from mv_iptel.userdata.store import Stored

MAX_LINES = 100  # header lines
KEPT_HEADS = 512  # heads whose meaning is remembered,
KEPT_HEAD = 1 << 10  # if they are not longer than this
MAX_AGENT = 400  # characters of a User-Agent that are kept
MAX_MATCH = 1000  # octets of an If-Match that are kept

WRITES = (b"PUT", b"DELETE")  # what is asked at the end of its head, before its body
ALLOW = "GET, HEAD"
ALLOW_KEPT = "GET, HEAD, PUT, DELETE"  # for user data
LOGIN = 'Basic realm="mv-iptel"'  # what a 401 asks for
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

REPLIES: dict[Reason, tuple[int, str]] = {
    Reason.BANNED: (0, ""),  # closed without an answer
    Reason.BUSY: (503, "Service Unavailable"),
    Reason.NOT_LISTED: (403, "Forbidden"),
    Reason.NO_SLOT: (503, "Service Unavailable"),
    # These three must not be told apart from outside, or names could be guessed (DESIGN section 5).
    Reason.BAD_NAME: (404, "Not Found"),
    Reason.NO_FILE: (404, "Not Found"),
    Reason.NOT_ALLOWED: (404, "Not Found"),
    Reason.READ_ONLY: (405, "Method Not Allowed"),
    Reason.NEED_LOGIN: (401, "Unauthorized"),
    Reason.BAD_LOGIN: (401, "Unauthorized"),
    Reason.NO_SNMP: (403, "Forbidden"),
    Reason.SNMP_MISMATCH: (403, "Forbidden"),
    Reason.PIN_MISMATCH: (403, "Forbidden"),
    Reason.CHANGED: (412, "Precondition Failed"),
    Reason.TOO_BIG: (413, "Content Too Large"),
    Reason.QUOTA: (413, "Content Too Large"),
    Reason.DISK_FULL: (507, "Insufficient Storage"),
    Reason.BAD_REQUEST: (400, "Bad Request"),
    Reason.FAULT: (500, "Internal Server Error"),
}

# Old sets show the ETag on their screen, so a refusal carries one short word there.
_WORDS = {Reason.BAD_NAME: "no-file", Reason.NOT_ALLOWED: "no-file"}

TYPES = {
    "txt": "text/plain", "scr": "text/plain", "cfg": "text/plain", "xml": "text/xml", "htm": "text/html",
    "html": "text/html", "png": "image/png", "jpg": "image/jpeg", "gif": "image/gif",
    "crt": "application/x-x509-ca-cert",
}  # fmt: skip

_VERSIONS = {b"HTTP/1.1": 11, b"HTTP/1.0": 10}
_VERSION = re.compile(rb"HTTP/([0-9]{1,3})\.[0-9]{1,3}", re.IGNORECASE)
_METHOD = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}")
_AUTHORITY = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{0,15}://[^/?]*")
_RANGE = re.compile(rb"bytes[ \t]*=[ \t]*([0-9]{0,18})[ \t]*-[ \t]*([0-9]{0,18})", re.IGNORECASE)
_MONTHS = {m: n for n, m in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
# The three forms of RFC 9110 section 5.6.7; old browsers added "; length=" behind the date.
_DATES = (
    re.compile(rb"[A-Za-z]{3}, (?P<d>[0-9]{2}) (?P<m>[A-Za-z]{3}) (?P<y>[0-9]{4}) (?P<t>[0-9:]{8}) GMT"),
    re.compile(rb"[A-Za-z]{6,9}, (?P<d>[0-9]{2})-(?P<m>[A-Za-z]{3})-(?P<y>[0-9]{2}) (?P<t>[0-9:]{8}) GMT"),
    re.compile(rb"[A-Za-z]{3} (?P<m>[A-Za-z]{3}) (?P<d>[ 0-9][0-9]) (?P<t>[0-9:]{8}) (?P<y>[0-9]{4})"),
)


class Asked:
    """One request as it came. What a request does not say keeps the value of the class.

    Once it was given out it is never changed: equal heads share one.
    """

    method = b"GET"  # in capitals
    name = b""  # the path as it came, without authority and query part, not decoded
    request = Request(b"")  # what the library is asked
    version = 11  # 9, 10 or 11
    keep = True  # whether the connection may stay open after the answer
    login = False  # whether it carried credentials; what was understood of them is in `request`
    conditional = False  # whether any of the four fields below is there
    ranges = b""
    if_range = b""
    none_match = b""
    since = b""
    framed = False  # whether it said how long its body is
    length = 0  # octets of the request's body; -1 if it comes in chunks
    partial = False  # its body is a part of something: it has a Content-Range
    unread = False  # the body was not read: nothing that follows is a request
    continues = False  # it waits for "100 Continue" before it sends its body
    allow = ALLOW  # the methods that a 405 names

    def but(self, **fields: object) -> Asked:
        """The same with other values."""
        asked = copy.copy(self)
        vars(asked).update(fields)
        return asked

    def last(self) -> Asked:
        """The same as the last request of its connection."""
        return self.but(keep=False)


def refused(name: bytes = b"") -> Asked:
    """What stands for a request that could not be understood."""
    asked = Asked()
    asked.name = name
    asked.request = Request(name)
    asked.keep, asked.unread = False, True
    return asked


# --- the server's half: reading ----------------------------------------------------------------


def _request_line(line: bytes, asked: Asked) -> None:
    """Method, target and version. Blanks and raw octets in the target are taken as they are."""
    words = line.split(b" ")
    if len(words) == 3 and words[2] in _VERSIONS:
        method, target, version = words
        asked.version = _VERSIONS[version]
    else:
        words = line.split(None, 1) if _METHOD.match(line[:1]) else []
        method = words[0] if words else b""
        target = words[1].strip(b" \t\r") if len(words) > 1 else b""
        before, _, last = target.rpartition(b" ")
        if b"\t" in last:
            before, _, last = target.rpartition(b"\t")
        version = _VERSION.fullmatch(last)
        if version is not None:
            target = before.strip(b" \t")
            major = int(version[1])
            if major > 1:
                raise ProtocolError(f"HTTP version {major} is not spoken here", target)
            asked.version = 11 if major and last[-2:] != b".0" else 10
        elif method.upper() == b"GET" and target:
            asked.version = 9
        else:
            raise ProtocolError("the first line is no HTTP request", line[:100])
        if not target:
            raise ProtocolError("the request line has no path")
    if method != b"GET":
        if not _METHOD.fullmatch(method):
            raise ProtocolError("the method is not a word", target)
        asked.method = method.upper()
    if b"://" in target and (authority := _AUTHORITY.match(target)):
        target = target[authority.end() :]
    asked.name = target.partition(b"?")[0] or b"/"
    asked.keep = asked.version == 11


def parse(head: bytes, channel: str = "plain") -> Asked:
    """The request whose head this is (without the empty line). Raises `ProtocolError`.

    `channel` is what credentials came over, see `Login`.
    """
    lines = head.split(b"\n")
    asked = Asked()
    _request_line(lines[0].rstrip(b"\r"), asked)
    asked.request = Request(asked.name, asked.method != b"GET" and asked.method != b"HEAD")
    if asked.version == 9:
        return asked  # it has one line only
    if len(lines) > MAX_LINES + 1:
        raise ProtocolError(f"more than {MAX_LINES} header lines", asked.name)
    length: bytes | None = None
    coding: bytes | None = None
    match: bytes | None = None
    login: Login | None = None
    field = b""
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t"):
            # A folded line goes on with the last field. Nobody folds a length except to hide it.
            if field in _FRAMING:
                raise ProtocolError("a length or coding folded over two lines", asked.name)
            continue
        raw, colon, value = line.partition(b":")
        field = raw.lower()
        if field not in _FIELDS or not colon:
            field = field.strip(b" \t\r\0\v\f")
            if field in _FRAMING:
                raise ProtocolError("a length or coding that is not written as a header", asked.name)
            if field not in _FIELDS or not colon:
                continue
        value = value.strip(b" \t\r")
        if field == b"user-agent":
            asked.request = asked.request._replace(agent=value[:MAX_AGENT].decode("latin-1"))
        elif field == b"connection":
            words = value.lower()
            if words == b"keep-alive":
                asked.keep = True
            elif b"close" in words:
                asked.keep = False
            elif b"keep-alive" in words:
                asked.keep = True
        elif field == b"content-length":
            for each in value.split(b","):
                each = each.strip(b" \t")
                if not each.isdigit() or len(each) > 18:
                    raise ProtocolError("a Content-Length that is no number", asked.name)
                if length is not None and int(length) != int(each):
                    raise ProtocolError("two different lengths", asked.name)
                length = each
        elif field == b"transfer-encoding":
            if coding is not None or value.lower() != b"chunked":
                raise ProtocolError("a transfer coding other than chunked", asked.name)
            coding = value
        elif field == b"expect":
            # Whoever speaks 1.0 does not know the answer (RFC 9110, 10.1.1).
            asked.continues = asked.version == 11 and value.lower() == b"100-continue"
        elif field == b"authorization":
            asked.login = True
            login = credentials.read(value, channel)
        elif field == b"if-match":
            match = value if match is None else match + b"," + value
        elif field == b"content-range":
            asked.partial = True
        else:
            asked.conditional = True
            if field == b"range":
                asked.ranges = value
            elif field == b"if-range":
                asked.if_range = value
            elif field == b"if-none-match":
                asked.none_match = asked.none_match + b"," + value if asked.none_match else value
            else:
                asked.since = value
    if coding is not None:
        if length is not None:
            raise ProtocolError("both a length and a transfer coding", asked.name)
        if asked.version < 11:
            raise ProtocolError("a transfer coding in HTTP/1.0", asked.name)
        asked.length = -1
        asked.framed = True
    elif length is not None:
        asked.length = int(length)
        asked.framed = True
    if login is not None:
        asked.request = asked.request._replace(login=login)
    if asked.method in WRITES:
        if match is not None and not (match.strip(b", \t") and len(match) <= MAX_MATCH):
            raise ProtocolError("an If-Match that names nothing, or too much", asked.name)
        told = match.decode("latin-1") if match else ""
        asked.request = asked.request._replace(delete=asked.method == b"DELETE", match=told)
    return asked


_FRAMING = (b"content-length", b"transfer-encoding")
_FIELDS = frozenset(
    b"user-agent connection content-length transfer-encoding expect authorization"
    b" range if-range if-none-match if-modified-since if-match content-range".split()
)


# Phones of one model ask in the same words, and a set that boots asks for most files twice: what a head
# meant is remembered. Only plain requests, so that no credential stays in memory.
_seen: dict[bytes, Asked] = {}


class Incoming:
    """What one client sends: bytes in, requests out, in their order.

    A PUT or DELETE is given out with its head, as it is answered before its body may come; then `content` or
    `give_up` ends its body before the next request. Any other body is read away.
    """

    def __init__(self) -> None:
        self.channel = "plain"  # what credentials come over, see `Login`
        self._data = b""
        self._scanned = 0  # no end of a head lies before this
        self._versioned = False  # the first line was seen, and is not of HTTP/0.9
        self._asked: Asked | None = None  # its body is still coming
        self._framing: Chunks | Counted | None = None

    def receive(self, data: bytes) -> None:
        """Take what came from the client."""
        self._data = self._data + data if self._data else data

    @property
    def waiting(self) -> int:
        """Octets that were received and not used yet."""
        return len(self._data)

    @property
    def begun(self) -> bool:
        """Whether a request has begun and is not complete."""
        return bool(self._data) or self._asked is not None

    @property
    def in_body(self) -> bool:
        """Whether more of a request's body is to come."""
        return self._asked is not None

    @property
    def name(self) -> bytes:
        """What the request that has begun asks for, as far as it is known."""
        return self._asked.name if self._asked is not None else self._first(self._data)

    def next(self) -> Asked | None:
        """The next request; None: more is needed. Raises `ProtocolError`."""
        if self._asked is not None:
            return self._read_away()
        data = self._data
        if not data:
            return None
        asked = _seen.get(data)
        if asked is not None:
            self._data = b""
            self._scanned = 0
            self._versioned = False
            return asked
        if data[0] in b"\r\n":
            # RFC 9112 section 2.2: some clients send an empty line behind a body.
            data = self._data = data.lstrip(b"\r\n")
            if not data:
                return None
        end = data.find(b"\n\r\n", self._scanned)
        bare = data.find(b"\n\n", self._scanned, end if end >= 0 else len(data))
        if end < 0 and bare < 0:
            return self._short(data)
        if bare >= 0:
            end, beyond = bare, bare + 2
        else:
            beyond = end + 3
        if end > MAX_HEAD:
            raise ProtocolError(f"a head of more than {MAX_HEAD} octets", self._first(data))
        self._data = data[beyond:]
        self._scanned = 0
        self._versioned = False
        asked = parse(data[:end], self.channel)
        if asked.length or asked.version == 9:
            return self._begin(asked)
        if not self._data and len(data) <= KEPT_HEAD and not (asked.login or asked.conditional):
            if len(_seen) >= KEPT_HEADS:
                _seen.clear()
            _seen[data] = asked
        return asked

    def _short(self, data: bytes) -> Asked | None:
        """The head is not complete: a simple request of HTTP/0.9, nonsense, or more to come."""
        if len(data) >= MAX_HEAD + 3:
            raise ProtocolError(f"a head of more than {MAX_HEAD} octets", self._first(data))
        self._scanned = max(0, len(data) - 2)
        if not self._versioned:
            if not _METHOD.match(data[:1]):
                what = "TLS" if data[0] == 0x16 else "something other than HTTP"
                raise ProtocolError(f"{what} was spoken to an HTTP port")
            line, end, rest = data.partition(b"\n")
            if end:
                asked = Asked()
                _request_line(line.rstrip(b"\r"), asked)
                if asked.version == 9:
                    asked.request = Request(asked.name)
                    self._data = rest
                    return self._begin(asked)
                self._versioned = True
        return None

    @staticmethod
    def _first(data: bytes) -> bytes:
        words = data[:500].split(None, 2)
        return words[1] if len(words) > 1 else b""

    def _begin(self, asked: Asked) -> Asked | None:
        """Give a request out before its body, or read that away, or give it up at once."""
        if asked.version == 9:  # it has no lines behind the first; whatever came is not for us
            self._data = b""
            return asked
        write = asked.method in WRITES
        if not write and (asked.continues or asked.length > MAX_BODY):
            asked.unread = True  # not given out yet, and not remembered: it has a body
            return self._give_up(asked)
        self._asked = asked
        limit = 1 << 62 if write else MAX_BODY
        self._framing = Chunks(limit) if asked.length < 0 else Counted(asked.length)
        return asked if write else self._read_away()

    def _read_away(self) -> Asked | None:
        asked, framing = self._asked, self._framing
        assert asked is not None and framing is not None
        self._decode()
        if framing.over:
            asked.unread = True
            return self._give_up(asked)
        return None if self._asked is not None else asked

    def _give_up(self, asked: Asked) -> Asked:
        asked.keep = False
        self.give_up()
        return asked

    def give_up(self) -> None:
        """Read no more of the body; nothing that follows is a request."""
        self._asked = self._framing = None
        self._data = b""

    def content(self) -> bytes:
        """What has come of the body of the request that was given out; `in_body` says whether more is due.

        Raises `ProtocolError`.
        """
        asked, framing = self._asked, self._framing
        assert asked is not None and framing is not None
        content = self._decode()
        if framing.over:
            raise ProtocolError("a body with trailers or extensions without end", asked.name)
        return content

    def _decode(self) -> bytes:
        asked, framing = self._asked, self._framing
        assert asked is not None and framing is not None
        data, self._data = self._data, b""
        try:
            content = framing.receive(data)
        except ProtocolError as error:
            error.name = asked.name
            raise
        if framing.done:
            self._data = framing.rest
            self._asked = self._framing = None
        return content


# --- the server's half: answering --------------------------------------------------------------


def parse_date(value: bytes) -> int | None:
    """Seconds since the epoch of an HTTP date in any of its three forms, or None."""
    for form in _DATES:
        found = form.match(value)
        if found is None:
            continue
        clock = found["t"].split(b":")
        month = _MONTHS.get(found["m"].capitalize())
        if month is None or [len(part) for part in clock] != [2, 2, 2]:
            return None
        year = int(found["y"])
        if year < 100:
            year += 2000 if year < 70 else 1900
        return calendar.timegm((year, month, int(found["d"]), *map(int, clock)))
    return None


class Part(NamedTuple):
    """What of a file is sent: the status and the octets from `start` up to `stop`."""

    status: int  # 200, 206, 304 or 416
    start: int
    stop: int


def select(asked: Asked, body: Body) -> Part:
    """What the conditions and the range of a GET or HEAD leave of a file (RFC 9110 sections 13 and 14).

    Of several ranges none is taken: the whole file is the answer that the RFC allows.
    """
    size = body.size
    if not asked.conditional:
        return Part(200, 0, size)
    etag = body.etag.encode()
    if asked.none_match:
        for each in asked.none_match.split(b","):
            each = each.strip(b" \t")
            if each == b"*" or each.removeprefix(b"W/").strip(b'"') == etag:
                return Part(304, 0, 0)
    elif asked.since:
        since = parse_date(asked.since)
        if since is not None and int(body.mtime) <= since:
            return Part(304, 0, 0)
    if asked.ranges and asked.method == b"GET":
        found = _RANGE.fullmatch(asked.ranges)
        if found is None or not (found[1] or found[2]):
            return Part(200, 0, size)
        if asked.if_range and asked.if_range != b'"' + etag + b'"' and (
            parse_date(asked.if_range) != int(body.mtime)
        ):  # fmt: skip
            return Part(200, 0, size)
        if not found[1]:
            last = min(int(found[2]), size)
            return Part(206, size - last, size) if last else Part(416, 0, 0)
        start = int(found[1])
        stop = int(found[2]) + 1 if found[2] else size
        if stop <= start and found[2]:
            return Part(200, 0, size)  # not a range at all: first behind last
        return Part(206, start, min(stop, size)) if start < size else Part(416, 0, 0)
    return Part(200, 0, size)


def _link(asked: Asked) -> str:
    """The Connection line, where the version's own rule does not say it already."""
    if not asked.keep:
        return "Connection: close\r\n"
    return "Connection: keep-alive\r\n" if asked.version == 10 else ""


def _lasting(asked: Asked, body: Body, part: Part) -> bytes:
    """The lines of a head that stay the same as long as the file does."""
    length = f"Content-Length: {part.stop - part.start}\r\n"
    if part.status == 206:
        length += f"Content-Range: bytes {part.start}-{part.stop - 1}/{body.size}\r\n"
    elif part.status == 416:
        length += f"Content-Range: bytes */{body.size}\r\n"
    elif part.status == 304:
        length = f"Content-Length: {body.size}\r\n"  # of what a 200 would have carried (RFC 9110, 8.6)
    kind = TYPES.get(body.name.rpartition(".")[2].lower(), "application/octet-stream")
    if names.parse(body.name):  # user data is for its user only
        length += "Cache-Control: no-store\r\n"
    return (
        f"Content-Type: {kind}\r\n{length}"
        f"Last-Modified: {formatdate(int(body.mtime), usegmt=True)}\r\n"
        f'ETag: "{body.etag}"\r\nAccept-Ranges: bytes\r\n{_link(asked)}\r\n'
    ).encode()


_STATUS = {
    200: b"HTTP/1.1 200 OK\r\n",
    206: b"HTTP/1.1 206 Partial Content\r\n",
    304: b"HTTP/1.1 304 Not Modified\r\n",
    416: b"HTTP/1.1 416 Range Not Satisfiable\r\n",
}


class _Date:
    """The Date line, made once a second."""

    second = -1
    line = b""

    @classmethod
    def at(cls, now: float) -> bytes:
        second = int(now)
        if second != cls.second:
            cls.line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
            cls.second = second
        return cls.line


def head(asked: Asked, body: Body, part: Part, now: float) -> bytes:
    """The head of the answer that gives `part` of a file; empty for HTTP/0.9, which has none.

    `now` is the wall clock, in seconds. The lasting lines are kept with the body.
    """
    if asked.version == 9:
        return b""
    if part.status == 200:
        place = ("http", asked.keep, asked.version)
        lasting = body.head.get(place)
        if lasting is None:
            lasting = body.head[place] = _lasting(asked, body, part)
    else:
        lasting = _lasting(asked, body, part)
    return _STATUS[part.status] + _Date.at(now) + lasting


def refusal(asked: Asked, reason: Reason, now: float, retry: int = 0) -> bytes:
    """The whole answer of a refusal, from the table; empty where nothing is said.

    `now` is the wall clock, in seconds; `retry` the seconds after which asking again makes sense.
    """
    status, phrase = REPLIES[reason]
    if not status or asked.version == 9:  # a phrase would be taken for the file
        return b""
    extra = f"Retry-After: {retry}\r\n" if retry else ""
    if status == 405:
        extra += f"Allow: {asked.allow}\r\n"
    elif status == 401:
        extra += f"WWW-Authenticate: {LOGIN}\r\n"
    text = phrase + "\n"
    lines = (
        f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        f'ETag: "{_WORDS.get(reason, reason.value)}"\r\n{extra}{_link(asked)}\r\n'
    )
    if asked.method != b"HEAD":
        lines += text
    return f"HTTP/1.1 {status} {phrase}\r\n".encode() + _Date.at(now) + lines.encode()


def stored(asked: Asked, kept: Stored, now: float) -> bytes:
    """The whole answer to user data that was kept or removed; `now` as above."""
    etag = f'ETag: "{kept.etag}"\r\n' if kept.etag else ""
    if kept.created:
        status, lines = b"HTTP/1.1 201 Created\r\n", "Content-Length: 0\r\n"
    else:
        status, lines = b"HTTP/1.1 204 No Content\r\n", ""
    return status + _Date.at(now) + f"{lines}{etag}{_link(asked)}\r\n".encode()


# --- the client's half -------------------------------------------------------------------------


def request(
    method: str,
    target: str | bytes,
    headers: Iterable[tuple[str, str | bytes]] = (),
    version: str = "1.1",
    body: bytes = b"",
) -> bytes:
    """A request as a client sends it: the header lines in the given order, values as they are.

    A body brings its Content-Length, unless the headers say how long it is. Version "0.9" is the
    bare line of old.
    """
    path = target if isinstance(target, bytes) else target.encode("utf-8", "surrogateescape")
    if version == "0.9":
        return method.encode() + b" " + path + b"\r\n"
    lines = [method.encode() + b" " + path + b" HTTP/" + version.encode()]
    framed = False
    for name, value in headers:
        framed = framed or name.lower() in ("content-length", "transfer-encoding")
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))
    if (body or method.upper() == "PUT") and not framed:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Reply:
    """One answer, fed piece by piece: `receive` what comes, `end` when the server closes.

    Without `sink` the body is collected in `body`; with it, each piece is handed over instead.
    """

    def __init__(self, method: str = "GET", sink: Callable[[bytes], object] | None = None):
        self.status = 0
        self.phrase = ""
        self.version = ""
        self.headers: dict[str, str] = {}  # names in lower case; of several equal ones the last
        self.body = bytearray()
        self.received = 0  # octets of the body
        self.complete = False
        self.keep = False  # whether the server will take another request on this connection
        self.length: int | None = None  # octets of the body, if the head said so
        self._method = method.upper()
        self._sink = sink if sink is not None else self.body.extend
        self._head = b""
        self._chunks: Chunks | None = None

    def receive(self, data: bytes) -> bytes:
        """Take what came; gives back what belongs to the next answer. Raises `ProtocolError`."""
        while not self.status:
            self._head += data
            at, step = self._head.find(b"\r\n\r\n"), 4
            bare = self._head.find(b"\n\n", 0, at if at >= 0 else len(self._head))
            if bare >= 0:
                at, step = bare, 2
            if at > MAX_HEAD or (at < 0 and len(self._head) >= MAX_HEAD + 4):
                raise ProtocolError(f"an answer with a head of more than {MAX_HEAD} octets")
            if at < 0:
                return b""
            top, data = self._head[:at], self._head[at + step :]
            self._head = b""
            self._begin(top)
        if self.complete:
            return data
        if self._chunks is not None:
            self._take(self._chunks.receive(data))
            if not self._chunks.done:
                return b""
            data = self._chunks.rest
            self.complete = True
            return data
        if self.length is None:
            self._take(data)
            return b""
        piece = data if len(data) <= self.length - self.received else data[: self.length - self.received]
        self._take(piece)
        self.complete = self.received == self.length
        return data[len(piece) :]

    def end(self) -> None:
        """The server has closed. Raises `ProtocolError` if the answer was not complete."""
        if self.complete:
            return
        if not self.status:
            raise ProtocolError("closed before an answer came")
        if self.length is not None or self._chunks is not None:
            raise ProtocolError(f"closed after {self.received} octets of the body")
        self.complete = True

    def _take(self, piece: bytes) -> None:
        if piece:
            self.received += len(piece)
            self._sink(piece)

    def _begin(self, top: bytes) -> None:
        lines = top.replace(b"\r\n", b"\n").decode("latin-1").split("\n")
        found = re.fullmatch(r"HTTP/(1\.[0-9]) ([1-9][0-9]{2})(?: (.*))?", lines[0])
        if found is None:
            raise ProtocolError("an answer without a status line")
        status = int(found[2])
        if 100 <= status < 200:
            return  # an interim answer: the real one follows
        self.version, self.phrase = found[1], found[3] or ""
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                self.headers[name.strip().lower()] = value.strip()
        link = self.headers.get("connection", "").lower()
        self.keep = "close" not in link and (self.version != "1.0" or "keep-alive" in link)
        self.status = status
        length = self.headers.get("content-length")
        if self._method == "HEAD" or status in (204, 304):
            self.length, self.complete = 0, True
        elif "transfer-encoding" in self.headers:
            self._chunks = Chunks(limit=1 << 62)
        elif length is not None:
            if not (length.isascii() and length.isdigit() and len(length) <= 18):
                raise ProtocolError("an answer whose Content-Length is no number")
            self.length = int(length)
            self.complete = self.length == 0
        else:
            self.keep = False
