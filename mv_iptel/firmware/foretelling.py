"""What phones and lint would say of a plan, found out in a process of its own: it computes for long.

While one thread of the server computes the others stand (DESIGN 6), so the server asks this; a command does
it by itself.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.firmware.foreseeing import Changed, Gain, Loss, errors, touched

SECONDS = 300.0
MEMORY = 2 << 30
UNKNOWN = "what it would do to phones could not be found out; publish it with `mv-iptel firmware publish`"


class Foretold(NamedTuple):
    """Lint's errors, who would come off worse, and who would get other firmware."""

    errors: list[str]
    losses: list[Loss]
    gains: list[Gain]


def foretold(config: Config, changed: Changed, apart: bool = False) -> Foretold:
    """Find it out, here or, `apart`, in another process."""
    if not apart:
        return Foretold(errors(config, changed), *touched(config, changed))
    # -P: what lies in the working directory is not ours to import.
    command = [sys.executable, "-P", "-c", "from mv_iptel.firmware.foretelling import main; main()"]
    paths = [os.fspath(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    asked = pickle.dumps((replace(config, lines={}, findings=()), dict(changed)))
    try:
        done = subprocess.run(command, env=env, input=asked, capture_output=True, timeout=SECONDS, check=True)
        told = json.loads(done.stdout)
        worse, better = [Loss(*one) for one in told["losses"]], [Gain(*one) for one in told["gains"]]
        return Foretold([str(one) for one in told["errors"]], worse, better)
    except (OSError, ValueError, TypeError, KeyError, subprocess.SubprocessError):
        return Foretold([UNKNOWN], [], [])


def main() -> None:
    """Read the question from standard input, which only our own server writes; answer in JSON."""
    if hasattr(os, "nice"):
        os.nice(10)
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
    config, changed = pickle.loads(sys.stdin.buffer.read())  # noqa: S301
    json.dump(foretold(config, changed)._asdict(), sys.stdout)
