"""Made-up firmware for a scratch home, and upgrade scripts that order it.

    write_firmware(directories, size=1 << 20, seed=1, scripts=("*upgrade.scr", "*upgrade.txt")) -> list[Path]

The sample scripts name example files in lines that are comments (`## SET APPNAME FILE`). This writes
each of those files with made-up bytes and turns its line into a live one, so that simulated phones
really download firmware. Only for demonstrations and tests: real phones would refuse such files.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path

_EXAMPLE = re.compile(r"^## (SET (?:APPNAME|RFSNAME) (\S+))[ \t]*(?=\r?$)", re.M)
ALL = ("*upgrade.scr", "*upgrade.txt")


def made_up(name: str, size: int, seed: int = 1) -> bytes:
    """`size` octets that are always the same for this name and seed."""
    return random.Random(f"{seed}:{name}").randbytes(size)


def write_firmware(
    directories: Iterable[Path], size: int = 1 << 20, seed: int = 1, scripts: Iterable[str] = ALL
) -> list[Path]:
    """Put firmware of `size` octets beside the sample scripts of each directory; gives the files written.

    `scripts` are patterns of the upgrade scripts that are to order firmware.
    A script without example lines is left as it is. Files are written before the scripts that name them.
    """
    written: list[Path] = []
    scripts = tuple(scripts)
    for directory in directories:
        found = sorted({path for form in scripts for path in directory.glob(form)})
        live: list[tuple[Path, str]] = []
        for script in found:
            text = script.read_bytes().decode("latin-1")
            names = dict.fromkeys(match[2] for match in _EXAMPLE.finditer(text))
            for name in names:
                path = directory / name
                if path not in written:
                    path.write_bytes(made_up(name, size, seed))
                    written.append(path)
            if names:
                live.append((script, _EXAMPLE.sub(r"\1", text)))
        for script, text in live:
            script.write_bytes(text.encode("latin-1"))
    return written
