"""Once a day the manager renews what ends: it is the one process that may read the authority's key."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mv_iptel.certs.renewing import Outcome, renew_all

if TYPE_CHECKING:
    from manager.site import Site

WHO = "manager"  # in the trail
FIRST = 60.0  # seconds after the start: a host that was off for months does not wait for another day
AGAIN = 86400.0

_log = logging.getLogger("manager.certificates")


class Renewal:
    """The daily look. What is renewed stands in the trail; what cannot be is told once while it lasts."""

    def __init__(self, site: Site, now: Callable[[], float] = time.time):
        self._site, self._now = site, now
        self._due = now() + FIRST
        self._told: set[str] = set()

    def wait(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._due - self._now())

    def look(self) -> list[Outcome]:
        """One look; not for an event loop. Another one is due in a day, whatever comes of this one."""
        self._due = self._now() + AGAIN
        try:
            now = datetime.fromtimestamp(self._now(), UTC)
            done = renew_all(self._site.config(), self._site.manager, now)
        except OSError as error:
            text = f"{error.filename or self._site.home.lock}: {error.strerror or error}"
            _log.warning("certificates were not looked at: %s", text)
            return []
        for one in done:
            if one.result == "renewed":
                what = f"{one.file}, {one.text}"
                self._site.audit.add(WHO, "", "certificate-renewed", what)
        failed = {f"{one.file}: {one.text}" for one in done if one.result == "failed"}
        for text in sorted(failed - self._told):
            _log.error("a certificate cannot be renewed here: %s", text)
        self._told = failed
        return done

    async def run(self) -> None:
        """Look when it is due, until cancelled."""
        while True:
            # In short steps: a host that slept, or whose clock was set, is not late by a day.
            await asyncio.sleep(min(self.wait(), 3600.0))
            if self.wait() > 0:
                continue
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # a fault of ours must not end the looking for good
                _log.exception("the look at the certificates failed")
