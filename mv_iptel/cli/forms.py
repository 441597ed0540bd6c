"""How the commands show things: aligned columns, and one request as a line."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.text import Text

from mv_iptel.cli.options import console
from mv_iptel.journal import TEXT_LIMIT, plain
from mv_iptel.status.words import OPS, OUTCOMES, REASONS, size

TONES = {"ok": "green", "refused": "yellow", "up": "green", "failed": "red", "off": "dim"}


LEAST = 24  # cells; in less room nobody reads prose


def window() -> int:
    """How wide the terminal is; 0 where lines are not for a terminal, so that `grep` finds them whole."""
    return console.width if console.is_terminal else 0


def beside(head: Text, prose: Text, width: int) -> Text:
    """Prose that stays beside its head: in a window it is folded at blanks, never inside a word."""
    room = width - head.cell_len
    if room < LEAST or prose.cell_len <= room:
        return head + prose
    cuts, begun = [], 0
    for word in re.finditer(r"\S+", prose.plain):
        if word.end() - begun > room and word.start() > begun:
            cuts.append(begun := word.start())
    lines = list(prose.divide(cuts))
    for line in lines:
        line.rstrip()
    return head + Text("\n" + " " * head.cell_len).join(lines)


class Columns:
    """Aligned columns, as wide as they are: a MAC folded to fit a window can be neither read nor copied.

    Only prose in the last column is folded; it stands below its row where there is no room beside it. `>`
    before a heading puts its column to the right.
    """

    def __init__(self, *heads: str):
        self.right = [head.startswith(">") for head in heads]
        self.rows = [[Text(head.lstrip(">"), "dim") for head in heads]]

    def add_row(self, *cells: str | Text) -> None:
        self.rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def show(self) -> None:
        widths = [max(cell.cell_len for cell in column) for column in zip(*self.rows, strict=True)]
        for row in self.rows:
            line = Text()
            for cell, width, right in zip(row[:-1], widths, self.right, strict=False):
                space = " " * (width - cell.cell_len)
                line.append_text(Text(space) + cell if right else cell + Text(space)).append("  ")
            last = row[-1].copy()
            if self.right[-1]:
                last = Text(" " * (widths[-1] - last.cell_len)) + last
            room = window() - line.cell_len
            if window() and room < LEAST and last.cell_len > room and not self.right[-1]:
                line.rstrip()
                line = line + Text("\n") + beside(Text("    "), last, window())
            else:
                line = beside(line, last, window())
            line.rstrip()
            console.print(line)


def line_of(row: dict[str, Any]) -> Text:
    """One request as a line of a time line."""
    line = Text(f"{day(row['time'])}  ", "dim")
    line.append(f"{row['proto']:<5} {row['peer']:<15} ", "dim")
    line.append(f"{row['outcome']:<8}", TONES.get(row["outcome"], "red"))
    op, name = row.get("op", "read"), plain(row["name"], 120) or "-"
    again = row.get("count", 1)
    line.append(" ")
    if op != "read":
        done = OPS.get(op, plain(op)) if row["outcome"] == "ok" else f"would {plain(op)}"
        line.append(f"{done} ", "cyan")
    line.append(name, "bold")
    if row["outcome"] == "refused":
        line.append(f"  {row['reason']}", "yellow")
        line.append(f": {plain(row['detail'] or REASONS.get(row['reason'], ''))}")
        if row["source"]:
            line.append(f" ({place(row)})", "dim")
        line.append(f"  #{row['id']}", "dim")
    else:
        octets = "" if op == "delete" else f"{size(row['bytes'])} "
        line.append(f"{'  ' if op == 'read' else ', '}{octets}in {row['seconds']:.2f} s", "dim")
        if row["resends"]:
            line.append(f", {row['resends']} sent again", "yellow")
        if row["outcome"] != "ok":
            line.append(f"  {OUTCOMES.get(row['outcome'], '')} {plain(row['detail'])}".rstrip(), "red")
        kept = row["file"].replace("\\", "/").rpartition("/")[2]
        if kept and kept != row["name"].rpartition("/")[2]:
            line.append(f"  {'was sent' if op == 'read' else 'kept as'} {plain(kept)}", "cyan")
    if again > 1:
        line.append(f"  {again} times", "cyan")
    return line


def day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def place(row: dict[str, Any]) -> str:
    """File and line that decided."""
    return plain(row["source"]) + (f":{row['line']}" if row["line"] else "")


def write_csv(
    fields: Sequence[str],
    rows: Iterable[dict[str, Any]],
    out: TextIO,
    most: int = TEXT_LIMIT,
    head: bool = True,
) -> None:
    """CSV that a spreadsheet does not take for formulas: a phone chooses some of these texts.

    `most`: characters of a cell. Without `head` the rows go on behind others.
    """
    writer = csv.writer(out, lineterminator="\n")
    if head:
        writer.writerow(fields)
    for row in rows:
        values = []
        for field in fields:
            value = row[field]
            if isinstance(value, str):
                value = plain(value, most)
                if value[:1] in ("=", "+", "-", "@", "\t"):
                    value = "'" + value
            values.append(value)
        writer.writerow(values)


def moment(when: float) -> str:
    """A time for programs: 2026-07-03T12:00:00+0200; empty for none."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(when)) if when else ""


@contextmanager
def bar(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """How far something long is, on terminals: it is told what is done, how much of it, and of how much."""
    if quiet or not console.is_terminal:
        yield lambda *_: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total)
