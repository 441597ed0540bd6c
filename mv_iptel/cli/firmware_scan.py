"""The command `firmware scan`: what phones run, beside what is ordered for them."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

import click
from rich.text import Text

from mv_iptel.cli.asking import Refused, Unreachable, installed, tell
from mv_iptel.cli.forms import Columns, bar, moment, write_csv
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, errors, print_json, seconds
from mv_iptel.config import Config
from mv_iptel.firmware.scanning import Report, Row, scan
from mv_iptel.home import Home
from mv_iptel.inventory.scanned import MOST, Scanned
from mv_iptel.journal import plain
from mv_iptel.snmp.sweep import RATE
from mv_iptel.status.words import SOURCES, mac, many

TONES = {"compliant": "green", "pending": "cyan", "stuck": "red", "unknown": "yellow", "silent": "dim"}
FIELDS = ("address", "mac", "ext", "model", "family", "group", "serial", "state", "runs", "source", "seen",
          "ordered", "ordered_by", "release", "boot", "advisories", "text")  # fmt: skip
SHOWN = 40


@click.command(name="scan")
@click.option("--net", "nets", multiple=True, metavar="NET",
              help="Ask who is there instead: a network, a range a-b or an address. Repeatable.")  # fmt: skip
@click.option("--seen", default="30d", show_default=True, metavar="TIME", help="Ask phones seen within TIME.")
@click.option("--rate", default=RATE, show_default=True, type=click.FloatRange(1, 2000), metavar="N",
              help="Ask at most N phones a second.")  # fmt: skip
@click.option("--stuck", default="24h", show_default=True, metavar="TIME",
              help="Who still runs the old so long after the order, and asked, is stuck.")  # fmt: skip
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write every phone to FILE as CSV; - is the standard output.")  # fmt: skip
@click.option(
    "--all", "everyone", is_flag=True, help="List every phone, not only those with something to see."
)
@common
def scan_phones(
    home: Home, as_json: bool, nets: tuple[str, ...], seen: str, rate: float, stuck: str,
    csv_file: Path | None, everyone: bool,
) -> None:  # fmt: skip
    """Ask phones by SNMP what they run, and set it beside what the live scripts order for them.

    Asks the inventory's phones at their last addresses, or everybody in the networks that are named, by the
    Community of [SNMP]. Phones answer the server's own address only (SNMPADD): run it there. What they
    answer is kept in the inventory if the server runs.

    \b
    compliant  it runs what the scripts order for its model and GROUP
    pending    it does not yet: the order is young, or the phone has not restarted since
    stuck      ordered for long, it asked for its script, or fetched the firmware, and still runs the old
    unknown    nobody knows what it runs, or what is ordered for it
    silent     it did not answer

    \b
    Examples:
      mv-iptel firmware scan
      mv-iptel firmware scan --net 10.1.0.0/24 --net 10.2.0.10-10.2.0.99 --rate 50
      mv-iptel firmware scan --csv phones.csv --stuck 7d

    Exit code 1: a phone is stuck, or runs something weak or out of support, or nobody answered.
    """
    config = installed(home)
    within, late = seconds(seen, "--seen"), seconds(stuck, "--stuck")
    to_output = csv_file is not None and str(csv_file) == "-"
    if as_json and to_output:
        end(USAGE, "--json and --csv - both write to the standard output; name a file for one of them")
    with bar(as_json or to_output) as told:
        report = scan(config, nets, within, rate, late, lambda done, total: told("asking", done, total))
    if isinstance(report, str):
        end(USAGE, f"--net: {report}" if nets else report)
    unkept = _keep(config, report.kept)
    if csv_file is not None:
        _write(csv_file, report.rows)
    if as_json:
        print_json(_told(report, unkept))
    elif not to_output:
        _show(report, everyone)
    for problem in report.problems:
        errors.print(plain(problem, 500), style="yellow", markup=False)
    if unkept:
        errors.print(f"what the phones answered is not kept in the inventory: {plain(unkept, 500)}",
                     style="yellow", markup=False)  # fmt: skip
    end(NEGATIVE if report.findings else 0)


def _keep(config: Config, found: list[Scanned]) -> str:
    """Hand what phones answered to the running server; why that was not possible."""
    if not found:
        return ""
    try:
        for at in range(0, len(found), MOST):
            body = {"phones": [one.as_dict() for one in found[at : at + MOST]]}
            tell(config, "/control/seen", body)
    except Unreachable:
        return "only the server writes it, and it does not run"
    except Refused as error:
        return str(error)
    except SystemExit:  # who may not read the token was told so
        return "the server did not take it"
    return ""


def _told(report: Report, unkept: str) -> dict[str, Any]:
    return {
        "time": report.time, "seconds": round(report.seconds, 3), "asked": report.asked,
        "answered": report.answered, "other_devices": report.others, "states": report.states,
        "kept": not unkept, "problems": report.problems, "phones": [row.as_dict() for row in report.rows],
    }  # fmt: skip


def _show(report: Report, everyone: bool) -> None:
    if not report.asked:
        console.print("no phone is known; name networks with --net", markup=False)
        return
    shown = [
        row
        for row in report.rows
        if everyone or row.advisories or row.state in ("stuck", "pending", "unknown")
    ]
    if shown:
        table = Columns("state", "address", "MAC", "ext", "model", "runs", "ordered", "why")
        for row in shown if everyone else shown[:SHOWN]:
            table.add_row(
                Text(row.state, TONES[row.state]), row.address, mac(row.mac) or "-", row.ext or "-",
                plain(row.model) or "-", _runs(row), plain(row.ordered) or "-", _why(row),
            )  # fmt: skip
        table.show()
        if len(shown) > SHOWN and not everyone:
            console.print(f"and {len(shown) - SHOWN:,} more: --all or --csv FILE shows them", style="dim")
        console.print()
    _summary(report)


def _summary(report: Report) -> None:
    others = f", {many(report.others, 'other device')}" if report.others else ""
    asked = f"{report.asked:,} address{'' if report.asked == 1 else 'es'} asked in {report.seconds:.1f} s"
    console.print(f"{asked}: {many(report.answered, 'phone')} answered{others}", markup=False)
    if not report.answered:
        text = (
            "phones answer only to the server that SNMPADD names, and to the word in SNMPSTRING (Community)"
        )
        console.print(f"  {text}", style="yellow", markup=False)
    line = Text("  ")
    for state, count in report.states.items():
        line.append(f"{count:,} {state}", TONES[state] if count else "dim").append("   ")
    line.rstrip()
    console.print(line)
    counted = Counter(one for row in report.rows for one in row.advisories)
    for one, count in sorted(counted.items(), key=lambda pair: -pair[1]):
        sure = "" if one.confirmed else " (inferred)"
        told = f"  {many(count, 'phone')}: {plain(one.text, 500)}{sure} [{plain(one.id)}]"
        console.print(Text(f"  {one.kind}", "red" if one.kind == "weak" else "yellow") + Text(told))


def _runs(row: Row) -> str:
    if not row.runs:
        return "unknown"
    how = {"snmp": "", "guess": " (guessed)"}.get(
        row.source, f" (by its {SOURCES.get(row.source, row.source)})"
    )
    return plain(row.runs) + how


def _why(row: Row) -> str:
    marks = ", ".join(dict.fromkeys(one.kind for one in row.advisories))
    return plain(f"{marks}: {row.text}" if marks else row.text, 300)


def _write(path: Path, rows: list[Row]) -> None:
    """CSV of every phone."""
    told = (
        {**row.as_dict(), "seen": moment(row.seen) if row.seen else "",
         "advisories": " ".join(one.id for one in row.advisories)}
        for row in rows
    )  # fmt: skip
    try:
        with contextlib.ExitStack() as held:
            out: TextIO = sys.stdout
            if str(path) != "-":
                out = held.enter_context(path.open("w", encoding="utf-8", newline=""))
            write_csv(FIELDS, told, out)
    except OSError as error:
        end(USAGE, f"{path}: {error.strerror}")


commands: list[click.Command] = [scan_phones]
