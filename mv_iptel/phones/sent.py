"""Which script line sent a phone to a file: asked when the file was not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mv_iptel.phones.effects import ANYONE, effects
from mv_iptel.phones.families import Handset
from mv_iptel.phones.parameters import Parameter, known
from mv_iptel.phones.script import FIRMWARE, Script, Statement
from mv_iptel.phones.served import Served, stands_for

_SCRIPT = re.compile(r"\.(scr|txt)$", re.I)


class Sent(NamedTuple):
    """A line, and whether it is GET or the setting that names the file."""

    file: str
    line: int
    by: str = "GET"


def sent_by(files: Served | Mapping[str, bytes], handset: Handset, missing: str) -> Sent | None:
    """The line that makes this phone ask for a file, or None: it is played over the scripts as they are.

    A name may carry the folder that the phone puts before it.
    """
    served = files if isinstance(files, Served) else Served.memory(files)
    if handset.mac == ANYONE:
        return next(iter(named_by(served, missing)), None)
    wanted = _last(missing)
    for asked in effects(served, handset).asked:
        if asked.file and _last(asked.name) == wanted:
            return Sent(asked.file, asked.line, asked.parameter or "GET")
    return None


def named_by(files: Served | Mapping[str, bytes], missing: str) -> list[Sent]:
    """Every line of any script that names the file, whoever reads that line."""
    served = files if isinstance(files, Served) else Served.memory(files)
    wanted = _last(missing)
    found: list[Sent] = []
    for protocol, name in sorted(served.names(), key=lambda each: each[1].casefold()):
        script = served.script(protocol, name) if _SCRIPT.search(name) else None
        found += _lines(script, wanted) if script and not script.fault else ()
    return found


def _lines(script: Script, wanted: str) -> Iterable[Sent]:
    for statement in script.statements:
        if any(stands_for(_last(name), wanted) for name in _names(statement)):
            by = "GET" if statement.kind == "get" else statement.name
            yield Sent(script.name, statement.line, by)


def _names(statement: Statement) -> list[str]:
    """The files that a line names."""
    if statement.kind == "get":
        return [statement.name]
    if statement.kind != "set" or not statement.value:
        return []
    row = known(statement.name)
    names_files = statement.name in FIRMWARE or (isinstance(row, Parameter) and row.file)
    return statement.value.split(",") if names_files else []


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].casefold()
