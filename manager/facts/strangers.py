"""Who asks and is no known phone: addresses that are only refused, and phones seen for the first time."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from manager.problems import Problem
from manager.store import Store
from mv_iptel import files
from mv_iptel.addresses import address_of, mac_of
from mv_iptel.config import Config
from mv_iptel.home import Home
from mv_iptel.inventory import schema
from mv_iptel.library.access import Lists, parse
from mv_iptel.userdata.disk import locked

DAYS = 7  # that the inbox goes back
LOOKED_AT = 20_000  # refusals that it goes back at most
MOST = 500  # addresses that are told
EVERYONE = "*"  # in place of a key: all phones that were there at that moment
NAMES = 6  # of what each asked for
PROTOCOLS = ("tftp", "http", "https", "ftp")
_REMARK = re.compile(r"[^\w .:@/+-]")


class Stranger(NamedTuple):
    """One address that is no phone. Times in seconds since the epoch."""

    address: str
    first: float
    last: float
    requests: int
    protocols: tuple[str, ...]
    names: tuple[str, ...]  # what it asked for last
    reasons: tuple[str, ...]
    number: int  # of its last refusal
    agent: str
    mac: str  # as a name that it asked for said it: that proves nothing
    ignored: bool = False
    by: str = ""  # who said so


def strangers(config: Config, ignored: Mapping[str, str], now: float) -> list[Stranger]:
    """Addresses that were refused lately and never got a file; the last ones first."""
    try:
        database = schema.connect(str(config.settings.database))
    except sqlite3.OperationalError:
        return []
    try:
        rows = database.execute(
            "SELECT r.* FROM requests r WHERE r.id IN (SELECT id FROM requests WHERE outcome = 'refused' "
            "ORDER BY id DESC LIMIT ?) AND r.last > ? "
            "AND NOT EXISTS (SELECT 1 FROM addresses a WHERE a.address = r.peer) ORDER BY r.id DESC",
            (LOOKED_AT, now - DAYS * 86_400.0),
        )
        found: dict[str, dict[str, Any]] = {}
        for row in rows:
            one = found.get(row["peer"])
            if one is None:
                if len(found) >= MOST:
                    continue
                one = found[row["peer"]] = {
                    "first": row["time"],
                    "last": row["last"],
                    "requests": 0,
                    "protocols": {},
                    "names": {},
                    "reasons": {},
                    "number": row["id"],
                    "agent": "",
                    "mac": "",
                }
            one["first"] = min(one["first"], row["time"])
            one["last"] = max(one["last"], row["last"])
            one["requests"] += row["count"]
            one["protocols"][row["proto"]] = one["reasons"][row["reason"]] = None
            if len(one["names"]) < NAMES:
                one["names"][row["name"]] = None
            one["agent"] = one["agent"] or row["agent"]
            one["mac"] = one["mac"] or row["mac"]
    except sqlite3.OperationalError as fault:
        if "no such table" not in str(fault):
            raise
        return []
    finally:
        database.close()
    return [
        Stranger(
            address,
            one["first"],
            one["last"],
            one["requests"],
            tuple(one["protocols"]),
            tuple(one["names"]),
            tuple(one["reasons"]),
            one["number"],
            one["agent"],
            one["mac"],
            address in ignored,
            ignored.get(address, ""),
        )
        for address, one in found.items()
    ]


def key_of(text: str) -> str:
    """The address or MAC, in its one form; empty if it is neither."""
    return address_of(text) or mac_of(text)


def ignored(store: Store) -> dict[str, str]:
    """Addresses and MACs that nobody wants to hear of any more, and who said so."""
    return {
        row["key"]: row["who"] for row in store.ask("SELECT key, who FROM ignored WHERE key != ?", EVERYONE)
    }


def known_until(store: Store) -> float:
    """Phones that were first seen before this moment are all known; 0: nobody has said so."""
    return max(
        (row["time"] for row in store.ask("SELECT time FROM ignored WHERE key = ?", EVERYONE)), default=0.0
    )


def all_known(store: Store, who: str, now: float) -> None:
    """From now on only phones that come later are new."""
    store.change("INSERT OR REPLACE INTO ignored VALUES (?, ?, ?)", EVERYONE, who, now)


def ignore(store: Store, key: str, who: str, yes: bool) -> bool:
    """Hide it, or show it again. False: that was so already."""
    if yes:
        return bool(store.change("INSERT OR IGNORE INTO ignored VALUES (?, ?, ?)", key, who, time.time()))
    return bool(store.change("DELETE FROM ignored WHERE key = ?", key))


def lists(config: Config) -> dict[str, str]:
    """The list that governs each protocol that has one: its path."""
    directories = {
        "tftp": config.tftp.tftp_dir,
        "http": config.http.http_dir,
        "https": config.https.https_dir,
        "ftp": config.ftp.ftp_dir,
    }
    found = {}
    for proto in PROTOCOLS:
        governs = Lists(directories[proto], proto, None).current()
        if governs is not None:
            found[proto] = governs.path
    return found


def add(home: Home, path: str, address: str, remark: str) -> tuple[str, str]:
    """One line more at the end of a list: the text before and after. Raises Problem.

    Under the one lock, so that nobody's edit is lost.
    """
    file = Path(path)
    try:
        with locked(home.lock):
            before = file.read_bytes()
            entries, _ = parse(before.decode("utf-8", "replace"))
            if any(one.text == address for one in entries):
                raise Problem("conflict", f"{address} stands in {file.name} already")
            newline = b"\r\n" if b"\r\n" in before else b"\n"
            line = f"{address}  # {_REMARK.sub('', remark)[:80]}".rstrip(" #").encode("utf-8")
            after = before + (newline if before and not before.endswith(b"\n") else b"") + line + newline
            files.replace(file, after, file.stat().st_mode & 0o777)
    except OSError as error:
        raise Problem("fault", f"{file.name}: {error.strerror}") from None
    return before.decode("utf-8", "replace"), after.decode("utf-8", "replace")
