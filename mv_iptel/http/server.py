"""The HTTP and HTTPS servers: their ports, their connections, and the requests that wait for a slot."""

from __future__ import annotations

import asyncio
import errno
import itertools
import math
import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from mv_iptel import ports
from mv_iptel.config import Config, Pair
from mv_iptel.events import Listening, Stream
from mv_iptel.http import poller, tls
from mv_iptel.http.connection import HOLD, Connection
from mv_iptel.library import Client, Library, Reason, Refuse

BACKLOG = 1024
ACCEPTED = 64  # connections taken in one turn of the loop
SWEEP = 1.0  # seconds between two looks at the deadlines
MAX_HELD = 256  # requests that wait for a slot at once
MAX_TURNED_AWAY = 64  # connections that wait for their 503 at once; beyond it they are closed
COMMITS = 30.0  # seconds that user data which is being kept gets at a stop, beyond the grace
MAX_ACTIVE = 500  # transfers told to the status page
RETRY_AFTER = (1, 60)  # seconds, the least and the most that a refused client is told to wait

_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Place(NamedTuple):
    """Where the configuration wants a listener."""

    proto: str  # http or https
    host: str
    port: int


class Listener:
    """One listening socket, or why there is none. `offer` is what a TLS port offers; None: plain HTTP."""

    def __init__(self, place: Place, offer: tls.Policy | None):
        self.place = place
        self.offer = offer
        self.contexts: tls.Contexts  # where it offers TLS
        self.sock: socket.socket | None = None
        self.state = "off"  # off, up or failed
        self.error = ""
        self.closed = False  # it is no longer wanted: its connections end after their current request
        self.taken = False  # the last attempt found the port taken
        self.retry_at = math.inf  # when a failed one is tried again, in the server's clock
        self.port = place.port
        self.label = f"{place.proto}:{place.port}"

    @property
    def tls(self) -> str:
        """What it offers, in words; empty for plain HTTP."""
        return str(self.offer) if self.offer is not None else ""

    def bind(self) -> None:
        """Open the socket. Raises OSError."""
        self.sock = sock = ports.listen(self.place.host, self.place.port, BACKLOG)
        self.port = sock.getsockname()[1]
        self.label = f"{self.place.proto}:{self.port}"


def wanted(config: Config) -> dict[Place, tls.Policy | None]:
    """The listeners that a configuration asks for, and what each offers."""
    hosts = config.settings.bind_address or ("0.0.0.0", "::")  # noqa: S104
    places: dict[Place, tls.Policy | None] = {}
    if config.http.run_http:
        for port in (config.http.http_port, *config.http.http_alt_ports):
            places.update({Place("http", host, port): None for host in hosts})
    if config.https.run_https:
        for port in (config.https.https_port, *config.https.https_alt_ports):
            offer = tls.policy(config.https, port)
            places.update({Place("https", host, port): offer for host in hosts})
    return places


