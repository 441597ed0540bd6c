"""A branch for the tests: a home that has joined a real central server, and its client."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mv_iptel import config as configuration
from mv_iptel.central import authority
from mv_iptel.central.client import CentralClient
from mv_iptel.central.inviting import Invite
from mv_iptel.central.joining import Joined, join
from mv_iptel.events import Event, Notice, Stream
from mv_iptel.firmware.publishing import Publisher
from mv_iptel.home import Home
from mv_iptel.library import Library
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.store import Origin
from tests.central.office import Office

_PAUSE = threading.Event()  # never set: others work meanwhile
PATIENCE = 30.0  # seconds; a busy machine may need many of them


def until(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until it is so, and give what it is."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        _PAUSE.wait(0.01)
    return found


def invitation(office: Office, name: str = "Oslo", **more: Any) -> Invite:
    told = {"addresses": ("127.0.0.1",), "port": office.port,
            "authority": authority.fingerprint(authority.known_by(office.config)),
            "token": office.server.branches.invite(name, 7)}  # fmt: skip
    return Invite(**{**told, **more})


class Site:
    """A home that may join, and everything of a branch but the front ends."""

    def __init__(self, folder: Path):
        self.home = Home(folder)
        for place in (self.home.bin, self.home.certs, self.home.var, self.home.tftp_data, self.home.http_data,
                      self.home.ftp_data):  # fmt: skip
            place.mkdir(parents=True, exist_ok=True)
        if not self.home.ini.exists():
            self.home.ini.write_text("[Settings]\nServerName=A branch\n[BACKUP_SERVERS]\nUpdateInterval=1s\n")
        self.config = configuration.load(self.home)
        self.events: list[Event] = []
        self.stream = Stream(self)

    def receive(self, batch: list[Event]) -> None:
        self.events.extend(batch)

    def join(self, invite: Invite, role: str = "primary") -> Joined:
        found = asyncio.run(join(self.config, invite, role))
        self.config = configuration.load(self.home)
        return found

    def set(self, **keys: dict[str, Any]) -> None:
        parts = {part: replace(getattr(self.config, part), **values) for part, values in keys.items()}
        self.config = replace(self.config, **parts)

    def notices(self, kind: str) -> list[str]:
        self.stream.drain()
        return [one.text for one in self.events if isinstance(one, Notice) and one.kind == kind]


class Branch(Site):
    """One that has joined. `with` starts and stops its client."""

    def __init__(self, folder: Path, office: Office, name: str = "Oslo", **keys: dict[str, Any]):
        super().__init__(folder)
        if "PeerToken" not in self.home.ini.read_text():
            self.join(invitation(office, name))
        self.set(**keys)

    def __enter__(self) -> Branch:
        self.library = Library(self.config, self.stream)
        self.library.backups.store.open()
        self.client = CentralClient(
            self.config, self.library, lambda config: Publisher(config, self.stream.publish), self.stream
        )
        self.client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop()
        self.library.close()

    def store(self, name: str, data: bytes) -> None:
        """As a phone does it."""
        kept = parse(name)
        assert kept is not None
        draft = self.library.backups.store.draft(
            kept, Origin("192.0.2.7", "001122334455", "9640", "http", "none")
        )
        assert draft.write(data) is None
        draft.commit(lambda stored: None)
        until(lambda: self.has(name) == data)

    def has(self, name: str) -> bytes | None:
        try:
            return (self.config.http.backup_dir / name).read_bytes()
        except FileNotFoundError:
            return None


def at_the_centre(office: Office, name: str) -> bytes | None:
    try:
        return (office.config.http.backup_dir / name).read_bytes()
    except FileNotFoundError:
        return None


def store_there(office: Office, name: str, data: bytes) -> None:
    """A phone of the centre's own stores something."""
    kept = parse(name)
    assert kept is not None
    draft = office.library.backups.store.draft(kept, Origin(how="none"))
    draft.write(data)
    draft.commit(lambda stored: None)
    until(lambda: at_the_centre(office, name) == data)
