"""A store over a folder of its own, with a clock that the test turns and the events it published."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

from mv_iptel import config
from mv_iptel.events import Event, Notice
from mv_iptel.home import Home
from mv_iptel.library.answers import Refuse
from mv_iptel.userdata import versions
from mv_iptel.userdata.names import Kept, parse
from mv_iptel.userdata.store import Origin, Outcome, Store

START = 1_780_000_000.0  # 28 May 2026, 20:26 UTC
NAME = "1234_4620data.txt"
DAY = 86_400.0
NOBODY = Origin(how="none")


class Shelf:
    """`put` and `remove` wait for the answer; keywords are keys of the configuration."""

    def __init__(self, root: Path, start: float = START, **keys: object):
        self.root = root
        self.time = start
        self.events: list[Event] = []
        whole = config.defaults(Home(root))
        size = keys.pop("max_backup_bytes", whole.http.max_backup_bytes)
        self.config = replace(
            whole, settings=replace(whole.settings, **keys), http=replace(whole.http, max_backup_bytes=size)
        )
        self.folder = self.config.http.backup_dir
        self.store = self.another()

    def another(self) -> Store:
        return Store(self.config, self.events.append, lambda: self.time)

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def put(
        self, data: bytes, name: str = NAME, match: str = "", origin: Origin = NOBODY,
        later: float = 1.0,
    ) -> Outcome:  # fmt: skip
        self.time += later
        draft = self.store.draft(kept(name), origin, match)
        if isinstance(draft, Refuse):
            return draft
        for start in range(0, len(data), 40_000):
            refuse = draft.write(data[start : start + 40_000])
            if refuse is not None:
                draft.abort()
                return refuse
        return answer(draft)

    def remove(self, name: str = NAME, match: str = "") -> Outcome:
        self.time += 1.0
        draft = self.store.removal(kept(name), Origin(how="none"), match)
        return draft if isinstance(draft, Refuse) else answer(draft)

    def current(self, name: str = NAME) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def older(self, name: str = NAME) -> list[bytes]:
        """The contents of the versions and the archive, the newest first."""
        found = [one for one in versions.of(self.config, name) if one.id != versions.CURRENT]
        return [versions.read(self.config, name, one.id) for one in found]

    def places(self, name: str = NAME) -> list[str]:
        return [one.place for one in versions.of(self.config, name)]

    def parts(self) -> list[str]:
        """What is half written anywhere."""
        return [str(path) for path in self.root.rglob("*.part")]

    def notices(self, kind: str = "") -> list[Notice]:
        return [one for one in self.events if isinstance(one, Notice) and kind in ("", one.kind)]


def kept(name: str) -> Kept:
    found = parse(name)
    assert found is not None
    return found


def answer(draft) -> Outcome:
    """Commit, and wait for what became of it."""
    ended, outcomes = threading.Event(), []

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        ended.set()

    draft.commit(done)
    assert ended.wait(60), "no answer to a commit"
    assert len(outcomes) == 1
    return outcomes[0]


def on_disk(config) -> dict[str, int]:
    """Files, versions and octets as they lie there, counted the plain way."""
    held = versions.listing(config)
    return {
        "files": sum(one.current is not None for one in held),
        "versions": sum(one.versions for one in held),
        "bytes": sum(one.octets for one in held),
    }


def links(path: Path) -> int:
    return os.stat(path).st_nlink
