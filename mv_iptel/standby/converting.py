"""From heartbeat's three files to one configuration of keepalived, the same on both servers.

Each thing that stood there gets a row: taken as it was, changed (and why), or a decision for the
administrator. Pure: an object in, text and rows out.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mv_iptel.heartbeat import HeartBeat, Shared

TAKEN, CHANGED, DECISION, DROPPED = "taken", "changed", "decision", "dropped"

# One that fails the check has less than the other has, and one that is merely cut off from the gateway too.
EQUAL, PREFERRED, FAILED, CUT = 100, 110, -50, -25
ADVERTS = 0.5  # seconds between two signs of life; without three of them the other one takes over
LIMIT = 3  # seconds that the check may take

NODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
SCRIPTS = "/opt/mv-iptel/share/mv-iptel/keepalived"
USER = "mv-iptel mvuser"


class Row(NamedTuple):
    """What became of one thing."""

    file: str
    what: str
    value: str
    outcome: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the old files do not say."""

    interface: str = ""
    addresses: Mapping[str, str] | None = None  # of each node, its own
    router_id: int = 0
    scripts: str = SCRIPTS
    user: str = USER


class Converted(NamedTuple):
    """The file, and the rows that tell how it came about."""

    text: str
    rows: list[Row]

    @property
    def decisions(self) -> list[Row]:
        """What the administrator has to look at."""
        return [row for row in self.rows if row.outcome == DECISION]


Say = Callable[[str, str, object, str, str], None]


class NotConverted(Exception):
    """What is missing; the argument says what to write."""


def convert(pair: HeartBeat, wishes: Wishes = Wishes()) -> Converted:
    """One file for both. Raises NotConverted where nothing usable could come of it."""
    rows: list[Row] = []

    def row(file: str, what: str, value: object, outcome: str, text: str) -> None:
        rows.append(Row(file, what, str(value), outcome, text))

    nodes = _nodes(pair)
    if not pair.shared:
        raise NotConverted("haresources names no shared address: nothing would move between the servers")
    heard = _heard(pair, wishes, row)
    number = _router_id(pair.shared[0], wishes, row)
    own = _own(nodes, wishes, row)
    row("ha.cf", "node", " ".join(nodes), TAKEN,
        "in lines that begin with @; keepalived goes by the first part of what `uname -n` says")  # fmt: skip
    priorities = _priorities(pair, nodes, row)
    _times(pair, row)
    lines = [_HEAD.format(user=wishes.user), *_check(wishes)]
    gateways = _gateways(pair, row)
    if gateways:
        lines += _ping(gateways, wishes)
    lines += _instance(pair, heard, number, nodes, own, priorities, bool(gateways), wishes)
    _programs(pair, row)
    _auth(pair, bool(own), row)
    return Converted("\n".join(lines) + "\n", rows)


_HEAD = """\
# keepalived for a pair of mv-iptel servers with one shared address. The same file on both: a line that
# begins with @NODE counts on that server only (keepalived goes by the host's name, or by -i NODE).
# What the numbers mean and how to try it: docs/standby.md

global_defs {{
    script_user {user}
    enable_script_security
    vrrp_version 3
    # Who was alone for a while says once more who has the address, when the other one is back.
    vrrp_garp_lower_prio_repeat 3
    vrrp_garp_master_refresh 30
    vrrp_higher_prio_send_advert true
}}
"""


def _check(wishes: Wishes) -> list[str]:
    return [
        "# A real download over TLS and one over TFTP. It fails where nobody listens twice, and where the",
        f"# file is not there after {LIMIT} s.",
        "vrrp_script mv_iptel {",
        f'    script "{wishes.scripts}/check.sh --limit {LIMIT}"',
        "    interval 1",
        f"    timeout {LIMIT + 2}",
        "    fall 1",
        "    rise 3",
        f"    weight {FAILED}",
        "    init_fail",
        "}",
        "",
    ]


def _ping(hosts: list[str], wishes: Wishes) -> list[str]:
    return [
        "# Who reaches none of these is cut off.",
        "vrrp_script gateway {",
        f'    script "{wishes.scripts}/reach.sh {" ".join(hosts)}"',
        "    interval 2",
        "    timeout 5",
        "    fall 2",
        "    rise 2",
        f"    weight {CUT}",
        "}",
        "",
    ]


