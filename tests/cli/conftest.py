"""What tests of several commands share."""

from __future__ import annotations

import shutil

import pytest

from mv_iptel.home import Home
from tests.cli.furnished import furnish


@pytest.fixture(scope="session")
def furnished(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("furnished") / "home")


@pytest.fixture
def site(furnished, tmp_path):
    """A home of the test's own, as `init` makes it."""
    shutil.copytree(furnished.root, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")
