"""The process that reads archives: low in priority, limited, without root's rights, ended with its parent.

`python -m mv_iptel.firmware.worker` is told what to do by JSON lines on its input, and tells what it does by
JSON lines on its output. What it tells is held to be hostile like the archive that it read.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mv_iptel
import mv_iptel.firmware.tars
import mv_iptel.firmware.zips  # what is imported later may be root's alone
from mv_iptel.firmware.archives import Limits, Refused, without_change
from mv_iptel.firmware.names import shown
from mv_iptel.firmware.unpacking import Unpacked, hashed, unpack

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

MEMORY = 1 << 30  # octets of address space
COMPUTING = 1800  # seconds of a processor
SILENCE = 300.0  # seconds without a word after which it is ended: a disk that hangs
LONGEST = 4 * 3600.0  # seconds in all, whatever it tells meanwhile
WORDS = ("hashing", "looking", "unpacking")  # what it may be doing
NONSENSE = "unpacking ended with what cannot be"
LINE = 32 << 20  # octets of one line: ten thousand names
_PAUSE = 0.2  # seconds between two words about progress


class Failed(OSError):
    """The disk or the machine failed, which is not the archive's fault."""


class Worker:
    """One worker, from the side of who needs it. A context manager: at its end the worker is gone."""

    def __init__(self, archive: Path, limits: Limits | None = None):
        self._limits = limits or Limits()
        # Opened here: the worker may not be allowed to. Never written to.
        self._fd = os.open(archive, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        self._archive = archive
        self._late = False
        try:
            self._process = self._started()
        except BaseException:
            os.close(self._fd)
            raise

    def _started(self) -> subprocess.Popen[bytes]:
        passed = (self._fd,) if os.name == "posix" else ()
        where = str(Path(mv_iptel.__file__).parent.parent)  # also where nothing is installed
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "mv_iptel.firmware.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=passed,
            env={**os.environ, "PYTHONPATH": where},
            start_new_session=True,  # Ctrl-C is for the command, which ends the worker
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.communicate()
        os.close(self._fd)

    def state(self) -> os.stat_result:
        """What was opened."""
        return os.fstat(self._fd)

    def hash(self, told: Callable[[str, int, int], None]) -> tuple[str, int]:
        """The sha256 and the size of the archive. Raises Refused, Failed."""
        where: dict[str, Any] = {"fd": self._fd} if os.name == "posix" else {"path": str(self._archive)}
        answer = self._ask({**where, "limits": asdict(self._limits)}, told)
        try:
            sha256, size = answer["hashed"]
            return str(sha256), int(size)
        except (TypeError, ValueError, KeyError):
            raise Failed(errno.EIO, NONSENSE) from None

    def unpack(
        self,
        folder: Path,
        where: Mapping[str, Path],
        user: tuple[int, int],
        told: Callable[[str, int, int], None],
    ) -> tuple[list[Unpacked], list[str]]:
        """Unpack into a folder, which is `user`'s. Raises Refused, Failed. After `hash`."""
        places = {place: str(directory) for place, directory in where.items()}
        answer = self._ask({"folder": str(folder), "where": places, "user": user}, told)
        try:
            files = [
                Unpacked(int(at), tuple(map(str, to)), str(name), int(size), str(sha256), str(role))
                for at, to, name, size, sha256, role in answer["unpacked"]
            ]
            return files, list(map(str, answer["left_out"]))
        except (TypeError, ValueError, KeyError):
            raise Failed(errno.EIO, NONSENSE) from None

    def _ask(self, order: dict[str, Any], told: Callable[[str, int, int], None]) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        end = time.monotonic() + LONGEST
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            while True:
                answer = self._heard(process.stdout.readline)
                if "progress" not in answer:
                    break
                what, done, total = answer["progress"]
                if what not in WORDS or time.monotonic() > end:
                    raise ValueError
                told(what, int(done), int(total))
            if "refused" in answer:
                raise Refused(shown(str(answer["refused"]), 500))
            if "failed" in answer:
                number, why = answer["failed"]
                raise Failed(int(number), shown(str(why), 200))
        except (BrokenPipeError, ValueError, TypeError, KeyError):
            raise self._ended() from None
        return answer

    def _heard(self, readline: Callable[[int], bytes]) -> dict[str, Any]:
        alarm = threading.Timer(SILENCE, self._end_silence)
        alarm.daemon = True
        alarm.start()
        try:
            line = readline(LINE)
        finally:
            alarm.cancel()
        return json.loads(line)

    def _end_silence(self) -> None:
        self._late = True
        self._process.kill()

    def _ended(self) -> Exception:
        """Why it ended without a word: a limit, unless somebody ended it."""
        self._process.kill()
        code = self._process.wait()
        if self._late:
            return Failed(errno.ETIMEDOUT, "the disk did not answer while it was unpacked")
        if code == -getattr(signal, "SIGXCPU", 0):
            return Refused(f"it takes more than {COMPUTING} seconds of computing")
        return Failed(errno.EIO, f"unpacking ended early ({code})")


# The worker's own side


def main() -> None:
    """Do what the lines on standard input say."""
    output = os.fdopen(os.dup(1), "wb")
    _limit()
    first = json.loads(sys.stdin.buffer.readline())
    limits = Limits(**first["limits"])
    progress = _Progress(lambda told: _tell(output, told))
    try:
        with open(first.get("fd", first.get("path")), "rb", buffering=0) as raw:
            file = io.BufferedReader(raw, 256 << 10)
            before = os.fstat(file.fileno())
            _tell(output, {"hashed": hashed(file, progress)})
            line = sys.stdin.buffer.readline()
            if not line:
                return
            _end_with_parent()
            second = json.loads(line)
            _become(*second["user"])
            if resource is not None:
                _lower(resource.RLIMIT_FSIZE, limits.one + 1)
            where = {place: Path(directory) for place, directory in second["where"].items()}
            files, left_out = unpack(file, Path(second["folder"]), limits, where, progress)
            without_change(file, before)
            _tell(output, {"unpacked": files, "left_out": left_out})
    except Refused as error:
        _tell(output, {"refused": str(error)})
    except MemoryError:
        _tell(output, {"refused": f"it takes more than {MEMORY >> 20} MiB of memory to read"})
    except OSError as error:
        _tell(output, {"failed": [error.errno or errno.EIO, error.strerror or type(error).__name__]})


class _Progress:
    """Tells about progress, but not all the time."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]):
        self._tell, self._due = tell, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _PAUSE
            self._tell({"progress": [what, done, total]})


def _tell(output: Any, told: dict[str, Any]) -> None:
    output.write(json.dumps(told).encode() + b"\n")
    output.flush()


def _limit() -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    if resource is not None:
        for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, COMPUTING),
                           (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64)):  # fmt: skip
            _lower(what, most)


def _lower(what: int, most: int) -> None:
    assert resource is not None
    with contextlib.suppress(OSError, ValueError):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _become(user: int, group: int) -> None:
    """Give up root's rights for those of the owner of the folder, for good."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and user:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)


def _end_with_parent() -> None:
    """End when the input does: the parent keeps it open as long as it lives."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main()
