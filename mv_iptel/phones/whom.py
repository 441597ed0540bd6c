"""Whom a change of scripts and settings touches: every phone judged, told in a handful of groups.

Phones that nothing distinguishes are played once: fifty thousand of them are a few hundred kinds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mv_iptel.phones.differences import KINDS, Change, Difference, Lines, Trouble, difference
from mv_iptel.phones.effects import Effects, anyone, effects, known_by_mac
from mv_iptel.phones.families import MODELS, Handset
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


def compare(old: Served, new: Served, phones: Iterable[Phone], groups: Iterable[str] | None = ()) -> Comparison:
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
        self._same: dict[tuple[str, str], bool] = {}
        self._signalling: dict[Kind, str] = {}

    def run(self, phones: Iterable[Phone], groups: Iterable[str] | None) -> Comparison:
        everyone: dict[Phone, Counter[str]] = defaultdict(Counter)
        for phone, count in Counter(phones).items():
            everyone[phone._replace(mac="")][phone.mac] += count
        sorts: dict[tuple[str, str], None] = {}  # model and signalling
        todo: list[Phone] = []
        for phone, macs in everyone.items():
            handset = _handset(phone)
            if handset is None:
                self.found.strange[phone.model] += macs.total()
                continue
            sorts[handset.model, phone.signalling] = None
            tested = self._judge(handset, macs)
            todo += self._supposed(handset, phone, groups if groups is not None else tested)
        while todo:
            phone = todo.pop()
            handset = _handset(phone)
            if handset is not None and Kind(handset.family.name, handset.model, phone.group) not in self.differences:
                tested = self._judge(handset, Counter())
                todo += self._supposed(handset, phone, tested if groups is None else ())
        return self._gather()

    def _supposed(self, handset: Handset, phone: Phone, groups: Iterable[str]) -> list[Phone]:
        return [Phone(handset.model, "", group, phone.signalling) for group in groups]

    def _judge(self, handset: Handset, macs: Counter[str]) -> set[str]:
        """Play one kind, and those among its phones that scripts know by their MAC; tells groups asked for."""
        like = anyone(handset)
        before, after = self._pair(like)
        rest = macs.total()
        family = handset.family.name
        by_mac = any(one.templates or "MACADDR" in one.compared for one in (before, after))
        for mac, count in macs.items() if by_mac else ():
            own = _with(handset, mac)
            if mac and (known_by_mac(before, self.old, own) or known_by_mac(after, self.new, own)):
                rest -= count
                self._note(Kind(family, handset.model, handset.group, mac), count, *self._pair(own))
        kind = Kind(family, handset.model, handset.group)
        if rest or not macs:
            self._note(kind, rest, before, after)
        asked = before.compared.get("GROUP", set()) | after.compared.get("GROUP", set())
        return {group for group in asked if group.isascii() and group.isdigit() and int(group) <= 999}

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
        names = {asked.name for asked in seen.asked} | set(scripts)
        return all(self._is_same(protocol, name) for protocol in PROTOCOLS for name in names)

    def _is_same(self, protocol: str, name: str) -> bool:
        key = protocol, name.casefold()
        if key not in self._same:
            there = self.old.has(protocol, name), self.new.has(protocol, name)
            # Only what may be a script is read; of firmware it counts whether it is there.
            small = name.lower().endswith((".txt", ".scr")) or name == self.old.start
            self._same[key] = there[0] == there[1] and (
                not small or self.old.content(protocol, name) == self.new.content(protocol, name)
            )
        return self._same[key]

    def _note(self, kind: Kind, count: int, before: Effects, after: Effects) -> None:
        self.found.kinds[kind] += count
        self.differences[kind] = Difference() if before is after else difference(before, after)
        if not before.start and not after.start:
            self.found.scriptless.add(kind)

    def _gather(self) -> Comparison:
        found = self.found
        for name, blocks in (("breaks", found.breaks), ("mends", found.mends)):
            kinds_of: dict[Hashable, set[Kind]] = defaultdict(set)
            for kind, each in self.differences.items():
                for trouble in getattr(each, name):
                    kinds_of[trouble].add(kind)
            blocks += self._blocks(Told(what, frozenset(kinds)) for what, kinds in kinds_of.items())
        changed: dict[Change, set[Kind]] = defaultdict(set)
        lines: dict[Change, set[Lines]] = defaultdict(set)
        for kind, each in self.differences.items():
            for change, where in each.changes:
                changed[change].add(kind)
                lines[change].add(where)
        found.changes += self._blocks(
            Told(what, frozenset(kinds), frozenset(lines[what])) for what, kinds in changed.items()
        )
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


def _handset(phone: Phone) -> Handset | None:
    """The phone as it can be played; None if nobody knows its model."""
    model = _MODELS.get(phone.model.casefold())
    if model is None:
        return None
    handset = Handset(model, group=phone.group, signalling=phone.signalling)
    try:
        _ = handset.family
    except ValueError:
        return None
    return handset


def _with(handset: Handset, mac: str) -> Handset:
    return Handset(handset.model, mac, handset.group, signalling=handset.signalling)
