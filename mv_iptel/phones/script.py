"""The phones' script language, parsed with line numbers; and what can be wrong with a directory of scripts.

One grammar serves upgrade scripts (`46xxupgrade.scr`, `96xxupgrade.txt`, ...) and settings files
(`46xxsettings.txt`). Any bytes parse, in linear time. `evaluate` plays the result.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
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
# What phones ask for by themselves; everything else is reached from these by GET. The settings of
# other grammars (11xx `.cfg`, the old SIP 4602) are not scripts.
_ENTRY = re.compile(
    r"((46xx|46|46vpn|96xx|96x1[hs]|16xx|1600|j100[hs]|k1xxs|fxd_)upgrade\.(scr|txt)"
    r"|(46xx|fxd_)settings\.(scr|txt)|46xxvpn\.scr|46vpnsetting\.txt|46xxspecials?\.txt)",
    re.I,
)
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

    def has_tag(self, tag: str) -> bool:
        """Whether the tag stands anywhere, in any letter case."""
        return tag.casefold() in self._folded


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


class Problem(NamedTuple):
    """Something in a script that keeps phones from booting."""

    file: str  # its path
    line: int
    text: str


def problems(directory: Path, elsewhere: Iterable[Path] = ()) -> list[Problem]:
    """What is wrong with the scripts of one data directory, in a form for `FILE:LINE: text`.

    Four mistakes only: a file that cannot be read, a jump without its tag, a file or firmware that
    is named but absent, and GET loops. Files may also lie in `elsewhere` (HTTPSdata falls back to
    HTTPdata, and phones with TLS fetch their firmware over HTTP).
    """
    here = _names(directory)
    there = set(here).union(*(_names(other) for other in elsewhere))
    found: list[Problem] = []
    leads: dict[str, list[tuple[int, str]]] = {}  # folded name -> (line, folded name that it GETs)
    todo = [folded for folded in here if _ENTRY.fullmatch(folded)]
    while todo:
        folded = todo.pop()
        if folded in leads:
            continue
        leads[folded] = []
        path = directory / here[folded]
        try:
            script = parse(here[folded], path.read_bytes())
        except OSError as error:
            found.append(Problem(str(path), 0, f"cannot be read: {error.strerror}"))
            continue
        if script.fault:
            found.append(Problem(str(path), 1, script.fault))
            continue
        found.extend(Problem(str(path), line, text) for line, text in _missing(script, there))
        for statement in script.statements:
            target = statement.name.casefold()
            if statement.kind == "get" and target in here:
                leads[folded].append((statement.line, target))
                todo.append(target)
    found.extend(
        Problem(str(directory / here[name]), line, f"GET {here[target]} leads back to this file: a GET loop")
        for name, line, target in _loops(leads)
    )
    return sorted(found)


def _names(directory: Path) -> dict[str, str]:
    """Every file of a directory by its folded name: phones spell names in any letter case."""
    try:
        return {name.casefold(): name for name in sorted(os.listdir(directory))}
    except OSError:
        return {}


def _missing(script: Script, names: set[str]) -> Iterable[tuple[int, str]]:
    """Jumps without a tag, and files that are named but absent from `names` (folded)."""
    # A GET that fails goes on with the next line, so of several in a row only one has to be there.
    row: list[Statement] = []
    for index, statement in enumerate((*script.statements, Statement(script.lines, "end"))):
        if statement.kind == "get":
            row.append(statement)
            continue
        if row and not any(_present(get.name, names) for get in row):
            for get in row:
                yield get.line, f"GET {get.name}: there is no such file"
        row = []
        jumps = statement.kind in ("if", "goto")
        if jumps and script.find(statement.tag, index, folded=True) is None:
            how = "only above it, and phones search forward" if script.has_tag(statement.tag) else "nowhere"
            text = f"GOTO {statement.tag}: the line '# {statement.tag}' stands {how}"
            yield statement.line, f"{text}; the phone ignores the rest of the file"
        firmware = statement.kind == "set" and statement.name in FIRMWARE and statement.value
        if firmware and not _present(statement.value, names):
            text = f"{statement.name} {statement.value}: there is no such file"
            yield statement.line, f"{text}; phones would ask for it and restart for ever"


def _present(name: str, names: set[str]) -> bool:
    """Whether a named file is there; a name with a variable or a directory in it cannot be told."""
    return "$" in name or "/" in name or name.casefold() in names


def _loops(leads: dict[str, list[tuple[int, str]]]) -> Iterable[tuple[str, int, str]]:
    """Each GET that closes a circle: (file, line, target). Depth first without recursion."""
    done: set[str] = set()
    for start in sorted(leads):
        if start in done:
            continue
        path = {start: None}
        stack = [(start, iter(leads[start]))]
        while stack:
            name, rest = stack[-1]
            for line, target in rest:
                if target in path:
                    yield name, line, target
                elif target not in done:
                    path[target] = None
                    stack.append((target, iter(leads.get(target, ()))))
                    break
            else:
                done.add(name)
                path.pop(name)
                stack.pop()
