"""What is broken in the scripts of the data directories; looked for in a process of its own.

Lint of a big file computes for long, and while one thread of the server computes the others stand
(DESIGN section 6). So the server starts this module as a program, at low priority.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

SECONDS = 60.0
MEMORY = 1 << 30
LINES = 200  # of one directory; more is another trouble
LENGTH = 400  # octets of a sentence


class Problem(NamedTuple):
    """Something that keeps phones from booting or from their settings: path, line, sentence."""

    file: str
    line: int
    text: str


class Place(NamedTuple):
    """A directory, and others whose files count as there too."""

    folder: str
    elsewhere: tuple[str, ...] = ()


def judge(places: Sequence[Place]) -> dict[str, list[Problem]] | None:
    """The errors in each folder. None: it could not be found out, and what was known stays."""
    # -P: what lies in the working directory is not ours to import.
    command = [sys.executable, "-P", "-c", "from mv_iptel.history.judging import main; main()"]
    paths = [os.fspath(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(
            command, env=env, input=json.dumps(places), capture_output=True, text=True, timeout=SECONDS,
            check=True,
        )  # fmt: skip
        told = json.loads(done.stdout)
        return {folder: [Problem(*one) for one in found] for folder, found in told.items()}
    except (OSError, ValueError, TypeError, subprocess.SubprocessError):
        return None


def found_in(place: Place) -> list[Problem]:
    """The errors in one folder, found here and now."""
    folder = Path(place.folder)
    if not folder.is_dir():
        return []
    found = list(_errors(folder, [Path(each) for each in place.elsewhere]))
    return [one._replace(text=one.text[:LENGTH]) for one in found[:LINES]]


def _errors(folder: Path, elsewhere: list[Path]) -> Iterable[Problem]:
    # Here, so that the server, which only starts the other process, does not load it.
    from mv_iptel.phones.lint import Folder, lint

    # Without a `Site`: what only the server knows makes warnings, and no error.
    for finding in lint(Folder.read(folder, elsewhere=elsewhere)):
        if finding.severity == "error":
            yield Problem(os.fspath(folder / finding.file), finding.line, f"{finding.text}; {finding.mend}")


def main() -> None:
    """Read the places from standard input, write what was found to standard output."""
    if hasattr(os, "nice"):
        os.nice(10)
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
    places = [Place(folder, tuple(elsewhere)) for folder, elsewhere in json.load(sys.stdin)]
    json.dump({place.folder: found_in(place) for place in places}, sys.stdout)
