"""What the tests of the history share."""

from __future__ import annotations

import pytest

from tests.history.desk import Desk


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)
