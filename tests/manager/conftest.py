"""One manager in the test's process for each module; no file server runs beside it."""

from __future__ import annotations

import shutil

import pytest

from manager.routing import Role
from mv_iptel.home import Home
from tests.manager.here import Here, made


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with Here(made(tmp_path_factory.mktemp("home"))) as running:
        yield running


@pytest.fixture(scope="module")
def admin(here):
    return here.person(Role.ADMINISTRATOR)


@pytest.fixture(scope="module")
def operator(here):
    return here.person(Role.OPERATOR)


@pytest.fixture(scope="module")
def viewer(here):
    return here.person(Role.VIEWER)


@pytest.fixture(scope="session")
def _one_home(tmp_path_factory):
    return made(tmp_path_factory.mktemp("one") / "home")


@pytest.fixture
def fresh(_one_home, tmp_path):
    """A home of this test's own, as `init` makes it, without the time that its keys take."""
    shutil.copytree(_one_home.root, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")
