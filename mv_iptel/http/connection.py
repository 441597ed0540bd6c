"""One client's connection over HTTP or HTTPS: reads requests, asks the library, sends in order.

It drives its socket itself instead of through the loop's transports: then plain and TLS are one path,
the kernel moves big files, what was really sent is known, and a failed handshake can be explained.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from mv_iptel.events import Notice
from mv_iptel.http import protocol, tls
from mv_iptel.http.protocol import ALLOW_KEPT, MAX_BODY, Asked, Incoming, ProtocolError
from mv_iptel.http.sending import Changed, Sending
from mv_iptel.http.upload import BODY, Asking, Skipping, Storing, Task, wrong
from mv_iptel.library.answers import (
    NOBODY,
    Answer,
    Challenge,
    Client,
    Keep,
    Reason,
    Refuse,
    Request,
    Serve,
)
from mv_iptel.library.backups import give_back

try:
    import fcntl
    import termios
except ImportError:  # Windows does not tell how much is under way
    termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from mv_iptel.http.server import Listener, Server
    from mv_iptel.library import Session
    from mv_iptel.userdata.store import Stored

# All in seconds.
HANDSHAKE = 12.0
HEAD = 15.0  # for a whole head, from its first octet on
IDLE = 30.0  # between two requests
STALLED = 60.0  # for a client that takes nothing of what is sent
HOLD = 8.0  # for a request that waits for a slot
LINGER = 2.0  # for what a refused client is still sending

READ = 16 << 10  # octets of one read
WAITING = 32 << 10  # octets that may wait behind the request that is being answered
PIPELINED = 16  # requests answered before other connections have their turn
LINGER_OCTETS = 1 << 20

_AGAIN = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_BETWEEN, _IN_HEAD, _IN_BODY, _GREETING, _SHAKING, _LINGERING = range(6)
_TIMES = {_BETWEEN: IDLE, _IN_HEAD: HEAD, _IN_BODY: BODY}


class Connection:
    """What is known about one connection. `deadline` is when `expire` is due, in the server's clock."""

    __slots__ = (
        "_answer", "_asked", "_ended", "_hello", "_paused", "_phase", "_queued", "_received", "_rest",
        "_secure", "_sent", "_since", "_sock", "_tail", "_task", "_unwanted",
        "client", "deadline", "fd", "held", "incoming", "listener", "number", "server", "session", "started",
        "wants_write",
    )  # fmt: skip

    def __init__(
        self,
        server: Server,
        listener: Listener,
        sock: socket.socket,
        client: Client,
        session: Session | Refuse,
    ):
        self.client = client
        self.listener = listener
        self.session = session
        self.fd = sock.fileno()
        self.number = 0  # set while a transfer takes more than one turn
        self.started = 0.0  # that transfer's begin, in seconds since the epoch
        self.held = False  # waiting for a slot
        self.server = server
        self._sock = sock
        self._secure = listener.offer is not None
        self._hello = b""
        self.incoming = Incoming()
        self._ended = False  # the client will send nothing more
        self._paused = False
        self.wants_write = False
        self._unwanted = 0  # octets that were thrown away while lingering
        self._phase = _GREETING if self._secure else _BETWEEN
        # The request that is being answered: none if `_asked` is None.
        self._asked: Asked | None = None
        self._answer: Answer | None = None
        self._since = 0.0
        self._task: Task | None = None  # what must end before there is an answer to send
        self._rest: Sending | None = None  # what the socket did not take at once
        self._sent = 0  # octets of content that went
        self._received = 0  # octets of content that came
        self._tail = b""  # what must go before the answer
        self._queued = -1  # octets in the kernel when a stalled client was last looked at
        now = server.clock()
        self.deadline = now + (HANDSHAKE if self._secure else IDLE)
        server.poller.watch(self, True, False)

    # --- what the poller calls ---------------------------------------------------------------

    def readable(self) -> None:
        """Something came, or the client has gone."""
        try:
            if self._phase <= _IN_BODY:
                self._read()
            elif self._phase == _GREETING:
                self._greeted()
            elif self._phase == _SHAKING:
                self._shake()
            else:
                self._discard()
        except Exception as error:
            self._broken(error)

    def writable(self) -> None:
        """The socket takes more."""
        try:
            if self._phase == _SHAKING:
                self._shake()
            elif self._asked is not None and self._push():
                self._serve()
        except Exception as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        """A fault of ours must not touch other connections, nor come again and again."""
        self._fault(error)
        if self._asked is not None and self._answer is not None:
            self._finish("failed")
        self.close()

    def _watch(self, read: bool, write: bool = False) -> None:
        self.wants_write = write
        self.server.poller.watch(self, read, write)

    # --- TLS ---------------------------------------------------------------------------------

    def _greeted(self) -> None:
        """The first octets on a TLS port are there: look at them, then let the handshake have them."""
        try:
            first = self._sock.recv(4096, socket.MSG_PEEK)
        except _AGAIN:
            return
        except OSError:
            return self.close()
        if not first:
            return self.close()
        # An SSL 2 hello may offer TLS 1.0 too; old clients began like that.
        if first[0] != 0x16 and not (first[0] & 0x80 and first[2:3] == b"\x01"):
            what = "plain HTTP" if first[:1].isalpha() else "something other than TLS"
            return self._no_handshake(f"{what} was spoken to a TLS port")
        self._hello = first
        self._watch(False)
        try:
            context = self.listener.contexts.get(self.listener.offer)
            self._sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        except (OSError, tls.CertificateError) as error:
            return self._no_handshake(str(error))
        self._phase = _SHAKING
        self._watch(True)
        self._shake()

    def _shake(self) -> None:
        """Go on with the handshake."""
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            return self._watch(True)
        except ssl.SSLWantWriteError:
            return self._watch(True, True)
        except OSError as error:
            return self._no_handshake(tls.explain(error, tls.read_hello(self._hello), self.listener.offer))
        self._hello = b""
        cipher = self._sock.cipher()
        self.incoming.channel = "null" if cipher is None or "NULL" in cipher[0] else "tls"
        self._phase = _BETWEEN
        self.deadline = self.server.clock() + IDLE
        self._watch(True)
        self._read()

    def _no_handshake(self, text: str) -> None:
        server = self.server
        server.failures.tell(self.client.address, self.listener.label, text, server.clock())
        self.close()

    # --- reading -----------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ)
            # What TLS has already taken from the socket does not wake the loop.
            while self._secure and (more := self._sock.pending()):
                data += self._sock.recv(more)
        except _AGAIN:
            return
        except OSError:
            return self._lost()
        if not data:
            return self._half_closed()
        self.incoming.receive(data)
        if self._asked is None:
            self._serve()
        elif self._task is not None and self._task.takes:
            if self._more(self._task):
                self._serve()
        elif self.incoming.waiting > WAITING:
            self._paused = True
            self._watch(False, self.wants_write)

    def _half_closed(self) -> None:
        """The client sends nothing more. It may still be reading."""
        self._ended = True
        self._watch(False, self.wants_write)
        if self._task is not None:
            self._task.left()
        elif self.held:  # a client that waits keeps its side open; this one has given up
            self._finish("aborted")
        elif self._asked is None:
            self._between()

    def _lost(self) -> None:
        """The connection broke."""
        if self._task is not None:
            return self._half_closed()
        if self._asked is not None:
            return self._finish("aborted")
        self._cut_short("aborted", "the client went away within its request")
        self.close()

    def _serve(self) -> None:
        """Answer what has come, in order, until something must be waited for."""
        incoming = self.incoming
        for _ in range(PIPELINED):
            try:
                asked = incoming.next()
            except ProtocolError as error:
                return self._reject(error)
            if asked is None:
                return self._between()
            if not self._take(asked):
                return None
            if not (incoming.waiting or self._ended or self._paused):
                return None
        self.server.poller.soon(self._resume)
        return None

    def _resume(self) -> None:
        if self._asked is None and self.fd >= 0 and self._phase <= _IN_BODY:
            try:
                self._serve()
            except Exception as error:
                self._broken(error)

    def _between(self) -> None:
        """Nothing is being answered: wait for more, or end."""
        incoming = self.incoming
        if self._ended:
            self._cut_short("aborted", "the request ends before it is complete")
            return self.close(clean=True)
        phase = _IN_BODY if incoming.in_body else _IN_HEAD if incoming.begun else _BETWEEN
        if phase == _BETWEEN and (self.listener.closed or self.server.stopping):
            return self.close(clean=True)
        if phase != self._phase:
            self._phase = phase
            self.deadline = self.server.clock() + _TIMES[phase]
        if self._paused:
            self._paused = False
            self._watch(True)
        return None

    # --- answering ---------------------------------------------------------------------------

    def _take(self, asked: Asked) -> bool:
        """Answer one request. False: it is not done yet, or the connection has ended."""
        self._since = self.server.clock()
        self._asked = asked
        answer = self._ask()
        if isinstance(answer, Refuse) and answer.reason is Reason.NO_SLOT and self.server.hold(self):
            self._answer = answer
            return False
        return self._begin(answer)

    def _ask(self) -> Answer:
        session = self.session
        if isinstance(session, Refuse):
            return session
        assert self._asked is not None
        try:
            return session.ask(self._asked.request, self.server.poller.turn)
        except Exception as error:
            return self._fault(error)

    def _fault(self, error: Exception) -> Refuse:
        """Something of ours is wrong. The phone gets 500, the operator where it happened."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})"
        self.server.stream.publish(Notice("fault", where, "error", peer=self.client.address))
        return Refuse(Reason.FAULT, where)

    def ask_again(self) -> bool:
        """A slot may have ended: ask once more. False: still none."""
        answer = self._ask()
        if isinstance(answer, Refuse) and answer.reason is Reason.NO_SLOT:
            return False
        self._go_on(answer)
        return True

    def give_up(self) -> None:
        """No slot came in time."""
        assert self._answer is not None
        self._go_on(self._answer)

    def _go_on(self, answer: Answer) -> None:
        self.server.unhold(self)
        if self._begin(answer):
            self._serve()

    def _begin(self, answer: Answer, told: Stored | None = None) -> bool:
        """Send an answer. True: all of it is with the kernel, and the next request may come.

        `told` is what became of user data.
        """
        asked = self._asked
        assert asked is not None
        self._answer = answer
        self._sent = 0
        rest = None
        if self.listener.closed or self.server.stopping or isinstance(self.session, Refuse):
            asked = self._asked = asked.last()
        if isinstance(answer, Serve):
            body = answer.body
            part = protocol.select(asked, body)
            out = protocol.head(asked, body, part, time.time())
            top = len(out)
            if asked.method == b"GET" and part.stop > part.start:
                if body.data is None:
                    rest = Sending(body, part.start, part.stop)
                elif part.stop - part.start == body.size:
                    out += body.data
                else:
                    out += body.data[part.start : part.stop]
        else:
            if isinstance(answer, Refuse):
                if self.incoming.in_body and not self._unwanted_body():
                    self._task = task = Skipping(self, answer)
                    return self._more(task)
                asked = self._asked
                retry = self.server.retry() if answer.reason is Reason.NO_SLOT else 0
                out = protocol.refusal(asked, answer.reason, time.time(), retry)
            elif told is None:
                return self._later(answer)
            else:
                out = protocol.stored(asked, told, time.time())
            out = self._tail + out
            self._tail = b""
            top = len(out)  # the phrase is no content
        if out:
            try:
                # A big file's head goes alone: pages behind it stay aligned, which spares the kernel a third.
                sent = self._sock.send(out)
            except _AGAIN:
                sent = 0
            except OSError:
                self._finish("aborted")
                return False
            if sent == len(out) and rest is None:
                self._sent = sent - top
                return self._finish("refused" if isinstance(answer, Refuse) else "ok")
            if rest is None:
                rest = Sending()
            rest.begin(out, top, sent)
        self._rest = rest
        return self._push()

    def _push(self) -> bool:
        """Send what the socket takes now. True: the answer is out, and the next request may come."""
        rest, before = self._rest, self._sent
        if rest is not None:
            try:
                rest.push(self._sock, self._secure)
            except _AGAIN:
                pass
            except OSError:
                self._sent = rest.sent
                return self._finish("aborted")
            except Changed:
                self._sent = rest.sent
                text = "the file was changed, or could not be read, under way"
                self._answer = self._answer._replace(detail=text)
                return self._finish("failed")
            self._sent = rest.sent
            if not rest.done:
                if self._sent > before or not self.wants_write:
                    self.deadline = self.server.clock() + STALLED / 2
                    self._queued = -1
                return self._wait()
        return self._finish("refused" if isinstance(self._answer, Refuse) else "ok")

    def _wait(self) -> bool:
        """The rest of the answer waits until the socket takes more."""
        if not self.wants_write:
            self.lasts()
            self._watch(not (self._ended or self._paused), True)
        return False

    # --- what takes longer -------------------------------------------------------------------

    def _unwanted_body(self) -> bool:
        """Whether a refused request's body is not read at all: it is huge, or waits for leave to come."""
        asked = self._asked
        assert asked is not None
        if asked.length <= MAX_BODY and not asked.continues:
            return False
        self.incoming.give_up()
        self._asked = asked.but(keep=False, unread=True)
        return True

    def _later(self, answer: Keep | Challenge) -> bool:
        """Do what must be done before there is an answer to send. Gives what `_begin` does."""
        asked = self._asked
        assert asked is not None
        refuse = wrong(asked, answer, self.server.config.http.max_backup_bytes)
        if refuse is not None:
            if isinstance(answer, Keep):
                give_back(answer)
            self._asked = asked.but(allow=ALLOW_KEPT)
            return self._begin(refuse)
        try:
            if isinstance(answer, Challenge):
                self._task = asking = Asking(self, answer)
                asking.begin()
                return False
            self._task = storing = Storing(self, answer, asked.request.delete)
            self._asked = asked.but(continues=False)
            return self._more(storing, lambda: storing.begin(asked.continues))
        except Exception as error:
            return self._conclude(self._fault(error)._replace(name=answer.name, phone=answer.phone))

    def _more(self, task: Task, take: Callable[[], Refuse | None] | None = None) -> bool:
        """The task takes what has come. True: it is answered, and the next request may come."""
        try:
            refuse = (take or task.more)()
        except ProtocolError as error:
            self._reject(error)
            return False
        if refuse is None:
            return False
        asked = self._asked
        if task.unread and asked is not None:
            self._asked = asked.but(keep=False, unread=True)
        return self._conclude(refuse)

    def _conclude(self, answer: Answer, told: Stored | None = None) -> bool:
        """The task has ended. Gives what `_begin` does."""
        self._drop()
        return self._begin(answer, told)

    def proceed(self, answer: Answer, told: Stored | None = None) -> None:
        """A task has ended in its own time: answer, and go on."""
        try:
            if isinstance(answer, Refuse) and answer.reason is Reason.NO_SLOT and self.server.hold(self):
                self._drop()
                self._answer = answer
            elif self._conclude(answer, told):
                self._serve()
        except Exception as error:
            self._broken(error)

    def _drop(self) -> None:
        """Let go of the task."""
        task, self._task = self._task, None
        if task is not None:
            self._received += task.octets
            task.drop()

    def cut(self, outcome: str, text: str) -> None:
        """A request that waits for something will never be answered as it should."""
        asked, answer = self._asked, self._answer
        assert asked is not None and answer is not None
        if isinstance(answer, Keep):
            self._answer = answer._replace(detail=text)
        else:
            name = answer.name if isinstance(answer, Challenge) else ""
            self._answer = Refuse(Reason.BAD_REQUEST, text, name=name, phone=answer.phone)
        if outcome == "timeout":
            asked = self._asked = asked.but(keep=False, unread=True)
            try:
                self._sock.send(self._tail + protocol.refusal(asked, Reason.BAD_REQUEST, time.time()))
            except OSError:
                pass
        self._finish(outcome)

    def leave(self) -> None:
        """A verdict came too late for its request: the slot that it took is not in use."""
        if not isinstance(self.session, Refuse):
            self.session.close()

    def interim(self, out: bytes) -> None:
        """Send something before the answer. What does not go now goes with that."""
        try:
            self._tail = out[self._sock.send(out) :]
        except _AGAIN:
            self._tail = out
        except OSError:
            pass  # reading will tell

    def lasts(self) -> None:
        """The request takes more than one turn: the status page shows it."""
        if not self.number:
            self.server.sending(self)

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            self._watch(True, self.wants_write)

    # --- the end of a request ----------------------------------------------------------------

    def _finish(self, outcome: str) -> bool:
        """Publish what became of the request. True: the connection is ready for the next one."""
        asked, answer, session = self._asked, self._answer, self.session
        assert asked is not None and answer is not None
        if self.number:
            self.server.sent(self)
            self._watch(not (self._ended or self._paused))
        if self.held:
            self.server.unhold(self)
        self._asked = self._answer = self._rest = None
        complete = outcome in ("ok", "refused")
        now = self.server.clock()
        seconds = now - self._since
        if isinstance(answer, Serve):
            session.finished(asked.request, answer, outcome, self._sent, seconds)
            answer.body.close()
        else:
            self._drop()
            if isinstance(answer, Challenge):
                text = "it ended before it was known whose data this is"
                answer = Refuse(Reason.BAD_REQUEST, text, name=answer.name, phone=answer.phone)
            if complete and isinstance(answer, Refuse) and answer.reason is Reason.FAULT:
                outcome = "failed"
            if not isinstance(session, Refuse):
                session.finished(asked.request, answer, outcome, self._received, seconds)
            self._received = 0
        if complete and asked.keep:
            self._phase = _BETWEEN
            self.deadline = now + IDLE
            return True
        if asked.unread or (complete and self.incoming.waiting):
            self._linger()
        else:
            self.close(clean=complete)
        return False

    def _reject(self, error: ProtocolError) -> None:
        """What came cannot be answered in its order: say so, and end."""
        refuse = Refuse(Reason.BAD_REQUEST, str(error))
        self._drop()
        if self._asked is not None:
            self._asked = self._asked.but(keep=False, unread=True)
            if isinstance(self._answer, Keep):
                refuse = refuse._replace(name=self._answer.name, phone=self._answer.phone)
        else:
            self._since = self.server.clock()
            self._asked = protocol.refused(error.name)
        self.incoming = Incoming()
        self._begin(refuse)

    def _cut_short(self, outcome: str, text: str) -> None:
        """A request had begun and will never be complete: that is an event too."""
        if self.incoming.begun and not isinstance(self.session, Refuse):
            refuse = Refuse(Reason.BAD_REQUEST, text)
            self.session.finished(Request(self.incoming.name), refuse, outcome, 0, 0.0)

    # --- ending ------------------------------------------------------------------------------

    def expire(self) -> None:
        """The deadline has passed."""
        if self.held:
            return self.give_up()
        if self._task is not None:
            return self._task.expire()
        if self._asked is not None:
            queued = self._unsent()
            if self._queued < 0 or queued < self._queued:
                # On a slow line the kernel takes no more for long, and still the client gets on.
                self._queued = queued
                self.deadline = self.server.clock() + STALLED / 2
            else:
                self._finish("timeout")
            return None
        if self._phase in (_GREETING, _SHAKING):
            if self._hello:
                return self._no_handshake(tls.explain(TimeoutError(), None, tls.Policy()))
        elif self._phase in (_IN_HEAD, _IN_BODY):
            self._cut_short("timeout", "the request did not come in time")
            try:
                self._sock.send(protocol.refusal(protocol.refused(), Reason.BAD_REQUEST, time.time()))
            except OSError:
                return self.close()
            return self._linger()
        return self.close(clean=self._phase == _BETWEEN)

    def _unsent(self) -> int:
        """Octets that the kernel has taken and the client has not, where the system tells."""
        if termios is None:
            return 0
        try:
            return struct.unpack("i", fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        except OSError:
            return 0

    def end(self) -> None:
        """The server stops: what is being sent counts as aborted."""
        if self._task is not None:
            self.cut("aborted", "the server stopped")
        elif self._asked is not None:
            self._finish("aborted")
        self.close()

    @property
    def committing(self) -> bool:
        """Whether user data is being kept just now: that is waited for."""
        return self._task is not None and self._task.committing

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self._asked is None

    def report(self) -> dict[str, object]:
        """The running transfer, for the status page; may be called from any thread."""
        answer, asked, task = self._answer, self._asked, self._task
        phone = answer.phone if answer is not None else NOBODY
        if isinstance(answer, Serve):
            octets, total = self._sent, answer.body.size
        else:
            octets = task.octets if task is not None else 0
            total = max(asked.length, 0) if isinstance(answer, Keep) and asked is not None else 0
        return {
            "id": self.number, "proto": self.client.proto, "peer": self.client.address,
            "name": answer.name if answer is not None else "", "bytes": octets, "total": total,
            "started": self.started, "mac": phone.mac, "ext": phone.ext, "model": phone.model,
        }  # fmt: skip

    def _linger(self) -> None:
        """Close our side, and read what is still coming: closing at once would destroy the answer."""
        try:
            self._goodbye()
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return self.close()
        if self._ended:
            return self.close()
        self._phase = _LINGERING
        self.deadline = self.server.clock() + LINGER
        self._watch(True)
        return None

    def _discard(self) -> None:
        try:
            data = self._sock.recv(READ)
        except _AGAIN:
            return
        except OSError:
            data = b""
        self._unwanted += len(data)
        if not data or self._unwanted > LINGER_OCTETS:
            self.close()

    def _goodbye(self) -> None:
        """Tell a TLS client that this is the end, and not a cut."""
        if isinstance(self._sock, ssl.SSLSocket):
            try:
                self._sock.unwrap()
            except (OSError, ValueError):
                pass  # it is not waited for

    def close(self, clean: bool = False) -> None:
        """End the connection. `clean`: nothing was cut off, say so where TLS can."""
        if self.fd < 0:
            return
        self._watch(False)
        if clean and self._phase != _LINGERING:
            self._goodbye()
        self.fd = -1
        self._sock.close()
        if not isinstance(self.session, Refuse):
            self.session.close()
        self.server.closed(self)
