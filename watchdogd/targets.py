"""Learns which servers should run, and how the server is: from its status port, else from MV_IPTel.ini."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from mv_iptel import config as configuration
from mv_iptel.addresses import address_of
from mv_iptel.config import Config, ConfigError
from mv_iptel.files import states
from mv_iptel.home import Home
from watchdogd.judge import ALL, Server, Target

PROTOCOLS = ("tftp", "ftp", "ftps", "http", "https")
FOUR, SIX = "0.0.0.0", "::"  # noqa: S104
LARGEST = 4 << 20  # of status.json
NEAR = 5.0  # seconds between a process's start and the note of its number


class Row(NamedTuple):
    """One listener as the ini or the status port tells it."""

    proto: str
    address: str
    port: int
    state: str = "up"
    error: str = ""

    @property
    def label(self) -> str:
        """As `Target.label`."""
        return f"{self.proto}:{self.port}"


class Told(NamedTuple):
    """What the status port said; `fault` says why it is of no use."""

    status: dict[str, Any] = {}  # noqa: RUF012
    fault: str = ""
    strange: bool = False  # somebody else's server answered


class Learner:
    """Keeps what was learned from one round to the next."""

    def __init__(self, home: Home, host: str):
        self.home = home
        self.host = host
        self.local = is_local(host)
        self.config: Config | None = None
        self.fault = ""  # why the ini cannot be read now
        self._state: object = None
        self._status: dict[str, Any] = {}  # the last that was good

    def read(self) -> None:
        """Look at MV_IPTel.ini, if it changed. One with mistakes leaves the last good one in force."""
        state = states([self.home.ini])
        if state == self._state:
            return
        self._state = state
        try:
            self.config = configuration.load(self.home)
            self.fault = ""
        except ConfigError as error:
            self.fault = f"{self.home.ini} is not valid: {error.findings[0]}"
        except OSError as error:
            self.fault = f"{self.home.ini} cannot be read: {error.strerror}"

    @property
    def status_address(self) -> tuple[str, int] | None:
        """Where the server's status port is; None: it has none, or nobody knows."""
        if self.config is None or not self.config.settings.run_status:
            return None
        settings = self.config.settings
        bound = settings.status_bind.replace(",", " ").split() or ["127.0.0.1"]
        host = self.host
        if self.local and host not in bound and not {FOUR, SIX} & set(bound):
            host = bound[0]
        return host, settings.status_port

    def ask(self, timeout: float) -> Told:
        """Ask the status port. For a thread that may stand still."""
        place = self.status_address
        if place is None:
            return Told(fault="none")
        link = http.client.HTTPConnection(*place, timeout=timeout)
        try:
            # By address: the status port answers to no name that it was not told.
            link.request("GET", "/status.json", headers={"Host": f"{bracketed(place[0])}:{place[1]}"})
            answer = link.getresponse()
            if answer.status != 200:
                return Told(fault=f"the status port {place[1]} answers {answer.status}", strange=True)
            status = json.loads(answer.read(LARGEST))
            home = str(status["server"]["home"])
            rows(status)
        except OSError as error:
            return Told(fault=str(error.strerror or error) or "no answer in time")
        except (ValueError, KeyError, TypeError, AttributeError, http.client.HTTPException):
            return Told(fault=f"what answers on the status port {place[1]} is no file server", strange=True)
        finally:
            link.close()
        if self.local and os.path.realpath(home) != os.path.realpath(self.home.root):
            text = f"the status port {place[1]} belongs to another installation, {home}"
            return Told(fault=text, strange=True)
        return Told(status)

    def learn(self, told: Told | None) -> None:
        """Keep a good answer. Without one the last counts, as long as its process lives."""
        if told is not None and told.status:
            self._status = told.status
        elif self._status and self._alive(self._status["server"]["pid"]) == "gone":
            self._status = {}  # what comes up next comes up by the ini

    def targets(self) -> tuple[Target, ...]:
        """Whom to ask in the next round."""
        known = rows(self._status) if self._status else self.wanted()
        on = [row for row in known if row.state != "off"]
        return chosen(on, self.host, self.local)

    def wanted(self) -> list[Row]:
        """The listeners that the ini switches on."""
        return wanted(self.config) if self.config is not None else []

    def server(self, told: Told | None) -> Server:
        """How the server is, after a round in which its status port said this (None: nothing in time)."""
        known = self._status
        pid = int(known["server"]["pid"]) if known else self._noted()
        alive = self._alive(pid)
        answers = None if self.status_address is None else bool(told and told.status)
        if told is not None and told.strange:
            answers = None
        if not (told and told.status):
            return Server(answers, pid, alive)
        there = rows(known)
        state = {row.label: row for row in there}
        off: tuple[str, ...] = ()
        if self._in_force():
            missed = [one.label for one in self.wanted() if one.label not in state]
            off = tuple(dict.fromkeys([*missed, *(row.label for row in there if row.state == "off")]))
        tls = any(row.proto in ("https", "ftps") for row in there)
        disk = known.get("disk") or {}
        return Server(
            answers, pid, alive,
            {row.label: row.error or "it has no port" for row in there if row.state == "failed"}, off,
            [(str(one["subject"]), float(one["not_after"])) for one in known.get("certs", ()) if tls],
            (int(disk.get("free", 0)), int(disk.get("total", 0))),
            int(known.get("transfers", {}).get("octets", -1)),
        )  # fmt: skip

    def matters(self, told: Told | None) -> list[tuple[str, str, str]]:
        """What is wrong with what can be learned."""
        found = []
        if self.fault:
            found.append(("config", ALL, self.fault))
        if told is not None and told.strange:
            found.append(("strange", ALL, told.fault))
        if not self.local:
            found.append(("remote", ALL, f"{self.host} is another host: only that it answers is looked at"))
        if self.config is not None and not self.targets():
            found.append(("off", ALL, "no server is switched on: there is nothing to watch"))
        return found

    def directories(self, proto: str) -> list[Path]:
        """Where the file lies that this server gives out."""
        config = self.config
        if config is None or not self.local:
            return []
        secure = [config.https.https_dir, *([config.http.http_dir] if config.https.https_fallback else [])]
        return {"tftp": [config.tftp.tftp_dir], "http": [config.http.http_dir], "https": secure}.get(
            proto, [config.ftp.ftp_dir]
        )

    def _in_force(self) -> bool:
        """Whether the ini is the one that the server runs by."""
        try:
            return self.local and os.stat(self.home.ini).st_mtime <= float(self._status["config"]["loaded"])
        except (OSError, KeyError, TypeError, ValueError):
            return False

    def _noted(self) -> int:
        """The process that took the home, by its own note; 0 if there is none or it is another by now."""
        note = self.home.var / "server.lock"
        try:
            pid = int(note.read_text("ascii").strip() or 0)
            begun = psutil.Process(pid).create_time() if psutil.pid_exists(pid) else 0.0
            return 0 if begun > note.stat().st_mtime + NEAR else pid
        except (OSError, ValueError, psutil.Error):
            return 0

    def _alive(self, pid: int) -> str:
        if not self.local or not pid:
            return "unknown"
        try:
            state = psutil.Process(pid).status()
        except psutil.NoSuchProcess:
            return "gone"
        except psutil.Error:
            return "unknown"
        if state in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
            return "stopped"
        return "gone" if state in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else "running"


