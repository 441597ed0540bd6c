"""An ini file as numbered lines: tolerant of everything that copies of the reference file carry.

`configparser` forgets line numbers and stops at the first line it dislikes; an administrator wants
to hear of all mistakes at once, and a file with torn comment lines must still load.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BYTES = 1 << 20  # a configuration is a few KiB; more than this is the wrong file

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line that may mean something.

    `section` is the header it stands under ("" before the first one), `value` keeps its blanks.
    `torn` is true for a line right below a comment line: copies in circulation have comments that
    were broken in two without a second `#`.
    """

    line: int
    section: str
    key: str
    value: str
    torn: bool


@dataclass(frozen=True, slots=True)
class Header:
    """A `[Section]` line. `closed` is false when its `]` is missing."""

    line: int
    section: str
    closed: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """A line that is neither comment, header nor `Key=value`: usually half a comment."""

    line: int
    section: str
    text: str


def decode(data: bytes) -> str:
    """Text from a file's bytes: UTF-8 with or without a mark, UTF-16 with one, else Windows-1252."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read(data: bytes) -> list[Entry | Header | Stray]:
    """The lines that are not blank, not comments (`#` or `;` first) and not rules of `=` signs."""
    found: list[Entry | Header | Stray] = []
    section = ""
    torn = False
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            torn = bool(line)
            continue
        if line[0] == "[":
            name, closing, _ = line[1:].partition("]")
            section = name.strip()
            found.append(Header(number, section, bool(closing)))
        else:
            key, equals, value = raw.partition("=")
            key = key.strip()
            if equals and _KEY.match(key):
                found.append(Entry(number, section, key, value, torn))
            elif key:  # no key before the sign is a rule of `=` signs: skipped
                found.append(Stray(number, section, line))
        torn = False
    return found
