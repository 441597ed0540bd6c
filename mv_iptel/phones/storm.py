"""Many simulated phones at once in one epoll loop, each with an address of its own, every byte compared."""

from __future__ import annotations

import heapq
import math
import random
import resource
import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mv_iptel.phones import boot, live
from mv_iptel.phones.boot import Fetch, Fetched, Reboot, Server, Servers
from mv_iptel.phones.families import Handset
from mv_iptel.phones.wire import Connection, Http, Reference, References, Tftp, key

READY_WITHIN = 120.0  # seconds from power-on; a phone that needs longer has failed
RESET = 5.0  # seconds that a phone shows its error before it starts again
LOOK = 0.2  # seconds between two looks at the timers

MODELS = {"tftp": "4621SW", "http": "9640", "https": "9640"}
CURVES = ("s", "uniform", "burst")


def own_address(number: int) -> str:
    """The loopback address of phone `number`: 127.1.1.1 and up, never 127.0.0.1, no .0 and no .255."""
    rest, last = divmod(number, 254)
    second, third = divmod(rest, 254)
    return f"127.{second + 1}.{third + 1}.{last + 1}"


def arrivals(phones: int, seconds: float, curve: str = "s") -> list[float]:
    """When each phone is switched on: all at once, evenly, or most of them in the middle (s)."""
    if curve == "burst" or phones < 2:
        return [0.0] * phones
    places = [number / (phones - 1) for number in range(phones)]
    if curve == "s":  # the inverse of the smooth step 3x² - 2x³
        places = [0.5 - math.sin(math.asin(1 - 2 * place) / 3) for place in places]
    return [seconds * place for place in places]


@dataclass(frozen=True)
class Plan:
    """What a storm does. `mix` maps a protocol to its share; `loss` is a share of datagrams, 0 to 1."""

    phones: int
    servers: Mapping[str, Servers]  # for each protocol of the mix, what its phones were told
    mix: Mapping[str, float]
    arrival: float = 10.0
    curve: str = "s"
    loss: float = 0.0
    seed: int = 1
    firmware: str = ""  # instead of what the scripts order
    within: float = READY_WITHIN
    own_addresses: bool = True
    context: ssl.SSLContext | None = None

    def protocols(self) -> list[str]:
        """The protocol of each phone: exact shares, in an order that the seed decides."""
        total = sum(self.mix.values())
        found: list[str] = []
        due = 0.0
        for protocol, share in self.mix.items():
            due += self.phones * share / total
            found += [protocol] * (round(due) - len(found))
        random.Random(self.seed).shuffle(found)
        return found


def scout(plan: Plan, fetch: Callable[[Fetch], Fetched]) -> tuple[References, dict[str, boot.Report]]:
    """Boot one phone of each kind beforehand: its files are what every other phone must get."""
    references: References = {}

    def keep(wants: Fetch) -> Fetched:
        got = fetch(wants._replace(keep=True))
        if got.result == "ok" and got.data is not None:
            references[key(wants)] = Reference(got.data)
        elif got.result == "missing":
            references.setdefault(key(wants), None)
        return got

    reports = {}
    for protocol in plan.mix:
        handset = Handset(MODELS[protocol])
        playing = boot.play(handset, plan.servers[protocol], plan.firmware)
        reports[protocol] = boot.drive(playing, keep)
    return references, reports


@dataclass
class Outcome:
    """How one phone fared. `seconds` runs from power-on."""

    number: int
    address: str
    model: str
    protocol: str
    ready: bool = False
    why: str = ""
    seconds: float = 0.0
    files: int = 0
    octets: int = 0


