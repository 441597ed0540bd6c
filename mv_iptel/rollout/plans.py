"""What a roll-out is, on the disk: the plan that commands write, and what the server found out meanwhile.

`var/releases/rollout.json` is written by commands only, `var/releases/rollout-RUN.jsonl` by the server only:
so neither waits for the other, and a server that is started again knows who runs what.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.firmware.releases import ID, PLACES, SHA256
from mv_iptel.home import Home
from mv_iptel.rollout.rings import Ring, Stage, stage_of
from mv_iptel.userdata.disk import write_record

RUNNING, PAUSED, HALTED, DONE, ABORTED = "running", "paused", "halted", "done", "aborted"
STATES = (RUNNING, PAUSED, HALTED, DONE, ABORTED)
OVER = (DONE, ABORTED)

# What became of a phone that was given the new script.
REACHED, LOADED, RUNS, FAILED, LOOPS = "reached", "loaded", "runs", "failed", "loops"
FATES = (REACHED, LOADED, RUNS, FAILED, LOOPS)

_RUN = re.compile(r"[0-9a-f]{8}")
LONGEST = 4 << 20  # octets of a plan


class Limits(NamedTuple):
    """How much may go wrong in a stage before it halts; see `judging.verdict`."""

    loops: int = 1  # phones in a boot loop; -1: they are failures like others
    percent: float = 5.0  # of the phones that were reached
    most: int = -1  # failures and loops together, whatever share that is; -1: the two above decide


class Terms(NamedTuple):
    """What was allowed for the publication at the end; see `Publisher.publish`."""

    live: str = "stop"
    losses: bool = False
    force: bool = False


@dataclass(frozen=True)
class Rollout:
    """One roll-out. Times in seconds since the epoch; `scripts` is place -> name -> sha256 of its content."""

    run: str
    release: str
    state: str
    stages: tuple[Stage, ...]
    stage: int  # the present one, from 0
    began: float
    changed: float
    since: float  # what went wrong before counts no more: the stage began then, or went on
    terms: Terms = field(default_factory=Terms)
    scripts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    note: str = ""

    @property
    def ring(self) -> Ring:
        """Everybody who came in up to now."""
        return Ring(self.stages[: self.stage + 1])

    @property
    def last(self) -> bool:
        """Whether everybody else is next."""
        return self.stage + 1 >= len(self.stages)

    def to(self, state: str, now: float, note: str = "") -> Rollout:
        """The same in another state."""
        return replace(self, state=state, changed=now, note=note)


class Met(NamedTuple):
    """A phone that was given the ring's script. `key` is its MAC, else its address."""

    key: str
    address: str
    mac: str
    model: str
    stage: int
    fate: str
    time: float  # when its fate changed last
    counts: bool = True  # its model is known, and its address is its own
    detail: str = ""


class Halt(NamedTuple):
    """It stopped itself."""

    time: float
    why: str


def new_run() -> str:
    """A name for one roll-out: eight hex digits."""
    return secrets.token_hex(4)


def load(home: Home) -> Rollout | None:
    """The last roll-out, or None. A halt that the server wrote down is in it."""
    try:
        with (home.var / "releases" / "rollout.json").open("rb") as file:
            told: dict[str, Any] = json.loads(file.read(LONGEST))
        found = Rollout(**{
            **told,
            "stages": tuple(stage_of(*one) for one in told["stages"]),
            "limits": Limits(*told["limits"]),
            "terms": Terms(*told["terms"]),
        })  # fmt: skip
        if not _sound(found):
            return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    halt = _halt(log_of(home, found.run)) if found.state == RUNNING else None
    if halt is not None and halt.time >= found.changed:
        return replace(found, state=HALTED, note=halt.why)
    return found


def save(home: Home, rollout: Rollout) -> None:
    """Write the plan, synced, and remove what earlier roll-outs left. Raises OSError."""
    folder = home.var / "releases"
    told = {**asdict(rollout), "stages": [list(map(list, one)) for one in rollout.stages],
            "limits": list(rollout.limits), "terms": list(rollout.terms)}  # fmt: skip
    write_record(folder / "rollout.json", json.dumps(told, indent=1).encode())
    for old in folder.glob("rollout-*.jsonl"):
        if old != log_of(home, rollout.run):
            with suppress(OSError):
                old.unlink()


def log_of(home: Home, run: str) -> Path:
    """Where the server writes what became of the phones of a roll-out."""
    return home.var / "releases" / f"rollout-{run}.jsonl"


def read(log: Path) -> dict[str, Met]:
    """Who was met and what became of them, by key. Lines that are broken are skipped."""
    met: dict[str, Met] = {}
    with suppress(OSError), log.open("rb") as file:
        for line in file:
            try:
                one = Met(**json.loads(line))
            except (ValueError, TypeError):
                continue  # a halt, or the last line of a crash
            if one.fate in FATES:
                met[one.key] = one
    return met


def contents(home: Home) -> set[str]:
    """What the roll-out that is under way lends: scripts may be merged, and belong to no release."""
    found = load(home)
    if found is None or found.state in OVER:
        return set()
    return {sha256 for named in found.scripts.values() for sha256 in named.values()}


def met_at(home: Home, key: str) -> tuple[Rollout, Met] | None:
    """The roll-out that is under way and what became of this phone in it; None if it has not come in."""
    found = load(home)
    if found is None or found.state in OVER:
        return None
    met = read(log_of(home, found.run)).get(key)
    return None if met is None else (found, met)


def _halt(log: Path) -> Halt | None:
    """The last one that was written down: fifty thousand phones are not looked at for it."""
    halt = None
    with suppress(OSError), log.open("rb") as file:
        for line in file:
            if b'"halt"' in line:
                with suppress(ValueError, TypeError, KeyError):
                    told = json.loads(line)
                    halt = Halt(float(told["time"]), str(told["halt"]))
    return halt


class Log:
    """Appends to what was found out. Raises OSError."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, found: Iterable[Met | Halt], sync: bool = True) -> None:
        lines = [
            json.dumps({"time": one.time, "halt": one.why} if isinstance(one, Halt) else one._asdict())
            for one in found
        ]
        if not lines:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        with open(os.open(self.path, flags | getattr(os, "O_NOFOLLOW", 0), 0o640), "a+b") as file:
            end = file.seek(0, os.SEEK_END)
            broken = b""
            if end:
                file.seek(end - 1)
                broken = b"\n" if file.read(1) != b"\n" else b""  # a crash may have left half a line
            file.write(broken + "".join(line + "\n" for line in lines).encode())
            file.flush()
            if sync:
                os.fsync(file.fileno())

    def sync(self) -> None:
        """What was written without a sync lasts from now on."""
        fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _sound(found: Rollout) -> bool:
    """Whether the file holds what its types say: it decides what phones get."""
    return (
        bool(_RUN.fullmatch(found.run) and ID.fullmatch(found.release))
        and found.state in STATES
        and bool(found.stages)
        and isinstance(found.stage, int)
        and 0 <= found.stage < len(found.stages)
        and all(isinstance(one, int | float) for one in (found.began, found.changed, found.since))
        and all(
            place in PLACES and all(SHA256.fullmatch(one) for one in named.values())
            for place, named in found.scripts.items()
        )
    )
