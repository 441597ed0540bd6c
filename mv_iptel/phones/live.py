"""The driver of one simulated phone over real sockets: TFTP, HTTP and HTTPS as phones of their time do it."""

from __future__ import annotations

import contextlib
import hashlib
import select
import socket
import ssl
import time
import warnings
from pathlib import Path
from types import TracebackType

from mv_iptel.http import protocol as http
from mv_iptel.phones.boot import Fetch, Fetched, Server
from mv_iptel.tftp import protocol as tftp

CONNECT = 10.0  # seconds for a connection and its TLS handshake
RECEIVE = 1 << 18  # octets taken at once
HTTP_RESULTS = {200: "ok", 404: "missing", 410: "missing"}


def tls_context(
    ca: Path | None = None, insecure: bool = False, old: bool = False, check_name: bool = True
) -> ssl.SSLContext:
    """What the phone accepts. `old`: TLS 1.0 with NULL-SHA, as sets of 2005 ask it.

    Raises OSError (ssl.SSLError is one) if the authority's file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_name and not insecure
    if insecure:
        context.verify_mode = ssl.CERT_NONE
    elif ca is not None:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    if old:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("NULL-SHA:@SECLEVEL=0")
    return context


def head_of(wants: Fetch) -> tuple[tuple[str, str], ...]:
    """The header lines that a phone sends with every request."""
    server = wants.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    default = 443 if server.protocol == "https" else 80
    where = host if server.port == default else f"{host}:{server.port}"
    return (("Host", where), ("User-Agent", wants.agent or "AVAYA"), ("Accept", "*/*"),
            ("Connection", "keep-alive"))  # fmt: skip


def get(wants: Fetch, version: str = "1.1") -> bytes:
    """The HTTP request of a phone: a GET, or a PUT of what it wants to store."""
    method = "GET" if wants.body is None else "PUT"
    return http.request(method, "/" + wants.name, head_of(wants), version, wants.body or b"")


class Taken:
    """A body on its way: counted and hashed, and kept if the phone reads it."""

    def __init__(self, keep: bool):
        self.size = 0
        self._keep = keep
        self._kept = bytearray()
        self._digest = hashlib.sha256()

    def take(self, piece: bytes) -> None:
        """The next piece."""
        self.size += len(piece)
        self._digest.update(piece)
        if self._keep:
            self._kept += piece

    def fetched(self, detail: str, tries: int, resent: int = 0) -> Fetched:
        """The whole body's result."""
        data = bytes(self._kept) if self._keep else None
        digest = self._digest.hexdigest()
        return Fetched("ok", data, self.size, digest, detail=detail, tries=tries, resent=resent)


