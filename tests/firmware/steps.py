"""A process of its own that dies at the n-th call that changes the disk, while it publishes or takes back.

`python -m tests.firmware.steps SCENARIO FOLDER KILLS [again]` forks one child for each of so many calls,
evenly spread (0: for each that there is), and prints a line of JSON for each. With `again` the child dies in
the middle, and the one that recovers is killed at its own calls. What is looked at is the tree as the kill
left it, and the tree after recovery.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mv_iptel.firmware import journal
from mv_iptel.firmware.publishing import Done
from tests.firmware.site import Site, missing, script

CHANGING = ("open", "write", "fsync", "utime", "chmod", "link", "replace", "mkdir", "unlink")
MAIN, PART, SETTINGS = "HTTPdata/96x1Hupgrade.txt", "HTTPdata/part{}.txt", "HTTPdata/46xxsettings.txt"


def _release(site: Site, number: int) -> str:
    app = f"S9608_11HALBR6_{number}_V1.tar"
    part = PART.format(number)
    main = f"SET APPNAME {app}\nGET {Path(part).name}\n".encode()
    files = {
        f"HTTPdata/{app}": b"app %d " % number * 5,
        f"TFTPdata/{app}": b"app %d " % number * 5,
        part: b"GET 46xxsettings.txt\n",
        MAIN: main,
        SETTINGS: b"SET L2QVLAN 1\n",
        "HTTPdata/Mlf_German.xml": b"words %d" % number,
        "TFTPdata/46xxupgrade.scr": script(app),
        "TFTPdata/46xxsettings.txt": b"",
    }
    return site.add(f"96x1-{number}", files, {part: "script"})


def _nothing(site: Site) -> None:
    site.lay("HTTPdata/Mlf_German.xml", b"the site's")
    _release(site, 1)


def _one(site: Site) -> None:
    site.publisher.publish(_release(site, 1))
    _release(site, 2)


def _two(site: Site) -> None:
    site.publisher.publish(_release(site, 1))
    site.publisher.publish(_release(site, 2))


SCENARIOS = {"first": _nothing, "second": _one, "rollback": _two, "remove": _two}


def _arm(at: int) -> Callable[[], int]:
    """From now on calls are counted, and the n-th is the end."""
    count = 0

    def watch(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **keys: object) -> object:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **keys)

        setattr(os, name, call)

    for name in CHANGING:
        watch(name)
    return lambda: count


def _forked(at: int, act: Callable[[], object]) -> int:
    """Run it in a child that dies at its n-th call; 0 is never. Gives the number of its calls if it lived."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            say, count = os.write, _arm(at)
            act()
            say(write, str(count()).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(write)
    with open(read, "rb") as file:
        told = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"at {at} the child ended with {status}")
    return int(told or 0)


def main(scenario: str, parent: str, kills: int, again: bool = False) -> None:
    """Kill, look, recover, look."""
    base, done, root = (Path(parent) / name for name in ("base", "done", "one"))
    site = Site(base)
    SCENARIOS[scenario](site)
    old, number = site.tree(), site.number()
    shutil.copytree(base, done)
    calls = _forked(0, lambda: _act(scenario, done))
    new = Site(done).tree()

    def afresh() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(base, root)
        if again:
            _forked(calls * 2 // 3, lambda: _act(scenario, root))

    def act() -> object:
        return Site(root).publisher.recover() if again else _act(scenario, root)

    if again:
        afresh()
        calls = _forked(0, act)
    every = list(range(1, calls + 2))
    if kills and kills < len(every):
        stride = len(every) / kills
        offset = random.random() * stride
        every = [every[int(offset + stride * at)] for at in range(kills)]
    for at in every:
        afresh()
        whole = _forked(at, act)
        site = Site(root)
        left = site.served()
        # At the instant of the kill each file is the old one or the new one, whole.
        strange = [name for name, data in left.items() if data not in (old.get(name), new.get(name))]
        told = {
            "at": at,
            "missing": missing(left),
            "strange": strange,
            "journal": journal.path_of(site.home).exists(),
        }
        site.publisher.recover()
        after, is_new = site.tree(), site.number() > number
        told["generation"] = (
            "new" if after == new and is_new else "old" if after == old and not is_new else "?"
        )
        told["missing"] += missing(after)
        told["left"] = journal.path_of(site.home).exists()
        told["whole"] = bool(whole)
        if told["generation"] == "old":  # nothing stands in the way of the next one
            _act(scenario, root)
            told["generation"] = "old" if Site(root).tree() == new else "stuck"
        print(json.dumps(told), flush=True)


def _act(scenario: str, root: Path) -> None:
    site = Site(root)
    known = {one.id[:6]: one.id for one in site.releases.all()}
    acts: dict[str, Callable[[], object]] = {
        "first": lambda: site.publisher.publish(known["96x1-1"]),
        "second": lambda: site.publisher.publish(known["96x1-2"]),
        "rollback": site.publisher.rollback,
        "remove": lambda: site.publisher.remove(known["96x1-1"]),
    }
    done = acts[scenario]()
    if not isinstance(done, Done):
        raise RuntimeError(f"{scenario}: {done}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "again" in sys.argv)
