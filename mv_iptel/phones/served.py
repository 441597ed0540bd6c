"""What servers hand out to phones: files by protocol and name, in any letter case, each parsed once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from mv_iptel.phones.families import FAMILIES
from mv_iptel.phones.script import Script, parse

PROTOCOLS = ("tftp", "http", "https")
LONGEST = 16 << 20  # octets of a file that are read as a script; no settings file comes near


_VARIABLE = re.compile(r"\$(MACADDR_UPPER|MACADDR|SERIALNO|MODEL4)", re.I)
_FORMS = {"MACADDR": "[0-9a-f]{12}", "MACADDR_UPPER": "[0-9a-f]{12}", "SERIALNO": ".{1,20}", "MODEL4": ".{4}"}
VARIABLES = 3  # in one name; more have no sense, and each multiplies the ways that a name may fit


class Found(NamedTuple):
    """A file: its name as it is spelled there, and its content if that was asked for."""

    name: str
    data: bytes = b""


class Folder(Protocol):
    """Where files lie."""

    def find(self, name: str, read: bool) -> Found | None:
        """The file of that name, in any letter case; None if there is none."""

    def names(self) -> Iterable[str]:
        """Every name at the top."""


class Memory:
    """Files that lie nowhere: of tests, of an editor, or one that stands in for another."""

    def __init__(self, files: Mapping[str, bytes]):
        self._files = {name.casefold(): Found(name, data) for name, data in files.items()}

    def find(self, name: str, read: bool) -> Found | None:
        return self._files.get("/".join(_parts(name)).casefold())

    def names(self) -> Iterable[str]:
        return [found.name for found in self._files.values()]


class Directory:
    """A folder on disk, listed once: phones by the thousand ask it for names that are not there."""

    def __init__(self, path: Path):
        self.path = path
        self._listed: dict[Path, dict[str, str]] = {}

    def find(self, name: str, read: bool) -> Found | None:
        parts, path = _parts(name), self.path
        if not parts or ".." in parts:
            return None
        for part in parts:
            spelled = self._names(path).get(part.casefold())
            if spelled is None:
                return None
            path = path / spelled
        if not path.is_file():
            return None
        found = Found(path.relative_to(self.path).as_posix())
        if not read:
            return found
        try:
            with path.open("rb") as file:
                return found._replace(data=file.read(LONGEST))
        except OSError:
            return None  # a phone does not get it either

    def names(self) -> Iterable[str]:
        return self._names(self.path).values()

    def _names(self, path: Path) -> dict[str, str]:
        listed = self._listed.get(path)
        if listed is None:
            try:
                names = sorted(os.listdir(path), reverse=True)
            except OSError:
                names = []
            # Of two spellings the first in order.
            listed = self._listed[path] = {name.casefold(): name for name in names}
        return listed


class Served:
    """What each protocol serves: of its folders the first that has a name.

    `start` names the file that every phone reads first; without it a phone begins with its upgrade
    script. `whole` says that what is not here is nowhere, so that it may be told as missing.
    """

    def __init__(self, roots: Mapping[str, tuple[Folder, ...]], start: str = "", whole: bool = True):
        self._roots = {protocol: roots.get(protocol, ()) for protocol in PROTOCOLS}
        self.start = start
        self.whole = whole
        self._read: dict[tuple[str, str], tuple[Script, bytes] | None] = {}
        self._parsed: dict[tuple[str, bytes], Script] = {}
        self._tops: set[str] | None = None

    @classmethod
    def of(cls, *folders: Folder, start: str = "", whole: bool = True) -> Served:
        """Every protocol serves the same."""
        return cls(dict.fromkeys(PROTOCOLS, folders), start, whole)

    @classmethod
    def memory(cls, files: Mapping[str, bytes], start: str = "") -> Served:
        """These files, by every protocol."""
        return cls.of(Memory(files), start=start)

    @classmethod
    def split(cls, tftp: Path, http: Path, https: Path) -> Served:
        """A server's data: HTTPS falls back to what HTTP serves."""
        plain = Directory(http)
        secure = () if https == http else (Directory(https),)
        return cls({"tftp": (Directory(tftp),), "http": (plain,), "https": (*secure, plain)})

    @classmethod
    def directory(cls, path: Path) -> Served:
        """A folder for every protocol, or, if TFTPdata or HTTPdata lie in it, a server's data."""
        for data in (path, path / "MV_IPTel" / "data"):
            if (data / "HTTPdata").is_dir() or (data / "TFTPdata").is_dir():
                return cls.split(data / "TFTPdata", data / "HTTPdata", data / "HTTPSdata")
        return cls.of(Directory(path))

    def has(self, protocol: str, name: str) -> bool:
        """Whether this protocol serves the name."""
        return any(folder.find(name, False) for folder in self._roots[protocol])

    def script(self, protocol: str, name: str) -> Script | None:
        """The file as a script."""
        read = self._content(protocol, name)
        return read[0] if read else None

    def content(self, protocol: str, name: str) -> bytes | None:
        """The file's octets."""
        read = self._content(protocol, name)
        return read[1] if read else None

    def may_have(self, name: str) -> bool:
        """Whether any protocol may serve the name: at once for most of those that none does."""
        if self._tops is None:
            self._tops = {each.casefold() for _, each in self.names()}
        return "/" in name or "\\" in name or name.casefold() in self._tops

    def names(self) -> list[tuple[str, str]]:
        """Every (protocol, name) at the top of a folder, in any order; a name that several serve once."""
        seen: dict[str, tuple[str, str]] = {}
        for protocol, folders in self._roots.items():
            for folder in folders:
                for name in folder.names():
                    seen.setdefault(name.casefold(), (protocol, name))
        return list(seen.values())

    def with_file(self, name: str, data: bytes) -> Served:
        """The same with another content of one file, wherever it lies; else at every top."""
        new = Memory({name: data})
        having = {one for one in PROTOCOLS if self.has(one, name)} or set(PROTOCOLS)
        roots = {
            protocol: (new, *folders) if protocol in having else folders
            for protocol, folders in self._roots.items()
        }
        return Served(roots, self.start, self.whole)

    def leads_to(self, name: str) -> bool:
        """Whether a phone's upgrade script, or what that leads to, is this file or GETs it."""
        todo = [(family.protocol, script) for family in FAMILIES.values() for script in family.scripts]
        seen = set(todo)
        while todo:
            protocol, file = todo.pop()
            script = self.script(protocol, file)
            if script is None:
                continue
            if file.casefold() == name.casefold():
                return True
            for statement in script.statements:
                if statement.kind == "get" and stands_for(statement.name, name):
                    return True
                if statement.kind == "get" and (protocol, statement.name) not in seen:
                    seen.add((protocol, statement.name))
                    todo.append((protocol, statement.name))
        return False

    def _content(self, protocol: str, name: str) -> tuple[Script, bytes] | None:
        key = protocol, name
        if key not in self._read:
            found = next(filter(None, (folder.find(name, True) for folder in self._roots[protocol])), None)
            if found is None:
                self._read[key] = None
            else:
                # The evaluator knows a file by the name it asked for; the disk's spelling is for people.
                shown = found.name if found.name.casefold() == name.casefold() else name
                script = self._parsed.get((shown, found.data))
                if script is None:
                    script = self._parsed[shown, found.data] = parse(shown, found.data)
                self._read[key] = script, found.data
        return self._read[key]


