"""The phones' script language, parsed with line numbers.

One grammar serves upgrade scripts (`46xxupgrade.scr`, `96xxupgrade.txt`, ...) and settings files
(`46xxsettings.txt`). Any bytes parse, in linear time. `evaluate` plays the result.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from mv_iptel.phones import languages

KEYWORDS = frozenset({"SET", "IF", "GOTO", "GET", "ADD"})
BLANKS = " \t"
_ACTS = frozenset({"set", "if", "goto", "get", "add"})
# The 32 bytes that Latin-1 and cp1252 read differently; five of them are undefined in cp1252 and stay.
_CP1252 = {
    code: bytes([code]).decode("cp1252")
    for code in range(0x80, 0xA0)
    if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
_CURLY = "“”„«»‘’"
# Parameters of an upgrade script that name a program to download.
FIRMWARE = ("APPNAME", "RFSNAME", "JEM24_APPNAME")
_RUN = re.compile(r"[ \t]+")
_CONDITION = re.compile(
    r'IF[ \t]+\$([^ \t]+)[ \t]+SEQ[ \t]+("[^"]*"|[^ \t"][^ \t]*)[ \t]+GOTO[ \t]+([^ \t]+)(.*)',
    re.I | re.S | re.A,
)


class Statement(NamedTuple):
    """One line that means something, or that looks as if it should (then `note` says what is wrong).

    kind is tag, set, if, goto, get, add, broken (a known beginning, badly continued: phones ignore
    it) or comment (only those with a note are kept).
    """

    line: int  # counted from 1
    kind: str
    name: str = ""  # parameter, variable or file
    value: str = ""  # the value or the string to compare with
    tag: str = ""  # where to jump, or the tag itself
    note: str = ""
    rest: str = ""  # what stands behind a quoted value


@dataclass(frozen=True)
class Script:
    """A parsed file."""

    name: str
    statements: tuple[Statement, ...]
    lines: int
    fault: str = ""  # why the whole file cannot be a script, if so
    _tags: dict[str, list[int]] = field(default_factory=dict, repr=False)
    _folded: dict[str, list[int]] = field(default_factory=dict, repr=False)

    def find(self, tag: str, after: int, whole: bool = False, folded: bool = False) -> int | None:
        """Index of the statement `# tag` that a jump at index `after` reaches, or None.

        The search runs forward; `whole` then begins again at the top, `folded` ignores letter case.
        """
        places = self._folded.get(tag.casefold(), ()) if folded else self._tags.get(tag, ())
        where = bisect_right(places, after)
        if where < len(places):
            return places[where]
        return places[0] if places and whole else None


def decode(data: bytes) -> str:
    """Text of any bytes: UTF-8 where it is valid, else cp1252, as Windows editors write it.

    Line by line where the file as a whole is not valid: two editors leave two encodings.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "\n".join(_line(line) for line in data.split(b"\n"))


