"""What a phone may say: it goes anywhere, sees nothing, and stores and fetches one file at a time."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.ftp import replies
from mv_iptel.library.answers import Reason, Request

if TYPE_CHECKING:
    from mv_iptel.ftp.handler import Handler

LONGEST = 1024  # octets of a directory's name


class Command(NamedTuple):
    """One command of a phone."""

    act: Callable[[Handler, str], None]
    argument: bool = False  # it needs one


def _name(handler: Handler, argument: str) -> bytes:
    """The name that is meant, where the phone is now. What is wrong with it is the library's matter."""
    return posixpath.join(handler.cwd, argument).encode("utf-8", "surrogateescape")


def _store(handler: Handler, argument: str) -> None:
    request = Request(_name(handler, argument), write=True)
    handler.work(request, lambda: handler.session.ask(request))


def _retrieve(handler: Handler, argument: str) -> None:
    request = Request(_name(handler, argument))
    handler.work(request, lambda: handler.session.ask(request))


def _go(handler: Handler, argument: str) -> None:
    """Every directory is there: sites wrote anything into FTPDIR."""
    path = posixpath.normpath("/" + posixpath.join(handler.cwd, argument or "/")).replace("//", "/")
    if len(path) > LONGEST:
        return handler.respond(replies.line(Reason.BAD_NAME))
    handler.cwd = path
    return handler.respond(f'250 "{quoted(path)}" is the current directory.')


def _up(handler: Handler, _argument: str) -> None:
    _go(handler, "..")


def _where(handler: Handler, _argument: str) -> None:
    handler.respond(f'257 "{quoted(handler.cwd)}" is the current directory.')


def quoted(path: str) -> str:
    """A name as it stands between quotes in a reply (RFC 959, appendix 2)."""
    return path.replace('"', '""')


def _list(handler: Handler, _argument: str) -> None:
    handler.list(b"")


def _facts(handler: Handler, argument: str) -> None:
    """MLST: of a directory, which is all that a phone can be sure of."""
    if argument:
        return handler.respond(replies.line(Reason.NO_FILE))
    handler.push(f'250-Listing "{quoted(handler.cwd)}":\r\n type=dir;perm=el; {handler.cwd}\r\n')
    return handler.respond("250 End.")


def _status(handler: Handler, argument: str) -> None:
    if not argument:
        return handler.ftp_STAT("")
    return handler.respond("213 End of status.")


def _nothing(handler: Handler, _argument: str) -> None:
    """SIZE and MDTM: whether a file is there is told to its owner only, by RETR.

    Not 550: curl asks before it fetches, and would take that for its answer.
    """
    handler.respond("502 Command not implemented.")


def _refused(verb: str, delete: bool = False) -> Command:
    def act(handler: Handler, argument: str) -> None:
        request = Request(_name(handler, argument), write=True, delete=delete)
        handler.refuse_change(request, f"{verb}: a phone may only store and fetch its own data")

    return Command(act)


def _out_of_order(handler: Handler, _argument: str) -> None:
    handler.respond("503 Use RNFR first.")


COMMANDS = {
    "STOR": Command(_store, True), "RETR": Command(_retrieve, True),
    "CWD": Command(_go), "XCWD": Command(_go), "CDUP": Command(_up), "XCUP": Command(_up),
    "PWD": Command(_where), "XPWD": Command(_where),
    "LIST": Command(_list), "NLST": Command(_list), "MLSD": Command(_list), "MLST": Command(_facts),
    "STAT": Command(_status), "SIZE": Command(_nothing, True), "MDTM": Command(_nothing, True),
    "RNTO": Command(_out_of_order),
    **{verb: _refused(verb) for verb in ("APPE", "STOU", "MKD", "XMKD", "RNFR", "MFMT", "SITE")},
    **{verb: _refused(verb, True) for verb in ("DELE", "RMD", "XRMD")},
}  # fmt: skip
