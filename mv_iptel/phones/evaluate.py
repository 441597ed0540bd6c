"""The script language played for one phone: an ordered trace, the files asked for, the final parameters.

The evaluator asks for files by yielding `Ask`, so that the same code runs dry against a directory and
live over sockets. Where sources disagree about what phones do, `Switches` names the question and
holds the default.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mv_iptel.phones.script import Script, Statement, ascii_upper, parse

# Limits of our own, so that hostile files end: no phone is known to have them.
READS = 100  # files, where GET comes back
JUMPS_BACK = 100  # in one script
SHOWN = 60  # characters of a value in the trace's remarks

_SUBSTITUTED = re.compile(r"\$(MACADDR_UPPER|MACADDR|SERIALNO|MODEL4)", re.I)


@dataclass(frozen=True)
class Switches:
    """Questions on which sources conflict or are silent; each family has its own answers.

    get_failure     "continue" with the next line, or "stop" (the 4600 guide of 2002/3)
    get_returns     whether a phone comes back after a GET that succeeded (no source says so)
    search          "forward" from the jump only, or "whole" file
    compare         SEQ "folded" (of the letters a to z) or "exact"
    tags            tag names "exact" or "folded"
    inline_comment  text behind a quoted value: "stripped", or the SET is "refused"
    add             ADD has no effect ("ignored"), or is "set" like SET
    mac             a MAC in SEQ is equal in "any" spelling, only "plain", or only with "colons"
    substitution    variables stand for something in "any" value, or only in values of "listed" settings
    nesting         how many files may follow one another by GET
    file_names      what GET takes as a name, as a regular expression; anything if empty
    name_limit      characters of a name, beyond which SET is ignored; 0 for no limit
    value_limit     the same for a value
    """

    get_failure: str = "continue"
    get_returns: bool = False
    search: str = "forward"
    compare: str = "folded"
    tags: str = "exact"
    inline_comment: str = "stripped"
    add: str = "ignored"
    mac: str = "any"
    substitution: str = "any"
    nesting: int = 10
    file_names: str = ""
    name_limit: int = 0
    value_limit: int = 0


DEFAULT = Switches()
# Settings whose description says that variables are replaced in their values.
LISTED = frozenset({"HTTPDIR", "TLSDIR", "MYCERTCN", "SCEPPASSWORD", "PKCS12URL", "NVVPNUSER"})


class Assignment(NamedTuple):
    """A value and the line that set it."""

    name: str
    value: str
    file: str
    line: int


class Step(NamedTuple):
    """One line taken. `effect` says what became of it, in a few words."""

    file: str
    line: int
    kind: str
    text: str
    effect: str


class Ask(NamedTuple):
    """The evaluator wants this file; the driver sends it, or None if it cannot be had.

    As bytes, or parsed: a driver that plays many phones over one file parses it once.
    """

    name: str
    file: str  # the script that names it; empty for the first file
    line: int


class Ended(NamedTuple):
    """Where and why an evaluation ended: end, no-tag, get-failed, get-loop, goto-loop, nesting, no-file."""

    why: str
    file: str
    line: int
    text: str


class _Reading:
    """A script being read: how far, and what tells that it never ends."""

    def __init__(self, script: Script):
        self.script = script
        self.index = 0
        self.back: set[tuple[int, int]] = set()  # jumps upward, with the parameters that they happened with
        self.budget = 4 * len(script.statements) + 1000  # bounds a hostile file in "whole" search


class Evaluation:
    """One phone reading one script and whatever that leads to.

    `run` is a generator: it yields `Ask`, takes bytes or None, and returns `Ended`. The parameters are
    complete so far at every `Ask`, which is how a phone decides to fetch software before its settings.
    `variables` is what IF may test; `identity` is what may be put into values and file names. Without
    `traced` the trace stays empty: of many phones nobody reads it, and making it is half of the work.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        switches: Switches = DEFAULT,
        identity: Mapping[str, str] | None = None,
        traced: bool = True,
    ):
        self.variables = {ascii_upper(name): value for name, value in variables.items()}
        self.identity = self.variables if identity is None else identity
        self.switches = switches
        self._whole = switches.search == "whole"
        self._folded = switches.tags == "folded"
        self.traced = traced
        self.trace: list[Step] = []
        self.files: list[tuple[str, bool]] = []  # asked for, and whether it was had
        self.assignments: list[Assignment] = []  # every SET that took effect, in order
        self.parameters: dict[str, Assignment] = {}  # the last one of each name
        self.compared: dict[str, list[str]] = {}  # variable -> strings it was compared with
        self._read = 0  # files
        self._state = 0  # a fingerprint of the parameters: the same again at the same jump is a loop

    def value(self, name: str, default: str = "") -> str:
        """The final value of a parameter, or `default`."""
        found = self.parameters.get(name)
        return default if found is None else found.value

    def substitute(self, text: str, parameter: str = "") -> str:
        """Put the phone's MAC, serial number and model where the text names them; other `$` are literal.

        In a file's name (no parameter) always, in a value as `Switches.substitution` says.
        """
        if "$" not in text or (
            parameter and self.switches.substitution == "listed" and parameter not in LISTED
        ):
            return text

        def replacement(match: re.Match[str]) -> str:
            name = match[1].upper()
            if name.startswith("MACADDR"):
                mac = self.identity.get("MACADDR")
                # The identity file's name is the one place where MACADDR is written in capitals.
                upper = name == "MACADDR_UPPER" or parameter == "PKCS12URL"
                return match[0] if mac is None else mac.upper() if upper else mac.lower()
            return self.identity.get(name, match[0])

        return _SUBSTITUTED.sub(replacement, text)

    def run(self, name: str) -> Generator[Ask, bytes | Script | None, Ended]:
        """Fetch `name` and interpret it to the end."""
        data = yield Ask(name, "", 0)
        self.files.append((name, data is not None))
        if data is None:
            return Ended("no-file", name, 0, f"{name} could not be had")
        chain = [name.casefold()]
        stack = [_Reading(_script(name, data))]
        ended = Ended("end", name, 0, "end of file")
        while stack:
            outcome = yield from self._interpret(stack[-1], chain)
            if isinstance(outcome, Ended):
                ended = outcome
                if ended.why not in ("end", "no-tag", "get-failed"):
                    break
                stack.pop()  # back in the script that named it, if phones come back
                chain.pop()
                continue
            if not self.switches.get_returns:
                stack.pop()
            stack.append(_Reading(outcome))
            chain.append(outcome.name.casefold())
        return ended

    def _interpret(
        self, reading: _Reading, chain: list[str]
    ) -> Generator[Ask, bytes | Script | None, Ended | Script]:
        """From one statement on: to the end, or to a GET that brings another script."""
        script, index = reading.script, reading.index
        statements = script.statements
        if script.fault and index == 0:
            self._say(script.name, 1, "fault", "", script.fault)
        while index < len(statements):
            statement = statements[index]
            reading.budget -= 1
            target = -1
            match statement.kind:
                case "set":
                    self._set(script, statement)
                case "if":
                    if self._holds(script, statement):
                        target = index
                case "goto":
                    self._note(script, statement, f"GOTO {statement.tag}", "jumps")
                    target = index
                case "get":
                    outcome = yield from self._get(script, statement, chain)
                    if isinstance(outcome, Ended):
                        return outcome
                    if outcome is not None:
                        reading.index = index + 1
                        return outcome
                case "tag":
                    self._note(script, statement, f"# {statement.tag}", "tag")
                case "add":
                    self._set(script, statement)
                case "broken":
                    self._note(script, statement, statement.name, f"ignored: {statement.note}")
            if target < 0:
                index += 1
                continue
            place = script.find(statement.tag, index, self._whole, self._folded)
            if place is None:
                text = f"no line '# {statement.tag}' follows: the rest of {script.name} is ignored"
                self._ends(text)
                return Ended("no-tag", script.name, statement.line, text)
            if place <= index:
                # With the same parameters at the same jump everything happens again.
                visit = (index, self._state)
                if visit in reading.back or len(reading.back) == JUMPS_BACK or reading.budget < 0:
                    text = f"the jump back to '# {statement.tag}' never ends"
                    self._ends(text)
                    return Ended("goto-loop", script.name, statement.line, text)
                reading.back.add(visit)
            index = place
        return Ended("end", script.name, script.lines, "end of file")

    def _set(self, script: Script, statement: Statement) -> None:
        name = statement.name
        why = self._refused(statement)
        if why:
            self._note(script, statement, _as_written(statement), why)
            return
        value = statement.value
        if "$" in value:
            value = self.substitute(value, name)
        old = self.parameters.get(name)
        made = Assignment(name, value, script.name, statement.line)
        self.assignments.append(made)
        self.parameters[name] = made
        self._state ^= hash((name, value)) ^ (hash((name, old.value)) if old else 0)
        if self.traced:
            was = f"set again, was {_short(old.value)} from {old.file}:{old.line}" if old else "set"
            self._note(script, statement, _as_written(statement), was)

    def _refused(self, statement: Statement) -> str:
        """Why a SET changes nothing, or an empty string."""
        switches = self.switches
        if statement.kind == "add" and switches.add != "set":
            return "no known effect"
        if statement.rest and switches.inline_comment == "refused":
            return f"ignored: {statement.note}"
        if switches.name_limit and len(statement.name) > switches.name_limit:
            return f"ignored: the name has more than {switches.name_limit} characters"
        if switches.value_limit and len(statement.value) > switches.value_limit:
            return f"ignored: the value has more than {switches.value_limit} characters"
        return ""

    def _holds(self, script: Script, statement: Statement) -> bool:
        """Whether the condition is true. What the phone is goes before what a script set."""
        name, wanted = statement.name, statement.value
        self.compared.setdefault(name, []).append(wanted)
        text = f"IF ${name} SEQ {wanted} GOTO {statement.tag}"
        have = self.variables.get(name)
        if have is None and name in self.parameters:
            have = self.parameters[name].value
        if have is None:
            self._note(script, statement, text, f"ignored: this phone does not know ${name}")
            return False
        equal = self._equal(name, have, wanted)
        self._note(script, statement, text, "true, jumps" if equal else f"false, it is {_short(have)}")
        return equal

    def _equal(self, name: str, have: str, wanted: str) -> bool:
        """SEQ. Case is that of the letters a to z, so that unequal lengths need no look at a long value."""
        if name == "MACADDR" and self.switches.mac != "plain":
            have = _plain_mac(have)
            if self.switches.mac == "colons":
                have = ":".join(have[at : at + 2] for at in range(0, len(have), 2))
            else:
                wanted = _plain_mac(wanted)
        if len(have) != len(wanted):
            return False
        return have == wanted or (
            self.switches.compare == "folded" and ascii_upper(have) == ascii_upper(wanted)
        )

    def _get(
        self, script: Script, statement: Statement, chain: list[str]
    ) -> Generator[Ask, bytes | Script | None, Script | Ended | None]:
        """The script that GET brings, None to go on with the next line, or the end."""
        name = self.substitute(statement.name)
        text, line = f"GET {name}", statement.line
        # Judged as written: whatever stands for a variable is harmless.
        plain = _SUBSTITUTED.sub("0" * 12, statement.name)
        if self.switches.file_names and not re.fullmatch(self.switches.file_names, plain, re.A):
            self._note(script, statement, text, "ignored: this phone takes no such file name")
            return None
        if name.casefold() in chain:
            told = f"{name} is already being read: a GET loop"
            self._note(script, statement, text, told)
            return Ended("get-loop", script.name, line, told)
        if len(chain) >= self.switches.nesting:
            told = f"more than {self.switches.nesting} files follow one another"
            self._note(script, statement, text, told)
            return Ended("nesting", script.name, line, told)
        if self._read >= READS:
            told = f"more than {READS} files were read"
            self._note(script, statement, text, told)
            return Ended("nesting", script.name, line, told)
        data = yield Ask(name, script.name, line)
        self.files.append((name, data is not None))
        if data is not None:
            self._read += 1
            self._note(script, statement, text, "read")
            return _script(name, data)
        if self.switches.get_failure == "stop":
            self._note(script, statement, text, "failed: the rest of the script is ignored")
            return Ended("get-failed", script.name, line, f"{name} could not be had")
        self._note(script, statement, text, "failed, goes on with the next line")
        return None

    def _note(self, script: Script, statement: Statement, text: str, effect: str) -> None:
        self._say(script.name, statement.line, statement.kind, text, effect)

    def _say(self, file: str, line: int, kind: str, text: str, effect: str) -> None:
        if self.traced:
            self.trace.append(Step(file, line, kind, text, effect))

    def _ends(self, effect: str) -> None:
        """What became of the last line is known better now."""
        if self.traced:
            self.trace[-1] = self.trace[-1]._replace(effect=effect)


def _as_written(statement: Statement) -> str:
    return f"{statement.kind.upper()} {statement.name} {statement.value}"


def _script(name: str, data: bytes | Script) -> Script:
    return data if isinstance(data, Script) else parse(name, data)


def _short(value: str) -> str:
    """For a remark: a value may be a megabyte, and a hundred thousand lines may be compared with it."""
    return repr(value) if len(value) <= SHOWN else f"{value[:SHOWN]!r}..."


def _plain_mac(text: str) -> str:
    return text.replace(":", "").replace("-", "") if len(text) < 2 * 17 else text
