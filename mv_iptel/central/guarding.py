"""Who may ask the central server what: tokens, certificates of branches, how many at once; how it says no."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web
from cryptography import x509

from mv_iptel.addresses import address_of
from mv_iptel.central.authority import fingerprint
from mv_iptel.central.limiting import SAY_AGAIN, Failures
from mv_iptel.central.listening import Ports
from mv_iptel.central.refusing import No
from mv_iptel.central.reports import Reports
from mv_iptel.central.tokens import Branch, Branches
from mv_iptel.events import Event, Notice

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.library.gate import Bans

EACH = 16  # requests of one branch at once
LATE = 64  # answers to wrong tokens that are held back at once
JSON = 256 << 10  # octets of a report or a request to join

_log = logging.getLogger("mv_iptel.central")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Asked = Callable[[web.Request, Branch], Awaitable[web.StreamResponse]]


class Guard:
    """Stands before every path of one server. `ports` must be set before the first request."""

    ports: Ports

    def __init__(
        self,
        config: Config,
        branches: Branches,
        reports: Reports,
        bans: Bans,
        publish: Callable[[Event], None],
    ):
        self.config = config
        self.open = True  # False: the server is being stopped
        self.running: Counter[str] = Counter()  # requests of each branch
        self._branches, self._reports, self._bans = branches, reports, bans
        self._publish = publish
        self._failures, self._late = Failures(), 0
        self._said: dict[str, float] = {}  # branch -> when it was told that it has no certificate

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.ports.busy(request.protocol)
        try:
            if not self.open:
                raise No(503, "stopping", "the central server is being stopped", 30)
            if self._bans.banned(address(request)):  # since it came
                request.protocol.force_close()
                raise ConnectionResetError("this address is banned")
            return await handler(request)
        except No as refused:
            return refused.response()
        except web.HTTPNotFound:
            return No(404, "no-path", "there is no such path in this API").response()
        except web.HTTPMethodNotAllowed as wrong:
            allowed = ", ".join(sorted(wrong.allowed_methods))
            return No(405, "method", "this path knows other methods", Allow=allowed).response()
        except web.HTTPRequestEntityTooLarge:
            return No(413, "too-big", f"more than {JSON} octets").response()
        except web.HTTPException as other:
            return No(other.status, "bad-request", other.reason).response()
        except (ConnectionError, TimeoutError):
            raise ConnectionResetError("the client is gone, or must go") from None
        except Exception:
            _log.exception("the central server failed at %s", request.path)
            return No(500, "fault", "the central server could not do it; its journal says why").response()
        finally:
            self.ports.idle(request.protocol)

    def for_branch(self, asked: Asked) -> Handler:
        """A path that needs a branch's token; below /v1/userdata with `ClientAuth=1` its certificate too."""

        async def handler(request: web.Request) -> web.StreamResponse:
            branch = await self._branch(request)
            if request.path.startswith("/v1/userdata") and self.config.https.client_auth:
                self._certificate(request, branch)
            if self.running[branch.name] >= EACH:
                raise No(429, "busy", f"{EACH} requests of this branch run already", 2)
            self.running[branch.name] += 1
            try:
                response = await asked(request, branch)
                if not response.prepared and not self._branches.still(branch):
                    raise _unknown()  # it was revoked while its answer was held back
                return response
            finally:
                self.running[branch.name] -= 1
                if not self.running[branch.name]:
                    del self.running[branch.name]

        return handler

    async def _branch(self, request: web.Request) -> Branch:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        branch = self._branches.who(token.strip()) if scheme.lower() == "bearer" else None
        peer = address(request)
        if branch is None:
            what = "a wrong or revoked token" if token else "no token"
            await self.slowly(peer, f"{what} came from {peer} to the central server")
            raise _unknown()
        if not self.ports.known(request.protocol, branch.name):
            raise No(429, "busy", "this branch has too many connections", 5)
        self._failures.right(peer)
        self._reports.seen(branch.name, peer, time.time())
        return branch

    async def slowly(self, peer: str, text: str) -> None:
        """Who guesses waits, and the administrator is told."""
        wait, news = self._failures.failed(peer, time.monotonic())
        if news:
            self._say("central-token", text, "warning", peer)
        if self._late >= LATE:
            raise No(503, "busy", "too many wrong tokens", 30)
        self._late += 1
        try:
            await asyncio.sleep(wait)
        finally:
            self._late -= 1

    def _certificate(self, request: web.Request, branch: Branch) -> None:
        connection = request.get_extra_info("ssl_object")
        der = connection.getpeercert(binary_form=True) if connection is not None else None
        given = fingerprint(x509.load_der_x509_certificate(der)) if der else ""
        if not given or given != branch.certificate:
            what = "another certificate than its own" if given else "no certificate"
            text = f"ClientAuth=1: user data needs the certificate that {branch.name} got when it joined"
            now = time.monotonic()
            if now - self._said.get(branch.name, float("-inf")) > SAY_AGAIN:
                self._said[branch.name] = now
                self._say("central-token", f"{branch.name} showed {what}", "warning", address(request))
            raise No(403, "certificate", text)

    def _say(self, kind: str, text: str, level: str, peer: str) -> None:
        self._publish(Notice(kind, text, level, peer=peer))


def _unknown() -> No:
    text = "this needs the token that the branch got when it joined; a revoked one is worth nothing"
    return No(401, "token", text, WWW_Authenticate="Bearer")


def address(request: web.Request) -> str:
    """Who asks."""
    return address_of(request.remote or "")
