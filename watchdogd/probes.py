"""Downloads the check file as a client would, over each protocol, and compares it with that on the disk."""

from __future__ import annotations

import ftplib
import hashlib
import http.client
import io
import logging
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tftpy

from mv_iptel.files import states
from mv_iptel.home import CHECK_FILE
from mv_iptel.journal import plain
from mv_iptel.phones.boot import Fetch
from mv_iptel.phones.boot import Server as Place
from mv_iptel.phones.live import Live
from watchdogd.judge import Got, Target
from watchdogd.targets import bracketed

LARGEST = 1 << 20  # octets of a check file; the server's own has less than a hundred
TRIES = 4  # datagrams get lost: TFTP asks so often within the time of one download

# It tells each lost datagram at a level at which it would be printed.
logging.getLogger("tftpy").setLevel(logging.CRITICAL + 1)


class Answered(Exception):
    """The server answered, and it was not the file: result (missing, busy, broken) and what it said."""

    def __init__(self, result: str, text: str):
        super().__init__(result, text)
        self.result, self.text = result, text


class Trust:
    """Which certificates the listeners may show: the home's authority's, the configured ones, public ones."""

    def __init__(self) -> None:
        self._made: tuple[object, ssl.SSLContext] | None = None

    def context(self, files: Sequence[Path]) -> ssl.SSLContext:
        """For these files; made anew when one changed. Names are not looked at: we ask by address."""
        key = (tuple(files), states(files))
        made = self._made
        if made is None or made[0] != key:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            # A certificate that was bought has an authority that nobody told us: then itself is the anchor.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_default_certs()
            for file in files:
                try:
                    context.load_verify_locations(file)
                except (OSError, ValueError):
                    continue  # not there or no certificate: what is shown will not be accepted, and told
            made = self._made = (key, context)
        return made[1]


def blind() -> ssl.SSLContext:
    """Accepts any certificate: a listener whose certificate has ended may be well all the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def probe(target: Target, directories: Sequence[Path], timeout: float, context: ssl.SSLContext | None) -> Got:
    """One download, compared. For a thread: it may take `timeout` seconds, and the disk's time."""
    began = time.monotonic()
    data, certificate = b"", ""
    try:
        try:
            data = _fetch(target, timeout, context)
        except ssl.SSLCertVerificationError as error:
            certificate = _explained(error)
            data = _fetch(target, max(0.1, timeout - (time.monotonic() - began)), blind())
        result, text = "same", ""
    except Answered as answer:
        result, text = answer.result, answer.text
    except ConnectionRefusedError:
        result, text = "closed", ""
    except (TimeoutError, tftpy.TftpTimeout):
        result, text = "silent", ""
    except (
        OSError,
        EOFError,
        ValueError,
        http.client.HTTPException,
        ftplib.Error,
        tftpy.TftpException,
    ) as error:
        result, text = "broken", str(error) or type(error).__name__
    got = Got(result, plain(text, 200), time.monotonic() - began, certificate)
    if not directories:  # another host's disk: any answer is a good one
        return got if result != "missing" else got._replace(result="same")
    return compared(got, data, directories)


def compared(got: Got, data: bytes, directories: Sequence[Path]) -> Got:
    """The download held against the disk."""
    digest = hashlib.sha256(data).digest()
    for directory in directories:
        try:
            there = _digest(directory / CHECK_FILE)
            if got.result == "same" and there != digest:
                there = _digest(directory / CHECK_FILE)  # written anew while it was sent
        except FileNotFoundError:
            continue
        except OSError as error:
            text = f"{directory / CHECK_FILE} cannot be read by the watchdog's user: {error.strerror}"
            return got._replace(there=False, directory=str(directory), unreadable=text)
        result = "differs" if got.result == "same" and there != digest else got.result
        return got._replace(result=result, directory=str(directory))
    first = directories[0]
    try:
        others = int(any(True for _ in os.scandir(first)))
    except OSError:
        others = -1
    result = "differs" if got.result == "same" else got.result
    return got._replace(result=result, there=False, directory=str(first), others=others)


def _digest(path: Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(LARGEST + 1)).digest()


def _fetch(target: Target, timeout: float, context: ssl.SSLContext | None) -> bytes:
    fetch = FETCHES[target.proto]
    return fetch(target.host, target.port, timeout, context)


