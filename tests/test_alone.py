"""One process of a kind for one home."""

from __future__ import annotations

import os

import pytest

from mv_iptel.alone import AlreadyRunning, hold


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_the_second_is_told_who_holds_it(tmp_path):
    path = tmp_path / "var" / "server.lock"
    with hold(path, 0o640), pytest.raises(AlreadyRunning, match=f"^{os.getpid()}$"):
        hold(path)
    path.write_text("a number that is longer than ours: 1234567890\n")
    hold(path).close()  # it ended with the first
    assert path.read_text() == f"{os.getpid()}\n"


def test_no_link_leads_on(tmp_path):
    other = tmp_path / "other"
    other.write_text("kept\n")
    (tmp_path / "lock").symlink_to(other)
    with pytest.raises(OSError, match=r"symbolic links|Too many levels"):
        hold(tmp_path / "lock")
    assert other.read_text() == "kept\n"
