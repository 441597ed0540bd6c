"""What is wrong with what a file sets: unknown names, values that cannot be, phones that ignore them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mv_iptel.phones.lint.clients import in_the_field
from mv_iptel.phones.lint.findings import Finding, Severity, finding
from mv_iptel.phones.lint.flow import Flow
from mv_iptel.phones.lint.lines import prose, strange_blank
from mv_iptel.phones.lint.phones import Phones
from mv_iptel.phones.lint.text import Text
from mv_iptel.phones.parameters import Name, Parameter, elsewhere, families, known, nearest, takes
from mv_iptel.phones.script import Statement
from mv_iptel.phones.slips import slips
from mv_iptel.phones.values import Problem

_KINDS = {"range": "value-range", "value": "value-range", "length": "value-long"}
_PLACEHOLDER = re.compile(r"@[A-Z_]+@")
SOUGHT = 300  # unknown names for which a similar one is looked for
_LONG = 255  # characters that the 96x1 with H.323 takes of any value
_H323 = ("96x1", "J100", "B189")


def check(text: Text, flow: Flow, phones: Phones, sip_1603: bool = False) -> Iterator[Finding]:
    """Every finding about what SET sets; `sip_1603`: there are 16xx phones with SIP software among them."""
    run: dict[str, Statement] = {}  # since the last tag, condition or jump
    order: dict[str, Statement] = {}  # settings that an earlier line of the same run would overwrite
    told: dict[str, list[str]] = {}
    for index, each in enumerate(text.script.statements):
        if each.kind != "set":
            if each.kind in ("tag", "if", "goto", "get"):
                run.clear()
            if each.kind in ("tag", "goto"):
                order.clear()
            continue
        if prose(text, each) or strange_blank(text.line(each.line)):
            continue
        one = known(each.name)
        if one is None:
            yield from _unknown(text, each, told)
            continue
        if flow.alive[index]:  # a section that no jump reaches any more is told as such
            yield from _twice(text, each, run, one)
        run[each.name] = each
        order[one.name] = each
        if isinstance(one, Name):
            if len(each.value) > _LONG and _only(flow.reach[index], phones, _H323):
                yield finding(text.name, each.line, "value-long", _too_long(each), "write less", "info")
            continue
        yield from _placed(text, each, one, order)
        who = phones.families(flow.reach[index])
        if not (sip_1603 and one.signalling == "SIP" and who and "16xx" in who):
            yield from _ignored(text, each, one, who)
        yield from _valued(text, each, one, who)
        takers = [family for family in _H323 if takes(one, family) == "yes"]
        if len(each.value) > _LONG and flow.reach[index] & phones.of_families(takers):
            yield finding(text.name, each.line, "value-long", _too_long(each), "write less", "info")


def _unknown(text: Text, each: Statement, told: dict[str, list[str]]) -> Iterator[Finding]:
    name = each.name
    foreign = elsewhere(name)
    if foreign:
        yield finding(
            text.name,
            each.line,
            "other-language",
            f"{_shown(name)} is {foreign}, so phones ignore it here",
            "remove the line, or write it into the file that it belongs to",
        )
        return
    if in_the_field(name) or "=" in name:  # the latter is told as a line
        return
    if name not in told:
        told[name] = [near for near in nearest(name) if _slip(name, near)] if len(told) < SOUGHT else []
    near = told[name]
    if near:
        yield finding(
            text.name,
            each.line,
            "misspelt-parameter",
            f"{_shown(name)} is no setting that phones know, so they ignore it",
            f"write {' or '.join(near)}",
        )
    elif not text.generated:
        yield finding(
            text.name,
            each.line,
            "unknown-parameter",
            f"{_shown(name)} is not among the settings that are known; phones ignore what they do not know",
            "look its name up with mv-iptel params search",
        )


def _slip(name: str, near: str) -> bool:
    """Whether one is so near the other that it is a slip and no other name of a family of names."""
    if re.sub(r"[0-9]", "#", name) == re.sub(r"[0-9]", "#", near):
        return False
    limit = 1 if len(name) < 9 else 2
    return len(name) > 3 and slips(name, near, limit) <= limit


def _twice(
    text: Text, each: Statement, run: dict[str, Statement], one: Parameter | Name
) -> Iterator[Finding]:
    before = run.get(each.name)
    if before is None or before.value == each.value:
        return
    yield finding(
        text.name,
        each.line,
        "set-twice",
        f"{each.name} was set to another value in line {before.line}; this one counts",
        f"remove line {before.line} or this one",
    )


def _placed(text: Text, each: Statement, one: Parameter, order: dict[str, Statement]) -> Iterator[Finding]:
    if one.place == "nowhere" and "file" not in one.origins:
        yield finding(
            text.name,
            each.line,
            "wrong-place",
            f"no file can set {one.name}: phones have it keyed in or sent by the call server",
            "remove the line",
        )
    elif one.place == "upgrade" and text.settings:
        yield finding(
            text.name,
            each.line,
            "wrong-place",
            f"{one.name} belongs into the upgrade script; in a settings file phones read it too late or not "
            "at all",
            "move the line into the upgrade script of these phones",
            "info",
        )
    for name in one.before:
        if name in order:
            yield finding(
                text.name,
                order[name].line,
                "wrong-order",
                f"{one.name} in line {each.line} overwrites {name}, which was set before it",
                f"write {one.name} above {name}",
            )
            del order[name]


def _ignored(text: Text, each: Statement, one: Parameter, who: list[str] | None) -> Iterator[Finding]:
    if not who or any(takes(one, family) != "no" for family in who):
        return
    taken = [family for family in families() if takes(one, family) == "yes"]
    others = f"; it is for {' '.join(taken)}" if taken else ""
    yield finding(
        text.name,
        each.line,
        "ignored-by-family",
        f"only {' '.join(who)} phones read this line, and they ignore {one.name}{others}",
        "remove the line, or move it to the section of the phones that it is for",
    )


def _valued(text: Text, each: Statement, one: Parameter, who: list[str] | None) -> Iterator[Finding]:
    value = each.value
    if "$" in value or _PLACEHOLDER.search(value) or not value.isascii():
        return
    if each.note and any(blank in value for blank in " \t"):
        return  # told as a line
    if value.endswith(",") and text.bare(each.line + 1):
        return  # it goes on in the next line, which is told
    problem = one.check(value)
    severity: Severity | None = None
    takers = [family for family in who or () if takes(one, family) != "no"]
    if problem is None:
        if not takers:
            return
        for family in reversed(takers):  # so that the words of the first one are told
            problem = one.check(value, family)
            if problem is None:
                return  # most values are sound, and are looked at once
        severity = "info"
    elif takers and any(family in one.rules and one.check(value, family) is None for family in takers):
        return
    if problem is None or (problem.kind in ("empty", "blank") and _told(each, problem)):
        return
    if not problem.sure or (problem.kind == "length" and one.source != "template"):
        severity = "info"
    if severity == "info" and text.generated:
        return  # IP Office knows its phones better than the table
    code = _KINDS.get(problem.kind, "value-type")
    if problem.kind == "blank":
        code = "list-blanks" if "a list has" in problem.text else "value-type"
    yield finding(
        text.name,
        each.line,
        code,
        f"{problem.text}; phones keep the old value or the default",
        f"write {_either(one)}",
        severity,
    )


def _told(each: Statement, problem: Problem) -> bool:
    return problem.kind == "empty" or each.rest != "" or "a list has" in problem.text


def _either(one: Parameter) -> str:
    return f"one of {', '.join(one.rule.values)}" if one.rule.values else one.rule.describe()


def _too_long(each: Statement) -> str:
    return f"the value of {each.name} has {len(each.value)} characters; a 96x1 with H.323 takes {_LONG}"


def _only(some: int, phones: Phones, wanted: tuple[str, ...]) -> bool:
    who = phones.families(some)
    return bool(who) and all(family in wanted for family in who or ())


def _shown(name: str) -> str:
    """A name as a sentence may repeat it: short and printable."""
    name = name if len(name) <= 40 else name[:39] + "…"
    return "".join(one if one.isprintable() else "?" for one in name)
