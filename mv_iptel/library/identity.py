"""Identity: which phone is this? Everything that a request, its address and the recent past can tell."""

from __future__ import annotations

import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from mv_iptel.library.answers import NOBODY, Phone

RECENT = 15 * 60.0  # seconds for which an address is what it showed last (DESIGN section 5)
KEPT = 100_000  # phones' addresses remembered at most
STRANGERS = 4096  # addresses remembered at most that told nothing of themselves
AGENT_MAX = 256  # characters of a User-Agent that are looked at
NEIGHBOURS = 30.0  # seconds between two looks at the neighbour table
_ARP = Path("/proc/net/arp")

_MAC = re.compile(
    r"(?<![0-9A-Fa-f.])([0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{12})(?![0-9A-Fa-f.])"
)

# What the makers' phones say of themselves (reference: phones 1.4 and 12). Groups: model, version.
_AGENTS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"AVAYA/(?P<model>[A-Z]*\d{2,4}[A-Za-z0-9]{0,8})[-/ ]v?(?P<version>[A-Za-z]{0,4}\d[\w.]*)",
        r"AVAYA/(?P<model>SIP\d\d[\dx]{2})[^/]{0,2}/(?P<version>\d[\w.]*)",
        r"AVAYA[/ ](?P<model>[\w-]{2,24})",
        r"yealink (?:SIP[-_ ])?(?P<model>[\w-]+) (?P<version>\d[\d.]+)",
        r"\b(?P<model>VP530|W52P) (?P<version>\d[\d.]+)",
        r"Polycom\w*-(?P<model>[\w]+)-UA/(?P<version>\d[\d.]+)",
        r"(?P<model>snom ?\w+)(?:-SIP)? (?P<version>\d[\d.]+)",
        r"Grandstream Model HW (?P<model>\w+)(?: V\w[\w.]*)? SW (?P<version>\d[\d.]+)",
        r"Fanvil (?P<model>[\w-]+) (?P<version>\d[\d.]+)",
        r"(?P<model>(?:Mitel|Aastra) ?\w+) .*?V:(?P<version>\d[\w.-]+)",
        r"Panasonic[_ ](?P<model>[\w-]+)/(?P<version>\d[\d.]+)",
        r"Gigaset (?P<model>N\d+[\w ]*?)/(?P<version>\d[\w.+]+)",
        r"(?P<model>N\d{3} IP PRO)/(?P<version>\d[\d.]+)",
        r"(?P<model>Alcatel IP Touch \w+|ALE [\w-]+)[/ ](?P<version>\d[\d.]+)",
        r"Cisco[-/](?P<model>(?:CP-)?\w+?(?:-3PCC)?)[-/](?P<version>\d[\w.]+)",
        r"(?P<model>Htek \w+) V?(?P<version>\d[\d.]+)",
    )
)


@lru_cache(maxsize=4096)
def of_agent(agent: str) -> Phone:
    """The phone that a User-Agent names; `NOBODY` if it names none."""
    text = agent[:256]
    mac = ""
    found = _MAC.search(text)
    if found:
        mac = found[1].replace(":", "").replace("-", "").lower()
        mac = mac if mac.strip("0") else ""
    for form in _AGENTS:
        match = form.search(text)
        if match:
            parts = match.groupdict()
            return Phone(mac, "", parts["model"], parts.get("version") or "", "agent")
    return Phone(mac, source="agent") if mac else NOBODY


class _Seen:
    """What one address showed, and when."""

    __slots__ = ("agent", "answer", "mac", "phone", "said", "twins", "when")

    def __init__(self, when: float):
        self.agent = ""
        self.answer = NOBODY  # what the last request was told
        self.phone = NOBODY
        self.said = ("", when)  # the model that a User-Agent named last, and when
        self.mac = ""
        self.when = when
        self.twins = False  # two MACs within `RECENT`: a NAT, so the past says nothing


