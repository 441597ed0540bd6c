"""The three files of Linux-HA heartbeat, as an old pair of servers has them, read into one frozen object.

`ha.cf` says how the two members watch each other, `haresources` what the active one does, `authkeys` how
they know each other. Pure: bytes in, an object with findings out; nothing raises.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from mv_iptel.config.findings import Finding
from mv_iptel.config.lines import decode

HA_CF, HARESOURCES, AUTHKEYS = "ha.cf", "haresources", "authkeys"
FILES = (HA_CF, HARESOURCES, AUTHKEYS)

# What heartbeat takes where nothing is written, in seconds.
KEEPALIVE, DEADTIME, UDPPORT = 2.0, 30.0, 694
METHODS = ("crc", "md5", "sha1")

# Start scripts of the reference, and what keepalived or systemd do instead: no resource of their own.
OURS = ("mv_ipteld", "mv_watchdogd", "mv_managerd")

_TIMES = ("keepalive", "warntime", "deadtime", "initdead", "deadping")
_FLAGS = {
    "on": True,
    "yes": True,
    "true": True,
    "1": True,
    "off": False,
    "no": False,
    "false": False,
    "0": False,
}
# Known directives that mean nothing to a successor: logs, serial lines, plug-ins of the cluster manager.
_IGNORED = ("logfile", "logfacility", "debugfile", "debug", "use_logd", "baud", "serial", "watchdog", "crm",
            "apiauth", "respawn", "hopfudge", "realtime", "coredumps", "stonith", "stonith_host",
            "conn_logd_time", "compression", "compression_threshold", "autojoin", "uuidfrom", "msgfmt",
            "rtprio", "hbgenmethod", "cluster", "traditional_compression")  # fmt: skip


class Shared(NamedTuple):
    """The address that both members have in turn. Prefix 0 and an empty interface: nobody wrote them."""

    address: str
    prefix: int = 0
    interface: str = ""
    broadcast: str = ""


class Peer(NamedTuple):
    """A way on which the members hear each other: bcast, ucast or mcast, the far address if it has one."""

    kind: str
    interface: str
    address: str = ""


@dataclass(frozen=True, kw_only=True)
class HeartBeat:
    """A pair. `resources` are start scripts besides the reference's own (`programs`)."""

    nodes: tuple[str, ...] = ()
    master: str = ""  # the default one
    shared: tuple[Shared, ...] = ()
    programs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    peers: tuple[Peer, ...] = ()
    ping: tuple[str, ...] = ()  # who does not reach these is cut off, and hands over
    keepalive: float = KEEPALIVE
    warntime: float = 0.0  # 0: not written
    deadtime: float = DEADTIME
    initdead: float = 0.0
    udpport: int = UDPPORT
    failback: bool | None = None  # the default master takes over again as soon as it is back; None: unsaid
    method: str = ""
    key: str = field(default="", repr=False)
    findings: tuple[Finding, ...] = ()


def parse(ha_cf: bytes, haresources: bytes, authkeys: bytes) -> HeartBeat:
    """The three files; an empty one is one that was not there."""
    found: list[Finding] = []
    parts = {**_ha_cf(ha_cf, found), **_haresources(haresources, found), **_authkeys(authkeys, found)}
    pair = HeartBeat(findings=(), **parts)

    def say(file: str, text: str) -> None:
        found.append(Finding(file, 0, "", "", text, "finding"))

    for name, data in zip(FILES, (ha_cf, haresources, authkeys), strict=True):
        if not data.strip():
            say(name, "is empty or not there")
    if ha_cf.strip() and len(pair.nodes) != 2:
        say(HA_CF, f"names {len(pair.nodes)} members, a pair has two")
    if pair.master and pair.nodes and pair.master not in pair.nodes:
        say(HARESOURCES, f"the default master {pair.master} is no `node` of {HA_CF}")
    if haresources.strip() and not pair.shared:
        say(HARESOURCES, "no shared address")
    if pair.deadtime <= pair.keepalive:
        say(HA_CF, f"deadtime {pair.deadtime:g} s is no longer than keepalive {pair.keepalive:g} s")
    found.sort(key=lambda one: (FILES.index(one.file), one.line))
    return HeartBeat(findings=tuple(found), **parts)


