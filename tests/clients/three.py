"""Server, manager and watchdog as their services run: three users, one group, a home that root has made.

The users are numbers that no account of this host has. Nothing is faked but their names.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mv_iptel import owning
from mv_iptel.home import Home
from tests.clients.daemon import Daemon, Ini, wait_for
from tests.clients.manager import Manager
from tests.clients.watchdog import Watchdog
from tests.others import ACCOUNTS, GROUP, SERVER

UMASKS = {owning.SERVER: 0o007, owning.MANAGER: 0o007, owning.WATCHDOG: 0o027}  # as the units say
ROOT = Path(__file__).resolve().parents[2]
STARTS = {"mv-iptel": "mv_iptel.cli", "mv-manager": "manager.cli", "mv-watchdog": "watchdogd.cli"}


def reachable(python: str) -> bool:
    """Whether a service's user can run it: an interpreter below /root is out of reach."""
    try:
        return subprocess.run([python, "-c", ""], user=SERVER, group=GROUP, extra_groups=[],
                              capture_output=True).returncode == 0  # fmt: skip
    except OSError:
        return False


def interpreter() -> str | None:
    """A Python of this version that every user can run; None: there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}")
    return next((one for one in places if reachable(one)), None)


class Place:
    """A directory that every user may pass, with programs for them. `with Place(python) as place:`."""

    def __init__(self, python: str):
        self._made = tempfile.TemporaryDirectory(prefix="mv-iptel-three-")
        self.folder = Path(self._made.name)
        self.folder.chmod(0o755)
        self.bin = self.folder / "python" / "bin"
        subprocess.run([python, "-m", "venv", "--without-pip", str(self.bin.parent)], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = self.bin.parent / "lib" / version / "site-packages"
        # `addsitedir` reads what an editable installation has put there.
        lines = [f"import site; site.addsitedir({one!r})" for one in site.getsitepackages()]
        (packages / "three.pth").write_text("\n".join([str(ROOT), *lines]) + "\n")

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._made.cleanup()

    def command(self, program: str, *arguments: str) -> list[str]:
        code = f"import sys; sys.argv[0] = {program!r}; from {STARTS[program]} import main; sys.exit(main())"
        return [str(self.bin / "python"), "-c", code, *arguments]

    def start(self, user: str, program: str, output: Path, *arguments: str) -> subprocess.Popen:
        """Run one of the programs as its service does."""
        with output.open("ab") as said:
            return subprocess.Popen(
                self.command(program, *arguments), user=ACCOUNTS.users[user], group=GROUP, extra_groups=[],
                umask=UMASKS[user], stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/",
                env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"},
            )  # fmt: skip

    def run(self, home: Home, user: str | None, *arguments: str, status: int | None = 0) -> str:
        """A command `mv-iptel`, by a service's user or (None) by root, whose umask is 0022."""
        who = {} if user is None else {"user": ACCOUNTS.users[user], "group": GROUP, "extra_groups": [],
                                       "umask": UMASKS[user]}  # fmt: skip
        done = subprocess.run(
            [*self.command("mv-iptel", *arguments), "--home", str(home.root)],
            capture_output=True, text=True, timeout=120, cwd="/", **({"umask": 0o022} | who),
        )  # fmt: skip
        assert status is None or done.returncode == status, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, (arguments, done.stderr)
        return done.stdout + done.stderr


class Server(Daemon):
    """The file server as mv-iptel."""

    def __init__(self, place: Place, keys: Ini | None = None):
        super().__init__(place.folder / "home", keys)
        self.place = place
        owning.hand_over(self.home, ACCOUNTS)

    def __enter__(self) -> Server:
        self.process = self.place.start(
            owning.SERVER, "mv-iptel", self.output, "serve", "--home", str(self.home.root)
        )
        wait_for(f"serve ({self.output})", self._up)
        return self


class Managing(Manager):
    """The manager as mv-manager."""

    def __init__(self, place: Place, home: Home):
        super().__init__(home)
        self.place = place

    def start(self) -> None:
        self.process = self.place.start(
            owning.MANAGER, "mv-manager", self.output, "--home", str(self.home.root)
        )
        wait_for(f"mv-manager ({self.output})", self._up)


class Watching(Watchdog):
    """The watchdog as mv-watchdog."""

    def __init__(self, place: Place, home: Home):
        super().__init__(home)
        self.place = place

    def __enter__(self) -> Watching:
        self.process = self.place.start(
            owning.WATCHDOG, "mv-watchdog", self.output, "--home", str(self.home.root)
        )
        wait_for(f"mv-watchdog ({self.output})", self._up)
        return self


def strangers(home: Home, users: Sequence[int] = (0, *ACCOUNTS.users.values())) -> list[str]:
    """Files of var/ and data/ that one of the two who change them could not read or replace."""
    found = []
    for top in (home.data, home.var):
        for folder, names, files in os.walk(top):
            for name in (*names, *files):
                path = Path(folder, name)
                there = path.lstat()
                if there.st_uid not in users or there.st_gid != GROUP:
                    found.append(f"{path} {there.st_uid}:{there.st_gid} {there.st_mode & 0o7777:o}")
    return found
