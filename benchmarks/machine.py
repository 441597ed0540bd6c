"""What the figures were measured on: they only compare within one machine."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

import psutil

from benchmarks.servers import Server

ROOT = Path(__file__).parent.parent


def facts(servers: list[Server], accounting: str) -> dict[str, str]:
    """In the order in which they are printed."""
    found = {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _commit(),
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{_system()}, {platform.system()} {platform.release()}",
        "net.core.rmem_max": _read("/proc/sys/net/core/rmem_max"),
        "processor time": accounting,
    }
    for server in servers:
        found[server.name] = server.version() or "version unknown"
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return "unknown"


def _processor() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
