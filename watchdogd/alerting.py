"""Runs the administrator's alert script: words as arguments, a fixed environment, a limited time."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mv_iptel.home import Home
from mv_iptel.journal import plain
from watchdogd.judge import Verdict

LIMIT = 120.0  # seconds for the script, with everything that it starts
PRINTED = 4000  # octets of what it prints that are kept
SCRIPT = "mv_iptel_alert.bat" if os.name == "nt" else "mv_iptel_alert.sh"


class Ran(NamedTuple):
    """What became of one run: `code` is None if it was ended by us or never began."""

    at: float
    verdict: Verdict
    code: int | None
    text: str  # why it did not do well, or ""
    printed: str = ""
    seconds: float = 0.0


class Alerter:
    """One run at a time, in a thread of its own; `done` is told of the end, on that thread."""

    def __init__(self, home: Home, done: Callable[[Ran], None], limit: float = LIMIT):
        self.home = home
        self.script = home.watchdog / "bin" / SCRIPT
        self._done = done
        self._limit = limit
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the script runs now."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, verdict: Verdict) -> None:
        """Run it for this verdict."""
        self._thread = threading.Thread(target=self._work, args=(verdict,), name="alert", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until the run is over, but not longer."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self, verdict: Verdict) -> None:
        self._done(run(self.script, self.home, verdict, self._limit))

    def fault(self) -> str:
        """Why the script would not run, or "": one that is not there is no fault."""
        return fault(self.script)


def fault(script: Path) -> str:
    """What is wrong with the script's file."""
    try:
        there = os.stat(script)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{script} cannot be looked at: {error.strerror}"
    if not stat.S_ISREG(there.st_mode):
        return f"{script} is no file"
    if os.name == "posix":
        if there.st_mode & stat.S_IWOTH:
            return f"{script} is not run: everybody may write it (chmod o-w)"
        if not os.access(script, os.X_OK):
            return f"{script} cannot be run by the watchdog's user (chmod +x)"
    return ""


def environment(home: Home) -> dict[str, str]:
    """The same for every run, whoever started the watchdog."""
    given = {"MV_IPTEL_HOME": str(home.root)}
    if sys.platform == "win32":
        root = os.environ.get("SYSTEMROOT", r"C:\Windows")
        return given | {
            "SystemRoot": root,
            "PATH": rf"{root}\System32;{root}",
            "ComSpec": rf"{root}\System32\cmd.exe",
        }
    return given | {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def command(script: Path, verdict: Verdict) -> list[str]:
    """Its arguments are words of ours: a listener such as http:81 and a reason such as wedged."""
    return [str(script), "--listener", verdict.listener, "--reason", verdict.reason]


def run(script: Path, home: Home, verdict: Verdict, limit: float = LIMIT) -> Ran:
    """Run it, and wait for its end."""
    at, began = time.time(), time.monotonic()
    if not script.exists():
        return Ran(at, verdict, None, f"there is no {script}")
    wrong = fault(script)
    if wrong:
        return Ran(at, verdict, None, wrong)
    # Into a file: what it leaves running must not keep us waiting for the end of its output.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command(script, verdict), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=script.parent, env=environment(home), start_new_session=os.name == "posix",
            )  # fmt: skip
        except OSError as error:
            return Ran(at, verdict, None, f"{script} cannot be run: {error.strerror}")
        try:
            code: int | None = process.wait(limit)
            text = f"{script} ended with {code}" if code else ""
        except subprocess.TimeoutExpired:
            _end(process)
            code, text = None, f"{script} was ended: it took longer than {limit:g} s"
        output.seek(0)
        printed = output.read(PRINTED).decode("utf-8", "replace")
    shown = "\n".join(plain(line, 500) for line in printed.splitlines()[:40])
    return Ran(at, verdict, code, text, shown, time.monotonic() - began)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, and what it started."""
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
