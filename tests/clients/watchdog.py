"""A running watchdog beside a running file server, and a server stuck in ways that real ones get stuck in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from mv_iptel.home import Home
from tests.clients.daemon import PATIENCE, free_ports, set_keys, wait_for


class Watchdog:
    """One running `mv-watchdog` of a home. `with Watchdog(home) as watchdog:`.

    Its alert script writes down how it was called; `then` is a line of shell that it runs besides.
    """

    def __init__(self, home: Home, then: str = "", **keys: object):
        self.home = home
        self.port = free_ports(1)[0]
        wanted = {"StatusPort": self.port, "WatchDogTimer": 1, "ProbeTimeout": 1, "FailureLimit": 3, **keys}
        set_keys(home.watchdog_ini, {("Settings", name): value for name, value in wanted.items()})
        self.called = home.root / "alert.calls"
        script = home.watchdog / "bin" / "mv_iptel_alert.sh"
        script.write_text(f'#!/bin/sh\necho "$*" >> "{self.called}"\necho called\n{then}\n')
        script.chmod(0o755)
        self.output = home.root / "watchdog.out"
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Watchdog:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "watchdogd.cli", "--home", str(self.home.root)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        wait_for(f"mv-watchdog ({self.output})", self._up)
        return self

    def _up(self) -> bool:
        assert self.process.poll() is None, f"mv-watchdog ended: {self.output.read_text()}"
        try:
            return self.seen()["rounds"]["count"] > 0
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        said = self.output.read_text()
        assert code == 0 and "Traceback" not in said and "Traceback" not in self.log(), said + self.log()

    def get(self, path: str, **headers: str) -> bytes:
        """GET from its page's port."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()

    def seen(self) -> dict:
        """`/status.json`."""
        return json.loads(self.get("/status.json"))

    def calls(self) -> list[str]:
        """The arguments of each run of the script."""
        return self.called.read_text().splitlines() if self.called.exists() else []

    def alerts(self) -> list[dict]:
        """What it decided, the oldest first."""
        return self.seen()["alerts"][::-1]

    def alert(self, reason: str) -> dict:
        """The first alert with this reason; waits for it."""
        found: list[dict] = []

        def there() -> bool:
            found[:] = [one for one in self.alerts() if one["reason"] == reason]
            return bool(found)

        wait_for(f"an alert {reason}", there)
        return found[0]

    def log(self) -> str:
        """Its log so far."""
        path = self.home.watchdog / "log" / "MV_WatchDog.log"
        return path.read_text() if path.exists() else ""

    def rounds(self, more: int) -> None:
        """Until it has looked so often again."""
        until = self.seen()["rounds"]["count"] + more
        wait_for(f"{more} rounds", lambda: self.seen()["rounds"]["count"] >= until)


def pause(pid: int) -> None:
    """Stop a process where it is: it has its ports, and answers nobody."""
    os.kill(pid, signal.SIGSTOP)


def go_on(pid: int) -> None:
    """Let it run again."""
    os.kill(pid, signal.SIGCONT)


def emptied(folder: Path) -> None:
    """Remove what lies in a directory, as a slip of the hand does."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
