"""What is said when something cannot be done: problem+json for programs, a page for people."""

from __future__ import annotations

import errno
from typing import Any

# kind -> (status, title). The kind is the last part of the problem's `type` (RFC 9457).
KINDS: dict[str, tuple[int, str]] = {
    "bad-request": (400, "That request cannot be understood"),
    "sign-in": (401, "Please sign in"),
    "not-allowed": (403, "Your role does not allow this"),
    "bad-host": (403, "This name is not one of this manager's"),
    "forged": (403, "This request did not come from a page of this manager"),
    "not-found": (404, "There is no such thing"),
    "method": (405, "This address knows other methods"),
    "conflict": (409, "That does not fit what is there"),
    "changed": (412, "Somebody else has changed this meanwhile"),
    "too-big": (413, "That is too much"),
    "match-needed": (428, "This change must say which state it is for"),
    "invalid": (422, "That cannot be saved as it is"),
    "slow-down": (429, "Too many attempts"),
    "fault": (500, "The manager could not do it"),
    "unreachable": (502, "The file server does not answer"),
    "busy": (503, "Too much at once"),
    "disk-full": (507, "The disk is full"),
}


NO_ROOM = "nothing was changed; make room and try again"


def full(fault: BaseException) -> bool:
    """Whether it is the disk that has no room."""
    return isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)


class Problem(Exception):
    """A refusal on its way out: `kind` from KINDS, and a sentence on what is wrong and what to do.

    `more` goes into the JSON as it is: `errors=[{"field": …, "text": …}]`, `etag=…`.
    """

    def __init__(self, kind: str, detail: str = "", headers: dict[str, str] | None = None, **more: Any):
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.more = kind, detail, more
        self.headers = headers or {}
        self.status, self.title = KINDS[kind]

    def document(self, instance: str = "") -> dict[str, Any]:
        """The members of RFC 9457."""
        told = {"type": f"/problems/{self.kind}", "title": self.title, "status": self.status}
        if self.detail:
            told["detail"] = self.detail
        if instance:
            told["instance"] = instance
        return {**told, **self.more}
