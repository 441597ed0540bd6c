"""Where a release's places are on this disk: a place and a name, to the path that phones get it from."""

from __future__ import annotations

import os
from pathlib import Path

from mv_iptel.config import Config
from mv_iptel.firmware.placing import directories
from mv_iptel.library.names import clean, forbidden


class Unusable(ValueError):
    """A name that nothing is published under; the text says why."""


def spelled(root: Path, name: str) -> str:
    """The name as it is spelled there already: phones ask in any letter case, and shall find one file."""
    found: list[str] = []
    folder = root
    for part in name.split("/"):
        try:
            names = os.listdir(folder)
        except OSError:
            names = []
        if part not in names:
            part = next((each for each in sorted(names) if each.casefold() == part.casefold()), part)
        found.append(part)
        folder = folder / part
    return "/".join(found)


def path_of(config: Config, place: str, name: str) -> Path:
    """Where this file is, or would be. A link may lead into a data directory only. Raises Unusable."""
    known = directories(config)
    if place not in known:
        raise Unusable(f"{place} is no place for files")
    told, wrong = clean(os.fsencode(name))
    if wrong or told != name:
        raise Unusable(f"{place}/{name}: {wrong or 'this is not how names are written'}")
    if (never := forbidden(name)) and not name.lower().endswith("allow_ip.txt"):
        raise Unusable(f"{place}/{name}: {never}")
    real = Path(os.path.realpath(known[place] / spelled(known[place], name)))
    for root in known.values():
        base = Path(os.path.realpath(root))
        if base in real.parents:
            return real
    raise Unusable(f"{place}/{name} is a link that leads out of the data directories, to {real}")
