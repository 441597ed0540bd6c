"""User data: may this client store or fetch it, and what must be answered first (DESIGN section 8).

Outside the lists of downloads. A name says which data is meant; a policy says how the client shows that it
is its own: the phone's SNMP agent, a remembered password, a list of passwords, or nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mv_iptel import snmp
from mv_iptel.events import Event, Notice
from mv_iptel.library.access import Lists
from mv_iptel.library.answers import (
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
from mv_iptel.userdata import store as keeping  # a module: it imports the library's answers
from mv_iptel.userdata.names import Kept, class_of
from mv_iptel.userdata.pins import Pinned, Pins
from mv_iptel.userdata.policies import Passwords, policy_of
from mv_iptel.userdata.tries import Tries

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.library.identity import Identity
    from mv_iptel.library.roots import Roots
    from mv_iptel.library.slots import Slots

OPEN_QUESTIONS = 1024  # challenges at once; who comes later is told to come back
OPEN_EACH = 32  # of them, those of one address: nobody keeps all others from being asked
_COMPUTING = 64  # of them, passwords that wait to be computed: each costs a tenth of a second

Done = Callable[[Verdict], None]
Tell = Callable[[Answer], None]
# Brings a name's data here from somewhere else, where it has it: `done("")`, or why not; gives a cancel.
Elsewhere = Callable[[Kept, Callable[[str], None]], Callable[[], None]]


class Asked:
    """One request for user data on its way to a verdict."""

    __slots__ = ("client", "held", "kept", "name", "phone", "remember", "request", "steps")

    def __init__(self, client: Client, request: Request, kept: Kept, name: str, phone: Phone):
        self.client, self.request, self.kept, self.name, self.phone = client, request, kept, name, phone
        self.held = False  # whether it needs a slot
        self.remember: Callable[[snmp.Shown], None] = lambda shown: None  # told what the phone showed
        self.steps: list[Step] | None = None  # for `why`: then nothing is taken, asked or remembered

    def no(self, reason: Reason, detail: str, step: str = "phone", source: str = "", line: int = 0) -> Refuse:
        """Refuse it, with everything that is known by now."""
        self.step(step, detail, source, line)
        return Refuse(reason, detail, source, line, self.name, self.phone)

    def step(self, step: str, text: str, source: str = "", line: int = 0) -> None:
        """A step of the decision, for `why`."""
        if self.steps is not None:
            self.steps.append(Step(step, text, source, line))


class Backups:
    """Decides on user data. `report` is told of broken lists, `publish` of what happens in the store."""

    def __init__(
        self,
        config: Config,
        identity: Identity,
        slots: Slots,
        publish: Callable[[Event], None],
        report: Callable[[str, str, str, int], None],
        now: Callable[[], float] = time.monotonic,
    ):
        self.store = keeping.Store(config, publish)
        self.pins = Pins(config.home.var / "pins")
        self.elsewhere: Elsewhere | None = None  # asked for a restore that is not here
        self._identity = identity
        self._slots = slots
        self._publish, self._report = publish, report
        self._tries = Tries(now)
        self._asker = snmp.Asker(failed=self._failed)
        self._pool = ThreadPoolExecutor(2, "passwords")
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()  # challenges that run, by address
        self._computing = 0  # of them, those that wait for a password to be computed

    def configure(self, config: Config, roots: Roots) -> None:
        """Decide by `config` from the next request on."""
        self._config = config
        self._roots = roots
        self._terms = snmp.Terms.of(config)
        self._passwords = Passwords(config.http.backup_passwords)
        folder, keep = config.http.backup_dir, config.home.lists
        self.lists = {
            "backup": Lists(folder, "backup", keep, self._report, alone=True),
            "ftp": Lists(config.ftp.ftp_dir, "ftp", keep, self._report, alone=True),
        }
        self.store.configure(config)

    def _failed(self, fault: Exception) -> None:
        self._publish(Notice("fault", f"after a phone's answer: {type(fault).__name__}: {fault}", "error"))

    def problems(self) -> list[tuple[str, int, str]]:
        """Broken lines of lists and of the file of passwords, as (file, line, text)."""
        found = [problem for lists in self.lists.values() for problem in lists.problems()]
        return found + self._passwords.problems()

    def close(self) -> None:
        """End the questions; what is being kept is kept first."""
        self._asker.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.store.close()

    # The steps before anybody is asked

    def decide(self, asked: Asked, shown: snmp.Shown | None) -> Answer:
        """The answer, by what the phone has already shown in this session."""
        refuse = self._name(asked) or self._list(asked)
        if refuse is not None:
            return refuse
        if asked.held and not self._slots.may(asked.client.address):
            return asked.no(Reason.NO_SLOT, f"all {self._slots.max} slots are taken", "slot")
        config, client, kept, request = self._config, asked.client, asked.kept, asked.request
        if kept.cls == "9610":
            return self._common(asked)
        ftp = client.proto in ("ftp", "ftps")
        if ftp:
            policy = "snmp" if config.snmp.use_snmp else "none"
        else:
            policy = policy_of(config, client.address)
            if policy == "snmp" and not config.snmp.use_snmp:
                text = "BackupAuth=snmp with UseSNMP=0; write UseSNMP=1, or BackupAuth=pin, basic or none"
                return asked.no(Reason.NO_SNMP, text)
        if not kept.ext and not (ftp and policy == "snmp"):
            return asked.no(Reason.NOT_ALLOWED, "the name carries no extension, and nobody is asked for it")
        if policy == "none":
            asked.step("phone", "nothing has to be shown (" + ("UseSNMP=0)" if ftp else "policy none)"))
            return self._grant(asked, kept, keeping.Origin(how="none"))
        if policy == "snmp":
            if shown is not None:
                return self.prove(asked, shown)
            terms = self._terms
            text = f"{client.address} would be asked by SNMP v{terms.version} for its extension and type"
            asked.step("phone", text)
            return self._challenge(asked, text, self._ask)
        if request.login is None or request.login.channel == "null":
            why = "nothing" if request.login is None else "a password over a connection that does not encrypt"
            text = f"the policy {policy} wants a password, and there came {why}"
            reason = Reason.NEED_LOGIN if policy == "basic" else Reason.PIN_MISMATCH
            return asked.no(reason, text)
        if policy == "pin" and request.login.channel != "tls":
            text = "the policy pin takes a password only over TLS, and this came over plain HTTP"
            return asked.no(Reason.PIN_MISMATCH, text)
        refuse = self._guessing(asked, policy)
        if refuse is not None:
            return refuse
        text = f"the policy {policy} checks the password that came with it"
        asked.step("phone", text)
        return self._challenge(asked, text, self._compute)

    def _name(self, asked: Asked) -> Refuse | None:
        client, request, kept = asked.client, asked.request, asked.kept
        if client.proto == "tftp":
            if request.write:
                return asked.no(Reason.READ_ONLY, "phones may only read over TFTP", "name")
            return asked.no(Reason.NOT_ALLOWED, "user data is kept over FTP and HTTP, not TFTP", "name")
        if kept.cls == "9610":
            if request.write:
                return asked.no(Reason.READ_ONLY, "a 9610 stores nothing", "name")
            if client.proto in ("ftp", "ftps"):
                return asked.no(Reason.NOT_ALLOWED, "a 9610 fetches its data over HTTP", "name")
        if client.proto in ("ftp", "ftps") and request.delete:
            return asked.no(Reason.READ_ONLY, "nothing is deleted over FTP", "name")
        what = {"read": "asks for", "store": "stores", "delete": "deletes"}[request.op]
        asked.step("name", f"{what} the user data {kept.file}")
        return None

    def _list(self, asked: Asked) -> Refuse | None:
        wanted = ["backup"]
        if asked.client.proto in ("ftp", "ftps") and not asked.request.write:
            wanted.append("ftp")
        for which in wanted:
            current = self.lists[which].current()
            if current is None:
                continue
            entry = current.match(asked.client.address)
            if entry is None:
                near = current.nearest(asked.client.address)
                text = f"{asked.client.address} is not in the list" + (
                    f"; the nearest of its {len(current.entries)} entries is {near.text}"
                    if near
                    else "; it has no valid line"
                )
                line = near.line if near else 0
                return asked.no(Reason.NOT_LISTED, text, "list", current.path, line)
            asked.step("list", f"listed as {entry.text}", current.path, entry.line)
        return None

    def _common(self, asked: Asked) -> Answer:
        """What the administrator writes for sets of the kind 9610, which only read: no secret of a user."""
        http = self._config.http
        for folder in dict.fromkeys((http.backup_dir, http.http_dir)):
            found = self._roots.open(folder, asked.kept.file, exact=True)
            asked.step("root", found.detail or "found", os.fspath(folder))
            if found.body is not None:
                return Serve(found.body, asked.name, asked.phone, found.detail, asked.held)
        return asked.no(Reason.NO_FILE, found.detail, "root", os.fspath(http.backup_dir))

    # Asking, and what follows from the answer

    def _challenge(self, asked: Asked, text: str, ask: Callable[[Asked, Tell], Callable[[], None]]) -> Answer:
        address = asked.client.address

        def start(done: Done) -> Callable[[], None]:
            full = ""
            with self._lock:
                if self._open.total() >= OPEN_QUESTIONS:
                    full = f"{OPEN_QUESTIONS} phones are being asked already"
                elif self._open[address] >= OPEN_EACH:
                    full = f"{OPEN_EACH} requests of {address} wait for an answer or a password already"
                else:
                    self._open[address] += 1
            if full:
                done(asked.no(Reason.BUSY, full))
                return lambda: None
            ended = threading.Event()

            def end() -> bool:
                with self._lock:
                    first = not ended.is_set()
                    ended.set()
                    if first:
                        self._open[address] -= 1
                        if not self._open[address]:
                            del self._open[address]
                return first

            cancels: list[Callable[[], None]] = []

            def tell(answer: Answer) -> None:
                if not end():
                    if not isinstance(answer, Challenge):
                        give_back(answer)
                elif isinstance(answer, Challenge):  # it is granted, and has to be fetched
                    cancels.append(answer.start(done))
                else:
                    done(answer)

            cancels.append(ask(asked, tell))

            def stop() -> None:
                end()
                for cancel in list(cancels):
                    cancel()

            return stop

        return Challenge(start, asked.name, asked.phone, text)

    def _ask(self, asked: Asked, tell: Tell) -> Callable[[], None]:
        address = asked.client.address

        def done(answer: snmp.Shown | snmp.Silence) -> None:
            if isinstance(answer, snmp.Shown):
                asked.remember(answer)
            tell(self._safely(asked, lambda: self.prove(asked, answer)))

        return self._asker.ask(address, self._terms, done)

    def _compute(self, asked: Asked, tell: Tell) -> Callable[[], None]:
        with self._lock:
            full = self._computing >= _COMPUTING
            self._computing += not full
        if full:
            tell(asked.no(Reason.BUSY, f"{_COMPUTING} passwords are being computed already"))
            return lambda: None

        gone = threading.Event()

        def compute() -> None:
            try:
                if gone.is_set():  # who connects and leaves again and again costs nothing
                    return
                verdict = self._safely(asked, lambda: self._password(asked))
            finally:
                with self._lock:
                    self._computing -= 1
            tell(verdict)

        self._pool.submit(compute)
        return gone.set

    @staticmethod
    def _safely(asked: Asked, decide: Callable[[], Answer]) -> Answer:
        """On a thread of ours nobody else would answer the client for a fault."""
        try:
            return decide()
        except Exception as fault:
            return asked.no(Reason.FAULT, f"{type(fault).__name__}: {fault}")

    def prove(self, asked: Asked, answer: snmp.Shown | snmp.Silence) -> Answer:
        """What follows from the phone's own answer."""
        client, kept = asked.client, asked.kept
        if isinstance(answer, snmp.Silence):
            text = ". ".join(part for part in (answer.text, answer.means) if part)
            return asked.no(Reason.NO_SNMP, f"{client.address}: {text}")
        asked.phone = phone = asked.phone._replace(
            ext=answer.ext or asked.phone.ext,
            model=answer.model or asked.phone.model,
            source="snmp" if answer.ext else "snmp+name",
        )
        cls = class_of(answer.model) or _FAMILIES.get(answer.family, "")
        says = f"the phone says extension {answer.ext or 'nothing'}, type {answer.model or answer.family}"
        if not cls:
            return asked.no(Reason.SNMP_MISMATCH, f"{says}: this type keeps no data here")
        if cls != kept.cls:
            return asked.no(Reason.SNMP_MISMATCH, f"{says}; the name is for {kept.cls}")
        if answer.ext and kept.ext and answer.ext != kept.ext:
            return asked.no(Reason.SNMP_MISMATCH, f"{says}; the name is of {kept.ext}")
        if not (answer.ext or kept.ext):
            return asked.no(Reason.NO_SNMP, f"{says}, and the name carries no extension")
        if self._config.snmp.snmp_match:
            model = self._identity.showed(client.address)
            before = class_of(model)
            if before and before != cls:
                text = f"{says}, but lately {client.address} showed itself as a {model} (SNMPMatch)"
                return asked.no(Reason.SNMP_MISMATCH, text)
        asked.step("phone", says)
        self._identity.tell(client.address, phone)
        how = "snmp" if answer.ext else "snmp-guess"
        return self._grant(asked, kept._replace(ext=answer.ext or kept.ext), keeping.Origin(how=how))

    def _guessing(self, asked: Asked, policy: str) -> Refuse | None:
        """Refuse who was wrong too often lately, without computing anything."""
        address, file = asked.client.address, asked.kept.file
        wait = self._tries.wait(address, file)
        if not wait:
            return None
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + wait))
        text = f"too many wrong passwords of {address}; the next one for {file} is looked at after {until}"
        if asked.steps is None and self._tries.tell(address):
            self._publish(Notice("guessing", text, peer=address))
        return asked.no(Reason.BAD_LOGIN if policy == "basic" else Reason.PIN_MISMATCH, text)

    def _password(self, asked: Asked) -> Answer:
        """The password that came, against the list or against the one that is remembered. Slow."""
        login, file, address = asked.request.login, asked.kept.file, asked.client.address
        assert login is not None
        policy = policy_of(self._config, address)
        refuse = self._guessing(asked, policy)  # others of the same address were computed meanwhile
        if refuse is not None:
            return refuse
        if policy == "basic":
            if login.user != asked.kept.ext:  # said before anything is compared: it tells nothing to count
                text = f"the login is of {login.user[:40]!r}, the data is of {asked.kept.ext}"
                return asked.no(Reason.BAD_LOGIN, text)
            if not self._passwords.check(login.user, login.password):
                self._tries.failed(address, file)
                return asked.no(Reason.BAD_LOGIN, f"wrong password, or {login.user[:40]!r} has none")
            self._tries.right(address, file)
            return self._grant(asked, asked.kept, keeping.Origin(how="basic"))
        if self.pins.known(file):
            if not self.pins.check(file, login.password):
                self._tries.failed(address, file)
                text = f"another password than the one remembered for {file}; if the phone's password was "
                text += f"changed: mv-iptel backups unpin {file}"
                return asked.no(Reason.PIN_MISMATCH, text)
            self._tries.right(address, file)
            return self._grant(asked, asked.kept, keeping.Origin(how="pin"))
        if asked.request.op != "store":
            text = f"no password is remembered for {file} yet; that happens at its first backup"
            return asked.no(Reason.PIN_MISMATCH, text)
        verdict = self._grant(asked, asked.kept, keeping.Origin(how="pin"))
        if isinstance(verdict, Keep) and verdict.draft is not None:
            verdict.draft.also = lambda: self._remember(asked, login.password)
        return verdict

    def _remember(self, asked: Asked, password: str) -> Refuse | None:
        """Pin the password of a first backup, just before that takes its place."""
        try:
            self.pins.remember(asked.kept.file, password)
        except Pinned:
            self._tries.failed(asked.client.address, asked.kept.file)
            return asked.no(Reason.PIN_MISMATCH, "another phone made its first backup at the same moment")
        return None

    def _grant(self, asked: Asked, kept: Kept, origin: keeping.Origin) -> Answer:
        """It is the client's own data."""
        request, phone, file = asked.request, asked.phone, kept.file
        origin = origin._replace(
            address=asked.client.address, mac=phone.mac, model=phone.model, proto=asked.client.proto
        )
        folder = self._config.http.backup_dir
        detail = "" if asked.name.rpartition("/")[2] == file else f"kept as {file}"
        if request.write:
            asked.step("content", f"would {request.op} {os.path.join(folder, file)}")
            act = self.store.removal if request.delete else self.store.draft
            if asked.steps is not None:
                return Keep(None, asked.name, phone, detail)
            draft = act(kept, origin, request.match)
            if isinstance(draft, Refuse):
                return draft._replace(name=asked.name, phone=phone)
            return Keep(draft, asked.name, phone, detail, asked.held)
        if self.elsewhere is not None and kept.ext and not os.path.lexists(folder / file):
            if asked.steps is not None:
                return asked.no(Reason.NO_FILE, "not here; the central server would be asked", "root")
            text = f"{file} is not here; the central server is asked"
            return self._challenge(asked, text, lambda asked, tell: self._fetch(asked, kept, detail, tell))
        return self._here(asked, file, detail)

    def _fetch(self, asked: Asked, kept: Kept, detail: str, tell: Tell) -> Callable[[], None]:
        """Have it brought here, and serve it then."""
        elsewhere = self.elsewhere

        def came(why_not: str) -> None:
            if why_not:
                text = f"not here, and {why_not}"
                return tell(asked.no(Reason.NO_FILE, text, "root", os.fspath(self._config.http.backup_dir)))
            told = "; ".join(part for part in (detail, "from the central server") if part)
            return tell(self._safely(asked, lambda: self._here(asked, kept.file, told)))

        if elsewhere is None:  # the branch was switched off this moment
            came("no central server is asked")
            return lambda: None
        return elsewhere(kept, came)

    def _here(self, asked: Asked, file: str, detail: str) -> Serve | Refuse:
        folder, phone = self._config.http.backup_dir, asked.phone
        found = self._roots.open(folder, file, exact=True)
        if found.body is None:
            return asked.no(Reason.NO_FILE, found.detail, "root", os.fspath(folder))
        asked.step("content", f"{found.body.size} octets", found.body.path)
        return Serve(found.body, asked.name, phone, detail, asked.held)


# The class of a family whose phones told no type.
_FAMILIES = {"96x0": "96xx", "96x1": "96xx", "96x0-sip": "96xx", "J100": "96xx", "16xx": "16xx"}


def kept_as(keep: Keep, stored: keeping.Stored) -> Keep:
    """The answer with what the store made of it, for the record."""
    what = "removed" if stored.removed else "the same content" if stored.same else ""
    what = "new" if stored.created else what
    return keep._replace(detail="; ".join(part for part in (keep.detail, what) if part))


def give_back(verdict: Verdict) -> None:
    """Nobody wants it any more."""
    if isinstance(verdict, Serve):
        verdict.body.close()
    elif isinstance(verdict, Keep) and verdict.draft is not None:
        verdict.draft.abort()
