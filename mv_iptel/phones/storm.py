"""Many simulated phones at once in one epoll loop, each with an address of its own, every byte compared."""

from __future__ import annotations

import heapq
import random
import resource
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from mv_iptel.phones import boot, live, userdata
from mv_iptel.phones.agent import Agent, Says
from mv_iptel.phones.arrival import arrivals
from mv_iptel.phones.boot import Fetch, Fetched, Reboot, Server, Servers
from mv_iptel.phones.families import Handset
from mv_iptel.phones.outcome import Outcome, Result
from mv_iptel.phones.saving import Ftp, Put, answering
from mv_iptel.phones.wire import Connection, Http, Reference, References, Tftp, key

READY_WITHIN = 120.0  # seconds from power-on; a phone that needs longer has failed
RESET = 5.0  # seconds that a phone shows its error before it starts again
LOOK = 0.2  # seconds between two looks at the timers

MODELS = {"tftp": "4621SW", "http": "9640", "https": "9640"}
SCOUT = "00040dffffff"  # the MAC of those that boot beforehand
EXTENSIONS = 20_000  # the first phone's is one more


def own_address(number: int) -> str:
    """The loopback address of phone `number`: 127.1.1.1 and up, never 127.0.0.1, no .0 and no .255."""
    rest, last = divmod(number, 254)
    second, third = divmod(rest, 254)
    return f"127.{second + 1}.{third + 1}.{last + 1}"


@dataclass(frozen=True)
class Backups:
    """That each phone also stores its user's data and fetches it again, answering SNMP meanwhile."""

    community: str = field(default="public", repr=False)
    snmp_port: int = 161


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
    backups: Backups | None = None
    groups: Mapping[str, float] = field(default_factory=dict)  # GROUP -> its share; empty: all are in 0
    runs: Mapping[int, str] = field(default_factory=dict)  # what some phones have in flash, by number
    rejects: frozenset[str] = frozenset()  # firmware that does not run: phones restart with what they had

    def protocols(self) -> list[str]:
        """The protocol of each phone: exact shares, in an order that the seed decides."""
        return self._shared(self.mix, self.seed)

    def group_of_each(self) -> list[str]:
        """The group of each phone, likewise; it has nothing to do with the protocol."""
        return self._shared(self.groups or {"0": 1.0}, self.seed + 1)

    def _shared(self, shares: Mapping[str, float], seed: int) -> list[str]:
        total = sum(shares.values())
        found: list[str] = []
        due = 0.0
        for one, share in shares.items():
            due += self.phones * share / total
            found += [one] * (round(due) - len(found))
        random.Random(seed).shuffle(found)
        return found


