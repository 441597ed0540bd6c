"""Decides what a round of downloads means: who is missed, how long, when to restart and when to tell.

Pure: the state of before and what was seen go in, the state of after and verdicts come out. A *failure* is a
download that was missed; it counts up, a good one counts down, and at the limit the server is restarted. A
*matter* is something that no restart mends (an ended certificate, an emptied directory, a full disk); it is
told and never restarts anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

HOUR = 3600.0
ALL = "all"  # the listener of a verdict that is about the whole server
BOOT = "boot"  # the protocol of a simulated phone that boots

# What a failure may be, in words for whoever gets the mail.
FAILURES = {
    "killed": "the server's process has ended",
    "stopped": "the server's process is stopped",
    "hung": "the server runs and answers nowhere",
    "wedged": "the listener takes requests and does not answer them in time",
    "closed": "nobody listens on the port",
    "taken": "another process has the port",
    "differs": "what came is not the file that lies on the disk",
    "withheld": "the server says that a file is not there which lies on the disk",
    "busy": "the server says that it is busy",
    "broken": "the download broke off",
    "boot": "a simulated phone was not served",
}
# What no restart mends; True: it is told, False: it only stands on the page.
MATTERS = {
    "certificate": True,
    "emptied": True,
    "disk": True,
    "unserved": True,  # a simulated phone got answers, but not what it needs
    "off": True,
    "strange": True,  # the status port is another installation's
    "script": True,
    "check-lost": False,
    "check-never": False,
    "unreadable": False,
    "config": False,
    "remote": False,
    "status": False,
}
GOOD = "same"
ANSWERS = {GOOD, "missing", "differs", "busy"}  # somebody of the server's answered


class Target(NamedTuple):
    """One listener that should serve: `host` is where it is asked."""

    proto: str
    host: str
    port: int

    @property
    def label(self) -> str:
        """How people name it: http:81; with its address where that tells two apart."""
        if self.proto == BOOT:
            return f"{BOOT}:{self.host}"
        return f"{self.proto}:{self.port}"


class Got(NamedTuple):
    """What a download came to.

    `result` is same, differs, missing, closed (refused at the door), silent (no answer in time), busy or
    broken; of a simulated phone same, missing (answered, not served) or silent.
    """

    result: str
    text: str = ""
    seconds: float = 0.0
    certificate: str = ""  # why the listener's certificate would not be accepted
    there: bool = True  # the file lies on the disk, and can be read
    directory: str = ""  # where it lies, or should
    others: int = 1  # what else lies in there; 0: it is empty; -1: it is not there
    unreadable: str = ""  # why the file on the disk could not be read


class Server(NamedTuple):
    """What the status port and the system's process table told in this round."""

    answers: bool | None = None  # the status port did; None: it has none, or nobody asked
    pid: int = 0
    alive: str = "unknown"  # running, stopped, gone, unknown
    failed: Mapping[str, str] = MappingProxyType({})  # label -> error, of listeners that have no port
    off: tuple[str, ...] = ()  # labels that are switched off, though the ini has them on
    certificates: Sequence[tuple[str, float]] = ()  # subject, end; those of the TLS listeners
    disk: tuple[int, int] = (0, 0)  # free, total; zeros: not known
    octets: int = -1  # sent so far; it grows while phones are served


class Seen(NamedTuple):
    """One round."""

    got: Mapping[Target, Got]
    server: Server = Server()
    matters: Sequence[tuple[str, str, str]] = ()  # more of them: kind, listener, text
    local: bool = True  # it is this host that is watched: files can be compared
    pending: Sequence[str] = ()  # labels of phones whose boot goes on: nothing new of them


class Rules(NamedTuple):
    """What the ini says."""

    limit: int = 5
    per_hour: int = 3


@dataclass(frozen=True)
class Counter:
    """How one listener is."""

    failures: int = 0
    reason: str = ""  # of the last failure, until the counter is at 0 again
    text: str = ""
    ok_at: float = 0.0
    seconds: float = 0.0
    result: str = ""  # of the last round
    missed: bool = False  # in the last round
    denied: bool = False  # it was told that no restart is left, or that one would not help
    restarted: str = (
        ""  # the reason for which the server was last restarted because of it; "" since it was well
    )


@dataclass(frozen=True)
class Matter:
    """Something that no restart mends, while it lasts."""

    kind: str
    listener: str
    text: str
    since: float
    rounds: int = 1
    told: bool = False


class Verdict(NamedTuple):
    """What is to be done: `kind` is restart (run the script), alert (tell) or over (tell that it is well)."""

    kind: str
    listener: str
    reason: str
    text: str


