"""Says in plain words why a request was refused, and figures as people read them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

# What an administrator wants to hear about each reason.
REASONS = {
    "banned": "the address is banned",
    "busy": "the server is out of descriptors and turns new clients away",
    "not-listed": "the address is on no line of the list for this protocol",
    "no-slot": "all slots are taken; the phone asks again",
    "bad-name": "this is no name of a file",
    "no-file": "there is no such file",
    "not-allowed": "this file is never given out that way",
    "read-only": "phones may only read here",
    "need-login": "a login is needed",
    "bad-login": "the login was wrong",
    "no-snmp": "the phone did not answer by SNMP",
    "snmp-mismatch": "the phone's own answer by SNMP says something else",
    "pin-mismatch": "the password is not the one remembered for this user's data",
    "changed": "the file is not the version that If-Match names",
    "too-big": "it is bigger than allowed",
    "quota": "the space for this is used up",
    "disk-full": "the disk is full",
    "bad-request": "the request breaks the protocol's rules",
    "fault": "the server failed; its log says why",
}

# Whether the request fetched a file, handed one over or had one removed.
OPS = {"read": "fetched", "store": "stored", "delete": "deleted"}

OUTCOMES = {
    "ok": "complete",
    "refused": "refused",
    "aborted": "broken off by the phone",
    "timeout": "the phone stopped answering",
    "failed": "failed",
}

# How the store knew that user data is the sender's own.
HOWS = {
    "snmp": "shown by its SNMP answer",
    "snmp-guess": "its SNMP answer showed the type, its name the extension",
    "pin": "with the remembered password",
    "basic": "with a name and password",
    "none": "nothing had to be shown",
    "superuser": "written by the superuser",
    "restore": "restored by the administrator",
}

# What became of the phones of a roll-out.
STEPS = {
    "runs": "run it",
    "loaded": "loaded it",
    "reached": "were told",
    "failed": "failed",
    "loops": "loop",
    "unknown": "say nothing",
}

AWAY = 3600.0  # seconds of silence after which a branch is named

SOURCES = {
    "agent": "User-Agent",
    "name": "name of a file it asked for",
    "snmp": "SNMP answer",
    "neighbour": "neighbour table of this host",
    "recent": "seen earlier at this address",
    "script": "read the script and went on to its settings",
}


def size(octets: float) -> str:
    """Octets with three digits at most: 812 B, 14.8 KiB, 5 MiB."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while octets >= 1023.95 and len(units) > 1:
        octets /= 1024
        units.pop(0)
    if octets >= 99.95 or units[0] == "B":
        return f"{octets:.0f} {units[0]}"
    return f"{octets:.1f}".removesuffix(".0") + f" {units[0]}"


def span(seconds: float) -> str:
    """A length of time in its two largest units: 40 s, 5 min, 3 h 20 min, 12 d 4 h."""
    seconds = max(0, int(seconds))
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours and days < 30 else f"{days} d"


def clock(when: float, now: float) -> str:
    """The time of day, with the date if it is not today's. Local time."""
    if not when:
        return "never"
    local, today = time.localtime(when), time.localtime(now)
    form = "%H:%M:%S" if local[:3] == today[:3] else "%Y-%m-%d %H:%M"
    return time.strftime(form, local)


def mac(digits: str) -> str:
    """Twelve hex digits with colons."""
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2)) if len(digits) == 12 else digits


def count(number: int) -> str:
    """A number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def many(number: int, what: str) -> str:
    """A number of things: 1 file, 12 files."""
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def userdata(backups: Mapping[str, int], kept: Mapping[str, int]) -> str:
    """What is kept for users, in a sentence; `kept` are the sums since the start, if they are known."""
    files, versions = backups["files"], backups["versions"]
    parts = [f"{many(files, 'file')} and {many(versions, 'earlier version')}, {size(backups['bytes'])}"]
    done = [f"{count(number)} {word}" for word, number in kept.items() if number]
    if done:
        parts.append("since the start " + ", ".join(done))
    if backups["queued"]:
        parts.append(f"{count(backups['queued'])} wait for the customer's FTP server")
    return "; ".join(parts)


def central(told: Mapping[str, Any], now: float) -> str:
    """Its part among other servers, in a sentence; empty if it has none."""
    parts = []
    if told.get("role") in ("server", "both"):
        branches = told.get("branches", ())
        away = [one["name"] for one in branches if not one["last_seen"] or now - one["last_seen"] > AWAY]
        missing = f"; not heard of for an hour: {', '.join(away[:5])}" if away else ""
        more = f" and {len(away) - 5} more" if len(away) > 5 else ""
        among = "1 branch" if len(branches) == 1 else f"{count(len(branches))} branches"
        parts.append(f"central server for {among}{missing}{more}")
    if told.get("role") in ("branch", "both"):
        heard = f"answered {span(now - told['last_ok'])} ago" if told["last_ok"] else "has not answered yet"
        parts.append(f"asks {told['peer'] or 'its central server'}, which {heard}")
        if told["queue"]:
            parts.append(f"{many(told['queue'], 'file')} of users wait to go there")
        if told.get("error"):
            parts.append(str(told["error"]))
    return "; ".join(parts)


def firmware(told: Mapping[str, Any], rollout: Mapping[str, Any]) -> str:
    """What is published, what is coming and what is being rolled out; empty for a home without releases."""
    parts = []
    if told.get("generation"):
        parts.append(f"generation {told['generation']}, last {told['action']} of {told['release']}")
    working = told.get("working")
    if working:
        share = f", {100 * working['done'] // working['total']} %" if working["total"] else ""
        parts.append(f"{working['what']} {working['archive']}{share}")
    elif told.get("arriving"):
        parts.append(f"arriving: {', '.join(told['arriving'][:5])}")
    if rollout:
        counts = ", ".join(f"{rollout[key]} {word}" for key, word in STEPS.items() if rollout[key])
        stage = f"stage {rollout['stage']} of {rollout['stages']}"
        note = f" ({rollout['note']})" if rollout["note"] else ""
        parts.append(f"roll-out of {rollout['release']} is {rollout['state']}{note}, {stage}"
                     + (f": {counts}" if counts else ""))  # fmt: skip
    return "; ".join(parts)
