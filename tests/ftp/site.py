"""A server with the real library for the tests: free ports, a clock that can be moved, clients of ftplib."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mv_iptel import certs, config
from mv_iptel.events import Event, Finished, Notice, Stream
from mv_iptel.ftp.server import Server
from mv_iptel.home import Home
from mv_iptel.library import Library
from mv_iptel.phones.agent import Says, understand
from mv_iptel.phones.families import Handset

PATIENCE = 30.0
SUPER, PASSWORD = "mvuser", "of this site"


class Listener:
    """Collects the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def receive(self, batch: list[Event]) -> None:
        self.events.extend(batch)


def make_certificates(home: Home) -> None:
    """An authority and a certificate for this host."""
    certs.make_authority(home, "test")
    certs.make_server(home, certs.Names(("localhost",), ("127.0.0.1", "::1")))


def wait_for(what: str, ready: Callable[[], Any]) -> Any:
    """Ask until `ready()` says something true; for what other threads do in their own time."""
    end = time.monotonic() + PATIENCE
    while not (found := ready()):
        assert time.monotonic() < end, what
    return found


class Site:
    """Everything of one running server. `with` starts and stops it.

    Nobody is asked by SNMP unless `changes` say so: `Site(home, {"snmp": {"use_snmp": True}})`.
    """

    def __init__(self, home: Home, changes: dict[str, dict[str, Any]] | None = None):
        self.home = home
        self.ahead = 0.0  # how far the clock was moved
        self.config = self.changed({
            "settings": {"bind_address": ("127.0.0.1",)},
            "ftp": {"ftp_port": 0, "ftp_data_port": 0, "enable_su": True, "su_user_name": SUPER,
                    "su_password": PASSWORD},
            "ftps": {"run_ftps": True, "ftp_port": 0, "ftp_data_port": 0},
            "snmp": {"use_snmp": False},
        }, config.defaults(home))  # fmt: skip
        self.config = self.changed(changes or {})
        for folder in (home.ftp_data, home.http_data, home.docs, home.log, home.lists):
            folder.mkdir(parents=True, exist_ok=True)
        self.listener = Listener()
        self.stream = Stream(self.listener)
        self.library = Library(self.config, self.stream, self.clock)
        self.server = Server(self.config, self.library, self.stream, self.clock)

    def changed(self, changes: dict[str, dict[str, Any]], base: config.Config | None = None) -> config.Config:
        """The configuration with other values: `{"ftp": {"ftp_port": 1}}`."""
        base = base or self.config
        return replace(base, **{part: replace(getattr(base, part), **keys) for part, keys in changes.items()})

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    def __enter__(self) -> Site:
        self.library.backups.store.open()
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop(5.0)
        self.library.close()
        faults = [event for event in self.events(Notice) if event.kind == "fault"]
        assert not faults, faults

    def reload(self, changes: dict[str, dict[str, Any]]) -> None:
        """Put other values in force."""
        self.config = self.changed(changes)
        self.library.reload(self.config)
        self.server.reload(self.config)

    def port(self, proto: str = "ftp", address: str = "127.0.0.1") -> int:
        """Where that listener is."""
        return next(one["port"] for one in self.server.listeners()
                    if (one["proto"], one["address"]) == (proto, address))  # fmt: skip

    def events(self, what: type = Finished, /, **wanted: object) -> list[Any]:
        """What happened so far, of one kind and with these values."""
        self.stream.drain()
        return [event for event in self.listener.events if isinstance(event, what)
                and all(getattr(event, name) == value for name, value in wanted.items())]  # fmt: skip

    def event(self, what: type = Finished, /, **wanted: object) -> Any:
        """The one event with these values; waits for it."""
        wait_for(f"an event with {wanted}", lambda: self.events(what, **wanted))
        found = self.events(what, **wanted)
        assert len(found) == 1, found
        return found[0]

    # Clients

    def connect(self, address: str = "127.0.0.1", client: ftplib.FTP | None = None,
                proto: str = "ftp") -> ftplib.FTP:  # fmt: skip
        """ftplib, connected from that address and not signed in."""
        client = client or ftplib.FTP(encoding="utf-8")
        host = "::1" if ":" in address else "127.0.0.1"
        client.connect(host, self.port(proto, host), timeout=PATIENCE, source_address=(address, 0))
        return client

    def phone(self, address: str = "127.0.0.1", **more: Any) -> ftplib.FTP:
        """ftplib, signed in as a phone."""
        client = self.connect(address, **more)
        client.login("anonymous", "phone@")
        return client

    def superuser(self, address: str = "127.0.0.1") -> ftplib.FTP:
        """ftplib, signed in as the superuser."""
        client = self.connect(address)
        client.login(SUPER, PASSWORD)
        return client


def store(client: ftplib.FTP, name: str, data: bytes) -> str:
    """STOR in binary."""
    return client.storbinary(f"STOR {name}", io.BytesIO(data))


def fetch(client: ftplib.FTP, name: str, rest: int | None = None) -> bytes:
    """RETR in binary."""
    found: list[bytes] = []
    client.retrbinary(f"RETR {name}", found.append, rest=rest)
    return b"".join(found)


def tls_context(home: Home) -> ssl.SSLContext:
    """What a client has that trusts the site's authority."""
    return ssl.create_default_context(cafile=str(home.ca_cert))


class Held:
    """A phone's SNMP agent that answers when the test says so."""

    def __init__(self, address: str, ext: str = "1234", model: str = "4621SW", community: str = "public"):
        self.address = address
        self.says = Says(Handset(model, ext=ext), community)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 0))
        self.sock.settimeout(PATIENCE)
        self.port = self.sock.getsockname()[1]

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def asked(self) -> tuple[bytes, Any]:
        """Wait for a question: it, and who asks."""
        return self.sock.recvfrom(65536)

    def answer(self, question: tuple[bytes, Any]) -> None:
        """Answer it."""
        found = understand(question[0])
        assert found is not None
        self.sock.sendto(found.answer(self.says.objects()), question[1])

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """What a site needs to ask this agent, and to be patient with it."""
        return {
            "snmp": {"use_snmp": True, "snmp_port": self.port, "community": self.says.community,
                     "snmp_timeout": PATIENCE, "snmp_retries": 0},
            "ftp": {"ftp_time_out": PATIENCE},
        }  # fmt: skip
