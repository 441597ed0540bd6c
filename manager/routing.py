"""What a page or an endpoint is: its path, who may ask for it, how much it takes, and who answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from manager.call import Call

SMALL = 64 * 1024  # octets of a form or of a JSON document
TEXT = 4 * 1024 * 1024  # of one with a script or settings file in it
PATIENCE = 15.0  # seconds in which a body of this size must have come


class Role(IntEnum):
    """Each may do what the one before it may."""

    VIEWER = 1  # sees everything but users' data and secrets
    OPERATOR = 2  # changes files, lists, firmware, user data
    ADMINISTRATOR = 3  # users, audit trail, listeners

    @property
    def word(self) -> str:
        return self.name.lower()


VIEWER, OPERATOR, ADMINISTRATOR = Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR

Handler = Callable[["Call"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One row of a module's `ROUTES`.

    `role` is the least that may ask; None: nobody need be signed in. `body` is the most octets that are
    taken; a handler that streams its body itself has `streams=True` and keeps its own limits.
    `fresh`: also who still has to choose a new password may ask. `asks`: it changes nothing, whatever its
    method says, so it ends when who asked has left.
    """

    method: str
    path: str
    handler: Handler
    role: Role | None
    body: int = SMALL
    streams: bool = False
    fresh: bool = False
    asks: bool = False
