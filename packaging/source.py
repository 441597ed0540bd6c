"""The sdist, and the wheel made from it: so the sdist is known to be whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# What a checkout has besides the project: environments, results, what tests left.
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.pyc", "*.egg-info", "build", "dist", "node_modules", "venv"
)
BACK_END = "from setuptools import build_meta; print(build_meta.build_sdist({out!r}))"


def build(root: Path, work: Path) -> tuple[Path, Path]:
    """(sdist, wheel) in `work`, from a copy: a build leaves files behind in the tree it builds."""
    copy, out, maker = work / "source", work / "made", work / "maker"
    shutil.copytree(root, copy, ignore=LEFT_OUT)
    out.mkdir()
    # The back end's own environment: this one may have an old one, or none.
    subprocess.run([sys.executable, "-m", "venv", str(maker)], check=True)
    pip = [str(python_of(maker)), "-m", "pip", "--disable-pip-version-check", "-qq"]
    subprocess.run([*pip, "install", "setuptools>=70.1"], check=True)
    made = subprocess.run(
        [str(python_of(maker)), "-W", "ignore", "-c", BACK_END.format(out=str(out))],
        cwd=copy, check=True, text=True, capture_output=True,
    )  # fmt: skip
    sdist = out / made.stdout.splitlines()[-1]
    flags = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run([*pip, "wheel", *flags, str(sdist)], check=True)
    return sdist, next(out.glob("mv_iptel-*.whl"))


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
