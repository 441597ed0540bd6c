"""What the project promises, and whether a run of the bench kept it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.cases import BESIDE_RATE
from benchmarks.servers import CHALLENGED, OURS

# (case, server) -> one record of derived figures for each round
Runs = dict[tuple[str, str], list[dict]]


@dataclass(frozen=True)
class Verdict:
    """One promise. `ratio` is None when a side was not measured; low and high are the rounds' extremes."""

    what: str
    wanted: str
    ratio: float | None
    low: float = 0.0
    high: float = 0.0
    kept: bool | None = None
    note: str = ""

    @property
    def word(self) -> str:
        return "not measured" if self.kept is None else "pass" if self.kept else "MISS"


@dataclass(frozen=True)
class Target:
    """Ours against another: the ratio of the medians of `figure` is held against `bound`."""

    what: str
    case: str
    figure: str
    other: tuple[str, str]  # case and server
    bound: float
    least: bool  # True: at least, False: at most
    ours: str = OURS

    def judge(self, runs: Runs) -> Verdict:
        wanted = f"{'>=' if self.least else '<='} {self.bound:g}"
        mine, theirs = runs.get((self.case, self.ours), []), runs.get(self.other, [])
        if not mine or not theirs:
            return Verdict(self.what, wanted, None)
        ratio = median(r[self.figure] for r in mine) / median(r[self.figure] for r in theirs)
        pairs = [a[self.figure] / b[self.figure] for a, b in zip(mine, theirs, strict=False)]
        kept = ratio >= self.bound if self.least else ratio <= self.bound
        return Verdict(self.what, wanted, ratio, min(pairs), max(pairs), kept)


def _nobody_asks_twice(runs: Runs) -> Verdict:
    what = "e: clients that had to ask twice (worst round)"
    mine = [r["again"] for r in runs.get(("e", OURS), [])]
    if not mine:
        return Verdict(what, "0", None)
    return Verdict(what, "0", max(mine), min(mine), max(mine), max(mine) == 0)


def _beside_web(runs: Runs) -> Verdict:
    """Only a run in which the requests were really answered counts."""
    what = f"b beside {BESIDE_RATE:,} HTTP requests a second: wall time / alone"
    verdict = Target(what, "web", "wall", ("alone", OURS), 1.5, False).judge(runs)
    rates = [r["beside_rate"] for r in runs.get(("web", OURS), [])]
    if verdict.ratio is None or min(rates) >= 0.95 * BESIDE_RATE:
        return verdict
    note = f"only {min(rates):.0f} requests a second were answered"
    return Verdict(what, verdict.wanted, verdict.ratio, verdict.low, verdict.high, False, note)


def _store(case: str, clients: int, ours: str, bound: float) -> Callable[[Runs], Verdict]:
    asked = " with SNMP" if ours == CHALLENGED else ""
    what = f"FTP, {clients} at once{asked}: CPU per session / vsftpd"
    return Target(what, case, "ms_per_session", (case, "vsftpd"), bound, False, ours).judge


JUDGES: tuple[Callable[[Runs], Verdict], ...] = (
    Target("b: packets per CPU second / tftpd-hpa", "b", "kp_per_cpu", ("b", "tftpd-hpa"), 2.0, True).judge,
    Target("b: packets per CPU second / dnsmasq", "b", "kp_per_cpu", ("b", "dnsmasq"), 0.65, True).judge,
    _nobody_asks_twice,
    Target("e: wall time / dnsmasq", "e", "wall", ("e", "dnsmasq"), 0.5, False).judge,
    Target("c: CPU per MiB / tftpd-hpa", "c", "ms_per_mib", ("c", "tftpd-hpa"), 0.5, False).judge,
    Target(
        "HTTP 4 KiB: requests per CPU second / nginx",
        "http-4k",
        "req_per_cpu",
        ("http-4k", "nginx"),
        0.3,
        True,
    ).judge,
    Target(
        "HTTP 5 MiB: bytes per CPU second / nginx", "http-5m", "mib_per_cpu", ("http-5m", "nginx"), 0.9, True
    ).judge,
    Target(
        "HTTPS 5 MiB: bytes per CPU second / nginx",
        "https-5m",
        "mib_per_cpu",
        ("https-5m", "nginx"),
        0.8,
        True,
    ).judge,
    Target("b beside work at nice 19: wall time / alone", "nice", "wall", ("alone", OURS), 1.5, False).judge,
    _beside_web,
    _store("ftp-20", 20, OURS, 0.5),
    _store("ftp-20", 20, CHALLENGED, 0.8),
    _store("ftp-200", 200, OURS, 0.5),
    _store("ftp-200", 200, CHALLENGED, 0.8),
)


def judge(runs: Runs) -> list[Verdict]:
    return [one(runs) for one in JUDGES]
