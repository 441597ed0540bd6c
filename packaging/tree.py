"""The files of an installed package, as they lie on a Linux host: one tree for the .deb and the .rpm."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

# The distribution's own: the package depends on it, and security updates of it come by themselves.
PYTHON = Path("/usr/bin/python3.11")
PLACE = Path("/opt/mv-iptel")
HOME = "/var/lib/mv-iptel"
COMMANDS = ("mv-iptel", "mv-manager", "mv-watchdog")

# From packaging/ to the host. Units are the system's, so an administrator's own in /etc go before them.
COPIED = {
    "systemd": "usr/lib/systemd/system",
    "sysusers.d": "usr/lib/sysusers.d",
    "tmpfiles.d": "usr/lib/tmpfiles.d",
    "sysctl": "usr/lib/sysctl.d",
    "polkit": "usr/share/polkit-1/rules.d",
    "keepalived": "opt/mv-iptel/share/mv-iptel/keepalived",
}
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/{}",
    "zsh": "usr/share/zsh/vendor-completions/_{}",
    "fish": "usr/share/fish/vendor_completions.d/{}.fish",
}
WRAPPER = """\
#!/bin/sh
# The package's home is the one that is meant when nobody names another.
MV_IPTEL_HOME="${{MV_IPTEL_HOME:-{home}}}"
export MV_IPTEL_HOME
exec {place}/bin/{name} "$@"
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mv-iptel
Comment: The libraries beneath {place}/lib are other people's work; the licence of each lies in its
 .dist-info directory there.

Files: *
Copyright: the mv-iptel authors
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
"""


class Missing(Exception):
    """A tool that this build needs is not on this host."""


class Tree(NamedTuple):
    """A staged tree and what packages say of it."""

    root: Path
    version: str
    stamp: int  # seconds: the time of every file in it


def build(project: Path, wheel: Path, root: Path) -> Tree:
    """Stage the whole tree in `root`, which must not be there yet."""
    if not PYTHON.exists():
        raise Missing(f"{PYTHON} is not here: build on Debian 12, or in a root made by debootstrap")
    if root.exists():
        raise FileExistsError(root)
    stamp = _stamp(project)
    environment = root / PLACE.relative_to("/")
    _environment(environment, wheel)
    _relocate(root, environment)
    _system(project, root)
    _documents(project, root, environment)
    _even(root, stamp)
    _compile(root, environment, stamp)
    _nothing_of_here(root)
    return Tree(root, wheel.name.split("-")[1], stamp)


def _stamp(project: Path) -> int:
    """The time of the last change, so that the same source gives the same package."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    asked = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=project, text=True, capture_output=True)
    return int(asked.stdout or (project / "CHANGELOG.md").stat().st_mtime)