def _lines(data: bytes) -> list[tuple[int, str]]:
    """Lines that mean something, with their numbers; a backslash at a line's end goes on with the next."""
    found: list[tuple[int, str]] = []
    open_line = False
    for number, raw in enumerate(decode(data).replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        line = raw.split("#", 1)[0].strip()
        more = line.endswith("\\")
        line = line.rstrip("\\").strip()
        if open_line and found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line}")
        elif line:
            found.append((number, line))
        open_line = more and bool(line or open_line)
    return found


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _ha_cf(data: bytes, found: list[Finding]) -> dict[str, object]:
    parts: dict[str, object] = {}
    nodes: list[str] = []
    peers: list[Peer] = []
    ping: list[str] = []
    for number, line in _lines(data):
        name, *words = line.split()
        key = name.lower()

        def say(text: str, number: int = number, name: str = name) -> None:
            found.append(Finding(HA_CF, number, "", name[:40], text, "finding"))

        if key == "node":
            nodes += [word for word in words if word not in nodes]
        elif key == "bcast":
            peers += [Peer("bcast", word) for word in words]
        elif key in ("ucast", "mcast") and len(words) >= 2 and _address(words[1]):
            peers.append(Peer(key, words[0], _address(words[1])))
        elif key == "ping" or key == "ping_group":
            hosts = words[1:] if key == "ping_group" else words
            ping += [word for word in hosts if word not in ping]
        elif key in _TIMES and len(words) == 1 and (seconds := _seconds(words[0])) is not None:
            if key != "deadping":
                parts[key] = seconds
        elif key == "udpport" and len(words) == 1 and _is_number(words[0]) and 0 < int(words[0]) < 65536:
            parts["udpport"] = int(words[0])
        elif key in ("auto_failback", "nice_failback") and len(words) == 1:
            flag = _FLAGS.get(words[0].lower())
            if flag is None:
                say(f"{words[0][:40]!r} is neither on nor off")
            elif key == "nice_failback":  # nice: whoever is active stays so
                parts["failback"] = not flag
                if flag:
                    say(
                        "is on: the active member stays so when the other one is back, although the "
                        "reference's guide says that the primary takes over again; decide which you want"
                    )
            else:
                parts["failback"] = flag
        elif key not in _IGNORED:
            say("is not understood and not taken over")
    return {**parts, "nodes": tuple(nodes), "peers": tuple(peers), "ping": tuple(ping)}


def _seconds(text: str) -> float | None:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(us|ms|s|)", text.lower())
    return float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}[match[2]] if match else None


def _haresources(data: bytes, found: list[Finding]) -> dict[str, object]:
    master = ""
    shared: list[Shared] = []
    programs: list[str] = []
    resources: list[str] = []
    for number, line in _lines(data):
        first, *words = line.split()

        def say(text: str, number: int = number) -> None:
            found.append(Finding(HARESOURCES, number, "", "", text, "finding"))

        if master and first != master:
            say(f"a second group, of the default master {first[:60]}: a pair has one; taken with the first")
        master = master or first
        for word in words:
            kind, _, rest = word.partition("::")
            if kind.lower() in ("ipaddr", "ipaddr2", "ipv6addr") and rest:
                one = _shared(rest)
            else:
                one = _shared(word) if "::" not in word or _address(word.partition("/")[0]) else None
            if one is not None:
                shared.append(one)
            elif rest and kind.lower() in ("ipaddr", "ipaddr2", "ipv6addr"):
                say(f"{word[:80]} is no address that is understood")
            elif word.rpartition("/")[2].lower() in OURS:
                programs.append(word)
            else:
                resources.append(word)
                say(f"{word[:80]} is a start script of the site's own: carry over by hand what it does")
    return {
        "master": master,
        "shared": tuple(shared),
        "programs": tuple(programs),
        "resources": tuple(resources),
    }


def _shared(text: str) -> Shared | None:
    """`ADDRESS[/PREFIX][/INTERFACE][/BROADCAST]`; the last two in either order."""
    first, *rest = text.split("/")
    address = _address(first)
    if not address:
        return None
    prefix, interface, broadcast = 0, "", ""
    for word in rest:
        if _is_number(word) and int(word) <= (128 if ":" in address else 32):
            prefix = int(word)
        elif _address(word) and word.startswith("255."):
            prefix = ipaddress.ip_network(f"0.0.0.0/{word}").prefixlen if _is_mask(word) else prefix
        elif _address(word):
            broadcast = word
        elif word:
            interface = word.partition(":")[0]
    return Shared(address, prefix, interface, broadcast)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _is_mask(text: str) -> bool:
    try:
        ipaddress.ip_network(f"0.0.0.0/{text}")
    except ValueError:
        return False
    return True


def _authkeys(data: bytes, found: list[Finding]) -> dict[str, object]:
    chosen = ""
    keys: dict[str, tuple[int, str, str]] = {}
    for number, line in _lines(data):
        words = line.split(None, 2)
        if words[0].lower() == "auth" and len(words) > 1:
            chosen = words[1]
        elif words[0].isdigit() and len(words) > 1:
            keys[words[0]] = number, words[1].lower(), words[2].strip() if len(words) > 2 else ""
        else:
            found.append(Finding(AUTHKEYS, number, "", "", "a line that is not understood", "finding"))
    if not chosen and not keys:
        return {}

    def say(number: int, text: str) -> None:
        found.append(Finding(AUTHKEYS, number, "", "", text, "finding"))

    if chosen not in keys:
        say(0, f"`auth {chosen[:20]}` names a key that is not there" if chosen else "no `auth` line")
        return {}
    number, method, key = keys[chosen]
    if method not in METHODS:
        say(number, f"{method[:20]!r} is no method; known are {', '.join(METHODS)}")
        return {}
    if method == "crc":
        say(number, "crc has no secret: everybody on that network could speak for a member; make a password")
        key = ""
    elif not key:
        say(number, f"{method} without its secret")
    return {"method": method, "key": key}
