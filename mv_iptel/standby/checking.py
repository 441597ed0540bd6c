"""Whether this server gives phones their files: real downloads over TLS and TFTP, within a time limit.

keepalived starts it once a second on both servers, so it asks with plain sockets and loads little: the
simulated phone and the commands would cost a tenth of a core here. Run as
`python3 -m mv_iptel.standby.checking`; `mv-iptel standby check` is the same for people.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.files import replace, states
from mv_iptel.home import CHECK_FILE, Home

LIMIT = 3.0  # seconds for all downloads together
AGAIN = 0.3  # seconds until the second try where nobody listens: a restart is no failure yet
LARGEST = 1 << 20  # octets of a check file
REPEAT = 1.0  # seconds between two TFTP packets of ours, as phones do
GOOD, BAD, UNKNOWN = 0, 1, 2  # exit codes

_RRQ, _DATA, _ACK, _ERROR = 1, 3, 4, 5
_BLOCK = 512


class Target(NamedTuple):
    """One download: where, and the directories in one of which the same file lies."""

    proto: str  # https, http, tftp
    host: str
    port: int
    directories: tuple[str, ...]


class Result(NamedTuple):
    """What became of it; `text` says why it is bad, or what is odd about a good one."""

    target: Target
    good: bool
    text: str
    seconds: float


class Unusable(Exception):
    """There is nothing to ask; the argument says why."""


# --- what to ask


def targets(home: Home) -> list[Target]:
    """One download for TLS and one for TFTP, as far as the ini has them on; HTTP where TLS is off.

    Remembered in `var`: an ini with mistakes leaves the server as it was, so it must not end the checks of
    a server that then dies. Raises Unusable.
    """
    kept = home.var / "standby.json"
    state = [list(one) for one in states([home.ini])]
    known = _remembered(kept)
    if known is not None and known[0] == state:
        return known[1]
    from mv_iptel import config  # what is remembered spares reading it each second

    try:
        found = _chosen(config.load(home))
    except (config.ConfigError, OSError) as error:
        if known is not None:
            return known[1]
        raise Unusable(f"{home.ini} does not load, and nothing is remembered: {error}") from error
    told = json.dumps({"ini": state, "targets": found}).encode()
    try:
        replace(kept, told, 0o640, sync=False)
    except OSError:
        pass  # not our right, or the disk is full: it is read again the next time
    return found


def _chosen(config: Any) -> list[Target]:
    hosts = config.settings.bind_address
    host = hosts[0] if hosts else "127.0.0.1"
    http_dir, https, tftp = str(config.http.http_dir), config.https, config.tftp
    found = []
    if https.run_https:
        directories = [str(https.https_dir), *([http_dir] if https.https_fallback else [])]
        found.append(Target("https", host, https.https_port, tuple(directories)))
    elif config.http.run_http:
        found.append(Target("http", host, config.http.http_port, (http_dir,)))
    if tftp.run_trivial_ftp:
        found.append(Target("tftp", host, tftp.trivial_ftp_port, (str(tftp.tftp_dir),)))
    if not found:
        raise Unusable(
            "the ini has TFTP, HTTP and HTTPS switched off: there is nothing that phones could ask"
        )
    return found


def _remembered(path: Path) -> tuple[object, list[Target]] | None:
    try:
        told = json.loads(path.read_bytes())
        found = [
            Target(str(proto), str(host), int(port), tuple(map(str, directories)))
            for proto, host, port, directories in told["targets"]
        ]
        return (told["ini"], found) if found else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


# --- asking


def check(asked: Sequence[Target], limit: float = LIMIT) -> list[Result]:
    """Download from one after the other until one is bad; all together take at most `limit` seconds."""
    end = time.monotonic() + limit
    found: list[Result] = []
    for target in asked:
        found.append(_one(target, end))
        if not found[-1].good:
            break
    return found


def _one(target: Target, end: float) -> Result:
    began = time.monotonic()
    for last in (False, True):
        try:
            data = FETCHES[target.proto](target, end)
            good, text = _compared(target, data)
            if not good and not last:
                continue  # written anew while it was sent
        except ConnectionRefusedError:
            good, text = False, "nobody listens"
            if not last and time.monotonic() + AGAIN < end:
                time.sleep(AGAIN)
                continue
        except TimeoutError:
            good, text = False, "no answer in time"
        except (OSError, ValueError) as error:
            good, text = False, str(error) or type(error).__name__
        break
    return Result(target, good, text, time.monotonic() - began)


def _compared(target: Target, data: bytes | None) -> tuple[bool, str]:
    """Held against the disk. `data` None: the server says that there is no such file."""
    for directory in target.directories:
        try:
            with open(Path(directory) / CHECK_FILE, "rb") as file:
                there = file.read(LARGEST + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            return True, f"answered; {error.filename} cannot be read: {error.strerror}"
        if data is None:
            return False, f"says that there is no {CHECK_FILE}, which lies in {directory}"
        return there == data, "" if there == data else f"{CHECK_FILE} is not the one in {directory}"
    if data is not None:
        return False, f"gives a {CHECK_FILE} that is in none of its directories"
    return True, f"answered; no {CHECK_FILE} lies in {' or '.join(target.directories)}"


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _http(target: Target, end: float) -> bytes | None:
    """HTTP/1.0, so that the end of the connection is the end of the body."""
    sock: socket.socket = socket.create_connection(target[1:3], _left(end))
    with sock:
        if target.proto == "https":
            # A certificate that has ended is told by `check` and the watchdog. Those of a pair are mostly of
            # one day, so changing over would help nobody.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        with sock:
            return _said(sock, target, end)


def _said(sock: socket.socket, target: Target, end: float) -> bytes | None:
    host = f"[{target.host}]" if ":" in target.host else target.host
    sock.settimeout(_left(end))
    sock.sendall(f"GET /{CHECK_FILE} HTTP/1.0\r\nHost: {host}:{target.port}\r\n\r\n".encode())
    answer = bytearray()
    while True:
        sock.settimeout(_left(end))
        piece = sock.recv(65536)
        if not piece:
            break
        answer += piece
        if len(answer) > LARGEST:
            raise ValueError("answers without end")
    head, blank, body = bytes(answer).partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    words = line.split(None, 2)
    if not blank or len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ValueError("answers something that is no HTTP")
    if words[1] == b"404":
        return None
    if words[1] != b"200":
        raise ValueError("answers " + line[9:60].decode("ascii", "replace"))
    for field in fields:
        name, _, value = field.partition(b":")
        if name.lower() == b"content-length" and value.strip() != b"%d" % len(body):
            raise ValueError(
                f"ended after {len(body)} octets, and said {value.decode('ascii', 'replace').strip()}"
            )
    return body


def _tftp(target: Target, end: float) -> bytes | None:
    """RFC 1350 without options, one block after the other."""
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    body, block = bytearray(), 0
    packet = struct.pack("!H", _RRQ) + CHECK_FILE.encode() + b"\0octet\0"
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        peer: Any = (target.host, target.port)
        while True:
            sock.sendto(packet, peer)
            until = min(end, time.monotonic() + REPEAT)
            while (left := until - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    data, sender = sock.recvfrom(_BLOCK + 5)
                except TimeoutError:
                    break
                if sender[0] != target.host or (block and sender != peer) or len(data) < 4:
                    continue
                kind, number = struct.unpack_from("!HH", data)
                if kind == _ERROR:
                    if number == 1:
                        return None
                    raise ValueError(f"answers error {number}")
                if kind == _DATA and number == (block + 1) & 0xFFFF:
                    peer, block = sender, block + 1
                    body += data[4:]
                    packet = struct.pack("!HH", _ACK, number)
                    if len(data) < 4 + _BLOCK:
                        sock.sendto(packet, peer)
                        return bytes(body)
                    if len(body) > LARGEST:
                        raise ValueError("answers without end")
                    break
            _left(end)


FETCHES = {"https": _http, "http": _http, "tftp": _tftp}


def main(arguments: Sequence[str] | None = None) -> int:
    """`[--home DIR] [--limit SECONDS]`; the exit code is keepalived's answer, the output is for its log."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    told = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or not told.keys() <= {"--home", "--limit"}:
        print("usage: [--home DIR] [--limit SECONDS]", file=sys.stderr)
        return UNKNOWN
    try:
        limit = float(told.get("--limit", LIMIT))
        results = check(targets(Home.find(told.get("--home"))), limit)
    except (Unusable, ValueError) as error:
        print(error, file=sys.stderr)
        return UNKNOWN
    for one in results:
        if not one.good:
            print(f"{one.target.proto} {one.target.port}: {one.text}")
    return GOOD if all(one.good for one in results) else BAD


if __name__ == "__main__":
    # Nothing is left open: what the interpreter tidies up at its end is time.
    code = main()
    sys.stdout.flush()
    os._exit(code)