def _instance(
    pair: HeartBeat, heard: str, number: int, nodes: list[str], own: Mapping[str, str],
    priorities: Mapping[str, int], gateways: bool, wishes: Wishes,
) -> list[str]:  # fmt: skip
    first, *more = pair.shared
    six = ":" in first.address
    lines = ["vrrp_instance mv_iptel {", "    state BACKUP", f"    interface {heard}"]
    devices = dict.fromkeys(one.interface for one in pair.shared if one.interface not in ("", heard))
    if devices:
        lines += ["    track_interface {", *(f"        {device}" for device in devices), "    }"]
    lines += [f"    virtual_router_id {number}"]
    if len(set(priorities.values())) == 1:
        lines += ["    # Equal: whoever is active stays so when the other one is back.",
                  f"    priority {EQUAL}"]  # fmt: skip
    else:
        lines += [f"    @{node} priority {priorities[node]}" for node in nodes]
    lines += [f"    advert_int {ADVERTS:g}"]
    if own:
        lines += [f"    @{node} unicast_src_ip {own[node]}" for node in nodes]
        lines += ["    unicast_peer {", *(f"        @^{node} {own[node]}" for node in nodes), "    }"]
    lines += [
        "    virtual_ipaddress {",
        *map(_address, [first, *(one for one in more if (":" in one.address) == six)]),
    ]
    lines += ["    }"]
    others = [one for one in more if (":" in one.address) != six]
    if others:
        lines += ["    virtual_ipaddress_excluded {", *map(_address, others), "    }"]
    lines += ["    track_script {", "        mv_iptel", *(["        gateway"] if gateways else []), "    }"]
    return [*lines, f'    notify "{wishes.scripts}/notify.sh"', "}"]


def _address(one: Shared) -> str:
    prefix = one.prefix or (128 if ":" in one.address else 32)
    broadcast = f" brd {one.broadcast}" if one.broadcast else ""
    device = f" dev {one.interface}" if one.interface else ""
    return f"        {one.address}/{prefix}{broadcast}{device}"


def _nodes(pair: HeartBeat) -> list[str]:
    nodes = list(dict.fromkeys(node.partition(".")[0] for node in pair.nodes))
    for node in nodes:
        if not NODE.fullmatch(node):
            raise NotConverted(f"ha.cf: {node[:70]!r} is no host name")
    if len(nodes) != 2:
        raise NotConverted(f"ha.cf names {len(nodes)} members; a pair has two: one `node` line for each")
    return nodes


def _heard(pair: HeartBeat, wishes: Wishes, row: Say) -> str:
    """The interface on which they hear each other."""
    ways = list(dict.fromkeys(one.interface for one in pair.peers))
    holds = [one.interface for one in pair.shared if one.interface]
    chosen = wishes.interface or next(iter([*ways, *holds]), "")
    for name in [chosen, *holds]:
        if name and not INTERFACE.fullmatch(name):
            raise NotConverted(f"{name[:40]!r} is no name of an interface")
    if not chosen:
        raise NotConverted("the files name no interface: give it with --interface")
    told = " ".join(f"{one.kind} {one.interface} {one.address}".strip() for one in pair.peers)
    if wishes.interface and wishes.interface not in ways:
        text = f"{chosen}, as you say"
    else:
        text = f"{chosen}; look whether it is still called that (`ip link`)"
    row("ha.cf", "bcast, ucast, mcast", told, TAKEN if wishes.interface else DECISION, text)
    if len(ways) > 1 and not wishes.interface:
        row("ha.cf", "bcast, ucast, mcast", " ".join(ways[1:]), DECISION,
            "keepalived listens on one interface: join these two as a bond, or do without")  # fmt: skip
    for one in pair.shared:
        where = one.interface or chosen
        size = one.prefix or (128 if ":" in one.address else 32)
        row("haresources", "shared address", one.address, TAKEN,
            f"{one.address}/{size} on {where}; BindAddress of both servers must be all")  # fmt: skip
        if not one.interface and not wishes.interface and chosen in ways:
            row("haresources", "shared address", one.address, DECISION,
                f"no interface was written: if {chosen} is a line between the two servers only, write "
                f"`dev` and the phones' interface behind the address")  # fmt: skip
    return chosen


def _router_id(first: Shared, wishes: Wishes, row: Say) -> int:
    last = ipaddress.ip_address(first.address).packed[-1]
    number = wishes.router_id or last or 1
    row("", "virtual_router_id", number, TAKEN if wishes.router_id else DECISION,
        "no other pair on this network may have it (1 to 255); it is the address's last octet"
        if not wishes.router_id else "as you say")  # fmt: skip
    return number


