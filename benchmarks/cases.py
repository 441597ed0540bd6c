"""What is measured: each case is one run of a load generator against a fresh server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.build import Generators
from benchmarks.files import BOOT, FIRMWARE, LARGE, MIB, SETTINGS, SMALL, Files
from benchmarks.servers import (
    DNSMASQ,
    MV_IPTEL,
    MV_IPTEL_FTP,
    MV_IPTEL_SNMP,
    NGINX,
    TFTPD,
    VSFTPD,
    Running,
    Server,
)

# What a J100 SIP phone sends; %M becomes one MAC address for each connection.
AGENT = "Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/J179-4.1.3.0.6 (MAC:%M)"
CONNECTIONS = 50
BESIDE_RATE = 2000  # HTTP requests a second
BESIDE_WORK = 500  # MiB inflated and hashed
SESSIONS = 200  # FTP sessions of a case, 20 KiB stored in each
# Seconds. What a server does late (its log, its children's ends) belongs to the request that caused it:
# the wait after the last byte, and after the warm-up.
SETTLE = 0.3
STARTED = 1.5  # seconds after which work that belongs to the start has begun

Figures = dict[str, Any]


class RunError(Exception):
    """A run gave no figures, or a byte was wrong."""


@dataclass(frozen=True)
class Bench:
    """What every case needs. `seconds` is how long an HTTP run asks."""

    generators: Generators
    files: Files
    seconds: float


@dataclass(frozen=True)
class Case:
    """`load` gives the generator's command; `beside` starts other work first and returns how to end it."""

    key: str
    group: str  # tftp, http, beside, ftp
    title: str
    servers: tuple[Server, ...]
    load: Callable[[Bench, Running], list[str]]
    limit: float  # seconds
    beside: Callable[[Bench, Running], Callable[[], Figures]] | None = None
    tls: bool = False


def measure(case: Case, bench: Bench, server: Running) -> Figures:
    """One run. Raises RunError when it did not end in time or an answer was not exact."""
    warm(case, bench, server)
    _rest(server)
    finish = case.beside(bench, server) if case.beside else None
    try:
        machine, before, start = _busy(), server.meter.seconds(), time.monotonic()
        figures = run(case.load(bench, server), case.limit)
        time.sleep(SETTLE)
        figures["server_cpu"] = server.meter.seconds() - before
        others = _busy() - machine - figures["server_cpu"] - figures["cpu"]
        figures["others"] = max(0.0, others) / ((time.monotonic() - start) * (os.cpu_count() or 1))
    finally:
        beside = finish() if finish else {}
    figures.update(beside)
    return figures


def _rest(server: Running) -> None:
    """Wait until the server has done what it does at its start (ours looks through its scripts)."""
    time.sleep(STARTED)
    for _ in range(20):
        before = server.meter.seconds()
        time.sleep(SETTLE)
        if server.meter.seconds() - before < 0.02:
            return


def _busy() -> float:
    """Seconds that all processors together were not idle, those taken by the host's other guests included."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def warm(case: Case, bench: Bench, server: Running) -> None:
    """A few requests first: files in the cache, code paths taken once."""
    plan = server.plan
    if case.group == "http":
        port, name = (plan.https, SETTINGS) if case.tls else (plan.http, SETTINGS)
        run(_httpload(bench, port, name, case.tls, "-n", "2", "-d", "0.1"), 30)
        return
    if case.group == "ftp":
        run(_ftpload(bench, server, "-n", "2", "-e", "90000"), 30)
        return
    run([str(bench.generators.tftpload), plan.address, str(plan.tftp), bench.files.pair(SMALL)], 30)


def run(command: list[str], limit: float) -> Figures:
    """A load generator's figures. Raises RunError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired as error:
        raise RunError(f"no end after {limit:.0f} s: {' '.join(command)}") from error
    try:
        figures = json.loads(done.stdout)
    except ValueError as error:
        said = (done.stderr + done.stdout).strip()[-300:] or "nothing"
        raise RunError(f"{Path(command[0]).name} ended with {done.returncode} and said: {said}") from error
    if done.returncode:
        raise RunError(
            f"{figures['failed']} failed, {figures['wrong']} with a wrong byte: {figures['error']}"
        )
    return figures


def _tftpload(*options: str, name: str, limit: float) -> Callable[[Bench, Running], list[str]]:
    def command(bench: Bench, server: Running) -> list[str]:
        where = [server.plan.address, str(server.plan.tftp), bench.files.pair(name)]
        return [str(bench.generators.tftpload), "-a", "-T", str(limit - 5), *options, *where]

    return command


def _httpload(bench: Bench, port: int, name: str, tls: bool, *options: str) -> list[str]:
    secure = ["-C", str(bench.files.certificate)] if tls else []
    where = ["127.0.0.1", str(port), bench.files.pair(name, path=True)]
    return [str(bench.generators.httpload), "-a", "-u", AGENT, *secure, *options, *where]


def _http(name: str, tls: bool = False) -> Callable[[Bench, Running], list[str]]:
    def command(bench: Bench, server: Running) -> list[str]:
        port = server.plan.https if tls else server.plan.http
        return _httpload(bench, port, name, tls, "-n", str(CONNECTIONS), "-d", str(bench.seconds))

    return command


