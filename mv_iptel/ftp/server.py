"""The FTP and FTPS servers: their ports, their sessions, and the one thread that they run on."""

from __future__ import annotations

import errno
import ipaddress
import itertools
import math
import os
import socket
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pyftpdlib.ioloop import IOLoop

from mv_iptel import ports, turn
from mv_iptel.addresses import address_of
from mv_iptel.events import Event, Listening, Notice, Stream
from mv_iptel.ftp import replies, tls
from mv_iptel.ftp.handler import Handler
from mv_iptel.ftp.listening import Listener, Place, Waker, wanted
from mv_iptel.ftp.superuser import Superusers
from mv_iptel.library import Client, Library, Reason, Refuse, tree

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.ftp.transfer import Transfer

SWEEP = 1.0  # seconds between two looks at failed ports and at who has waited long enough
HOLD = 8.0  # seconds that a request waits for a slot
MAX_HELD = 256  # requests that wait for a slot at once
MAX_ACTIVE = 500  # transfers told to the status page
SAY_AGAIN = 600.0  # seconds before the same is said of the same client again
REMEMBERED = 1024


class Server:
    """All FTP ports of one configuration. What is public is for other threads, if it does not say otherwise.

    `clock` gives seconds.
    """

    def __init__(
        self, config: Config, library: Library, stream: Stream, clock: Callable[[], float] = time.monotonic
    ):
        self.config = config
        self.library = library
        self.publish: Callable[[Event], None] = stream.publish
        self.clock = clock
        self.ioloop = IOLoop()
        # Without a poller of its own (Windows) the loop could not give the turn away, and takes none.
        self._in_turn = hasattr(self.ioloop, "_poller")
        if self._in_turn:
            self.ioloop._poller = turn.Poller(self.ioloop._poller)
        self.contexts = self._contexts(config)
        self.masquerade = ""
        self.superusers = Superusers(self.call, self.ioloop.call_later, clock)
        self._waker = Waker(self.ioloop)
        self._calls: deque[Callable[[], None]] = deque()
        self._listeners: dict[Place, Listener] = {}
        self._sessions: set[Handler] = set()
        self._from: Counter[str] = Counter()  # sessions by address
        self._active: dict[int, Transfer] = {}
        self._numbers = itertools.count(1)
        self._held: dict[Handler, float] = {}  # in the order they came; until when
        self._waking: Any = None
        self._said: dict[tuple[str, str], float] = {}
        self._stop_at: float | None = None
        self._ended = False
        self._thread: threading.Thread | None = None

    def _contexts(self, config: Config) -> tls.Contexts:
        return tls.Contexts(*config.pair("ftps"), self.publish)

    # What the daemon calls

    def start(self) -> None:
        """Open the ports, here and now because rights may be dropped afterwards; then run in a thread."""
        self.masquerade = self._resolve(self.config)
        self._listen()
        self.library.slots.on_end(self._slot_ended)
        self.ioloop.call_every(SWEEP, lambda: self.tick(self.clock()))
        self._thread = threading.Thread(target=self._run, name="ftp", daemon=True)
        self._thread.start()
        if self.config.ftp.superuser and tree.AVAILABLE:
            threading.Thread(target=self._sweep, args=(time.time(),), name="ftp-sweep", daemon=True).start()

    def reload(self, config: Config) -> None:
        """Serve by `config` from the next session on."""
        masquerade = self._resolve(config)

        def change() -> None:
            if config.pair("ftps") != self.contexts.files:
                self.contexts = self._contexts(config)
            self.config = config
            self.masquerade = masquerade
            self._listen()

        self._do(change, 5.0)

    def stop(self, grace: float) -> None:
        """Take no more sessions; give running transfers `grace` seconds to end."""
        if self._thread is None:
            return

        def ending() -> None:
            self._stop_at = self.clock() + grace
            for listener in self._listeners.values():
                listener.shut()
            for handler in list(self._held):
                handler.give_up()
            for handler in [one for one in self._sessions if one.idles]:
                handler.end("421 The server ends.")

        self._do(ending, 0.0)
        self._thread.join(grace + 10)
        self._thread = None

    def listeners(self) -> list[dict[str, object]]:
        """Every port that is wanted: proto, address, port, state, error, tls."""
        return [
            {"proto": one.place.proto, "address": one.place.host, "port": one.port, "state": one.state,
             "error": one.error, "tls": one.tls, "buffer": 0}
            for one in list(self._listeners.values())
        ]  # fmt: skip

    def active(self) -> list[dict[str, Any]]:
        """What is being stored and fetched, at most 500 of it."""
        return [transfer.report() for transfer in list(self._active.values())[:MAX_ACTIVE]]

    def call(self, action: Callable[[], None]) -> None:
        """Have the loop's thread do this soon. Once the loop has ended it is done here and now."""
        self._calls.append(action)
        if self._ended:
            self._work()
        else:
            self._waker.wake()

    def _do(self, action: Callable[[], None], wait: float) -> None:
        """The same, and wait for it at most so long."""
        if self._thread is None:
            return action()
        done = threading.Event()

        def act() -> None:
            try:
                action()
            finally:
                done.set()

        self.call(act)
        if wait:
            done.wait(wait)
        return None

    def _resolve(self, config: Config) -> str:
        """The address that passive clients are told, if it is not the one that they came to."""
        host = config.ftp.ftp_masquerade
        if not host:
            return ""
        try:
            found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
            return str(ipaddress.IPv4Address(found))
        except (OSError, ValueError):
            text = f"FTPMasquerade: {host} has no IPv4 address; passive clients are told our own"
            self.publish(Notice("ftp-masquerade", text, "error"))
            return ""

    def _sweep(self, before: float) -> None:
        try:
            self.superusers.tree(self.config).sweep(before)
        except OSError:
            pass  # what cannot be read cannot be full of our leftovers

    # The loop

    def _run(self) -> None:
        with turn.held() if self._in_turn else nullcontext():
            self._rounds()

    def _rounds(self) -> None:
        loop = self.ioloop
        timeout = 0.0
        while not self._over():
            try:
                loop.poll(timeout)
                self._work()
            except Exception:  # one client's fault must not end the others' sessions
                self.fault()
            timeout = loop.sched.poll()
        self._end()

    def _over(self) -> bool:
        if self._stop_at is None:
            return False
        return self.clock() >= self._stop_at or not (self._sessions or self._active)

    def _end(self) -> None:
        for handler in list(self._sessions):
            handler.close()
        self.superusers.close()
        for listener in self._listeners.values():
            if listener.state == "up":
                self._say(listener, "off")
        self._ended = True
        self._work()
        self.ioloop.close()

    def _work(self) -> None:
        """Do what other threads asked for."""
        while self._calls:
            try:
                action = self._calls.popleft()
            except IndexError:
                return
            try:
                action()
            except Exception:
                self.fault()

    def tick(self, now: float) -> None:
        """Try failed ports again, and end what waited too long. On the loop's thread."""
        if self._held:
            self._wake()
        for listener in [one for one in self._listeners.values() if one.state == "failed"]:
            if now >= listener.retry_at and self._stop_at is None:
                self._open(listener)

    def fault(self) -> None:
        """Tell the exception that is being handled. On the loop's thread."""
        error = sys.exc_info()[1]
        assert error is not None
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"FTP: {type(error).__name__} ({os.path.basename(last.filename)}:{last.lineno})"
        self.publish(Notice("fault", where, "error"))

    def say(self, kind: str, text: str, peer: str = "", level: str = "warning") -> None:
        """A notice, once for each client in `SAY_AGAIN` seconds. On the loop's thread."""
        now = self.clock()
        if now - self._said.get((kind, peer), -math.inf) < SAY_AGAIN:
            return
        self._said.pop((kind, peer), None)
        if len(self._said) >= REMEMBERED:
            del self._said[next(iter(self._said))]
        self._said[kind, peer] = now
        self.publish(Notice(kind, text, level, peer=peer))

    # Ports

    def _listen(self) -> None:
        """Open what is wanted and not open, close what is no longer wanted."""
        places = wanted(self.config)
        for place in [place for place in self._listeners if place not in places]:
            listener = self._listeners.pop(place)
            listener.shut()
            self._say(listener, "off")
        for place in places:
            listener = self._listeners.get(place) or self._listeners.setdefault(place, Listener(self, place))
            if listener.door is None:
                self._open(listener)

    def _open(self, listener: Listener) -> None:
        """Bring a listener up, or say why not."""
        place = listener.place
        try:
            if listener.implicit:
                self.contexts.get()
            listener.bind()
        except tls.CertificateError as error:
            return self._fail(listener, str(error))
        except PermissionError:
            return self._fail(listener, ports.forbidden(place.port), math.inf)
        except OSError as error:
            if error.errno in ports.NO_FAMILY and not self.config.settings.bind_address:
                del self._listeners[place]  # a host without IPv6 misses nothing
                return None
            if error.errno != errno.EADDRINUSE:
                return self._fail(listener, f"cannot listen: {error.strerror or error}")
            if listener.taken:  # who holds it was told; finding out costs a look at every process
                listener.retry_at = self.clock() + ports.RETRY
                return None
            self._fail(listener, ports.taken(place.port, socket.SOCK_STREAM))
            listener.taken = True
            return None
        return self._say(listener, "up")

    def _fail(self, listener: Listener, error: str, retry_at: float | None = None) -> None:
        listener.taken = False
        listener.retry_at = self.clock() + ports.RETRY if retry_at is None else retry_at
        if (listener.state, listener.error) != ("failed", error):
            self._say(listener, "failed", error)

    def _say(self, listener: Listener, state: str, error: str = "") -> None:
        listener.state, listener.error = state, error
        place = listener.place
        self.publish(Listening(place.proto, place.host, listener.port, state, error, tls=listener.tls))

    # Sessions; all on the loop's thread

    @property
    def stopping(self) -> bool:
        """Whether sessions end once nothing is under way."""
        return self._stop_at is not None

    def room(self) -> bool:
        """Whether the loop takes one more socket: each session has a control and a data connection."""
        limit = 2 * self.config.ftp.ftp_max_connections + len(self._listeners) + 1
        return len(self.ioloop.socket_map) < limit

    def admit(self, listener: Listener, sock: socket.socket, peer: tuple[Any, ...]) -> None:
        """Somebody has connected: let him in, or turn him away."""
        address = address_of(peer[0]) or peer[0]
        ftp = self.config.ftp
        if len(self._sessions) >= ftp.ftp_max_connections or not self.room():
            text = (
                f"{ftp.ftp_max_connections} FTP sessions are open (FTPMaxConnections); more are turned away"
            )
            self.say("ftp-full", text)
            return self._turn_away(listener, sock, Reason.BUSY)
        if ftp.ftp_max_per_address and self._from[address] >= ftp.ftp_max_per_address:
            text = f"{address} has {ftp.ftp_max_per_address} FTP sessions open (FTPMaxPerAddress)"
            self.say("ftp-full", text, address)
            return self._turn_away(listener, sock, Reason.BUSY)
        client = Client(address, peer[1], listener.place.proto, listener.label)
        session = self.library.admit(client)
        if isinstance(session, Refuse):
            return self._turn_away(listener, sock, session.reason)
        handler = Handler(sock, listener, client, session)
        if handler.connected:
            self._sessions.add(handler)
            self._from[address] += 1
            handler.greet()
        return None

    def _turn_away(self, listener: Listener, sock: socket.socket, reason: Reason) -> None:
        try:
            if not listener.implicit:  # without TLS there nothing can be said
                sock.setblocking(False)
                sock.send(replies.line(reason).encode() + b"\r\n")
        except OSError:
            pass
        sock.close()

    def gone(self, handler: Handler) -> None:
        """A session has ended."""
        if handler in self._sessions:
            self._sessions.discard(handler)
            address = handler.client.address
            self._from[address] -= 1
            if not self._from[address]:
                del self._from[address]

    def begun(self, transfer: Transfer) -> None:
        """A file is under way."""
        transfer.number = next(self._numbers)
        self._active[transfer.number] = transfer

    def ended(self, transfer: Transfer) -> None:
        """It is no more."""
        self._active.pop(transfer.number, None)

    # Waiting for a slot; all on the loop's thread but for the first

    def _slot_ended(self) -> None:
        """A slot was freed by hand; called from any thread."""
        if self._held:
            self.call(self._wake)

    def hold(self, handler: Handler) -> bool:
        """Let a request wait for a slot. False: too many wait already."""
        if self._stop_at is not None or len(self._held) >= MAX_HELD:
            return False
        self._held[handler] = self.clock() + HOLD
        self._arm()
        return True

    def unhold(self, handler: Handler) -> None:
        """It no longer waits."""
        self._held.pop(handler, None)

    def _arm(self) -> None:
        """Come back when a slot may have ended; `tick` sees who has waited long enough."""
        if self._waking is not None and not self._waking.cancelled:
            self._waking.cancel()
        self._waking = None
        until = self.library.slots.next_end() if self._held else None
        if until is not None:
            self._waking = self.ioloop.call_later(max(until, 0) + 0.01, self._wake)

    def _wake(self) -> None:
        """Ask again for those who wait, the first first."""
        self.library.slots.offer(self._held, self.clock())
        self._arm()
