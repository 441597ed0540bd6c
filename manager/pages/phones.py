"""The phones: the list, each phone's pages, and the inbox of unknown devices."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from manager.call import Call
from manager.facts import boots, strangers
from manager.facts.phone import kept, refused, timeline, warnings
from manager.facts.phones import SEEN, SORTS, Choice
from manager.facts.verdicts import STATES
from manager.problems import Problem
from manager.routing import VIEWER, Route
from mv_iptel.addresses import address_of, mac_of
from mv_iptel.config import Config
from mv_iptel.history.places import Places
from mv_iptel.rollout import plans
from mv_iptel.status.words import OPS, OUTCOMES, REASONS, SOURCES, mac

ROWS = 50  # of a time line
SETTINGS = 100  # on one page
LINES = 300  # of a trace
PROTOCOLS = ("tftp", "http", "https", "ftp", "ftps")
FATES = {
    plans.REACHED: "has the new script",
    plans.LOADED: "loaded the new firmware",
    plans.RUNS: "runs it",
    plans.FAILED: "failed",
    plans.LOOPS: "in a boot loop",
}
LABELS = {
    "mac": "MAC",
    "ext": "Extension",
    "model": "Model",
    "version": "Version",
    "group": "GROUP",
    "serial": "Serial number",
    "boot": "Boot file",
}
TONES = {"compliant": "good", "pending": "warn", "stuck": "bad", "unknown": ""}


def choice_of(call: Call) -> Choice:
    """Which phones the query wants. Raises Problem."""
    sorts = {*SORTS, *(f"-{one}" for one in SORTS)}
    return Choice(
        call.query.get("q", "")[:100].strip(),
        call.query.get("model", "")[:80],
        call.query.get("version", "")[:80],
        call.choice("state", {"", *STATES}, ""),
        call.choice("seen", {"", *SEEN, *(f"-{one}" for one in SEEN)}, ""),
        call.query.get("refused", "") in ("1", "true", "on"),
        call.choice("new", {"", *SEEN}, ""),
        call.choice("sort", sorts, "-seen"),
        call.number("page", 1, 1, 1_000_000),
    )


def query_of(choice: Choice, **other: Any) -> str:
    """The query that means this choice, without the page."""
    told = {**choice._asdict(), "page": 1, **other}
    plain = {"sort": "-seen", "page": 1}
    return urlencode(
        {
            key: 1 if value is True else value
            for key, value in told.items()
            if value and plain.get(key) != value
        }
    )


async def _list(call: Call) -> web.StreamResponse:
    choice = choice_of(call)
    table = call.site.phones

    def read() -> dict[str, Any]:
        return {"listed": table.list(choice), "models": table.models(), "states": table.states()}

    values = await call.run(read)

    def sorted_by(column: str) -> dict[str, str]:
        """A head's link, and how the table is sorted by it now."""
        now = choice.sort.removeprefix("-") == column
        usual = f"-{column}" if column in ("seen", "boot", "refused", "first") else column
        other = column if choice.sort.startswith("-") else f"-{column}"
        how = ("descending" if choice.sort.startswith("-") else "ascending") if now else ""
        return {"link": f"/phones?{query_of(choice, sort=other if now else usual)}", "how": how}

    query = query_of(choice)
    values |= {
        "choice": choice,
        "link": f"/phones?{query}" if query else "/phones",
        "sorted_by": sorted_by,
        "tones": TONES,
        "judged": table.judged,
        "seen": SEEN,
        "filtered": bool(query_of(choice, sort="")),
    }
    answer = await call.page("phones/_rows.html" if call.htmx else "phones/list.html", **values)
    if call.htmx and call.request.headers.get("X-Background") != "1":
        # The address bar says what is shown, without the filters that say nothing.
        answer.headers["HX-Replace-Url"] = values["link"]
    return answer


