"""The order of a publication's changes: a file comes before those that name it."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from mv_iptel.firmware.carrying import EDITED
from mv_iptel.firmware.journal import Change
from mv_iptel.firmware.releases import Releases
from mv_iptel.phones.script import parse

LONGEST = 16 << 20


def ordered(releases: Releases, changes: Iterable[Change]) -> list[Change]:
    """What is no script first, then scripts, those that are asked for by a GET before those that ask.

    Both contents count, the one before and the one after: on the way back the other one is served.
    """
    every = sorted(changes, key=lambda one: one.path)
    others = [one for one in every if one.role not in EDITED]
    scripts = {one.path: one for one in every if one.role in EDITED}
    names: dict[str, set[str]] = {}
    for path in scripts:
        names.setdefault(Path(path).name.casefold(), set()).add(path)
    asks = {
        path: {
            other
            for sha256 in (one.before, one.after)
            if sha256
            for name in _asked(releases, sha256)
            for other in names.get(name, ())
            if other != path
        }
        for path, one in scripts.items()
    }
    try:
        order = list(TopologicalSorter(asks).static_order())
    except CycleError:  # scripts that lead to each other: no order is better than another
        order = list(scripts)
    return [*others, *(scripts[path] for path in order)]


def _asked(releases: Releases, sha256: str) -> set[str]:
    with releases.content(sha256).open("rb") as file:
        script = parse("", file.read(LONGEST))
    return {
        one.name.replace("\\", "/").rpartition("/")[2].casefold()
        for one in script.statements
        if one.kind == "get"
    }
