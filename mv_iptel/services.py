"""The services of this host under systemd: which files make them, for an installation by pip.

The files are those of the packages (`packaging/`), with this installation's programs and home in them.
Installed by hand they go to /etc; a package has brought its own below /usr.
"""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mv_iptel.home import Home

# What each folder of packaging/ is for, and where an administrator's own file of that kind lies.
PLACES = {
    "systemd": "etc/systemd/system",
    "sysusers.d": "etc/sysusers.d",
    "tmpfiles.d": "etc/tmpfiles.d",
    "sysctl": "etc/sysctl.d",
    "polkit": "etc/polkit-1/rules.d",
}
SERVICES = ("mv-iptel.service", "mv-manager.service", "mv-watchdog.service")
UNITS = (*SERVICES, "mv-iptel-certs.timer")  # those that are enabled
PROGRAMS = ("mv-iptel", "mv-manager", "mv-watchdog")

# As they stand in the files of the packages.
THEIR_PROGRAMS, THEIR_HOME = "/opt/mv-iptel/bin", "/var/lib/mv-iptel"

# Services see nothing of these: ProtectHome=yes and PrivateTmp=yes.
UNSEEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108
# Besides the home, the units let the server and the manager write here.
OPEN = ("/srv", "/opt/ecs/mvuser")
PACKAGED = ("usr/lib/systemd/system/mv-iptel.service", "lib/systemd/system/mv-iptel.service")
RUNNING = Path("/run/systemd/system")  # it is there while systemd runs (sd_booted(3))
DROP_IN = "mv-iptel-directories.conf"

_PLAIN = re.compile(r"/[A-Za-z0-9._/+@-]*\Z")
SHOWN = ("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts",
         "ActiveEnterTimestamp", "StatusText", "FragmentPath")  # fmt: skip

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


class Piece(NamedTuple):
    """A file to install: its place below the root, and its text."""

    path: PurePosixPath
    text: str


class Step(NamedTuple):
    """A command of the system; one that is only `wanted` may fail, and that is told."""

    command: tuple[str, ...]
    wanted: bool = False


def shipped() -> Path:
    """The files of the packages: in a checkout, or installed with the wheel."""
    checkout = Path(__file__).resolve().parent.parent / "packaging"
    installed = [
        Path(prefix) / "share" / "mv-iptel" / "packaging" for prefix in (sys.prefix, site.getuserbase())
    ]
    for place in (checkout, *installed):
        if (place / "systemd" / SERVICES[0]).is_file():
            return place
    raise FileNotFoundError(
        f"the services' files are not in {', '.join(map(str, installed))}; install mv-iptel again"
    )


def programs() -> Path:
    """Where this installation has its commands."""
    return Path(sysconfig.get_path("scripts"))


def pieces(home: Home, bin_dir: Path, outside: Iterable[Path] = ()) -> list[Piece]:
    """All files of the services. `outside`: directories of the configuration that are not in the home."""
    found = []
    for folder, place in PLACES.items():
        for path in sorted((shipped() / folder).iterdir()):
            if path.name[0] != ".":
                text = path.read_text("utf-8").replace(THEIR_PROGRAMS, str(bin_dir))
                found.append(Piece(PurePosixPath(place, path.name), text.replace(THEIR_HOME, str(home.root))))
    more = sorted({str(one) for one in outside if not _within(one, (str(home.root), *OPEN))})
    if more:
        text = (
            "# Made by `mv-iptel service install`: directories that MV_IPTel.ini names outside the home.\n"
            f"[Service]\nReadWritePaths={' '.join('-' + one for one in more)}\n"
        )
        for unit in ("mv-iptel.service", "mv-manager.service"):
            found.append(Piece(PurePosixPath(PLACES["systemd"], f"{unit}.d", DROP_IN), text))
    return found


