"""Servers that we did not write, for phones to keep their data on: pyftpdlib's plain FTP, and http.server."""

from __future__ import annotations

import base64
import http.server
import threading
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer


class FtpDepot:
    """An anonymous FTP server over a folder. `with FtpDepot(folder) as depot:`; `depot.port`."""

    def __init__(self, folder: Path, rights: str = "elradfmw"):
        authorizer = DummyAuthorizer()
        authorizer.add_anonymous(str(folder), perm=rights)
        self.heard: list[str] = []
        heard = self.heard

        class Handler(FTPHandler):
            def pre_process_command(self, line, cmd, arg):
                heard.append(line)
                super().pre_process_command(line, cmd, arg)

        Handler.authorizer = authorizer
        self._loop = IOLoop()
        self._server = FTPServer(("127.0.0.1", 0), Handler, self._loop, backlog=1024)
        self.port = self._server.address[1]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._loop.loop(0.02, blocking=False)
        self._server.close_all()

    def __enter__(self) -> FtpDepot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)


class HttpDepot:
    """PUT and GET over HTTP; `files` is what is kept, `login` ("user:password") what is asked for."""

    def __init__(self, login: str = "", secure=None):
        self.files: dict[str, bytes] = {}
        self.heard: list[tuple[str, str, str, str]] = []  # method, path, Authorization, User-Agent
        depot = self
        wanted = "Basic " + base64.b64encode(login.encode()).decode() if login else ""

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def _answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(body)

            def _may(self) -> bool:
                given = self.headers.get("Authorization", "")
                depot.heard.append((self.command, self.path, given, self.headers.get("User-Agent", "")))
                if given == wanted:
                    return True
                self._answer(401)
                return False

            def do_PUT(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self._may():
                    new = self.path not in depot.files
                    depot.files[self.path] = data
                    self._answer(201 if new else 204)

            def do_GET(self) -> None:
                if self._may():
                    data = depot.files.get(self.path)
                    self._answer(404 if data is None else 200, data or b"")

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 1024

        self._server = Server(("127.0.0.1", 0), Handler)
        if secure is not None:
            self._server.socket = secure.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> HttpDepot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