def _own(nodes: list[str], wishes: Wishes, row: Say) -> dict[str, str]:
    """Each server's own address, if both are known."""
    given = {name.partition(".")[0].casefold(): address for name, address in (wishes.addresses or {}).items()}
    own = {node: given.pop(node.casefold()) for node in nodes if node.casefold() in given}
    if given:
        raise NotConverted(f"no `node` of ha.cf is called {', '.join(sorted(given))}")
    if own and len(own) < 2:
        raise NotConverted("the own addresses of both servers are wanted, or of none")
    told = ", ".join(f"{node} {address}" for node, address in own.items())
    row("", "own addresses", told, TAKEN if own else CHANGED,
        "they tell each other their state directly (unicast)" if own else
        "not known: they use multicast; with --address NODE=ADDRESS twice they need none")  # fmt: skip
    both = ",".join(own.values()) or "both servers' own addresses"
    row("46xxsettings.txt", "SNMPADD", both, DECISION,
        "must name both: questions leave from the own address of the active server")  # fmt: skip
    return own


def _priorities(pair: HeartBeat, nodes: list[str], row: Say) -> dict[str, int]:
    master = pair.master.partition(".")[0]
    if pair.failback is False or master not in nodes:
        row("haresources", "default master", master, CHANGED,
            "counts no more: both have the same priority, and whoever is active stays so; if both start "
            "together it is the one with the higher own address")  # fmt: skip
        row(
            "ha.cf",
            "nice_failback",
            "on" if pair.failback is False else "",
            TAKEN,
            "the same priority for both",
        )
        return dict.fromkeys(nodes, EQUAL)
    text = f"{master} takes over again as soon as it is back"
    if pair.failback:
        row("ha.cf", "auto_failback", "on", TAKEN, text)
    else:
        text += "; each change cuts transfers: with `nice_failback on` the active one stays"
        row("ha.cf", "auto_failback", "", DECISION, text)
    row("haresources", "default master", master, TAKEN, f"priority {PREFERRED}, the other one {EQUAL}")
    return {node: PREFERRED if node == master else EQUAL for node in nodes}


def _times(pair: HeartBeat, row: Say) -> None:
    row("ha.cf", "keepalive", f"{pair.keepalive:g}", CHANGED, f"{ADVERTS:g} s between two signs of life")
    row("ha.cf", "deadtime", f"{pair.deadtime:g}", CHANGED,
        f"about {4 * ADVERTS:g} s: phones give up sooner than {pair.deadtime:g} s")  # fmt: skip
    for name, value in (("warntime", pair.warntime), ("initdead", pair.initdead)):
        if value:
            row("ha.cf", name, f"{value:g}", DROPPED,
                "there is no such warning" if name == "warntime"
                else "a server that starts has failed until its first good download")  # fmt: skip
    row("ha.cf", "udpport", pair.udpport, DROPPED,
        "VRRP is IP protocol 112 and has no port; let it pass between the two servers")  # fmt: skip


def _gateways(pair: HeartBeat, row: Say) -> list[str]:
    found = [host for host in pair.ping if _is_host(host)]
    if found:
        row("ha.cf", "ping", " ".join(found), TAKEN,
            "who reaches none of these hands over, but only to one that does")  # fmt: skip
    for host in pair.ping:
        if host not in found:
            row("ha.cf", "ping", host[:60], DROPPED, "neither an address nor a host name")
    return found


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(text) and all(NODE.fullmatch(part) for part in text.split("."))
    return True


def _programs(pair: HeartBeat, row: Say) -> None:
    for name in pair.programs:
        row("haresources", name.rpartition("/")[2], "", CHANGED,
            "runs on both servers all the time, started by systemd; only the address moves")  # fmt: skip
    for name in pair.resources:
        row("haresources", name, "", DECISION,
            "a start script of your own: what it does belongs into notify.local")  # fmt: skip


def _auth(pair: HeartBeat, unicast: bool, row: Say) -> None:
    outcome = DECISION if pair.method in ("md5", "sha1") else DROPPED
    text = "VRRP 3 has no signature: let IP protocol 112 pass between the two servers only (firewall)"
    row(
        "authkeys",
        pair.method or "no key",
        "",
        outcome,
        text + ("" if unicast else ", or keep multicast within their network"),
    )
