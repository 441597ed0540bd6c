"""Where every request is decided: the library opens sessions, a session answers requests.

The order is that of DESIGN section 5: name, list, slot, phone, root, content. Front ends only translate.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import psutil

from mv_iptel import snmp
from mv_iptel.events import Finished, Notice, Stream
from mv_iptel.home import CHECK_FILE
from mv_iptel.library import names
from mv_iptel.library.access import Lists
from mv_iptel.library.answers import (
    NOBODY,
    Answer,
    Challenge,
    Client,
    Keep,
    Phone,
    Reason,
    Refuse,
    Request,
    Serve,
    Step,
    Verdict,
)
from mv_iptel.library.backups import Asked, Backups, give_back
from mv_iptel.library.contents import Body, Contents
from mv_iptel.library.gate import Bans, Descriptors
from mv_iptel.library.identity import Identity, of_agent
from mv_iptel.library.roots import Found, Roots
from mv_iptel.library.slots import Slots

if TYPE_CHECKING:
    from pathlib import Path

    from mv_iptel.config import Config

_OWN_SECONDS = 30.0  # how long the list of this host's addresses is believed
_PROVED = 60.0  # seconds for which what a phone showed by SNMP holds in the same session
_SAY_AGAIN = 60.0  # seconds before the same notice about the same address is repeated


class _Rules:
    """What one configuration means for the decisions. Replaced whole at a reload."""

    def __init__(self, config: Config, contents: Contents, report: Callable[[str, str, str, int], None]):
        tftp, http, https, ftp = (
            config.tftp.tftp_dir,
            config.http.http_dir,
            config.https.https_dir,
            config.ftp.ftp_dir,
        )
        home = config.home
        secure = [https, http] if config.https.https_fallback else [https]
        self.directories: dict[str, list[Path]] = {
            "tftp": [tftp], "http": [http], "https": secure, "ftp": [ftp], "ftps": [ftp]
        }  # fmt: skip
        self.lists = {
            proto: Lists(self.directories[proto][0], proto, home.lists, report)
            for proto in ("tftp", "http", "https")
        }
        roots = dict.fromkeys((tftp, http, https, ftp, config.http.backup_dir))
        self.roots = Roots(roots, (home.bin, home.certs, home.var), contents)


class Overlay(Protocol):
    """What is served instead of what lies in a data directory: a staged roll-out is one."""

    def instead(
        self, address: str, phone: Phone, folder: Path, name: str, live: Body | None
    ) -> tuple[Body | str, str] | None:
        """For this client: another body, or another name to look for in `folder`; and why. None: nothing."""


class Library:
    """Lends files: may this client come in, what does the name stand for, from which root.

    `now` is the clock for slots and sightings, in seconds. All methods may be called from any thread.
    """

    def __init__(self, config: Config, stream: Stream, now: Callable[[], float] = time.monotonic):
        self.stream = stream
        self.overlay: Overlay | None = None  # whoever has one puts it here
        self.identity = Identity(now)
        self.slots = Slots(config.settings.max_clients, config.settings.client_session_time, now)
        self.bans = Bans(config.home.lists / "banned.txt")
        self._now = now
        self._contents = Contents()
        self._descriptors = Descriptors(now)
        self._rules = _Rules(config, self._contents, self._report)
        self.backups = Backups(config, self.identity, self.slots, stream.publish, self._report, now)
        self.backups.configure(config, self._rules.roots)
        self._own: frozenset[str] = frozenset()
        self._own_at = float("-inf")
        self._said: dict[tuple[str, str], float] = {}

    def reload(self, config: Config) -> None:
        """Decide by `config` from the next request on; what is being sent goes on."""
        self._rules = _Rules(config, self._contents, self._report)
        self.backups.configure(config, self._rules.roots)
        self.slots.resize(config.settings.max_clients, config.settings.client_session_time)

    def admit(self, client: Client) -> Session | Refuse:
        """Open a session. Refuses only the banned and, when descriptors run out, everybody."""
        line = self.bans.banned(client.address)
        if line:
            self._say(
                "banned",
                f"{client.address} is banned and was turned away",
                client.address,
                os.fspath(self.bans.path),
                line,
            )
            return Refuse(Reason.BANNED, "banned", os.fspath(self.bans.path), line)
        if not self._descriptors.free():
            self._say(
                "busy",
                "fewer than 256 descriptors are free; new clients are turned away. Raise the "
                "limit of open files, or set MaxClients",
                "",
            )
            return Refuse(Reason.BUSY, "fewer than 256 descriptors are free")
        return Session(self, client)

    def close(self) -> None:
        """The server ends: what is being kept is kept first."""
        self.backups.close()
        self._contents.close()

    def problems(self) -> list[tuple[str, int, str]]:
        """Broken lines and lost lists, as (file, line, text): what turns the status red."""
        found = [problem for lists in self._rules.lists.values() for problem in lists.problems()]
        return found + self.backups.problems()

    def why(self, client: Client, request: Request) -> dict[str, Any]:
        """What `ask` would answer, by the same code, without sending, taking or remembering anything."""
        steps: list[Step] = []
        line = self.bans.banned(client.address)
        if line:
            steps.append(Step("admit", "banned", os.fspath(self.bans.path), line))
            answer: Answer = Refuse(Reason.BANNED, "banned", os.fspath(self.bans.path), line)
        else:
            answer = self._decide(client, request, steps, None)
        told = {
            "address": client.address,
            "protocol": client.proto,
            "name": names.printable(request.name),
            "steps": [step._asdict() for step in steps],
            "detail": answer.detail,
        }
        if isinstance(answer, Serve):
            with answer.body as body:
                return {"decision": "serve", "reason": "", "file": body.path, "bytes": body.size, **told}
        if not isinstance(answer, Refuse):
            decision = "challenge" if isinstance(answer, Challenge) else request.op
            return {"decision": decision, "reason": "", "file": "", **told}
        place = {"source": answer.source, "line": answer.line}
        return {"decision": "refuse", "reason": answer.reason.value, "file": "", **place, **told}

    def own(self, address: str) -> bool:
        """Whether this is an address of this host; of 127/8 only 127.0.0.1 is (DESIGN section 5)."""
        if address in ("127.0.0.1", "::1"):
            return True
        if address.startswith("127."):
            return False
        now = self._now()
        if now - self._own_at > _OWN_SECONDS:
            self._own_at = now
            self._own = frozenset(
                entry.address.partition("%")[0]
                for entries in psutil.net_if_addrs().values() for entry in entries
            )  # fmt: skip
        return address.partition("%")[0] in self._own

    def _decide(
        self,
        client: Client,
        request: Request,
        steps: list[Step] | None,
        visit: Session | None,
        turn: int = 0,
    ) -> Answer:
        rules = self._rules
        # 1. Name
        name, wrong, never, mac, kept = names.understand(request.name)
        ext = kept.ext if kept is not None else ""
        phone = self.identity.identify(client.address, request.agent, mac, ext, learn=steps is None)
        if steps is not None:
            steps.append(Step("name", wrong or f"asks for {name!r}"))
        if wrong:
            return Refuse(Reason.BAD_NAME, wrong, name=names.printable(request.name), phone=phone)
        if never:
            return self._no(steps, "name", Refuse(Reason.NOT_ALLOWED, never, name=name, phone=phone))
        if kept is not None:
            asked = Asked(client, request, kept, name, phone)
            asked.steps = steps
            asked.held = bool(self.slots.max) and not self.own(client.address)
            if visit is None:
                return self.backups.decide(asked, None)
            asked.remember = visit.remember
            return self.backups.decide(asked, visit.shown())
        if request.write:
            refuse = Refuse(Reason.READ_ONLY, "phones may only read here", name=name, phone=phone)
            return self._no(steps, "name", refuse)
        own = self.own(client.address)
        folders = rules.directories.get(client.proto)
        if folders is None:
            return self._no(
                steps, "name", Refuse(Reason.FAULT, f"no directory for {client.proto}", name=name)
            )
        if name == CHECK_FILE:
            if not own:
                return self._no(
                    steps,
                    "name",
                    Refuse(
                        Reason.NOT_ALLOWED,
                        "the watchdog's file is for this host's own addresses",
                        name=name,
                        phone=phone,
                    ),
                )
            return self._look(rules, client, folders, name, phone, steps, held=False)
        lists = rules.lists.get(client.proto)
        if lists is None:
            text = "FTP keeps user data; other files are fetched over TFTP and HTTP"
            return self._no(steps, "name", Refuse(Reason.NOT_ALLOWED, text, name=name, phone=phone))
        # 2. List
        current = lists.current(turn)
        if current is None:
            if steps is not None:
                steps.append(Step("list", f"no list in {lists.directory}: everybody may download"))
        else:
            entry = current.match(client.address)
            kept = " (the file cannot be read now; its last good content is in force)" if current.kept else ""
            if entry is None:
                return self._unlisted(rules, client, name, phone, current, kept, steps)
            if steps is not None:
                steps.append(Step("list", f"listed as {entry.text}{kept}", current.path, entry.line))
        # 3. Slot: taken when the answer is yes
        held = bool(self.slots.max) and not own
        if held and not self.slots.may(client.address):
            return self._no(
                steps,
                "slot",
                Refuse(Reason.NO_SLOT, f"all {self.slots.max} slots are taken", name=name, phone=phone),
            )
        if steps is not None:
            steps.append(
                Step(
                    "slot",
                    "no limit"
                    if not self.slots.max
                    else "needs none: this host's own address"
                    if own
                    else f"{self.slots.used} of {self.slots.max} slots are taken; one is for this address",
                )
            )
        # 4. Phone
        said = of_agent(request.agent).mac if request.agent else ""
        if steps is not None:
            steps.append(Step("phone", _told(phone)))
        if mac:
            if said and said != mac:
                return self._no(
                    steps,
                    "phone",
                    Refuse(
                        Reason.NOT_ALLOWED,
                        f"the name is of phone {mac}, the User-Agent says {said}",
                        name=name,
                        phone=phone,
                    ),
                )
            self._compare(client, mac, steps)
        # 5. Root and 6. content
        return self._look(rules, client, folders, name, phone, steps, held, turn)

    def _look(
        self,
        rules: _Rules,
        client: Client,
        folders: list[Path],
        name: str,
        phone: Phone,
        steps: list[Step] | None,
        held: bool,
        turn: int = 0,
    ) -> Answer:
        misses = []
        overlay = self.overlay
        for folder in folders:
            found = rules.roots.open(folder, name, turn)
            if overlay is not None:
                told = overlay.instead(client.address, phone, folder, name, found.body)
                if told is not None:
                    if found.body is not None:
                        found.body.close()
                    other, why = told
                    if steps is not None:
                        steps.append(Step("rollout", why, os.fspath(folder)))
                    if isinstance(other, str):
                        found = rules.roots.open(folder, other, turn)
                        found = found._replace(detail=found.detail or why)
                    else:
                        found = Found(other, why)
            if steps is not None:
                steps.append(
                    Step("root", found.detail or "found" if found.body else found.detail, os.fspath(folder))
                )
            if found.body is not None:
                if steps is not None:
                    steps.append(Step("content", f"{found.body.size} octets", found.body.path))
                return Serve(found.body, name, phone, found.detail, held)
            misses.append(found.detail)
        return Refuse(Reason.NO_FILE, "; ".join(misses), os.fspath(folders[0]), name=name, phone=phone)

    def _unlisted(
        self,
        rules: _Rules,
        client: Client,
        name: str,
        phone: Phone,
        current: Any,
        kept: str,
        steps: list[Step] | None,
    ) -> Answer:
        near = current.nearest(client.address)
        detail = f"{client.address} is not in the list{kept}" + (
            f"; the nearest of its {len(current.entries)} entries is {near.text}"
            if near
            else "; it has no valid line"
        )
        line = near.line if near else 0
        if steps is not None:
            steps.append(Step("list", detail, current.path, line))
        for instead in names.override(name):
            for folder in rules.directories[client.proto]:
                found = rules.roots.open(folder, instead)
                if found.body is not None:
                    if steps is not None:
                        steps.append(Step("list", f"{instead} is served instead", found.body.path))
                    return Serve(found.body, name, phone, f"{instead} instead: {detail}", held=False)
        return Refuse(Reason.NOT_LISTED, detail, current.path, line, name, phone)

    def _compare(self, client: Client, mac: str, steps: list[Step] | None) -> None:
        """The neighbour table never refuses; a contradiction is worth an event."""
        near = self.identity.neighbour(client.address)
        if near and near != mac:
            text = f"{client.address} asked for a file of phone {mac}, but the neighbour table says {near}"
            if steps is not None:
                steps.append(Step("phone", text))
            else:
                self._say("mac-mismatch", text, client.address)

    @staticmethod
    def _no(steps: list[Step] | None, step: str, refuse: Refuse) -> Refuse:
        if steps is not None:
            steps.append(Step(step, refuse.detail, refuse.source, refuse.line))
        return refuse

    def _report(self, kind: str, text: str, source: str, line: int) -> None:
        self.stream.publish(Notice(kind, text, "error", source, line))

    def _say(self, kind: str, text: str, peer: str, source: str = "", line: int = 0) -> None:
        now = self._now()
        if now - self._said.get((kind, peer), float("-inf")) < _SAY_AGAIN:
            return
        if len(self._said) > 4096:
            self._said.clear()
        self._said[kind, peer] = now
        self.stream.publish(Notice(kind, text, source=source, line=line, peer=peer))


class Session:
    """One client's visit over one protocol: a TFTP transfer, or an HTTP connection with many requests."""

    __slots__ = ("_holds", "_library", "_shown", "client")

    def __init__(self, library: Library, client: Client):
        self.client = client
        self._library = library
        self._holds = False
        self._shown: tuple[snmp.Shown, float] | None = None  # by SNMP, and when

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The visit is over. The slot stays until its time has passed."""
        if self._holds:
            self._holds = False
            self._library.slots.leave(self.client.address)

    def ask(self, request: Request, turn: int = 0) -> Answer:
        """Serve, Keep, Refuse, or a Challenge that comes to one of them. Never raises for what a client sent.

        Requests that had all arrived when a front end's loop began a turn may give that turn's number (never
        used twice): what one of them looked up on the disk holds for the others too. 0 looks anew.
        """
        answer = self._library._decide(self.client, request, None, self, turn)
        if isinstance(answer, Serve):
            # TFTP takes its slot at the first ACK, so that a forged address cannot take one.
            return self._settle(answer) if answer.held and self.client.proto != "tftp" else answer
        if isinstance(answer, Challenge):
            start = answer.start
            return answer._replace(start=lambda done: start(lambda verdict: done(self._settle(verdict))))
        return self._settle(answer)

    def _settle(self, verdict: Verdict) -> Verdict:
        """Take the slot for what is granted."""
        if isinstance(verdict, Refuse) or not verdict.held:
            return verdict
        refuse = self.begin()
        if refuse is None:
            return verdict
        give_back(verdict)
        return refuse._replace(name=verdict.name, phone=verdict.phone)

    def shown(self) -> snmp.Shown | None:
        """What the phone showed by SNMP, if that was in this session and lately."""
        if self._shown is None or self._library._now() - self._shown[1] > _PROVED:
            return None
        return self._shown[0]

    def remember(self, shown: snmp.Shown) -> None:
        """The phone has answered; on the thread that asked."""
        self._shown = (shown, self._library._now())

    def begin(self) -> Refuse | None:
        """Take the slot. A Refuse: another client was faster."""
        library = self._library
        slots = library.slots
        if not slots.max or self._holds or library.own(self.client.address):
            return None
        if not slots.take(self.client.address):
            return Refuse(Reason.NO_SLOT, f"all {slots.max} slots are taken")
        self._holds = True
        return None

    def finished(
        self,
        request: Request,
        answer: Answer,
        outcome: str,
        octets: int,
        seconds: float,
        resends: int = 0,
        blksize: int = 0,
        window: int = 0,
    ) -> None:
        """Publish what became of one request; called once for each.

        `outcome` is ok, refused, aborted, timeout or failed; `octets` are the body's, sent or received.
        """
        library = self._library
        client = self.client
        self.close()
        stream = library.stream
        phone = answer.phone
        name = answer.name or names.printable(request.name)
        if not name.isascii() or not name.isprintable():
            name = names.printable(os.fsencode(name))
        agent = request.agent
        if agent and not agent.isprintable():
            agent = names.printable(agent.encode("latin-1", "replace"))
        if isinstance(answer, Serve):
            file, reason, source, line = answer.body.path, "", "", 0
        elif isinstance(answer, Keep):
            file, reason, source, line = answer.draft.file if answer.draft else "", "", "", 0
        elif isinstance(answer, Challenge):  # the client did not wait for its end
            file, reason, source, line = "", "", "", 0
        else:
            file, reason, source, line = "", answer.reason.value, answer.source, answer.line
            library.slots.refused += reason == "no-slot"
        stream.publish(Finished(
            stream.next_id(), time.time(), client.proto, client.listener, client.address, client.port,
            phone.mac, phone.ext, phone.model, phone.version, name, file, outcome, reason, octets, seconds,
            resends, blksize, window, answer.detail, source, line, phone.source, agent[:200],
            request.op))  # fmt: skip


def _told(phone: Phone) -> str:
    if phone == NOBODY:
        return "unknown"
    known = [
        f"{label} {value}"
        for label, value in (
            ("MAC", phone.mac),
            ("extension", phone.ext),
            ("model", phone.model),
            ("runs", phone.version),
        )
        if value
    ]
    return ", ".join(known) + (f" (from {phone.source})" if phone.source else "")
