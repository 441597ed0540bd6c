"""What differs between two outcomes of one phone's boot: broken boots first, then settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from mv_iptel.phones.effects import Effects
from mv_iptel.phones.evaluate import Assignment
from mv_iptel.phones.parameters import known, near_secret, nearest, takes

# The worst first.
KINDS = ("script", "settings", "loop", "firmware", "cut-short", "file")
_LOGIN = re.compile(r"(://)[^/]*@")
_SECRET = re.compile(r"PASS|PSWD|PWD|SECRET|COMMUNITY|SNMPSTR|PSK|PIN(?![GK])", re.I)
HIDDEN = "(secret)"


class Trouble(NamedTuple):
    """Why a phone does not come up as it should. `key` tells one trouble from another, whatever its line."""

    kind: str  # one of KINDS
    key: str
    text: str
    file: str = ""
    line: int = 0


class Change(NamedTuple):
    """A setting whose value is another one, or a line that would have made it so.

    sort: effective; `ignored` by this family; `rejected`: the new value fails its check; `unknown`: no
    such setting is known. None is a value that no line sets and whose default is not known.
    """

    sort: Literal["effective", "ignored", "rejected", "unknown"]
    name: str
    old: str | None
    new: str | None
    was_set: bool  # by a line, otherwise the default
    is_set: bool
    why: str = ""


class Lines(NamedTuple):
    """Where a change comes from; empty for a default."""

    old: tuple[str, int] | None
    new: tuple[str, int] | None


@dataclass(frozen=True)
class Difference:
    """All that differs for one phone."""

    breaks: tuple[Trouble, ...] = ()
    mends: tuple[Trouble, ...] = ()
    changes: tuple[tuple[Change, Lines], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.breaks or self.mends or self.changes)


def difference(old: Effects, new: Effects) -> Difference:
    """What is another one in `new`. A phone that lost its settings is not told what else it lost."""
    before, after = list(troubles(old)), list(troubles(new))
    had, has = {each[:2] for each in before}, {each[:2] for each in after}
    breaks = tuple(each for each in after if each[:2] not in had)
    # A file that nothing names any more is no gain.
    gets = {asked.name.casefold() for asked in new.asked if asked.had}
    mends = tuple(
        each
        for each in before
        if each[:2] not in has and (each.kind != "file" or each.key.partition(" ")[2] in gets)
    )
    if any(each.kind in ("script", "settings") for each in (*breaks, *mends)):
        return Difference(breaks, mends)
    return Difference(breaks, mends, tuple(_changes(old, new)))


def troubles(found: Effects) -> Iterator[Trouble]:
    """What keeps a phone from its scripts, firmware, settings or files."""
    ended = found.ended
    if not found.start:
        yield Trouble("script", "", ended.text)
        return
    if found.restless:
        text = "its scripts never agree on what it shall run: it restarts for ever"
        yield Trouble("loop", "restarts", text)
    for asked in found.missing:
        text = f"{asked.parameter} names {asked.name}, which is not there"
        if asked.kind == "software":
            yield Trouble("firmware", asked.name.casefold(), f"{text}: it asks and restarts for ever",
                          asked.file, asked.line)  # fmt: skip
        elif asked.kind == "file":
            yield Trouble("file", f"{asked.parameter} {asked.name.casefold()}", text, asked.file, asked.line)
    if ended.why in ("get-loop", "goto-loop", "nesting"):
        yield Trouble("loop", ended.why, ended.text, ended.file, ended.line)
    elif not found.settled:
        tried = [asked for asked in found.missing if asked.kind == "settings"]
        if tried:
            last = tried[-1]
            text = f"no settings: {' and '.join(dict.fromkeys(one.name for one in tried))} could not be had"
            yield Trouble("settings", "", text, last.file, last.line)
        else:
            why = ended.text if ended.why != "end" else f"no GET stands on its way through {found.start}"
            yield Trouble("settings", "", f"no settings: {why}", ended.file, ended.line)
    elif ended.why in ("no-tag", "get-failed"):
        yield Trouble("cut-short", ended.text, ended.text, ended.file, ended.line)


def _changes(old: Effects, new: Effects) -> Iterator[tuple[Change, Lines]]:
    for name in sorted({*old.parameters, *new.parameters}):
        before, after = old.parameters.get(name), new.parameters.get(name)
        was, becomes = _value(old, name), _value(new, name)
        if was == becomes:
            continue
        sort: Literal["effective", "unknown"] = "effective" if known(name) else "unknown"
        change = Change(sort, name, was, becomes, before is not None, after is not None)
        yield change, Lines(_line(before), _line(after))
    for name in sorted({*old.ignored, *new.ignored}):
        one, other = old.ignored.get(name), new.ignored.get(name)
        before, after = one and one.made, other and other.made
        if _text(before) != _text(after):
            row = known(name)
            does_not = row is not None and takes(row, new.family.name) == "no"
            why = "" if does_not or not (other or one) else (other or one).why
            change = Change("ignored", name, _text(before), _text(after), bool(before), bool(after), why)
            yield change, Lines(_line(before), _line(after))
    for name in sorted(new.rejected):
        known_before = {each.made.value for each in old.rejected.get(name, ())}
        for each in new.rejected[name]:
            if each.made.value not in known_before:
                keeps = new.value(name)
                change = Change(
                    "rejected", name, keeps, each.made.value, name in new.parameters, True, each.why
                )
                yield change, Lines(None, _line(each.made))


def _value(found: Effects, name: str) -> str | None:
    """A setting's value; of what a profile writes only the profile is known."""
    profile = found.profiled.get(name)
    return f"as {profile} {found.parameters[name].value} sets it" if profile else found.value(name)


def _text(made: Assignment | None) -> str | None:
    return made and made.value


def _line(made: Assignment | None) -> tuple[str, int] | None:
    return made and (made.file, made.line)


# Secrets.


@lru_cache(maxsize=1 << 12)
def secret(name: str) -> bool:
    """Whether a setting's value is nobody's business; a misspelt one is judged by what it may mean."""
    row = known(name)
    if row is not None:
        return row.secret
    meant: Iterable[str] = nearest(name) if near_secret(name) else ()  # files may have 100,000 odd names
    return bool(_SECRET.search(name)) or any(each.secret for each in map(known, meant) if each)


def masked(name: str, value: str) -> str:
    """The value as it may be shown: no secret, and no login in a URL."""
    if value and secret(name):
        return HIDDEN
    return _LOGIN.sub(r"\1...@", value)
