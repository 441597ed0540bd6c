"""How the central API says no: a status, one word for programs, a sentence for people."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from mv_iptel.library.answers import Reason, Refuse

# What the store says, to a branch; the paths and the system's words in its detail are for the operator.
STORE = {
    Reason.CHANGED: (412, "changed", "this user data is another now"),
    Reason.TOO_BIG: (413, "too-big", "more than MaxBackupBytes of the central server"),
    Reason.QUOTA: (507, "quota", "the central server's quota for this is used up"),
    Reason.DISK_FULL: (507, "disk-full", "the central server's disk is full"),
    Reason.NO_FILE: (404, "no-file", "the central server has no such user data"),
}


class No(Exception):
    """A refusal on its way to the client. Raised only within a request of this API."""

    def __init__(self, status: int, word: str, text: str, retry: float = 0, **headers: str):
        super().__init__(word)
        self.status, self.word, self.text, self.retry, self.headers = status, word, text, retry, headers

    def response(self) -> web.Response:
        headers = {name.replace("_", "-"): value for name, value in self.headers.items()}
        if self.retry:
            headers["Retry-After"] = str(max(1, int(self.retry + 0.999)))
        return answer({"error": self.word, "text": self.text}, self.status, headers)


def bad(text: str) -> No:
    return No(400, "bad-request", text)


def of_store(refuse: Refuse) -> No:
    """A refusal of the store."""
    fault = (500, "fault", "the central server could not do it; its journal says why")
    status, word, text = STORE.get(refuse.reason, fault)
    return No(status, word, text)


def answer(value: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def number(text: str, name: str, least: float, most: float) -> float:
    """A number of a query or header; raises No for what is none, and for what lies outside."""
    try:
        value = float(text) if len(text) < 40 else float("nan")
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise bad(f"{name}: a number from {least:g} to {most:g}")
    return value
