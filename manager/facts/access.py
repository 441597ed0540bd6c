"""Who gets what: what a change of a list does to phones that are known, and the tester's answer in words."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from manager.facts import lists
from manager.problems import Problem
from mv_iptel.addresses import address_of
from mv_iptel.config import Config
from mv_iptel.events import Stream
from mv_iptel.inventory.reader import Reader
from mv_iptel.library import Library
from mv_iptel.library.access import AddressList, parse
from mv_iptel.status import words
from mv_iptel.status.server import question

DAYS = 30  # a phone that was not seen for longer is not missed
SHOWN = 20  # phones and lines that are named; the rest is counted

Known = list[tuple[str, str]]  # address and what the phone is called there


class Touched(NamedTuple):
    """What a list in place of another does to phones that were seen lately."""

    out: list[tuple[str, str]]  # may no longer
    into: list[tuple[str, str]]  # may from now on
    seen: int  # of how many


def known(reader: Reader, now: float | None = None) -> Known:
    """Where phones were seen within the last days, the last place of each."""
    since = (time.time() if now is None else now) - DAYS * 86400
    rows = reader.ask(
        "SELECT address, mac, model FROM phones WHERE last_seen >= ? AND address != '' LIMIT 100000", since
    )
    return [(row["address"], words.mac(row["mac"]) or row["model"]) for row in rows]


def touched(kind: lists.Kind, before: str | None, after: str | None, phones: Known) -> Touched:
    """Whom it touches when a list's text becomes another; None: there is no list."""
    old, new = _rule(kind, before), _rule(kind, after)
    out, into = [], []
    for one in phones:
        may, will = old(one[0]), new(one[0])
        if may and not will:
            out.append(one)
        elif will and not may:
            into.append(one)
    return Touched(out, into, len(phones))


def checked(kind: lists.Kind, text: str) -> list[dict[str, Any]]:
    """What is wrong with a text that is to become this list: line and text of each."""
    entries, problems = parse(text)
    found = [{"line": one.line, "text": one.text} for one in problems]
    if not entries and kind.empty:
        found.append({"line": 0, "text": f"{kind.empty}; remove the list to let everybody in"})
    return found


def bans(config: Config, limit: int = 1000) -> list[dict[str, Any]]:
    """The lines of `banned.txt`: what each bans, and what is written beside it."""
    found = lists.state(config, "banned")
    rows = found.text.splitlines()
    return [
        {"line": one.line, "entry": one.text, "note": rows[one.line - 1].partition("#")[2].strip()}
        for one in found.entries[:limit]
    ]


def ban(entry: str, note: str, own: Iterable[str]) -> str:
    """The line that bans an entry. Raises Problem for what is none, or would ban this host itself."""
    found, problems = parse(entry)
    if problems or len(found) != 1 or "#" in entry or "\n" in entry.strip():
        text = problems[0].text if problems else "one address, range or network is wanted"
        raise Problem("invalid", text, errors=[{"field": "entry", "text": "no address"}])
    listed = AddressList("", found, [])
    for address in own:
        if listed.match(address):
            text = f"{address} is this host's own address: the watchdog would be turned away"
            raise Problem("invalid", text, errors=[{"field": "entry", "text": "this host"}])
    note = " ".join(note.split())[:200]
    return f"{found[0].text}  # {note}" if note else found[0].text


def with_ban(text: str, line: str) -> str:
    """`banned.txt` with one more line. Raises Problem if that is banned already."""
    entry = line.split("#", 1)[0].strip()
    if any(one.text == entry for one in parse(text)[0]):
        raise Problem("conflict", f"{entry} is banned already")
    return (text if not text or text.endswith("\n") else text + "\n") + line + "\n"


def without_ban(text: str, entry: str) -> str:
    """`banned.txt` without the lines of an entry. Raises Problem if there is none."""
    rows = text.splitlines(keepends=True)
    kept = [row for row in rows if row.split("#", 1)[0].strip() != entry.strip()]
    if len(kept) == len(rows):
        raise Problem("not-found", f"no line bans {entry[:60]}")
    return "".join(kept)


def whom(reader: Reader, text: str) -> tuple[str, str]:
    """Address and MAC of who is meant: an address, or a MAC or an extension that was seen. Raises Problem."""
    if address := address_of(text):
        return address, ""
    row = reader.phone(text) if text.strip() else None
    if row is None:
        wanted = f"{text[:60] or 'whom'}: an address, or the MAC or extension of a phone that was seen"
        raise Problem("invalid", wanted, errors=[{"field": "address", "text": "not known"}])
    return row["address"], row["mac"]


def by_home(config: Config, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the server would answer by the files: slots and recent sightings are unknown. Raises Problem."""
    asked_ = question(asked)
    if isinstance(asked_, str):
        raise Problem("invalid", asked_)
    library = Library(config, Stream())
    try:
        return library.why(*asked_)
    finally:
        library.close()


def answer(told: Mapping[str, Any]) -> dict[str, Any]:
    """The tester's answer in words: yes, no or perhaps; what happens; and the line that decides."""
    decision, steps = told["decision"], told["steps"]
    because, source, line = "", "", 0
    near = told["reason"] == "not-listed"  # the line is only the nearest one
    for step in steps:
        if step["step"] in ("admit", "list") and not because:
            because, source, line = step["result"], step["source"], step["line"]
    if decision == "refuse":
        verdict, tone = "No", "bad"
        text = f"{told['reason']}: {words.REASONS.get(told['reason'], '')}"
        if told["reason"] not in ("not-listed", "banned"):  # something else decided than a list
            because = told.get("detail") or because
            source, line = told.get("source", ""), told.get("line", 0)
    elif decision == "serve":
        verdict, tone = "Yes", "good"
        size = f", {words.size(told['bytes'])}" if "bytes" in told else ""
        text = f"it gets {os.path.basename(told['file'])}{size}"
        if any(step["step"] == "list" and "served instead" in step["result"] for step in steps):
            verdict, tone, near = "Not that file", "warn", True
            text = f"it gets {os.path.basename(told['file'])} instead{size}"
    elif decision == "challenge":
        verdict, tone, text = "It depends", "warn", told.get("detail") or "the client must show who it is"
    else:
        verdict, tone = "Yes", "good"
        text = f"it would be {words.OPS.get(decision, decision)}"
    return {
        "verdict": verdict,
        "tone": tone,
        "text": text,
        "because": because,
        "source": source,
        "line": line,
        "near": near,
    }


def list_of(config: Config, source: str) -> str:
    """Which list lies at this path, by its key; empty for none."""
    return next((key for key in lists.KINDS if source and os.fspath(lists.place(config, key)) == source), "")


def _rule(kind: lists.Kind, text: str | None) -> Any:
    if text is None:
        return lambda address: True
    listed = AddressList("", *parse(text))
    if kind.key == "banned":
        return lambda address: listed.match(address) is None
    return lambda address: listed.match(address) is not None
