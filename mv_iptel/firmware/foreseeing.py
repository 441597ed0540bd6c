"""What phones would get once a plan is carried out: played, linted, and looked through for names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mv_iptel import linted
from mv_iptel.config import Config
from mv_iptel.firmware.placing import directories
from mv_iptel.history.kinds import may_be_script
from mv_iptel.inventory import Reader
from mv_iptel.inventory.evidence import SETTINGS
from mv_iptel.phones.differences import Change, Trouble
from mv_iptel.phones.families import MODELS
from mv_iptel.phones.lint import Finding, lint
from mv_iptel.phones.lint import Folder as Linted
from mv_iptel.phones.naming import name as named
from mv_iptel.phones.served import LONGEST, Directory, Folder, Found, Served
from mv_iptel.phones.whom import Block, Comparison, Kind, Phone, compare, handset_of, phones_of

# Path on the disk -> what lies there afterwards: a path to read it from, or None for nothing.
Changed = Mapping[str, Path | None]
Within = Mapping[str, tuple[str, Path | None]]  # the same in one directory, by folded name
SOFTWARE = ("APPNAME", "RFSNAME")
RECENT_SECONDS = 14 * 86_400.0
_SIGNATURE = re.compile(r"(?:.*/)?([^/]+?)(?:\.sig(?:256)?)?\Z", re.IGNORECASE | re.DOTALL)
_GETS = re.compile(r"GET ([^\s:]+): there is no such file")
_PHRASE = re.compile(rb"[^\s\"',;=<>]+")


class Loss(NamedTuple):
    """Phones that would come off worse: who, how many of them the inventory knows, and what they lose."""

    who: str
    phones: int
    text: str


class Gain(NamedTuple):
    """Other firmware for some phones. `phones` are known."""

    who: str
    phones: int
    text: str


class Planned:
    """A directory as it will be: `changes` by folded name hold its spelling and where it is read from."""

    def __init__(self, path: Path, changes: Mapping[str, tuple[str, Path | None]]):
        self._now = Directory(path)
        self._changes = changes

    def find(self, name: str, read: bool) -> Found | None:
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        change = self._changes.get("/".join(parts).casefold())
        if change is None:
            return self._now.find(name, read)
        spelled, source = change
        if source is None:
            return None
        if not read:
            return Found(spelled)
        try:
            with source.open("rb") as file:
                return Found(spelled, file.read(LONGEST))
        except OSError:
            return None

    def names(self) -> Iterable[str]:
        found = {each.casefold(): each for each in self._now.names()}
        for folded, (spelled, source) in self._changes.items():
            if source is None:
                found.pop(folded, None)
            elif "/" not in spelled:
                found.setdefault(folded, spelled)
        return found.values()


def served(config: Config, changed: Changed) -> Served:
    """What the servers give, once these changes are made."""
    places = directories(config)
    folder: dict[str, Folder] = {name: Planned(path, _within(path, changed)) for name, path in places.items()}
    secure = () if places["HTTPSdata"] == places["HTTPdata"] else (folder["HTTPSdata"],)
    fallback = (folder["HTTPdata"],) if config.https.https_fallback or not secure else ()
    return Served({
        "tftp": (folder["TFTPdata"],), "http": (folder["HTTPdata"],), "https": (*secure, *fallback),
    })  # fmt: skip


def touched(config: Config, changed: Changed) -> tuple[list[Loss], list[Gain]]:
    """Who would come off worse, and who would get other firmware: every model, and the inventory's phones."""
    reader = Reader(config.settings.database)
    try:
        phones = phones_of(reader.everyone(), reader.upgrade_scripts())
    finally:
        reader.close()
    kinds = [Phone(model, signalling=speaks) for model in MODELS for speaks in ("H323", "SIP")]
    supposed = [one for one in kinds if handset_of(one)]
    found = compare(served(config, {}), served(config, changed), [*phones, *supposed], None)
    who = _kinds(phones, found)

    def told(what: Iterable[tuple[Block, str]]) -> list[tuple[str, int, str]]:
        return [
            (named(block.kinds, found.kinds.keys()), sum(who[kind] for kind in block.kinds), text)
            for block, text in what
        ]

    worse = [*_broken(found), *_taken(found)]
    return [Loss(*one) for one in told(worse)], [Gain(*one) for one in told(_given(found))]


def _kinds(phones: Iterable[Phone], found: Comparison) -> Counter[Kind]:
    """The inventory's phones by the kind that they were judged as."""
    counted: Counter[Kind] = Counter()
    for one in phones:
        handset = handset_of(one)
        if handset is not None:
            kind = Kind(handset.family.name, handset.model, handset.group)
            alone = kind._replace(mac=one.mac)
            counted[alone if one.mac and alone in found.kinds else kind] += 1
    return counted


def _broken(found: Comparison) -> Iterable[tuple[Block, str]]:
    # Who had no script loses nothing by one that finds no settings yet.
    new = {kind for block in found.mends if _tells(block, "script") for kind in block.kinds}
    for block in found.breaks:
        for told in block.told:
            what = told.what
            if not isinstance(what, Trouble) or what.kind == "file":
                continue
            if what.kind != "settings" or not block.kinds <= new:
                yield block, what.text


def _tells(block: Block, kind: str) -> bool:
    return any(isinstance(told.what, Trouble) and told.what.kind == kind for told in block.told)


