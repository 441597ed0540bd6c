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

from mv_iptel.phones.script import Script, Statement, parse

_SUBSTITUTED = re.compile(r"\$(MACADDR_UPPER|MACADDR|SERIALNO|MODEL4)", re.I)


@dataclass(frozen=True)
class Switches:
    """Questions on which sources conflict or are silent; each family has its own answers.

    get_failure     "continue" with the next line, or "stop" (the 4600 guide of 2002/3)
    get_returns     whether a phone comes back after a GET that succeeded (no source says so)
    search          "forward" from the jump only, or "whole" file
    compare         SEQ "folded" or "exact"
    tags            tag names "exact" or "folded"
    inline_comment  text behind a quoted value: "stripped", or the SET is "refused"
    nesting         how many files may follow one another by GET
    """

    get_failure: str = "continue"
    get_returns: bool = False
    search: str = "forward"
    compare: str = "folded"
    tags: str = "exact"
    inline_comment: str = "stripped"
    nesting: int = 10


DEFAULT = Switches()


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


class Evaluation:
    """One phone reading one script and whatever that leads to.

    `run` is a generator: it yields `Ask`, takes bytes or None, and returns `Ended`. The parameters are
    complete so far at every `Ask`, which is how a phone decides to fetch software before its settings.
    `variables` is what IF may test; `identity` is what may be put into values and file names.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        switches: Switches = DEFAULT,
        identity: Mapping[str, str] | None = None,
    ):
        self.variables = {name.upper(): value for name, value in variables.items()}
        self.identity = self.variables if identity is None else identity
        self.switches = switches
        self._whole = switches.search == "whole"
        self._folded = switches.tags == "folded"
        self.trace: list[Step] = []
        self.files: list[tuple[str, bool]] = []  # asked for, and whether it was had
        self.assignments: list[Assignment] = []  # every SET that took effect, in order
        self.parameters: dict[str, Assignment] = {}  # the last one of each name
        self.compared: dict[str, list[str]] = {}  # variable -> strings it was compared with

    def value(self, name: str, default: str = "") -> str:
        """The final value of a parameter, or `default`."""
        found = self.parameters.get(name)
        return default if found is None else found.value

    def substitute(self, text: str, parameter: str = "") -> str:
        """Put the phone's MAC, serial number and model where the text names them; other `$` are literal."""

        def replacement(match: re.Match[str]) -> str:
            name = match[1].upper()
            if name.startswith("MACADDR"):
                mac = self.identity.get("MACADDR")
                # The identity file's name is the one place where MACADDR is written in capitals.
                upper = name == "MACADDR_UPPER" or parameter == "PKCS12URL"
                return match[0] if mac is None else mac.upper() if upper else mac.lower()
            return self.identity.get(name, match[0])

        return _SUBSTITUTED.sub(replacement, text) if "$" in text else text

    def run(self, name: str) -> Generator[Ask, bytes | Script | None, Ended]:
        """Fetch `name` and interpret it to the end."""
        data = yield Ask(name, "", 0)
        self.files.append((name, data is not None))
        if data is None:
            return Ended("no-file", name, 0, f"{name} could not be had")
        chain = [name.casefold()]
        stack: list[tuple[Script, int]] = [(_script(name, data), 0)]
        ended = Ended("end", name, 0, "end of file")
        while stack:
            script, index = stack.pop()
            outcome = yield from self._interpret(script, index, chain)
            if isinstance(outcome, Ended):
                ended = outcome
                if ended.why not in ("end", "no-tag", "get-failed"):
                    break
                continue
            following, resume = outcome
            chain.append(following.name.casefold())
            if self.switches.get_returns:
                stack.append((script, resume))
            stack.append((following, 0))
        return ended

    def _interpret(
        self, script: Script, index: int, chain: list[str]
    ) -> Generator[Ask, bytes | Script | None, Ended | tuple[Script, int]]:
        """From one statement on: to the end, or to a GET that brings another script."""
        statements = script.statements
        backward: set[int] = set()
        budget = 4 * len(statements) + 100  # bounds a hostile file in "whole" search
        while index < len(statements):
            statement = statements[index]
            budget -= 1
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
                        return outcome, index + 1
                case "tag":
                    self._note(script, statement, f"# {statement.tag}", "tag")
                case "add":
                    text = f"ADD {statement.name} {statement.value}"
                    self._note(script, statement, text, "no known effect")
                case "broken":
                    self._note(script, statement, statement.name, f"ignored: {statement.note}")
            if target < 0:
                index += 1
                continue
            place = script.find(statement.tag, index, self._whole, self._folded)
            if place is None:
                text = f"no line '# {statement.tag}' follows: the rest of {script.name} is ignored"
                self._note(script, statement, f"GOTO {statement.tag}", text)
                return Ended("no-tag", script.name, statement.line, text)
            if place <= index:
                if index in backward or budget < 0:
                    text = f"the jump back to '# {statement.tag}' never ends"
                    self._note(script, statement, f"GOTO {statement.tag}", text)
                    return Ended("goto-loop", script.name, statement.line, text)
                backward.add(index)
            index = place
        return Ended("end", script.name, script.lines, "end of file")

    def _set(self, script: Script, statement: Statement) -> None:
        name, text = statement.name, f"SET {statement.name} {statement.value}"
        if statement.rest and self.switches.inline_comment == "refused":
            self._note(script, statement, text, f"ignored: {statement.note}")
            return
        value = self.substitute(statement.value, name)
        old = self.parameters.get(name)
        made = Assignment(name, value, script.name, statement.line)
        self.assignments.append(made)
        self.parameters[name] = made
        effect = "set" if old is None else f"set again, was {old.value!r} from {old.file}:{old.line}"
        self._note(script, statement, text, effect)

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
        equal = have == wanted or (self.switches.compare == "folded" and have.casefold() == wanted.casefold())
        self._note(script, statement, text, "true, jumps" if equal else f"false, it is {have!r}")
        return equal

    def _get(
        self, script: Script, statement: Statement, chain: list[str]
    ) -> Generator[Ask, bytes | Script | None, Script | Ended | None]:
        """The script that GET brings, None to go on with the next line, or the end."""
        name = self.substitute(statement.name)
        text, line = f"GET {name}", statement.line
        if name.casefold() in chain:
            told = f"{name} is already being read: a GET loop"
            self._note(script, statement, text, told)
            return Ended("get-loop", script.name, line, told)
        if len(chain) >= self.switches.nesting:
            told = f"more than {self.switches.nesting} files follow one another"
            self._note(script, statement, text, told)
            return Ended("nesting", script.name, line, told)
        data = yield Ask(name, script.name, line)
        self.files.append((name, data is not None))
        if data is not None:
            self._note(script, statement, text, "read")
            return _script(name, data)
        if self.switches.get_failure == "stop":
            self._note(script, statement, text, "failed: the rest of the script is ignored")
            return Ended("get-failed", script.name, line, f"{name} could not be had")
        self._note(script, statement, text, "failed, goes on with the next line")
        return None

    def _note(self, script: Script, statement: Statement, text: str, effect: str) -> None:
        self.trace.append(Step(script.name, statement.line, statement.kind, text, effect))


def _script(name: str, data: bytes | Script) -> Script:
    return data if isinstance(data, Script) else parse(name, data)
