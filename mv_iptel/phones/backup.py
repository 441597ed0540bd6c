"""One simulated phone that stores and fetches its user's data: FTP by ftplib, HTTP and HTTPS as it boots."""

from __future__ import annotations

import base64
import ftplib
import hashlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mv_iptel.http import protocol as http
from mv_iptel.phones.boot import Fetch, Fetched
from mv_iptel.phones.live import Live, explain, head_of
from mv_iptel.phones.userdata import Depot

STORED = (200, 201, 204)
PATIENCE = 60.0  # seconds for one file


@dataclass(frozen=True)
class Manner:
    """How a phone goes about it.

    address    its own, such as 127.0.0.5
    passive    whether it opens FTP's data connections itself (which real sets do is not known)
    ascii      TYPE A instead of I: the bytes that it sends are the same
    password   of HTTP: over TLS it goes with every request (BRAUTH 1), else it answers a challenge
    user       goes with it: over TLS the call server's address
    """

    address: str = ""
    agent: str = "AVAYA"
    passive: bool = True
    ascii: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    context: ssl.SSLContext | None = None
    patience: float = PATIENCE


def store(depot: Depot, file: str, data: bytes, manner: Manner) -> Fetched:
    """Store `data` under a name. Whatever goes wrong becomes a result."""
    if depot.server.protocol == "ftp":
        return _timed(lambda: _ftp(depot, manner, lambda ftp: _stor(ftp, file, data)))
    return _timed(lambda: _http(depot, file, manner, data))


def fetch(depot: Depot, file: str, manner: Manner) -> Fetched:
    """What is stored under a name. Whatever goes wrong becomes a result."""
    if depot.server.protocol == "ftp":
        return _timed(lambda: _ftp(depot, manner, lambda ftp: _retr(ftp, file)))
    return _timed(lambda: _http(depot, file, manner, None))


def whole(data: bytes, detail: str, tries: int = 1) -> Fetched:
    """The result of a transfer that went well."""
    return Fetched("ok", data, len(data), hashlib.sha256(data).hexdigest(), detail=detail, tries=tries)


def _timed(work: Callable[[], Fetched]) -> Fetched:
    began = time.monotonic()
    return work()._replace(seconds=time.monotonic() - began)


def _ftp(depot: Depot, manner: Manner, transfer: Callable[[ftplib.FTP], Fetched]) -> Fetched:
    """Log in, one transfer, goodbye: a phone keeps no session open."""
    source = (manner.address, 0) if manner.address else None
    try:
        with ftplib.FTP(timeout=manner.patience, source_address=source) as ftp:  # noqa: S321 - all they speak
            ftp.connect(depot.server.host, depot.server.port)
            ftp.set_pasv(manner.passive)
            ftp.login()
            if depot.directory:
                ftp.cwd(depot.directory)
            ftp.voidcmd("TYPE A" if manner.ascii else "TYPE I")
            return transfer(ftp)
    except (ftplib.error_perm, ftplib.error_temp) as answer:
        return Fetched("refused", detail=_printable(str(answer)))
    except (ftplib.Error, EOFError) as error:
        return Fetched("failed", detail=_printable(str(error)) or "the server closed the connection")
    except OSError as error:
        return Fetched("failed", detail=explain(error))


def _stor(ftp: ftplib.FTP, file: str, data: bytes) -> Fetched:
    with ftp.transfercmd(f"STOR {file}") as wire:
        wire.sendall(data)
    return whole(data, _printable(ftp.voidresp()))


def _retr(ftp: ftplib.FTP, file: str) -> Fetched:
    pieces = []
    with ftp.transfercmd(f"RETR {file}") as wire:
        while piece := wire.recv(1 << 16):
            pieces.append(piece)
    return whole(b"".join(pieces), _printable(ftp.voidresp()))


def _http(depot: Depot, file: str, manner: Manner, data: bytes | None) -> Fetched:
    """One PUT or GET; once more with the password, if the server asks for it."""
    server = depot.server
    if depot.password and not manner.password:
        manner = replace(manner, user=depot.user, password=depot.password)
    method = "GET" if data is None else "PUT"
    wants = Fetch(server, depot.path(file), "", agent=manner.agent)

    def message(login: bool) -> bytes:
        headers = head_of(wants)
        if login:
            secret = base64.b64encode(f"{manner.user}:{manner.password}".encode()).decode()
            headers = (*headers, ("Authorization", f"Basic {secret}"))
        return http.request(method, "/" + wants.name, headers, body=data or b"")

    login = bool(manner.password) and server.protocol == "https"
    try:
        with Live(manner.address, manner.context, manner.patience) as live:
            reply, body, tries = live.ask(server, method, message(login))
            challenge = reply.headers.get("www-authenticate", "").lower()
            if reply.status == 401 and manner.password and not login and challenge.startswith("basic"):
                reply, body, more = live.ask(server, method, message(True))
                tries += more
    except (OSError, http.ProtocolError) as error:
        return Fetched("failed", detail=explain(error))
    status = f"{reply.status} {_printable(reply.phrase)}".strip()
    if reply.status == 404:
        return Fetched("missing", detail=status, tries=tries)
    if data is not None:
        if reply.status in STORED:
            return whole(data, status, tries)
    elif reply.status == 200:
        return body.fetched(status, tries)
    return Fetched("refused", detail=status, tries=tries)


def _printable(text: str) -> str:
    """A server's words, fit for a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)[:200]
