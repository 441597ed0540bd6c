"""Who may download: the address lists that lie in the data directories.

Forms of a line: a full address, a prefix on an octet boundary (`192.168.0` or `192.168.0.`), a range
`a-b`, and ours: CIDR, IPv6, `#` comments (reference: IP access control lists).
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel import files

MAX_LIST = 2 << 20  # octets, 100,000 addresses; a longer list is not read, as reading it holds phones up
_RACY = 0.05  # seconds; a directory touched this recently may change again under the same time stamp

_PREFIX = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,2}\.?\Z")
_FULL = re.compile(
    r"(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\Z", re.ASCII
)


class Entry(NamedTuple):
    """One valid line: the addresses from `first` to `last`, as numbers, both included."""

    version: int
    first: int
    last: int
    line: int
    text: str


class Problem(NamedTuple):
    """One line that is not an entry, and what would be."""

    line: int
    text: str


def parse(text: str) -> tuple[list[Entry], list[Problem]]:
    """The entries of a list and the lines that are none."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        try:
            version, first, last = _addresses(line)
        except ValueError:
            problems.append(
                Problem(
                    number,
                    f"{line[:60]!r} is no address; write an address, a prefix such as 192.168.0, "
                    "a range a-b or a network such as 192.168.0.0/24",
                )
            )
            continue
        if first > last:
            problems.append(
                Problem(number, f"{line[:60]!r} ends before it begins; write the lower address first")
            )
            continue
        entries.append(Entry(version, first, last, number, line))
    return entries, problems


def _addresses(line: str) -> tuple[int, int, int]:
    if full := _FULL.match(line):  # what most lines of a long list are; `ipaddress` takes ten times as long
        a, b, c, d = map(int, full.groups())
        if max(a, b, c, d) > 255:
            raise ValueError("an octet above 255")
        number = a << 24 | b << 16 | c << 8 | d
        return 4, number, number
    if "/" in line:
        network = ipaddress.ip_network(line, strict=False)
        return _plain(network.network_address, network.broadcast_address)
    if "-" in line:
        first, last = (ipaddress.ip_address(part.strip()) for part in line.split("-"))
        if first.version != last.version:
            raise ValueError("two kinds of address")
        return _plain(first, last)
    if _PREFIX.match(line):
        parts = [int(part) for part in line.rstrip(".").split(".")]
        if max(parts) > 255:
            raise ValueError("an octet above 255")
        first = int.from_bytes(bytes(parts + [0] * (4 - len(parts))), "big")
        last = int.from_bytes(bytes(parts + [255] * (4 - len(parts))), "big")
        return 4, first, last
    address = ipaddress.ip_address(line)
    return _plain(address, address)


def _plain(first: Any, last: Any) -> tuple[int, int, int]:
    """Kind of address, first and last as numbers; IPv4-mapped addresses count as IPv4 (DESIGN section 5)."""
    if first.version == 6 and first.ipv4_mapped and last.ipv4_mapped:
        first, last = first.ipv4_mapped, last.ipv4_mapped
    return first.version, int(first), int(last)


