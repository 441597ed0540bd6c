"""A site with releases that the test wrote itself, a clock that it turns, and what was told."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mv_iptel import config
from mv_iptel.events import Event, Notice
from mv_iptel.firmware import releases
from mv_iptel.firmware.generations import current
from mv_iptel.firmware.keeping import keep_bytes
from mv_iptel.firmware.publishing import Publisher
from mv_iptel.firmware.releases import File, Release, Releases
from mv_iptel.home import Home
from mv_iptel.phones.script import parse

START = 1_780_000_000.0
ROLES = {".bin": "software", ".tar": "software", ".scr": "script", ".xml": "language"}


def script(*software: str, insert: str = "", tail: str = "") -> bytes:
    """An upgrade script: each model four digits and the file that it is to run."""
    lines = ["## the vendor's"]
    for number, file in enumerate(software):
        lines += [f"IF $MODEL4 SEQ 96{number}0 GOTO NEXT{number}", f"# NEXT{number}", f"SET APPNAME {file}"]
    lines += ["GOTO END", "# END", "GET 46xxsettings.txt"]
    return (insert + "\n".join(lines) + "\n" + tail).encode()


class Site:
    """`add` makes a release of `{"HTTPdata/name": content}`, staged."""

    def __init__(self, root: Path):
        self.home = Home(root)
        self.config = config.defaults(self.home)
        self.time = START
        self.events: list[Event] = []
        for folder in self.home.directories():
            folder.mkdir(parents=True, exist_ok=True)
        self.releases = Releases(self.home)
        self.publisher = Publisher(self.config, self.events.append, self.clock)

    def clock(self) -> float:
        self.time += 1.0
        return self.time

    def add(self, stem: str, files: dict[str, bytes], roles: dict[str, str] | None = None) -> str:
        found = []
        for path, data in files.items():
            place, _, name = path.partition("/")
            role = (roles or {}).get(path) or role_of(name)
            found.append(File(place, name, len(data), keep_bytes(self.releases, data), role))
        told = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:8]
        ident = f"{stem}-{told}"
        when = self.clock()
        self.releases.put(
            Release(ident, releases.STAGED, "command", f"{stem}.zip", when, when, "", 1, tuple(found))
        )
        return ident

    def lay(self, path: str, data: bytes) -> Path:
        """A file of the site's own."""
        target = self.home.data / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target

    def tree(self) -> dict[str, bytes]:
        """What the servers' directories hold, dot files too."""
        base = self.home.data
        return {
            path.relative_to(base).as_posix(): path.read_bytes()
            for path in sorted(base.rglob("*")) if path.is_file()
        }  # fmt: skip

    def served(self) -> dict[str, bytes]:
        """The same without dot files: no phone gets those."""
        tree = self.tree()
        return {name: data for name, data in tree.items() if not name.rpartition("/")[2].startswith(".")}

    def state(self, ident: str) -> str:
        found = self.releases.get(ident)
        return found.state if found else ""

    def number(self) -> int:
        return current(self.home).number

    def kinds(self) -> list[str]:
        return [one.kind for one in self.events if isinstance(one, Notice)]


def role_of(name: str) -> str:
    last = name.rpartition("/")[2]
    if "upgrade" in last:
        return "script"
    if "settings" in last:
        return "settings"
    if last.endswith("allow_IP.txt"):
        return "list"
    return ROLES.get(Path(last).suffix, "other")


def missing(tree: dict[str, bytes]) -> list[str]:
    """What served scripts name and nobody finds: `HTTPdata/96x1Hupgrade.txt: app.tar`."""
    found = []
    folded = {name.casefold() for name in tree}
    for path, data in tree.items():
        place, _, name = path.partition("/")
        if not name.lower().endswith((".txt", ".scr")):
            continue
        for one in parse(name, data).statements:
            wanted = one.value if one.kind == "set" and one.name in ("APPNAME", "RFSNAME") else ""
            wanted = one.name if one.kind == "get" else wanted
            if wanted and f"{place}/{wanted}".casefold() not in folded:
                found.append(f"{path}: {wanted}")
    return found
