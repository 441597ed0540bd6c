"""What the library is asked and what it answers: the words every protocol shares.

All types are tuples or small slotted objects, because one of each is made for every request.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mv_iptel.library.contents import Body
    from mv_iptel.userdata.store import Draft


class Reason(StrEnum):
    """Why a request was refused. Each protocol has one table from reason to wire, `REPLIES`."""

    BANNED = "banned"
    BUSY = "busy"
    NOT_LISTED = "not-listed"
    NO_SLOT = "no-slot"
    BAD_NAME = "bad-name"
    NO_FILE = "no-file"
    NOT_ALLOWED = "not-allowed"
    READ_ONLY = "read-only"
    NEED_LOGIN = "need-login"
    BAD_LOGIN = "bad-login"
    NO_SNMP = "no-snmp"
    SNMP_MISMATCH = "snmp-mismatch"
    PIN_MISMATCH = "pin-mismatch"
    CHANGED = "changed"
    TOO_BIG = "too-big"
    QUOTA = "quota"
    DISK_FULL = "disk-full"
    BAD_REQUEST = "bad-request"
    FAULT = "fault"


class Client(NamedTuple):
    """Who is asking, over what. `address` is normalised: an IPv4-mapped address is plain IPv4."""

    address: str
    port: int
    proto: str  # tftp, http, https, ftp, ftps
    listener: str  # "http:81": the listener's protocol and port


class Request(NamedTuple):
    """One question to a session. `name` is as it came from the wire, without a query part."""

    name: bytes
    write: bool = False  # a WRQ, PUT, DELETE, STOR: anything that would change something
    agent: str = ""  # the User-Agent, where the protocol has one
    delete: bool = False  # a DELETE; `write` is true too
    match: str = ""  # If-Match as it came: the change holds only for such a content
    login: Login | None = None  # the credentials that came with it

    @property
    def op(self) -> str:
        """What it does: read, store or delete."""
        return "delete" if self.delete else "store" if self.write else "read"


class Login(NamedTuple):
    """Credentials of one request, and what they came over: plain, null (TLS that does not encrypt) or tls."""

    user: str
    password: str
    channel: str

    def __repr__(self) -> str:
        return f"Login({self.user!r}, ..., {self.channel!r})"


class Phone(NamedTuple):
    """The phone behind an address, as far as it is known; empty strings where it is not."""

    mac: str = ""  # twelve lower-case hex digits
    ext: str = ""
    model: str = ""
    version: str = ""  # the firmware that it says it runs
    source: str = ""  # what told us: agent, name, snmp, neighbour, recent; joined by "+"


NOBODY = Phone()


class Step(NamedTuple):
    """One step of a decision, for `why`: the place that decided is `source` and `line`."""

    step: str  # name, list, slot, phone, root, content
    result: str
    source: str = ""
    line: int = 0


class Serve(NamedTuple):
    """Yes: send `body`. The session gives the body back with `with answer.body:`."""

    body: Body
    name: str  # the cleaned name that was asked for
    phone: Phone
    detail: str = ""  # "fxd" answers and case-folded matches say so here
    held: bool = True  # whether this client holds (or will take) a slot for it


class Refuse(NamedTuple):
    """No, and everything the operator wants to know. Only `reason` goes to the wire."""

    reason: Reason
    detail: str = ""
    source: str = ""  # the list or directory that decided
    line: int = 0
    name: str = ""  # the cleaned name, or a printable form of a bad one
    phone: Phone = NOBODY


class Keep(NamedTuple):
    """Yes: write (or delete) user data. The front end fills `draft` and commits it, or aborts it.

    Nothing is acknowledged before `draft.commit` has called back with what became of it.
    """

    draft: Draft | None  # None only where `why` asked
    name: str  # the cleaned name that was asked for
    phone: Phone
    detail: str = ""
    held: bool = True


Verdict = Serve | Keep | Refuse


class Challenge(NamedTuple):
    """Perhaps: somebody else must answer first (the phone's SNMP agent), or a password must be computed.

    `start(done)` begins that and returns at once. `done(verdict)` is called exactly once, on a thread of the
    library's, within `FTP_TimeOut`; the front end goes back to its own thread by its own means. `start` gives
    a function that cancels: then `done` may still be called, with a verdict that the front end gives back
    (`verdict.body.close()`, `verdict.draft.abort()`).
    """

    start: Callable[[Callable[[Verdict], None]], Callable[[], None]]
    name: str
    phone: Phone
    detail: str = ""


Answer = Serve | Keep | Challenge | Refuse