class AddressList:
    """One list in force. `match` is a dictionary look-up for an address that was seen before."""

    def __init__(self, path: str, entries: list[Entry], problems: list[Problem], kept: bool = False):
        self.path = path
        self.entries = entries
        self.problems = problems
        self.kept = kept  # True: the file is unreadable and this is the last good content
        self._known: dict[str, Entry | None] = {}
        # Sorted by the first address, with the widest reach so far, so that one bisection decides.
        self._sorted = {
            version: _reach(sorted(e for e in entries if e.version == version)) for version in (4, 6)
        }

    def match(self, address: str) -> Entry | None:
        """The line that lets `address` in, or None."""
        try:
            return self._known[address]
        except KeyError:
            entry = self._search(address)
            if len(self._known) > 100_000:
                self._known.clear()
            self._known[address] = entry
            return entry

    def _search(self, address: str) -> Entry | None:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        firsts, best = self._sorted[parsed.version]
        number = int(parsed)
        place = bisect_right(firsts, number) - 1
        if place >= 0 and best[place].last >= number:
            return best[place]
        return None

    def nearest(self, address: str) -> Entry | None:
        """The line that comes closest to an address that is not listed: what `why` shows."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        number = int(parsed)
        firsts, best = self._sorted[parsed.version]
        if not firsts:
            return self.entries[0] if self.entries else None
        # Below it the one that reaches furthest, above it the one that begins first: every refusal asks.
        place = bisect_right(firsts, number)
        near = best[max(0, place - 1) : place + 1]
        return min(near, key=lambda e: min(abs(e.first - number), abs(e.last - number)))


def _reach(entries: list[Entry]) -> tuple[list[int], list[Entry]]:
    best: list[Entry] = []
    for entry in entries:
        best.append(entry if not best or entry.last >= best[-1].last else best[-1])
    return [entry.first for entry in entries], best


class Lists:
    """The list of one server's data directory: found by name, read again as soon as it changes.

    `keep` is the directory for the last good copy. `report(kind, text, source, line)` is told of broken
    lines and lost lists, once for each change. `alone`: no other list stands in, and the directory itself
    is never read, because it is large and changes all the time.
    """

    def __init__(
        self,
        directory: Path,
        proto: str,
        keep: Path | None,
        report: Callable[[str, str, str, int], None] = lambda *_: None,
        alone: bool = False,
    ):
        self.directory = str(directory)
        self.names = (f"{proto.upper()}_allow_IP.txt", f"{proto}_allow_IP.txt" if alone else "allow_IP.txt")
        self._alone = alone
        self._keep = keep / f"{proto}_allow_IP.txt" if keep else None
        self._report = report
        self._turn = 0
        self._seen: object = None  # what the directory and the list looked like
        self._list: AddressList | None = None
        self._started = False

    def current(self, turn: int = 0) -> AddressList | None:
        """The list in force, or None: everybody may download. Costs one `stat`, two with a list.

        `turn` as in `Session.ask`: the second look in one turn costs nothing.
        """
        if turn and turn == self._turn:
            return self._list
        self._turn = turn
        if self._alone and self._list is None:
            return self._load()
        try:
            state: object = 0 if self._alone else os.stat(self.directory).st_mtime_ns
            if self._list is not None:
                there = os.stat(self._list.path)
                state = (state, there.st_mtime_ns, there.st_size, there.st_ino, there.st_ctime_ns)
        except OSError:
            state = None
        if state is not None and state == self._seen:
            return self._list
        return self._load()

    def problems(self) -> list[tuple[str, int, str]]:
        """What is wrong with the list in force, as (file, line, text)."""
        current = self.current()
        if current is None:
            return []
        lost = (
            [(current.path, 0, "cannot be read; its last good content stays in force")]
            if current.kept
            else []
        )
        return lost + [(current.path, line, text) for line, text in current.problems]

    def _load(self) -> AddressList | None:
        previous = self._list
        state: object = None
        try:
            state = 0 if self._alone else os.stat(self.directory).st_mtime_ns
            found = self._find()
        except OSError as error:
            # The directory itself cannot be read: what was in force stays in force.
            if previous is not None and not previous.kept:
                self._lost(previous.path, error)
                self._list = AddressList(previous.path, previous.entries, previous.problems, kept=True)
            self._seen = None
            return self._list
        if found is None:
            if self._keep is not None:
                # The administrator took the list away. Where the copy is not ours to remove it stays.
                with contextlib.suppress(OSError):
                    self._keep.unlink(missing_ok=True)
            self._list, self._started = None, True
            self._seen = state if _settled(state) else None
            return None
        path, there = found
        try:
            text = _read(path)
        except OSError as error:
            self._list = self._last_good(path, previous, error)
            self._seen = None
            return self._list
        entries, problems = parse(text)
        loaded = AddressList(path, entries, problems)
        if previous is None or previous.problems != problems or previous.path != path:
            for line, what in problems:
                self._report("list-broken", what, path, line)
        if not entries and (previous is None or previous.entries):
            self._report(
                "list-broken",
                "the list has no valid line, so it lists nobody; "
                "write one, or remove the file to let everybody in",
                path,
                0,
            )
        if self._keep is not None and (previous is None or previous.entries != entries or not self._started):
            _write(self._keep, text)
        self._list, self._started = loaded, True
        state = (state, there.st_mtime_ns, there.st_size, there.st_ino, there.st_ctime_ns)
        self._seen = state if _settled(state[0]) and _settled(there.st_mtime_ns) else None
        return loaded

    def _find(self) -> tuple[str, os.stat_result] | None:
        # Windows never minded the case.
        there = {} if self._alone else {name.lower(): name for name in os.listdir(self.directory)}
        for name in self.names:
            path = os.path.join(self.directory, there.get(name.lower(), name))
            try:
                return path, os.stat(path)
            except FileNotFoundError:
                # A link that points nowhere is a list that cannot be read, not a list that is absent.
                if os.path.islink(path):
                    return path, os.lstat(path)
        return None

    def _last_good(self, path: str, previous: AddressList | None, error: OSError) -> AddressList:
        if previous is not None and previous.kept:
            return previous
        self._lost(path, error)
        if previous is not None:
            return AddressList(path, previous.entries, previous.problems, kept=True)
        try:
            text = _read(str(self._keep)) if self._keep else ""
        except OSError:
            text = ""
        return AddressList(path, *parse(text), kept=True)

    def _lost(self, path: str, error: OSError) -> None:
        self._report(
            "list-lost",
            f"cannot be read ({error.strerror}); its last good content stays in force; "
            "make it readable for the server",
            path,
            0,
        )


def _settled(mtime_ns: int) -> bool:
    # A stamp from the future (another clock set it) is not one that the next change will have again.
    return abs(time.time() - mtime_ns / 1e9) > _RACY


def _read(path: str) -> str:
    with open(path, "rb", opener=_opener) as file:
        data = file.read(MAX_LIST + 1) or b""
    if len(data) > MAX_LIST:
        raise OSError(27, "File too large", path)
    return data.decode("utf-8", "replace")


def _opener(path: str, flags: int) -> int:
    """A FIFO with the name of a list must not hold the server up."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _write(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):  # the list itself is in force; only a later loss of it would show
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced: it happens between two requests.
        files.replace(path, text.encode(), sync=False)
