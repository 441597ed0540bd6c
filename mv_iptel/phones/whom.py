"""Whom a change of scripts and settings touches: every phone judged, told in a handful of groups.

Phones that nothing distinguishes are played once: fifty thousand of them are a few hundred kinds.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from mv_iptel.phones.differences import KINDS, Change, Difference, Lines, Trouble, difference
from mv_iptel.phones.effects import Effects, alike, anyone, by_mac, effects
from mv_iptel.phones.families import FAMILIES, MODELS, Handset
from mv_iptel.phones.served import PROTOCOLS, Served

_MODELS = {model.casefold(): model for model in MODELS}


class Phone(NamedTuple):
    """What of a phone can matter to a script."""

    model: str
    mac: str = ""  # twelve lower-case hex digits, or nobody knows
    group: str = "0"
    signalling: str = ""


class Kind(NamedTuple):
    """Phones that scripts cannot tell apart; with a MAC it is one phone that they know by name."""

    family: str
    model: str
    group: str
    mac: str = ""


class Told(NamedTuple):
    """One thing that changes: what it is, and the kinds of phones that it happens to."""

    what: Trouble | Change
    kinds: frozenset[Kind]
    lines: frozenset[Lines] = frozenset()


class Block(NamedTuple):
    """Everything that happens to the same kinds of phones."""

    kinds: frozenset[Kind]
    phones: int  # that are known; supposed ones do not count
    told: tuple[Told, ...]


@dataclass
class Comparison:
    """What would be otherwise. Blocks with the most phones come first."""

    breaks: list[Block] = field(default_factory=list)
    mends: list[Block] = field(default_factory=list)
    changes: list[Block] = field(default_factory=list)
    kinds: Counter[Kind] = field(default_factory=Counter)  # every kind that was judged, with its phones
    strange: Counter[str] = field(default_factory=Counter)  # models that nobody knows
    scriptless: set[Kind] = field(default_factory=set)  # they find no upgrade script, then or now
    played: int = 0

    def __bool__(self) -> bool:
        return bool(self.breaks or self.mends or self.changes)

    def count(self, kinds: Iterable[Kind]) -> int:
        return sum(self.kinds[kind] for kind in kinds)


def compare(
    old: Served, new: Served, phones: Iterable[Phone], groups: Iterable[str] | None = ()
) -> Comparison:
    """Judge these phones before and after.

    The phones of each model are also supposed to be in these `groups`; None stands for every group that
    scripts ask for.
    """
    return _Comparing(old, new).run(phones, groups)


class _Comparing:
    def __init__(self, old: Served, new: Served):
        self.old, self.new = old, new
        self.found = Comparison()
        self.differences: dict[Kind, Difference] = {}
        self._thought_of: set[Phone] = set()  # supposed ones: each group's scripts may ask for all the others
        self._same: dict[tuple[str, str, bool], bool] = {}
        self._played: dict[str, list[tuple[Effects, Effects]]] = defaultdict(list)  # by family

    def run(self, phones: Iterable[Phone], groups: Iterable[str] | None) -> Comparison:
        everyone: dict[Phone, Counter[str]] = defaultdict(Counter)
        for model, mac, group, signalling in phones:
            everyone[Phone(model, "", group, signalling)][mac] += 1
        todo: list[Phone] = []
        for phone, macs in everyone.items():
            handset = handset_of(phone)
            if handset is None:
                self.found.strange[phone.model] += macs.total()
                continue
            tested = self._judge(handset, macs)
            todo += self._supposed(handset, phone, groups if groups is not None else tested)
        while todo:
            phone = todo.pop()
            handset = handset_of(phone)
            assert handset, "its model was played already"
            if Kind(handset.family.name, handset.model, phone.group) in self.differences:
                continue
            tested = self._judge(handset, Counter())
            todo += self._supposed(handset, phone, tested if groups is None else ())
        return self._gather()

    def _supposed(self, handset: Handset, phone: Phone, groups: Iterable[str]) -> list[Phone]:
        every = (Phone(handset.model, "", group, phone.signalling) for group in groups)
        new = [one for one in every if one not in self._thought_of]
        self._thought_of.update(new)
        return new

    def _judge(self, handset: Handset, macs: Counter[str]) -> set[str]:
        """Play one kind, and those of it that scripts know by MAC; tells which groups scripts ask for."""
        before, after = self._like(anyone(handset))
        rest = macs.total()
        family = handset.family.name
        if any(one.templates or "MACADDR" in one.compared for one in (before, after)):
            then, now = by_mac(before, self.old), by_mac(after, self.new)
            for mac, count in macs.items():
                if mac and (then(mac) or now(mac)):
                    rest -= count
                    kind = Kind(family, handset.model, handset.group, mac)
                    self._note(kind, count, *self._pair(replace(handset, mac=mac)))
        kind = Kind(family, handset.model, handset.group)
        if rest or not macs:
            self._note(kind, rest, before, after)
        asked = before.compared.get("GROUP", set()) | after.compared.get("GROUP", set())
        return {group for group in asked if group.isascii() and group.isdigit() and int(group) <= 999}

    def _like(self, handset: Handset) -> tuple[Effects, Effects]:
        """Both outcomes, of a phone that was played already if this one would take the same way."""
        played = self._played[handset.family.name]
        for before, after in played:
            if alike(before, handset) and alike(after, handset):
                return before, after
        played.append(self._pair(handset))
        return played[-1]

    def _pair(self, handset: Handset) -> tuple[Effects, Effects]:
        before = effects(self.old, handset, symbolic=True)
        self.found.played += 1
        if self._unchanged(before):
            return before, before
        self.found.played += 1
        return before, effects(self.new, handset, symbolic=True)

    def _unchanged(self, seen: Effects) -> bool:
        """Whether every file that it asked for is the same now: then so is all else."""
        if not seen.start or self.old.start != self.new.start:
            return False
        scripts = seen.family.scripts if not seen.direct else (seen.start,)
        # Of firmware and named files it counts whether they are there, not what is in them.
        names = {(asked.name, False) for asked in seen.asked}
        names |= {(script, True) for script in (*scripts, *seen.looked_for)}
        return all(self._is_same(protocol, *each) for protocol in PROTOCOLS for each in names)

    def _is_same(self, protocol: str, name: str, read: bool) -> bool:
        key = protocol, name.casefold(), read
        if key not in self._same:
            there = self.old.has(protocol, name), self.new.has(protocol, name)
            self._same[key] = there[0] == there[1] and (
                not read or self.old.content(protocol, name) == self.new.content(protocol, name)
            )
        return self._same[key]

    def _note(self, kind: Kind, count: int, before: Effects, after: Effects) -> None:
        self.found.kinds[kind] += count
        self.differences[kind] = Difference() if before is after else difference(before, after)
        if not before.start and not after.start:
            self.found.scriptless.add(kind)

    def _gather(self) -> Comparison:
        found = self.found
        parts: dict[str, tuple[dict[Trouble | Change, set[Kind]], dict[Trouble | Change, set[Lines]]]]
        parts = {name: (defaultdict(set), defaultdict(set)) for name in ("breaks", "mends", "changes")}
        for kind, each in self.differences.items():
            for name in ("breaks", "mends"):
                for trouble in getattr(each, name):
                    # The same trouble comes from another line on another phone.
                    what: Trouble | Change = trouble._replace(file="", line=0)
                    parts[name][0][what].add(kind)
                    place = (trouble.file, trouble.line) if trouble.file else None
                    parts[name][1][what].add(Lines(None, place))
            for what, where in each.changes:
                parts["changes"][0][what].add(kind)
                parts["changes"][1][what].add(where)
        for name, (kinds_of, lines) in parts.items():
            told = (Told(what, frozenset(kinds), frozenset(lines[what])) for what, kinds in kinds_of.items())
            getattr(found, name).extend(self._blocks(told))
        return found

    def _blocks(self, told: Iterable[Told]) -> Iterator[Block]:
        """What happens to the same kinds, together."""
        together: dict[frozenset[Kind], list[Told]] = defaultdict(list)
        for each in told:
            together[each.kinds].append(each)
        blocks = [
            Block(kinds, self.found.count(kinds), tuple(sorted(each, key=_order)))
            for kinds, each in together.items()
        ]
        # The gravest first, then what touches the most phones.
        return iter(sorted(blocks, key=lambda each: (_order(each.told[0])[0], -each.phones, -len(each.kinds),
                                                     sorted(each.kinds))))  # fmt: skip


_SORTS = ("effective", "rejected", "ignored", "unknown")


def _order(told: Told) -> tuple[int, str]:
    what = told.what
    if isinstance(what, Trouble):
        return KINDS.index(what.kind), what.text
    return _SORTS.index(what.sort), what.name


def handset_of(phone: Phone) -> Handset | None:
    """The phone as it can be played; None if nobody knows its model."""
    model = _MODELS.get(phone.model.casefold())
    if model is None:
        return None
    handset = Handset(model, group=phone.group, signalling=phone.signalling)
    if phone.mac:
        handset = replace(handset, mac=phone.mac)
    try:
        _ = handset.family
    except ValueError:
        return None
    return handset


_SIGNALLING: dict[str, set[str]] = defaultdict(set)  # upgrade script -> what its phones speak
for _family in FAMILIES.values():
    for _script in _family.scripts:
        _SIGNALLING[_script.casefold()].add(_family.signalling)
_LONG = re.compile(r"D\d\d[A-Z]?$", re.I)  # a 9620D01A is a 9620


def phones_of(rows: Iterable[Mapping[str, Any]], scripts: Mapping[str, str]) -> list[Phone]:
    """The inventory's phones. `scripts` is the upgrade script that each read last, by its key."""
    return [
        _told(row["model"], scripts.get(row["key"], ""), row["runs"])._replace(mac=row["mac"]) for row in rows
    ]


@lru_cache(maxsize=1 << 12)
def _told(model: str, script: str, runs: str) -> Phone:
    """What model, last upgrade script and firmware tell of a phone."""
    speaks = _SIGNALLING.get(script.replace("\\", "/").rpartition("/")[2].casefold(), set())
    if len(speaks) == 1:
        (signalling,) = speaks
    else:  # one script for both: the name of what it runs tells
        signalling = "SIP" if runs.upper().startswith("SIP") else ""
    phone = Phone(_LONG.sub("", model.strip()), signalling=signalling)
    return phone if handset_of(phone) or not signalling else phone._replace(signalling="")
