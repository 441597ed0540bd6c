"""How phones go through one file: who reads each line, where jumps end, what is never read."""

from __future__ import annotations

from dataclasses import dataclass, field

from mv_iptel.phones.lint.phones import Phones
from mv_iptel.phones.script import Script


@dataclass
class Flow:
    """One file walked once from top to bottom, as phones do: jumps go forward only.

    reach     for each statement who may read it, as a set of `Phones`; 0 for nobody
    after     who may go on to the line below it
    target    for each jump the index of the tag that it reaches; absent if there is none
    alive     whether the jumps alone lead to the statement, whoever the phone is
    jumps     for each tag's index the indexes of the jumps that end there
    """

    reach: list[int]
    after: list[int]
    alive: list[bool]
    target: dict[int, int] = field(default_factory=dict)
    jumps: dict[int, list[int]] = field(default_factory=dict)


def walk(script: Script, phones: Phones, who: int) -> Flow:
    """Follow every way through the file for the phones `who`."""
    statements = script.statements
    flow = Flow([0] * len(statements), [0] * len(statements), [False] * len(statements))
    for index, each in enumerate(statements):
        if each.kind not in ("if", "goto"):
            continue
        place = script.find(each.tag, index)
        if place is None:
            place = script.find(each.tag, index, folded=True)
        if place is not None:
            flow.target[index] = place
            flow.jumps.setdefault(place, []).append(index)
    here, living = who, True
    arrives: dict[int, int] = {}
    arrived: set[int] = set()
    for index, each in enumerate(statements):
        if each.kind == "tag":
            here |= arrives.pop(index, 0)
            living = living or index in arrived
        flow.reach[index], flow.alive[index] = here, living
        if each.kind not in ("if", "goto"):
            flow.after[index] = here
            continue
        true, false = (phones.all, 0) if each.kind == "goto" else phones.holds(each.name, each.value)
        place = flow.target.get(index)
        if place is not None:
            arrives[place] = arrives.get(place, 0) | (here & true)
            if living:
                arrived.add(place)
            if each.kind == "goto":
                here, living = 0, False
        # What follows a jump without its tag is told at the jump, not called dead besides.
        if each.kind == "if":
            here &= false
        flow.after[index] = here
    return flow
