"""The folder for Windows: every wheel that an installation needs, and the script that installs them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

# The library of that name: a folder without __init__.py does not hide it.
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parent / "windows"
PYTHON = "3.11"
# What markers of requirements read there; this host would answer for itself.
THERE = {
    "os_name": "nt", "sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64",
    "python_version": PYTHON, "python_full_version": f"{PYTHON}.9", "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}  # fmt: skip
# The service's library: needed there and nowhere else.
OWN = ("pywin32>=306",)
ROUNDS = 20  # each fetches what the last one's wheels need


def build(wheel: Path, out: Path) -> Path:
    """Make the folder in `out`, and a zip of it; gives the zip."""
    version = wheel.name.split("-")[1]
    folder = out / f"mv-iptel-{version}-windows"
    shutil.rmtree(folder, ignore_errors=True)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    shutil.copy2(wheel, wheels)
    for path in sorted(HERE.iterdir()):
        if path.suffix in {".ps1", ".txt", ".cmd"}:
            # Editors and shells there expect it so.
            text = path.read_text("utf-8").replace("@VERSION@", version)
            (folder / path.name).write_bytes(text.replace("\n", "\r\n").encode("utf-8"))
    _fetch(wheels)
    return Path(shutil.make_archive(str(folder), "zip", out, folder.name))


def _fetch(wheels: Path) -> None:
    """Fetch what is missing until nothing is: pip would judge markers by this host."""
    with tempfile.TemporaryDirectory(prefix="mv-pure-") as pure:
        for _ in range(ROUNDS):
            missing = lacking(wheels)
            if not missing:
                return
            for need in missing:
                # One that came for a wider range makes room.
                for path in wheels.glob("*.whl"):
                    if canonicalize_name(path.name.split("-")[0]) == canonicalize_name(need.name):
                        path.unlink()
                _one(str(need), wheels, Path(pure))
    raise RuntimeError(f"requirements contradict each other: {', '.join(map(str, missing))}")


def _one(requirement: str, wheels: Path, pure: Path) -> None:
    """The wheel of one requirement: the registry's, or if there is none, built here from its source."""
    there = ("--dest", str(wheels), "--no-deps", "--only-binary=:all:", "--platform", "win_amd64",
             "--python-version", PYTHON, "--implementation", "cp")  # fmt: skip
    if _pip("download", *there, requirement, must=False) == 0:
        return
    _pip("wheel", "--wheel-dir", str(pure), "--no-deps", requirement)
    for path in pure.iterdir():
        if not path.name.endswith("-none-any.whl"):
            raise RuntimeError(f"{path.name}: there is no wheel for Windows, and it cannot be built here")
        path.replace(wheels / path.name)


def _pip(*arguments: str, must: bool = True) -> int:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", *arguments]
    return subprocess.run(command, check=must, stderr=None if must else subprocess.DEVNULL).returncode


def lacking(wheels: Path) -> list[Requirement]:
    """What the wheels of a folder need on Windows and is not in it; of each project all wishes in one."""
    have = {}
    wanted: dict[str, Requirement] = {}
    needs = [*OWN]
    for path in wheels.glob("*.whl"):
        name, version, *_ = path.name.split("-")
        have[canonicalize_name(name)] = version
        needs += requirements(path)
    for need in map(Requirement, needs):
        known = wanted.setdefault(canonicalize_name(need.name), need)
        known.specifier &= need.specifier
    return [need for name, need in sorted(wanted.items())
            if name not in have or not need.specifier.contains(have[name], prereleases=True)]  # fmt: skip


def requirements(wheel: Path) -> Iterator[str]:
    """What a wheel needs on Windows, without its markers."""
    with zipfile.ZipFile(wheel) as inside:
        name = next(one for one in inside.namelist() if one.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(inside.read(name).decode("utf-8"))
    for line in told.get_all("Requires-Dist") or []:
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate({**default_environment(), **THERE, "extra": ""}):
            need.marker = None
            yield str(need)
