"""Which script line sent a phone to a file: asked when the file was not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mv_iptel.phones.effects import ANYONE, effects
from mv_iptel.phones.families import Handset
from mv_iptel.phones.parameters import Parameter, known
from mv_iptel.phones.script import FIRMWARE, Script, Statement
from mv_iptel.phones.served import Served

_SCRIPT = re.compile(r"\.(scr|txt)$", re.I)
_PART = re.compile(r"\$(MACADDR_UPPER|MACADDR|SERIALNO|MODEL4)", re.I)
_FORMS = {"MACADDR": "[0-9a-f]{12}", "MACADDR_UPPER": "[0-9a-f]{12}", "SERIALNO": ".+", "MODEL4": ".{4}"}


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
        if any(_is(name, wanted) for name in _names(statement)):
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


def _is(name: str, wanted: str) -> bool:
    name = name.replace("\\", "/").rpartition("/")[2]
    if "$" not in name:
        return name.casefold() == wanted
    parts = _PART.split(name)  # text, variable, text, ...
    form = "".join(_FORMS[part.upper()] if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return bool(re.fullmatch(form, wanted, re.I))


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].casefold()