class Live:
    """Fetches over sockets, one request after the other. Holds connections open: close it, or use `with`.

    `address` is the phone's own, such as 127.0.0.7; `patience` the seconds for one file, in which it
    asks a silent TFTP server once a second and a busy HTTP server as often as that wishes.
    """

    def __init__(self, address: str = "", context: ssl.SSLContext | None = None, patience: float = 60.0):
        self.address = address
        self.context = context
        self.patience = patience
        self._open: dict[Server, socket.socket] = {}

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections, as a restart does."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def fetch(self, wants: Fetch) -> Fetched:
        """One file. Network trouble becomes a result; nothing is raised."""
        began = time.monotonic()
        try:
            got = self._tftp(wants) if wants.server.protocol == "tftp" else self._http(wants)
        except (OSError, http.ProtocolError) as error:
            self._drop(wants.server)
            got = Fetched("failed", detail=explain(error))
        return got._replace(seconds=time.monotonic() - began)

    # --- TFTP

    def _tftp(self, wants: Fetch) -> Fetched:
        """RFC 1350 with 512-octet blocks and no options, as the sets ask."""
        family, server = resolve(wants.server)
        body = Taken(wants.keep)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((self.address, 0))
            sock.setblocking(False)
            now = time.monotonic()
            limit = now + self.patience
            fetch = tftp.Fetch(tftp.Ask(wants.name.encode()), now, retries=int(self.patience))
            peer: tuple[str, int] | None = None
            tries = 1
            while not fetch.outcome and now < limit:
                for datagram in fetch.to_send():
                    sock.sendto(datagram, peer or server)
                ready, _, _ = select.select([sock], [], [], max(0.0, min(fetch.deadline, limit) - now))
                now = time.monotonic()
                if ready:
                    datagram, sender = sock.recvfrom(65536)
                    sender = sender[:2]
                    if peer is not None and sender != peer:
                        sock.sendto(tftp.error(5), sender)  # RFC 1350 section 4: a stranger
                    elif sender[0] == server[0]:
                        peer = sender
                        fetch.receive(datagram, now)
                else:
                    said = fetch.repeats
                    fetch.tick(now)
                    if not fetch.answered:
                        tries += fetch.repeats - said
                body.take(fetch.read())
            for datagram in fetch.to_send():  # the last ACK
                sock.sendto(datagram, peer or server)
        repeats = fetch.repeats - (tries - 1)
        if fetch.outcome == "ok":
            return body.fetched(f"{fetch.block} blocks", tries, repeats)
        if fetch.outcome == "refused" and fetch.error:
            code, text = fetch.error
            result = "missing" if code == 1 else "refused"
            return Fetched(result, detail=f"error {code} {text}".strip(), tries=tries)
        silent = "stopped answering" if fetch.answered else "never answered"
        why = fetch.why or f"the server {silent} within {self.patience:g} s"
        return Fetched("failed", size=fetch.octets, detail=why, tries=tries, resent=repeats)

    # --- HTTP and HTTPS

    def _http(self, wants: Fetch) -> Fetched:
        reply, body, tries = self.ask(wants.server, "GET", get(wants), wants.keep)
        status = f"{reply.status} {reply.phrase}".strip()
        result = HTTP_RESULTS.get(reply.status, "failed" if reply.status >= 500 else "refused")
        if result != "ok":
            return Fetched(result, detail=status, tries=tries)
        return body.fetched(status, tries)

    def ask(
        self, server: Server, method: str, message: bytes, keep: bool = True
    ) -> tuple[http.Reply, Taken, int]:
        """The answer to one HTTP request, its body, and how often a busy server had to be asked.

        Raises OSError and ProtocolError.
        """
        limit = time.monotonic() + self.patience
        tries = 1
        while True:
            reused = server in self._open
            body = Taken(keep)
            try:
                reply = self._exchange(server, method, message, body, limit)
            except (OSError, http.ProtocolError):
                self._drop(server)
                if not reused or body.size:
                    raise
                continue  # the server had closed the idle connection
            if not reply.keep:
                self._drop(server)
            wait = float(retry_after(reply))
            if reply.status != 503 or not wait or time.monotonic() + wait > limit:
                return reply, body, tries
            tries += 1
            time.sleep(wait)

    def _exchange(self, server: Server, method: str, message: bytes, body: Taken, limit: float) -> http.Reply:
        """One request and its whole answer."""
        connection = self._open.get(server) or self._connect(server)
        connection.settimeout(max(0.001, limit - time.monotonic()))
        reply = http.Reply(method, sink=body.take)
        # A server that wants no more of a body closes: what it said before that is the answer.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(message)
        while not reply.complete:
            connection.settimeout(max(0.001, limit - time.monotonic()))
            data = connection.recv(RECEIVE)
            if not data:
                reply.end()
                break
            reply.receive(data)
        return reply

    def _connect(self, server: Server) -> socket.socket:
        source = (self.address, 0) if self.address else None
        connection = socket.create_connection((server.host, server.port), min(CONNECT, self.patience), source)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.protocol == "https":
                context = self.context or tls_context()
                connection = context.wrap_socket(connection, server_hostname=server.host)
        except BaseException:
            connection.close()
            raise
        self._open[server] = connection
        return connection

    def _drop(self, server: Server) -> None:
        connection = self._open.pop(server, None)
        if connection is not None:
            connection.close()


def resolve(server: Server) -> tuple[int, tuple[str, int]]:
    """Address family and address of a server that may be a name. Raises OSError."""
    kind = socket.SOCK_DGRAM if server.protocol == "tftp" else socket.SOCK_STREAM
    family, _, _, _, address = socket.getaddrinfo(server.host, server.port, type=kind)[0]
    return family, address[:2]


def address_towards(server: Server) -> str:
    """The address of this machine that a server would see. Nothing is sent. Raises OSError."""
    family, address = resolve(server)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        return str(sock.getsockname()[0])


def retry_after(reply: http.Reply) -> int:
    """Seconds after which a busy server wants to be asked again; 0 if it does not say."""
    value = reply.headers.get("retry-after", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0


def explain(error: Exception) -> str:
    """Network trouble in words for the operator."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error)
