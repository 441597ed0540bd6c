"""The SNMP agent of simulated phones: tells extension and type, or misbehaves as phones and attackers do.

On pysnmp's message layer, which is imported when the first question comes. Many addresses share one thread.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple

from mv_iptel.phones.families import Handset
from mv_iptel.snmp.families import FAMILIES, SYS_OBJECT, Family
from mv_iptel.snmp.survey import MODULES

PORT = 161
ANSWERED = 64  # datagrams that one look at a socket takes, so that all get their turn
HUGE = 10_240

_AVAYA = "1.3.6.1.4.1.6889"

# What an agent can do wrong, and what that is like.
FAULTS = {
    "slow": "answers late, after --delay",
    "silent": "never answers",
    "wrong": "tells another extension",
    "other": "answers with another request id",
    "garbage": "answers with bytes that are no SNMP",
    "duplicate": "answers twice",
    "huge": "tells an extension of 10 KiB",
    "hostile": "tells an extension that is a path out of every directory",
    "empty": "tells an empty extension, as when nobody is logged in",
    "none": "knows no object for the extension",
}


# Sets with SIP software: their data is not kept here, but their agents answer all the same.
_SIP = (
    Family("96x0-sip", 4, f"{_AVAYA}.2.69.4.7.27.0", f"{_AVAYA}.2.69.4.1.52.0"),
    Family("96x1-sip", 5, f"{_AVAYA}.2.69.5.7.27.0", f"{_AVAYA}.2.69.5.1.43.0"),
    Family("J100-sip", 6, f"{_AVAYA}.2.69.6.7.27.0", f"{_AVAYA}.2.69.6.1.52.0"),
)
_OBJECTS = {family.name: family for family in (*FAMILIES, *_SIP)}
# Whose objects a family has, where it has none of its own; of the B189 and the K1xx that is a guess.
_LIKE = {"4600-old": "4600", "B189": "96x1", "K1xx": "J100-sip"}


class Asked(NamedTuple):
    """One datagram that came, and what became of it."""

    address: str  # the agent's own
    peer: str
    version: str  # 1, 2c, or ? for what was no SNMP
    objects: tuple[str, ...]
    outcome: str  # answered, silent, another community, not understood

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return self._asdict()


@dataclass(frozen=True)
class Says:
    """What an agent tells, and how it misbehaves."""

    handset: Handset
    community: str = field(default="public", repr=False)
    fault: str = ""  # one of FAULTS
    delay: float = 0.0  # seconds; for "slow"

    def objects(self) -> dict[str, str]:
        """Every object that can be asked, and its value."""
        name = self.handset.family.name
        family = _OBJECTS[_LIKE.get(name, name)]
        ext = self.handset.ext
        told = {
            "wrong": (ext[:-1] + str((int(ext[-1]) + 1) % 10)) if ext[-1:].isdecimal() else "9999",
            "huge": "4" * HUGE, "hostile": "../../x", "empty": "",
        }.get(self.fault, ext)  # fmt: skip
        found = {SYS_OBJECT: f"{_AVAYA}.1.69.{family.number}.1", family.type_object: self.handset.model}
        if self.fault != "none":
            found[family.ext_object] = told
        # What it runs, where the set's agent has an object for that.
        for module in MODULES:
            if module.number == family.number:
                for leaves, value in ((module.leaves.get("software"), self.handset.runs),
                                      (module.leaves.get("boot"), self.handset.boot)):  # fmt: skip
                    if leaves and value:
                        found[f"{_AVAYA}.2.69.{module.number}.{leaves[0]}.0"] = value
        return found


class Agent:
    """One address. `receive` when `sock` is readable, `tick` at `deadline`; both never wait.

    Raises OSError where the address or port is not ours to take.
    """

    def __init__(
        self, address: str, port: int, says: Says, heard: Callable[[Asked], None] = lambda _: None
    ) -> None:
        self.says = says
        self._objects = says.objects()
        self._heard = heard
        self._late: list[tuple[float, int, bytes, Any]] = []
        self._count = 0
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(kind, socket.SOCK_DGRAM)
        try:
            self.sock.setblocking(False)
            self.sock.bind((address, port))
        except OSError:
            self.sock.close()
            raise
        self.address, self.port = self.sock.getsockname()[:2]

    @property
    def deadline(self) -> float:
        """When the next late answer is due; infinity: none."""
        return self._late[0][0] if self._late else float("inf")

    def receive(self, now: float) -> None:
        """Answer what came."""
        for _ in range(ANSWERED):
            try:
                datagram, peer = self.sock.recvfrom(65536)
            except OSError:  # nothing more, or an earlier asker has gone
                return
            answers, asked = self._answer(datagram)
            self._heard(asked._replace(peer=peer[0]))
            for each in answers:
                if self.says.fault == "slow":
                    self._count += 1
                    heapq.heappush(self._late, (now + self.says.delay, self._count, each, peer))
                else:
                    self._send(each, peer)

    def tick(self, now: float) -> None:
        """Send the answers that are due."""
        while self._late and self._late[0][0] <= now:
            _, _, datagram, peer = heapq.heappop(self._late)
            self._send(datagram, peer)

    def close(self) -> None:
        """Give the port back."""
        self.sock.close()

    def _send(self, datagram: bytes, peer: Any) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendto(datagram, peer)

    def _answer(self, datagram: bytes) -> tuple[list[bytes], Asked]:
        """What is sent back to a datagram."""
        fault = self.says.fault
        asked = Asked(self.address, "", "?", (), "not understood")
        found = understand(datagram)
        if found is None:
            return [], asked
        asked = asked._replace(version=found.version, objects=found.objects)
        if found.community != self.says.community.encode():
            return [], asked._replace(outcome="another community")
        if fault == "silent":
            return [], asked._replace(outcome="silent")
        asked = asked._replace(outcome="answered")
        if fault == "garbage":
            return [random.randbytes(40)], asked
        answer = found.answer(self._objects, other_id=fault == "other")
        return [answer] * (2 if fault == "duplicate" else 1), asked


class Question:
    """A GET that came, of SNMP v1 or v2c."""

    def __init__(self, module: Any, version: str, message: Any):
        self._module = module
        self.version = version
        self._message = message
        self._pdu = module.apiMessage.get_pdu(message)
        self.community = bytes(module.apiMessage.get_community(message))
        self.objects = tuple(str(oid) for oid, _ in module.apiPDU.get_varbinds(self._pdu))

    def answer(self, objects: dict[str, str], other_id: bool = False) -> bytes:
        """The response. What is not there is an error as a whole in v1, and a value of its own in v2c."""
        from pyasn1.codec.ber import encoder

        module = self._module
        message = module.apiMessage.get_response(self._message)
        pdu = module.apiMessage.get_pdu(message)
        pairs = []
        for place, oid in enumerate(self.objects, 1):
            value = objects.get(oid)
            if value is not None:
                kind = module.ObjectIdentifier if oid == SYS_OBJECT else module.OctetString
                pairs.append((oid, kind(value)))
            elif self.version == "2c":
                pairs.append((oid, module.NoSuchObject("")))
            else:
                module.apiPDU.set_error_status(pdu, 2)  # noSuchName
                module.apiPDU.set_error_index(pdu, place)
                pairs = [(each, module.Null("")) for each in self.objects]
                break
        module.apiPDU.set_varbinds(pdu, pairs)
        if other_id:
            module.apiPDU.set_request_id(pdu, (int(module.apiPDU.get_request_id(pdu)) ^ 0x5A5A5A) or 1)
        return encoder.encode(message)


def understand(datagram: bytes) -> Question | None:
    """The GET in a datagram, or None: it is something else."""
    from pyasn1.codec.ber import decoder
    from pysnmp.proto import api

    try:
        version = int(api.decodeMessageVersion(datagram))
        module = api.PROTOCOL_MODULES.get(version)
        if module is None:
            return None
        message, _ = decoder.decode(datagram, asn1Spec=module.Message())
        if not module.apiMessage.get_pdu(message).isSameTypeWith(module.GetRequestPDU()):
            return None
        return Question(module, ("1", "2c")[version], message)
    except Exception:  # whatever pyasn1 makes of any bytes, deep nesting and all
        return None


class Agents:
    """A thread that many agents share. `with Agents() as agents: agents.add(...)`."""

    def __init__(self) -> None:
        self._select = selectors.DefaultSelector()
        self._agents: set[Agent] = set()
        self._lock = threading.Lock()
        self._ended = False
        self._wake, self._bell = socket.socketpair()
        for end in (self._wake, self._bell):
            end.setblocking(False)
        self._select.register(self._bell, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="agents", daemon=True)

    def __enter__(self) -> Agents:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._ring()
        self._thread.join()
        for agent in self._agents:
            agent.close()
        self._select.close()
        self._wake.close()
        self._bell.close()

    def add(
        self, address: str, port: int, says: Says, heard: Callable[[Asked], None] = lambda _: None
    ) -> Agent:
        """An agent at that address; `heard` is told of every question, on the agents' thread. OSError."""
        agent = Agent(address, port, says, heard)
        with self._lock:
            self._agents.add(agent)
            self._select.register(agent.sock, selectors.EVENT_READ, agent)
        self._ring()
        return agent

    def remove(self, agent: Agent) -> None:
        """End one."""
        with self._lock:
            if agent in self._agents:
                self._agents.discard(agent)
                self._select.unregister(agent.sock)
                agent.close()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.send(b".")

    def _run(self) -> None:
        wait: float | None = None
        while not self._ended:
            ready = self._select.select(wait)
            now = time.monotonic()
            with self._lock:
                for key, _ in ready:
                    if key.data is None:
                        with contextlib.suppress(BlockingIOError):
                            self._bell.recv(4096)
                    elif key.data in self._agents:
                        key.data.receive(now)
                due = float("inf")
                for agent in self._agents:
                    if agent.deadline < float("inf"):
                        agent.tick(now)
                        due = min(due, agent.deadline)
            wait = None if due == float("inf") else max(0.0, due - time.monotonic())
