"""What the tests of a move share: an old installation, and a home that it moved into."""

from __future__ import annotations

import shutil

import pytest

from mv_iptel.home import Home
from mv_iptel.init import create
from mv_iptel.migrating import moving, old
from tests.migrating.reference import install


@pytest.fixture
def there(tmp_path):
    """An old installation."""
    return install(tmp_path / "old")


@pytest.fixture(scope="session")
def moved_once(tmp_path_factory):
    base = tmp_path_factory.mktemp("moved")
    found = old.find(install(base / "old"))
    plan = moving.plan(found, Home(base / "home"))
    return plan, moving.move(plan, "north", ["192.0.2.10"])


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("made") / "home")
    create(home, "other", ["192.0.2.10"])
    return home


@pytest.fixture
def home(made_once, tmp_path):
    """A home as `init` has made it: new keys for each would take most of the time."""
    shutil.copytree(made_once.root, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")