def _taken(found: Comparison) -> Iterable[tuple[Block, str]]:
    for block in found.changes:
        for told in block.told:
            what = told.what
            if not isinstance(what, Change) or what.name not in SOFTWARE or not (what.was_set and what.old):
                continue
            if not what.new:
                yield block, f"no script orders {what.old} for them any more"
            elif _speaks(what.old) != _speaks(what.new):
                yield block, f"they are turned from {_speaks(what.old)} to {_speaks(what.new)}: {what.new}"


def _given(found: Comparison) -> Iterable[tuple[Block, str]]:
    for block in found.mends:
        if _tells(block, "script"):
            yield block, "they find their upgrade script"
    for block in found.changes:
        for told in block.told:
            what = told.what
            if isinstance(what, Change) and what.name in SOFTWARE and what.new and what.is_set:
                before = f" instead of {what.old}" if what.old else ""
                yield block, f"{what.name} {what.new}{before}"


def _speaks(file: str) -> str:
    """What the name of a firmware file says that it speaks."""
    return "SIP" if re.match(r"SIP|S96x1_S|S9608_11_?S|S9621_41_?S|FW_S|K1", file, re.I) else "H.323"


def errors(config: Config, changed: Changed) -> list[str]:
    """The errors that lint finds afterwards and not now.

    That the site has no settings file in a directory is none of the release's: phones of another protocol
    than the site uses would go without.
    """
    told: list[str] = []
    for place in linted.places(config):
        inside = _within(place.path, changed)
        beyond = [_within(other, changed) for other in place.elsewhere]
        if not any((inside, *beyond)):
            continue
        now = place.folder()
        after = _changed_folder(now, inside, beyond, place.elsewhere)
        old = {(one.file, one.code, one.text) for one in lint(now, site=place.site)}
        told += [
            f"{place.path.name}/{one}"
            for one in lint(after, site=place.site)
            if one.severity == "error" and (one.file, one.code, one.text) not in old and not _is_sites(one)
        ]
    return list(dict.fromkeys(told))


def _is_sites(one: Finding) -> bool:
    found = _GETS.match(one.text) if one.code == "no-file" else None
    return found is not None and found[1].casefold() in SETTINGS


def _changed_folder(now: Linted, inside: Within, beyond: list[Within], places: tuple[Path, ...]) -> Linted:
    files, others, elsewhere = dict(now.files), set(now.others), dict(now.elsewhere)
    spelling = {name.casefold(): name for name in (*files, *others)}
    for folded, (name, source) in inside.items():
        old = spelling.get(folded, name)
        files.pop(old, None)
        others.discard(old)
        if source is None or "/" in name:
            continue
        if old in now.files or may_be_script(name):
            files[old] = _read(source)
        else:
            others.add(old)
    for place, changes in zip(places, beyond, strict=True):
        for folded, (_, source) in changes.items():
            if source is None:
                elsewhere.pop(folded, None)
            else:
                elsewhere.setdefault(folded, place.name)
    return replace(now, files=files, others=frozenset(others), elsewhere=elsewhere)


def names_of_scripts(config: Config, changed: Changed) -> Callable[[str], str]:
    """Tells which script or settings file names a file, once the changes are made; empty for none.

    What stands in a comment is not named. A signature goes with what it signs.
    """
    words: dict[str, str] = {}
    seen: set[str] = set()
    for place, root in directories(config).items():
        inside = _within(root, changed)
        folder = Planned(root, inside)
        for name in (*_beneath(root), *(spelled for spelled, _ in inside.values())):
            path = os.path.realpath(root / name)
            if path in seen or not may_be_script(name):
                continue
            seen.add(path)
            found = folder.find(name, True)
            for line in (found.data if found else b"").splitlines():
                if not line.startswith(b"#"):
                    for phrase in _PHRASE.findall(line):
                        word = os.fsdecode(phrase).replace("\\", "/").rpartition("/")[2].casefold()
                        words.setdefault(word, f"{place}/{name}")

    def who_names(name: str) -> str:
        match = _SIGNATURE.match(name)
        assert match, "every name has a last part"
        return words.get(name.rpartition("/")[2].casefold()) or words.get(match[1].casefold(), "")

    return who_names


def _beneath(root: Path) -> Iterable[str]:
    """Every file of a directory: phones may be sent to folders in it."""
    for folder, folders, names in os.walk(root):
        folders[:] = [one for one in folders if not one.startswith(".") and one.casefold() != "archive"]
        inner = os.path.relpath(folder, root).replace(os.sep, "/")
        yield from (name if inner == "." else f"{inner}/{name}" for name in names)


def asked_lately(config: Config, now: float) -> dict[str, float]:
    """When a phone got each file last, of the last fourteen days, by the file's path."""
    reader = Reader(config.settings.database)
    try:
        return {
            os.path.realpath(file): last for file, last in reader.fetched_since(now - RECENT_SECONDS).items()
        }
    finally:
        reader.close()


def _within(root: Path, changed: Changed) -> Within:
    """The changes beneath a directory, by folded name."""
    base = os.path.realpath(root) + os.sep
    return {
        path[len(base) :].replace(os.sep, "/").casefold(): (path[len(base) :].replace(os.sep, "/"), source)
        for path, source in changed.items()
        if path.startswith(base)
    }


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST)
    except OSError:
        return b""
