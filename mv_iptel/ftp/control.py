"""The control connection: pyftpdlib's, with our way of waiting, of ending, and of keeping quiet."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections import deque
from typing import TYPE_CHECKING

from OpenSSL import SSL
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.ioloop import AsyncChat

from mv_iptel.events import Notice
from mv_iptel.ftp import tls

if TYPE_CHECKING:
    from mv_iptel.ftp.listening import Listener
    from mv_iptel.ftp.transfer import Listing, Transfer
    from mv_iptel.library import Client

# All in seconds.
LOGIN = 60.0  # to sign in, whatever is said meanwhile
LINGER = 5.0  # for the last reply to be read

DEFERRED = 64  # commands that may wait behind a transfer or a challenge
LINE = 2048  # octets of a command
UNREAD = 64  # pieces of replies that a client may leave unread beyond what its connection holds

# What is not told to wait while a file is under way: the end of RFC 959, 4.1.3, and signs of life.
_URGENT = (b"ABOR", b"STAT", b"NOOP")


class Control(TLS_FTPHandler):
    """A client's control connection. It runs on the server's loop and nowhere else.

    While a challenge, a commit or a password is waited for, it is `away`: nothing is read. While `job` is
    set, a file or a listing is under way. In both cases commands wait.
    """

    ac_in_buffer_size = 4096  # what one client sends at once must not hold up the others
    tcp_no_delay = False  # inherited from the listening socket
    unicode_errors = "surrogateescape"  # names are octets; these come back as they went

    def __init__(self, sock: socket.socket, listener: Listener, client: Client):
        self.front = listener.front
        self.listener = listener
        self.client = client
        self.idle = self.front.config.ftp.ftp_idle_timeout
        self.expect_login()
        self.away = False
        self.job: Listing | Transfer | None = None
        self.over = False  # nothing is said any more
        self._deferred: deque[bytes] = deque()
        self._resuming = False
        self._greeted = False
        super().__init__(sock, listener, ioloop=self.front.ioloop)
        self._current_type = "i"
        # Owners and rights of files are the system's matter.
        self._available_facts = self._current_facts = ["type", "perm", "size", "modify", "unique"]
        if self.connected and self.ssl_context is None:
            self._extra_feats = []

    def expect_login(self) -> None:
        """Nobody is signed in; from now on there is `LOGIN` time for that."""
        self.timeout = min(LOGIN, self.idle)
        self._login_by = self.front.clock() + self.timeout

    # What pyftpdlib would say to a log is an event, or is not worth saying

    def log(self, *_: object, **__: object) -> None:
        """Nothing."""

    logline = logerror = log_cmd = log_transfer = log

    def log_exception(self, _instance: object) -> None:
        """An exception that nobody caught."""
        self.tell_fault()

    def tell_fault(self) -> bool:
        """Tell the exception that is being handled, if it is a fault of ours and not of the line."""
        error = sys.exc_info()[1]
        if error is None or isinstance(error, SSL.Error | ConnectionError | TimeoutError):
            return False
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} ({os.path.basename(last.filename)}:{last.lineno})"
        self.front.publish(Notice("fault", f"FTP: {where}", "error", peer=self.client.address))
        return True

    def handle_error(self) -> None:
        """A fault ends this session and no other."""
        self.tell_fault()
        self._error = True
        self.close()

    # TLS

    def get_ssl_context(self) -> SSL.Context | None:
        """The certificate of today; None: this site has none."""
        try:
            return self.front.contexts.get()
        except tls.CertificateError:
            return None

    def greet(self) -> None:
        """Begin: with the banner, or with TLS where a port wants it before everything else."""
        if self.listener.implicit:
            self.secure_connection(self.ssl_context)
        else:
            self.handle_ssl_established()

    def handle_ssl_established(self) -> None:
        """The connection is ready to be spoken on."""
        if self._ssl_established:
            self.ac_in_buffer_size = 1 << 14  # a whole record: the loop does not see what TLS keeps
        if not self._greeted:
            self._greeted = True
            self.respond("220 MV_IPTel file server ready.")

    def handle_failed_ssl_handshake(self) -> None:
        """Told once for each client in a while: some try again and again."""
        error = sys.exc_info()[1]
        why = tls.reason(error) if isinstance(error, SSL.Error) else "no reason given"
        text = f"{self.listener.label} to {self.client.address}: the handshake failed: {why}"
        self.front.say("tls-failed", text, self.client.address)
        self.close()

    def ftp_AUTH(self, line: str) -> None:
        """Go over to TLS. What was sent in clear behind this command is nobody's."""
        if self.ssl_context is None:
            return self.respond("502 There is no certificate here.")
        super().ftp_AUTH(line)
        if self._ssl_accepting and (self.ac_in_buffer or self._in_buffer or self._deferred):
            self.close()
        return None

    # Replies

    def push(self, data: str) -> None:
        """Send a piece of a reply."""
        AsyncChat.push(self, data.encode("utf-8", "surrogateescape"))

    def respond(self, resp: str, logfun: object = None) -> None:
        """Send a whole reply, or its last line."""
        self._last_response = resp
        if not self.over:
            self.push(resp + "\r\n")

    def end(self, reply: str) -> None:
        """A last reply, then the end of the session."""
        if self._closed or self._closing or self.over:
            return None
        if self._ssl_accepting:  # there is nothing to say it on
            return self.close()
        self.come_back()
        self.respond(reply)
        self._stop_idle()
        self.close_when_done()
        if not self._closed:  # a client that does not read
            self.call_later(LINGER, self.close)
        return None

    def ftp_TYPE(self, line: str) -> None:
        """All types are one: octets are never rewritten."""
        kind = line.upper().replace(" ", "")
        if kind in ("A", "AN", "AT", "I", "L8"):
            self.respond(f"200 Type set to {kind[0]}.")
        else:
            self.respond("504 Only A and I.")

    def ftp_QUIT(self, _line: str) -> None:
        """The client goes."""
        self.end("221 Goodbye.")

    def handle_timeout(self) -> None:
        """Nothing came for too long."""
        self.end("421 Timeout.")

    def close(self) -> None:
        """The session is over, whoever ended it."""
        if self._closed:
            return
        if not self.over:
            self.over = True
            self.abandon()
        try:
            super().close()
        except Exception:  # the courtesies of TLS failed
            self.tell_fault()
            self._error = True
            super().close()
        self.front.gone(self)

    def abandon(self) -> None:
        """Let go of everything that was under way."""
        raise NotImplementedError

    # Lines

    def collect_incoming_data(self, data: bytes) -> None:
        """A piece of a line."""
        self._in_buffer.append(data)
        self._in_buffer_len += len(data)
        if self._in_buffer_len > LINE:
            # What follows is the middle of something, not a command.
            self._in_buffer, self._in_buffer_len = [], 0
            self.end("500 Command too long.")

    def found_terminator(self) -> None:
        """A whole line has come."""
        line = b"".join(self._in_buffer)
        self._in_buffer, self._in_buffer_len = [], 0
        if self._closed or self._closing:
            return
        if len(self.producer_fifo) > UNREAD:
            return self.close()
        busy = self.away or (self.job is not None and line.partition(b" ")[0].upper()[-4:] not in _URGENT)
        if not busy:
            self._take(line)
        elif len(self._deferred) < DEFERRED:
            self._deferred.append(line)
        else:
            self.end("421 Too many commands at once.")
        return None

    def _take(self, raw: bytes) -> None:
        """Follow one command."""
        if self.authenticated and self._idler is not None and not self._idler.cancelled:
            self._idler.reset()
        if any(octet < 0x20 or octet == 0x7F for octet in raw):
            return self.respond("501 Control characters have no place in a command.")
        line = raw.decode("utf-8", "surrogateescape")
        verb, _, argument = line.partition(" ")
        self.pre_process_command(line, verb.upper(), argument)
        return None

    # Waiting

    @property
    def idles(self) -> bool:
        """Whether nothing is under way that a stopping server should wait for."""
        return self.job is None and not self.away

    def leave(self) -> None:
        """Out of the loop: nothing is read, and no other client waits with this one.

        The loop still sees a connection that breaks.
        """
        if not self.away and not self._closed:
            self.away = True
            self._stop_idle()
            self.ioloop.modify(self._fileno, 0)

    def come_back(self) -> None:
        """Into the loop again. `resume` follows, once what was waited for has been answered."""
        if self.away:
            self.away = False
            if not self._closed:
                events = self.ioloop.READ | (self.ioloop.WRITE if self.producer_fifo else 0)
                self._wanted_io_events = self._current_io_events = events
                self.ioloop.modify(self._fileno, events)

    def resume(self) -> None:
        """Follow the commands that waited."""
        if self._resuming:
            return
        self._resuming = True
        try:
            while self._deferred and not (self.away or self.job or self._closed or self._closing):
                self._take(self._deferred.popleft())
        finally:
            self._resuming = False
        if not (self.away or self.job or self._closed or self._closing):
            if self.front.stopping:
                self.end("421 The server ends.")
            else:
                self.start_idle()

    def _stop_idle(self) -> None:
        if self._idler is not None and not self._idler.cancelled:
            self._idler.cancel()

    def start_idle(self) -> None:
        """The client has its time from now on; who is not signed in has what is left of his."""
        self._stop_idle()
        wait = self.timeout if self.authenticated else max(0.0, self._login_by - self.front.clock())
        self._idler = self.ioloop.call_later(wait, self.handle_timeout, _errback=self.handle_error)