class Known:
    """What the phone's pages share: the phone (None for an address that is none), and how it is called."""

    def __init__(self, config: Config, who: str, phone: dict[str, Any] | None):
        self.config, self.phone = config, phone
        self.key = phone["key"] if phone else who
        self.name = (mac(phone["mac"]) or phone["address"]) if phone else who

    @property
    def words(self) -> dict[str, Any]:
        """What the templates call things."""
        return {**_WORDS, "linked": linked(self.config)}

    @property
    def path(self) -> str:
        from manager.rendering import part

        return f"/phones/{part(self.key)}"


def linked(config: Config) -> Callable[[str], str]:
    """The page under Files of what lies at a path; empty for what no such page shows."""
    known: dict[str, str] = {}

    def link(path: str) -> str:  # called while a template is made, on its thread: it asks the disk
        if path not in known:
            known[path] = find(path)
        return known[path]

    def find(path: str) -> str:
        key = Places.of(config).key_of(Path(path)) if path else None
        return f"/files/{quote(key.encode('utf-8', 'surrogateescape'))}" if key else ""

    return link


async def found(call: Call) -> Known:
    """The phone of the path: by MAC, address or extension. Raises Problem."""
    who = call.path["key"].strip()[:100]
    phone = await call.run(call.site.inventory.phone, who)
    if phone is None and not address_of(who):
        raise Problem("not-found", "no such phone was seen; the list of phones has a search of its own")
    return Known(call.site.config(), address_of(who) or who, phone)


async def _phone(call: Call) -> web.StreamResponse:
    known = await found(call)
    if known.phone is not None and call.path["key"] != known.key:
        return call.go(known.path)
    phone = known.phone

    def read() -> dict[str, Any]:
        config, reader = known.config, call.site.inventory
        peers = [one["address"] for one in phone["addresses"]] if phone else [known.key]
        values: dict[str, Any] = {
            "notices": reader.notices(5, peers),
            "recent": reader.timeline(known.key, 8)[::-1],
        }
        if phone is None:
            one = [
                each
                for each in strangers.strangers(config, strangers.ignored(call.site.store), time.time())
                if each.address == known.key
            ]
            return {**values, "stranger": one[0] if one else None, "lists": strangers.lists(config)}
        met = plans.met_at(config.home, phone["key"])
        return {
            **values,
            "verdict": call.site.phones.verdict(phone),
            "kept": kept(config, phone["ext"]),
            "met": {
                "release": met[0].release,
                "state": met[0].state,
                "stage": met[1].stage + 1,
                "fate": FATES.get(met[1].fate, met[1].fate),
                "detail": met[1].detail,
            }
            if met
            else None,
            "advisories": warnings(config, phone),
        }

    values = await call.run(read)
    template = "phones/phone.html" if phone else "phones/stranger.html"
    return await call.page(template, known=known, phone=phone, tab="", **values, **known.words)


async def _timeline(call: Call) -> web.StreamResponse:
    known = await found(call)
    proto = call.choice("proto", {"", *PROTOCOLS}, "")
    outcome = call.choice("outcome", {"", *OUTCOMES}, "")
    before = call.number("before", 0, 0, 1 << 62)
    rows = await call.run(timeline, call.site.inventory, known.key, proto, outcome, before, ROWS + 1)
    values = {
        "rows": rows[:ROWS],
        "more": len(rows) > ROWS,
        "proto": proto,
        "outcome": outcome,
        "before": before,
        "protocols": PROTOCOLS,
    }
    template = "phones/_timeline.html" if call.htmx else "phones/timeline.html"
    return await call.page(template, known=known, phone=known.phone, tab="timeline", **values, **known.words)


async def _refused(call: Call) -> web.StreamResponse:
    known = await found(call)
    refusals = await call.run(refused, known.config, call.site.inventory, known.key, known.phone)
    return await call.page(
        "phones/refused.html", known=known, phone=known.phone, tab="refused", refusals=refusals, **known.words
    )


async def _boot(call: Call) -> web.StreamResponse:
    known, asked = await found(call), asked_of(call)
    if known.phone is None:
        return call.go(known.path)
    played = await call.run(play, known, asked)
    everything = call.query.get("lines", "") == "all"
    trace = boots.lines(played.trace, everything)
    values = {
        "play": played,
        "asked": asked,
        "trace": trace[:LINES],
        "more": max(0, len(trace) - LINES),
        "everything": everything,
    }
    values["files"] = {one.name.casefold(): one.path for one in played.answers}
    values |= known.words
    return await call.page("phones/boot.html", known=known, phone=known.phone, tab="boot", **values)


