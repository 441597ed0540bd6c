"""An old installation on the disk: where its parts are, and where a path of its ini files leads.

It may be in its own place, on a mounted disk, or a copy somewhere; made on Linux or on Windows. Everything
here only looks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mv_iptel import heartbeat
from mv_iptel.config.values import REFERENCE_TREES

# Beneath the top of a disk, where the reference's installers put it.
_USUAL = (("opt", "ecs", "mvuser"), ("Program Files", "Avaya"), ("Program Files (x86)", "Avaya"))
_HEARTBEAT = (("etc", "ha.d"), ("etc", "heartbeat"))
_ALERTS = tuple((*parts, f"mv_iptel_alert.{end}") for parts in (("bin",), ()) for end in ("sh", "bat"))


class Old(NamedTuple):
    """What was found. `disk` is where that machine's top is; None: nobody knows."""

    base: Path  # MV_IPTel, MV_WatchDog and MV_Manager lie in it
    iptel: Path
    ini: Path
    watchdog_ini: Path | None
    manager_ini: Path | None
    alert: Path | None
    disk: Path | None
    heartbeat: tuple[Path, ...]  # those of its three files that are there


def find(root: Path, disk: Path | None = None, ha: Path | None = None) -> Old | str:
    """The installation at `root`, or why there is none."""
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        return f"{root} is no directory"
    for base in (root, *(one for parts in _USUAL if (one := lower(root, parts)))):
        iptel = lower(base, ("MV_IPTel",)) or (base if base.name.lower() == "mv_iptel" else None)
        if iptel is None and lower(base, ("MV_IPTel.ini",)):
            iptel = base.parent if base.name.lower() == "bin" else base
        ini = iptel and (lower(iptel, ("bin", "MV_IPTel.ini")) or lower(iptel, ("MV_IPTel.ini",)))
        if iptel and ini:
            if (iptel / "var" / "control.token").exists():
                return (
                    f"{iptel.parent} is a home of mv-iptel itself; copy it as it is, or name it with --home"
                )
            return _complete(iptel, ini, disk or _top(iptel.parent), ha)
    return f"{root} holds no MV_IPTel with its MV_IPTel.ini"


def _complete(iptel: Path, ini: Path, disk: Path | None, ha: Path | None) -> Old:
    base = iptel.parent
    # The guide prints the watchdog's folder once beside `mvuser` and not in it.
    dogs = [one for place in (base, base.parent) if (one := lower(place, ("MV_WatchDog",)))]
    places = [ha] if ha else [base, *(one for parts in _HEARTBEAT if disk and (one := lower(disk, parts)))]
    return Old(
        base,
        iptel,
        ini,
        _first(dogs, (("bin", "MV_WatchDog.ini"), ("MV_WatchDog.ini",))),
        _first([base], (("MV_Manager", "bin", "MV_Manager.ini"), ("MV_Manager", "MV_Manager.ini"))),
        _first(dogs, _ALERTS),
        disk,
        next(
            (found for place in places if (found := tuple(
                one for name in heartbeat.FILES if (one := lower(place, (name,))) and one.is_file()))),
            (),
        ),
    )  # fmt: skip


def _first(places: Iterable[Path], names: Iterable[tuple[str, ...]]) -> Path | None:
    found = (one for place in places for parts in names if (one := lower(place, parts)))
    return next(found, None)


def _top(base: Path) -> Path | None:
    """The top of the disk that `base` is on in its usual place."""
    for usual in _USUAL:
        if tuple(part.lower() for part in base.parts[-len(usual) :]) == tuple(part.lower() for part in usual):
            return Path(*base.parts[: -len(usual)])
    return None


def lower(base: Path, parts: Iterable[str]) -> Path | None:
    """What lies beneath `base` under these names; where that spelling is not there, in any letter case."""
    here = base
    for part in parts:
        if part in ("", "."):
            continue
        if part == "..":
            return None
        exact = here / part
        if not os.path.lexists(exact):
            try:
                names = sorted(name for name in os.listdir(here) if name.lower() == part.lower())
            except OSError:
                return None
            if not names:
                return None
            exact = here / names[0]
        here = exact
    return here


def place(old: Old, text: str) -> Path | None:
    """Where a path of its ini files is now; None: not here."""
    plain = text.strip().strip("\"'").replace("\\", "/")
    for tree in REFERENCE_TREES:
        stem = tree.replace("\\", "/") + "/"
        if plain.lower().startswith(stem):
            return lower(old.base, plain[len(stem) :].split("/"))
    drive = re.match(r"[A-Za-z]:/", plain)
    if drive or plain.startswith("/"):
        return lower(old.disk, plain[3 if drive else 1 :].split("/")) if old.disk else None
    return lower(old.base, plain.split("/")) if plain else None