@dataclass
class Result:
    """How the storm went; counts are over all phones.

    repeated: request repeats (rrq), ACKs said again (ack), 503 answers (busy), new connections after
    trouble (connect), restarts after an error screen (reset); dropped: datagrams lost on purpose.
    """

    phones: list[Outcome]
    seconds: float = 0.0
    repeated: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    unverified: int = 0  # bodies that no reference was there for

    @property
    def failed(self) -> list[Outcome]:
        """Phones that were not ready in time or got a wrong byte."""
        return [phone for phone in self.phones if not phone.ready]

    def boot_seconds(self, protocol: str = "") -> dict[str, float]:
        """Boot times of the ready phones, of one protocol or of all: what half of them did not exceed, ..."""
        mine = [phone for phone in self.phones if phone.ready and protocol in ("", phone.protocol)]
        times = sorted(phone.seconds for phone in mine) or [0.0]
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        return {name: round(times[math.ceil(share * len(times)) - 1], 3) for name, share in shares.items()}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        octets = sum(phone.octets for phone in self.phones)
        return {
            "phones": len(self.phones), "ready": len(self.phones) - len(self.failed),
            "failed": len(self.failed), "seconds": round(self.seconds, 3), "bytes": octets,
            "mib_per_second": round(octets / (1 << 20) / self.seconds, 2) if self.seconds else 0.0,
            "boot_seconds": self.boot_seconds(),
            "by_protocol": {
                protocol: {"phones": count, "boot_seconds": self.boot_seconds(protocol)}
                for protocol, count in sorted(Counter(phone.protocol for phone in self.phones).items())
            },
            "repeated": {name: self.repeated[name] for name in ("rrq", "ack", "busy", "connect", "reset")},
            "dropped": self.dropped, "unverified": self.unverified,
            "failures": [
                {"address": phone.address, "model": phone.model, "protocol": phone.protocol, "why": phone.why}
                for phone in self.failed[:100]
            ],
        }  # fmt: skip


def raise_descriptors(most: int = 20_000) -> int:
    """Allow as many open sockets as the system lets us, at most `most`; gives the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(soft, allowed)


class Storm:
    """The loop. `run` plays everything and gives the result; `told` hears of progress now and then."""

    def __init__(
        self,
        plan: Plan,
        references: References,
        told: Callable[[Storm], None] = lambda _: None,
        play: Callable[[Handset, Servers, str], boot.Play] = boot.play,
    ):
        self.plan = plan
        self.play = play  # what a phone does from power-on
        self.references = references
        self.result = Result([])
        self.active = 0
        self.finished = 0
        self.octets = 0
        self.now = 0.0
        self._told = told
        self._poll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._jobs: set[Tftp | Http] = set()
        self._addresses: dict[Server, tuple[int, tuple[str, int]]] = {}

    def run(self) -> Result:
        """Until every phone is ready or has failed."""
        plan, result = self.plan, self.result
        began = self.now = time.monotonic()
        protocols = plan.protocols()
        times = arrivals(plan.phones, plan.arrival, plan.curve)
        for number, (protocol, at) in enumerate(zip(protocols, times, strict=True)):
            phone = Phone(self, number, protocol)
            result.phones.append(phone.outcome)
            self.later(began + at, phone.power_on)
        look = began
        try:
            while self.finished < plan.phones:
                wait = LOOK
                if self._later:
                    wait = min(wait, max(0.0, self._later[0][0] - self.now))
                for descriptor, mask in self._poll.poll(wait, 512):
                    handler = self.handlers.get(descriptor)
                    if handler is not None:
                        handler(mask)
                self.now = time.monotonic()
                while self._later and self._later[0][0] <= self.now:
                    heapq.heappop(self._later)[2]()
                if self.now >= look:
                    look = self.now + LOOK
                    for job in list(self._jobs):
                        job.tick(self.now)
                    result.seconds = self.now - began
                    self._told(self)
        finally:
            for job in list(self._jobs):
                job.close()
            self._poll.close()
        result.seconds = self.now - began
        self._told(self)
        return result

    def later(self, when: float, what: Callable[[], None]) -> None:
        """Call `what` at `when` (monotonic seconds)."""
        self._order += 1
        heapq.heappush(self._later, (when, self._order, what))

    def watch(self, sock: socket.socket, mask: int, handler: Callable[[int], None]) -> None:
        """Hear of a socket."""
        self._poll.register(sock.fileno(), mask)
        self.handlers[sock.fileno()] = handler

    def rewatch(self, sock: socket.socket, mask: int) -> None:
        """Hear of something else of it."""
        self._poll.modify(sock.fileno(), mask)

    def unwatch(self, sock: socket.socket) -> None:
        """Hear no more of it."""
        if self.handlers.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock.fileno())

    def begin(self, job: Tftp | Http) -> None:
        """Look after a job's timers."""
        self._jobs.add(job)

    def end(self, job: Tftp | Http) -> None:
        """Its timers need no more looking after."""
        self._jobs.discard(job)

    def address_of(self, server: Server) -> tuple[int, tuple[str, int]]:
        """Address family and address, looked up once."""
        found = self._addresses.get(server)
        if found is None:
            found = self._addresses[server] = live.resolve(server)
        return found


