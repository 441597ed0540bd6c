"""What changed from one content of a script to another: lines with their numbers, secrets hidden."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from mv_iptel.phones.differences import secret
from mv_iptel.phones.lint.clients import sounds_secret
from mv_iptel.phones.script import decode

# Comparing line by line costs the product of both; beyond this only what came and went is told.
MOST = 4000
HIDDEN = "(hidden)"
_BETWEEN = "\"'= :\t\u00a0\u200b\ufeff“”„«»‘’"
# A setting's name behind SET, ADD or $, wherever that stands in a line; and the name that begins a line.
_NAMED = re.compile(
    r"(?:\b(?:SET|ADD)[^A-Z0-9_\n]{1,40}|\$|^)([A-Z][A-Z0-9_]{2,79})(?![A-Z0-9_])", re.I | re.A
)
# The same behind a word that is no SET, and may be meant to be one.
_SECOND = re.compile(
    r"\s*(?!(?:IF|GOTO|GET)\b)[A-Z]{2,5}[^A-Z0-9_#\n]{1,40}([A-Z][A-Z0-9_]{2,79})(?![A-Z0-9_])", re.I | re.A
)
_UNSET = re.compile(r"\W*SET\W+([A-Z][A-Z0-9_]*)[\s=]*", re.I | re.A)
_BLANKS = re.compile(r"(\s+)")
_LOGIN = re.compile(r"(://)[^/@]*:[^@]*@")


class Change(NamedTuple):
    """A line that came (`+`, numbered in the new content) or went (`-`, numbered in the old one)."""

    sign: str
    line: int
    text: str


def ends(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """How many lines both have alike at the beginning, and at the end behind those."""
    most = min(len(before), len(after))
    head = 0
    while head < most and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < most - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head, tail


def changes(old: bytes, new: bytes) -> list[Change]:
    """The lines that differ, in the file's order. Line ends, and blanks before them, do not count."""
    before, after = _lines(old), _lines(new)
    head, tail = ends(before, after)
    ours, theirs = before[head : len(before) - tail], after[head : len(after) - tail]
    if len(ours) > MOST or len(theirs) > MOST or _alike(ours, theirs):
        return _came_and_went(before, after, ours, theirs, head)
    found = []
    matcher = difflib.SequenceMatcher(None, ours, theirs)
    for what, from_old, to_old, from_new, to_new in matcher.get_opcodes():
        if what != "equal":
            found += [_change("-", before, head + at) for at in range(from_old, to_old)]
            found += [_change("+", after, head + at) for at in range(from_new, to_new)]
    return found


def _change(sign: str, lines: list[str], at: int) -> Change:
    if not lines[at]:
        return Change(sign, at + 1, "")
    above = _UNSET.fullmatch(lines[at - 1]) if at else None
    if above and lines[at].strip() and _is_secret(above[1].upper()):
        return Change(sign, at + 1, HIDDEN)  # a value that was written on the next line
    return Change(sign, at + 1, shown(lines[at]))


def hidden(text: str) -> str:
    """A whole file for eyes that may not see its secrets, line by line as long as it was."""
    lines = text.split("\n")
    return "\n".join(_change("", lines, at).text for at in range(len(lines)))


def counted(found: list[Change]) -> tuple[int, int]:
    """How many lines came and how many went."""
    came = sum(1 for change in found if change.sign == "+")
    return came, len(found) - came


def shown(text: str) -> str:
    """A line for eyes and logs: the value of a secret setting is not in it, nor is a login in a URL.

    However badly the line is written: what phones take for a comment may hold a password as well.
    """
    clean = _without_logins(text)
    for match in _NAMED.finditer(text):
        if clean != text or _is_secret(match[1].upper()):
            end = match.end(1)
            return f"{text[:end]} {HIDDEN}" if text[end:].strip(_BETWEEN) else text
    slip = _SECOND.match(text)
    if slip and _is_secret(slip[1].upper()) and text[slip.end(1) :].strip(_BETWEEN):
        return f"{text[: slip.end(1)]} {HIDDEN}"
    return clean


def _without_logins(text: str) -> str:
    if "@" not in text:
        return text
    words = _BLANKS.split(text)
    for at, word in enumerate(words):
        end = word.rfind("@") + 1  # behind it each :// would be followed to the end of the line
        words[at] = _LOGIN.sub(rf"\1{HIDDEN}@", word[:end]) + word[end:]
    return "".join(words)


@lru_cache(maxsize=1 << 14)
def _is_secret(name: str) -> bool:
    return sounds_secret(name) or secret(name)


def _lines(data: bytes) -> list[str]:
    lines = [line.rstrip() for line in decode(data).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _alike(ours: list[str], theirs: list[str]) -> bool:
    """Whether so many lines are equal to so many others that comparing them would take minutes."""
    usual = (
        len(theirs) // 100 + 1 if len(theirs) >= 200 else len(theirs)
    )  # what is more frequent is passed over
    count = Counter(ours)
    pairs = sum(count[text] * many for text, many in Counter(theirs).items() if many <= usual)
    return pairs > 8 * (len(ours) + len(theirs)) + 10_000


def _came_and_went(
    before: list[str], after: list[str], ours: list[str], theirs: list[str], head: int
) -> list[Change]:
    went, came = Counter(ours) - Counter(theirs), Counter(theirs) - Counter(ours)
    found = []
    for sign, whole, lines, left in (("-", before, ours, went), ("+", after, theirs, came)):
        for at, text in enumerate(lines):
            if left[text] > 0:
                left[text] -= 1
                found.append(_change(sign, whole, head + at))
    return sorted(found, key=lambda change: change.line)
