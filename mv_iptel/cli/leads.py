"""Which line of the home's scripts sent a phone to a file that is not there, for `why` and `phones show`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from mv_iptel.config import Config
from mv_iptel.inventory import Reader
from mv_iptel.phones.effects import effects
from mv_iptel.phones.families import Handset
from mv_iptel.phones.sent import Sent, named_by, sent_by
from mv_iptel.phones.served import Served
from mv_iptel.phones.whom import handset_of, phones_of


class Leads:
    """The home's scripts, read once for several questions."""

    def __init__(self, config: Config):
        self.config = config
        self._served: Served | None = None
        self._told: dict[tuple[str, str], dict[str, Any] | None] = {}

    def line(self, name: str, phone: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The line that names the file; `sure` if this phone of the inventory is known to read it."""
        if not self.config.file:
            return None  # `serve --dir`: which folder it serves only that server knows
        key = name, phone["key"] if phone else ""
        if key not in self._told:
            self._told[key] = self._find(name, phone)
        return self._told[key]

    def _find(self, name: str, phone: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if self._served is None:
            config = self.config
            self._served = Served.split(config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir)
        found = _played(self._served, name, phone) if phone else None
        if found is None:
            named = named_by(self._served, name)
            return {**named[0]._asdict(), "sure": False} if named else None
        return {**found._asdict(), "sure": True}


def phone_at(config: Config, who: str) -> Mapping[str, Any] | None:
    """The inventory's phone of this MAC or address."""
    reader = Reader(config.settings.database)
    try:
        return reader.phone(who)
    except sqlite3.Error:
        return None
    finally:
        reader.close()


def words(lead: Mapping[str, Any]) -> str:
    """The line in a sentence."""
    place = f"{lead['file']}:{lead['line']} ({lead['by']})"
    if lead["sure"]:
        return f"{place} sent it there"
    return f"{place} names that file; whether this phone reads the line is not known"


def _played(served: Served, name: str, phone: Mapping[str, Any]) -> Sent | None:
    """Its group is nobody's knowledge: 0, else each that scripts ask for."""
    handset = handset_of(phones_of([phone], _scripts(phone))[0])
    if handset is None:
        return None
    groups = sorted(effects(served, handset).compared.get("GROUP", ()), key=lambda each: (len(each), each))
    for group in ("0", *groups):
        found = sent_by(served, _in(handset, group), name)
        if found:
            return found
    return None


def _in(handset: Handset, group: str) -> Handset:
    return Handset(handset.model, handset.mac, group, signalling=handset.signalling)


def _scripts(phone: Mapping[str, Any]) -> dict[str, str]:
    """The upgrade script that it got last."""
    files = phone.get("files", ())
    found = [each["name"] for each in files if "upgrade." in each["name"].lower()]  # the newest stands first
    return {phone["key"]: found[0]} if found else {}
