"""What a phone would get now: its boot played dry, each file decided by the server's own library."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from mv_iptel.config import Config
from mv_iptel.events import Stream
from mv_iptel.firmware.compliance import is_same
from mv_iptel.library import Library
from mv_iptel.library.answers import Client, Phone, Request
from mv_iptel.phones import boot
from mv_iptel.phones.boot import Fetch, Fetched, Report, Servers
from mv_iptel.phones.differences import HIDDEN, Trouble, masked, secret, troubles
from mv_iptel.phones.effects import Effects, effects
from mv_iptel.phones.evaluate import Step
from mv_iptel.phones.families import Handset
from mv_iptel.phones.parameters import Parameter, known
from mv_iptel.phones.served import LONGEST, Served
from mv_iptel.phones.whom import handset_of, phones_of
from mv_iptel.rollout import plans
from mv_iptel.rollout.overlay import Overlay
from mv_iptel.status.words import REASONS

DECIDES = frozenset({"if", "goto", "get", "broken", "fault", "add"})  # lines that say where a phone goes
MISSING = frozenset({"no-file", "not-allowed", "bad-name"})


class Asked(NamedTuple):
    """What is to be played: the phone as it is known, or as somebody supposes it."""

    group: str = ""  # empty: as it said itself, else 0
    protocol: str = ""  # empty: what it used last, else what most phones of its family use
    fresh: bool = False  # as if its flash were empty


class Answer(NamedTuple):
    """One file that the phone asks for."""

    power_on: int  # which pass, from 1
    name: str
    protocol: str
    kind: str  # script, settings, software, file
    file: str  # the script that names it; empty for the first
    line: int
    result: str  # ok, missing, refused, failed
    detail: str
    path: str  # what it would get
    size: int
    source: str  # the list or directory that decided
    source_line: int


@dataclass
class Play:
    """How the boot went. `why` alone: it could not be played."""

    why: str
    ready: bool = False
    handset: Handset | None = None
    protocol: str = ""
    group: str = "0"
    group_known: bool = False
    answers: list[Answer] = field(default_factory=list)
    reboots: int = 0
    trace: list[Step] = field(default_factory=list)
    effects: Effects | None = None
    troubles: list[Trouble] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)  # that scripts ask for
    protocols: tuple[str, ...] = ()


def play(config: Config, phone: Mapping[str, Any], asked: Asked) -> Play:
    """Boot the inventory's `phone` (with its identity and files) without sending anything."""
    handset = _handset(phone, asked)
    if handset is None:
        known_model = str(phone["model"])
        return Play(f"nobody knows how a {known_model} boots" if known_model else "its model is not known")
    family = handset.family
    protocol = asked.protocol if asked.protocol in family.protocols else _protocol(phone, handset)
    server = _Server(config, phone)
    try:
        report, answers = _boots(server, phone, handset, _servers(protocol), asked.fresh)
    finally:
        server.close()
    booted = report.booted
    made = Play(
        booted.why,
        booted.ready,
        booted.handset,
        protocol,
        handset.group,
        bool(_said(phone, "group")) and not asked.group,
        answers,
        booted.reboots,
        booted.trace,
        protocols=family.protocols,
    )
    files = {name: data for name, data in server.had.items()}
    made.effects = effects(Served.memory(files), booted.handset)
    made.troubles = [] if booted.ready else list(troubles(made.effects))
    if not made.troubles:
        made.troubles = [one for one in troubles(made.effects) if one.kind != "file" or _lacks(answers, one)]
    groups = made.effects.compared.get("GROUP", set())
    made.groups = sorted((one for one in groups if one.isascii() and one.isdigit()), key=int)[:100]
    return made


def _boots(
    server: _Server, phone: Mapping[str, Any], handset: Handset, servers: Servers, fresh: bool
) -> tuple[Report, list[Answer]]:
    """The boot with an empty flash, and if it is not empty the one with what the phone runs."""
    report, answers = server.boot(handset, servers)
    runs = str(phone["runs"])
    if fresh or not runs:
        return report, answers
    # What else is in its flash nobody knows: if its program is the one ordered, the rest is, too.
    settled = report.booted.handset
    return server.boot(settled if is_same(runs, settled.runs) else replace(handset, runs=runs), servers)


class Setting(NamedTuple):
    """One setting as the phone has it in the end."""

    name: str
    value: str  # masked, if it is a secret
    file: str
    line: int
    says: str
    note: str = ""  # why the line does nothing, or what it overrode
    does: str = "set"  # set, rejected, ignored


def settings(found: Effects) -> list[Setting]:
    """Everything that lines set, in order of names; what did not take effect says why."""
    rows = []
    for name, made in found.parameters.items():
        before = found.overridden.get(name, ())
        note = f"overrode {before[-1].file}:{before[-1].line}" if before else ""
        if name in found.profiled:
            note = f"the profile {found.profiled[name]} sets it"
        rows.append(Setting(name, masked(name, made.value), made.file, made.line, _says(name), note))
    for does, failed in (
        ("rejected", [(name, one) for name, every in found.rejected.items() for one in every]),
        ("ignored", list(found.ignored.items())),
    ):
        for name, one in failed:
            made = one.made
            why = HIDDEN if secret(name) else masked(name, one.why)
            value = masked(name, made.value)
            rows.append(Setting(name, value, made.file, made.line, _says(name), why, does))
    return sorted(rows, key=lambda row: (row.name, row.does != "set", row.line))


def lines(trace: list[Step], everything: bool = False) -> list[Step]:
    """The lines that decide, or every line that the phone took; no secret is among them."""
    return [_plain(step) for step in trace if everything or step.kind in DECIDES]


