"""What changed from one content of a script to another: lines with their numbers, secrets hidden."""

from __future__ import annotations

import difflib
from collections import Counter
from typing import NamedTuple

from mv_iptel.phones.parameters import Parameter, known
from mv_iptel.phones.script import Statement, decode, parse

# Comparing line by line costs the product of both; beyond this only what came and went is told.
MOST = 4000
HIDDEN = "(hidden)"


class Change(NamedTuple):
    """A line that came (`+`, numbered in the new content) or went (`-`, numbered in the old one)."""

    sign: str
    line: int
    text: str


def changes(old: bytes, new: bytes) -> list[Change]:
    """The lines that differ, in the file's order. Line ends, and blanks before them, do not count."""
    before, after = _lines(old), _lines(new)
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    ours, theirs = before[head : len(before) - tail], after[head : len(after) - tail]
    if len(ours) > MOST or len(theirs) > MOST:
        return _came_and_went(ours, theirs, head)
    found = []
    matcher = difflib.SequenceMatcher(None, ours, theirs)
    for what, from_old, to_old, from_new, to_new in matcher.get_opcodes():
        if what != "equal":
            found += [Change("-", head + at + 1, shown(ours[at])) for at in range(from_old, to_old)]
            found += [Change("+", head + at + 1, shown(theirs[at])) for at in range(from_new, to_new)]
    return found


def counted(found: list[Change]) -> tuple[int, int]:
    """How many lines came and how many went."""
    came = sum(1 for change in found if change.sign == "+")
    return came, len(found) - came


def shown(text: str) -> str:
    """A line for eyes and logs: the value of a secret setting is not in it."""
    for statement in parse("", text.encode("utf-8", "replace")).statements:
        if statement.name and _is_secret(statement):
            at = text.upper().find(statement.name) + len(statement.name)
            return f"{text[:at]} {HIDDEN}"
    stripped = text.lstrip("# \t")
    # A line that is commented out may hold one as well.
    if stripped != text and stripped[:4].upper() == "SET " and shown(stripped) != stripped:
        return text[: len(text) - len(stripped)] + shown(stripped)
    return text


def _is_secret(statement: Statement) -> bool:
    setting = known(statement.name)
    if setting is None or not statement.value:
        return False
    return setting.exposes(statement.value) if isinstance(setting, Parameter) else setting.secret


def _lines(data: bytes) -> list[str]:
    lines = [line.rstrip() for line in decode(data).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _came_and_went(ours: list[str], theirs: list[str], head: int) -> list[Change]:
    went, came = Counter(ours) - Counter(theirs), Counter(theirs) - Counter(ours)
    found = []
    for sign, lines, left in (("-", ours, went), ("+", theirs, came)):
        for at, text in enumerate(lines):
            if left[text] > 0:
                left[text] -= 1
                found.append(Change(sign, head + at + 1, shown(text)))
    return sorted(found, key=lambda change: change.line)
