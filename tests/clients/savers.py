"""Phones that store user data again and again, with clients that are not ours (ftplib, http.client)."""

from __future__ import annotations

import ftplib
import http.client
import io
import random
import re
import threading
import time
from pathlib import Path

from tests.clients.daemon import Daemon

FIRST = 3000  # the extension of phone 0
HTTP_FROM = 14  # phones from this number on are 9640s and store by HTTP, those below are 4621SWs with FTP


def address(number: int) -> str:
    """Each phone has its own, and none is one of this host's."""
    return f"127.0.{77 + number // 250}.{number % 250 + 1}"


def number_of(address: str) -> int:
    *_, third, fourth = map(int, address.split("."))
    return (third - 77) * 250 + fourth - 1


def content(number: int, version: int, most: int = 40_000) -> bytes:
    """What phone `number` stores as its version `version`: made again from these two, to compare."""
    head = f"ABKNAME001={number}\nABKNUMBER001={version}\n"
    chance = random.Random(number << 32 | version)
    return head.encode() + chance.randbytes(chance.choice((0, 1, chance.randrange(most), most)))


def version_of(data: bytes) -> int:
    """Which version this says it is; whether it is whole, `content` tells."""
    match = re.match(rb"ABKNAME001=\d+\nABKNUMBER001=(\d+)\n", data)
    assert match, f"nobody sent this: {data[:80]!r} ({len(data)} octets)"
    return int(match[1])


def store_by_ftp(daemon: Daemon, here: str, name: str, data: bytes, timeout: float = 30) -> str:
    """The reply to STOR, of a whole session. Raises ftplib's errors."""
    with ftplib.FTP(timeout=timeout, source_address=(here, 0)) as ftp:
        ftp.connect("127.0.0.1", daemon.ftp)
        ftp.login()
        return ftp.storbinary(f"STOR {name}", io.BytesIO(data))


def store_by_http(daemon: Daemon, here: str, name: str, data: bytes, timeout: float = 30) -> int:
    """The status of a PUT. Raises OSError and HTTPException."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", daemon.http, timeout=timeout, source_address=(here, 0)
    )
    try:
        connection.request("PUT", f"/{name}", data)
        with connection.getresponse() as answer:
            answer.read()
            return answer.status
    finally:
        connection.close()


class Saver:
    """One phone: stores version after version until it is told to pause. A server that is away is normal."""

    def __init__(self, daemon: Daemon, number: int, pause: float = 0.0):
        self.daemon, self.number, self.pause = daemon, number, pause
        self.by_http = number >= HTTP_FROM
        self.ext, self.address = str(FIRST + number), address(number)
        self.name = f"{self.ext}_{'96xx' if self.by_http else '4620'}data.txt"
        self.sent = self.acknowledged = (
            0  # the last version that began to go out, and the newest that was confirmed
        )
        self.refused: list[str] = []  # anything but success and a connection that broke
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            self.sent += 1
            data = content(self.number, self.sent)
            try:
                if self.by_http:
                    said = str(store_by_http(self.daemon, self.address, self.name, data))
                else:
                    said = store_by_ftp(self.daemon, self.address, self.name, data)
            except ftplib.error_reply as error:
                self.refused.append(str(error))
            except (ftplib.error_perm, ftplib.error_temp) as error:
                self.refused.append(str(error))
            except (OSError, EOFError, http.client.HTTPException):
                time.sleep(0.01)  # it was killed, and is not up yet
            else:
                if said[:3] in {"201", "204", "226"}:
                    self.acknowledged = self.sent
                else:
                    self.refused.append(said)
            self.stop.wait(self.pause)

    def current(self, folder: Path) -> int | None:
        """The version on the disk, which is a whole one; None: there is no file."""
        try:
            data = (folder / self.name).read_bytes()
        except FileNotFoundError:
            return None
        version = version_of(data)
        assert data == content(self.number, version), f"{self.name}: not what was sent as {version}"
        return version


def says(address: str) -> tuple[str, str, str]:
    """What the phone at that address answers to SNMP: extension, type, family."""
    number = number_of(address)
    model, family = ("9640", "96x0") if number >= HTTP_FROM else ("4621SW", "4600")
    return str(FIRST + number), model, family
