"""How a storm of phones went: each phone, and the figures over all of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


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
    stored: bool = False  # its user data, where the plan says so
    restored: bool = False  # ... and it came back octet for octet
    saving: float = 0.0  # the seconds that both took together
    group: str = "0"
    runs: str = ""  # the application file in its flash when it was ready or had failed


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
    backups: bool = False  # whether user data was part of it

    @property
    def failed(self) -> list[Outcome]:
        """Phones that were not ready in time or got a wrong byte."""
        return [phone for phone in self.phones if not phone.ready]

    def boot_seconds(self, protocol: str = "") -> dict[str, float]:
        """Boot times of the ready phones, of one protocol or of all: what half of them did not exceed, ..."""
        mine = [phone for phone in self.phones if phone.ready and protocol in ("", phone.protocol)]
        return spread([phone.seconds for phone in mine])

    def saved(self) -> dict[str, Any]:
        """How the user data fared, for all phones that got so far as to store it."""
        stored = sum(phone.stored for phone in self.phones)
        restored = sum(phone.restored for phone in self.phones)
        return {
            "stored": stored, "restored": restored, "failed": len(self.phones) - restored,
            "seconds": spread([phone.saving for phone in self.phones if phone.restored]),
        }  # fmt: skip

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
            "by_firmware": dict(sorted(Counter(phone.runs for phone in self.phones).items())),
            "repeated": {name: self.repeated[name] for name in ("rrq", "ack", "busy", "connect", "reset")},
            "dropped": self.dropped, "unverified": self.unverified,
            "user_data": self.saved() if self.backups else None,
            "failures": [
                {"address": phone.address, "model": phone.model, "protocol": phone.protocol,
                 "group": phone.group, "why": phone.why}
                for phone in self.failed[:100]
            ],
        }  # fmt: skip


def spread(times: list[float]) -> dict[str, float]:
    """What half of these times did not exceed, and so on."""
    times = sorted(times) or [0.0]
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(times[math.ceil(share * len(times)) - 1], 3) for name, share in shares.items()}
