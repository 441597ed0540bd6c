"""One download of a phone among many: TFTP and HTTP(S) as jobs of the storm's loop, every byte compared.

The lock-step of TFTP is fused with the comparison: the packet that must come next is known beforehand,
so one comparison checks opcode, block and every octet. `tftp.protocol.Fetch` is the plain form, used
where no reference is known; a test holds the two against each other.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
from typing import TYPE_CHECKING

from mv_iptel.http import protocol as http
from mv_iptel.phones import live
from mv_iptel.phones.boot import Fetch, Fetched, Server
from mv_iptel.tftp import protocol as tftp

if TYPE_CHECKING:
    from mv_iptel.phones.storm import Phone

ASK_AGAIN = 1.0  # seconds: phones repeat a request, and we an acknowledgement
HTTP_SILENCE = 30.0  # seconds without an octet after which a phone connects anew
CONNECTS = 3  # attempts before the next server is tried
LINGER = 10.0  # seconds in which a repeated last block is still acknowledged, where datagrams get lost
RECEIVE = 1 << 18


class Reference:
    """The bytes that a file must have, and the packets of a TFTP transfer of it, made when first needed."""

    __slots__ = ("_segment", "data")

    def __init__(self, data: bytes):
        self.data = data
        self._segment: tftp.Segment | None = None

    @property
    def segment(self) -> tftp.Segment:
        """All DATA packets with 512-octet blocks, and the ACK that answers each."""
        if self._segment is None:
            self._segment = tftp.cut(self.data, 1, tftp.BLOCK, True)
        return self._segment


# (whether by TFTP, name) -> its bytes, or None where the server has no such file
References = dict[tuple[bool, str], Reference | None]


def key(wants: Fetch) -> tuple[bool, str]:
    """Where a file's reference stands: TFTP may serve other files than HTTP."""
    return wants.server.protocol == "tftp", wants.name


