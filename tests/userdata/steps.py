"""A process of its own that dies, or whose disk fails, at the n-th call that changes the disk.

`python -m tests.userdata.steps SCENARIO FAULT FOLDER` forks one child for each n, until a child comes to its
end; it prints a line of JSON for each: what the child acknowledged, and how it ended. Calls are counted in
`os` itself, so what is tested has no hook. FAULT is `kill`, or the name of an error that the call gives
instead of its work.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mv_iptel.library.answers import Refuse
from mv_iptel.userdata import versions
from tests.userdata.shelf import DAY, NAME, Shelf

CHANGING = (
    "open",
    "write",
    "fsync",
    "utime",
    "fchmod",
    "chmod",
    "link",
    "replace",
    "mkdir",
    "unlink",
    "close",
)
# Taking away and closing does not need room.
FULL = ("write", "fsync", "link", "replace", "mkdir")

ONE, TWO, THREE = b"one\n" * 50, b"two\n" * 30_000, b"three\n" * 60

Say = Callable[[str], None]


def _ready(folder: Path, *contents: bytes, name: str = NAME, **keys: object) -> Shelf:
    shelf = Shelf(folder, **keys)
    for data in contents:
        shelf.put(data, name)
    return shelf


def _told(say: Say, outcome: object) -> None:
    say(f"refused {outcome.reason}" if isinstance(outcome, Refuse) else "done")


def first(shelf: Shelf, say: Say) -> None:
    _told(say, shelf.put(THREE))


def replace(shelf: Shelf, say: Say) -> None:
    _told(say, shelf.put(THREE))


def remove(shelf: Shelf, say: Say) -> None:
    _told(say, shelf.remove())


def prune(shelf: Shelf, say: Say) -> None:
    _told(say, shelf.put(THREE))


def restore(shelf: Shelf, say: Say) -> None:
    one = versions.of(shelf.config, NAME)[1]
    _told(say, versions.restore(shelf.config, NAME, one.id, now=lambda: shelf.time + 1))


def archive(shelf: Shelf, say: Say) -> None:
    shelf.time += 40 * DAY
    shelf.store.tidy()
    say("refused" if shelf.notices("userdata-archive") + shelf.notices("userdata-care") else "done")


SCENARIOS: dict[str, tuple[Callable[[Path], Shelf], Callable[[Shelf, Say], None]]] = {
    "first": (_ready, first),
    "replace": (lambda folder: _ready(folder, ONE, TWO), replace),
    "remove": (lambda folder: _ready(folder, ONE, TWO), remove),
    "prune": (lambda folder: _ready(folder, ONE, TWO, keep_versions=1), prune),
    "restore": (lambda folder: _ready(folder, ONE, TWO), restore),
    "archive": (lambda folder: _ready(folder, ONE, TWO, THREE), archive),
}


def _arm(fault: str, at: int) -> Callable[[], bool]:
    """From now on the calls are counted; says whether the n-th came."""
    count = 0
    watched = CHANGING if fault == "kill" else FULL

    def watch(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **keys: object) -> object:
            nonlocal count
            count += 1
            if count == at:
                if fault == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))
            return real(*args, **keys)

        setattr(os, name, call)

    for name in watched:
        watch(name)
    return lambda: count >= at


def _child(scenario: str, fault: str, at: int, folder: Path, out: int) -> None:
    prepare, act = SCENARIOS[scenario]
    shelf = prepare(folder)
    write = os.write
    came = _arm(fault, at)
    act(shelf, lambda word: write(out, word.encode() + b"\n"))
    if not came():
        write(out, b"unharmed\n")
    shelf.store.close()


def main(scenario: str, fault: str, parent: str) -> None:
    """Fork until a child is unharmed."""
    for at in range(1, 1000):
        folder = Path(parent) / f"{at:03}"
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(read)
                _child(scenario, fault, at, folder, write)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(write)
        with open(read, encoding="ascii") as file:
            said = file.read().split("\n")[:-1]
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"at": at, "said": said, "status": os.waitstatus_to_exitcode(status)}), flush=True)
        if "unharmed" in said:
            return
    raise SystemExit("it never came to its end")


if __name__ == "__main__":
    main(*sys.argv[1:])
