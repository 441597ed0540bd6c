"""What is told of a move: one row for each key, and for each file that somebody has to look at."""

from __future__ import annotations

from typing import NamedTuple

TAKEN, CHANGED, DECIDE = "taken", "changed", "decide"
HIDDEN = "(hidden)"


class Row(NamedTuple):
    """One line of the report. `verdict` decide: the site has to look at it, and `why` says what for."""

    file: str
    line: int  # 0: the whole file
    section: str
    key: str
    old: str
    new: str
    verdict: str
    why: str = ""


def about(file: object, why: str, verdict: str = DECIDE, new: str = "") -> Row:
    """A row on a whole file."""
    return Row(str(file), 0, "", "", "", new, verdict, why)
