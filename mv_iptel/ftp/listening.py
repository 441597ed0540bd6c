"""Listening ports of FTP and FTPS in pyftpdlib's loop, and how other threads wake it."""

from __future__ import annotations

import errno
import math
import socket
from typing import TYPE_CHECKING, NamedTuple

from pyftpdlib.ioloop import Acceptor, IOLoop

from mv_iptel import ports

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.ftp.server import Server

BACKLOG = 1024
ACCEPTED = 64  # connections taken in one turn of the loop
REST = 1.0  # seconds for which nobody is let in when descriptors run out

_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Place(NamedTuple):
    """Where the configuration wants a listener."""

    proto: str  # ftp or ftps
    host: str
    port: int


def wanted(config: Config) -> list[Place]:
    """The listeners that a configuration asks for."""
    hosts = config.settings.bind_address or ("0.0.0.0", "::")  # noqa: S104
    places = []
    if config.ftp.run_ftp:
        places += [Place("ftp", host, config.ftp.ftp_port) for host in hosts]
    if config.ftps.run_ftps:
        places += [Place("ftps", host, config.ftps.ftp_port) for host in hosts]
    return places


class Listener:
    """One port, or why there is none."""

    ip_map = ()  # pyftpdlib would count addresses here; the server does

    def __init__(self, front: Server, place: Place):
        self.front = front
        self.place = place
        self.implicit = place.proto == "ftps"  # TLS before everything else
        self.door: Door | None = None
        self.state = "off"  # off, up or failed
        self.error = ""
        self.taken = False  # the last attempt found the port taken
        self.retry_at = math.inf  # when a failed one is tried again, in the server's clock
        self.port = place.port
        self.label = f"{place.proto}:{place.port}"
        self.tls = "TLS 1.2, 1.3" if self.implicit else ""

    def bind(self) -> None:
        """Open the port. Raises OSError."""
        sock = ports.listen(self.place.host, self.place.port, BACKLOG)
        self.port = sock.getsockname()[1]
        self.label = f"{self.place.proto}:{self.port}"
        self.door = Door(self, sock)

    def shut(self) -> None:
        """Take no more connections."""
        if self.door is not None:
            self.door.close()
            self.door = None


class Door(Acceptor):
    """A listening socket in pyftpdlib's loop."""

    def __init__(self, listener: Listener, sock: socket.socket):
        super().__init__(ioloop=listener.front.ioloop)
        self._listener = listener
        self.accepting = True
        self.set_socket(sock)

    def handle_accept(self) -> None:
        """Take who waits, but not so many that those who are served wait."""
        for _ in range(ACCEPTED):
            try:
                sock, peer = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _SHORT:
                    continue
                # Out of descriptors: waiting beats asking the kernel again and again.
                self.del_channel()
                self.call_later(REST, self.add_channel)
                return
            self._listener.front.admit(self._listener, sock, peer)

    def handle_close(self) -> None:
        """A listening socket does not break; and if it did, the others would go on."""

    def handle_error(self) -> None:
        """A fault while somebody was let in."""
        self._listener.front.fault()


class Waker:
    """Lets other threads wake the loop."""

    def __init__(self, ioloop: IOLoop):
        self._out, self._in = socket.socketpair()
        for sock in (self._out, self._in):
            sock.setblocking(False)
        self._fileno = self._out.fileno()
        ioloop.register(self._fileno, self, ioloop.READ)

    def wake(self) -> None:
        """From any thread."""
        try:
            self._in.send(b"\0")
        except OSError:
            pass  # full: it will wake anyway; closed: it has ended

    def handle_read_event(self) -> None:
        """The loop is awake; that was all."""
        try:
            self._out.recv(4096)
        except OSError:
            pass

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_error(self) -> None:
        """Nothing here can fail."""

    handle_close = handle_error

    def close(self) -> None:
        """The loop has ended."""
        self._out.close()
        self._in.close()
