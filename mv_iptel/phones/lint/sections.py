"""Sections of a file: those that run into the next one by mistake, and lines that no phone reads."""

from __future__ import annotations

import re
from typing import NamedTuple

from mv_iptel.phones.lint.flow import Flow
from mv_iptel.phones.script import Script, Statement

ACTS = frozenset({"set", "get"})
# Sections that say by their name that they are for everybody.
_COMMON = re.compile(
    r"END|COMMON|ALL|REST|DEFAULT|FILES|DONE|OTHER|NEXT|CONTINUE|GENERAL|GROUP_?SETTINGS|PER_", re.I
)

_SKIPS = re.compile(r"NO|SKIP|AFTER|BEHIND|PAST|END|ELSE", re.I)


class Dead(NamedTuple):
    """Lines that do something and that no way leads to."""

    first: int
    last: int
    above: int  # the jump that leads away above them


class Fall(NamedTuple):
    """Phones that come to `tag` from the line above, though its section is for others."""

    tag: Statement
    above: Statement | None  # the section above; None if conditions that sort phones stand there
    last: Statement  # the line behind which a GOTO is missing


def dead(script: Script, flow: Flow) -> list[Dead]:
    """Every block of lines that nobody reads, if it does something."""
    found: list[Dead] = []
    block: list[Statement] = []
    above = 0
    for index, each in enumerate((*script.statements, Statement(script.lines + 1, "end"))):
        if each.kind != "end" and not flow.alive[index]:
            block.append(each)
            continue
        acting = [one.line for one in block if one.kind in ACTS]
        if acting:
            found.append(Dead(acting[0], acting[-1], above))
        block = []
        above = each.line
    return found


def falls(script: Script, flow: Flow) -> list[Fall]:
    """Every place where one section runs into the next, which is meant for other phones.

    A section is for some phones only if every jump to it has a condition and stands above the section
    before it: that is how files sort phones. What is jumped to from the section right above is a place
    to go on at, and so is what is jumped to without a condition.
    """
    statements = script.statements
    acting = _acting(statements, flow)
    found: list[Fall] = []
    before = -1  # the section above, by the index of its tag
    closed = True  # nobody runs into it, or those who do were told
    for index, each in enumerate(statements):
        if each.kind != "tag" or index not in flow.jumps:
            continue
        falling = index > 0 and flow.after[index - 1] != 0 and flow.alive[index - 1]
        special = (
            acting.get(index, False) and _for_some(statements, flow, index) and not _COMMON.search(each.tag)
        )
        told = False
        if falling and special:
            last = statements[index - 1]
            if last.kind == "if":
                # "IF ... GOTO A" right above "# A": everybody comes there.
                run = [one for one in _conditions_above(statements, index) if flow.target.get(one) == index]
                told = any(_near(statements, one, index) for one in run)
                if told:
                    found.append(Fall(each, None, last))
            elif last.kind == "set" and _defaults(statements, flow, index, before):
                told = True
                found.append(Fall(each, None, last))
            elif before >= 0:
                told = (
                    closed
                    and acting.get(before, False)
                    and _for_some(statements, flow, before)
                    and all(jump < before for jump in flow.jumps[index])
                )
                if told:
                    found.append(Fall(each, statements[before], last))
        before, closed = index, told or not falling
    return found


def _defaults(statements: tuple[Statement, ...], flow: Flow, index: int, before: int) -> bool:
    """Whether settings for the rest stand between the conditions and the section that they lead to.

    The same form skips lines on purpose; so the section must be named after what the conditions ask for.
    """
    tag = statements[index].tag.upper()
    return not _SKIPS.search(tag) and all(
        jump > before and _named(tag, statements[jump]) for jump in flow.jumps[index]
    )


def _named(tag: str, jump: Statement) -> bool:
    value = jump.value.upper()
    if jump.name == "MODEL4":
        return len(value) > 2 and value[:2] in tag
    if jump.name == "GROUP":
        return re.search(rf"(?<![0-9]){re.escape(value)}(?![0-9])", tag) is not None
    return jump.name == "SIG_IN_USE" and value in tag


def _for_some(statements: tuple[Statement, ...], flow: Flow, index: int) -> bool:
    return all(statements[jump].kind == "if" for jump in flow.jumps[index])


def _acting(statements: tuple[Statement, ...], flow: Flow) -> dict[int, bool]:
    """Whether each section sets or gets something before it ends."""
    found: dict[int, bool] = {}
    here = -1
    for index, each in enumerate(statements):
        if each.kind == "tag" and index in flow.jumps:
            here = index
            found[here] = False
        elif each.kind == "goto":
            here = -1
        elif here >= 0 and each.kind in ACTS:
            found[here] = True
    return found


def _conditions_above(statements: tuple[Statement, ...], index: int) -> list[int]:
    run = []
    while index > 0 and statements[index - 1].kind == "if":
        index -= 1
        run.append(index)
    return run


def _near(statements: tuple[Statement, ...], jump: int, tag: int) -> bool:
    """Nothing but conditions stands between: settings that are switched off leave more lines there."""
    return statements[tag].line - statements[jump].line <= tag - jump + 2
