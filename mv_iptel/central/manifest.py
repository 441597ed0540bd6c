"""What branches are offered: the published generation as one JSON document, whose body never changes."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from mv_iptel.files import states
from mv_iptel.firmware import generations
from mv_iptel.home import Home

SCHEMA = 1


class Manifest(NamedTuple):
    """The body, and its SHA-256, which is its tag."""

    generation: int
    body: bytes
    sha256: str


def of(generation: generations.Generation) -> Manifest:
    """The manifest of a generation. What lay there before the first release is the site's own business."""
    rows = [
        {"place": one.place, "name": one.name, "size": one.size, "sha256": one.sha256, "role": one.role,
         "release": one.release}
        for one in sorted(generation.files)
        if one.release
    ]  # fmt: skip
    told = {"schema": SCHEMA, "generation": generation.number, "made": generation.time, "files": rows}
    body = json.dumps(told, separators=(",", ":")).encode() + b"\n"
    return Manifest(generation.number, body, hashlib.sha256(body).hexdigest())


class Manifests:
    """The manifest of now; made anew when the published generation changed. Reads files: for a thread."""

    def __init__(self, home: Home):
        self._home = home
        self._file = home.var / "releases" / "generation.json"
        self._state: object = None
        self._now = of(generations.Generation())

    def current(self) -> Manifest:
        """The one of the published generation. A smaller number than before is never told."""
        state = states([self._file])
        if state != self._state:
            found = generations.current(self._home)
            if found.number >= self._now.generation:
                self._now = of(found)
            self._state = state
        return self._now
