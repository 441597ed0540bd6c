"""Whom a file concerns: who fetched it, what names it, and which phones notice if it is another one."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from manager.facts.files import areas
from mv_iptel.config import Config
from mv_iptel.firmware.foreseeing import RECENT_SECONDS, names_of_scripts
from mv_iptel.firmware.placing import directories
from mv_iptel.inventory.reader import Reader
from mv_iptel.phones.differences import Change, Lines, Trouble, masked
from mv_iptel.phones.families import MODELS
from mv_iptel.phones.naming import name as named
from mv_iptel.phones.served import Directory, Folder, Found, Served
from mv_iptel.phones.whom import Block, Comparison, Phone, compare, phones_of

SHOWN = 20  # phones that are named of those that fetched a file
LINES = 12  # of what happens to one group of phones
VALUE = 60  # characters of a value


class Askers(NamedTuple):
    """Who fetched a file, and what leads to it."""

    phones: int  # that ever fetched it from here
    lately: int  # within fourteen days
    last: float
    rows: tuple[dict[str, Any], ...]  # the last ones
    named: str  # the script or settings file that names it

    @property
    def needed(self) -> str:
        """Why it should not go; empty if nothing speaks for it."""
        told = []
        if self.lately:
            told.append(f"{self.lately:,} phone{'s' * (self.lately != 1)} fetched it within 14 days")
        if self.named:
            told.append(f"{self.named} names it")
        return ", and ".join(told)


def askers(config: Config, path: Path, key: str, now: float | None = None) -> Askers:
    """Of one file, by its whole path."""
    since = (time.time() if now is None else now) - RECENT_SECONDS
    reader = Reader(config.settings.database)  # of its own: of fifty thousand phones it takes a while
    try:
        counted, rows = reader.askers(str(path), since, SHOWN)
    finally:
        reader.close()
    place, slash, name = names_of_scripts(config, {})(key.rpartition("/")[2]).partition("/")
    who_names = f"{_label(config, place)}/{name}" if slash else ""
    return Askers(counted["phones"] or 0, counted["lately"] or 0, counted["last"] or 0.0, tuple(rows),
                  "" if who_names == key else who_names)  # fmt: skip


def _label(config: Config, place: str) -> str:
    """What a place of firmware's is called here."""
    real = directories(config)[place].resolve()
    return next(one.label for one in areas(config).values() if one.path == real)


# Who breaks


class Edited:
    """A directory in which one file has another content, or is gone."""

    def __init__(self, path: Path, name: str, data: bytes | None):
        self._now, self._name, self._data = Directory(path), name, data

    def find(self, name: str, read: bool) -> Found | None:
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if "/".join(parts).casefold() != self._name.casefold():
            return self._now.find(name, read)
        return None if self._data is None else Found(self._name, self._data if read else b"")

    def names(self) -> Iterable[str]:
        found = {one.casefold(): one for one in self._now.names()}
        found.pop(self._name.casefold(), None)
        if self._data is not None and "/" not in self._name:
            found[self._name.casefold()] = self._name
        return found.values()


def whom(config: Config, area: str, name: str, data: bytes | None) -> dict[str, Any]:
    """Every phone of the inventory judged by the file as it is and as it would be; None: it is gone."""
    reader = Reader(config.settings.database)
    try:
        phones = phones_of(reader.everyone(), reader.upgrade_scripts())
    finally:
        reader.close()
    counted = bool(phones)
    if not counted:
        phones = [Phone(model) for model in MODELS]
    found = compare(_served(config), _served(config, area, name, data), phones, None)
    return {
        "phones": found.kinds.total() if counted else 0,
        "kinds": len(found.kinds),
        "counted": counted,
        "changed": bool(found),
        **{
            part: _blocks(getattr(found, part), found, part, counted)
            for part in ("breaks", "mends", "changes")
        },
        "unknown": found.strange.total(),
    }


def _served(config: Config, area: str = "", name: str = "", data: bytes | None = None) -> Served:
    """What the servers give to phones, with that one file so."""
    known = areas(config)
    here = known[area].path if area in known else None
    places = directories(config)
    folders: dict[str, Folder] = {
        place: Edited(path, name, data) if here is not None and path.resolve() == here else Directory(path)
        for place, path in places.items()
    }
    secure = () if places["HTTPSdata"] == places["HTTPdata"] else (folders["HTTPSdata"],)
    fallback = (folders["HTTPdata"],) if config.https.https_fallback or not secure else ()
    return Served({
        "tftp": (folders["TFTPdata"],), "http": (folders["HTTPdata"],), "https": (*secure, *fallback),
    })  # fmt: skip


def _blocks(blocks: list[Block], found: Comparison, part: str, counted: bool) -> list[dict[str, Any]]:
    return [
        {
            "who": named(block.kinds, found.kinds.keys() - (found.scriptless - block.kinds)),
            "phones": block.phones if counted else 0,
            "told": [
                {"text": _text(each.what, part), "where": _where(each.lines)} for each in block.told[:LINES]
            ],
            "more": max(0, len(block.told) - LINES),
        }
        for block in blocks[:50]
    ]


def _text(what: Trouble | Change, part: str) -> str:
    if isinstance(what, Trouble):
        return f"was: {what.text}" if part == "mends" else what.text
    old, new = _value(what.name, what.old, what.was_set), _value(what.name, what.new, what.is_set)
    if what.sort == "rejected":
        return f"{what.name}: {new} is not accepted, {old} stays: {what.why}"
    if old == new and what.old:
        new += ", another one"
    why = {
        "ignored": f" (ignored: {what.why or 'they do not take it'})",
        "unknown": " (no such setting is known)",
    }
    return f"{what.name}: {old} → {new}{why.get(what.sort, '')}"


def _value(name: str, value: str | None, is_set: bool) -> str:
    if value is None:
        return "not set"
    text = masked(name, value)[:VALUE] or '""'
    return text if is_set else f"{text} (default)"


def _where(lines: frozenset[Lines]) -> str:
    new = sorted({each.new for each in lines if each.new})
    places = new or sorted({each.old for each in lines if each.old})
    told = ", ".join(f"{file}:{line}" for file, line in places[:2])
    more = f" and {len(places) - 2} more lines" if len(places) > 2 else ""
    return told + more if new or not told else f"was {told}{more}"