@dataclass(frozen=True)
class State:
    """All that the judge remembers."""

    counters: Mapping[str, Counter] = field(default_factory=dict)
    matters: Mapping[tuple[str, str], Matter] = field(default_factory=dict)
    found: frozenset[str] = frozenset()  # directories in which the check file was seen
    restarts: tuple[float, ...] = ()  # when, within the last hour
    down: bool = False  # somebody was told that it is not well
    octets: int = -1


def judge(
    state: State, seen: Seen, rules: Rules, now: float, counting: bool = True
) -> tuple[State, list[Verdict]]:
    """One round. While the script runs nothing is counted (`counting`)."""
    failures, matters, found = _look(state, seen, now)
    counters = _count(state, seen, failures, rules, now, counting)
    restarts = tuple(one for one in state.restarts if abs(now - one) < HOUR)
    verdicts: list[Verdict] = []
    held, told = _keep(state.matters, matters, rules, now)
    held |= {place: one for place, one in state.matters.items() if one.listener in seen.pending}
    verdicts += told
    counters, restarts, done = (
        _act(counters, seen, restarts, rules, now) if counting else (counters, restarts, [])
    )
    verdicts += done
    down = state.down or any(one.kind != "over" for one in verdicts)
    well = (
        not failures
        and not any(one.failures for one in counters.values())
        and not any(one.told for one in held.values())
    )
    if down and well and counting and seen.got:
        verdicts.append(Verdict("over", ALL, "well", "every download is good again"))
        down = False
    return State(counters, held, found, restarts, down, seen.server.octets), verdicts


# --- what the round showed


def _look(
    state: State, seen: Seen, now: float
) -> tuple[dict[Target, tuple[str, str]], dict[tuple[str, str], str], frozenset[str]]:
    """Failures with reason and text, matters with their text, and where the check file has been seen."""
    failures: dict[Target, tuple[str, str]] = {}
    matters = {(kind, listener): text for kind, listener, text in seen.matters}
    found = set(state.found)
    ended: dict[str, list[str]] = {}
    whole = _whole(seen)
    for target, got in seen.got.items():
        if got.certificate:
            ended.setdefault(got.certificate, []).append(target.label)
        if got.unreadable:
            matters["unreadable", got.directory] = got.unreadable
        if target.label in seen.server.off:
            continue
        reason, text = _failure(state, seen, target, got, whole)
        if reason:
            failures[target] = reason, text
        if target.proto == BOOT:
            if got.result == "missing":
                matters["unserved", target.label] = (
                    f"a simulated {target.host} did not get what it needs: {got.text}"
                )
        elif seen.local and not got.unreadable:
            if got.there:
                found.add(got.directory)
            elif got.directory:
                _gone(matters, got, got.directory in state.found)
    for label in seen.server.off:
        matters["off", label] = f"{label} is switched off, though MV_IPTel.ini has it on"
    # What phones are shown counts; the file only where no listener could be asked.
    told = [f"{', '.join(labels)}: {text}" for text, labels in ended.items()] or [
        f"the certificate {subject} has ended" for subject, end in seen.server.certificates if end <= now
    ]
    if told:
        matters["certificate", ALL] = "; ".join(told)
    free, total = seen.server.disk
    if total and free < full(total):
        matters["disk", ALL] = f"the server's disk is full: {free >> 20} MiB of {total >> 20} MiB are free"
    return failures, matters, frozenset(found)


