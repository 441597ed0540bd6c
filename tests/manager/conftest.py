"""One manager in the test's process for each module; no file server runs beside it."""

from __future__ import annotations

import pytest

from manager.routing import Role
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


@pytest.fixture
def fresh(tmp_path):
    """A home of this test's own."""
    return made(tmp_path / "home")
