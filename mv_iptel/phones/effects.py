"""What a phone ends up with: its scripts played dry, and each setting judged as its family takes it.

`Evaluation` says which lines a phone reads; here it is said what those lines do: a value that fails
its check leaves the old one, a setting that the family does not know does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from mv_iptel.phones.boot import PASSES, flashed, named_files, ordered
from mv_iptel.phones.evaluate import Assignment, Ended, Evaluation, Step, Switches
from mv_iptel.phones.families import Family, Handset
from mv_iptel.phones.parameters import Name, Parameter, known, spelling, takes
from mv_iptel.phones.served import Served
from mv_iptel.phones.values import Problem

# A phone whose MAC nobody told. The mark stands in for it in values and names, in either letter case.
_MARK = "\ue000"
ANYONE = _MARK + "m"
_SHOWN = ((f"S{_MARK}M", "$SERIALNO"), (f"{_MARK}m", "$MACADDR"), (f"{_MARK}M", "$MACADDR_UPPER"))


class Asked(NamedTuple):
    """A file that the phone asks for, the line that names it, and whether it gets it."""

    name: str
    file: str  # empty for the upgrade script, which no line names
    line: int
    had: bool
    kind: str  # script, settings, software, file
    parameter: str = ""  # the setting that names software or a file


class Rejected(NamedTuple):
    """A line that tried to set something and failed: `why` is a sentence."""

    made: Assignment
    why: str


@dataclass
class Effects:
    """One phone after its boot. Parameters have the table's spelling; `Assignment.name` has the line's.

    parameters  what it ends up with; what no line set has its default and is not here
    overridden  earlier lines that took effect until another came, oldest first
    rejected    lines that failed their check, and changed nothing
    ignored     lines whose setting this family does not take, the last line of each name
    profiled    settings that a profile wrote (no value is known), by the profile's name
    """

    handset: Handset  # as it is after the restarts that its scripts want
    family: Family
    protocol: str
    start: str  # the file that it began with; empty if there was none
    direct: bool  # that file was given, so nothing is known of upgrade scripts
    parameters: dict[str, Assignment] = field(default_factory=dict)
    overridden: dict[str, list[Assignment]] = field(default_factory=dict)
    rejected: dict[str, list[Rejected]] = field(default_factory=dict)
    ignored: dict[str, Rejected] = field(default_factory=dict)
    profiled: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    ended: Ended = Ended("no-file", "", 0, "")
    restless: bool = False  # it restarts for ever
    trace: list[Step] = field(default_factory=list)
    compared: dict[str, set[str]] = field(default_factory=dict)  # variable -> what it was compared with
    templates: set[str] = field(default_factory=set)  # names asked for that the phone's MAC is part of

    @property
    def missing(self) -> list[Asked]:
        """What it asks for and does not get."""
        return [asked for asked in self.asked if not asked.had]

    @property
    def settled(self) -> bool:
        """Whether it read any file beyond its upgrade script."""
        return self.direct or any(asked.had and asked.kind == "settings" for asked in self.asked)

    def value(self, name: str) -> str | None:
        """What a setting is in the end: set, or its default; None if that is not known."""
        if name in self.profiled:
            return None
        found = self.parameters.get(name)
        if found is not None:
            return found.value
        row = known(name)
        return row.default_for(self.family.name) if isinstance(row, Parameter) else None


def effects(
    files: Served | Mapping[str, bytes],
    handset: Handset,
    switches: Switches | None = None,
    symbolic: bool = False,
) -> Effects:
    """Play one phone over these files.

    `symbolic` leaves $MACADDR and $SERIALNO in values as they are written, so that phones which differ
    in nothing else end up equal; files are still asked for by the phone's own names.
    """
    served = files if isinstance(files, Served) else Served.memory(files)
    family = handset.family
    protocol, start = _first(served, family)
    # The application that runs now is not known; it is the one that the scripts settle on.
    found = Effects(handset, family, protocol, start, bool(served.start))
    if not start:
        found.asked = [Asked(name, "", 0, False, "script") for name in family.scripts]
        found.ended = Ended("no-file", family.scripts[0], 0, f"there is no {' or '.join(family.scripts)}")
        return found
    software: dict[str, Asked] = {}
    for _ in range(PASSES):
        evaluation = _play(served, found, switches or family.switches, symbolic)
        wanted = ordered(evaluation, found.handset, "")
        if not wanted:
            break
        for named in wanted:
            had = not served.whole or any(served.has(place, named.value) for place in _software(found))
            asked = Asked(_concrete(named.value, handset), named.file, named.line, had, "software", named.name)
            software.setdefault(named.value.casefold(), asked)
        # Without its firmware a phone gets no further; what it would have with it is still worth saying.
        found.handset = flashed(found.handset, wanted, evaluation)
    else:
        found.restless = True
    found.asked += software.values()
    _judge(evaluation, found)
    for name, named in named_files(family, found.parameters).items():
        had = not served.whole or served.has(protocol, _concrete(name, handset))
        found.asked.append(Asked(_shown(name), named.file, named.line, had, "file", named.name))
    return found


def anyone(handset: Handset) -> Handset:
    """The same phone with a MAC that no script knows."""
    return replace(handset, mac=ANYONE)


def known_by_mac(seen: Effects, served: Served, handset: Handset) -> bool:
    """Whether these files treat this phone otherwise than `seen`, its like whose MAC nobody knows."""
    tested = seen.compared.get("MACADDR", ())
    if any("".join(text.split(":")).casefold() == handset.mac for text in tested):
        return True
    return any(served.has(seen.protocol, _concrete(name, handset)) for name in seen.templates)


class Verdict(NamedTuple):
    """What becomes of one SET on one family."""

    name: str  # in the table's spelling
    does: Literal["set", "ignored", "rejected"]
    why: str = ""
    resets: tuple[str, ...] = ()  # settings that this value writes itself


@lru_cache(maxsize=1 << 16)
def judge(name: str, family: str, value: str) -> Verdict:
    """What a family does with `SET name value`."""
    row, other = known(name), spelling(name)
    if row is None or (other and other.families and family not in other.families):
        return Verdict(name, "set")
    if isinstance(row, Name):
        return Verdict(row.name, "set")
    if row.place == "nowhere":
        return Verdict(row.name, "ignored", f"no file can set {row.name}")
    if takes(row, family) == "no":
        return Verdict(row.name, "ignored", f"a {family} does not take {row.name}")
    problem: Problem | None = row.check(value, family)
    if problem is not None and problem.sure:
        return Verdict(row.name, "rejected", problem.text)
    return Verdict(row.name, "set", resets=row.before if value != row.default_for(family) else ())


def _first(served: Served, family: Family) -> tuple[str, str]:
    """Protocol and name of the first file; the name is empty if there is none."""
    order = (family.protocol, *(one for one in family.protocols if one != family.protocol))
    for protocol in order:
        for name in (served.start,) if served.start else family.scripts:
            if served.has(protocol, name):
                return protocol, name
    return family.protocol, ""


def _software(found: Effects) -> tuple[str, ...]:
    """What protocols firmware may come by: after TLS only SIP sets stay there."""
    if found.protocol != "https":
        return (found.protocol,)
    return ("https", "http") if found.family.secure_software else ("http",)


def _play(served: Served, found: Effects, switches: Switches, symbolic: bool) -> Evaluation:
    """One power-on, all scripts read."""
    handset = found.handset
    identity = anyone(handset).identity() if symbolic else handset.identity()
    evaluation = Evaluation(handset.variables(), switches, identity)
    found.asked, found.templates = [], set()
    reading = evaluation.run(found.start)
    ask = next(reading)
    while True:
        if _MARK in ask.name:
            found.templates.add(ask.name)
        name = _concrete(ask.name, handset)
        script = served.script(found.protocol, name)
        kind = "settings" if ask.file else "script"
        found.asked.append(Asked(_shown(name), ask.file, ask.line, script is not None, kind))
        try:
            ask = reading.send(script)
        except StopIteration as stop:
            found.ended = stop.value
            break
    found.ended = found.ended._replace(text=_shown(found.ended.text), file=_shown(found.ended.file))
    found.trace = evaluation.trace
    for variable, strings in evaluation.compared.items():
        found.compared.setdefault(variable, set()).update(strings)
    return evaluation


def _judge(evaluation: Evaluation, found: Effects) -> None:
    """What each SET does, in order."""
    parameters, overridden, family = found.parameters, found.overridden, found.family.name
    for made in evaluation.assignments:
        if _MARK in made.value:
            made = made._replace(value=_shown(made.value))
        name, does, why, resets = judge(made.name, family, made.value)
        if does == "ignored":
            found.ignored[name] = Rejected(made, why)
            continue
        if does == "rejected":
            found.rejected.setdefault(name, []).append(Rejected(made, why))
            continue
        old = parameters.get(name)
        if old is not None:
            overridden.setdefault(name, []).append(old)
        parameters[name] = made
        found.profiled.pop(name, None)
        for one in resets:
            before = parameters.get(one)
            if before is not None:
                overridden.setdefault(one, []).append(before)
            parameters[one] = made
            found.profiled[one] = name


def _concrete(name: str, handset: Handset) -> str:
    """The name with the phone's own MAC where the mark stands."""
    if _MARK not in name or handset.mac == ANYONE:
        return name
    serial = handset.identity()["SERIALNO"]
    name = name.replace(f"S{_MARK}M", serial)
    return name.replace(f"{_MARK}m", handset.mac.lower()).replace(f"{_MARK}M", handset.mac.upper())


def _shown(text: str) -> str:
    """The mark as scripts write it."""
    if _MARK in text:
        for mark, word in _SHOWN:
            text = text.replace(mark, word)
    return text
