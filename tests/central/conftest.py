"""A real central server, and a branch that has joined it."""

from __future__ import annotations

import pytest

from tests.central.branch import Branch
from tests.central.office import Office


@pytest.fixture
def office(tmp_path):
    with Office(tmp_path / "office") as running:
        yield running


@pytest.fixture
def branch(tmp_path, office):
    with Branch(tmp_path / "oslo", office) as running:
        yield running