def _environment(place: Path, wheel: Path) -> None:
    """A virtual environment of the distribution's Python with the wheel and all it needs; no pip in it."""
    subprocess.run([str(PYTHON), "-m", "venv", "--without-pip", str(place)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "--disable-pip-version-check"]
    flags = ["-qq", "--no-compile", "--prefer-binary"]
    subprocess.run([*pip, "install", *flags, str(wheel)], check=True)
    keep = {*COMMANDS, "python", "python3", PYTHON.name}
    for script in (place / "bin").iterdir():
        if script.name not in keep:
            script.unlink()
    for record in place.glob("lib/python3*/site-packages/*.dist-info"):
        # Where it was installed from is of no use elsewhere; without RECORD, pip keeps its hands off.
        for name in ("RECORD", "direct_url.json", "REQUESTED"):
            (record / name).unlink(missing_ok=True)
        (record / "INSTALLER").write_text("package\n")


def _relocate(root: Path, place: Path) -> None:
    """Scripts begin with the interpreter's path, and pyvenv.cfg tells its own: of the host, not of here."""
    for command in (place / "bin").iterdir():
        if not command.is_symlink():
            text = command.read_text("utf-8")
            # A long path is written as a detour over sh; the true one is short.
            body = text.split("# -*- coding: utf-8 -*-", 1)[-1]
            command.write_text(f"#!{PLACE}/bin/{PYTHON.name}\n# -*- coding: utf-8 -*-{body}", "utf-8")
    config = place / "pyvenv.cfg"
    config.write_text(config.read_text("utf-8").replace(str(root), ""), "utf-8")


def _system(project: Path, root: Path) -> None:
    """What lies outside /opt: commands, units, users, completions."""
    for name in _commands(root):
        _write(root / "usr/bin" / name, WRAPPER.format(home=HOME, place=PLACE, name=name).encode(), 0o755)
    for folder, target in COPIED.items():
        for path in sorted((project / "packaging" / folder).rglob("*")):
            if path.is_file():
                inside = path.relative_to(project / "packaging" / folder)
                _write(root / target / inside, path.read_bytes(), path.stat().st_mode & 0o755)
    _write(root / PLACE.relative_to("/") / "libexec/complete-home",
           (project / "packaging/complete-home").read_bytes(), 0o755)  # fmt: skip


def _commands(root: Path) -> list[str]:
    folder = root / PLACE.relative_to("/") / "bin"
    return [name for name in COMMANDS if (folder / name).exists()]


def _documents(project: Path, root: Path, environment: Path) -> None:
    """Manual pages, completions, and what is to be read."""
    made = root.with_name(root.name + "-made")
    # By the installed commands themselves: what is described is what is there.
    for script in ("manpages", "completions"):
        tool = project / "packaging" / f"{script}.py"
        subprocess.run([str(environment / "bin/python"), str(tool), str(made / script)], check=True)
    for page in sorted((made / "manpages").iterdir()):
        _write(root / "usr/share/man/man1" / (page.name + ".gz"), _gzip(page.read_bytes()))
    for shell, where in COMPLETIONS.items():
        for name in _commands(root):
            _write(root / where.format(name), (made / "completions" / f"{name}.{shell}").read_bytes())
    shutil.rmtree(made)
    folder = root / "usr/share/doc/mv-iptel"
    _write(folder / "copyright", COPYRIGHT.format(place=PLACE).encode())
    _write(folder / "changelog.gz", _gzip((project / "CHANGELOG.md").read_bytes()))
    for page in [project / "README.md", project / "SECURITY.md", *sorted((project / "docs").glob("*.md"))]:
        _write(folder / page.name, page.read_bytes())
    _write(folder / "versions.txt", _versions(environment).encode())


def _versions(environment: Path) -> str:
    """Which libraries are inside: for whoever reads a security notice."""
    found = (path.name.removesuffix(".dist-info").split("-")
             for path in environment.glob("lib/python3*/site-packages/*.dist-info"))  # fmt: skip
    return "".join(f"{name} {version}\n" for name, version in sorted(found, key=lambda one: one[0].lower()))


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def _even(root: Path, stamp: int) -> None:
    """The same rights and times whoever builds it, whatever his umask and when."""
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (stamp, stamp), follow_symlinks=False)


def _compile(root: Path, environment: Path, stamp: int) -> None:
    """Nobody may write there later, so what Python would cache lies there from the beginning."""
    done = subprocess.run(
        [str(PYTHON), "-m", "compileall", "-q", "-s", str(root), "-p", "/",
         "--invalidation-mode", "timestamp", str(environment / "lib")], capture_output=True, text=True,
    )  # fmt: skip
    ours = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"mv_iptel|manager", line)]
    if ours:  # some libraries carry files for other Pythons; ours must be whole
        raise RuntimeError("\n".join(ours))
    for folder in environment.rglob("__pycache__"):
        for path in (*folder.iterdir(), folder, folder.parent):
            os.utime(path, (stamp, stamp))


def _nothing_of_here(root: Path) -> None:
    """No file may name the place where it was built."""
    told = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()
            and os.fsencode(root) in path.read_bytes()]  # fmt: skip
    if told:
        raise RuntimeError(f"{told[0]} and {len(told) - 1} more name the place where they were built")
