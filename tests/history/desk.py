"""A history over a home of its own, with a clock that the test turns and the events it published."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mv_iptel import config
from mv_iptel.events import Event
from mv_iptel.history import History
from mv_iptel.history.judging import Place, Problem, found_in
from mv_iptel.home import Home

START = 1_780_000_000.0  # 28 May 2026, 20:26 UTC
NAME = "46xxsettings.txt"
KEY = f"HTTPdata/{NAME}"


def judge(places: Sequence[Place]) -> dict[str, list[Problem]]:
    """In this process: what judges is not what is tested."""
    return {place.folder: found_in(place) for place in places}


class Desk:
    """`write` is somebody's editor; `history` sees nothing by itself."""

    def __init__(self, root: Path):
        self.time = START
        self.events: list[Event] = []
        self.config = config.defaults(Home(root))
        self.home = self.config.home
        for folder in (self.home.tftp_data, self.home.http_data, self.home.https_data, self.home.var):
            folder.mkdir(parents=True)
        self.history = self.another()

    def another(self) -> History:
        return History(self.config, self.events.append, lambda: self.time, judge)

    def write(
        self, data: bytes | str, name: str = NAME, folder: Path | None = None, later: float = 60.0
    ) -> Path:
        self.time += later
        path = (folder or self.home.http_data) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
        os.utime(path, (self.time, self.time))
        return path

    def change(self, data: bytes | str, name: str = NAME) -> Path:
        """Written, and seen by the watcher."""
        path = self.write(data, name)
        self.time += 0.5
        self.history.seen(path)
        self.history.work()
        return path

    def contents(self, key: str = KEY) -> list[bytes | None]:
        """What is kept, the newest first; None where the file was gone."""
        copies = self.history.copies
        return [None if copy.gone else copies.read(key, copy.id) for copy in copies.of(key)]
