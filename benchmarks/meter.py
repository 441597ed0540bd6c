"""Processor time of a server and everything it forks: a control group where we may make one, else /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Protocol

import psutil


class Meter(Protocol):
    """Holds one server's processes from its first instruction."""

    kind: str
    exact: bool

    def start(self, command: list[str], output: Path) -> subprocess.Popen[bytes]: ...
    def seconds(self) -> float: ...
    def close(self) -> None: ...


class Group:
    """A control group, version 1 or 2: it also counts the children of in.tftpd, whose parent ignores SIGCHLD,
    so that neither wait4 nor /proc ever shows what they used."""

    kind = "control group"
    exact = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str], output: Path) -> subprocess.Popen[bytes]:
        """The shell enters the group and becomes the server: not one instruction goes uncounted."""
        enter = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.path / "cgroup.procs")]
        self._process = _spawn([*enter, *command], output)
        return self._process

    def seconds(self) -> float:
        version1 = self.path / "cpuacct.usage"
        if version1.exists():
            return int(version1.read_text()) / 1e9
        usage = dict(line.split() for line in (self.path / "cpu.stat").read_text().splitlines())
        return int(usage["usage_usec"]) / 1e6

    def close(self) -> None:
        _end(self._process)
        for _ in range(100):
            left = (self.path / "cgroup.procs").read_text().split()
            if not left:
                break
            for pid in left:
                _kill(int(pid))
            time.sleep(0.05)
        self.path.rmdir()


class Tree:
    """The process tree as /proc shows it, looked at every 20 ms: what a child used after the last look is
    lost, so the figure is a lower bound for servers that fork."""

    kind = "process tree"
    exact = False

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._used: dict[tuple[int, float], float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self, command: list[str], output: Path) -> subprocess.Popen[bytes]:
        self._process = _spawn(command, output)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self._process

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._look()

    def _look(self) -> None:
        assert self._process is not None
        try:
            root = psutil.Process(self._process.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            return
        for process in family:
            try:
                times = process.cpu_times()
                with self._lock:
                    self._used[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                continue

    def seconds(self) -> float:
        self._look()
        with self._lock:
            return sum(self._used.values())

    def close(self) -> None:
        self._ended.set()
        if self._watcher:
            self._watcher.join(5)
        _end(self._process)


def meter(name: str) -> Meter:
    """A control group of that name if the system lets us make one, else the process tree."""
    for parent in _parents():
        path = parent / f"mv-bench-{os.getpid()}-{name}"
        try:
            path.mkdir()
        except OSError:
            continue
        if (path / "cpuacct.usage").exists() or (path / "cpu.stat").exists():
            return Group(path)
        path.rmdir()
    return Tree()


def _parents() -> list[Path]:
    """Where a group may be made: the roots of the mounted hierarchies, then our own place in them."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    version1 = [Path(m[1]) for m in mounts if m[2] == "cgroup" and "cpuacct" in m[3].split(",")]
    version2 = [Path(m[1]) for m in mounts if m[2] == "cgroup2"]
    ours1 = [
        root / place.lstrip("/")
        for root in version1
        for _, names, place in own
        if "cpuacct" in names.split(",")
    ]
    ours2 = [root / place.lstrip("/") for root in version2 for number, _, place in own if number == "0"]
    return [*version1, *ours1, *version2, *ours2]


def _spawn(command: list[str], output: Path) -> subprocess.Popen[bytes]:
    """In a session of its own, so that exactly this server and its children can be ended later."""
    with output.open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass  # nobody of that session is left


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # it has just ended by itself
