"""What the thread of an operation does on behalf of who began it: audit, and calls to the server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from manager.problems import Problem

if TYPE_CHECKING:
    from manager.call import Call

PATIENCE = 15.0  # seconds for the server's answer


class Behalf:
    """Made on the loop, from the call; used on a thread."""

    def __init__(self, call: Call):
        self._site, self._peer = call.site, call.peer
        self.who = call.user.name if call.user is not None else "-"
        self._loop = asyncio.get_running_loop()

    def audit(self, action: str, what: str, before: str = "", after: str = "") -> None:
        """Into the audit trail."""
        self._site.audit.add(self.who, self._peer, action, what, before, after)

    def refresh(self) -> None:
        """A running server looks at its files again; without one there is nobody to tell."""
        with contextlib.suppress(Problem):
            self._wait(self._site.link.refresh())

    def post(self, path: str, body: Any) -> Any:
        """A control call. Raises Problem."""
        return self._wait(self._site.link.post(path, body))

    def _wait(self, call: Coroutine[Any, Any, Any]) -> Any:
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return future.result(PATIENCE)
        except concurrent.futures.TimeoutError:
            raise Problem("unreachable", "the file server did not answer in time") from None
