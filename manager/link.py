"""The manager's line to the running file server: its status port, read and told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from manager.problems import Problem
from mv_iptel.cli.asking import Unreachable, base, same_home, unreachable
from mv_iptel.config import Config

TIMEOUT = 10.0  # seconds for a call
PATIENCE = 1.0  # seconds that a page waits for the status
DEFAULT = "http://127.0.0.1:6090/"  # ServerURL when nobody wrote another


class Link:
    """Calls to the status port of the home's server. All methods run on the manager's loop."""

    def __init__(self, config: Callable[[], Config], url: str = ""):
        self._config = config
        self._url = "" if url in ("", DEFAULT) else url.rstrip("/")
        self._client: aiohttp.ClientSession | None = None
        self._status: dict[str, Any] | None = None
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None  # runs
        self._since = 0.0  # when it began
        self.error = ""  # why there is no status; empty: there is one

    @property
    def url(self) -> str:
        """Where the server is asked; what the ini says now, unless ServerURL names another place."""
        return self._url or base(self._config())

    async def status(self, age: float = 1.0) -> dict[str, Any] | None:
        """`status.json`, at most `age` seconds old, or None (then `error` says why). Asked once for all.

        No page waits long for a server that is stuck: it shows that there is no answer.
        """
        if time.monotonic() - self._asked <= age:
            return self._status
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._since = time.monotonic()
        left = self._since + PATIENCE - time.monotonic()
        done, _ = await asyncio.wait({self._asking}, timeout=max(0.0, left))
        if not done:
            self._status = None
            self.error = f"the server at {self.url} takes connections and does not answer"
        return self._status

    async def _ask(self) -> None:
        try:
            self._status, self.error = await self.get("/status.json"), ""
        except Problem as problem:
            self._status, self.error = None, problem.detail
        finally:
            self._asked = time.monotonic()
            self._asking = None

    async def get(self, path: str) -> Any:
        """Raises Problem: `unreachable`, or what the server says."""
        return await self._call("GET", path)

    async def post(self, path: str, body: Any = None) -> Any:
        """A control call, with the home's token. Raises Problem."""
        config = self._config()
        await self.get("/slots")  # whose server it is shows before it is told to do anything
        try:
            token = await asyncio.to_thread(config.home.token.read_text, "ascii")
        except OSError as error:
            raise Problem("unreachable", f"{config.home.token}: {error.strerror}") from None
        told = await self._call("POST", path, body, token.strip())
        self._asked = float("-inf")  # what was changed shows at once
        return told

    async def refresh(self) -> None:
        """Tell a running server that its files were worked on; without one there is nobody to tell."""
        try:
            await self.post("/control/refresh")
        except Problem:
            pass

    async def events(self, query: str = "") -> AsyncIterator[bytes]:
        """Lines of the server's event stream, as they come. Raises Problem."""
        timeout = aiohttp.ClientTimeout(total=None, connect=TIMEOUT, sock_read=60)
        try:
            async with self._session().get(f"{self.url}/events{query}", timeout=timeout) as answer:
                same_home(self._config(), answer.headers)
                if answer.status != 200:
                    raise Problem("busy", "the server has too many watchers")
                async for line in answer.content:
                    yield line
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError, Unreachable) as error:
            raise self._silent(error) from None

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        return self._client

    async def _call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with self._session().request(
                method, self.url + path, json=body, headers=headers, allow_redirects=False
            ) as answer:
                same_home(self._config(), answer.headers)
                told = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError, Unreachable) as error:
            raise self._silent(error) from None
        if answer.status >= 300 and not (isinstance(told, dict) and "ok" in told):
            text = str(told.get("error", "")) if isinstance(told, dict) else ""
            kind = {400: "bad-request", 404: "not-found"}.get(answer.status, "conflict")
            raise Problem(kind, text or f"the server answered {answer.status}")
        return told

    def _silent(self, error: Exception) -> Problem:
        text = str(error if isinstance(error, Unreachable) else unreachable(self._config()))
        return Problem("unreachable", text)
