"""A central server with the real library for the tests: own thread, free port, branches that have joined."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import ssl
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mv_iptel import certs, config
from mv_iptel.central.server import CentralServer
from mv_iptel.events import Event, Notice, Stream
from mv_iptel.firmware import generations
from mv_iptel.firmware.releases import Releases
from mv_iptel.home import Home
from mv_iptel.library import Library


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Key:
    """A branch's key and its request for a certificate."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        made = request.sign(self.key, hashes.SHA256())
        self.csr = made.public_bytes(serialization.Encoding.PEM).decode()

    def pem(self) -> bytes:
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, *form)


class Branch:
    """One that has joined: asks with its token, and shows its certificate if it is told to."""

    def __init__(self, office: Office, name: str):
        self.office, self.name, self.key = office, name, Key()
        told = {"token": office.server.branches.invite(name, 7), "csr": self.key.csr, "server": f"At {name}"}
        joined = office.ask("POST", "/v1/join", json.dumps(told).encode())
        assert joined.status == 200, joined.body
        self.joined = joined.json
        self.token = self.joined["token"]
        self.files = office.home.root / f"{name}.pem"
        self.files.write_bytes(self.joined["certificate"].encode() + self.key.pem())

    def ask(self, method: str, path: str, body: bytes | None = None, shows: bool = False, **headers: str):
        given = {"Authorization": f"Bearer {self.token}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.office.ask(method, path, body, given, self.files if shows else None)

    def put(self, name: str, data: bytes, changed: float | None = None, **headers: str) -> Answer:
        headers["MV_Sha256"] = hashlib.sha256(data).hexdigest()
        if changed is not None:
            headers["MV_Changed"] = str(changed)
        return self.ask("PUT", f"/v1/userdata/{name}", data, **headers)


class Office:
    """Everything of one running central server. `with` starts and stops it."""

    def __init__(self, folder: Path, **keys: Any):
        self.home = Home(folder)
        if not self.home.ca_cert.exists():
            certs.make_authority(self.home, "office")
            certs.make_server(self.home, certs.Names(("localhost",), ("127.0.0.1",)))
        self.config = config.defaults(self.home)
        self.config = self.changed(settings={"bind_address": ("127.0.0.1",)},
                                   backup_servers={"file_server": True, "file_server_port": 0})  # fmt: skip
        self.config = self.changed(**keys)
        for place in (self.home.lists, self.config.http.backup_dir, self.home.var / "releases"):
            place.mkdir(parents=True, exist_ok=True)
        self.events: list[Event] = []
        self.stream = Stream(self)
        self.library = Library(self.config, self.stream)
        self.server = CentralServer(self.config, self.library, self.stream)
        self.server.look_again = 0.02
        self.loop = asyncio.new_event_loop()
        self.troubles: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.troubles.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def receive(self, batch: list[Event]) -> None:
        self.events.extend(batch)

    def changed(self, **keys: dict[str, Any]) -> config.Config:
        """The configuration with other values: `changed(https={"client_auth": True})`."""
        parts = {part: replace(getattr(self.config, part), **values) for part, values in keys.items()}
        return replace(self.config, **parts)

    def __enter__(self) -> Office:
        self._thread.start()
        self.library.backups.store.open()
        self.call(self.server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.server.stop(0.2))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.library.close()
        assert self.troubles == []

    def call(self, work: Any) -> Any:
        """Run it on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def reload(self, **keys: dict[str, Any]) -> None:
        self.config = self.changed(**keys)
        self.library.reload(self.config)
        self.call(self.server.reload(self.config))

    @property
    def port(self) -> int:
        return self.server.listeners()[0]["port"]

    def context(self, files: Path | None = None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(self.home.ca_cert))
        if files is not None:
            made.load_cert_chain(files)
        return made

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None,
        files: Path | None = None,
    ) -> Answer:  # fmt: skip
        context = self.context(files)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        try:
            connection.request(method, path, body, headers or {})
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def publish(self, number: int, *contents: bytes) -> list[str]:
        """Contents into the store, and a generation that has them as firmware."""
        releases, entries = Releases(self.home), []
        for at, data in enumerate(contents):
            sha256 = hashlib.sha256(data).hexdigest()
            path = releases.content(sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            entries.append(generations.Entry("HTTPdata", f"fw{at}.bin", len(data), sha256, "software", "r-1"))
        generations.put(self.home, generations.Generation(number, 5.0, "publish", "r-1", tuple(entries)))
        return [one.sha256 for one in entries]

    def notices(self, kind: str) -> list[str]:
        self.stream.drain()
        return [one.text for one in self.events if isinstance(one, Notice) and one.kind == kind]
