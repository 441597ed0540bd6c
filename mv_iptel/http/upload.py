"""Requests that take longer than one answer: a challenge that runs, a body that is kept or read away.

Each of these is the `task` of its connection until it ends; the connection tells it what happens, with the
poller's lock held. All calls back from other threads come through `Lock.soon`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mv_iptel.http import protocol
from mv_iptel.http.protocol import MAX_BODY, WRITES, Asked
from mv_iptel.library.answers import Challenge, Keep, Reason, Refuse, Verdict
from mv_iptel.library.backups import give_back, kept_as

if TYPE_CHECKING:
    from mv_iptel.http.connection import Connection
    from mv_iptel.userdata.store import Stored

# All in seconds.
BODY = 60.0  # for the body of a request,
SLOWEST = 8 << 10  # and one more for so many octets of it: a slow line is waited for, a trickle is not
LATE = 10.0  # after FTP_TimeOut; a challenge that has not ended by then never will


def wrong(asked: Asked, answer: Keep | Challenge, most: int) -> Refuse | None:
    """Why the library's yes, or perhaps, cannot be followed for this form of a request."""
    if not asked.request.write:
        return None

    def no(reason: Reason, text: str) -> Refuse:
        return Refuse(reason, text, name=answer.name, phone=answer.phone)

    if asked.method not in WRITES:
        return no(Reason.READ_ONLY, "user data is written by PUT and DELETE only")
    if asked.partial:
        return no(Reason.BAD_REQUEST, "user data is kept whole, and this has a Content-Range")
    if asked.none_match:
        return no(Reason.BAD_REQUEST, "a write on If-None-Match; only If-Match is understood")
    if asked.request.delete:
        return None
    if not asked.framed:
        # Without this a client that cannot say a length would empty its user's data.
        return no(Reason.BAD_REQUEST, "a PUT that does not say how long its body is")
    if asked.length > most:
        return no(Reason.TOO_BIG, f"{asked.length} octets, more than MaxBackupBytes allows ({most})")
    return None


class Task(Protocol):
    """What a connection tells its task."""

    committing: bool  # it must not be cut off: what it does cannot be taken back
    takes: bool  # it wants what the client sends
    unread: bool  # the rest of the body was given up
    octets: int  # of content that came to be kept

    def more(self) -> Refuse | None:
        """The client has sent something; gives what to answer now. Raises `ProtocolError`."""

    def left(self) -> None:
        """The client sends nothing more, or has gone."""

    def expire(self) -> None:
        """The deadline has passed."""

    def drop(self) -> None:
        """The request has ended: let go of everything."""


class Asking:
    """A challenge runs: the phone's own agent answers, or a password is computed."""

    committing = takes = unread = False
    octets = 0

    def __init__(self, connection: Connection, challenge: Challenge):
        self._connection = connection
        self._challenge = challenge
        self._over = False
        self._cancel: Callable[[], None] | None = None

    def begin(self) -> None:
        """Start it; what comes of it goes to `Connection.proceed`."""
        connection = self._connection
        server = connection.server
        connection.deadline = server.clock() + server.config.ftp.ftp_time_out + LATE
        connection.lasts()

        def done(verdict: Verdict) -> None:
            try:
                server.poller.soon(lambda: self._decided(verdict))
            except RuntimeError:  # the loop has ended, and the client with it
                give_back(verdict)

        self._cancel = self._challenge.start(done)

    def _decided(self, verdict: Verdict) -> None:
        if self._over:
            give_back(verdict)
            return self._connection.leave()  # a yes has taken a slot
        self._over = True
        return self._connection.proceed(verdict)

    def more(self) -> Refuse | None:
        return None

    def left(self) -> None:
        """A client that waits keeps its side open; this one has given up."""
        self._connection.cut("aborted", "the client went away before it was known whose data this is")

    def expire(self) -> None:
        challenge = self._challenge
        text = "the challenge never came to an end"
        self._connection.proceed(Refuse(Reason.FAULT, text, name=challenge.name, phone=challenge.phone))

    def drop(self) -> None:
        if not self._over and self._cancel is not None:
            self._cancel()
        self._over = True


class Skipping:
    """A refused request's body is read away, so that the client sees why it was refused."""

    committing = False
    takes = True
    octets = 0

    def __init__(self, connection: Connection, refuse: Refuse):
        self._connection = connection
        self._refuse = refuse
        self._came = 0
        self.unread = False
        connection.deadline = connection.server.clock() + BODY

    def more(self) -> Refuse | None:
        incoming = self._connection.incoming
        self._came += len(incoming.content())
        if self._came > MAX_BODY:
            incoming.give_up()
            self.unread = True
        elif incoming.in_body:
            self._connection.resume()
            return None
        return self._refuse

    def left(self) -> None:
        self._connection.cut("aborted", "the request ends before it is complete")

    def expire(self) -> None:
        self._connection.cut("timeout", "the request did not come in time")

    def drop(self) -> None:
        """Nothing is held."""


class Storing:
    """User data is kept or removed: the body goes to the draft, and nothing is said before the commit."""

    unread = False

    def __init__(self, connection: Connection, keep: Keep, delete: bool):
        self._connection = connection
        self._keep = keep
        self._delete = delete
        self._began = connection.server.clock()
        self._came = 0
        self._over = False
        self.committing = False
        self.takes = True
        self.octets = 0

    def begin(self, continues: bool) -> Refuse | None:
        """Ask for the body, if the client waits for that, and take what is there; gives what `more` does."""
        connection = self._connection
        connection.lasts()
        incoming = connection.incoming
        if continues and incoming.in_body and not incoming.waiting:
            connection.interim(protocol.CONTINUE)
        return self.more()

    def more(self) -> Refuse | None:
        connection, incoming = self._connection, self._connection.incoming
        content = incoming.content() if incoming.in_body else b""
        self._came += len(content)
        refuse: Refuse | None = None
        if self._delete:  # what came with it says nothing
            if self._came > MAX_BODY:
                refuse = Refuse(Reason.TOO_BIG, "a DELETE whose body has no end")
        else:
            self.octets = self._came
            if content:
                refuse = self._keep.draft.write(content)
        if refuse is not None:
            return self._told(refuse)
        if incoming.in_body:
            connection.deadline = self._began + BODY + self._came / SLOWEST
            connection.resume()
        else:
            self._commit()
        return None

    def _commit(self) -> None:
        self.takes, self.committing = False, True
        connection = self._connection
        connection.deadline = math.inf
        server = connection.server

        def done(result: Stored | Refuse) -> None:
            try:
                server.poller.soon(lambda: self._done(result))
            except RuntimeError:
                pass  # the loop has ended, and the client with it

        self._keep.draft.commit(done)

    def _done(self, result: Stored | Refuse) -> None:
        if self._over:
            return None
        if isinstance(result, Refuse):
            return self._connection.proceed(self._told(result))
        return self._connection.proceed(kept_as(self._keep, result), result)

    def _told(self, refuse: Refuse) -> Refuse:
        return refuse._replace(name=self._keep.name, phone=self._keep.phone)

    def left(self) -> None:
        if not self.committing:  # else the answer is tried, once it is known
            self._connection.cut("aborted", "the request ends before it is complete")

    def expire(self) -> None:
        self._connection.cut("timeout", "the request did not come in time")

    def drop(self) -> None:
        if not (self._over or self.committing):
            self._keep.draft.abort()
        self._over = True
