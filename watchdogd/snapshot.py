"""What `/status.json` of the watchdog says, from what the last round left."""

from __future__ import annotations

import os
import time
from typing import Any

from mv_iptel import __version__
from watchdogd.judge import BOOT, HOUR, Counter
from watchdogd.loop import View

SCHEMA = 1


def state(view: View) -> tuple[str, str]:
    """How the server is in a few words, and their tone: good, warn or bad."""
    if not view.rounds:
        return "Looking for the first time", "dim"
    if view.running:
        return "The alert script runs", "bad"
    limit = view.config.settings.failure_limit
    missed = [one.failures for one in view.state.counters.values() if one.failures]
    if any(one >= limit for one in missed):
        return "A server is down", "bad"
    if missed:
        return "Downloads were missed", "warn"
    if any(one.told for one in view.state.matters.values()):
        return "Well, with matters to mend", "warn"
    return ("Well", "good") if view.seen.got else ("Nothing to watch", "warn")


def document(view: View, started: float, now: float | None = None) -> dict[str, Any]:
    """The whole document, schema 1."""
    now = time.time() if now is None else now
    settings, judged, server = view.config.settings, view.state, view.seen.server
    listeners = []
    for target, got in view.seen.got.items():
        if target.proto == BOOT:
            continue
        counter = judged.counters.get(target.label) or Counter()
        listeners.append(
            {
                "proto": target.proto, "address": target.host, "port": target.port, "up": not counter.missed,
                "result": got.result, "seconds": round(got.seconds, 4), "detail": got.text,
                "failures": counter.failures, "reason": counter.reason, "text": counter.text,
                "last_ok": round(counter.ok_at, 3) or None,
            }
        )  # fmt: skip
    return {
        "schema": SCHEMA,
        "watchdog": {"version": __version__, "pid": os.getpid(), "started": round(started, 3),
                     "uptime_s": max(0, int(now - started)), "home": str(view.config.home.root)},
        "config": {"file": str(view.config.file) if view.config.file else None, "host": settings.host_address,
                   "timer": settings.watch_dog_timer, "timeout": settings.probe_timeout,
                   "limit": settings.failure_limit,
                   "findings": [*map(str, view.config.findings), *([view.fault] if view.fault else [])]},
        "state": {"word": state(view)[0], "well": state(view)[1] == "good"},
        "rounds": {"count": view.rounds, "last": round(view.at, 3) or None,
                   "seconds": round(view.seconds, 3)},
        "server": {"answers": server.answers, "pid": server.pid or None, "process": server.alive},
        "listeners": listeners,
        "phones": [
            {"model": label.partition(":")[2], "up": not counter.missed, "result": counter.result,
             "failures": counter.failures,
             "text": counter.text, "seconds": round(counter.seconds, 3),
             "last_ok": round(counter.ok_at, 3) or None}
            for label, counter in judged.counters.items() if label.startswith(f"{BOOT}:")
        ],
        "matters": [
            {"kind": one.kind, "listener": one.listener, "text": one.text, "since": round(one.since, 3),
             "told": one.told}
            for one in judged.matters.values()
        ],
        "restarts": {"hour": sum(abs(now - one) < HOUR for one in judged.restarts),
                     "max": settings.max_restarts_per_hour, "running": view.running},
        "alerts": [{"time": round(at, 3), **verdict._asdict()} for at, verdict in reversed(view.events)],
        "runs": [
            {"time": round(one.at, 3), "listener": one.verdict.listener, "reason": one.verdict.reason,
             "code": one.code, "error": one.text, "printed": one.printed, "seconds": round(one.seconds, 3)}
            for one in reversed(view.runs)
        ],
    }  # fmt: skip
