"""A customer's FTP server (pyftpdlib's own), in a thread: what it was sent, and what it refuses."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

USER, PASSWORD = "mvuser", "opensesame"
ALL = "elradfmwMT"  # every right that pyftpdlib knows


class Customer:
    """`with Customer(folder) as customer:`; a port of its own, one account."""

    def __init__(self, folder: Path, rights: str = ALL, certificate: Path | None = None, port: int = 0):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.refused: dict[str, str] = {}  # name -> the reply to its STOR
        self.said: list[str] = []  # every command that came, in order
        self.meanwhile: dict[str, Callable[[], None]] = {}  # command -> what happens just before it, once
        customer = self

        class Handler(TLS_FTPHandler if certificate else FTPHandler):
            def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
                customer.said.append(line if cmd != "PASS" else "PASS")
                customer.meanwhile.pop(cmd, lambda: None)()
                name = arg.rpartition("/")[2].removesuffix(".part")
                if cmd == "STOR" and name in customer.refused:
                    self.respond(customer.refused[name])
                    return
                super().pre_process_command(line, cmd, arg)

        Handler.auth_failed_timeout = 0  # else it holds back each refused login
        Handler.authorizer = DummyAuthorizer()
        Handler.authorizer.add_user(USER, PASSWORD, str(folder), perm=rights)
        if certificate:
            Handler.certfile = str(certificate)
            Handler.tls_control_required = Handler.tls_data_required = True
        self._loop = IOLoop()
        self._server = FTPServer(("127.0.0.1", port), Handler, ioloop=self._loop)
        self.port = self._server.address[1]
        self._ends = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Customer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        self._thread.join(10)

    def _serve(self) -> None:
        while not self._ends:
            self._server.serve_forever(timeout=0.02, blocking=False)
        self._server.close_all()  # the loop may be touched by its own thread only

    def count(self, command: str) -> int:
        return sum(line.split(" ")[0] == command for line in self.said)

    def files(self, folder: str = "") -> dict[str, bytes]:
        here = self.folder / folder
        return (
            {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
            if here.is_dir()
            else {}
        )


def self_signed(file: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "customer")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    kind, form, plain = (
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
    )  # fmt: skip
    file.write_bytes(made.public_bytes(kind) + key.private_bytes(kind, form, plain))
    return file
