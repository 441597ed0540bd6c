"""One request by its reference number: what was decided then, and by which steps it would be decided now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from manager.problems import Problem
from mv_iptel.cli.leads import Leads, phone_at, words
from mv_iptel.config import Config
from mv_iptel.events import Stream
from mv_iptel.inventory import Reader
from mv_iptel.library import Library
from mv_iptel.status.server import question

if TYPE_CHECKING:
    from manager.site import Site

# How a request that would write is asked about: by what it does and its protocol.
METHODS = {
    "store": {"ftp": "STOR", "ftps": "STOR", "tftp": "WRQ", "": "PUT"},
    "delete": {"ftp": "DELE", "ftps": "DELE", "": "DELETE"},
}
ALONE = "No server runs: slots and recent sightings are unknown."


def numbered(config: Config, reader: Reader, number: int) -> tuple[dict[str, Any] | None, str]:
    """The request, and the script line that sent the phone there, in words."""
    row = reader.number(number)
    if row is None:
        return None, ""
    if row["reason"] != "no-file" or row["op"] != "read":
        return row, ""
    lead = Leads(config).line(row["name"], phone_at(config, row["mac"] or row["peer"]))
    return row, words(lead) if lead else ""


def again(row: Mapping[str, Any]) -> dict[str, str]:
    """The question that `why` is asked about the same request."""
    asked = {"address": row["peer"], "name": row["name"], "protocol": row["proto"], "agent": row["agent"],
             "mac": row["mac"]}  # fmt: skip
    if row["op"] != "read":
        methods = METHODS[row["op"]]
        asked["method"] = methods.get(row["proto"], methods[""])
    return asked


async def now_of(site: Site, row: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """What the same request would get now, with all steps; and what is not known about that."""
    return await why(site, again(row))


async def why(site: Site, asked: dict[str, str]) -> tuple[dict[str, Any] | None, str]:
    """The running server's answer; where none runs the home's, and what is not known then."""
    try:
        told = await site.link.get(f"/why?{urlencode(asked, errors='surrogateescape')}")
    except Problem as problem:
        if problem.kind != "unreachable":
            return None, problem.detail
    else:
        return (
            (told, "") if isinstance(told, dict) and "steps" in told else (None, "the server gave no answer")
        )
    return await asyncio.get_running_loop().run_in_executor(site.threads, alone, site.config(), asked)


def alone(config: Config, asked: dict[str, str]) -> tuple[dict[str, Any] | None, str]:
    parsed = question(asked)
    if isinstance(parsed, str):
        return None, parsed
    library = Library(config, Stream())
    try:
        return library.why(*parsed), ALONE
    finally:
        library.close()
