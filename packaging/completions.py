"""Completion for bash, zsh and fish, one file for each command and shell: completions.py DIR."""

from __future__ import annotations

import sys
from pathlib import Path

from click.shell_completion import get_completion_class
from manpages import commands

SHELLS = ("bash", "zsh", "fish")


def script(name: str, shell: str) -> str:
    """What a shell reads once; at each Tab it asks the command itself, so it never goes stale."""
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    found = get_completion_class(shell)
    assert found is not None, shell
    one = found(commands()[name], {}, name, variable)
    # Not `source()`: that asks for the version of the shell on the building host.
    return one.source_template % one.source_vars()


def main(folder: Path) -> None:
    """Write NAME.SHELL for each command and shell."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in commands():
        for shell in SHELLS:
            (folder / f"{name}.{shell}").write_text(script(name, shell), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
