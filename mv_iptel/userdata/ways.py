"""Where copies of user data may go, and how: the words between the outbox and what brings a file there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple, Protocol

from mv_iptel.config import Config
from mv_iptel.userdata.customftp import FAILURES, CustomFTP, Destination


class Where(Protocol):
    """One destination as the configuration names it; two that are equal are the same one."""

    @property
    def place(self) -> str:
        """Where this is, for people."""

    @property
    def head(self) -> str:
        """The first line of the record of what is there: another one means another destination."""


class Carrier(Protocol):
    """Brings files there, for the one thread of an outbox. Connected or not; `send` wants it connected."""

    to: Any  # its Where

    def connect(self) -> None: ...

    def send(self, name: str, content: BinaryIO) -> str:
        """Bring one file there: "", or why this one is refused. Raises where the connection is useless."""

    def remove(self, name: str, when: float) -> str:
        """The phone has removed its data, at that time. As `send`; only where the way has `removals`."""

    def quit(self) -> None: ...

    def drop(self) -> None:
        """Close without a word, after a failure."""

    def abort(self) -> None:
        """From another thread: whatever waits waits no longer."""

    def words(self, error: BaseException | str) -> str:
        """A failure as one short printable line without secrets."""


class Way(NamedTuple):
    """One use of the queue: where copies go, and how."""

    name: str  # of its folder and records
    kind: str  # of its notices
    wanted: Callable[[Config], bool]
    to: Callable[[Config], Where]  # may raise what means that there is none now
    carrier: Callable[[Any], Carrier]
    failures: tuple[type[BaseException], ...]  # what is no fault of ours
    record: Callable[[Any], str]  # the name of the record for this destination
    hold: Callable[[], float] = lambda: 0.0  # seconds for which nothing may be sent now
    ours: str = ""  # what came from there itself (`Origin.how`) is not sent back
    removals: bool = False  # what a phone removes is removed there too


CUSTOM_FTP = Way(
    "customftp",
    "custom-ftp",
    lambda config: config.backup_servers.custom_ftp,
    Destination.of,
    CustomFTP,
    FAILURES,
    lambda to: "customftp.sent",
)
