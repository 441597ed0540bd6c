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

from mv_iptel.config import Config
from mv_iptel.firmware.foreseeing import Changed, Loss, errors, losses

SECONDS = 300.0
MEMORY = 2 << 30
UNKNOWN = "what it would do to phones could not be found out; publish it with `mv-iptel firmware publish`"


def foretold(config: Config, changed: Changed, apart: bool = False) -> tuple[list[str], list[Loss]]:
    """Lint's errors, and who would come off worse."""
    if not apart:
        return errors(config, changed), losses(config, changed)
    # -P: what lies in the working directory is not ours to import.
    command = [sys.executable, "-P", "-c", "from mv_iptel.firmware.foretelling import main; main()"]
    paths = [os.fspath(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    asked = pickle.dumps((replace(config, lines={}, findings=()), dict(changed)))
    try:
        done = subprocess.run(command, env=env, input=asked, capture_output=True, timeout=SECONDS, check=True)
        told = json.loads(done.stdout)
        return [str(one) for one in told["errors"]], [Loss(*one) for one in told["losses"]]
    except (OSError, ValueError, TypeError, KeyError, subprocess.SubprocessError):
        return [UNKNOWN], []


def main() -> None:
    """Read the question from standard input, which only our own server writes; answer in JSON."""
    if hasattr(os, "nice"):
        os.nice(10)
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
    config, changed = pickle.loads(sys.stdin.buffer.read())  # noqa: S301
    told, worse = foretold(config, changed)
    json.dump({"errors": told, "losses": worse}, sys.stdout)
