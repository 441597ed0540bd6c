"""What FTP says for every reason: a code and a standard phrase, never why."""

from __future__ import annotations

from mv_iptel.library.answers import Reason

# RFC 959, 4.2. After a 421 the connection is closed.
REPLIES: dict[Reason, tuple[int, str]] = {
    Reason.BANNED: (421, "Service not available."),
    Reason.BUSY: (421, "Service not available."),
    Reason.NO_SLOT: (421, "Service not available."),
    # From here to the next comment nothing may be told apart from outside: who may not have a file must
    # not learn whether there is one.
    Reason.NOT_LISTED: (550, "Requested action not taken."),
    Reason.BAD_NAME: (550, "Requested action not taken."),
    Reason.NO_FILE: (550, "Requested action not taken."),
    Reason.NOT_ALLOWED: (550, "Requested action not taken."),
    Reason.READ_ONLY: (550, "Requested action not taken."),
    Reason.NO_SNMP: (550, "Requested action not taken."),
    Reason.SNMP_MISMATCH: (550, "Requested action not taken."),
    Reason.PIN_MISMATCH: (550, "Requested action not taken."),
    Reason.CHANGED: (550, "Requested action not taken."),
    # What follows is for clients that were let in, or that did something wrong.
    Reason.NEED_LOGIN: (530, "Not logged in."),
    Reason.BAD_LOGIN: (530, "Not logged in."),
    Reason.TOO_BIG: (552, "Exceeded storage allocation."),
    Reason.QUOTA: (552, "Exceeded storage allocation."),
    Reason.DISK_FULL: (452, "Insufficient storage space."),
    Reason.BAD_REQUEST: (501, "Syntax error in parameters or arguments."),
    Reason.FAULT: (451, "Local error in processing."),
}


def line(reason: Reason) -> str:
    """The reply as it goes to the client."""
    code, phrase = REPLIES[reason]
    return f"{code} {phrase}"
