"""A home with certificates, made once, and FTP servers on copies of it."""

from __future__ import annotations

import shutil

import pytest

from mv_iptel.home import Home
from tests.ftp.site import Site, make_certificates


@pytest.fixture(scope="session")
def made_home(tmp_path_factory):
    """A home that has certificates: making keys takes time."""
    home = Home(tmp_path_factory.mktemp("made"))
    make_certificates(home)
    return home


@pytest.fixture
def home(made_home, tmp_path):
    """A home of one's own, with certificates."""
    shutil.copytree(made_home.root, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def site(home):
    """A server on free ports that asks nobody."""
    with Site(home) as running:
        yield running
