"""A running manager beside a running file server, and people who use it: by a browser or by curl's means."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.clients.daemon import COMMAND, PATIENCE, free_ports, set_keys, wait_for

MANAGER = COMMAND.with_name("mv-manager")
NEW = "correct horse battery"  # what `Person.settle` chooses


class Manager:
    """One running `mv-manager` of a home. `with Manager(home) as manager:`."""

    def __init__(self, home, keys: dict | None = None):
        self.home = home
        self.port = free_ports(1)[0]
        set_keys(home.manager_ini, {("Settings", "ManagerPort"): self.port, **(keys or {})})
        self.url = f"https://localhost:{self.port}"
        self.output = home.root / "manager.out"
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Manager:
        self.start()
        return self

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [str(MANAGER), "--home", str(self.home.root)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        wait_for(f"mv-manager ({self.output})", self._up)

    def _up(self) -> bool:
        assert self.process.poll() is None, f"mv-manager ended: {self.output.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()  # costs less than TLS
            return Person(self).get("/sign-in").status == 200
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        """A clean end, and nothing unexpected was ever printed."""
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert code == 0 and "Traceback" not in self.output.read_text(), self.output.read_text()

    def first_password(self) -> tuple[str, str]:
        """Name and password as `init` wrote them down."""
        found = re.search(r"^manager (\S+) (\S+)$", self.home.passwords.read_text(), re.MULTILINE)
        return found[1], found[2]


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: Any, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def etag(self) -> str:
        return (self.headers.get("ETag") or "").strip('"')


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


class Person:
    """Somebody with a cookie and a CSRF token, by the standard library's client; follows no redirect."""

    def __init__(self, manager: Manager):
        self.manager = manager
        self.cookies: dict[str, str] = {}
        self.csrf = ""
        context = ssl.create_default_context(cafile=str(manager.home.ca_cert))
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Stay)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> Answer:
        """One request, with the cookie; nothing else is added."""
        request = urllib.request.Request(self.manager.url + path, data=body, method=method)
        if self.cookies:
            request.add_header("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with self._opener.open(request, timeout=PATIENCE) as got:
                answer = Answer(got.status, got.headers, got.read())
        except urllib.error.HTTPError as refused:
            with refused:
                answer = Answer(refused.code, refused.headers, refused.read())
        for one in answer.headers.get_all("Set-Cookie") or ():
            for name, morsel in SimpleCookie(one).items():
                self.cookies[name] = morsel.value
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def call(
        self, method: str, path: str, told: Any = None, etag: str = "", headers: dict | None = None
    ) -> Answer:
        """One call of the API as a page makes it."""
        sent = {"X-CSRF-Token": self.csrf, "Content-Type": "application/json", **(headers or {})}
        if etag:
            sent["If-Match"] = f'"{etag}"'
        return self.ask(method, path, json.dumps(told if told is not None else {}).encode(), sent)

    def upload(self, method: str, path: str, data: bytes, headers: dict | None = None) -> Answer:
        kind = {"X-CSRF-Token": self.csrf, "Content-Type": "application/octet-stream"}
        return self.ask(method, path, data, {**kind, **(headers or {})})

    def sign_in(self, name: str, password: str) -> Answer:
        form = urlencode({"name": name, "password": password, "to": ""}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.ask("POST", "/sign-in", form, kind)
        if answer.status == 303:
            self.csrf = re.search(r'name="csrf" content="([^"]+)"', self.get("/account").text)[1]
        return answer

    def settle(self) -> Person:
        """The first administrator: signs in as `init` says, chooses the password NEW, is ready for work."""
        name, password = self.manager.first_password()
        assert self.sign_in(name, password).status == 303
        done = self.call("PUT", "/api/v1/account/password", {"old": password, "new": NEW, "again": NEW})
        assert done.status == 204, done.text
        assert self.sign_in(name, NEW).status == 303
        return self

    def finish(self, begun: Answer, state: str = "done") -> dict:
        """Wait until an operation is over; it must have ended so."""
        assert begun.status == 202, (begun.status, begun.text)
        place = begun.headers["Location"]

        def over() -> Any:
            told = self.get(place).json
            return told if told["state"] not in ("waiting", "running") else None

        told = wait_for(place, over, 60)
        assert told["state"] == state, told
        return told


CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM))
        yield running
        running.close()


class Window:
    """One browser window of a signed-in person. It notes what the console said and what left the machine."""

    def __init__(self, chromium: Any, person: Person, width: int = 1280, dark: bool = False):
        self.manager = person.manager
        self.context = chromium.new_context(
            ignore_https_errors=True, viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light", reduced_motion="reduce", accept_downloads=True,
        )  # fmt: skip
        self.context.add_cookies(
            [
                {"name": name, "value": value, "url": self.manager.url}
                for name, value in person.cookies.items()
            ]
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.said: list[str] = []
        self.strange: list[str] = []
        self.page.on("console", lambda one: self.said.append(f"{one.type}: {one.text}"))
        self.page.on("pageerror", lambda one: self.said.append(f"fault: {one}"))
        self.page.on("request", lambda one: self._seen(one.url))

    def _seen(self, url: str) -> None:
        if not url.startswith((self.manager.url, "data:", "blob:")):
            self.strange.append(url)

    def open(self, path: str) -> Any:
        """Go there; the page."""
        self.page.goto(self.manager.url + path)
        return self.page

    def picture(self, file: Path) -> None:
        self.page.screenshot(path=str(file), full_page=True)

    def faults(self) -> list[str]:
        """What axe finds serious or critical on the page as it is."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {node['html'][:160]} ({'; '.join(node['failureSummary'].splitlines()[1:])})"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def silent(self) -> None:
        """Nothing was said on the console, nothing asked of anybody else."""
        assert not self.said and not self.strange, (self.said, self.strange)

    def close(self) -> None:
        self.context.close()
