"""What is wrong with the conditions and jumps of a file."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from mv_iptel.phones.lint.findings import Finding, finding
from mv_iptel.phones.lint.flow import Flow
from mv_iptel.phones.lint.lines import prose
from mv_iptel.phones.lint.phones import Phones
from mv_iptel.phones.lint.sections import dead, falls
from mv_iptel.phones.lint.text import Text
from mv_iptel.phones.parameters import known, variables
from mv_iptel.phones.script import Statement
from mv_iptel.phones.slips import Words

SOUGHT = 50  # tags that are not there, for which a similar one is looked for
_VARIABLES = Words((name, 0) for name in variables())


def check(text: Text, flow: Flow, phones: Phones) -> Iterator[Finding]:
    """Every finding about IF, GOTO and tags."""
    yield from _jumps(text, flow)
    twice = list(_twice(text, flow))
    yield from twice
    yield from _conditions(text)
    yield from _unknown(text, flow, phones)
    yield from _sections(text, flow, [one.line for one in twice])


def _jumps(text: Text, flow: Flow) -> Iterator[Finding]:
    tags = [each for each in text.script.statements if each.kind == "tag"]
    lines: dict[str, list[int]] = {}
    for each in tags:
        lines.setdefault(each.tag.casefold(), []).append(each.line)
    lost = any(
        each.kind in ("if", "goto") and at not in flow.target
        for at, each in enumerate(text.script.statements)
    )
    spelled = {each.tag.upper(): each.tag for each in tags} if lost else {}
    words = Words((word, 0) for word in sorted(spelled))
    near: dict[str, str] = {}
    for index, each in enumerate(text.script.statements):
        if each.kind not in ("if", "goto"):
            continue
        place = flow.target.get(index)
        if place is None:
            word = each.tag.casefold()
            if word not in near:
                found = words.nearest(each.tag, 1) if len(near) < SOUGHT else []
                near[word] = spelled[found[0]] if found else ""
            yield _lost(text, each, lines.get(word, []), near[word])
            continue
        tag = text.script.statements[place]
        if tag.tag != each.tag:
            yield finding(
                text.name,
                each.line,
                "tag-case",
                f"the jump goes to {each.tag}, but line {tag.line} says # {tag.tag}; whether phones find it "
                "is not known",
                f"write GOTO {tag.tag}",
            )


def _lost(text: Text, each: Statement, lines: list[int], near: str) -> Finding:
    rest = "phones that jump ignore the rest of the file"
    line = text.crossed_out.get(each.tag.casefold(), 0)
    if line > each.line or (line and not lines):
        return finding(
            text.name,
            each.line,
            "tag-commented",
            f"'# {each.tag}' stands nowhere below; line {line} is a comment to phones, not a tag; {rest}",
            f"write line {line} as # {each.tag} in the first column, with one # and one blank",
        )
    if lines:
        above = lines[bisect_left(lines, each.line) - 1]
        return finding(
            text.name,
            each.line,
            "tag-behind",
            f"the line '# {each.tag}' stands only above, in line {above}, and phones search forward; {rest}",
            "move the section below the jump, or jump to another one",
        )
    if each.tag.upper() == "END":
        # The rest is left out, as it is meant; but what is added below one day will be left out too.
        told = "the line '# END' stands nowhere; phones that jump leave out whatever follows"
        return finding(text.name, each.line, "no-tag", told, "add the line # END at the end", "warning")
    return finding(
        text.name,
        each.line,
        "no-tag",
        f"the line '# {each.tag}' stands nowhere; {rest}",
        f"write GOTO {near}, or add the line # {each.tag}"
        if near
        else f"add the line # {each.tag}, or remove the jump",
    )


def _twice(text: Text, flow: Flow) -> Iterator[Finding]:
    """A second tag of one name that a jump above the first was perhaps meant to reach."""
    first: dict[str, int] = {}
    for index, each in enumerate(text.script.statements):
        if each.kind != "tag":
            continue
        before = first.setdefault(each.tag, index)
        # If something jumps to this one too, both are meant: each part of the file has its own.
        if before != index and before in flow.jumps and index not in flow.jumps:
            line = text.script.statements[before].line
            yield finding(
                text.name,
                each.line,
                "tag-twice",
                f"the tag {each.tag} stands in line {line} already, and jumps end there; none comes here",
                "give one of them another name, and the jumps that are meant for it",
            )


def _conditions(text: Text) -> Iterator[Finding]:
    asked: dict[tuple[str, str], int] = {}  # conditions passed over since the last tag
    changed: set[str] = set()
    for each in text.script.statements:
        if each.kind in ("tag", "set", "get"):
            if each.kind == "tag":
                asked.clear()
                changed.clear()
            elif each.kind == "set" and each.name not in variables():
                changed.add(each.name)  # what a line sets may hold the next time
            continue
        if each.kind != "if" or prose(text, each):
            continue
        key = (each.name, each.value.casefold())
        if key in asked and each.name not in changed:
            yield finding(
                text.name,
                each.line,
                "never-true",
                f"line {asked[key]} asks the same already, so whoever comes here fails the condition",
                "remove one of the two, or ask for something else",
            )
            continue
        asked[key] = each.line
        yield from _condition(text, each)


def _unknown(text: Text, flow: Flow, phones: Phones) -> Iterator[Finding]:
    """A condition on what all phones that come there do not know."""
    for index, each in enumerate(text.script.statements):
        variable = variables().get(each.name) if each.kind == "if" else None
        if variable is None or not variable.tested:
            continue
        who = phones.families(flow.reach[index])
        if not who or any(family in variable.families for family in who):
            continue
        sure = each.name in _SURE
        knows = "they do not know" if sure else "no guide says that they know"
        yield finding(
            text.name,
            each.line,
            "unknown-variable",
            f"only {' '.join(who)} phones read this line; {knows} ${each.name}, and then they ignore it",
            f"ask for {' or '.join(f'${name}' for name in _common(who))}",
            "warning" if sure else "info",
        )


# Who knows these is told by several guides; of the others a guide may be silent.
_SURE = frozenset({"MODEL4", "MODEL6", "SIG", "SIG_IN_USE", "APPNAME_IN_USE"})


def _common(families: list[str]) -> list[str]:
    """What all of these families can be asked."""
    each = variables().values()
    return [one.name for one in each if one.tested and set(families) <= set(one.families)]


def _condition(text: Text, each: Statement) -> Iterator[Finding]:
    name, value = each.name, each.value
    variable = variables().get(name)
    if variable is None or not variable.tested:
        if known(name) is not None:
            return  # what a line above has set
        near = [one for one in _VARIABLES.nearest(name, 2) if variables()[one].tested]
        yield finding(
            text.name,
            each.line,
            "unknown-variable",
            f"no phone knows ${name[:40]}, so all of them ignore the condition",
            f"write {' or '.join('$' + one for one in near)}"
            if near
            else "ask for $MODEL4, $GROUP or another variable that phones know",
            "warning" if near else "info",
        )
        return
    why = _impossible(name, value)
    if why:
        yield finding(text.name, each.line, "never-true", why[0], why[1])
    elif variable.values and value not in variable.values:
        same = next((one for one in variable.values if one.casefold() == value.casefold()), "")
        if same:
            yield finding(
                text.name,
                each.line,
                "value-case",
                f"{value} is written {same} by phones, and sources disagree whether they tell the difference",
                f"write {same}",
            )


def _impossible(name: str, value: str) -> tuple[str, str] | None:
    """Why a comparison can never hold, and what to write; None if it can."""
    values = variables()[name].values
    shown, either = value[:40], " or ".join(values)
    if name == "MODEL4" and not 3 <= len(value) <= 4:
        mend = f"write {value[:4]}" if len(value) > 4 else "write all four"
        return f"$MODEL4 has four characters, so it is never {shown}", mend
    if name == "MODEL4" and not value.isalnum():
        return (
            f"$MODEL4 has letters and digits and no pattern, so it is never {shown}",
            "write one model a line",
        )
    if name == "MACADDR" and not re.fullmatch(r"[0-9A-Fa-f]{12}", re.sub(r"[:.-]", "", value)):
        return f"$MACADDR is the whole MAC, so it is never {shown}", "write all twelve digits"
    if name == "MODEL" and value.casefold() in {one.casefold() for one in variables()["MODEL4"].values}:
        return f"$MODEL is the whole model such as {value}D01A, so it is never {value}", "ask for $MODEL4"
    closed = name in ("SIG", "SIG_IN_USE", "VPNACTIVE", "SHA2CAPABLE")
    if closed and value.casefold() not in {one.casefold() for one in values}:
        other = "; $SIG_IN_USE is H323 or SIP" if name == "SIG" and value.upper() in ("H323", "SIP") else ""
        return f"${name} is {either}, never {shown}{other}", f"write {either}"
    if name == "GROUP":
        if not re.fullmatch(r"[0-9]+", value) or int(value[:9]) > 999:
            return f"$GROUP is a number from 0 to 999, never {shown}", "write such a number"
        if value != str(int(value)):
            return f"$GROUP has no zeros in front, so it is never {shown}", f"write {int(value)}"
    return None


def _sections(text: Text, flow: Flow, twice: list[int]) -> Iterator[Finding]:
    script = text.script
    blocks = dead(script, flow)
    wanted = (
        {each.tag.casefold() for each in script.statements if each.kind in ("if", "goto")}
        if blocks
        else set()
    )
    crossed = text.crossed_out.items() if blocks else ()
    told = sorted([*twice, *(line for word, line in crossed if word in wanted)])
    for each in blocks:
        where = bisect_left(told, each.above)
        if where < len(told) and told[where] <= each.last:
            continue  # their tag is commented out or stands twice, and that was told
        which = f"lines {each.first} to {each.last}" if each.last > each.first else f"line {each.first}"
        yield finding(
            text.name,
            each.first,
            "unreachable",
            f"no phone reads {which}: line {each.above} jumps away, and nothing jumps to a tag between",
            "remove them, or write the IF that leads to their tag",
        )
    for fall in falls(script, flow):
        tag = fall.tag
        if fall.above is None:
            yield finding(
                text.name,
                tag.line,
                "fall-through",
                f"phones for which no condition above is true run into # {tag.tag} as well",
                f"write a GOTO behind line {fall.last.line}, to where the other phones shall go on",
            )
        else:
            yield finding(
                text.name,
                tag.line,
                "fall-through",
                f"phones of # {fall.above.tag} run on into # {tag.tag}, and its settings win",
                f"write GOTO END (or where they shall go on) behind line {fall.last.line}",
            )
