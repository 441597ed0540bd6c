"""One phone among many that stores or fetches its user's data: PUT and FTP as jobs of the storm's loop.

Each is one attempt, as phones make it: what fails once has failed.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import TYPE_CHECKING

from mv_iptel.phones import ftp, live
from mv_iptel.phones.agent import Agent, Says
from mv_iptel.phones.backup import STORED
from mv_iptel.phones.boot import Fetch, Fetched
from mv_iptel.phones.wire import RECEIVE, Http

if TYPE_CHECKING:
    from mv_iptel.phones.storm import Phone


class Put(Http):
    """One PUT, over a kept connection where there is one."""

    method = "PUT"
    attempts = 1
    results = dict.fromkeys(STORED, "ok")

    def _take(self, piece: bytes) -> None:
        """Nobody reads what the answer says."""

    def finished(self, detail: str) -> None:
        """It is stored."""
        body = self.wants.body or b""
        self.over(Fetched("ok", None, len(body), detail=detail))


class Ftp:
    """One FTP session with one transfer, over two connections of its own."""

    def __init__(self, phone: Phone, wants: Fetch):
        self.phone = phone
        self.storm = storm = phone.storm
        self.wants = wants
        self.at = 0  # octets that went over the data connection
        self.taken = bytearray()
        directory, _, file = wants.name.rpartition("/")
        self.client = ftp.Client(file, wants.body is not None, directory)
        self.control: socket.socket | None = None
        self.data: socket.socket | None = None
        self._standing: set[socket.socket] = set()
        self._broken = ""  # what went wrong on the data connection
        storm.begin(self)
        try:
            self.control = self._connect(wants.server.port)
        except OSError as error:
            self._over(Fetched("failed", detail=live.explain(error)))
            return
        storm.watch(self.control, select.EPOLLOUT, self._heard)

    def _connect(self, port: int) -> socket.socket:
        family, (host, _) = self.storm.address_of(self.wants.server)
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            if self.phone.own:
                sock.bind((self.phone.own, 0))
            code = sock.connect_ex((host, port))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
        except OSError:
            sock.close()
            raise
        return sock

    def _stands(self, sock: socket.socket) -> bool:
        """Whether it has been connected already; raises OSError if that failed."""
        if sock in self._standing:
            return True
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._standing.add(sock)
        return False

    def _heard(self, _: int) -> None:
        """The control connection stands, or brought something."""
        sock = self.control
        assert sock is not None
        try:
            if not self._stands(sock):
                self.storm.rewatch(sock, select.EPOLLIN)
                return
            self.client.receive(sock.recv(RECEIVE))
            self._go()
        except BlockingIOError:
            pass
        except OSError as error:
            self._over(Fetched("failed", detail=live.explain(error)))

    def _moved(self, _: int) -> None:
        """The data connection stands, or can be written or read."""
        sock = self.data
        assert sock is not None
        try:
            if not self._stands(sock):
                if self.wants.body is None:
                    self.storm.rewatch(sock, select.EPOLLIN)
                else:
                    self.storm.unwatch(sock)  # nothing goes out before the server says 150
                self.client.connected()
            elif self.wants.body is not None:
                self.at += sock.send(self.wants.body[self.at :])
                if self.at == len(self.wants.body):
                    self._close_data()
            elif piece := sock.recv(RECEIVE):
                self.taken += piece
            else:
                self._close_data()
            self._go()
        except BlockingIOError:
            pass
        except OSError as error:
            if sock not in self._standing:
                self._over(Fetched("failed", detail=live.explain(error)))
                return
            # The server's own word on it comes over the control connection.
            self._broken = live.explain(error)
            self._close_data()
            self._go()

    def _go(self) -> None:
        """Do what the session wants next."""
        client, control = self.client, self.control
        assert control is not None
        if out := client.to_send():
            control.send(out)  # a command is far smaller than any send buffer
        if client.outcome:
            self._end()
        elif client.port and self.data is None:
            self.data = self._connect(client.port)
            self.storm.watch(self.data, select.EPOLLOUT, self._moved)
        elif client.flowing and self._resting():
            self.storm.watch(self.data, select.EPOLLOUT, self._moved)

    def _resting(self) -> bool:
        """Whether an upload's connection stands and is not looked at yet."""
        standing = self.wants.body is not None and self.data in self._standing
        return standing and self.data.fileno() not in self.storm.handlers

    def _end(self) -> None:
        client, body = self.client, self.wants.body
        if client.outcome != "ok":
            self._over(Fetched(client.outcome, detail=client.detail))
        elif self._broken:
            self._over(Fetched("failed", detail=self._broken))
        elif body is not None:
            self._over(Fetched("ok", None, len(body), detail=client.detail))
        else:
            self._over(Fetched("ok", bytes(self.taken), len(self.taken), detail=client.detail))

    def _close_data(self) -> None:
        assert self.data is not None
        self.storm.unwatch(self.data)
        self.data.close()
        self._standing.discard(self.data)
        self.client.drained()

    def _over(self, fetched: Fetched) -> None:
        self.close()
        self.phone.got(self.wants, fetched)

    def tick(self, now: float) -> None:
        """Give up when the phone's time is over."""
        if now >= self.phone.limit:
            self.close()
            self.phone.fail(f"{self.wants.name}: the FTP session did not end")

    def close(self) -> None:
        """Give both sockets back."""
        self.storm.end(self)
        for sock in (self.control, self.data):
            if sock is not None:
                self.storm.unwatch(sock)
                sock.close()


def answering(phone: Phone, says: Says, port: int) -> Agent:
    """The phone's agent, in the storm's loop. Raises OSError."""
    agent = Agent(phone.own, port, says)
    phone.storm.watch(agent.sock, select.EPOLLIN, lambda _: agent.receive(phone.storm.now))
    return agent