def asked_of(call: Call) -> boots.Asked:
    """What is to be played. Raises Problem."""
    group = call.query.get("group", "")
    if group and not re.fullmatch(r"[0-9]{1,3}", group):
        raise Problem("bad-request", "group: a number from 0 to 999")
    protocol = call.choice("protocol", {"", "tftp", "http", "https"}, "")
    return boots.Asked(group, protocol, call.query.get("fresh", "") in ("1", "true", "on"))


def play(known: Known, asked: boots.Asked) -> boots.Play:
    """The boot, or why it cannot be played."""
    assert known.phone is not None
    try:
        return boots.play(known.config, known.phone, asked)
    except (OSError, sqlite3.Error) as error:
        return boots.Play(f"it cannot be played: {getattr(error, 'strerror', '') or error}")


async def _settings(call: Call) -> web.StreamResponse:
    known, asked = await found(call), asked_of(call)
    if known.phone is None:
        return call.go(known.path)
    played = await call.run(play, known, asked)
    rows = boots.settings(played.effects) if played.effects else []
    wanted = call.query.get("name", "")[:60].strip().upper()
    shown = [row for row in rows if wanted in row.name.upper() or wanted in row.value.upper()]
    pages = max(1, -(-len(shown) // SETTINGS))
    page = min(call.number("page", 1, 1), pages)
    query = urlencode(
        {
            key: value
            for key, value in (("name", wanted), ("group", asked.group), ("protocol", asked.protocol))
            if value
        }
    )
    values = {
        "play": played,
        "asked": asked,
        "settings": shown[(page - 1) * SETTINGS : page * SETTINGS],
        "wanted": wanted,
        "total": len(shown),
        "page": page,
        "pages": pages,
        "link": f"{known.path}/settings{'?' if query else ''}{query}",
    }
    template = "phones/_settings.html" if call.htmx else "phones/settings.html"
    return await call.page(template, known=known, phone=known.phone, tab="settings", **values, **known.words)


async def _unknown(call: Call) -> web.StreamResponse:
    everything = call.query.get("show", "") == "ignored"
    now = time.time()

    def read() -> dict[str, Any]:
        site, config = call.site, call.site.config()
        hidden, until = strangers.ignored(site.store), strangers.known_until(site.store)

        def old(row: dict[str, Any]) -> bool:
            return row["key"] in hidden or row["first_seen"] <= until

        every = strangers.strangers(config, hidden, now)
        new = site.phones.list(Choice(new="7d", sort="-first"), 100)
        return {
            "strangers": [one for one in every if one.ignored == everything][:100],
            "new": [row for row in new.rows if old(row) == everything],
            "hidden": sum(one.ignored for one in every) + sum(map(old, new.rows)),
            "single": hidden,
            "until": until,
            "lists": strangers.lists(config),
        }

    values = await call.run(read)
    template = "phones/_unknown.html" if call.htmx else "phones/unknown.html"
    return await call.page(template, everything=everything, **values)


_WORDS: dict[str, Any] = {
    "reasons": REASONS,
    "outcomes": OUTCOMES,
    "sources": SOURCES,
    "ops": OPS,
    "labels": LABELS,
    "tones": TONES,
    "mac_of": mac_of,
}

ROUTES = (
    Route("GET", "/phones", _list, VIEWER),
    Route("GET", "/phones/unknown", _unknown, VIEWER),
    Route("GET", "/phones/{key}", _phone, VIEWER),
    Route("GET", "/phones/{key}/timeline", _timeline, VIEWER),
    Route("GET", "/phones/{key}/refused", _refused, VIEWER),
    Route("GET", "/phones/{key}/boot", _boot, VIEWER),
    Route("GET", "/phones/{key}/settings", _settings, VIEWER),
)
