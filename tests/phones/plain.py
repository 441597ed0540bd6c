"""A second interpreter of the phones' scripts: short, slow, straight from the guides' sentences.

It shares no code with `mv_iptel.phones`: no statements, no index of tags, no generator. A file is a list
of lines, a jump reads on line by line, a GET is a call. `test_plain` holds the real one against it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

FATAL = ("get-loop", "goto-loop", "nesting")
LISTED = ("", "HTTPDIR", "TLSDIR", "MYCERTCN", "SCEPPASSWORD", "PKCS12URL", "NVVPNUSER")
End = tuple[str, str, int]


class Outcome(NamedTuple):
    """Lines taken, files asked for (and had), final settings (value, file, line), and the end."""

    taken: list[tuple[str, int]]
    asked: list[tuple[str, bool]]
    settings: dict[str, tuple[str, str, int]]
    ended: End


def word(text: str) -> tuple[str, str]:
    """The first word and what follows the blanks behind it."""
    first, *rest = re.split("[ \t]+", text, maxsplit=1)
    return first, "".join(rest)


def quoted(text: str) -> tuple[str, str, bool]:
    """`"value" rest`: value, rest, and whether there is a second quote."""
    value, quote, rest = text[1:].partition('"')
    return value, rest, quote == '"'


def decoded(line: bytes) -> str:
    try:
        return line.decode().rstrip(" \t\r")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace").rstrip(" \t\r")


class Plain:
    def __init__(
        self, files: dict[str, bytes], knows: dict[str, str], identity: dict[str, str], switches: Any
    ):
        self.files, self.knows, self.identity, self.switches = files, knows, identity, switches
        self.taken, self.asked, self.settings, self.reads = [], [], {}, 0

    def play(self, name: str) -> Outcome:
        had = name in self.files
        self.asked.append((name, had))
        ended = self.read(name, [name.lower()]) if had else ("no-file", name, 0)
        return Outcome(self.taken, self.asked, self.settings, ended)

    def put_in(self, text: str, parameter: str) -> str:
        if self.switches.substitution == "listed" and parameter not in LISTED:
            return text
        mac, capitals = self.identity["MACADDR"], parameter == "PKCS12URL"
        text = re.sub(r"(?i)\$MACADDR_UPPER", mac.upper(), text)
        text = re.sub(r"(?i)\$MACADDR", mac.upper() if capitals else mac.lower(), text)
        text = re.sub(r"(?i)\$SERIALNO", self.identity["SERIALNO"], text)
        return re.sub(r"(?i)\$MODEL4", self.identity["MODEL4"], text)

    def equal(self, name: str, have: str, wanted: str) -> bool:
        if name == "MACADDR" and self.switches.mac == "any":
            have, wanted = (re.sub("[:-]", "", each) for each in (have, wanted))
        if name == "MACADDR" and self.switches.mac == "colons":
            have = ":".join(re.findall("..", have))
        return have == wanted if self.switches.compare == "exact" else have.lower() == wanted.lower()

    def find(self, lines: list[str], tag: str, here: int) -> int | None:
        """The line `# tag` below, or, if phones search the whole file, the first one."""
        above = range(here + 1) if self.switches.search == "whole" else ()
        for place in (*range(here + 1, len(lines)), *above):
            same = lines[place].lower() == f"# {tag}".lower()
            if lines[place] == f"# {tag}" or (same and self.switches.tags == "folded"):
                return place
        return None

    def set(self, file: str, number: int, keyword: str, text: str) -> None:
        name, value = word(text)
        name, rest, switches = name.upper(), "", self.switches
        if not name or not value or value[0] in "“”„‘’«»" or (keyword == "ADD" and switches.add == "ignored"):
            return
        self.taken.append((file, number))
        if value[0] == '"':
            value, rest, _ = quoted(value)
        refused = rest.strip(" \t") and switches.inline_comment == "refused"
        long = len(name) > (switches.name_limit or 1e9) or len(value) > (switches.value_limit or 1e9)
        if not refused and not long:
            self.settings[name] = (self.put_in(value, name), file, number)

    def condition(self, text: str) -> tuple[str, str, str] | None:
        """(variable, string, tag) of what follows IF."""
        variable, text = word(text)
        seq, text = word(text)
        if text[:1] == '"':
            string, text, _ = quoted(text)
            if text[:1] not in (" ", "\t"):
                return None
            goto, text = word(text.lstrip(" \t"))
        else:
            string, text = word(text)
            goto, text = word(text)
        tag = word(text)[0]
        sound = len(variable) > 1 and variable[0] == "$" and seq.upper() == "SEQ" and goto.upper() == "GOTO"
        return (variable[1:].upper(), string, tag) if sound and tag else None

    def read(self, file: str, chain: list[str]) -> End:
        """Interpret a file; how and where it ends."""
        data = self.files[file]
        lines = [decoded(line) for line in data.removesuffix(b"\n").split(b"\n")] if data else []
        here, seen = 0, set()
        while here < len(lines):
            number, tag = here + 1, ""
            keyword, text = word(lines[here])
            keyword = keyword.upper()
            if re.fullmatch("# [^ \t]+", lines[here]):
                self.taken.append((file, number))
            elif keyword in ("SET", "ADD"):
                self.set(file, number, keyword, text)
            elif keyword == "IF" and (found := self.condition(text)):
                self.taken.append((file, number))
                have = self.knows.get(found[0], self.settings.get(found[0], (None,))[0])
                tag = found[2] if have is not None and self.equal(found[0], have, found[1]) else ""
            elif keyword == "GOTO" and text:
                self.taken.append((file, number))
                tag = word(text)[0]
            elif keyword == "GET" and text:
                ended = self.get(file, number, text, chain)
                back = ended and ended[0] not in FATAL and self.switches.get_returns
                if ended and (not back or ended[1:] == (file, number)):
                    return ended
            here += 1
            if tag:
                place = self.find(lines, tag, number - 1)
                state = (number, frozenset((name, made[0]) for name, made in self.settings.items()))
                if place is None or (place < number and state in seen):
                    return ("no-tag" if place is None else "goto-loop"), file, number
                if place < number:
                    seen.add(state)
                here = place
        return "end", file, len(lines)

    def get(self, file: str, number: int, text: str, chain: list[str]) -> End | None:
        """The end of the file that was read instead; None if this one goes on."""
        name, _, closed = quoted(text) if text[0] == '"' else (word(text)[0], "", True)
        if not closed or not name:
            return None
        self.taken.append((file, number))
        plain = re.sub(r"(?i)\$(macaddr(_upper)?|serialno|model4)", "x", name)
        if self.switches.file_names and not re.fullmatch(self.switches.file_names, plain):
            return None
        name = self.put_in(name, "")
        if name.lower() in chain:
            return "get-loop", file, number
        if len(chain) >= self.switches.nesting or self.reads >= 100:
            return "nesting", file, number
        had = name in self.files
        self.asked.append((name, had))
        self.reads += had
        if had:
            return self.read(name, [*chain, name.lower()])
        return ("get-failed", file, number) if self.switches.get_failure == "stop" else None
