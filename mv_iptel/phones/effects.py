"""What a phone ends up with: its scripts played dry, and each setting judged as its family takes it.

`Evaluation` says which lines a phone reads; here it is said what those lines do: a value that fails
its check leaves the old one, a setting that the family does not know does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from mv_iptel.phones.boot import PASSES, flashed, named_files, ordered
from mv_iptel.phones.evaluate import Assignment, Ended, Evaluation, Step, Switches
from mv_iptel.phones.families import Family, Handset
from mv_iptel.phones.parameters import Name, Parameter, known, spelling, takes
from mv_iptel.phones.script import Script
from mv_iptel.phones.served import Served
from mv_iptel.phones.values import Problem

# A phone whose MAC nobody told. The mark stands in for it in values and names, in either letter case.
_MARK = "\ue000"
ANYONE = _MARK + "m"
_MODEL4 = _MARK + "4"
_SHOWN = ((f"S{_MARK}M", "$SERIALNO"), (ANYONE, "$MACADDR"), (ANYONE.upper(), "$MACADDR_UPPER"),
          (_MODEL4, "$MODEL4"))  # fmt: skip


# Variables for what scripts have put into flash: phones that take the same way have the same there.
_IN_FLASH = frozenset({"BOOTNAME", "APPNAME", "APPNAME_IN_USE"})


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
    ended: Ended = field(default_factory=lambda: Ended("no-file", "", 0, ""))
    restless: bool = False  # it restarts for ever
    trace: list[Step] = field(default_factory=list)
    scripts: list[Script] = field(default_factory=list)  # what it read
    looked_for: set[str] = field(default_factory=set)  # scripts asked for, before restarts too
    compared: dict[str, set[str]] = field(default_factory=dict)  # variable -> what it was compared with
    templates: set[str] = field(default_factory=set)  # names asked for that hold the phone's MAC or model

    @cached_property
    def folded(self) -> dict[str, frozenset[str]]:
        """`compared` without letter case, once the play is over: thousands of others are held against it."""
        return {name: frozenset(map(str.casefold, strings)) for name, strings in self.compared.items()}

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

    `symbolic` leaves $MACADDR, $SERIALNO and $MODEL4 in values as they are written, so that phones which
    differ in nothing else end up equal; files are still asked for by the phone's own names.
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
    marked: set[str] = set()
    for _ in range(PASSES):
        evaluation = _play(served, found, switches or family.switches, symbolic)
        wanted = ordered(evaluation, found.handset, "")
        if not wanted:
            break
        for named in wanted:
            name = _own(named.value, handset)
            had = not served.whole or any(served.has(place, name) for place in _software(found))
            asked = Asked(_shown(name), named.file, named.line, had, "software", named.name)
            marked.add(named.value)
            software.setdefault(named.value.casefold(), asked)
        # Without its firmware a phone gets no further; what it would have with it is still worth saying.
        found.handset = flashed(found.handset, wanted, evaluation)
    else:
        found.restless = True
    found.asked += software.values()
    parameters = _judge(evaluation, found)
    for value, named in named_files(family, parameters).items():
        name = _own(value, handset)
        had = not served.whole or served.has(protocol, name)
        found.asked.append(Asked(_shown(name), named.file, named.line, had, "file", named.name))
        marked.add(value)
    found.templates |= {name for name in marked if _MARK in name}
    return found


def anyone(handset: Handset) -> Handset:
    """The same phone with a MAC that no script knows."""
    return replace(handset, mac=ANYONE)


def by_mac(seen: Effects, served: Served) -> Callable[[str], bool]:
    """Tells whether these files treat a MAC otherwise than `seen`, its like with an unknown one."""
    # However scripts spell one: whom they may mean is played alone, and then it shows.
    tested = {re.sub(r"[^0-9a-f]", "", text.casefold()) for text in seen.compared.get("MACADDR", ())}
    model = seen.handset.model

    def known_one(mac: str) -> bool:
        if mac in tested:
            return True
        return any(served.may_have(_concrete(name, mac, model)) for name in named)

    named = [name for name in seen.templates if ANYONE in name.casefold()]
    return known_one


def alike(seen: Effects, handset: Handset) -> bool:
    """Whether a phone of the same family takes the very way that `seen` took, who was played symbolically.

    So it is if every condition on that way comes out the same: the rest of a phone is not looked at.
    """
    if handset.model[:4] != seen.handset.model[:4] and any(_MODEL4 in name for name in seen.templates):
        return False
    theirs, ours = _variables(seen.handset), _variables(handset)
    for name, strings in seen.folded.items():
        if name in ours and name not in _IN_FLASH and theirs[name] != ours[name]:
            one, other = theirs[name].casefold(), ours[name].casefold()
            if one != other and (one in strings or other in strings):
                return False
    return True


@lru_cache(maxsize=1 << 12)
def _variables(handset: Handset) -> dict[str, str]:
    return handset.variables()


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
    identity = {**anyone(handset).identity(), "MODEL4": _MODEL4} if symbolic else handset.identity()
    evaluation = Evaluation(handset.variables(), switches, identity, traced=not symbolic)
    found.asked, found.scripts = [], []
    reading = evaluation.run(found.start)
    ask = next(reading)
    while True:
        if _MARK in ask.name:
            found.templates.add(ask.name)
        name = _own(ask.name, handset)
        script = served.script(found.protocol, name)
        if script is not None:
            found.scripts.append(script)
        kind = "settings" if ask.file else "script"
        found.looked_for.add(name)
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


def _judge(evaluation: Evaluation, found: Effects) -> dict[str, Assignment]:
    """What each SET does, in order. Gives the parameters with marks still in their values."""
    marked: dict[str, Assignment] = {}
    parameters, overridden, family = found.parameters, found.overridden, found.family.name
    for made in evaluation.assignments:
        original = made
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
        marked[name] = original
        found.profiled.pop(name, None)
        for one in resets:
            before = parameters.get(one)
            if before is not None:
                overridden.setdefault(one, []).append(before)
            parameters[one] = made
            found.profiled[one] = name
    return marked


def _own(name: str, handset: Handset) -> str:
    """The name as this phone asks for it."""
    return _concrete(name, handset.mac, handset.model)


def _concrete(name: str, mac: str, model: str) -> str:
    """The name with a phone's own MAC and model where their marks stand."""
    if _MARK not in name:
        return name
    name = name.replace(_MODEL4, model[:4])
    if mac == ANYONE:
        return name
    name = name.replace(f"S{_MARK}M", f"S{mac[-8:].upper()}")
    return name.replace(ANYONE, mac.lower()).replace(ANYONE.upper(), mac.upper())


def _shown(text: str) -> str:
    """The mark as scripts write it."""
    if _MARK in text:
        for mark, word in _SHOWN:
            text = text.replace(mark, word)
    return text
