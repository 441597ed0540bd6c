"""One FTP session: who it is, what it asks the library, and what it is told."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, ClassVar

from mv_iptel.events import Notice
from mv_iptel.ftp import data, phone, replies, superuser
from mv_iptel.ftp.connecting import Connecting
from mv_iptel.ftp.transfer import Asked, Listing, Transfer
from mv_iptel.library.answers import Answer, Challenge, Keep, Reason, Refuse, Request, Serve, Verdict
from mv_iptel.library.backups import give_back, kept_as
from mv_iptel.userdata.store import Stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from mv_iptel.ftp.listening import Listener
    from mv_iptel.library import Client, Session

ODD = 64  # commands that a session may have refused before it is ended
LOGINS = 3  # failed ones in a session

# What nobody has here, not even the superuser.
_MISSING = ("APPE", "STOU")

# How a data connection ended: the outcome, and what the client is told.
_ENDS = {
    data.OK: ("ok", "226 Transfer complete."),
    data.CUT: ("aborted", "426 Connection closed; transfer aborted."),
    data.ABORTED: ("aborted", "426 Connection closed; transfer aborted."),
    data.NOBODY: ("aborted", "425 Can't open data connection."),
    data.TIMEOUT: ("timeout", "421 Data connection timed out."),
    data.NO_TLS: ("aborted", "522 TLS negotiation failed on the data connection."),
    data.FAULT: ("failed", replies.line(Reason.FAULT)),
}


class Handler(Connecting):
    """A phone's session, or the superuser's once he has signed in. `asked` waits for a verdict or a slot."""

    authorizer = superuser.Permissions()
    abstracted_fs = superuser.Files
    proto_cmds: ClassVar = {name: how for name, how in Connecting.proto_cmds.items() if name not in _MISSING}

    def __init__(self, sock: socket.socket, listener: Listener, client: Client, session: Session):
        self.session = session
        self.cwd = "/"  # a phone's, as it went there
        self.asked: Asked | None = None
        self.odd = 0
        self._terms: tuple[object, ...] = ()  # what the superuser was let in by
        self._cancel: Callable[[], None] | None = None  # of the challenge that runs
        super().__init__(sock, listener, client)

    # Commands

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        """Phones have commands of their own; everything else, and the superuser's, is pyftpdlib's."""
        self._last_response = ""
        if self.fs is not None and self._terms != superuser.terms(self.front.config):
            return self.end("421 The superuser's login was changed.")
        if cmd not in self.proto_cmds and cmd[-4:] in ("ABOR", "STAT", "QUIT"):
            cmd = cmd[-4:]  # behind the octets of a Telnet interrupt
        command = phone.COMMANDS.get(cmd) if self.authenticated and self.fs is None else None
        if command is not None:
            if command.argument and not arg:
                return self.respond("501 Syntax error: command needs an argument.")
            command.act(self, arg)
        elif cmd in _MISSING:
            self.respond("502 Command not implemented." if self.authenticated else "530 Not logged in.")
        else:
            super().pre_process_command(line, cmd, arg)
        if self._last_response.startswith("500"):
            self.oddity()
        return None

    def process_command(self, cmd: str, *args: Any, **kwargs: Any) -> None:
        """What the superuser changed leaves its record."""
        source = self._rnfr
        super().process_command(cmd, *args, **kwargs)
        op = superuser.CHANGES.get(cmd) if self.fs is not None else None
        if op is not None and self._last_response:
            self._changed(cmd, op, args[0], source)

    def oddity(self) -> None:
        """One more command that no phone sends."""
        self.odd += 1
        if self.odd >= ODD:
            self.end("421 Too many commands of no use.")

    def refuse_change(self, request: Request, text: str) -> None:
        """A phone may not do that; the operator sees that it tried."""
        refuse = Refuse(Reason.READ_ONLY, text)
        self.session.finished(request, refuse, "refused", 0, 0.0)
        self.respond(replies.line(refuse.reason))
        self.oddity()

    def list(self, names: bytes | object) -> None:
        """Send a listing."""
        if self.reachable():
            self.carry(Listing(names))

    def push_dtp_data(self, data: bytes | object, isproducer: bool = False, file: object = None,
                      cmd: str | None = None) -> None:  # fmt: skip
        """pyftpdlib has made a listing."""
        self.list(data)

    # STOR and RETR

    def work(self, request: Request, answer: Callable[[], Answer]) -> None:
        """Begin one STOR or RETR; `answer` decides."""
        at, self._restart_position = self._restart_position, 0
        self.asked = asked = Asked(self.session, request, answer, self.front.clock(), at)
        if not self.reachable():
            self.asked = None
            refuse = Refuse(Reason.BAD_REQUEST, "no data connection: neither PASV nor PORT came before")
            asked.finish(refuse, "refused", 0, asked.since)
        elif at and request.write:
            self._refuse(asked, Refuse(Reason.BAD_REQUEST, "REST before STOR: a file is stored whole"))
        else:
            self._decided(self._answer(asked))

    def _answer(self, asked: Asked) -> Answer:
        try:
            return asked.decide()
        except Exception:  # a fault of ours ends the request, not the session
            self.tell_fault()
            return Refuse(Reason.FAULT, "the decision failed")

    def _decided(self, answer: Answer) -> None:
        """Go on by an answer, or wait for a better one."""
        asked = self.asked
        assert asked is not None
        asked.answer = answer
        if isinstance(answer, Challenge):
            self.leave()
            call, settle = self.front.call, self._verdict
            self._cancel = answer.start(lambda verdict: call(lambda: settle(asked, verdict)))
        elif isinstance(answer, Refuse):
            if answer.reason is Reason.NO_SLOT and self.front.hold(self):
                self.leave()
            else:
                self._refuse(asked, answer)
        elif isinstance(answer, Serve) and asked.at > answer.body.size:
            give_back(answer)
            text = f"REST {asked.at}: the file has {answer.body.size} octets"
            self._refuse(asked, Refuse(Reason.BAD_REQUEST, text, name=answer.name, phone=answer.phone))
        else:
            self.asked = None
            self.come_back()
            transfer = Transfer(asked, answer)
            self.front.begun(transfer)
            self.carry(transfer)

    def _verdict(self, asked: Asked, verdict: Verdict) -> None:
        """A challenge has ended."""
        if self.asked is not asked:
            give_back(verdict)  # the client has gone,
            return self.session.close()  # and a yes has taken a slot
        self._cancel = None
        self._decided(verdict)
        return None

    def ask_again(self) -> bool:
        """A slot may have ended. False: still none."""
        assert self.asked is not None
        answer = self._answer(self.asked)
        if isinstance(answer, Refuse) and answer.reason is Reason.NO_SLOT:
            return False
        self.front.unhold(self)
        self._decided(answer)
        return True

    def give_up(self) -> None:
        """No slot came in time."""
        asked = self.asked
        assert asked is not None and isinstance(asked.answer, Refuse)
        self.front.unhold(self)
        self._refuse(asked, asked.answer)

    def _refuse(self, asked: Asked, refuse: Refuse) -> None:
        self.asked = None
        asked.finish(refuse, "refused", 0, self.front.clock())
        self._tell(replies.line(refuse.reason))

    def _tell(self, reply: str) -> None:
        """Answer what was waited for, and go on."""
        self.come_back()
        if reply.startswith("421"):
            self.end(reply)
        else:
            self.respond(reply)
            self.resume()

    def job_ended(self, job: Listing | Transfer) -> None:
        """The data connection is closed, and only now it is said how that went (RFC 959, 4.1.3)."""
        if isinstance(job, Transfer):
            self._transferred(job)
        else:
            self._tell(_ENDS[job.how][1])

    def _transferred(self, job: Transfer) -> None:
        answer, how = job.answer, job.how
        if how == data.OK and isinstance(answer, Keep) and answer.draft is not None:
            self.leave()
            call, settle = self.front.call, self._committed
            return answer.draft.commit(lambda result: call(lambda: settle(job, result)))
        if how == data.OK and not job.whole():
            how = data.FAULT
        job.give_back()
        if job.refuse is not None:
            return self._record(job, job.refuse, "refused", replies.line(job.refuse.reason))
        outcome, reply = _ENDS[how]
        return self._record(job, answer, outcome, reply)

    def _committed(self, job: Transfer, result: object) -> None:
        """What was stored is on the disk, or is not."""
        answer = job.answer
        if isinstance(result, Refuse):
            refuse = result._replace(name=answer.name, phone=answer.phone)
            self._record(job, refuse, "refused", replies.line(refuse.reason))
        else:
            if isinstance(answer, Keep) and isinstance(result, Stored):  # the superuser's are none
                answer = kept_as(answer, result)
            self._record(job, answer, *_ENDS[data.OK])

    def _record(self, job: Transfer, answer: Answer, outcome: str, reply: str) -> None:
        self.front.ended(job)
        job.asked.finish(answer, outcome, job.octets, self.front.clock())
        if not self.over:
            self._tell(reply)

    def abandon(self) -> None:
        """The client has gone: whatever is under way ends."""
        asked, self.asked = self.asked, None
        if asked is not None:
            self.front.unhold(self)
            cancel, self._cancel = self._cancel, None
            if cancel is not None:
                cancel()
            if asked.answer is not None:
                asked.finish(asked.answer, "aborted", 0, self.front.clock())
        super().abandon()

    def close(self) -> None:
        """The session is over."""
        super().close()
        self.session.close()

    # Who it is

    def flush_account(self) -> None:
        """Nobody is signed in any more."""
        was = self.authenticated
        super().flush_account()
        if was:
            self.expect_login()
            self.start_idle()
        self.fs = None
        self.cwd = "/"
        self._current_type = "i"

    def ftp_PASS(self, line: str) -> None:
        """Let a phone in; ask who says that he is the superuser."""
        if self.authenticated:
            return self.respond("503 User already authenticated.")
        if not self.username:
            return self.respond("503 Login with USER first.")
        config = self.front.config
        if self.username != config.ftp.su_user_name:
            return self._signed_in("230 Welcome.")
        self.leave()
        call = self.front.call

        def done(wrong: str) -> None:
            call(lambda: self._checked(wrong, superuser.terms(config)))

        return self.front.superusers.login(config, self.client.address, line, done)

    def _signed_in(self, reply: str) -> None:
        self.authenticated = True
        self.timeout = self.idle
        self._tell(reply)

    def _checked(self, wrong: str, terms: tuple[object, ...]) -> None:
        """The superuser's password was looked at, by these terms; `wrong` says what was wrong."""
        if self.over:
            return
        front, address = self.front, self.client.address
        if not wrong:
            self._terms = terms
            self.fs = superuser.Files(front.superusers.tree(front.config), self)
            text = f"the superuser signed in from {address}"
            front.publish(Notice("superuser", text, "info", peer=address))
            return self._signed_in("230 Welcome. Files lie in data; docs and log can be read.")
        request, self.username = Request(b""), ""
        self.session.finished(request, Refuse(Reason.BAD_LOGIN, wrong), "refused", 0, 0.0)
        self.attempted_logins += 1
        reply = replies.line(Reason.BAD_LOGIN)
        if self.attempted_logins >= LOGINS:
            self.come_back()
            self.end(reply)
        else:
            self._tell(reply)

    # The superuser's work

    def run_as_current_user(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Everything is done as the server's own user."""
        return function(*args, **kwargs)

    def ftp_CWD(self, path: str) -> None:
        """Go to a directory."""
        try:
            self.fs.chdir(path)
        except OSError as error:
            self.respond(f"550 {error.strerror}.")
        else:
            self.respond(f'250 "{phone.quoted(path)}" is the current directory.')

    def ftp_RETR(self, file: str) -> None:
        """Fetch a file."""
        self.work(Request(os.fsencode(file)), lambda: self.fs.serve(file))

    def ftp_STOR(self, file: str, mode: str = "w") -> None:
        """Store a file."""
        self.work(Request(os.fsencode(file), write=True), lambda: self.fs.keep(file))

    def _changed(self, cmd: str, op: str, path: str, source: str | None) -> None:
        code, text = self._last_response[:3], self._last_response[4:]
        detail = f"{cmd} of {source}" if cmd == "RNTO" else cmd
        request = Request(os.fsencode(path), write=True, delete=op == "delete")
        if code.startswith("2"):
            answer: Answer = self.fs.changed(path, detail)
            self.session.finished(request, answer, "ok", 0, 0.0)
        elif code == "550":
            refuse = Refuse(Reason.NOT_ALLOWED, f"superuser: {detail}: {text}", name=path)
            self.session.finished(request, refuse, "refused", 0, 0.0)