class Identity:
    """What the addresses showed lately. Used by all protocols' threads; entries are replaced whole."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        # Apart, so that forged addresses neither push phones out nor cost memory: agent, time.
        self._strangers: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._neighbours: dict[str, str] = {}
        self._looked = float("-inf")

    def identify(self, address: str, agent: str, mac: str = "", ext: str = "", learn: bool = True) -> Phone:
        """The phone behind one request: its own words first, then the neighbour table, then the recent past.

        `mac` and `ext` are what the name carries. With `learn`, the address is remembered with the answer.
        """
        now = self._now()
        agent = agent[:AGENT_MAX]
        seen = self._seen.get(address)
        if seen is None:
            stranger = self._strangers.get(address)
            if stranger and not (mac or ext) and agent == stranger[0] and now - stranger[1] < 1.0:
                return NOBODY
        elif now - seen.when > RECENT:
            seen = None
        fresh = seen is not None and now - seen.when < 1.0 and agent == seen.agent
        if fresh and not (mac or ext or seen.twins):
            return seen.answer  # the usual case: the next request of a boot
        said = of_agent(agent) if agent else NOBODY
        sources = []
        if said is not NOBODY:
            sources.append("agent")
        if mac or ext:
            sources.append("name")
        own = said.mac or mac
        neighbour = "" if own else self.neighbour(address)
        if neighbour:
            sources.append("neighbour")
        phone = Phone(own or neighbour, ext, said.model, said.version)
        if seen is not None and not seen.twins and (not phone.mac or seen.mac in ("", phone.mac)):
            past = seen.phone
            filled = Phone(
                phone.mac or past.mac,
                phone.ext or past.ext,
                phone.model or past.model,
                phone.version or past.version,
            )
            if filled != phone:
                sources.append("recent")
                phone = filled
        phone = phone._replace(source="+".join(sources)) if phone != NOBODY else NOBODY
        if learn:
            self._learn(address, agent, phone, seen, now, said.model)
        return phone

    def _learn(
        self, address: str, agent: str, phone: Phone, seen: _Seen | None, now: float, model: str = ""
    ) -> None:
        if seen is None:
            if phone == NOBODY:
                _keep(self._strangers, address, (agent, now), STRANGERS)
                return
            self._strangers.pop(address, None)
            seen = _Seen(now)
        elif phone.mac and seen.mac and phone.mac != seen.mac:
            seen.twins = True
        _keep(self._seen, address, seen, KEPT)
        # Whole values are set, so that another thread never sees half of them.
        seen.agent, seen.answer, seen.when = agent, phone, now
        seen.phone = phone._replace(source="recent") if phone != NOBODY else NOBODY
        seen.mac = phone.mac or seen.mac
        if model:
            seen.said = (model, now)

    def recent(self, address: str) -> Phone | None:
        """What this one phone showed lately; None: nothing, or two phones were seen behind the address."""
        seen = self._seen.get(address)
        if seen is None or seen.twins or self._now() - seen.when > RECENT:
            return None
        return seen.phone

    def showed(self, address: str) -> str:
        """The model that this one phone's own requests named lately, not what its agent answered; or nothing.

        So an address that is given to another phone is not held to what the first one answered.
        """
        seen = self._seen.get(address)
        if seen is None or seen.twins:
            return ""
        model, when = seen.said
        return model if self._now() - when <= RECENT else ""

    def tell(self, address: str, phone: Phone) -> None:
        """What the phone at an address proved by SNMP: from now on its address stands for it."""
        now = self._now()
        seen = self._seen.get(address)
        if seen is not None and now - seen.when > RECENT:
            seen = None
        self._learn(address, seen.agent if seen else "", phone, seen, now)

    def preload(self, rows: Iterable[tuple[str, Phone, float]]) -> None:
        """Sightings from before the start: (address, phone, seconds ago)."""
        now = self._now()
        for address, phone, ago in rows:
            if ago <= RECENT:
                seen = self._seen[address] = _Seen(now - ago)
                seen.phone, seen.mac = phone._replace(source="recent"), phone.mac

    def neighbour(self, address: str) -> str:
        """The MAC of an address on the same link, or an empty string.

        From the kernel's table for IPv4, from the address itself for IPv6 with an EUI-64 (RFC 4291 2.5.1).
        """
        if ":" in address:
            return _eui64(address)
        now = self._now()
        if now - self._looked > NEIGHBOURS:
            self._looked = now
            self._neighbours = _arp()
        return self._neighbours.get(address, "")


def _keep(table: OrderedDict[str, Any], address: str, value: object, most: int) -> None:
    """Remember a value as the latest, and forget the one that was not seen for longest."""
    table.pop(address, None)
    table[address] = value
    if len(table) > most:
        table.popitem(last=False)


def _eui64(address: str) -> str:
    try:
        low = ipaddress.IPv6Address(address.partition("%")[0]).packed[8:]
    except ValueError:
        return ""
    if low[3:5] != b"\xff\xfe" or not low[0] & 2:
        return ""
    return (bytes((low[0] ^ 2,)) + low[1:3] + low[5:]).hex()


def _arp() -> dict[str, str]:
    try:
        lines = _ARP.read_text("ascii", "replace").splitlines()[1:]
    except OSError:
        return {}
    table = {}
    for line in lines:
        fields = line.split()
        # Flag 2: the entry is complete (linux/if_arp.h, ATF_COM).
        if len(fields) >= 4 and int(fields[2], 16) & 2:
            table[fields[0]] = fields[3].replace(":", "").lower()
    return table
