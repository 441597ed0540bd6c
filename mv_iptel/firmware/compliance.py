"""What each phone runs beside what the live scripts order for it: compliant, pending, stuck or unknown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from mv_iptel.phones.effects import Asked, Effects, anyone, by_mac, effects
from mv_iptel.phones.families import Handset, version_of
from mv_iptel.phones.served import Served
from mv_iptel.phones.whom import Phone, handset_of
from mv_iptel.status.words import span

STATES = ("compliant", "pending", "stuck", "unknown", "silent")
STUCK_SECONDS = 24 * 3600.0  # a phone that restarts each night has read its script since
# What a phone tells so soon after it read its script, or fetched its firmware, may be from before that.
SETTLE_SECONDS = 15 * 60.0

_ENDINGS = re.compile(r"(_sha256)?\.(bin|tar|app|kt|tgz)$|_sha256$", re.IGNORECASE)
_BARE = re.compile(r"[rv]?[0-9]+(?:[._][0-9]+)+", re.IGNORECASE)


class Order(NamedTuple):
    """What scripts order for a phone. `why` says why nothing, if it is nothing."""

    software: str = ""
    file: str = ""  # the script with the line that sets it
    line: int = 0
    since: float = 0.0  # the scripts have not changed since; 0: nobody knows
    groups: tuple[tuple[str, str], ...] = ()  # (GROUP, software) where phones of a group get another one
    why: str = ""


class Known(NamedTuple):
    """What is known of a phone. Times in seconds since the epoch, 0: never, or nobody knows."""

    runs: str = ""
    source: str = ""  # agent, snmp, script
    seen: float = 0.0  # when that was true
    group: str = ""  # empty: nobody knows
    asked: float = 0.0  # when it read an upgrade script last
    got: Mapping[str, float] = {}  # firmware that it fetched whole, folded name -> when


class Verdict(NamedTuple):
    """One of STATES, and a sentence on why."""

    state: str
    text: str


class Orders:
    """What live scripts order, played once for each kind of phone.

    `changed(protocol, name)` tells when a script was changed last, 0 if that is not known.
    """

    def __init__(self, served: Served, changed: Callable[[str, str], float] = lambda protocol, name: 0.0):
        self._served = served
        self._changed = changed
        self._played: dict[Handset, tuple[Effects, Callable[[str], bool]]] = {}

    def of(self, phone: Phone, model: str = "", group: str = "") -> Order:
        """The order for a phone: `model` is as it says it itself (9640D01A), `group` empty if unknown."""
        handset = _handset(phone, model, group)
        if handset is None:
            return Order(
                why=f"nobody knows a model {phone.model}" if phone.model else "its model is not known"
            )
        seen = self._play(handset, phone.mac)
        order = self._order(seen)
        if group:
            return order
        others = []
        for one in sorted(seen.compared.get("GROUP", ()), key=lambda text: text.zfill(3)):
            if one.isascii() and one.isdigit() and int(one) <= 999 and one != "0":
                other = self._order(self._play(replace(handset, group=one), phone.mac))
                if other.software.casefold() != order.software.casefold():
                    others.append((one, other.software))
        return order._replace(groups=tuple(others))

    def by_mac(self, phone: Phone, model: str = "", group: str = "") -> Callable[[str], bool]:
        """Tells which MACs scripts treat otherwise than others of this kind: `of` is asked for each one."""
        handset = _handset(phone, model, group)
        if handset is None:
            return lambda mac: False
        self._play(handset, "")
        return self._played[anyone(handset)][1]

    def _play(self, handset: Handset, mac: str) -> Effects:
        key = anyone(handset)
        found = self._played.get(key)
        if found is None:
            seen = effects(self._served, key, symbolic=True)
            found = self._played[key] = seen, by_mac(seen, self._served)
        seen, known = found
        if mac and known(mac):
            return effects(self._served, replace(handset, mac=mac), symbolic=True)
        return seen

    def _order(self, seen: Effects) -> Order:
        if not seen.start:
            return Order(why=f"there is no {' or '.join(seen.family.scripts)}")
        if seen.restless:
            return Order(why=f"{seen.start} sends it from one software to the next for ever")
        software = seen.handset.runs
        line = next((one for one in seen.asked if _orders(one, software)), None)
        if line is None:
            return Order(why=f"{seen.start} orders no firmware for it")
        changed = [self._changed(seen.protocol, name) for name in {seen.start, line.file}]
        return Order(line.name, line.file, line.line, max(changed) if all(changed) else 0.0)


def judge(known: Known, order: Order, now: float, stuck: float = STUCK_SECONDS) -> Verdict:
    """What is to be said of a phone that tells what it is."""
    if not order.software:
        return Verdict("unknown", order.why)
    if not known.runs:
        return Verdict("unknown", "nothing tells what it runs")
    if (same := is_same(known.runs, order.software)) is None:
        return Verdict("unknown", f"{known.runs} and {order.software} cannot be compared")
    if same:
        text = "it runs what is ordered"
        if order.groups:
            text += "; its GROUP is not told, 0 is assumed"
        return Verdict("compliant", text)
    for group, software in order.groups:
        if is_same(known.runs, software):
            return Verdict("unknown", f"it runs what GROUP {group} is ordered; its own GROUP is not told")
    return _old(known, order, now, stuck)


def _old(known: Known, order: Order, now: float, stuck: float) -> Verdict:
    """It runs something else than what is ordered: not yet, or still?"""
    got = known.got.get(order.software.casefold(), 0.0)
    if got and got > order.since and known.seen > got + SETTLE_SECONDS:
        return Verdict("stuck", f"it fetched {order.software} {_ago(now - got)} and does not run it")
    long = f"ordered {_ago(now - order.since)}" if order.since else "ordered nobody knows how long ago"
    if known.asked <= order.since:
        return Verdict("pending", f"{long}; it has not asked for its script since")
    asked = f"it read its script {_ago(now - known.asked)}"
    if now - order.since >= stuck and known.seen > known.asked + SETTLE_SECONDS:
        return Verdict("stuck", f"{long}; {asked}, and has not loaded {order.software}")
    return Verdict("pending", f"{long}; {asked}")


@lru_cache(maxsize=1 << 12)
def is_same(told: str, ordered: str) -> bool | None:
    """Whether what a phone says it runs is the file that is ordered; None: the two cannot be compared.

    A phone may say the file's name, with or without its ending, or only the version.
    """
    one, other = (_ENDINGS.sub("", name.strip().casefold()) for name in (told, ordered))
    if one == other:
        return True
    if _BARE.fullmatch(one):
        version = version_of(ordered)
        return _numbers(one) == _numbers(version) if version else None
    return False


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"[0-9]+", version)]


def _handset(phone: Phone, model: str, group: str) -> Handset | None:
    """Any phone of this kind, as it can be played; None if nobody knows its model."""
    handset = handset_of(phone._replace(mac="", group=group or "0"))
    if handset and "MODEL" in handset.family.variables and model and model != handset.model:
        return replace(handset, facts=(("MODEL", model),))
    return handset


def _orders(asked: Asked, software: str) -> bool:
    return asked.kind == "software" and asked.name.casefold() == software.casefold()


def _ago(seconds: float) -> str:
    return f"{span(max(0.0, seconds))} ago"
