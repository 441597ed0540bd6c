"""The results as tables, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.cases import CASES, Case
from benchmarks.targets import Runs, Verdict

Column = tuple[str, Callable[[list[dict]], str]]


def _median(figure: str, form: str = "{:.2f}") -> Callable[[list[dict]], str]:
    return lambda runs: form.format(median(r[figure] for r in runs))


def _range(figure: str, form: str) -> Callable[[list[dict]], str]:
    def cell(runs: list[dict]) -> str:
        values = [r[figure] for r in runs]
        low, middle, high = (form.format(v) for v in (min(values), median(values), max(values)))
        return middle if low == high else f"{middle} ({low}-{high})"

    return cell


_BUSY: Column = ("generator busy", _median("generator", "{:.0%}"))
_OTHERS: Column = ("other work", _median("others", "{:.0%}"))
_TFTP: list[Column] = [
    ("wall s", _range("wall", "{:.2f}")),
    ("CPU s", _range("cpu", "{:.2f}")),
    ("kilopackets / CPU s", _median("kp_per_cpu", "{:.0f}")),
    ("CPU ms / MiB", _median("ms_per_mib")),
    ("asked twice", _range("again", "{:.0f}")),
    ("window", _median("window", "{:.0f}")),
    _BUSY,
    _OTHERS,
]
_HTTP: list[Column] = [
    ("requests / s", _median("req_per_s", "{:,.0f}")),
    ("requests / CPU s", _range("req_per_cpu", "{:,.0f}")),
    ("CPU us / request", _median("us_per_req", "{:,.1f}")),
    ("MiB / CPU s", _range("mib_per_cpu", "{:,.0f}")),
    ("suite", lambda runs: str(runs[-1]["protocol"])),
    _BUSY,
    _OTHERS,
]
_BESIDE: list[Column] = [
    ("wall s", _range("wall", "{:.2f}")),
    ("CPU s", _range("cpu", "{:.2f}")),
    ("asked twice", _range("again", "{:.0f}")),
    ("ACK repeats", _range("acks_again", "{:.0f}")),
    ("beside it", lambda runs: str(runs[-1].get("beside", "nothing"))),
    _BUSY,
    _OTHERS,
]
_FTP: list[Column] = [
    ("wall s", _range("wall", "{:.2f}")),
    ("CPU ms / session", _range("ms_per_session", "{:.2f}")),
    ("slowest session s", _median("slowest")),
    ("connected twice", _range("again", "{:.0f}")),
    _BUSY,
    _OTHERS,
]
COLUMNS = {"tftp": _TFTP, "http": _HTTP, "beside": _BESIDE, "ftp": _FTP}
TITLES = {
    "tftp": "TFTP",
    "http": "HTTP and HTTPS",
    "beside": "TFTP beside other work",
    "ftp": "FTP: user data stored",
}
Grid = tuple[str, list[str], list[list[str]]]  # title, head, rows


def grids(runs: Runs, problems: dict[tuple[str, str], str], verdicts: list[Verdict]) -> list[Grid]:
    """One table for each protocol, and the targets."""
    found = [_group(group, runs, problems) for group in COLUMNS]
    head = ["target", "wanted", "measured", "rounds", "verdict"]
    rows = [_verdict(v) for v in verdicts]
    return [*(grid for grid in found if grid[2]), ("Targets (ratios of medians)", head, rows)]


def _group(group: str, runs: Runs, problems: dict[tuple[str, str], str]) -> Grid:
    columns = COLUMNS[group]
    rows: list[list[str]] = []
    for case in CASES:
        if case.group != group:
            continue
        for server in case.servers:
            key = (case.key, server.name)
            if runs.get(key):
                rows.append([_name(case), server.name, *(cell(runs[key]) for _, cell in columns)])
            elif key in problems:
                rows.append([_name(case), server.name, problems[key], *("" for _ in columns[1:])])
    return TITLES[group], ["case", "server", *(name for name, _ in columns)], rows


def _name(case: Case) -> str:
    return case.key if case.group != "tftp" else f"({case.key})"


def _verdict(verdict: Verdict) -> list[str]:
    if verdict.ratio is None:
        return [verdict.what, verdict.wanted, "-", "-", verdict.word]
    rounds = f"{verdict.low:.2f}-{verdict.high:.2f}"
    note = f": {verdict.note}" if verdict.note else ""
    return [verdict.what, verdict.wanted, f"{verdict.ratio:.2f}", rounds, verdict.word + note]


def legend(keys: Iterable[str]) -> list[str]:
    wanted = set(keys)
    return [f"{_name(case)}: {case.title}" for case in CASES if case.key in wanted]


def show(console: Console, facts: dict[str, str], tables: list[Grid], notes: list[str]) -> None:
    for name, value in facts.items():
        console.print(f"{name:>18}  {value}", highlight=False, markup=False, soft_wrap=True)
    for title, head, rows in tables:
        table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
        for index, name in enumerate(head):
            table.add_column(name, justify="left" if index < 2 else "right", overflow="fold")
        previous = rows[0][0] if rows else ""
        for row in rows:
            if row[0] != previous and not title.startswith("Targets"):
                table.add_section()
            previous = row[0]
            style = "green" if row[-1] == "pass" else "red" if row[-1].startswith("MISS") else ""
            table.add_row(*row, style=style)
        console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def markdown(facts: dict[str, str], tables: list[Grid], notes: list[str], heading: str) -> str:
    """For docs/evidence."""
    parts = [f"# {heading}", "", *(f"- {name}: {value}" for name, value in facts.items())]
    for title, head, rows in tables:
        parts += [
            "",
            f"## {title}",
            "",
            _line(head),
            _line("---" for _ in head),
            *(_line(row) for row in rows),
        ]
    parts += ["", *(f"- {note}" for note in notes)]
    return "\n".join(parts) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