def _tftp(host: str, port: int, timeout: float, _: ssl.SSLContext | None) -> bytes:
    if ":" in host:  # tftpy knows IPv4 only
        with Live(patience=timeout) as live:
            got = live.fetch(Fetch(Place("tftp", host, port), CHECK_FILE, "file"))
        if got.result == "ok":
            return got.data or b""
        if got.result == "failed":
            raise TimeoutError(got.detail)
        raise Answered("missing" if got.result == "missing" else "broken", got.detail)
    kept = io.BytesIO()
    client = tftpy.TftpClient(host, port, flock=False)
    try:
        client.download(CHECK_FILE, kept, timeout=timeout / TRIES, retries=TRIES)
    except tftpy.TftpFileNotFoundError:
        raise Answered("missing", "error 1: no such file") from None
    return kept.getvalue()


def _http(host: str, port: int, timeout: float, context: ssl.SSLContext | None) -> bytes:
    link = (http.client.HTTPConnection(host, port, timeout=timeout) if context is None
            else http.client.HTTPSConnection(host, port, timeout=timeout, context=context))  # fmt: skip
    try:
        link.request(
            "GET",
            f"/{CHECK_FILE}",
            headers={"Host": f"{bracketed(host)}:{port}", "User-Agent": "mv-watchdog"},
        )
        answer = link.getresponse()
        if answer.status == 200:
            return answer.read(LARGEST + 1)
        said = f"{answer.status} {answer.reason}"
        raise Answered(
            {404: "missing", 403: "missing", 410: "missing", 503: "busy"}.get(answer.status, "broken"), said
        )
    finally:
        link.close()


def _ftp(host: str, port: int, timeout: float, context: ssl.SSLContext | None) -> bytes:
    # What is fetched is public, and the phones' own way is what is tried.
    client = ftplib.FTP() if context is None else _Implicit(context=context)  # noqa: S321
    kept = bytearray()

    def take(piece: bytes) -> None:
        kept.extend(piece)
        if len(kept) > LARGEST:
            raise Answered("broken", "more octets than a check file has")

    try:
        client.connect(host, port, timeout)
        client.login()
        if isinstance(client, ftplib.FTP_TLS):
            client.prot_p()
        client.retrbinary(f"RETR {CHECK_FILE}", take)
        return bytes(kept)
    except (ftplib.error_temp, ftplib.error_perm, ftplib.error_reply) as error:
        said = str(error)
        code = said[:3]
        result = "missing" if code == "550" else "busy" if re.match("4(21|50)", code) else "broken"
        raise Answered(result, said) from None
    finally:
        client.close()


class _Implicit(ftplib.FTP_TLS):
    """FTPS as on port 990: TLS from the first octet on."""

    def connect(self, host: str = "", port: int = 0, timeout: Any = -999, source_address: Any = None) -> str:
        self.host, self.port, self.timeout = host, port, timeout
        plain_sock = socket.create_connection((host, port), timeout)
        self.af = plain_sock.family
        self.sock = self.context.wrap_socket(plain_sock, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome


Download = Callable[[str, int, float, ssl.SSLContext | None], bytes]
FETCHES: dict[str, Download] = {"tftp": _tftp, "http": _http, "https": _http, "ftp": _ftp, "ftps": _ftp}


def _explained(error: ssl.SSLCertVerificationError) -> str:
    known = {
        10: "the certificate has ended",
        9: "the certificate does not hold yet: look at this host's clock",
    }
    return known.get(error.verify_code, f"the certificate is not accepted: {error.verify_message}")


Key = TypeVar("Key", bound=Hashable)


class Sides:
    """Jobs side by side, each in a thread of its own, with one time limit for all.

    One that stands still beyond it stays where it is, and is not begun a second time.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, threading.Thread] = {}

    def run(self, jobs: Mapping[Key, Callable[[], Any]], limit: float) -> dict[Key, Any]:
        """What each came to; those that were not ready in time are missing."""
        done: dict[Key, Any] = {}
        begun = []
        for key, job in jobs.items():
            old = self._running.get(key)
            if old is not None and old.is_alive():
                continue

            def work(key: Key = key, job: Callable[[], Any] = job) -> None:
                done[key] = job()

            thread = threading.Thread(target=work, name=f"probe {key}", daemon=True)
            self._running[key] = thread
            begun.append(thread)
            thread.start()
        until = time.monotonic() + limit
        for thread in begun:
            thread.join(max(0.0, until - time.monotonic()))
        self._running = {key: one for key, one in self._running.items() if one.is_alive()}
        return dict(done)