def full(total: int) -> int:
    """Below so many free octets a disk is full: a hundredth of it, but 200 MiB at most."""
    return min(total // 100, 200 << 20)


def _gone(matters: dict[tuple[str, str], str], got: Got, was_there: bool) -> None:
    directory = got.directory
    if not was_there:
        matters["check-never", directory] = (
            f"{directory} has no check file yet; only that it answers is looked at"
        )
    elif got.others < 0:
        matters["emptied", directory] = f"{directory} is not there any more"
    elif got.others == 0:
        matters["emptied", directory] = f"{directory} was emptied"
    else:
        matters["check-lost", directory] = (
            f"the check file in {directory} was removed; the server's next start writes it"
        )


def _whole(seen: Seen) -> str:
    """Why nobody answers at all: killed, stopped, hung; "" where somebody does."""
    server = seen.server
    asked = {target: got.result for target, got in seen.got.items() if target.proto != BOOT}
    if server.answers or not asked or any(result in ANSWERS for result in asked.values()):
        return ""
    if server.alive == "stopped":
        return "stopped"
    # Nothing tells over UDP that nobody listens.
    doors = [result for target, result in asked.items() if target.proto != "tftp"]
    if server.alive == "gone" or (doors and all(result == "closed" for result in doors)):
        return "killed"
    if server.answers is False or server.alive == "running":
        return "hung"
    return ""


def _failure(state: State, seen: Seen, target: Target, got: Got, whole: str) -> tuple[str, str]:
    """Reason and text, or two empty strings for a download that was not missed."""
    pid = f" (process {seen.server.pid})" if seen.server.pid else ""
    if target.proto == BOOT:
        return (
            ("boot", f"a simulated {target.host}: {got.text}")
            if got.result in ("silent", "closed")
            else ("", "")
        )
    if got.result in (GOOD, "missing") and (not seen.local or got.unreadable):
        return "", ""
    if got.result == GOOD or (got.result == "missing" and not got.there):
        return "", ""
    if got.result == "differs" and not got.there:
        return "", ""  # it was removed while it was sent
    if got.result == "busy" and seen.server.octets > state.octets >= 0:
        return "", ""  # it sends all it can: a restart would only begin everything anew
    if whole:
        return whole, FAILURES[whole] + pid
    error = seen.server.failed.get(target.label)
    if error:
        return "taken", error
    reason = {"silent": "wedged", "missing": "withheld"}.get(got.result, got.result)
    reason = reason if reason in FAILURES else "broken"
    told = FAILURES[reason] + (f": {got.text}" if got.text else "")
    return reason, told


# --- counting


def _count(
    state: State,
    seen: Seen,
    failures: Mapping[Target, tuple[str, str]],
    rules: Rules,
    now: float,
    counting: bool,
) -> dict[str, Counter]:
    """One counter for each listener that should run; of those that should no more nothing is left."""
    counters = {label: state.counters[label] for label in seen.pending if label in state.counters}
    for target, got in seen.got.items():
        label = target.label
        if label in counters and target not in failures:
            continue  # the same port on another address: the worst of them counts
        old = state.counters.get(label, Counter())
        if target in failures:
            reason, text = failures[target]
            count = min(old.failures + 1, rules.limit) if counting else old.failures
            counters[label] = replace(old, failures=count, reason=reason, text=text, result=got.result,
                                      seconds=got.seconds, missed=True)  # fmt: skip
            continue
        count = max(0, min(old.failures, rules.limit) - 1)
        new = replace(old, failures=count, result=got.result, seconds=got.seconds, ok_at=now, missed=False,
                      restarted="")  # fmt: skip
        counters[label] = new if count else replace(new, reason="", text="", denied=False)
    return counters


def _keep(
    old: Mapping[tuple[str, str], Matter], now_there: Mapping[tuple[str, str], str], rules: Rules, now: float
) -> tuple[dict[tuple[str, str], Matter], list[Verdict]]:
    """Matters that last, and those that have lasted as long as a failure must to be told."""
    held: dict[tuple[str, str], Matter] = {}
    told = []
    for (kind, listener), text in now_there.items():
        before = old.get((kind, listener))
        matter = (Matter(kind, listener, text, now) if before is None
                  else replace(before, text=text, rounds=before.rounds + 1))  # fmt: skip
        if MATTERS.get(kind) and not matter.told and matter.rounds >= rules.limit:
            matter = replace(matter, told=True)
            told.append(Verdict("alert", listener, kind, text))
        held[kind, listener] = matter
    return held, told


# --- acting


def _act(
    counters: dict[str, Counter], seen: Seen, restarts: tuple[float, ...], rules: Rules, now: float
) -> tuple[dict[str, Counter], tuple[float, ...], list[Verdict]]:
    """Restart if a counter is at the limit, there is one left in this hour, and it may help."""
    due = {label: one for label, one in counters.items() if one.failures >= rules.limit}
    if not due:
        return counters, restarts, []
    # A port that another process has is not freed by restarting ours: once is tried, then it is told.
    helpless = {label for label, one in due.items() if one.reason == one.restarted == "taken"}
    label, first = min(
        due.items(), key=lambda item: (item[0] in helpless, list(FAILURES).index(item[1].reason))
    )
    listener = ALL if first.reason in ("killed", "stopped", "hung") else label
    if label not in helpless and len(restarts) < rules.per_hour:
        fresh = {
            name: replace(
                one, failures=0, denied=False, restarted=one.reason if name in due else one.restarted
            )
            for name, one in counters.items()
        }
        return fresh, (*restarts, now), [Verdict("restart", listener, first.reason, first.text)]
    if all(one.denied for one in due.values()):
        return counters, restarts, []
    why = (
        "a restart did not help before" if label in helpless
        else f"not restarted: MaxRestartsPerHour={rules.per_hour} is used up" if rules.per_hour
        else "not restarted: MaxRestartsPerHour=0"
    )  # fmt: skip
    held = {name: replace(one, denied=True) if name in due else one for name, one in counters.items()}
    return held, restarts, [Verdict("alert", listener, first.reason, f"{first.text}; {why}")]