def _ftpload(bench: Bench, server: Running, *options: str) -> list[str]:
    plan = server.plan
    agents = ["-S", str(plan.snmp)] if plan.snmp else []
    where = ["-p", plan.prefix, plan.address, str(plan.ftp), str(plan.stored)]
    return [str(bench.generators.ftpload), *agents, *options, *where]


def _ftp(clients: int) -> Callable[[Bench, Running], list[str]]:
    """Each client stores its file over and over: the first time it is new, then another one is replaced."""

    def command(bench: Bench, server: Running) -> list[str]:
        return _ftpload(bench, server, "-n", str(clients), "-r", str(SESSIONS // clients))

    return command


def _beside_work(bench: Bench, server: Running) -> Callable[[], Figures]:
    """A process of its own at nice 19, as the worker that unpacks firmware is."""
    command = [sys.executable, "-m", "benchmarks.work", str(BESIDE_WORK)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    assert process.stdout is not None
    process.stdout.readline()

    def finish() -> Figures:
        return {"beside": f"{_ended(process).split()[0]} MiB inflated and hashed"}

    return finish


def _beside_http(bench: Bench, server: Running) -> Callable[[], Figures]:
    """Settings asked for at a fixed rate, from the same server."""
    command = _httpload(bench, server.plan.http, SETTINGS, False, "-R", str(BESIDE_RATE), "-d", "100")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)

    def finish() -> Figures:
        figures = json.loads(_ended(process))
        if process.returncode:
            raise RunError(f"beside: {figures['failed']} requests failed: {figures['error']}")
        said = f"{figures['rate']:.0f} requests a second, slowest {figures['slowest'] * 1000:.0f} ms"
        return {"beside": said, "beside_rate": figures["rate"]}

    return finish


def _ended(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    try:
        return process.communicate(timeout=30)[0]
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise RunError("the work beside the server did not end") from error


_ALL = (TFTPD, DNSMASQ, MV_IPTEL)
_WEB = (NGINX, MV_IPTEL)
_KEEPERS = (VSFTPD, MV_IPTEL_FTP, MV_IPTEL_SNMP)
_STORM = _tftpload("-n", "200", name=BOOT, limit=90)
CASES = (
    Case("a", "tftp", "1 client, 8 MiB, 512 B blocks", _ALL, _tftpload(name=LARGE, limit=60), 60),
    Case("b", "tftp", "200 clients at once, 1 MiB each, 512 B blocks", _ALL, _STORM, 90),
    Case(
        "c", "tftp", "1 client, 8 x 8 MiB, blksize 1428, windowsize 16 asked", _ALL,
        _tftpload("-r", "8", "-b", "1428", "-w", "16", name=LARGE, limit=90), 90,
    ),
    Case(
        "e", "tftp", "1,500 clients at once, 64 KiB each, 512 B blocks", _ALL,
        _tftpload("-n", "1500", name=SMALL, limit=90), 90,
    ),
    Case("http-4k", "http", "HTTP, 4 KiB settings", _WEB, _http(SETTINGS), 60),
    Case("http-5m", "http", "HTTP, 5 MiB firmware", _WEB, _http(FIRMWARE), 60),
    Case("https-4k", "http", "HTTPS, 4 KiB settings", _WEB, _http(SETTINGS, True), 60, tls=True),
    Case("https-5m", "http", "HTTPS, 5 MiB firmware", _WEB, _http(FIRMWARE, True), 60, tls=True),
    Case("alone", "beside", "case b with nothing beside it", (MV_IPTEL,), _STORM, 90),
    Case(
        "nice", "beside", f"case b while a process at nice 19 inflates and hashes {BESIDE_WORK} MiB",
        (MV_IPTEL,), _STORM, 90, beside=_beside_work,
    ),
    Case(
        "web", "beside", f"case b while {BESIDE_RATE:,} HTTP requests a second are answered", (MV_IPTEL,),
        _STORM, 90, beside=_beside_http,
    ),
    Case("ftp-20", "ftp", f"{SESSIONS} sessions, 20 at once, 20 KiB stored in each", _KEEPERS, _ftp(20), 90),
    Case("ftp-200", "ftp", f"{SESSIONS} sessions at once, 20 KiB stored in each", _KEEPERS, _ftp(200), 90),
)  # fmt: skip


def derive(case: Case, figures: Figures) -> Figures:
    """The figures that are compared, from one run's."""
    cpu = max(figures["server_cpu"], 1e-6)
    mib = figures["bytes"] / MIB
    found = {
        "wall": figures["wall"],
        "cpu": cpu,
        "generator": figures["cpu"] / max(figures["wall"], 1e-6),
        "others": figures["others"],
        "ms_per_mib": cpu * 1000 / max(mib, 1e-6),
        "mib_per_cpu": mib / cpu,
    }
    if case.group == "ftp":
        found["ms_per_session"] = cpu * 1000 / max(figures["sessions"], 1)
        found["slowest"] = figures["slowest"]
        found["again"] = figures["again"]
    elif case.group == "http":
        found["req_per_s"] = figures["requests"] / figures["wall"]
        found["req_per_cpu"] = figures["requests"] / cpu
        found["us_per_req"] = cpu * 1e6 / max(figures["requests"], 1)
    else:
        found["kp_per_cpu"] = figures["useful"] / cpu / 1000
        found["again"] = figures["clients_again"]
        found["acks_again"] = figures["acks_again"]
        found["window"] = figures["window"]
    return found