class Phone:
    """One phone of the storm: it plays its boot and hands each request to a job."""

    def __init__(self, storm: Storm, number: int, protocol: str):
        plan = storm.plan
        self.storm = storm
        self.own = own_address(number) if plan.own_addresses else ""
        self.handset = Handset(MODELS[protocol], mac=f"00040d{number:06x}")
        self.outcome = Outcome(number, self.own, self.handset.model, protocol)
        self.random = random.Random(plan.seed * 1_000_003 + number)
        self.connection: Connection | None = None
        self._playing: boot.Play | None = None
        self._on = 0.0
        self._broken = False  # the last request failed on the way, so a restart may help

    def power_on(self) -> None:
        """Begin, or begin again."""
        if not self._on:
            self._on = self.storm.now
            self.storm.active += 1
        servers = self.storm.plan.servers[self.outcome.protocol]
        self._playing = self.storm.play(self.handset, servers, self.storm.plan.firmware)
        self._step(None)

    @property
    def limit(self) -> float:
        """When it counts as failed."""
        return self._on + self.storm.plan.within

    def lost(self) -> bool:
        """Whether the next datagram gets lost."""
        loss = self.storm.plan.loss
        if loss and self.random.random() < loss:
            self.storm.result.dropped += 1
            return True
        return False

    def got(self, wants: Fetch, fetched: Fetched) -> None:
        """A job is done."""
        self._broken = fetched.result == "failed"
        if fetched.result == "ok":
            self.outcome.files += 1
            self.outcome.octets += fetched.size
            self.storm.octets += fetched.size
            if wants.keep and fetched.data is None:
                raise AssertionError("a script came without its bytes")
        self._step(fetched)

    def fail(self, why: str) -> None:
        """It is over: a wrong byte, or no time left."""
        self._done(False, why)

    def drop_connection(self) -> None:
        """Close what keep-alive held open."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _step(self, fetched: Fetched | None) -> None:
        assert self._playing is not None
        try:
            wants = self._playing.send(fetched)
            while isinstance(wants, Reboot):
                self.drop_connection()
                wants = self._playing.send(None)
        except StopIteration as stop:
            self._ended(stop.value)
            return
        if wants.server.protocol == "tftp":
            Tftp(self, wants)
        else:
            Http(self, wants)

    def _ended(self, booted: boot.Booted) -> None:
        if booted.ready or not self._broken or self.storm.now + RESET > self.limit:
            self._done(booted.ready, booted.why)
            return
        # The error screen, then everything from the start.
        self.storm.result.repeated["reset"] += 1
        self.drop_connection()
        self.storm.later(self.storm.now + RESET, self.power_on)

    def _done(self, ready: bool, why: str) -> None:
        self.drop_connection()
        outcome = self.outcome
        outcome.seconds = self.storm.now - self._on
        outcome.ready = ready and outcome.seconds <= self.storm.plan.within
        outcome.why = why if outcome.ready or not ready else f"ready only after {outcome.seconds:.0f} s"
        self.storm.active -= 1
        self.storm.finished += 1