def wanted(config: Config) -> list[Row]:
    """The listeners that a configuration asks for. A port that the system chooses is not known before."""
    hosts = config.settings.bind_address or (FOUR, SIX)
    ports: list[tuple[str, int]] = []
    if config.tftp.run_trivial_ftp:
        ports.append(("tftp", config.tftp.trivial_ftp_port))
    if config.ftp.run_ftp:
        ports.append(("ftp", config.ftp.ftp_port))
    if config.ftps.run_ftps:
        ports.append(("ftps", config.ftps.ftp_port))
    if config.http.run_http:
        ports += [("http", port) for port in (config.http.http_port, *config.http.http_alt_ports)]
    if config.https.run_https and not config.https.refused:
        ports += [("https", port) for port in (config.https.https_port, *config.https.https_alt_ports)]
    return [Row(proto, host, port) for proto, port in dict.fromkeys(ports) if port for host in hosts]


def rows(status: dict[str, Any]) -> list[Row]:
    """The phones' listeners in status.json. Raises KeyError, TypeError, ValueError."""
    found = []
    for row in status["listeners"]:
        if row["proto"] in PROTOCOLS:
            state, error = str(row["state"]), str(row["error"] or "")
            found.append(Row(row["proto"], str(row["address"]), int(row["port"]), state, error))
    return found


def chosen(listeners: Iterable[Row], host: str, local: bool) -> tuple[Target, ...]:
    """One question for each port, and one for each address where a port has some of its own."""
    found: dict[Target, None] = {}
    by_port: dict[tuple[str, int], list[str]] = {}
    for row in listeners:
        by_port.setdefault((row.proto, row.port), []).append(row.address)
    for (proto, port), addresses in by_port.items():
        for address in _asked(addresses, host, local):
            found[Target(proto, address, port)] = None
    return tuple(found)


def _asked(addresses: Sequence[str], host: str, local: bool) -> list[str]:
    if not local or host in addresses:
        return [host]
    wide = [one for one in addresses if one in (FOUR, SIX, "")]
    own = [one for one in addresses if one not in (FOUR, SIX, "")]
    if not wide:
        return own
    six = ":" in host
    if six == (SIX in wide) or len(wide) > 1 or "" in wide:
        return [host, *own]
    return ["::1" if SIX in wide else "127.0.0.1", *own]


def is_local(host: str) -> bool:
    """Whether this is one of our own addresses, whose processes and files can be looked at."""
    try:
        found = {address_of(str(one[4][0])) for one in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    own = {address_of(one.address) for each in psutil.net_if_addrs().values() for one in each
           if one.family in (socket.AF_INET, socket.AF_INET6)}  # fmt: skip
    return all(one in own or ipaddress.ip_address(one).is_loopback for one in found)


def bracketed(host: str) -> str:
    """As it stands in a URL."""
    return f"[{host}]" if ":" in host else host
