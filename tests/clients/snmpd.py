"""A phone's SNMP agent, played by net-snmp's snmpd: a program that we did not write.

`with Agent("127.0.0.41", port, ext="1234", model="4621SW"):` answers as soon as the block begins. Each has
its own process, address, configuration and folder, so that many stand side by side and nothing outside of
a temporary folder is read or written.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.clients.daemon import wait_for

COMMUNITY = "ourstring"  # not the word that everybody knows
ENTERPRISE = "1.3.6.1.4.1.6889"
SYS_OBJECT = "1.3.6.1.2.1.1.2.0"

# family: (sysObjectID, extension object, type object); the addresses that the reference names.
OBJECTS = {
    "4600": (f"{ENTERPRISE}.1.69.1.1", f"{ENTERPRISE}.2.69.1.4.9.0", f"{ENTERPRISE}.2.69.1.1.2.0"),
    "96x0": (f"{ENTERPRISE}.1.69.2.1", f"{ENTERPRISE}.2.69.2.6.3.0", f"{ENTERPRISE}.2.69.2.1.43.0"),
    "16xx": (f"{ENTERPRISE}.1.69.3.1", f"{ENTERPRISE}.2.69.3.6.3.0", f"{ENTERPRISE}.2.69.3.1.43.0"),
    "96x1": (f"{ENTERPRISE}.1.69.5.1", f"{ENTERPRISE}.2.69.5.6.3.0", f"{ENTERPRISE}.2.69.5.1.43.0"),
}


def free_udp(address: str = "127.0.0.1") -> int:
    """A port that no UDP socket has now at that address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        return sock.getsockname()[1]


class Agent:
    """snmpd at one address, saying that it is this phone; v1 and v2c, for one community.

    ext          the extension; "" is a phone where nobody is logged in; None: it has no such object
    model        its type; None: no such object
    family       whose objects it has; `sys_object` replaces the sysObjectID of that family
    overrides    more objects, OID -> text (an int becomes an integer)
    """

    def __init__(
        self,
        address: str,
        port: int,
        ext: str | None = "1234",
        model: str | None = "4621SW",
        community: str = COMMUNITY,
        family: str = "4600",
        sys_object: str = "",
        overrides: Mapping[str, str | int] | None = None,
    ):
        self.address, self.port, self.community = address, port, community
        usual, ext_object, type_object = OBJECTS[family]
        self._sys_object = sys_object or usual
        said: dict[str, str | int | None] = {ext_object: ext, type_object: model, **(overrides or {})}
        self._said = {oid.lstrip("."): value for oid, value in said.items() if value is not None}
        self._folder: tempfile.TemporaryDirectory | None = None
        self.process: subprocess.Popen | None = None

    def _lines(self) -> list[str]:
        transport = f"udp6:[{self.address}]" if ":" in self.address else f"udp:{self.address}"
        kind = "rocommunity6" if ":" in self.address else "rocommunity"
        lines = [
            f"agentaddress {transport}:{self.port}",
            f"{kind} {self.community}",
            f"sysObjectID {self._sys_object}",
        ]
        for oid, value in self._said.items():
            form = f"integer {value}" if isinstance(value, int) else f'octet_str "{value}"'
            lines.append(f"override {oid} {form}")
        return lines

    def __enter__(self) -> Agent:
        self._folder = tempfile.TemporaryDirectory(prefix="snmpd-")
        folder = Path(self._folder.name)
        (folder / "snmpd.conf").write_text("\n".join(self._lines()) + "\n")
        self.output = folder / "snmpd.out"
        # No MIB files, and state of its own: else it reads the system's and asks for its persistent folder.
        surroundings = {
            **os.environ,
            "MIBS": "",
            "SNMP_PERSISTENT_DIR": str(folder),
            "SNMPCONFPATH": str(folder),
        }
        command = shutil.which("snmpd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        assert command, "no snmpd: ask conftest's program('snmpd') first"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [command, "-f", "-r", "-C", "-I", "-smux", "-c", str(folder / "snmpd.conf"), "-Loe"],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=surroundings, cwd=folder,
            )  # fmt: skip
        try:
            wait_for(f"snmpd at {self.address}", self.answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def answers(self) -> bool:
        """Whether it speaks now: any answer to a question of version 1 for its sysObjectID."""
        assert self.process.poll() is None, f"snmpd ended: {self.output.read_text('utf-8', 'replace')}"
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((self.address, self.port))
            sock.settimeout(0.1)
            try:
                sock.send(_probe(self.community))
                return bool(sock.recv(2048))
            except OSError:
                return False

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._folder.cleanup()


def _probe(community: str) -> bytes:
    """GET sysObjectID.0 in BER, by hand: nothing of ours has a part in saying that the agent is up."""

    def part(tag: int, *inner: bytes) -> bytes:
        data = b"".join(inner)
        assert len(data) < 128
        return bytes((tag, len(data))) + data

    oid = part(0x06, bytes((0x2B, 6, 1, 2, 1, 1, 2, 0)))
    zero = part(0x02, b"\0")
    asked = part(0x30, part(0x30, oid, part(0x05)))
    return part(0x30, zero, part(0x04, community.encode()), part(0xA0, part(0x02, b"\1"), zero, zero, asked))