def _line(data: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1").translate(_CP1252)  # slow, and rarely needed


def ascii_upper(text: str) -> str:
    """Capitals as the phones make them: of the letters a to z only."""
    return (
        text.upper()
        if text.isascii()
        else text.encode("utf-8", "surrogatepass").upper().decode("utf-8", "surrogatepass")
    )


def parse(name: str, data: bytes) -> Script:
    """Parse any bytes. Lines end with LF or CR LF; everything that is no statement is a comment."""
    fault = ""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        fault = "the file is saved as UTF-16, which no phone reads; save it as plain text (ANSI or ASCII)"
    elif b"\0" in data[:4096]:
        fault = "the file holds NUL bytes, so it is no text"
    elif b"\n" not in data and data.rstrip(b"\r").count(b"\r") > 1:
        fault = "its lines end with CR alone, so that phones see a single line; save it with CR LF or LF"
    lines = decode(data).split("\n")
    if lines and not lines[-1]:
        lines.pop()
    statements: list[Statement] = []
    tags: dict[str, list[int]] = {}
    folded: dict[str, list[int]] = {}
    for number, text in enumerate(lines, 1):
        statement = _statement(number, text.rstrip(" \t\r"))
        if statement is None:
            continue
        if statement.kind == "tag":
            tags.setdefault(statement.tag, []).append(len(statements))
            folded.setdefault(statement.tag.casefold(), []).append(len(statements))
        statements.append(statement)
    if not fault and not any(statement.kind in _ACTS for statement in statements):
        language = languages.found(lines, name)
        if language is not languages.SCRIPT:
            fault = f"no line of it is for phones that read scripts: it is {language.says}"
    return Script(name, tuple(statements), len(lines), fault, tags, folded)


def _statement(line: int, text: str) -> Statement | None:
    """The statement in one line without its end, or None for a plain comment."""
    if not text:
        return None
    if text[0] == "#":
        # Exactly one space, then one word; "## X", "#X" and "#  X" are comments.
        if text[1:2] == " " and text[2:3] not in ("", " ", "\t") and not _has_blank(text[2:]):
            return Statement(line, "tag", tag=text[2:])
        return None
    if text[0] in BLANKS:
        if ascii_upper(_cut(text.lstrip(BLANKS))[0]) in KEYWORDS:
            return Statement(line, "comment", note="leading blanks make this line a comment")
        return None
    word, rest = _cut(text)
    keyword = ascii_upper(word)
    if keyword not in KEYWORDS:
        if text[0] == "\ufeff":
            return Statement(line, "comment", note="a byte-order mark makes this line a comment")
        return None
    if keyword == "SET" or keyword == "ADD":
        return _assignment(line, keyword.lower(), rest)
    if keyword == "IF":
        return _condition(line, text)
    if not rest:
        return Statement(line, "broken", note=f"{keyword} names nothing")
    first, more = _cut(rest)
    note = f"text after the {'tag' if keyword == 'GOTO' else 'file name'}" if more else ""
    if keyword == "GOTO":
        return Statement(line, "goto", tag=first, note=note, rest=more)
    if first[0] == '"':
        value, more, closed = _quoted(rest)
        if not closed or not value:
            return Statement(line, "broken", note="GET names nothing")
        return Statement(line, "get", name=value, note="text after the file name" if more else "", rest=more)
    return Statement(line, "get", name=first, note=note, rest=more)


def _assignment(line: int, kind: str, rest: str) -> Statement:
    """SET NAME value: the value is the rest of the line, or what stands in straight quotes."""
    name, value = _cut(rest)
    if not name:
        return Statement(line, "broken", note=f"{kind.upper()} names nothing")
    name = ascii_upper(name)
    if not value:
        return Statement(line, "broken", name=name, note=f"{kind.upper()} without a value")
    if value[0] in _CURLY:
        return Statement(line, "broken", name=name, value=value, note="curly quotes are refused")
    if value[0] == '"':
        inner, more, closed = _quoted(value)
        note = "text after the quoted value" if more else "" if closed else "the quote is not closed"
        return Statement(line, kind, name, inner, note=note, rest=more)
    note = "a value with blanks needs quotes" if _has_blank(value) else ""
    return Statement(line, kind, name, value, note=note)


def _condition(line: int, text: str) -> Statement:
    """IF $NAME SEQ string GOTO TAG."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        return Statement(line, "broken", note="not of the form IF $NAME SEQ string GOTO TAG")
    name, value, tag, more = match.groups()
    more = more.strip(BLANKS)
    if value[0] == '"':
        value = value[1:-1]
    return Statement(line, "if", ascii_upper(name), value, tag, "text after the tag" if more else "", more)


def _cut(text: str) -> tuple[str, str]:
    """The first word, and the rest without the blanks between."""
    words = _RUN.split(text, maxsplit=1)
    return words[0], words[1] if len(words) > 1 else ""


def _quoted(text: str) -> tuple[str, str, bool]:
    """The value of `"value" rest`, the rest, and whether the quote was closed."""
    end = text.find('"', 1)
    if end < 0:
        return text[1:], "", False
    return text[1:end], text[end + 1 :].strip(BLANKS), True


def _has_blank(text: str) -> bool:
    return " " in text or "\t" in text
