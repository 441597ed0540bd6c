"""Lint of what stands in an editor, and whom it breaks; computed in a process of its own, at low priority.

While one thread of the manager computes, every page waits. So each `Judge` is a program that is asked by
lines of JSON and answers so; it ends with its input, and is started anew when it was ended.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manager.problems import Problem
from mv_iptel import linted
from mv_iptel.config import Config
from mv_iptel.phones.lint import Finding, Folder, lint
from mv_iptel.phones.lint.folder import ENTRY

SECONDS = 60.0  # for one answer
MEMORY = 2 << 30
WAITING = 8  # questions at once; who types asks again anyway
MOST = 500  # findings told of one file


class Judge:
    """One such process of a home. It is started by the first question."""

    def __init__(self, home: Path):
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._turn: asyncio.Lock | None = None
        self._waiting = 0

    async def ask(self, call: Any, **question: Any) -> Any:
        """Its answer. `call` lends the thread on which it is waited for. Raises Problem."""
        self._turn = self._turn or asyncio.Lock()
        if self._waiting >= WAITING:
            raise Problem("busy", "others let the manager compute; try again in a moment")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        # The turn is the thread's: who leaves meanwhile must not have two of them read one process's answers.
        asked = asyncio.ensure_future(call.run(self.answer, question))
        asked.add_done_callback(self._over)
        return await asyncio.shield(asked)

    def _over(self, asked: asyncio.Future[Any]) -> None:
        assert self._turn is not None
        self._turn.release()
        if not asked.cancelled():
            asked.exception()  # there may be nobody left to tell

    def answer(self, question: Mapping[str, Any]) -> Any:
        """The same on one's own thread, one question at a time. Raises Problem."""
        line = json.dumps({"home": os.fspath(self._home), **question}).encode() + b"\n"
        for again in (True, False):
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            alarm = threading.Timer(SECONDS, process.kill)
            alarm.daemon = True
            alarm.start()
            try:
                process.stdin.write(line)
                process.stdin.flush()
                told = json.loads(process.stdout.readline() or b"{}")
            except (OSError, ValueError):
                told = {}
            finally:
                alarm.cancel()
            if "answer" in told:
                return told["answer"]
            if "fault" in told:
                raise Problem("fault", told["fault"])
            late = process.poll() is None or process.returncode == -9
            self.close()
            if late and not again:
                break
        raise Problem("busy", f"it could not be computed within {SECONDS:g} s")

    def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            paths = [os.fspath(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
            self._process = subprocess.Popen(
                # -P: what lies in the working directory is not ours to import.
                [sys.executable, "-P", "-c", "from manager.facts.lint import main; main()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )  # fmt: skip
        return self._process


# What the process does


def findings(config: Config, folder: Path, name: str, data: bytes | None) -> list[Finding]:
    """What lint says of one file of a folder; with `data`, as if that were its content."""
    served = {os.path.realpath(place.path): place for place in linted.places(config)}
    place = served.get(os.path.realpath(folder), linted.Place(folder))
    whole = os.path.realpath(folder) in served or _complete(folder)
    try:
        read = Folder.read(folder, (name,), place.elsewhere, place.nearby, whole)
    except OSError:
        read = Folder({})
    if data is not None:
        # It may lead to scripts that nothing led to before.
        more = set(re.findall(rb"^get[ \t]+\"?([^ \t\r\n\"]+)", data, re.I | re.M))
        also = [one.decode("latin-1") for one in more if one.decode("latin-1") in read.others]
        if also:
            read = Folder.read(folder, (name, *also), place.elsewhere, place.nearby, whole)
        faults = {one: why for one, why in read.faults.items() if one != name}
        read = Folder(
            {**read.files, name: data}, read.others - {name}, read.elsewhere, read.nearby, whole, faults
        )
    return lint(read, (name,), site=place.site)


def told(found: list[Finding], with_fixes: bool) -> list[dict[str, Any]]:
    """For JSON. A fix is the line as it should be, which may hold a secret."""
    return [
        {
            "line": one.line, "code": one.code, "severity": one.severity, "text": one.text, "mend": one.mend,
            "fix": "".join(one.fix) if with_fixes and one.fix is not None else None,
        }
        for one in found[:MOST]
    ]  # fmt: skip


def _complete(folder: Path) -> bool:
    """Whether it looks like one that is served: then what is not in it is missing."""
    try:
        names = [name.casefold() for name in os.listdir(folder) if ENTRY.fullmatch(name)]
    except OSError:
        return False
    return any("upgrade" in name for name in names) and any("settings" in name for name in names)


class _Configs:
    """The home's configuration, read again when it was changed."""

    def __init__(self) -> None:
        self._known: tuple[object, Config] | None = None

    def of(self, root: str) -> Config:
        from mv_iptel.config import ConfigError, defaults, load
        from mv_iptel.files import states
        from mv_iptel.home import Home

        home = Home(Path(root))
        state = (root, states([home.ini]))
        if self._known is None or self._known[0] != state:
            try:
                config = load(home) if home.ini.exists() else defaults(home)
            except (ConfigError, OSError):
                config = self._known[1] if self._known is not None else defaults(home)
            self._known = (state, config)
        return self._known[1]


def answered(question: dict[str, Any], config: Config) -> Any:
    """The answer to one question."""
    from manager.facts.touched import whom

    text = question.get("data")
    data = base64.b64decode(text) if text is not None else None
    if question["do"] == "lint":
        found = findings(config, Path(question["folder"]), question["name"], data)
        counts = {
            grade: sum(one.severity == grade for one in found) for grade in ("error", "warning", "info")
        }
        return {"findings": told(found, question["fixes"]), "counts": counts}
    return whom(config, question["area"], question["name"], data)


def main() -> None:
    """Answer until the input ends."""
    if hasattr(os, "nice"):
        os.nice(5)
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    configs = _Configs()
    output = os.fdopen(os.dup(1), "wb")
    for line in sys.stdin.buffer:
        try:
            question = json.loads(line)
            told = {"answer": answered(question, configs.of(question["home"]))}
        except MemoryError:
            told = {"fault": "it takes too much memory to compute"}
        except Exception as fault:
            told = {"fault": f"it could not be computed ({type(fault).__name__})"}
        output.write(json.dumps(told).encode() + b"\n")
        output.flush()
