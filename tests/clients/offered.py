"""What a DHCP server really offers: a network of its own, a DISCOVER, and the options of the answer as JSON.

Run in a network namespace: `unshare -n python offered.py FOLDER PROGRAM WORD…`; the program serves on `v0`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time

MAC = bytes.fromhex("00040d000001")
ASKED = (1, 43, 66, 150, 176, 242)


def discover(xid: int) -> bytes:
    """A frame that asks everybody for these options."""
    options = b"\x63\x82\x53\x63\x35\x01\x01" + bytes((55, len(ASKED), *ASKED)) + b"\x39\x02\x05\xc0\xff"
    body = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 1, 1, 6, 0, xid, 0, 0x8000, *[bytes(4)] * 4,
                       MAC, b"", b"") + options  # fmt: skip
    udp = struct.pack("!HHHH", 68, 67, 8 + len(body), 0) + body
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    return b"\xff" * 6 + MAC + b"\x08\x00" + head + udp


def options(frame: bytes, xid: int) -> dict[int, bytes]:
    """The options of an answer; empty if the frame is none."""
    if frame[12:14] != b"\x08\x00" or len(frame) < 42 or frame[23] != 17:
        return {}
    start = 14 + (frame[14] & 15) * 4
    if frame[start : start + 4] != struct.pack("!HH", 67, 68):
        return {}
    body = frame[start + 8 :]
    if body[0] != 2 or struct.unpack("!I", body[4:8]) != (xid,):
        return {}
    found: dict[int, bytes] = {}
    rest = body[240:]
    while rest and rest[0] != 255:
        if rest[0]:
            found[rest[0]] = found.get(rest[0], b"") + rest[2 : 2 + rest[1]]
            rest = rest[2 + rest[1] :]
        else:
            rest = rest[1:]
    return found


def main(folder: str, *command: str) -> int:
    for words in ("link add v0 type veth peer name v1", "addr add 192.0.2.5/24 dev v0", "link set lo up",
                  "link set v0 up", "link set v1 up"):  # fmt: skip
        subprocess.run(["ip", *words.split()], check=True)
    env = {**os.environ, "KEA_PIDFILE_DIR": folder, "KEA_LOCKFILE_DIR": folder}
    with (
        open(os.path.join(folder, "log"), "wb") as log,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300) as wire,
    ):
        wire.bind(("v1", 0))
        wire.settimeout(0.2)
        server = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        try:
            for xid in range(1, 30):
                wire.send(discover(xid))
                until = time.monotonic() + 1
                while time.monotonic() < until:
                    try:
                        found = options(wire.recv(2048), xid)
                    except TimeoutError:
                        continue
                    if found:
                        print(json.dumps({code: value.hex() for code, value in found.items()}))
                        return 0
                if server.poll() is not None:
                    break
        finally:
            server.terminate()
            server.wait()
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
