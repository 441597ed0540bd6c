"""Many phones that keep their user's data from within the storm's loop, at servers that we did not write."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from mv_iptel.phones import boot, userdata
from mv_iptel.phones.boot import Servers
from mv_iptel.phones.families import Handset
from mv_iptel.phones.storm import EXTENSIONS, Backups, Plan, Storm
from tests.phones.depots import FtpDepot, HttpDepot
from tests.phones.test_agent import free

HOST = ("127.0.0.1",)


def booted(handset: Handset, servers: Servers, firmware: str) -> boot.Play:
    """A phone that has nothing to load."""
    yield from ()
    return boot.Booted(True, "ready", handset)


def storm(phones: int, protocol: str, port: int, **more) -> Storm:
    """A storm whose phones only keep user data: FTP's standard port is moved, HTTP's is told."""
    told = Servers(tftp=HOST, offset=port - userdata.FTP) if protocol == "tftp" else Servers(
        http=HOST, http_port=port)  # fmt: skip
    backups = Backups("public", more.pop("snmp_port", 0))
    plan = Plan(phones, {protocol: told}, {protocol: 1}, **{"arrival": 0.2, "backups": backups, **more})
    return Storm(plan, {}, play=booted)


def test_each_phone_stores_and_fetches_its_own(tmp_path):
    with FtpDepot(tmp_path) as server:
        result = storm(60, "tftp", server.port).run()
    assert [phone.why for phone in result.failed] == []
    assert all(phone.stored and phone.restored and phone.saving > 0 for phone in result.phones)
    told = result.as_dict()["user_data"]
    assert (told["stored"], told["restored"], told["failed"]) == (60, 60, 0)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    names = {f"{EXTENSIONS + number}_4620data.txt" for number in range(1, 61)}
    assert set(files) == names and len(set(files.values())) == 60
    assert result.unverified == 0


def test_the_same_over_http():
    with HttpDepot() as server:
        result = storm(40, "http", server.port).run()
    assert [phone.why for phone in result.failed] == []
    assert len(server.files) == 40 and len(set(server.files.values())) == 40
    assert [method for method, *_ in server.heard].count("PUT") == 40


def test_a_refused_store_is_a_failed_phone(tmp_path):
    with FtpDepot(tmp_path, rights="elr") as server:
        result = storm(3, "tftp", server.port).run()
    assert len(result.failed) == 3 and not any(phone.stored for phone in result.phones)
    assert all("was not stored: 550" in phone.why for phone in result.failed)
    with HttpDepot("a:b") as server:
        result = storm(3, "http", server.port).run()
    assert all("was not stored: 401" in phone.why for phone in result.failed) and len(result.failed) == 3


def test_one_wrong_octet_is_a_failed_phone(tmp_path):
    class Liar(HttpDepot):
        """Gives back something else than it took."""

    with Liar() as server:

        class Bent(dict):
            def get(self, name, default=None):
                data = dict.get(self, name, default)
                return data[:-2] + b"x" + data[-1:]

        server.files = Bent()
        result = storm(2, "http", server.port).run()
    assert len(result.failed) == 2 and all(phone.stored and not phone.restored for phone in result.phones)
    assert all("96xxdata.txt: wrong bytes" in phone.why for phone in result.failed)


def test_an_address_without_its_port_is_said(tmp_path):
    port = free()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.1.1.1", port))
        with FtpDepot(tmp_path) as server:
            result = storm(2, "tftp", server.port, snmp_port=port).run()
    (phone,) = result.failed
    assert "cannot answer SNMP on 127.1.1.1" in phone.why


def scripted(*lines: bytes, data: str = ""):
    """An FTP server that says these lines, whatever it hears.

    `data`: whether its data connection is closed or reset before the line that follows a 150, or a STOR.
    """
    control = socket.create_server(("127.0.0.1", 0))
    side = socket.create_server(("127.0.0.1", 0))
    port = side.getsockname()[1]

    def serve() -> None:
        with control, side:
            connection, _ = control.accept()
            with connection:
                moving: list[socket.socket] = []
                for number, line in enumerate(lines):
                    if number and lines[number - 1][:3] != b"150":
                        connection.recv(1000)
                    if moving and data and line[:3] != b"150":
                        if data == "reset":
                            moving[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        moving.pop().close()
                    connection.sendall(line.replace(b"PORT", b"%d,%d" % (port >> 8, port & 255)))
                    if b"227" in line:
                        moving.append(side.accept()[0])
                connection.recv(1000)

    threading.Thread(target=serve, daemon=True).start()
    return control.getsockname()[1]


LOGIN = (b"220 x\r\n", b"331 x\r\n", b"230 x\r\n", b"200 x\r\n")
PASSIVE = b"227 Go (127,0,0,1,PORT)\r\n"
ENDS = {
    "busy": ((b"421 Too many\r\n",), "", "421 Too many"),
    "no data connection": ((*LOGIN, b"425 None\r\n"), "", "425 None"),
    "closed by the server, then refused": ((*LOGIN, PASSIVE, b"550 No SNMP\r\n"), "closed", "550 No SNMP"),
    "reset by the server, then refused": ((*LOGIN, PASSIVE, b"550 No SNMP\r\n"), "reset", "550 No SNMP"),
    "ended in the middle": ((*LOGIN, PASSIVE, b"150 Go\r\n", b"452 Full\r\n"), "reset", "452 Full"),
    "gone": ((*LOGIN,), "", "the server closed the connection"),
    "nonsense": ((b"hello\r\n",), "", "an answer that is no FTP"),
}


@pytest.mark.parametrize("case", ENDS)
def test_servers_that_misbehave(case):
    lines, data, why = ENDS[case]
    (phone,) = storm(1, "tftp", scripted(*lines, data=data)).run().failed
    assert phone.why.endswith(f"was not stored: {why}")


def test_a_silent_server_fails_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (phone,) = storm(1, "tftp", silent.getsockname()[1], within=1.0).run().failed
    assert "did not end" in phone.why


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    (phone,) = storm(1, "tftp", port).run().failed
    assert "connection refused" in phone.why