def scout(plan: Plan, fetch: Callable[[Fetch], Fetched]) -> tuple[References, dict[str, boot.Report]]:
    """Boot one phone of each kind beforehand: its files are what every other phone must get.

    Of phones in different groups, that is of firmware and settings: a roll-out may give each another script.
    """
    references: References = {}

    def keep(wants: Fetch) -> Fetched:
        got = fetch(wants._replace(keep=True))
        if plan.groups and wants.kind == "script":
            return got
        if got.result == "ok" and got.data is not None:
            references[key(wants)] = Reference(got.data)
        elif got.result == "missing":
            references.setdefault(key(wants), None)
        return got

    reports = {}
    for protocol in plan.mix:
        for group in plan.groups or ("0",):
            handset = Handset(MODELS[protocol], mac=SCOUT, group=group)
            playing = boot.play(handset, plan.servers[protocol], plan.firmware)
            reports[protocol] = boot.drive(playing, keep)
            if not reports[protocol].booted.ready:
                break
    return references, reports


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
        play: Callable[[Handset, Servers, str], boot.Play] | None = None,
    ):
        self.plan = plan
        self.play = play or partial(boot.play, rejects=plan.rejects)  # what a phone does from power-on
        self.references = references
        self.result = Result([], backups=plan.backups is not None)
        self.active = 0
        self.finished = 0
        self.octets = 0
        self.now = 0.0
        self._told = told
        self._poll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._jobs: set[Tftp | Http | Ftp] = set()
        self._addresses: dict[Server, tuple[int, tuple[str, int]]] = {}

    def run(self) -> Result:
        """Until every phone is ready or has failed."""
        plan, result = self.plan, self.result
        began = self.now = time.monotonic()
        protocols = plan.protocols()
        times = arrivals(plan.phones, plan.arrival, plan.curve)
        each = zip(protocols, plan.group_of_each(), times, strict=True)
        for number, (protocol, group, at) in enumerate(each):
            phone = Phone(self, number, protocol, group)
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

    def begin(self, job: Tftp | Http | Ftp) -> None:
        """Look after a job's timers."""
        self._jobs.add(job)

    def end(self, job: Tftp | Http | Ftp) -> None:
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

    def __init__(self, storm: Storm, number: int, protocol: str, group: str = "0"):
        plan = storm.plan
        self.storm = storm
        self.own = own_address(number) if plan.own_addresses else ""
        ext = str(EXTENSIONS + number + 1)
        runs = plan.runs.get(number, "")
        self.handset = Handset(MODELS[protocol], mac=f"00040d{number:06x}", ext=ext, group=group, runs=runs)
        self.outcome = Outcome(number, self.own, self.handset.model, protocol, group=group, runs=runs)
        self.random = random.Random(plan.seed * 1_000_003 + number)
        self.connection: Connection | None = None
        self._playing: boot.Play | userdata.Keeping | None = None
        self._agent: Agent | None = None
        self._booted = 0.0  # when it was ready, and began with its user's data
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
        if fetched.result == "ok" and wants.kind == "store":
            self.outcome.stored = True
            self.storm.references[key(wants)] = Reference(wants.body or b"")
        elif fetched.result == "ok":
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
            if isinstance(stop.value, str):
                self._saved(stop.value)
            else:
                self._ended(stop.value)
            return
        if wants.server.protocol == "tftp":
            Tftp(self, wants)
        elif wants.server.protocol == "ftp":
            Ftp(self, wants)
        elif wants.body is not None:
            Put(self, wants)
        else:
            Http(self, wants)

    def _ended(self, booted: boot.Booted) -> None:
        self.outcome.runs = booted.handset.runs
        if booted.ready and self.storm.plan.backups is not None:
            self._save(self.storm.plan.backups)
            return
        if booted.ready or not self._broken or self.storm.now + RESET > self.limit:
            self._done(booted.ready, booted.why)
            return
        # The error screen, then everything from the start.
        self.storm.result.repeated["reset"] += 1
        self.drop_connection()
        self.storm.later(self.storm.now + RESET, self.power_on)

    def _save(self, backups: Backups) -> None:
        """Registered: it stores its user's data and fetches it, and says by SNMP whose that is."""
        self._booted = self.storm.now
        told = self.storm.plan.servers[self.outcome.protocol]
        wire = "" if self.outcome.protocol == "tftp" else self.outcome.protocol
        ports = {"http": told.http_port, "https": told.tls_port}
        host = (told.https or told.http or told.tftp)[0]
        depot = userdata.depot_at(self.handset, host, told.offset, "", wire, ports.get(wire, 0))
        try:
            self._agent = answering(self, Says(self.handset, backups.community), backups.snmp_port)
        except OSError as error:
            self.fail(f"cannot answer SNMP on {self.own} port {backups.snmp_port}: {error.strerror}")
            return
        data = userdata.made_up(userdata.kept_by(self.handset), self.storm.plan.seed)
        self._playing = userdata.play(self.handset, depot, data)
        self._step(None)

    def _saved(self, why: str) -> None:
        self.outcome.restored = not why
        self.outcome.saving = self.storm.now - self._booted
        self._done(not why, why)

    def _done(self, ready: bool, why: str) -> None:
        self.drop_connection()
        if self._agent is not None:
            self.storm.unwatch(self._agent.sock)
            self._agent.close()
            self._agent = None
        outcome = self.outcome
        outcome.seconds = (self._booted or self.storm.now) - self._on
        outcome.ready = ready and outcome.seconds <= self.storm.plan.within
        outcome.why = why if outcome.ready or not ready else f"ready only after {outcome.seconds:.0f} s"
        self.storm.active -= 1
        self.storm.finished += 1
