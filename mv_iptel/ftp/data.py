"""Data connections: how they come about, active or passive, and what goes over them."""

from __future__ import annotations

import errno
import os
import random
import socket
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from pyftpdlib.handlers import TLS_DTPHandler
from pyftpdlib.ioloop import Acceptor, Connector

from mv_iptel.addresses import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mv_iptel.ftp.connecting import Connecting
    from mv_iptel.ftp.transfer import Listing, Transfer
    from mv_iptel.library.contents import Body

CHUNK = 64 << 10  # octets of one read or write
FILE_TURN = 1 << 20  # octets of a file that the kernel is asked to send in one turn of the loop
BACKLOG = 5

# How a data connection ended. Only OK is an end. CUT: it broke; NOBODY: it never came about.
OK, CUT, ABORTED, TIMEOUT, NOBODY = "ok", "cut", "aborted", "timeout", "nobody"
NO_TLS, FAULT, REFUSED = "no-tls", "fault", "refused"

_AGAIN = (BlockingIOError, InterruptedError, SSL.WantReadError, SSL.WantWriteError)
_UNDER_WAY = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}


class Passive(Acceptor):
    """A port that waits for one data connection, from the address of the control connection."""

    def __init__(self, handler: Connecting, ports: tuple[int, int] | None):
        super().__init__(ioloop=handler.ioloop)
        self._handler = handler
        sock = self._open(*handler.socket.getsockname()[:2], ports)
        self.port = sock.getsockname()[1]
        self.accepting = True
        self.set_socket(sock)

    def _open(self, host: str, _port: int, ports: tuple[int, int] | None) -> socket.socket:
        family = self._handler.socket.family
        for port in _tries(ports):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                if ports and os.name == "posix":  # closed connections of the range look like a holder
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setblocking(False)
                sock.bind((host, port))
                sock.listen(BACKLOG)
            except OSError as error:
                sock.close()
                if error.errno not in (errno.EADDRINUSE, errno.EACCES) or not port:
                    raise
                continue
            if ports and not port:
                text = "no port of FTPPassivePorts is free; another one was offered. Make the range wider"
                self._handler.front.say("ftp-ports", text)
            return sock
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    def handle_accepted(self, sock: socket.socket, addr: tuple[Any, ...]) -> None:
        """Somebody connected. Nobody but the client may; to others nothing is said, nor to the client."""
        handler = self._handler
        address = address_of(addr[0])
        if address != handler.client.address:
            sock.close()
            text = f"{address or addr[0]} came to a data port of {handler.client.address} and was turned away"
            handler.front.say("ftp-foreign", text, address)
            return
        self.close()
        handler.data_came(sock)

    def handle_close(self) -> None:
        """The port broke."""
        self.close()

    def handle_error(self) -> None:
        """A fault of ours."""
        self._handler.tell_fault()
        self.close()


def _tries(ports: tuple[int, int] | None) -> Iterator[int]:
    """Port numbers to try: all of the range from a random one on, then any."""
    if ports:
        first, last = ports
        count = last - first + 1
        start = random.randrange(count)
        for number in range(count):
            yield first + (start + number) % count
    yield 0


class Active(Connector):
    """A connection to the client's data port, from `FTPDataPort` where this process may bind it."""

    def __init__(self, handler: Connecting, port: int, source: int):
        super().__init__(ioloop=handler.ioloop)
        self._handler = handler
        sock = self._connect(port, source)
        self.connecting = True
        self.set_socket(sock)

    def _connect(self, port: int, source: int) -> socket.socket:
        """Begin to connect. Raises OSError."""
        control = self._handler.socket
        # The peer's own address, with the zone of a link-local one.
        host, _, *rest = control.getpeername()
        for own in (source, 0) if source else (0,):
            sock = socket.socket(control.family, socket.SOCK_STREAM)
            try:
                sock.setblocking(False)
                if own and os.name == "posix":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                here, _, *more = control.getsockname()
                sock.bind((here, own, *more))
                failed = sock.connect_ex((host, port, *rest))
            except OSError as error:
                failed = error.errno or errno.EIO
                if own and failed in (errno.EACCES, errno.EPERM):
                    text = f"this process may not send from port {own} (FTPDataPort); active data "
                    text += "connections come from any port. Restart it as root or with the right to bind it"
                    self._handler.front.say("ftp-data-port", text)
            if failed in _UNDER_WAY:
                return sock
            sock.close()
        raise OSError(failed, os.strerror(failed))

    def handle_write_event(self) -> None:
        """It is connected, or it failed."""
        assert self.socket is not None
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return self.handle_close()
        self.del_channel()
        sock, self.socket, self._fileno = self.socket, None, None  # from here on it is not ours to close
        self._closed = True
        self._handler.data_came(sock)
        return None

    def readable(self) -> bool:
        """Never: there is nothing to read before it is connected."""
        return False

    def handle_close(self) -> None:
        """The client does not listen there."""
        if not self._closed:
            self.close()
            self._handler.data_failed()

    def handle_error(self) -> None:
        """A fault of ours."""
        self._handler.tell_fault()
        self.handle_close()


