"""What the watchdog remembers over its own restarts: those of the server, where the check file was."""

from __future__ import annotations

import json
from pathlib import Path

from mv_iptel import files
from watchdogd.judge import State

FILE = "watchdog.json"


class Memory:
    """`MV_WatchDog/data`. What is broken in there is as if it were not there."""

    def __init__(self, folder: Path):
        self.path = folder / FILE
        self._written: object = None

    def load(self) -> State:
        """The state to begin with."""
        try:
            kept = json.loads(self.path.read_bytes())
            restarts = tuple(float(one) for one in kept["restarts"])
            found = frozenset(str(one) for one in kept["found"])
        except (OSError, ValueError, KeyError, TypeError):
            return State()
        self._written = restarts, found
        return State(restarts=restarts, found=found)

    def keep(self, state: State) -> str:
        """Write what is new in it; why that does not work, or "". Without the disk it is kept in memory."""
        fresh = state.restarts, state.found
        if fresh == self._written:
            return ""
        data = {"restarts": list(state.restarts), "found": sorted(state.found)}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(self.path, json.dumps(data).encode("utf-8"), 0o640)
        except OSError as error:
            return f"{self.path} cannot be written: {error.strerror}"
        self._written = fresh
        return ""
