"""The services of Windows, as far as they can be told elsewhere: their table and their commands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mv_iptel import services, windows
from mv_iptel.home import Home


def test_the_three_are_those_of_linux():
    assert [f"{one.name}.service" for one in windows.SERVICES] == list(services.SERVICES)
    assert [one.command[0] for one in windows.SERVICES] == list(services.PROGRAMS)
    assert len({one.kind for one in windows.SERVICES}) == 3 and set(windows.DO) == {
        "install",
        "remove",
        "status",
    }


def test_each_runs_its_command_over_its_home():
    program, *words = windows.command(windows.SERVICES[0], Path("C:/phones"))
    assert Path(program).name == "mv-iptel.exe" and words == ["serve", "--home", str(Path("C:/phones"))]


@pytest.mark.skipif(sys.platform == "win32", reason="pywin32 is there")
@pytest.mark.parametrize("what", list(windows.DO))
def test_without_pywin32_it_is_said(what, tmp_path):
    with pytest.raises(windows.ServiceError, match="pip install pywin32"):
        windows.DO[what](Home(tmp_path), False)
    assert list(tmp_path.iterdir()) == []
