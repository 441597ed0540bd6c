"""A phone's boot, played without sockets: it yields what it wants and is told what it got.

`play` is one generator for every driver: `dry` answers from a directory, `live` over real sockets,
`storm` for a thousand phones at once.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Container, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from mv_iptel.phones.evaluate import Assignment, Evaluation, Step
from mv_iptel.phones.families import FIRST_ONLY, Family, Handset

TFTP, HTTP, AVAYA_HTTP, AVAYA_TLS = 69, 80, 81, 411
# A phone whose scripts never agree with what it runs restarts for ever; we stop after so many passes.
PASSES = 5
# Boot images among the files that APPNAME may name: hb96xxua3_00.bin, b20d01a2_9.bin, bbla0_83.bin,
# replboot_v3.app.
_BOOT_IMAGE = re.compile(r"hb|bb|b[0-9]|repl\w*boot|boot", re.I)


class Server(NamedTuple):
    """One server as the phone sees it."""

    protocol: str  # tftp, http, https; ftp for user data
    host: str
    port: int


@dataclass(frozen=True)
class Servers:
    """The file servers that a phone was told by DHCP (TFTPSRVR, HTTPSRVR, TLSSRVR and their ports).

    `offset` is added to standard ports only; `directory` is HTTPDIR, TLSDIR or TFTPDIR.
    """

    tftp: tuple[str, ...] = ()
    http: tuple[str, ...] = ()
    https: tuple[str, ...] = ()
    http_port: int = 0
    tls_port: int = 0
    offset: int = 0
    directory: str = ""

    def configuration(self, family: Family) -> list[Server]:
        """Servers for scripts and settings, in the order in which they are tried."""
        found: list[Server] = []
        given = {
            "https": (self.https, self.tls_port or AVAYA_TLS + self.offset),
            "http": (self.http, self.http_port or HTTP + self.offset),
            "tftp": (self.tftp, TFTP + self.offset),
        }
        for protocol in family.protocols:
            hosts, port = given[protocol]
            found += [Server(protocol, host, port) for host in hosts]
        return found

    def software(self, family: Family, used: Server) -> list[Server]:
        """Servers for firmware, once the configuration came from `used`.

        After TLS: port 81 of the HTTP servers, then 80; only SIP sets ask the TLS server too.
        """
        if used.protocol != "https":
            return [used]
        found = [used] if family.secure_software else []
        ports = [self.http_port] if self.http_port else [AVAYA_HTTP + self.offset, HTTP + self.offset]
        return found + [Server("http", host, port) for port in ports for host in self.http]

    def path(self, name: str) -> str:
        """The name with the directory that the phone puts in front of start-up requests."""
        return f"{self.directory.strip('/')}/{name}" if self.directory.strip("/") else name


class Fetch(NamedTuple):
    """What the phone wants next. `keep` says that it reads the bytes, not only stores them.

    With a `body` it is the other way round: that is stored under the name.
    """

    server: Server
    name: str
    kind: str  # script, settings, software, file; store and restore of user data
    file: str = ""  # the script line that named it
    line: int = 0
    keep: bool = True
    agent: str = ""  # the User-Agent that HTTP requests carry
    body: bytes | None = None


class Reboot(NamedTuple):
    """The phone restarts; `why` names what it now runs."""

    why: str


class Fetched(NamedTuple):
    """What became of a request. `result` is ok, missing, refused or failed; data is kept if asked for."""

    result: str
    data: bytes | None = None
    size: int = 0
    sha256: str = ""
    seconds: float = 0.0
    detail: str = ""  # the status line, the TFTP error or what went wrong on the way
    tries: int = 1  # how often the phone had to ask
    resent: int = 0  # blocks or acknowledgements that were repeated


@dataclass
class Booted:
    """How the boot ended: `ready` once script, firmware and settings are there."""

    ready: bool
    why: str
    handset: Handset
    parameters: dict[str, Assignment] = field(default_factory=dict)
    trace: list[Step] = field(default_factory=list)
    reboots: int = 0


Play = Generator[Fetch | Reboot, Fetched | None, Booted]


def play(handset: Handset, servers: Servers, firmware: str = "", rejects: Container[str] = ()) -> Play:
    """One phone from power-on to registration. `firmware` replaces what the script tells it to run.

    What `rejects` names does not run: the phone loads it, restarts with what it had, and loads it again.
    """
    for reboots in range(PASSES):
        outcome = yield from _pass(handset, servers, firmware, rejects)
        outcome.reboots = reboots
        if outcome.handset is handset:
            return outcome
        handset = outcome.handset
        yield Reboot(outcome.why)
    outcome.ready = False
    outcome.why = f"restarted {PASSES} times: its scripts never agree with what it runs"
    return outcome


def _pass(handset: Handset, servers: Servers, firmware: str, rejects: Container[str]) -> Play:
    """From power-on to the next restart (then the handset is another one) or to the end."""
    family, agent = handset.family, handset.user_agent()
    began = yield from _first(family, servers, agent)
    if isinstance(began, str):
        return Booted(False, began, handset)
    server, script, data = began
    evaluation = Evaluation(handset.variables(), family.switches, handset.identity())
    reading = evaluation.run(script)
    next(reading)  # it asks for the script that we have
    ended = ""
    answer: bytes | None = data
    while True:
        try:
            ask = reading.send(answer)
        except StopIteration as stop:
            ended = stop.value.text
            break
        if family.software_first and ordered(evaluation, handset, firmware):
            break  # the settings come in the pass that has nothing to load
        got = yield Fetch(server, servers.path(ask.name), "settings", ask.file, ask.line, agent=agent)
        answer = got.data if got.result == "ok" else None

    outcome = Booted(False, "", handset, evaluation.parameters, evaluation.trace)
    wanted = ordered(evaluation, handset, firmware)
    for named in wanted:
        source = f" ({named.file}:{named.line})" if named.file else ""
        told = f"{named.name} {named.value}{source}"
        outcome.why = f"{told} was not obtained: the phone was told no server for it"
        for place in servers.software(family, server):
            name = servers.path(named.value)
            got = yield Fetch(place, name, "software", named.file, named.line, keep=False, agent=agent)
            if got.result == "ok":
                break
            outcome.why = f"{told} was not obtained: {got.detail}"
        else:
            return outcome
    if wanted:
        good = [named for named in wanted if named.value not in rejects]
        outcome.handset = flashed(replace(handset), good, evaluation)
        outcome.why = "restarts with " + " and ".join(named.value for named in wanted)
        return outcome

    if not any(had for _, had in evaluation.files[1:]):
        outcome.why = f"no settings file was read after {script}: {ended}"
        return outcome
    for name, named in named_files(family, evaluation.parameters).items():
        yield Fetch(server, servers.path(name), "file", named.file, named.line, keep=False, agent=agent)
    outcome.ready = True
    outcome.why = f"ready, runs {handset.runs or 'what it had'}"
    return outcome


def _first(
    family: Family, servers: Servers, agent: str
) -> Generator[Fetch, Fetched, tuple[Server, str, bytes] | str]:
    """The first upgrade script that any server gives, or why there is none."""
    detail = f"a {family.name} was told no server that it can use"
    for server in servers.configuration(family):
        for name in family.scripts:
            got = yield Fetch(server, servers.path(name), "script", agent=agent)
            if got.result == "ok":
                return server, name, got.data or b""
            detail = f"{name} was not obtained from {server.protocol} port {server.port}: {got.detail}"
            if got.result == "failed":
                break
    return detail


def ordered(evaluation: Evaluation, handset: Handset, firmware: str) -> list[Assignment]:
    """Software that the script orders and the phone does not run; the kernel before the application."""
    found = []
    root = evaluation.parameters.get("RFSNAME")
    if root and root.value and root.value.casefold() != handset.root.casefold() and not firmware:
        found.append(root)
    application = evaluation.parameters.get("APPNAME")
    if firmware:
        application = Assignment("APPNAME", firmware, "", 0)
    has = ("", handset.runs.casefold(), handset.boot.casefold())
    if application and application.value.casefold() not in has:
        found.append(application)
    return found


def flashed(handset: Handset, loaded: list[Assignment], evaluation: Evaluation) -> Handset:
    """The phone after it saved these files."""
    for named in loaded:
        tested = evaluation.compared.get("BOOTNAME", [])
        if named.name == "RFSNAME":
            handset = replace(handset, root=named.value)
        elif named.value in tested:  # the script compares $BOOTNAME with this very file
            handset = replace(handset, boot=named.value)
        elif tested and _BOOT_IMAGE.match(named.value):
            # A replacement program leaves the boot file that the script wants to see.
            handset = replace(handset, boot=tested[0])
        else:
            handset = replace(handset, runs=named.value)
    return handset


def named_files(family: Family, parameters: Mapping[str, Assignment]) -> dict[str, Assignment]:
    """Languages, screen savers, certificates and so on, each with the line that names it."""
    found: dict[str, Assignment] = {}
    for parameter in family.files:
        named = parameters.get(parameter)
        if named is None:
            continue
        names = [name for name in named.value.split(",") if name]
        for name in names[:1] if parameter in FIRST_ONLY else names:
            if "://" not in name:  # a URL leads to another server, which is none of ours
                found.setdefault(name, named)
    return found


class Line(NamedTuple):
    """One request of a boot, for the report."""

    power_on: int  # which pass, from 1
    fetch: Fetch
    got: Fetched

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        server, got = self.fetch.server, self.got
        return {
            "pass": self.power_on, "server": server.host, "port": server.port, "protocol": server.protocol,
            "file": self.fetch.name, "kind": self.fetch.kind,
            "named_by": f"{self.fetch.file}:{self.fetch.line}" if self.fetch.file else "",
            "result": got.result, "detail": got.detail, "bytes": got.size, "seconds": round(got.seconds, 4),
            "sha256": got.sha256, "tries": got.tries, "resent": got.resent,
        }  # fmt: skip


@dataclass
class Report:
    """A whole boot: every request, and how it ended."""

    requests: list[Line]
    booted: Booted
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        booted = self.booted
        return {
            "model": booted.handset.model, "family": booted.handset.family.name, "mac": booted.handset.mac,
            "ready": booted.ready, "why": booted.why, "reboots": booted.reboots, "runs": booted.handset.runs,
            "seconds": round(self.seconds, 3),
            "requests": [line.as_dict() for line in self.requests],
            "parameters": {
                name: {"value": found.value, "file": found.file, "line": found.line}
                for name, found in sorted(booted.parameters.items())
            },
            "trace": [step._asdict() for step in booted.trace],
        }  # fmt: skip


def drive(
    playing: Play,
    fetch: Callable[[Fetch], Fetched],
    told: Callable[[Line | Reboot], None] = lambda _: None,
) -> Report:
    """Play one boot with a driver that answers each request at once; `told` hears of each."""
    began = time.monotonic()
    lines: list[Line] = []
    power_on = 1
    try:
        wants = next(playing)
        while True:
            if isinstance(wants, Reboot):
                power_on += 1
                told(wants)
                wants = playing.send(None)
                continue
            line = Line(power_on, wants, fetch(wants))
            lines.append(line)
            told(line)
            wants = playing.send(line.got)
    except StopIteration as stop:
        return Report(lines, stop.value, time.monotonic() - began)


def dry(directory: Path) -> Callable[[Fetch], Fetched]:
    """A driver that answers from a directory, without any server.

    A directory that holds `TFTPdata`, `HTTPdata` and `HTTPSdata` is taken as a server's data, where
    HTTPS falls back to `HTTPdata`; any other is what every protocol serves.
    """
    roots: dict[str, tuple[Path, ...]] = {name: (directory,) for name in ("tftp", "http", "https")}
    if (directory / "HTTPdata").is_dir() or (directory / "TFTPdata").is_dir():
        http = directory / "HTTPdata"
        roots = {"tftp": (directory / "TFTPdata",), "http": (http,), "https": (directory / "HTTPSdata", http)}

    def fetch(wants: Fetch) -> Fetched:
        for root in roots[wants.server.protocol]:
            path = _beneath(root, wants.name)
            if path is None:
                continue
            try:
                data = path.read_bytes()
            except OSError as error:
                return Fetched("failed", detail=f"{path.name}: {error.strerror}")
            digest = hashlib.sha256(data).hexdigest()
            return Fetched("ok", data if wants.keep else None, len(data), digest, detail=str(root.name))
        return Fetched("missing", detail="no such file")

    return fetch


def _beneath(root: Path, name: str) -> Path | None:
    """The file of that name in any letter case, or None."""
    path = root
    for part in name.replace("\\", "/").split("/"):
        if part in ("", "."):
            continue
        exact = path / part
        if part == ".." or not path.is_dir():
            return None
        if not exact.exists():
            folded = [entry for entry in path.iterdir() if entry.name.casefold() == part.casefold()]
            if len(folded) != 1:
                return None
            exact = folded[0]
        path = exact
    return path if path.is_file() else None