def _plain(step: Step) -> Step:
    words = step.text.split(" ")
    name = words[1].lstrip("$") if len(words) > 1 and step.kind in ("set", "add", "if") else ""
    if not name or not secret(name):  # a login in a URL is one, too, wherever it stands
        return step._replace(text=masked("", step.text), effect=masked("", step.effect))
    tag = step.text[step.text.rfind(" GOTO ") :] if step.kind == "if" and " GOTO " in step.text else ""
    effect = step.effect.partition(",")[0]
    return step._replace(text=f"{words[0]} {words[1]} {HIDDEN}{tag}", effect=effect)


class _Server:
    """The home's library as a phone meets it: what it would answer, and the scripts that it would give."""

    def __init__(self, config: Config, phone: Mapping[str, Any]):
        self._library = Library(config, Stream())
        self._address = str(phone["address"])
        self._agent = any(one["source"] == "agent" for one in phone.get("identity", ()))
        rollout = plans.load(config.home)
        if rollout is not None and rollout.state not in plans.OVER:
            met = plans.read(plans.log_of(config.home, rollout.run))
            self._library.overlay = Overlay(rollout, config, met)
        seen = Phone(phone["mac"], phone["ext"], phone["model"], phone["version"], "recent")
        self._library.identity.tell(self._address, seen)
        self.had: dict[str, bytes] = {}

    def close(self) -> None:
        """Let go of what the library holds open."""
        self._library.close()

    def boot(self, handset: Handset, servers: Servers) -> tuple[Report, list[Answer]]:
        """One boot."""
        self.had.clear()
        told: dict[int, dict[str, Any]] = {}

        def fetch(wants: Fetch) -> Fetched:
            got, why = self._fetch(wants)
            told[len(told)] = why
            return got

        report = boot.drive(boot.play(handset, servers), fetch)
        answers = []
        for number, line in enumerate(report.requests):
            why = told[number]
            wants, got = line.fetch, line.got
            answers.append(
                Answer(
                    line.power_on,
                    wants.name,
                    wants.server.protocol,
                    wants.kind,
                    wants.file,
                    wants.line,
                    got.result,
                    got.detail,
                    why["file"],
                    got.size,
                    why.get("source", ""),
                    why.get("line", 0),
                )
            )
        return report, answers

    def _fetch(self, wants: Fetch) -> tuple[Fetched, dict[str, Any]]:
        protocol = wants.server.protocol
        client = Client(self._address, 0, protocol, f"{protocol}:{wants.server.port}")
        agent = wants.agent if self._agent and protocol != "tftp" else ""
        why = self._library.why(client, Request(wants.name.encode("utf-8", "surrogateescape"), agent=agent))
        detail = str(why.get("detail", ""))
        if why["decision"] != "serve":
            reason = str(why["reason"]) or str(why["decision"])
            result = "missing" if reason in MISSING else "refused"
            return Fetched(result, detail=detail or REASONS.get(reason, reason)), why
        data = None
        if wants.keep:
            data = self._content(client, wants, agent)
            if data is None:
                return Fetched("failed", detail="it cannot be read"), why
            self.had[wants.name] = data
        else:
            self.had[wants.name] = b""
        return Fetched("ok", data, int(why["bytes"]), detail=detail), why

    def _content(self, client: Client, wants: Fetch, agent: str) -> bytes | None:
        """The octets, as the library would lend them: a roll-out gives others than lie on the disk."""
        session = self._library.admit(client)
        if not hasattr(session, "ask"):
            return None
        with session:
            answer = session.ask(Request(wants.name.encode("utf-8", "surrogateescape"), agent=agent))
            body = getattr(answer, "body", None)
            if body is None:
                return None
            with body:
                return body.data if body.data is not None else os.pread(body.fd, min(body.size, LONGEST), 0)


def _handset(phone: Mapping[str, Any], asked: Asked) -> Handset | None:
    scripts = [one["name"] for one in phone.get("files", ()) if one["name"].lower()[-11:-3] == "upgrade."]
    (told,) = phones_of([phone], {phone["key"]: scripts[0]} if scripts else {})
    handset = handset_of(told._replace(group=asked.group or _said(phone, "group") or "0"))
    if handset is None:
        return None
    handset = replace(handset, ext=phone["ext"], boot=_said(phone, "boot"))
    if "MODEL" in handset.family.variables and phone["model"] != handset.model:
        handset = replace(handset, facts=(("MODEL", phone["model"]),))
    return handset


def _said(phone: Mapping[str, Any], field_: str) -> str:
    return next((one["value"] for one in phone.get("identity", ()) if one["field"] == field_), "")


def _protocol(phone: Mapping[str, Any], handset: Handset) -> str:
    """What it got its scripts over, else what such phones use."""
    names = {script.casefold() for script in handset.family.scripts}
    for one in phone.get("files", ()):
        if one["name"].rpartition("/")[2].casefold() in names and one["proto"] in handset.family.protocols:
            return str(one["proto"])
    return handset.family.protocol


def _servers(protocol: str) -> Servers:
    """What a phone is told that shall use this protocol; with TLS it needs HTTP for its software."""
    host = ("this server",)
    return Servers(
        tftp=host if protocol == "tftp" else (),
        http=host if protocol != "tftp" else (),
        https=host if protocol == "https" else (),
    )


def _lacks(answers: list[Answer], trouble: Trouble) -> bool:
    return any(one.kind == "file" and one.result != "ok" and one.file == trouble.file for one in answers)


def _says(name: str) -> str:
    row = known(name)
    return row.says if isinstance(row, Parameter) else ""
