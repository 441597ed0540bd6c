"""A TFTP server over a folder, on a free port of loopback, and who hears what it says."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mv_iptel import config as configuration
from mv_iptel.config import Config
from mv_iptel.events import Event, Stream
from mv_iptel.home import Home
from mv_iptel.library import Library
from mv_iptel.tftp.server import Server


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def receive(self, batch: list[Event]) -> None:
        self.events += batch


class House:
    """The server, its folder and its events."""

    def __init__(self, config: Config, bind: tuple[str, ...], fast: bool):
        self.config = config
        self.folder = config.tftp.tftp_dir
        self.heard = Heard()
        self.stream = Stream(self.heard)
        self.library = Library(config, self.stream)
        self.server = Server(
            config.tftp, bind, self.library, self.stream, **({} if fast else {"fast": False})
        )

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def address(self, six: bool = False) -> tuple[str, int]:
        """Where it listens; the wildcard is asked on loopback."""
        for listener in self.server.listeners():
            if (":" in listener["address"]) is six and listener["state"] == "up":
                return ("::1" if six else "127.0.0.1"), listener["port"]
        raise AssertionError(self.server.listeners())

    def events(self, kind: str = "finished") -> list:
        """What was said so far."""
        self.stream.drain()
        return [event for event in self.heard.events if event.event == kind]

    def ended(self, count: int, patience: float = 10.0) -> list:
        """The first `count` ends of requests, once there are as many."""
        until, pause = time.monotonic() + patience, threading.Event()
        while len(found := self.events()) < count and time.monotonic() < until:
            pause.wait(0.01)
        assert len(found) == count, found
        return found


@pytest.fixture
def house(tmp_path):
    """`house(bind=(…), settings={…}, fast=True, **keys of [TFTP])`: a running server."""
    made: list[House] = []

    def build(
        bind: tuple[str, ...] = ("127.0.0.1",),
        settings: dict[str, object] | None = None,
        fast: bool = True,
        start: bool = True,
        **keys: object,
    ) -> House:
        config = configuration.defaults(Home(tmp_path / f"home{len(made)}"))
        config.tftp.tftp_dir.mkdir(parents=True)
        config = dataclasses.replace(
            config,
            tftp=dataclasses.replace(config.tftp, **{"trivial_ftp_port": 0, **keys}),
            settings=dataclasses.replace(config.settings, **(settings or {})),
        )
        one = House(config, bind, fast)
        made.append(one)
        if start:
            one.server.start()
        return one

    yield build
    for one in made:
        one.server.stop(0.0)
        assert one.events("notice") == []  # a fault of ours, or anything else nobody expected


Build = Callable[..., House]
