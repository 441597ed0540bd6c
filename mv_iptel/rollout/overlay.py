"""What a roll-out gives phones instead of the live scripts: the new ones to its ring, to others nothing.

The library asks for every file that it opens, so the first look is one at a dictionary.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.firmware.placing import directories
from mv_iptel.firmware.releases import Releases
from mv_iptel.library.answers import Phone
from mv_iptel.library.contents import Body, Key
from mv_iptel.rollout.composing import LONGEST, asks_for, compose, ring_name
from mv_iptel.rollout.plans import OVER, RUNNING, Met, Rollout
from mv_iptel.rollout.rings import Clause

COMPOSED = 64  # scripts with questions in them that are remembered


class Script(NamedTuple):
    """One script of the ring: as the release spells it, and what the ring gets."""

    name: str
    ring: str  # the name of its own
    body: Body


class Overlay:
    """One state of a roll-out; replaced whole when that changes. May be used from any thread.

    `kept` maps a phone's MAC, else its address, to what became of it: who is in it keeps what it has.
    Raises OSError if a script of the ring cannot be read or is not what the plan says.
    """

    def __init__(self, rollout: Rollout, config: Config, kept: Mapping[str, Met]):
        self.rollout = rollout
        self._kept = kept
        self._ring = rollout.ring
        self._over = rollout.state in OVER
        self._running = rollout.state == RUNNING
        # folder -> folded name -> script; the ring's names stand there too
        self._scripts: dict[str, dict[str, Script]] = {}
        self._composed: OrderedDict[tuple[str, Key, tuple[Clause, ...]], Body] = OrderedDict()
        self.paths: dict[str, str] = {}  # the path of a ring's script -> its name
        releases, where = Releases(config.home), directories(config)
        for place, named in rollout.scripts.items():
            here = self._scripts.setdefault(os.fspath(where[place]), {})
            for name, sha256 in named.items():
                path = releases.content(sha256)
                body = Body.made(_read(path, sha256), name, os.fspath(path), rollout.since)
                ring = ring_name(rollout.run, name)
                script = Script(name, ring, body)
                here[name.casefold()] = here[ring.casefold()] = script
                self.paths[body.path] = name

    def to(self, rollout: Rollout) -> Overlay:
        """The same in another state, by the scripts that were read: a halt must not depend on the disk."""
        other = copy.copy(self)
        other.rollout = rollout
        other._ring, other._over = rollout.ring, rollout.state in OVER
        other._running = rollout.state == RUNNING
        return other

    def instead(
        self, address: str, phone: Phone, folder: Path, name: str, live: Body | None
    ) -> tuple[Body | str, str] | None:
        """What this phone gets instead of `live`, and why; None: nothing else."""
        here = self._scripts.get(os.fspath(folder))
        if here is None:
            return None
        folded = name.casefold()
        script = here.get(folded)
        if script is None:
            return None
        told = f"roll-out of {self.rollout.release}"
        own = folded == script.ring.casefold()
        answer = self.holds(address, phone)
        if own:
            # It read a script that asked it, and found itself in the ring.
            if answer:
                return script.body, f"{told}: it says that it is in the ring"
            return script.name, f"{told}, {self.rollout.state}: no more phones come in"
        if answer is True:
            return script.body, f"{told}: it is in the ring"
        if not answer or live is None or not asks_for(script.ring):
            return None
        composed = self._compose(script, live, answer)
        return None if composed is None else (composed, f"{told}: it is asked whether it is in the ring")

    def holds(self, address: str, phone: Phone) -> bool | tuple[Clause, ...]:
        """Whether this phone gets the new scripts, or what it must be asked."""
        if self._over:
            return False
        if phone.mac and phone.mac in self._kept:
            return True
        met = self._kept.get(address)
        if met is not None and (not met.model or not phone.model or met.model == phone.model):
            # Nothing but its address is known: the phones of a whole network may stand behind that, and
            # who was asked before is asked again.
            return self._ring.holds(address, phone.model) or True
        return self._ring.holds(address, phone.model) if self._running else False

    def _compose(self, script: Script, live: Body, clauses: tuple[Clause, ...]) -> Body | None:
        key = (script.ring, live.key, clauses)
        body = self._composed.get(key)
        if body is None:
            try:
                data = live.data if live.data is not None else os.pread(live.fd, LONGEST + 1, 0)
            except OSError:
                return None
            if len(data) > LONGEST:
                return None
            made = compose(data, clauses, script.ring)
            mtime = max(live.mtime, self.rollout.since)
            body = self._composed[key] = Body.made(made, live.name, live.path, mtime)
            while len(self._composed) > COMPOSED:
                self._composed.popitem(last=False)
        return body


def _read(path: Path, sha256: str) -> bytes:
    with path.open("rb") as file:
        data = file.read(LONGEST + 1)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise OSError(0, "its content is not what was taken in; install the release again", os.fspath(path))
    return data