class Reader:
    """What is left of a body, piece by piece: for where the kernel cannot send the file itself."""

    def __init__(self, body: Body, at: int):
        self._body, self._at = body, at

    def more(self) -> bytes:
        """The next piece; empty at the end."""
        body = self._body
        if body.data is not None:
            data = body.data[self._at : self._at + CHUNK]
        else:
            data = os.pread(body.fd, min(CHUNK, body.size - self._at), self._at)
            if not data and self._at < body.size:
                raise EOFError("the file became shorter while it was sent")
        self._at += len(data)
        return data


class Data(TLS_DTPHandler):
    """One data connection, which carries one job: a listing, a file that is sent, or one that is received.

    It answers nothing by itself: the job learns in `how` the way it ended, and the handler goes on.
    """

    def __init__(self, sock: socket.socket, handler: Connecting, job: Listing | Transfer):
        self.job = job
        self.timeout = handler.idle
        self._body: Body | None = None  # a file that the kernel sends, from `_at` on
        self._at = 0
        super().__init__(sock, handler)

    def begin(self) -> None:
        """Start the job, behind the handshake if there is one."""
        if not self._ssl_accepting:
            self.job.start(self)

    def handle_ssl_established(self) -> None:
        """The handshake is over."""
        self.job.start(self)

    def drop(self, how: str) -> None:
        """End it now, without the courtesies of TLS."""
        if not self._closed:
            if not self._ssl_closing:  # else how it ended is known
                self.job.how = how
            self._error = True
            self.close()

    def _end(self, how: str) -> None:
        """End it in order: over TLS with a close_notify, which may take a moment."""
        self.job.how = how
        self.close()

    # Receiving

    def handle_read_event(self) -> None:
        """Something came. pyftpdlib's own way takes every end for the end of the file."""
        if self._ssl_accepting or self._ssl_closing or not self.receive:
            super().handle_read_event()
        else:
            self.handle_read()

    def handle_read(self) -> None:
        """Take what came to the job."""
        if not self.receive:
            return self.initiate_send()  # TLS had to read before it could go on sending
        try:
            data = self.socket.recv(CHUNK)
        except _AGAIN:
            return None
        except SSL.ZeroReturnError:
            return self._end(OK)
        except (OSError, SSL.Error):
            return self.drop(CUT)
        if not data:
            # Over TLS only a close_notify is an end: everything else could be made up by anybody on the way.
            return self.drop(CUT) if self._ssl_requested else self._end(OK)
        self.tot_bytes_received += len(data)
        if not self.job.take(data):
            self.drop(REFUSED)
        return None

    # Sending

    def send_all(self, data: bytes | object) -> None:
        """Send octets, or what a producer's `more()` gives, then end."""
        self._initialized = True
        self._wanted_io_events = self.ioloop.WRITE
        self.modify_ioloop_events(self.ioloop.WRITE)
        # An empty piece would go to TLS, which takes none.
        self.producer_fifo.extend((data, None) if data else (None,))

    def send_body(self, body: Body, at: int) -> None:
        """Send a file from `at` on, by the kernel alone where it can."""
        if body.data is None and not self._ssl_requested and hasattr(os, "sendfile"):
            self._body, self._at = body, at
            self.send_all(b"")
        else:
            self.send_all(Reader(body, at))

    def initiate_send(self) -> None:
        """The socket takes more."""
        if self._body is not None:
            self._send_file(self._body)
        else:
            try:
                super().initiate_send()
            except (EOFError, OSError):  # the file could not be read on
                self.drop(FAULT)

    def _send_file(self, body: Body) -> None:
        left = body.size - self._at
        try:
            sent = os.sendfile(self._fileno, body.fd, self._at, min(left, FILE_TURN)) if left else 0
        except _AGAIN:
            return
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):  # this file system cannot
                self._body = None
                self.producer_fifo.clear()
                self.send_all(Reader(body, self._at))
            else:
                self.drop(CUT if error.errno in (errno.EPIPE, errno.ECONNRESET) else FAULT)
            return
        self._at += sent
        self.tot_bytes_sent += sent
        if left and not sent:
            self.drop(FAULT)  # the file became shorter while it was sent
        elif self._at >= body.size:
            self._body = None
            self.producer_fifo.clear()
            self.handle_close()

    def send(self, data: Any) -> int:
        """Octets that the socket, or TLS, took."""
        try:
            sent = self.socket.send(bytes(data))
        except SSL.WantReadError:
            self._ssl_want_read = True
            return 0
        except (BlockingIOError, InterruptedError, SSL.WantWriteError):
            return 0
        except (OSError, SSL.Error):
            self.drop(CUT)
            return 0
        self.tot_bytes_sent += sent
        return sent

    # Its end

    def handle_close(self) -> None:
        """All was sent, or the connection broke."""
        if self._closed:
            return
        if self._ssl_closing or self._ssl_accepting or self.receive or self.producer_fifo or self._body:
            self.drop(CUT)
        else:
            self._end(OK)

    def handle_timeout(self) -> None:
        """Called every FTPIdleTimeout seconds: nothing moved since the last time is too long."""
        moved = self.get_transmitted_bytes()
        if moved > self._lastdata:
            self._lastdata = moved
        else:
            self.drop(TIMEOUT)

    def handle_failed_ssl_handshake(self) -> None:
        """The client does not want our certificate, or speaks no TLS of today."""
        self.drop(NO_TLS)

    def handle_error(self) -> None:
        """Something went wrong while it was served."""
        self.drop(FAULT if self.cmd_channel.tell_fault() else CUT)