def pair(old: Path, new: Path) -> tuple[Served, Served] | str:
    """What two directories or files serve, before and after; or why they cannot be compared.

    A file takes the place of its namesake in the other's directory, or, of two files, of the one that
    phones come to from the upgrade scripts beside it. If no script leads to either, phones are taken
    to begin with the file itself.
    """
    if old.is_dir() and new.is_dir():
        return Served.directory(old), Served.directory(new)
    if old.is_dir() or new.is_dir():
        folder, file = (old, new) if old.is_dir() else (new, old)
        served = Served.directory(folder)
        if not any(served.has(protocol, file.name) for protocol in PROTOCOLS):
            return f"{folder} has no {file.name} that {file} could stand in for"
        changed = served.with_file(file.name, _octets(file))
        return (served, changed) if old.is_dir() else (changed, served)
    before, after = _octets(old), _octets(new)
    for file in (old, new):
        served = Served.directory(file.parent)
        if served.leads_to(file.name):
            return served.with_file(file.name, before), served.with_file(file.name, after)
    sides = ((old, before), (new, after))
    first, second = (
        Served.of(Memory({file.name: data}), Directory(file.parent), start=file.name, whole=False)
        for file, data in sides
    )
    return first, second


def _octets(file: Path) -> bytes:
    """What a phone would read of it; a pipe is good enough, a device has no end."""
    with file.open("rb") as opened:
        return opened.read(LONGEST)


def stands_for(name: str, file: str) -> bool:
    """Whether a name in a script is this file, or may be with a phone's MAC or model in it."""
    if "$" not in name:
        return name.casefold() == file.casefold()
    parts = _VARIABLE.split(name)  # text, variable, text, ...
    if len(parts) > 2 * VARIABLES + 1:
        return False
    form = "".join(_FORMS[part.upper()] if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return bool(re.fullmatch(form, file, re.I))


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
