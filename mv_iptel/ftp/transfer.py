"""What one data connection carries: a listing, or the file of one STOR or RETR with its one record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mv_iptel.ftp.data import CUT
from mv_iptel.library.answers import Answer, Keep, Refuse, Request, Serve
from mv_iptel.library.backups import give_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from mv_iptel.ftp.data import Data
    from mv_iptel.library import Session


class Listing:
    """The names of a directory; for phones always none."""

    def __init__(self, data: bytes | object):
        self.how = CUT
        self._data = data

    def start(self, channel: Data) -> None:
        """The data connection is there."""
        channel.send_all(self._data)

    def take(self, _data: bytes) -> bool:
        """Nothing is expected."""
        return False


class Asked:
    """One STOR or RETR from the moment it was asked, to the one record that it leaves."""

    __slots__ = ("answer", "at", "decide", "request", "session", "since", "told")

    def __init__(
        self, session: Session, request: Request, decide: Callable[[], Answer], since: float, at: int = 0
    ):
        self.session, self.request, self.since = session, request, since
        self.decide = decide  # asks for an answer, and may be called again
        self.at = at  # where in the file a RETR begins
        self.answer: Answer | None = None
        self.told = False

    def finish(self, answer: Answer, outcome: str, octets: int, now: float) -> None:
        """Leave the record, once."""
        if not self.told:
            self.told = True
            self.session.finished(self.request, answer, outcome, octets, now - self.since)


class Transfer:
    """The file of one granted STOR or RETR. Whoever makes it ends it by `give_back`, or by a commit."""

    def __init__(self, asked: Asked, answer: Serve | Keep):
        self.how = CUT
        self.asked = asked
        self.answer = answer
        self.number = 0
        self.epoch = time.time()
        self.refuse: Refuse | None = None  # why what came was not taken
        self._channel: Data | None = None

    @property
    def octets(self) -> int:
        """How many octets of the file moved so far."""
        return self._channel.get_transmitted_bytes() if self._channel is not None else 0

    def start(self, channel: Data) -> None:
        """The data connection is there."""
        self._channel = channel
        if isinstance(self.answer, Serve):
            channel.send_body(self.answer.body, self.asked.at)
        else:
            channel.enable_receiving("i", "STOR")

    def take(self, data: bytes) -> bool:
        """Octets that came. False: they are not wanted."""
        assert isinstance(self.answer, Keep) and self.answer.draft is not None
        refuse = self.answer.draft.write(data)
        if refuse is not None:
            self.refuse = refuse._replace(name=self.answer.name, phone=self.answer.phone)
        return refuse is None

    def whole(self) -> bool:
        """Whether what was sent is one state of the file: it was not changed in place meanwhile."""
        try:
            return isinstance(self.answer, Keep) or self.answer.body.fresh()
        except OSError:
            return False

    def give_back(self) -> None:
        """It is over: the file is not ours any more."""
        give_back(self.answer)

    def report(self) -> dict[str, Any]:
        """One row for the status page."""
        client, answer = self.asked.session.client, self.answer
        return {
            "id": self.number, "proto": client.proto, "peer": client.address, "name": answer.name,
            "bytes": self.octets, "total": answer.body.size if isinstance(answer, Serve) else 0,
            "started": self.epoch, "mac": answer.phone.mac, "ext": answer.phone.ext,
            "model": answer.phone.model,
        }  # fmt: skip