class Server:
    """All HTTP and HTTPS ports of one configuration, on the loop that `start` runs on.

    `clock` gives seconds; deadlines are compared with it once in `SWEEP`. `lend` may have another thread
    serve the connections for a while (`poller.Poller`): whoever touches them holds the poller's lock.
    """

    def __init__(
        self,
        config: Config,
        library: Library,
        stream: Stream,
        clock: Callable[[], float] = time.monotonic,
        lend: Callable[[poller.Poller], bool] = lambda guest: False,
    ):
        self._lend = lend
        self.config = config
        self.library = library
        self.stream = stream
        self.clock = clock
        self.loop: asyncio.AbstractEventLoop
        self.poller: poller.Poller | poller.LoopPoller
        self._contexts: dict[Pair, tls.Contexts] = {}  # by the certificate
        self.failures = tls.Failures(stream.publish)
        self.stopping = False
        self._listeners: dict[Place, Listener] = {}
        self._connections: set[Connection] = set()
        self._turned_away = 0
        self._active: dict[int, Connection] = {}
        self._numbers = itertools.count(1)
        self._held: dict[Connection, float] = {}  # in the order they came; until when
        self._waking: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Event

    # --- what the daemon calls ---------------------------------------------------------------

    async def start(self) -> None:
        """Open every port. One that cannot be opened is failed, is told, and is tried again."""
        self.loop = asyncio.get_running_loop()
        self.poller = poller.make(self.loop, self._lend)
        self._quiet = asyncio.Event()
        self.library.slots.on_end(self._slot_ended)
        self._open_wanted()
        self._sweeping = self.loop.call_later(SWEEP, self._sweep)

    async def reload(self, config: Config) -> None:
        """Serve by `config` from the next connection on. What is being sent goes on."""
        self.config = config
        places = wanted(config)
        for place in [place for place in self._listeners if place not in places]:
            listener = self._listeners.pop(place)
            listener.closed = True
            self._shut(listener)
            self._say(listener, "off")
            with self.poller.lock:
                for connection in [c for c in self._connections if c.listener is listener and c.idle]:
                    connection.end()
        self._open_wanted()

    async def stop(self, grace: float = 5.0) -> None:
        """Take no more connections; give what is being sent `grace` seconds to end."""
        self.stopping = True
        for listener in self._listeners.values():
            self._shut(listener)
        with self.poller.lock:
            for connection in list(self._held):
                connection.give_up()
            for connection in [c for c in self._connections if c.idle]:
                connection.end()
        if self._connections and grace > 0:
            try:
                await asyncio.wait_for(self._quiet.wait(), grace)
            except TimeoutError:
                pass
        with self.poller.lock:
            for connection in [c for c in self._connections if not c.committing]:
                connection.end()
        if self._connections:  # a phone that is told nothing does not know whether its data is kept
            try:
                await asyncio.wait_for(self._quiet.wait(), COMMITS)
            except TimeoutError:
                pass
        with self.poller.lock:
            for connection in list(self._connections):
                connection.end()
        self.poller.close()
        for timer in (self._sweeping, self._waking):
            if timer is not None:
                timer.cancel()
        for listener in self._listeners.values():
            if listener.state == "up":
                self._say(listener, "off")

    def listeners(self) -> list[dict[str, object]]:
        """Every port that is wanted: proto, address, port, state, error, tls. From any thread."""
        return [
            {"proto": one.place.proto, "address": one.place.host, "port": one.port, "state": one.state,
             "error": one.error, "tls": one.tls, "buffer": 0}
            for one in list(self._listeners.values())
        ]  # fmt: skip

    def problems(self) -> list[tuple[str, int, str]]:
        """A certificate that was replaced by a bad one, as (file, line, text): what turns the status red."""
        return [(str(pair.cert_file), 0, one.problem) for pair, one in self._contexts.items() if one.problem]

    def active(self) -> list[dict[str, object]]:
        """The transfers that take longer than one turn, at most 500. From any thread."""
        return [connection.report() for connection in list(self._active.values())[:MAX_ACTIVE]]

    # --- ports -------------------------------------------------------------------------------

    def _open_wanted(self) -> None:
        before, self._contexts = self._contexts, {}
        for place, offer in wanted(self.config).items():
            listener = self._listeners.get(place)
            if listener is None:
                listener = self._listeners[place] = Listener(place, offer)
            if offer is not None:
                pair = tls.pair(self.config, place.port)
                if pair not in self._contexts:
                    self._contexts[pair] = before.get(pair) or tls.Contexts(*pair, self.stream.publish)
                listener.contexts = self._contexts[pair]
            changed = listener.offer != offer
            listener.offer = offer
            if listener.state == "up" and not (offer is not None and self.config.https.refused):
                if changed:
                    self._say(listener, "up")
                continue
            self._open(listener)

    def _open(self, listener: Listener) -> None:
        """Bring a listener up, or say why not."""
        refused = self.config.https.refused
        if listener.offer is not None and refused:
            self._shut(listener)
            return self._fail(listener, refused, math.inf)
        try:
            if listener.offer is not None:
                listener.contexts.get(listener.offer)
            if listener.sock is None:
                listener.bind()
        except tls.CertificateError as error:
            return self._fail(listener, str(error))
        except PermissionError:
            return self._fail(listener, ports.forbidden(listener.place.port), math.inf)
        except OSError as error:
            if error.errno in ports.NO_FAMILY and not self.config.settings.bind_address:
                del self._listeners[listener.place]  # a host without IPv6 misses nothing
                return None
            if error.errno != errno.EADDRINUSE:
                return self._fail(listener, f"cannot listen: {error.strerror or error}")
            if listener.taken:  # who holds it was told; finding out costs a look at every process
                listener.retry_at = self.clock() + ports.RETRY
                return None
            self._fail(listener, ports.taken(listener.place.port, socket.SOCK_STREAM))
            listener.taken = True
            return None
        assert listener.sock is not None
        self.loop.add_reader(listener.sock.fileno(), self._accept, listener)
        self._say(listener, "up")
        return None

    def _fail(self, listener: Listener, error: str, retry_at: float | None = None) -> None:
        listener.taken = False
        listener.retry_at = self.clock() + ports.RETRY if retry_at is None else retry_at
        if (listener.state, listener.error) != ("failed", error):
            self._say(listener, "failed", error)

    def _shut(self, listener: Listener) -> None:
        if listener.sock is not None:
            self.loop.remove_reader(listener.sock.fileno())
            listener.sock.close()
            listener.sock = None

    def _say(self, listener: Listener, state: str, error: str = "") -> None:
        listener.state, listener.error = state, error
        self.stream.publish(
            Listening(
                listener.place.proto, listener.place.host, listener.port, state, error, tls=listener.tls
            )
        )

    # --- connections -------------------------------------------------------------------------

    def _accept(self, listener: Listener) -> None:
        with self.poller.lock:
            self._take(listener)

    def _take(self, listener: Listener) -> None:
        for _ in range(ACCEPTED):
            assert listener.sock is not None
            try:
                sock, peer = listener.sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _SHORT:
                    continue
                # Out of descriptors: waiting beats asking the kernel again and again.
                self.loop.remove_reader(listener.sock.fileno())
                self.loop.call_later(SWEEP, self._accept_again, listener)
                return
            self._admit(listener, sock, peer)

    def _accept_again(self, listener: Listener) -> None:
        if listener.sock is not None:
            self.loop.add_reader(listener.sock.fileno(), self._accept, listener)

    def _admit(self, listener: Listener, sock: socket.socket, peer: tuple[str, int]) -> None:
        address = peer[0].partition("%")[0]
        if address.startswith("::ffff:") and "." in address:
            address = address[7:]
        client = Client(address, peer[1], listener.place.proto, listener.label)
        session = self.library.admit(client)
        if isinstance(session, Refuse):
            if session.reason is Reason.BANNED or self._turned_away >= MAX_TURNED_AWAY:
                sock.close()
                return
            self._turned_away += 1
        try:
            sock.setblocking(False)
            if listener.sock is None or os.name != "posix":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass
        self._connections.add(Connection(self, listener, sock, client, session))

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        if isinstance(connection.session, Refuse):
            self._turned_away -= 1
        if self.stopping and not self._connections:
            self.loop.call_soon_threadsafe(self._quiet.set)

    def sending(self, connection: Connection) -> None:
        """A transfer takes more than one turn."""
        connection.number = next(self._numbers)
        connection.started = time.time()
        self._active[connection.number] = connection

    def sent(self, connection: Connection) -> None:
        """That transfer has ended."""
        self._active.pop(connection.number, None)
        connection.number = 0

    def tick(self, now: float) -> None:
        """End what is past its deadline, and try failed ports again. Times are those of `clock`."""
        with self.poller.lock:
            for connection in [c for c in self._connections if c.deadline <= now]:
                connection.expire()
        for listener in [one for one in self._listeners.values() if one.state == "failed"]:
            if now >= listener.retry_at and not self.stopping:
                self._open(listener)

    def _sweep(self) -> None:
        self._sweeping = self.loop.call_later(SWEEP, self._sweep)
        self.tick(self.clock())

    # --- waiting for a slot ------------------------------------------------------------------

    def hold(self, connection: Connection) -> bool:
        """Let a request wait for a slot. False: too many wait already."""
        if self.stopping or len(self._held) >= MAX_HELD:
            return False
        connection.held = True
        connection.deadline = self._held[connection] = self.clock() + HOLD
        self.poller.soon(self._arm)
        return True

    def unhold(self, connection: Connection) -> None:
        """It no longer waits."""
        connection.held = False
        self._held.pop(connection, None)

    def retry(self) -> int:
        """Seconds after which a client that found no slot should ask again."""
        until = self.library.slots.next_end()
        least, most = RETRY_AFTER
        return most if until is None else min(most, max(least, math.ceil(until)))

    def _slot_ended(self) -> None:
        """A slot was freed by hand; called from any thread."""
        if self._held and not self.loop.is_closed():
            self.poller.soon(self._wake)

    def _arm(self) -> None:
        """Come back when a slot may have ended, or when the first in the row has waited long enough."""
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        if not self._held:
            return
        wait = next(iter(self._held.values())) - self.clock()
        until = self.library.slots.next_end()
        if until is not None:
            wait = min(wait, until + 0.01)  # behind the end, not a hair before it
        self._waking = self.loop.call_later(max(wait, 0.01), self.poller.soon, self._wake)

    def _wake(self) -> None:
        """Ask again for those who wait, the first first."""
        self.library.slots.offer(self._held, self.clock())
        self._arm()
