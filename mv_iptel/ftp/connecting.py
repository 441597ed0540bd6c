"""Data connections of a session: how the client says where, who may come, and what is made of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from mv_iptel.addresses import address_of
from mv_iptel.ftp import data
from mv_iptel.ftp.control import Control

if TYPE_CHECKING:
    from mv_iptel.ftp.listening import Listener
    from mv_iptel.ftp.transfer import Listing, Transfer
    from mv_iptel.library import Client

CONNECT = 30.0  # seconds for a data connection to come about


class Connecting(Control):
    """Nothing is read from a data connection, and none is made by us, before there is a job for it."""

    def __init__(self, sock: socket.socket, listener: Listener, client: Client):
        self._data: socket.socket | None = None  # a data connection that has nothing to do yet
        self._target = 0  # the client's data port, where it wants us to connect
        self._waiting: Any = None  # the timer for a data connection
        super().__init__(sock, listener, client)

    def _make_eport(self, ip: str, port: int) -> None:
        """PORT and EPRT: remember where the client listens; it is connected to when there is something to do.

        Only its own address and no privileged port, so that nobody is reached through us (RFC 2577). It is
        always the client itself that we connect to; lftp says "any address" where it listens by IPv6.
        """
        address = address_of(ip)
        if address not in (self.client.address, "::") or port < 1024:
            text = (
                f"{self.client.address} asked for a data connection to {address or 'no address'} port {port}"
            )
            self.front.say("ftp-bounce", text + " and was refused", self.client.address)
            return self.respond("501 Only your own address, and no port below 1024.")
        self._shutdown_connecting_dtp()
        self._target = port
        return self.respond("200 PORT command successful.")

    def _make_epasv(self, extmode: bool = False) -> None:
        """PASV and EPSV: listen for the client."""
        self._shutdown_connecting_dtp()
        if not self.front.room():
            return self.respond("425 Too many connections.")
        over_6 = self.socket.family != socket.AF_INET
        if over_6 and not extmode:
            return self.respond("522 PASV is for IPv4; use EPSV (2).")
        try:
            self._dtp_acceptor = passive = data.Passive(self, self.front.config.ftp.ftp_passive_ports)
        except OSError:
            return self.respond("425 Can't open data connection.")
        if extmode:
            return self.respond(f"229 Entering extended passive mode (|||{passive.port}|).")
        host = self.front.masquerade or self.socket.getsockname()[0]
        place = f"{host.replace('.', ',')},{passive.port >> 8},{passive.port & 255}"
        return self.respond(f"227 Entering passive mode ({place}).")

    def _shutdown_connecting_dtp(self) -> None:
        """Forget every way to a data connection."""
        super()._shutdown_connecting_dtp()
        self._target = 0
        self._stop_waiting()
        if self._data is not None:
            self._data.close()
            self._data = None

    def reachable(self) -> bool:
        """Whether there is a way to a data connection. If not, that is said."""
        if self._data is None and self._dtp_acceptor is None and not self._target:
            self.respond("425 Use PASV, EPSV, PORT or EPRT first.")
            return False
        return True

    def carry(self, job: Listing | Transfer) -> None:
        """Have the data connection do this. `job_ended` follows."""
        self.job = job
        self._stop_idle()
        self.respond("150 Ready for the data connection.")
        if self._data is not None:
            sock, self._data = self._data, None
            return self._attach(sock)
        self._waiting = self.ioloop.call_later(CONNECT, self._nobody_came, _errback=self.handle_error)
        if self._dtp_acceptor is None:
            ours = self.front.config.ftps if self.listener.implicit else self.front.config.ftp
            try:
                self._dtp_connector = data.Active(self, self._target, ours.ftp_data_port)
            except OSError:
                self.data_failed()
        return None

    def data_came(self, sock: socket.socket) -> None:
        """There is a data connection."""
        self._dtp_acceptor = self._dtp_connector = None
        self._target = 0
        if self._closed:
            sock.close()
        elif self.job is None:
            self._data = sock
        else:
            self._attach(sock)

    def data_failed(self) -> None:
        """There will be no data connection."""
        self._shutdown_connecting_dtp()
        if self.job is not None:
            self.job.how = data.NOBODY
            self._on_dtp_close()

    def _nobody_came(self) -> None:
        self._waiting = None
        self.data_failed()

    def _stop_waiting(self) -> None:
        if self._waiting is not None and not self._waiting.cancelled:
            self._waiting.cancel()
        self._waiting = None

    def _attach(self, sock: socket.socket) -> None:
        assert self.job is not None
        self._stop_waiting()
        channel = data.Data(sock, self, self.job)
        if not channel._closed:  # else it broke already, and said so
            self.data_channel = channel
            channel.begin()

    def _on_dtp_close(self) -> None:
        """The data connection has ended, or never was."""
        self.data_channel = None
        self._stop_waiting()
        job, self.job = self.job, None
        if job is not None:
            self.job_ended(job)

    def job_ended(self, job: Listing | Transfer) -> None:
        """Answer, by `job.how`, and `resume`."""
        raise NotImplementedError

    def ftp_ABOR(self, _line: str) -> None:
        """Give up what is under way."""
        if self.job is None:
            self._shutdown_connecting_dtp()
            return self.respond("225 No transfer to abort.")
        self._resuming = True  # what waits comes behind the second reply
        try:
            self.abandon()
        finally:
            self._resuming = False
        self.respond("226 ABOR successful.")
        self.resume()
        return None

    def abandon(self) -> None:
        """Let go of everything that was under way."""
        if self.data_channel is not None:
            self.data_channel.drop(data.ABORTED)
        elif self.job is not None:
            self.job.how = data.ABORTED
            self._on_dtp_close()
        self._shutdown_connecting_dtp()
