"""Lines that phones take for comments though they were meant as statements: SET forgotten, IFF, ELSE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mv_iptel.phones.lint.findings import Finding, finding
from mv_iptel.phones.lint.text import Text, cut
from mv_iptel.phones.parameters import Parameter, known
from mv_iptel.phones.script import KEYWORDS
from mv_iptel.phones.slips import slips

_LONGEST = 1000  # characters; a statement that somebody typed is shorter
_CONDITION = re.compile(r"[^$]{0,8}\$\w+[ \t]+SEQ[ \t].*\bGOTO\b", re.I)
_ELSE = re.compile(r"(ELSE|ELSE[ \t]?IF|END[ \t]?IF)([ \t].*)?")
_JOINED = re.compile(r"SET[_-]?([A-Z][A-Z0-9_]*)", re.A)
_FILE = re.compile(r"[\w.$-]+\.(txt|scr|cfg)", re.I)


def check(text: Text) -> Iterator[Finding]:
    """Every such line. What begins with # or a blank is somebody's comment, and so is prose."""
    for number, line in enumerate(text.lines, 1):
        if not line or line[0] in "# \t" or len(line) > _LONGEST:
            continue
        words = cut(line.strip(" \t"), 2)
        if words[0].upper() in KEYWORDS:
            continue
        told = _meant(text, line, words)
        if told:
            what, mend = told
            yield finding(
                text.name,
                number,
                "broken-line",
                f"{what}, so phones take the line for a comment",
                mend,
                "warning",
            )


def _meant(text: Text, line: str, words: list[str]) -> tuple[str, str] | None:
    """What is wrong with a line, and what to write; None for a comment."""
    first, second = words[0], words[1] if len(words) > 1 else ""
    if not (first.isascii() and first[0].isalnum()):
        return None  # ; // and -- are how people comment elsewhere, and phones agree
    if _CONDITION.match(line):
        return f"{first[:20]} is no IF", "write IF $NAME SEQ value GOTO TAG"
    if not first.isupper():
        return None
    if _ELSE.fullmatch(line.strip(" \t")):
        mend = "write a GOTO above it, and a tag in its place"
        return f"there is no {' '.join(first.split())}", mend
    if len(words) == 2 and (known(first) is not None) and _value(first, second):
        return f"{first} stands there without SET", f"write SET {first} and the value"
    joined = _JOINED.fullmatch(first)
    if joined and second and ("_" in first[:4] or "-" in first[:4] or _described(joined[1])):
        return "no blank stands behind SET", f"write SET {joined[1]} and the value"
    if len(words) == 3 and second.isupper() and known(second) is not None and _slip(first, "SET"):
        return f"{first} is no SET", f"write SET {second} and the value"
    return _jump(text, words)


def _jump(text: Text, words: list[str]) -> tuple[str, str] | None:
    first, second = words[0], words[1] if len(words) > 1 else ""
    if first == "GO" and second == "TO" and len(words) == 3 and _is_tag(text, words[2]):
        return "GO TO is no GOTO", f"write GOTO {words[2]}"
    if len(words) == 2 and _slip(first, "GOTO") and _is_tag(text, second):
        return f"{first} is no GOTO", f"write GOTO {second}"
    if len(words) == 1 and first[:4] == "GOTO" and _is_tag(text, first[4:].lstrip(":_-")):
        return "no blank stands behind GOTO", f"write GOTO {first[4:].lstrip(':_-')}"
    if len(words) == 2 and _slip(first, "GET") and _FILE.fullmatch(second):
        return f"{first} is no GET", f"write GET {second}"
    return None


def _value(name: str, value: str) -> bool:
    """Whether this can be the value of the setting that the line begins with."""
    one = known(name)
    if not isinstance(one, Parameter):
        return True
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return one.place != "nowhere" and one.check(value[1:-1] if quoted else value) is None


def _described(name: str) -> bool:
    return isinstance(known(name), Parameter)


def _slip(word: str, keyword: str) -> bool:
    return word not in ("SEE", "LET") and slips(word, keyword, 1) <= 1


def _is_tag(text: Text, word: str) -> bool:
    return bool(word) and text.script.find(word, -1, folded=True) is not None
