"""What a branch remembers of its central servers: generations taken, how far it has read, orders done.

`var/central/branch.json`. A damaged file is as none: then the manifest and all changes are read again, which
changes nothing that is right already.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from mv_iptel.central.authority import folder
from mv_iptel.central.peers import Peer
from mv_iptel.home import Home
from mv_iptel.userdata.disk import write_record

MOST_DONE = 1000  # orders whose result is remembered


class Done(NamedTuple):
    """An order that was carried out."""

    id: str
    ok: bool
    text: str


@dataclass(frozen=True)
class Known:
    """What is known of one central server."""

    generation: int = 0  # the newest that was dealt with: published, held, or refused for good
    manifest: str = ""  # the sha256 of its manifest
    cursor: str = ""  # up to where its changes of user data were read
    name: str = ""  # what it calls this branch


@dataclass(frozen=True)
class _All:
    peers: dict[str, Known] = field(default_factory=dict)
    taken: str = ""  # the release that was taken last,
    generation: int = 0  # its generation,
    made: float = 0.0  # and when the centre made it
    done: tuple[Done, ...] = ()


class State:
    """The file of one home. Any thread. Changes raise OSError."""

    def __init__(self, home: Home):
        self._path = folder(home) / "branch.json"
        self._lock = threading.Lock()
        self._all = self._read()

    def of(self, peer: Peer) -> Known:
        """What is known of this one."""
        return self._all.peers.get(peer.place, Known())

    def learn(self, peer: Peer, **news: Any) -> None:
        """Something of one central server."""
        with self._lock:
            known = replace(self.of(peer), **news)
            self._put(replace(self._all, peers={**self._all.peers, peer.place: known}))

    @property
    def taken(self) -> tuple[str, int, float]:
        """The release that was taken last: id, the centre's number, when the centre made it."""
        return self._all.taken, self._all.generation, self._all.made

    def take(self, peer: Peer, release: str, generation: int, made: float, manifest: str) -> None:
        """A generation of this one was dealt with."""
        with self._lock:
            known = replace(
                self._all.peers.get(peer.place, Known()), generation=generation, manifest=manifest
            )
            peers = {**self._all.peers, peer.place: known}
            self._put(replace(self._all, peers=peers, taken=release, generation=generation, made=made))

    def done(self, ident: str) -> Done | None:
        """What became of an order that was carried out already."""
        return next((one for one in self._all.done if one.id == ident), None)

    def finish(self, done: Done) -> None:
        """An order was carried out."""
        with self._lock:
            self._put(replace(self._all, done=(*self._all.done, done)[-MOST_DONE:]))

    def forget(self, peer: Peer) -> None:
        """It may be another server now, at the same address."""
        with self._lock:
            peers = {place: one for place, one in self._all.peers.items() if place != peer.place}
            self._put(replace(self._all, peers=peers))

    def _put(self, new: _All) -> None:
        self._all = new  # known as long as we run, also where the disk is full
        write_record(self._path, json.dumps({"schema": 1, **asdict(new)}, indent=1).encode() + b"\n")

    def _read(self) -> _All:
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            told = json.loads(self._path.read_bytes())
            peers = {str(place): _known(one) for place, one in told["peers"].items()}
            done = tuple(Done(str(one[0]), bool(one[1]), str(one[2])) for one in told["done"])
            return _All(peers, str(told["taken"]), int(told["generation"]), float(told["made"]), done)
        return _All()


def _known(told: dict[str, Any]) -> Known:
    return Known(int(told["generation"]), str(told["manifest"]), str(told["cursor"]), str(told["name"]))
