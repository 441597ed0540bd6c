"""Completion, by the shells themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import program
from tests.packaging.tools import tool

completions = tool("completions")


def test_each_command_has_a_file_for_each_shell(tmp_path):
    completions.main(tmp_path)
    names = {f"{name}.{shell}" for name in ("mv-iptel", "mv-manager", "mv-watchdog")
             for shell in ("bash", "zsh", "fish")}  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == names
    for path in tmp_path.iterdir():
        assert path.stem in path.read_text() and str(tmp_path) not in path.read_text()


@pytest.mark.parametrize(
    ("line", "found"), [("mv-iptel rol", "rollout"), ("mv-iptel backups res", "restore")]
)
def test_bash_completes_what_there_is(tmp_path, line, found):
    bash = program("bash")
    file = tmp_path / "mv-iptel"
    file.write_text(completions.script("mv-iptel", "bash"))
    words = " ".join(line.split())
    script = f"""
        source {file}
        COMP_WORDS=({words}); COMP_CWORD={len(line.split()) - 1}
        _mv_iptel_completion mv-iptel
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [bash, "-c", script], text=True, capture_output=True, env={**os.environ, "PATH": path}
    )
    assert done.stdout.split() == found.split(), done.stderr
