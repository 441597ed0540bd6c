"""The central servers of a branch: whom to ask now, over what, and what an answer may be.

The primary is asked first, then the secondary. One that does not answer, or says that it cannot, is left
alone for a while that doubles, up to the interval of updates.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiohttp

from mv_iptel import __version__
from mv_iptel.config import Config
from mv_iptel.home import Home

FIRST, LONGEST = 1.0, 60.0  # seconds: the first pause after a failure, and the longest
CONNECT, SILENCE = 10.0, 60.0  # seconds for a connection, and for the next octets of an answer
LONGEST_ANSWER = 600.0  # seconds besides, that an answer which is no content may take to come
JSON_MOST = 32 << 20  # octets of an answer that is no content: a manifest of 50,000 files has 20 million
SLOWEST_HOLD = 3600.0  # of a Retry-After: longer ones are asked again after that

T = TypeVar("T")


class Peer(NamedTuple):
    """One central server as the configuration names it."""

    role: str  # primary or secondary
    host: str
    port: int

    @property
    def place(self) -> str:
        """Where it is, for people and for records."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.place}"


def peers_of(config: Config) -> tuple[Peer, ...]:
    """Those that are switched on, the primary first."""
    keys = config.backup_servers
    found = []
    if keys.use_primary_svr:
        found.append(Peer("primary", keys.primary_ip, keys.primary_port))
    if keys.use_secondary_svr:
        found.append(Peer("secondary", keys.secondary_ip, keys.secondary_port))
    return tuple(found)


def token_of(config: Config, peer: Peer) -> str:
    """PeerToken; where each server gave its own they stand there with a comma, the primary's first."""
    first, _, second = config.backup_servers.peer_token.partition(",")
    return (second or first if peer.role == "secondary" else first).strip()


def certificate_of(home: Home, peer: Peer) -> Path:
    """Certificate and key that this branch got from a central server, in one file."""
    return home.certs / f"peer-{peer.role}.pem"


class Away(Exception):
    """Nobody answers as a central server; the text says why, for people."""


class Said(Exception):
    """The central server refuses: status, its word, its sentence, and after how many seconds to come back."""

    def __init__(self, status: int, word: str, text: str, after: float = 0.0):
        super().__init__(f"{text or word} ({status})")
        self.status, self.word, self.after = status, word, after

    @property
    def elsewhere(self) -> bool:
        """Whether another central server may do what this one does not."""
        return self.status in (401, 403, 429) or self.status >= 500