def unfit(home: Home, bin_dir: Path, outside: Iterable[Path] = ()) -> list[str]:
    """What keeps services from running this installation; empty: nothing."""
    found = []
    for name in PROGRAMS:
        if not os.access(bin_dir / name, os.X_OK):
            found.append(f"{bin_dir / name} is not there; install mv-iptel again with pip")
    seen = {
        bin_dir,
        bin_dir.resolve(),
        Path(sys.executable).resolve().parent,
        Path(sys.base_prefix),
        home.root,
    }
    for path in sorted({*seen, *outside}):
        if not _PLAIN.match(str(path)):
            found.append(f"{path} cannot stand in a unit of systemd; use letters, digits and ._+@-")
        elif _within(path, UNSEEN):
            text = "a service sees nothing of it; put programs into /opt/mv-iptel, the home into /var/lib"
            found.append(f"{path} lies in {path.parts[1]}: {text}")
        elif closed := _closed(path):
            found.append(
                f"{closed} is closed to other users, so {path} is out of a service's reach; chmod o+x it"
            )
    return list(dict.fromkeys(found))


def packaged(root: Path) -> Path | None:
    """The unit that a package has brought; then there is nothing to install."""
    return next((root / place for place in PACKAGED if (root / place).is_file()), None)


def install(found: Iterable[Piece], root: Path) -> list[Path]:
    """Write the files below `root`; those that were new or other than before. Raises OSError."""
    written = []
    for piece in found:
        path = root / piece.path
        data = piece.text.encode("utf-8")
        if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # it may be a link to /dev/null: a masked unit
        path.write_bytes(data)
        path.chmod(0o644)
        written.append(path)
    return written


def remove(found: Iterable[Piece], root: Path) -> tuple[list[Path], list[Path]]:
    """Take the files away again: those that were removed, and folders with drop-ins of the administrator.

    Raises OSError.
    """
    removed = []
    folders = {root / PLACES["systemd"] / f"{unit}.d" for unit in UNITS}
    for path in [*(root / piece.path for piece in found), *(folder / DROP_IN for folder in folders)]:
        if path.is_file() or path.is_symlink():
            path.unlink()
            removed.append(path)
    for folder in sorted(folders):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return removed, [folder for folder in sorted(folders) if folder.is_dir()]


def accounts_steps() -> list[Step]:
    """Before the home is made: its files get owners."""
    return [Step(("systemd-sysusers", f"/{PLACES['sysusers.d']}/mv-iptel.conf"))]


def start_steps(start: bool = True) -> list[Step]:
    """After the home is there."""
    return [
        Step(("systemd-tmpfiles", "--create", f"/{PLACES['tmpfiles.d']}/mv-iptel.conf")),
        # In a container the host's kernel is not ours to set.
        Step(("sysctl", "--quiet", "--load", f"/{PLACES['sysctl']}/60-mv-iptel.conf"), wanted=True),
        Step(("systemctl", "daemon-reload")),
        Step(("systemctl", "enable", *(["--now"] if start else []), *UNITS)),
    ]


def stop_steps() -> list[Step]:
    return [Step(("systemctl", "disable", "--now", *UNITS), wanted=True)]


def system(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the system; one that is missing is one that failed."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error.strerror}")


def states(run: Run = system) -> list[dict[str, str]]:
    """What systemd says of each unit."""
    done = run(("systemctl", "show", "--no-pager", f"--property={','.join(SHOWN)}", *UNITS))
    return parse(done.stdout)


def parse(text: str) -> list[dict[str, str]]:
    """The paragraphs of `systemctl show`."""
    units = []
    for block in text.strip().split("\n\n"):
        pairs = (line.partition("=") for line in block.splitlines())
        unit = {key: value for key, _, value in pairs if key in SHOWN}
        if unit.get("Id"):
            units.append(unit)
    return units


def _within(path: Path, above: Iterable[str]) -> bool:
    return any(Path(one) == path or Path(one) in path.parents for one in above)


def _closed(path: Path) -> Path | None:
    """The first directory on the way that other users may not pass; what is missing will be made."""
    for one in (*reversed(path.parents), path):
        try:
            if not one.stat().st_mode & 0o001:
                return one
        except OSError:
            return None
    return None
