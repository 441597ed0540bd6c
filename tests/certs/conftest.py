"""Keys are dear: one home of each kind for all of these tests, copied where a test changes it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mv_iptel import certs
from mv_iptel.certs import Names
from mv_iptel.home import Home

NAMES = Names(("files1", "files1.example.net"), ("192.0.2.10", "2001:db8::10"))


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """A home with an authority and a server certificate, and the configuration's defaults."""
    made = Home(tmp_path_factory.mktemp("certs"))
    certs.make_authority(made, "Site North")
    certs.make_server(made, NAMES)
    return made


@pytest.fixture
def home(original, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(original.root, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def openssl(program):
    """`openssl(*arguments)`: what the program prints; the test fails if it does not like what it sees."""
    path = program("openssl")

    def run(*arguments: object) -> str:
        done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