class Reply(NamedTuple):
    """A whole answer, small enough to be held."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """What it says. Raises Away: no central server says that."""
        try:
            told = json.loads(self.body)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise Away("what answers there is no central server")
        return told


class Link:
    """The way to one central server, by one configuration. For one event loop."""

    def __init__(self, peer: Peer, config: Config, context: ssl.SSLContext | None = None):
        self.peer = peer
        self._config = config
        self._context = context  # who joins has another one yet, and no token
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, data: bytes | None = None,
        params: Mapping[str, str] | None = None, most: int = JSON_MOST, silence: float = SILENCE,
    ) -> Reply:  # fmt: skip
        """One question with a small answer. Raises Away, Said."""
        try:
            # An octet now and then is no silence, and others wait behind this.
            async with asyncio.timeout(silence + LONGEST_ANSWER):
                async with self.open(method, path, headers, data, params, silence) as answer:
                    body = await _whole(answer, most)
                    return Reply(answer.status, answer.headers, body)
        except TimeoutError:
            raise Away("it does not answer in time") from None

    @asynccontextmanager
    async def open(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, data: bytes | None = None,
        params: Mapping[str, str] | None = None, silence: float = SILENCE,
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        """An answer that is about to be read. Raises Away and Said, also for faults while it is read."""
        timeout = aiohttp.ClientTimeout(connect=CONNECT, sock_connect=CONNECT, sock_read=silence)
        session = self._opened()
        try:
            async with session.request(
                method, self.peer.url + path, headers=headers, data=data, params=params, timeout=timeout,
                proxy=self._proxy(), allow_redirects=False,
            ) as answer:  # fmt: skip
                if answer.status not in (200, 201, 204, 206, 304):
                    raise await _refusal(answer)
                yield answer
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise Away(words(error)) from None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _proxy(self) -> str | None:
        https = self._config.https
        if not https.use_proxy:
            return None
        host = f"[{https.proxy_addr}]" if ":" in https.proxy_addr else https.proxy_addr
        return f"http://{host}:{https.proxy_port}"

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"User-Agent": f"mv-iptel/{__version__}", "Accept-Encoding": "identity"}
            context = self._context
            if context is None:
                context = self._trusting()
                if token := token_of(self._config, self.peer):
                    headers["Authorization"] = f"Bearer {token}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=16), headers=headers, auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )  # fmt: skip
        return self._session

    def _trusting(self) -> ssl.SSLContext:
        keys, certificate = self._config.backup_servers, certificate_of(self._config.home, self.peer)
        try:
            return trusting(keys.peer_ca, certificate)
        except (OSError, ValueError) as error:
            raise Away(f"PeerCA or the branch's certificate cannot be used: {words(error)}") from None


def trusting(authority: Path | None, certificate: Path | None = None) -> ssl.SSLContext:
    """What checks a central server, by PeerCA alone where there is one. Raises OSError, ssl.SSLError."""
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A site may have imported a certificate whose root is not at hand: then PeerCA is the nearest above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if certificate is not None and certificate.exists():
        context.load_cert_chain(certificate)
    return context


async def _whole(answer: aiohttp.ClientResponse, most: int) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_chunked(64 << 10):
        size += len(part)
        if size > most:
            raise Away(f"the answer is larger than {most} octets")
        parts.append(part)
    return b"".join(parts)


async def _refusal(answer: aiohttp.ClientResponse) -> Exception:
    body = await _whole(answer, 256 << 10)
    try:
        told = json.loads(body)
        word, text = str(told["error"])[:40], str(told["text"])[:300]
    except (ValueError, RecursionError, KeyError, TypeError):
        return Away(f"what answers there is no central server (HTTP {answer.status})")
    after = answer.headers.get("Retry-After", "")[:9]
    seconds = min(float(after), SLOWEST_HOLD) if after.isascii() and after.isdigit() else 0.0
    return Said(answer.status, printable(word), printable(text), seconds)


def printable(text: str) -> str:
    """What a stranger says, for journals and terminals."""
    return "".join(one if one.isprintable() else " " for one in text).strip()


def words(error: BaseException) -> str:
    """A failure as one short line; nothing that was sent stands in it."""
    if isinstance(error, Away | Said):
        return str(error)
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            found = getattr(found, "certificate_error", found)
            return f"its certificate is not trusted: {getattr(found, 'verify_message', 'no')}"
        found = found.__cause__ or found.__context__ or getattr(found, "os_error", None)
    inner = getattr(error, "os_error", None) or error
    if isinstance(inner, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses ({error.status})"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection was cut"
    text = getattr(inner, "strerror", None) or type(inner).__name__
    if isinstance(inner, OSError) and inner.errno and "call failed" in str(text):  # asyncio's own words
        text = os.strerror(inner.errno)
    return printable(str(text))[:160]


class Peers:
    """Whom to ask. For one event loop; `now` is a steady clock."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic):
        self.all = peers_of(config)
        self._longest = max(FIRST, min(LONGEST, config.backup_servers.update_interval))
        self._now = now
        self._links = {peer: Link(peer, config) for peer in self.all}
        self._failures: dict[Peer, int] = {}
        self._until: dict[Peer, float] = {}
        self.current: Peer | None = None  # who answered last
        self.last_ok = 0.0  # seconds since the epoch
        self.error = ""  # why nobody answers, empty if somebody does

    def wait(self) -> float:
        """Seconds until somebody may be asked."""
        if not self.all:
            return LONGEST
        return max(0.0, min(self._until.get(peer, 0.0) for peer in self.all) - self._now())

    def usable(self) -> list[Peer]:
        """Those that may be asked now, the primary first."""
        now = self._now()
        return [peer for peer in self.all if self._until.get(peer, 0.0) <= now]

    def hurry(self) -> None:
        """Ask everybody again at once: the administrator wants it."""
        self._until.clear()

    def link(self, peer: Peer) -> Link:
        return self._links[peer]

    async def first(self, ask: Callable[[Link], Awaitable[T]], only: Peer | None = None) -> T:
        """What the first one says that answers. Raises Away, and Said for what another would not mend."""
        last: Exception = Away(self.error or "no central server is asked now")
        for peer in self.usable() if only is None else [only]:
            try:
                found = await ask(self._links[peer])
            except Away as error:
                last = error
                self.failed(peer, str(error))
            except Said as error:
                if not error.elsewhere:
                    self.worked(peer)
                    raise
                last = error
                self.failed(peer, str(error), error.after)
            else:
                self.worked(peer)
                return found
        if isinstance(last, Said):
            raise last
        raise Away(str(last))

    def failed(self, peer: Peer, text: str, after: float = 0.0) -> None:
        """It did not answer, or cannot."""
        times = self._failures[peer] = self._failures.get(peer, 0) + 1
        pause = min(self._longest, FIRST * 2.0 ** min(times - 1, 10)) * (0.5 + random.random() / 2)
        self._until[peer] = self._now() + (after or pause)
        self.error = f"{peer.place}: {text}"

    def worked(self, peer: Peer) -> None:
        """It answered."""
        self._failures.pop(peer, None)
        self._until.pop(peer, None)
        self.current, self.last_ok, self.error = peer, time.time(), ""

    async def close(self) -> None:
        await asyncio.gather(*(link.close() for link in self._links.values()))


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
