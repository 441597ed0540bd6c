"""`python -m benchmarks`: runs the cases in alternating rounds and prints what they show."""

from __future__ import annotations

import fcntl
import json
import resource
import sys
from pathlib import Path
from typing import IO

import click
from rich.console import Console

from benchmarks import files, machine, report
from benchmarks.build import BuildError, Generators, build
from benchmarks.cases import CASES, Bench, Case, RunError, derive, measure
from benchmarks.meter import meter
from benchmarks.servers import Server, ServerError, running
from benchmarks.targets import Runs, judge

SCRATCH = Path(__file__).parent.parent / ".run" / "bench"
DESCRIPTORS = 20_000
GROUPS = ("tftp", "http", "beside", "ftp")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--rounds", type=click.IntRange(1, 99), default=3, show_default=True, help="Runs of each case and server."
)
@click.option("--quick", is_flag=True, help="One round, short HTTP runs: is everything in working order?")
@click.option("--seconds", type=float, default=4.0, show_default=True, help="How long an HTTP run asks.")
@click.option(
    "--only",
    default="",
    metavar="LIST",
    help="Groups (tftp, http, beside, ftp) or cases, with commas.",
)
@click.option("--servers", default="", metavar="LIST", help="Only these servers, with commas between.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Every run's figures into this file."
)
@click.option(
    "--markdown", "markdown_file", type=click.Path(path_type=Path), help="The tables into this file."
)
def main(
    rounds: int,
    quick: bool,
    seconds: float,
    only: str,
    servers: str,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Side by side with tftpd-hpa, dnsmasq, nginx and vsftpd on loopback, every byte compared.

    Exit codes: 0 measured, whatever the figures; 1 something failed to run or a byte was wrong; 2 usage.

    \b
    python -m benchmarks --quick
    python -m benchmarks --only b,e --rounds 5
    python -m benchmarks --json bench.json --markdown docs/evidence/bench-2026-11-21.md
    """
    console, progress = Console(width=None if sys.stdout.isatty() else 180), Console(stderr=True)
    if quick:
        rounds, seconds = 1, 1.5
    chosen = _choose(only)
    _raise_descriptors()
    held = _alone(progress)
    try:
        generators = build(SCRATCH / "bin")
    except BuildError as error:
        raise click.ClickException(str(error)) from error
    bench = Bench(generators, files.make(SCRATCH / "files"), seconds)
    names = {name.strip() for name in servers.split(",") if name.strip()}
    runs: Runs = {}
    raw: list[dict] = []
    problems, failed = _skipped(chosen, names, generators), False
    for case in chosen:
        for number in range(1, rounds + 1):
            for server in case.servers:
                key = (case.key, server.name)
                if key in problems or (names and server.name not in names):
                    continue
                progress.print(
                    f"[dim]{case.key:9} round {number} of {rounds}  {server.name}[/dim]", highlight=False
                )
                try:
                    with running(server, SCRATCH, bench.files) as started:
                        figures = measure(case, bench, started)
                except (ServerError, RunError, OSError) as error:
                    problems[key] = f"FAILED: {error}"
                    failed = True
                    progress.print(f"{case.key}, {server.name}: {error}", style="red", markup=False)
                    continue
                runs.setdefault(key, []).append(figures | derive(case, figures))
                raw.append({"case": case.key, "server": server.name, "round": number, **figures})

    used = list(
        {
            server.name: server
            for case in chosen
            for server in case.servers
            if (case.key, server.name) in runs
        }.values()
    )
    facts = machine.facts(used, _accounting())
    verdicts = judge(runs)
    tables = report.grids(runs, problems, verdicts)
    said = [f"{case}, {server}: {text}" for (case, server), text in problems.items()]
    notes = [
        *report.legend({case for case, _ in runs}),
        f"Medians of {rounds} alternating rounds (extremes).",
        *said,
    ]
    report.show(console, facts, tables, notes)
    if json_file:
        told = [{**vars(v), "verdict": v.word} for v in verdicts]
        record = {"facts": facts, "rounds": rounds, "targets": told, "problems": said, "runs": raw}
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(record, indent=2) + "\n")
    if markdown_file:
        markdown_file.parent.mkdir(parents=True, exist_ok=True)
        markdown_file.write_text(report.markdown(facts, tables, notes, f"Bench of {facts['when']}"))
    held.close()
    sys.exit(1 if failed else 0)


def _alone(progress: Console) -> IO[str]:
    """Two benches at once would falsify each other: the second waits. Closing the result ends our turn."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    lock = (SCRATCH / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress.print("another bench is running; waiting for its end")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _choose(only: str) -> list[Case]:
    wanted = {word.strip() for word in only.split(",") if word.strip()}
    known = {*GROUPS, *(case.key for case in CASES)}
    if unknown := wanted - known:
        raise click.UsageError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    return [case for case in CASES if not wanted or wanted & {case.key, case.group}]


def _skipped(chosen: list[Case], names: set[str], generators: Generators) -> dict[tuple[str, str], str]:
    """What cannot run on this machine, by name; that is no failure."""
    found: dict[tuple[str, str], str] = {}
    for case in chosen:
        for server in case.servers:
            if names and server.name not in names:
                continue
            why = _why_not(case, server, generators)
            if why:
                found[case.key, server.name] = f"skipped: {why}"
    return found


def _why_not(case: Case, server: Server, generators: Generators) -> str:
    if case.tls and not generators.tls:
        return "the load generator was built without TLS (Debian package libssl-dev)"
    return server.missing()


def _accounting() -> str:
    probe = meter("probe")
    exact = "" if probe.exact else "; a lower bound for servers that fork"
    probe.close()
    return f"{probe.kind}{exact}"


def _raise_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
