"""`build.py` by its command line, and what of a checkout goes into the sdist."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.packaging.tools import PROJECT, SCRIPTS, tool

source = tool("source")


def test_it_names_what_it_can_build():
    done = subprocess.run([sys.executable, str(SCRIPTS / "build.py"), "dmg"], text=True, capture_output=True)
    assert done.returncode == 2 and "sdist, wheel, deb, rpm, windows" in done.stderr


@pytest.mark.parametrize("name", [".venv", ".git", "dist", "build", "__pycache__", "x.egg-info", "y.pyc"])
def test_what_is_made_is_left_out(name):
    assert name in source.LEFT_OUT("", [name, "setup.cfg"]) and "setup.cfg" not in source.LEFT_OUT(
        "", ["setup.cfg"]
    )


def test_the_sdist_names_every_folder_of_the_project():
    """MANIFEST.in: a folder that is missing there is missing for whoever builds from the sdist."""
    named = {
        line.split()[1] for line in (PROJECT / "MANIFEST.in").read_text().splitlines() if line[:5] == "graft"
    }
    folders = {path.name for path in PROJECT.iterdir() if path.is_dir() and path.name[0] != "."}
    assert folders - source.LEFT_OUT("", folders) == named
