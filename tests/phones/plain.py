"""A second interpreter of the phones' scripts: short, slow, straight from the guides' sentences.

It shares no code with `mv_iptel.phones`: no statements, no index of tags, no generator. A file is a list
of lines, a jump reads on line by line, a GET is a call. `test_plain` holds the real one against it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

FATAL = ("get-loop", "goto-loop", "nesting")


class Outcome(NamedTuple):
    """Lines taken, files asked for (and had), final settings (value, file, line), and the end."""

    taken: list[tuple[str, int]]
    asked: list[tuple[str, bool]]
    settings: dict[str, tuple[str, str, int]]
    ended: tuple[str, str, int]


def word(text: str) -> tuple[str, str]:
    """The first word and what follows the blanks behind it."""
    text = text.replace("\t", " ")
    first, _, rest = text.partition(" ")
    return first, rest.lstrip(" ")


def quoted(text: str) -> tuple[str, str, bool]:
    """`"value" rest`: value, rest, and whether there is a second quote."""
    value, quote, rest = text[1:].partition('"')
    return value, rest, quote == '"'


def text_of(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


class Plain:
    def __init__(
        self, files: dict[str, bytes], knows: dict[str, str], identity: dict[str, str], switches: Any
    ):
        self.files, self.knows, self.identity, self.switches = files, knows, identity, switches
        self.taken: list[tuple[str, int]] = []
        self.asked: list[tuple[str, bool]] = []
        self.settings: dict[str, tuple[str, str, int]] = {}
        self.reads = 0

    def play(self, name: str) -> Outcome:
        had = name in self.files
        self.asked.append((name, had))
        ended = self.read(name, [name.lower()]) if had else ("no-file", name, 0)
        return Outcome(self.taken, self.asked, self.settings, ended)

    def put_in(self, text: str, parameter: str) -> str:
        listed = ("", "HTTPDIR", "TLSDIR", "MYCERTCN", "SCEPPASSWORD", "PKCS12URL", "NVVPNUSER")
        if self.switches.substitution == "listed" and parameter not in listed:
            return text
        mac = self.identity["MACADDR"]
        for variable, value in (
            ("MACADDR_UPPER", mac.upper()),
            ("MACADDR", mac.upper() if parameter == "PKCS12URL" else mac.lower()),
            ("SERIALNO", self.identity["SERIALNO"]),
            ("MODEL4", self.identity["MODEL4"]),
        ):
            text = re.sub(r"\$" + variable, value, text, flags=re.I)
        return text

    def equal(self, name: str, have: str, wanted: str) -> bool:
        if name == "MACADDR" and self.switches.mac == "any":
            have, wanted = (re.sub("[:-]", "", each) for each in (have, wanted))
        if name == "MACADDR" and self.switches.mac == "colons":
            have = ":".join(re.findall("..", have))
        return have == wanted if self.switches.compare == "exact" else have.lower() == wanted.lower()

    def find(self, lines: list[str], tag: str, here: int) -> int | None:
        """The line `# tag` below, or, if phones search the whole file, the first one."""
        folded = self.switches.tags == "folded"
        order = [*range(here + 1, len(lines))]
        if self.switches.search == "whole":
            order += range(here + 1)
        for place in order:
            line = lines[place]
            if line == f"# {tag}" or (folded and line.lower() == f"# {tag}".lower()):
                return place
        return None

    def set(self, file: str, number: int, keyword: str, text: str) -> None:
        name, value = word(text)
        name, switches = name.upper(), self.switches
        if not name or not value or value[0] in "“”„‘’«»":
            return
        if keyword == "SET" or switches.add == "set":
            self.taken.append((file, number))
        elif keyword == "ADD":
            return
        rest = ""
        if value[0] == '"':
            value, rest, _ = quoted(value)
        if rest.strip(" ") and switches.inline_comment == "refused":
            return
        if (switches.name_limit and len(name) > switches.name_limit) or (
            switches.value_limit and len(value) > switches.value_limit
        ):
            return
        self.settings[name] = (self.put_in(value, name), file, number)

    def condition(self, text: str) -> tuple[str, str, str] | None:
        """(variable, string, tag) of what follows IF."""
        variable, text = word(text)
        seq, text = word(text)
        if text[:1] == '"':
            string, text, closed = quoted(text)
            if not closed or text[:1] != " ":
                return None
            text = text.lstrip(" ")
        else:
            string, text = word(text)
        goto, text = word(text)
        tag, _ = word(text)
        if (
            variable[:1] != "$"
            or variable == "$"
            or seq.upper() != "SEQ"
            or goto.upper() != "GOTO"
            or not tag
        ):
            return None
        return variable[1:].upper(), string, tag

    def read(self, file: str, chain: list[str]) -> tuple[str, str, int]:
        """Interpret a file; how and where it ends."""
        data = self.files[file].removesuffix(b"\n")
        lines = [text_of(line).rstrip(" \t\r") for line in data.split(b"\n")] if self.files[file] else []
        here, seen = 0, set()
        while here < len(lines):
            line, number, tag = lines[here].replace("\t", " "), here + 1, ""
            keyword, text = word(line)
            keyword = keyword.upper()
            if re.fullmatch("# [^ ]+", line) and "\t" not in lines[here]:
                self.taken.append((file, number))
            elif keyword in ("SET", "ADD"):
                self.set(file, number, keyword, word(lines[here])[1])
            elif keyword == "IF" and (found := self.condition(text)):
                self.taken.append((file, number))
                name, string, wanted = found
                have = self.knows.get(name, self.settings.get(name, (None,))[0])
                tag = wanted if have is not None and self.equal(name, have, string) else ""
            elif keyword == "GOTO" and text:
                self.taken.append((file, number))
                tag = word(text)[0]
            elif keyword == "GET" and text:
                name, _, closed = quoted(text) if text[0] == '"' else (word(text)[0], "", True)
                if closed and name:
                    self.taken.append((file, number))
                    ended = self.get(file, number, name, chain)
                    if ended and (
                        ended[0] in FATAL or not self.switches.get_returns or ended[1:] == (file, number)
                    ):
                        return ended
            here += 1
            if tag:
                place = self.find(lines, tag, number - 1)
                if place is None:
                    return "no-tag", file, number
                if place < number:
                    state = (number, frozenset((name, made[0]) for name, made in self.settings.items()))
                    if state in seen:
                        return "goto-loop", file, number
                    seen.add(state)
                here = place
        return "end", file, len(lines)

    def get(self, file: str, number: int, name: str, chain: list[str]) -> tuple[str, str, int] | None:
        """The end of the file that was read instead; None if this one goes on."""
        allowed = self.switches.file_names
        if allowed and not re.fullmatch(
            allowed, re.sub(r"(?i)\$(macaddr(_upper)?|serialno|model4)", "x" * 12, name)
        ):
            return None
        name = self.put_in(name, "")
        if name.lower() in chain:
            return "get-loop", file, number
        if len(chain) >= self.switches.nesting or self.reads >= 100:
            return "nesting", file, number
        had = name in self.files
        self.asked.append((name, had))
        if had:
            self.reads += 1
            return self.read(name, [*chain, name.lower()])
        return ("get-failed", file, number) if self.switches.get_failure == "stop" else None