class Tftp:
    """One TFTP download in lock-step."""

    __slots__ = ("acks", "at", "fetch", "packets", "peer", "phone", "sent", "since", "sock", "storm", "until",
                 "wants")  # fmt: skip

    def __init__(self, phone: Phone, wants: Fetch):
        self.phone = phone
        self.storm = storm = phone.storm
        self.wants = wants
        self.since = self.sent = storm.now
        self.until = 0.0  # when lingering ends
        self.at = 0  # packets that came; the next one is packets[at]
        self.peer: tuple[str, int] | None = None
        reference = storm.references.get(key(wants))
        # Without a reference the plain form collects the file.
        self.fetch: tftp.Fetch | None = None
        self.packets: list[bytes] = []
        self.acks: list[bytes] = []
        if reference is None:
            self.fetch = tftp.Fetch(tftp.Ask(wants.name.encode()), storm.now, retries=1 << 30)
            self.fetch.to_send()
        else:
            segment = reference.segment
            self.packets, self.acks = segment.packets, segment.acks
        family, _ = storm.address_of(wants.server)
        self.sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self.sock.bind((phone.own, 0))
        except OSError as error:
            self.sock.close()
            phone.fail(f"cannot take the address {phone.own}: {error.strerror}")
            return
        storm.watch(self.sock, select.EPOLLIN, self.first)
        storm.begin(self)
        self.ask()

    def ask(self) -> None:
        """The request, to the server's port."""
        self.sent = self.storm.now
        if self.phone.lost():
            return
        _, address = self.storm.address_of(self.wants.server)
        with contextlib.suppress(OSError):
            self.sock.sendto(tftp.request(tftp.Ask(self.wants.name.encode())), address)

    def first(self, _: int) -> None:
        """The first answer names the port of the transfer."""
        try:
            data, peer = self.sock.recvfrom(65536)
        except OSError:
            return
        if self.phone.lost():
            return
        try:
            self.sock.connect(peer)
        except OSError:
            return
        self.peer = peer[:2]
        self.storm.handlers[self.sock.fileno()] = self.plain if self.fetch else self.more
        if self.fetch:
            self._collect(data)
        else:
            self._accept(data)

    def more(self, _: int) -> None:
        """Every further datagram: in the usual case it is the packet that must come."""
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                self._over(Fetched("failed", detail="the server closed the transfer"))
            return
        if self.storm.plan.loss and self.phone.lost():
            return
        self._accept(data)

    def _accept(self, data: bytes) -> None:
        at = self.at
        packets = self.packets
        if at < len(packets) and data == packets[at]:
            self.at = at + 1
            self.since = self.storm.now
            self._acknowledge(at)
            if at + 1 == len(packets):
                self._complete()
            return
        self._odd(data)

    def _acknowledge(self, at: int) -> None:
        self.sent = self.storm.now
        if self.storm.plan.loss and self.phone.lost():
            return
        try:
            self.sock.send(self.acks[at])
        except OSError:
            pass  # the next look sends it again, or ends it

    def _odd(self, data: bytes) -> None:
        """Not the packet that must come next: a repeat, a refusal or a wrong byte."""
        at = self.at
        if at and data == self.packets[at - 1]:
            self.storm.result.repeated["ack"] += 1
            self._acknowledge(at - 1)
        elif self.until:
            pass
        elif len(data) >= 4 and data[:2] == b"\0\5":
            self._refused(data)
        elif len(data) >= 4 and data[:4] == self.packets[at][:4]:
            # It says that it is the block that must come, and is not.
            self.close()
            self.phone.fail(f"{self.wants.name}: wrong bytes in block {at + 1}")

    def plain(self, _: int) -> None:
        """A file without reference, by the plain form."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            return
        if not self.phone.lost():
            self._collect(data)

    def _collect(self, data: bytes) -> None:
        fetch = self.fetch
        assert fetch is not None
        self.since = self.sent = self.storm.now
        fetch.receive(data, self.storm.now)
        for datagram in fetch.to_send():
            if not self.phone.lost():
                with contextlib.suppress(OSError):
                    self.sock.send(datagram)
        if self.until:
            return
        if fetch.outcome == "ok":
            content = fetch.read()
            self.storm.result.unverified += 1
            self._over(Fetched("ok", content, len(content)))
        elif fetch.outcome == "refused":
            self._refused(data)
        elif fetch.outcome:
            self._over(Fetched("failed", detail=fetch.why))

    def _complete(self) -> None:
        reference = self.storm.references[key(self.wants)]
        assert reference is not None
        self._over(Fetched("ok", reference.data, len(reference.data)))

    def _refused(self, data: bytes) -> None:
        code = int.from_bytes(data[2:4], "big")
        text = tftp.printable(data[4:])
        self._over(Fetched("missing" if code == 1 else "refused", detail=f"error {code} {text}"))

    def _over(self, fetched: Fetched) -> None:
        if self.until:
            return
        if fetched.result == "ok" and self.storm.plan.loss:
            self.until = self.storm.now + LINGER  # our last ACK may have been lost
        else:
            self.close()
        self.phone.got(self.wants, fetched)

    def tick(self, now: float) -> None:
        """The timers: ask again each second, acknowledge again, give up."""
        if self.until:
            if now >= self.until:
                self.close()
        elif now >= self.phone.limit:
            self.close()
            state = f"after {self.at} blocks" if self.peer else "without any answer"
            self.phone.fail(f"{self.wants.name}: not complete {state}")
        elif now - self.sent >= ASK_AGAIN:
            if self.peer is None:
                self.storm.result.repeated["rrq"] += 1
                self.ask()
                return
            self.storm.result.repeated["ack"] += 1
            if self.fetch is not None:
                self.sent = now
                self.fetch.tick(now)
                for datagram in self.fetch.to_send():
                    with contextlib.suppress(OSError):
                        self.sock.send(datagram)
            elif self.at:
                self._acknowledge(self.at - 1)

    def close(self) -> None:
        """Give the socket back."""
        self.storm.end(self)
        self.storm.unwatch(self.sock)
        self.sock.close()


class Connection:
    """A TCP connection that may serve several requests."""

    def __init__(self, phone: Phone, server: Server):
        self.phone = phone
        self.server = server
        family, address = phone.storm.address_of(server)
        plain = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.sock: socket.socket = plain
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if phone.own:
                plain.bind((phone.own, 0))
            code = plain.connect_ex(address)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, "connect")
        except OSError:
            plain.close()
            raise
        self.ready = False  # connected, and the handshake done
        self.used = False

    def secure(self) -> None:
        """Begin TLS on the connected socket."""
        context = self.phone.storm.plan.context or live.tls_context()
        self.sock = context.wrap_socket(
            self.sock, server_hostname=self.server.host, do_handshake_on_connect=False
        )

    def close(self) -> None:
        """End it."""
        self.phone.storm.unwatch(self.sock)
        self.sock.close()


class Http:
    """One GET, over a kept connection where there is one."""

    method = "GET"
    attempts = CONNECTS
    results = live.HTTP_RESULTS

    def __init__(self, phone: Phone, wants: Fetch):
        self.phone = phone
        self.storm = phone.storm
        self.wants = wants
        self.since = self.storm.now
        self.tries = 0
        self.waiting = 0.0  # until when a busy server is left alone
        self.reference = self.storm.references.get(key(wants))
        self.reply = http.Reply(self.method, sink=self._take)
        self.at = 0
        self.wrong = -1  # offset of the piece that differs
        self.collected = bytearray()
        self.storm.begin(self)
        self.start()

    def start(self) -> None:
        """Send the request, over a new connection if need be."""
        self.since = self.storm.now
        self.reply = http.Reply(self.method, sink=self._take)
        self.at = 0
        self.collected.clear()
        kept = self.phone.connection
        if kept is not None and kept.server == self.wants.server and kept.ready:
            kept.used = True
            self.storm.handlers[kept.sock.fileno()] = self.event
            self._send(kept)
            return
        self.phone.drop_connection()
        try:
            connection = self.phone.connection = Connection(self.phone, self.wants.server)
        except OSError as error:
            self._trouble(live.explain(error))
            return
        self.storm.watch(connection.sock, select.EPOLLOUT, self.event)

    def event(self, mask: int) -> None:
        """The socket can be written or read."""
        connection = self.phone.connection
        if connection is None:
            return
        try:
            if connection.ready:
                self._receive(connection)
            else:
                self._connected(connection)
        except (ssl.SSLWantReadError, BlockingIOError):
            self.storm.rewatch(connection.sock, select.EPOLLIN)
        except ssl.SSLWantWriteError:
            self.storm.rewatch(connection.sock, select.EPOLLOUT)
        except (OSError, http.ProtocolError) as error:
            self._trouble(live.explain(error))

    def _connected(self, connection: Connection) -> None:
        sock = connection.sock
        if self.wants.server.protocol == "https":
            if not isinstance(sock, ssl.SSLSocket):
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, errno.errorcode.get(code, str(code)))
                self.storm.unwatch(sock)
                connection.secure()
                self.storm.watch(connection.sock, select.EPOLLIN, self.event)
            connection.sock.do_handshake()  # type: ignore[attr-defined]
        else:
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, errno.errorcode.get(code, str(code)))
        connection.ready = True
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        self.since = self.storm.now
        try:
            # A request is far smaller than any send buffer, and so is the user data that we make up.
            connection.sock.send(live.get(self.wants))
        except OSError as error:
            self._trouble(live.explain(error))
            return
        self.storm.rewatch(connection.sock, select.EPOLLIN)

    def _receive(self, connection: Connection) -> None:
        while True:
            data = connection.sock.recv(RECEIVE)
            self.since = self.storm.now
            if not data:
                self.reply.end()
            else:
                self.reply.receive(data)
            if self.wrong >= 0:
                self.close()
                self.phone.drop_connection()
                self.phone.fail(f"{self.wants.name}: wrong bytes after octet {self.wrong}")
                return
            if self.reply.complete:
                self._answered()
                return
            # TLS may hold more that epoll does not know of.
            if not isinstance(connection.sock, ssl.SSLSocket) or not connection.sock.pending():
                return

    def _take(self, piece: bytes) -> None:
        if self.reply.status != 200:
            return
        if self.reference is None:
            self.collected += piece
        elif piece != self.reference.data[self.at : self.at + len(piece)] and self.wrong < 0:
            self.wrong = self.at
        self.at += len(piece)

    def _answered(self) -> None:
        reply = self.reply
        if not reply.keep:
            self.phone.drop_connection()
        wait = live.retry_after(reply)
        if reply.status == 503 and wait:
            self.storm.result.repeated["busy"] += 1
            self.waiting = self.storm.now + wait
            self.since = self.waiting
            return
        detail = f"{reply.status} {reply.phrase}"
        result = self.results.get(reply.status, "failed" if reply.status >= 500 else "refused")
        if result != "ok":
            self.over(Fetched(result, detail=detail))
        else:
            self.finished(detail)

    def finished(self, detail: str) -> None:
        """The server said yes: all octets must be there."""
        if self.reference is None:
            self.storm.result.unverified += 1
            self.over(Fetched("ok", bytes(self.collected), self.at, detail=detail))
        elif self.at != len(self.reference.data):
            self.close()
            self.phone.fail(f"{self.wants.name}: {self.at} octets where {len(self.reference.data)} were due")
        else:
            self.over(Fetched("ok", self.reference.data, self.at, detail=detail))

    def _trouble(self, why: str) -> None:
        """The connection failed: once more, or the next server."""
        kept = self.phone.connection
        idle = kept is not None and kept.used and not self.reply.status
        self.phone.drop_connection()
        if idle:  # the server had closed the idle connection: that is no trouble
            self.start()
            return
        self.tries += 1
        self.storm.result.repeated["connect"] += 1
        if self.tries >= self.attempts:
            self.over(Fetched("failed", detail=why))
            return
        self.waiting = self.since = self.storm.now + ASK_AGAIN

    def over(self, fetched: Fetched) -> None:
        """Tell the phone how it ended."""
        self.close()
        self.phone.got(self.wants, fetched)

    def tick(self, now: float) -> None:
        """The timers: after a busy answer ask again, after silence connect anew, give up."""
        if now >= self.phone.limit:
            self.close()
            self.phone.drop_connection()
            self.phone.fail(f"{self.wants.name}: not complete after {self.at} octets")
        elif self.waiting:
            if now >= self.waiting:
                self.waiting = 0.0
                self.start()
        elif now - self.since >= HTTP_SILENCE:
            self._trouble("no answer in time")

    def close(self) -> None:
        """Its timers end; the connection is the phone's."""
        self.storm.end(self)
