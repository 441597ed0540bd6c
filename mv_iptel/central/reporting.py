"""What the centre orders of this branch, carried out once; and what it is told of the branch."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from mv_iptel import __version__
from mv_iptel.central.fetching import Held
from mv_iptel.central.peers import Away, Link, Said
from mv_iptel.central.state import Done, State
from mv_iptel.firmware.releases import SHA256
from mv_iptel.library.answers import Refuse
from mv_iptel.userdata.names import parse

if TYPE_CHECKING:
    from mv_iptel.central.restoring import Restorer
    from mv_iptel.config import Config
    from mv_iptel.userdata.outbox import Outbox

HOLD = 50  # seconds that the centre may hold an answer back
PATIENCE = 600.0  # seconds that ordered backups may take to get there
MOST = 100  # orders that are looked at in one answer; the others come again

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION = re.compile(r"[A-Za-z0-9._:+-]{1,80}")


class Report(NamedTuple):
    """How the branch is."""

    generation: int
    error: str
    queue: int
    phones: int


class Orders:
    """Carries orders out, on the client's event loop. `update` fetches firmware and says why it cannot."""

    def __init__(
        self, config: Config, state: State, outbox: Outbox, restorer: Restorer,
        update: Callable[[], Awaitable[str]], done: Callable[[Done], None] = lambda done: None,
    ):  # fmt: skip
        self._config, self._state, self._outbox, self._restorer = config, state, outbox, restorer
        self._update, self._told = update, done

    async def poll(self, link: Link, hold: int = HOLD) -> list[Done]:
        """Ask for orders and carry them out; what became of each. Raises Away, Said, OSError."""
        told = (await link.ask("GET", "/v1/orders", params={"wait": str(hold)}, silence=hold + 30)).json()
        orders = told.get("orders")
        if not isinstance(orders, list):
            raise Away("its list of orders is damaged")
        done = []
        for order in orders[:MOST]:
            ident = order.get("id") if isinstance(order, dict) else None
            if not isinstance(ident, str) or not _ID.fullmatch(ident):
                continue
            known = self._state.done(ident)  # the report of it was lost
            if known is None:
                ok, text = await self._carry_out(link, order)
                known = Done(ident, ok, text[:300])
                self._state.finish(known)
                self._told(known)
            done.append(known)
        return done

    async def _carry_out(self, link: Link, order: dict[str, Any]) -> tuple[bool, str]:
        act = {"backup": self._backup, "restore": self._restore, "update": self._fetch}.get(
            str(order.get("kind"))
        )
        if act is None:
            return False, "this branch does not know orders of this kind"
        try:
            return await act(link, order)
        except (Away, Said, OSError) as error:
            return False, str(error) or type(error).__name__

    async def _backup(self, _link: Link, order: dict[str, Any]) -> tuple[bool, str]:
        if not self._config.backup_servers.request_backup:
            return False, "RequestBackup is 0 at this branch"
        names = order.get("names") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return False, "the order names no user data"
        folder = self._config.http.backup_dir
        here = await asyncio.to_thread(lambda: {one.name for one in folder.iterdir() if parse(one.name)})
        kept = [one.file for name in names if (one := parse(name))]
        wanted = [name for name in kept if name in here] if names else sorted(here)
        lacks = len(names) - len(wanted) if names else 0
        await asyncio.to_thread(self._outbox.push, wanted)
        end = time.monotonic() + PATIENCE
        while (left := [name for name in wanted if self._outbox.waits(name)]) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        text = f"sent {len(wanted) - len(left)} of {len(wanted) + lacks} files"
        text += f"; {lacks} are not here" if lacks else ""
        text += f"; {len(left)} wait in the queue" if left else ""
        return not (left or lacks), text

    async def _restore(self, link: Link, order: dict[str, Any]) -> tuple[bool, str]:
        name, version, sha256 = order.get("name"), order.get("version"), order.get("sha256")
        kept = parse(name) if isinstance(name, str) else None
        if kept is None or not kept.ext:
            return False, "the order names no user data"
        if not (isinstance(version, str) and _VERSION.fullmatch(version)):
            return False, "the order names no version"
        if not (isinstance(sha256, str) and SHA256.fullmatch(sha256)):
            return False, "the order gives no hash"
        version = "" if version == "current" else version
        outcome = await self._restorer.bring(link, kept, version, sha256, how="restore")
        if isinstance(outcome, str):
            return False, outcome
        if isinstance(outcome, Refuse):
            return False, f"it was refused: {outcome.reason.value}"
        return True, "it was current already" if outcome.same else f"restored {outcome.size} octets"

    async def _fetch(self, _link: Link, _order: dict[str, Any]) -> tuple[bool, str]:
        if not self._config.backup_servers.request_updates:
            return False, "RequestUpdates is 0 at this branch"
        try:
            error = await self._update()
        except Held as held:
            error = f"QuietHours: not before {held.seconds / 60:.0f} minutes from now"
        return not error, error or "the newest firmware is served"


async def report(link: Link, config: Config, how: Report, done: list[Done]) -> dict[str, Any]:
    """Tell the centre. Raises Away, Said."""
    told = {
        "server": config.settings.server_name, "version": __version__, **how._asdict(),
        "error": how.error[:300], "orders": [one._asdict() for one in done],
    }  # fmt: skip
    data = json.dumps(told).encode()
    return (await link.ask("POST", "/v1/report", {"Content-Type": "application/json"}, data)).json()
