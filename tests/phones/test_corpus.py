"""The corpus: for files of every family, style and damage, the trace and findings that were written by hand.

A case is a folder in tests/corpus with files as phones find them, and `expected.toml`:

    says        what the case is about
    findings    what lint must say, and nothing else: [code, line] or [code, line, file]; the file is the
                first run's start, if none is named
    [[run]]     one phone: model, and signalling, group, mac, boot, runs, facts, switches, where they matter
      start     the file it asks for first, if not its family's script
      taken     the lines that mean something to it, in order: "file 2 4-6"
      asked     the files it asks for; " -" behind one that is not there
      ended     why, and where: "end 46xxsettings.txt 9"
      parameters  what it ends up with
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mv_iptel.phones.evaluate import Ended, Evaluation, Switches
from mv_iptel.phones.families import FAMILIES, Handset
from mv_iptel.phones.lint.findings import CODES
from mv_iptel.phones.lint.folder import Folder
from mv_iptel.phones.lint.linting import lint
from tests.phones.plain import Plain

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
CASES = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
ABOUT = ("model", "signalling", "group", "mac", "boot", "runs", "hwvers")


@cache
def expected(case: str) -> dict[str, Any]:
    return tomllib.loads((CORPUS / case / "expected.toml").read_text("utf-8"))


@cache
def octets(case: str) -> dict[str, bytes]:
    """The files of a case; empty ones only stand for firmware and the like, unless a run reads them."""
    paths = sorted(path for path in (CORPUS / case).iterdir() if path.name != "expected.toml")
    return {path.name: path.read_bytes() for path in paths}


class Files(dict[str, bytes]):
    """Names have no letter case: so do the server's."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).casefold())

    def __getitem__(self, name: str) -> bytes:
        return super().__getitem__(name.casefold())

    def had(self, name: str) -> bytes | None:
        return super().get(name.casefold())


@cache
def served(case: str) -> Files:
    return Files((name.casefold(), data) for name, data in octets(case).items())


RUNS = [(case, number) for case in CASES for number in range(len(expected(case).get("run", ())))]


def handset(run: dict[str, Any]) -> Handset:
    about = {key: run[key] for key in ABOUT if key in run}
    return Handset(**about, facts=tuple(run.get("facts", {}).items()))


def played(case: str, run: dict[str, Any]) -> tuple[Evaluation, Ended]:
    """The evaluator over the case's files."""
    files = served(case)
    phone = handset(run)
    switches = Switches(**{**vars(phone.family.switches), **run.get("switches", {})})
    evaluation = Evaluation(phone.variables(), switches, phone.identity())
    running = evaluation.run(run.get("start", phone.family.scripts[0]))
    ask = next(running)
    try:
        while True:
            ask = running.send(files.had(ask.name))
    except StopIteration as stop:
        return evaluation, stop.value


def ranges(lines: list[tuple[str, int]]) -> list[str]:
    """[("a", 1), ("a", 2), ("b", 4)] as ["a 1-2", "b 4"]."""
    told: list[str] = []
    name, first, last = "", 0, 0
    for file, line in [*lines, ("", 0)]:
        if (file, line) == (name, last + 1):
            last = line
            continue
        if name:
            span = f"{first}-{last}" if last > first else f"{first}"
            told[-1] += f" {span}"
        if file and file != name:
            told.append(file)
        name, first, last = file, line, line
    return told


def asked(files: list[tuple[str, bool]]) -> list[str]:
    return [name if had else f"{name} -" for name, had in files]


@pytest.mark.parametrize(("case", "number"), RUNS, ids=[f"{case}-{number}" for case, number in RUNS])
def test_trace(case, number):
    run = expected(case)["run"][number]
    evaluation, ended = played(case, run)
    assert ranges([(step.file, step.line) for step in evaluation.trace]) == run["taken"]
    assert asked(evaluation.files) == run["asked"]
    assert f"{ended.why} {ended.file} {ended.line}" == run["ended"]
    assert {name: made.value for name, made in evaluation.parameters.items()} == run.get("parameters", {})


@pytest.mark.parametrize(("case", "number"), RUNS, ids=[f"{case}-{number}" for case, number in RUNS])
def test_the_plain_interpreter_says_the_same(case, number):
    run = expected(case)["run"][number]
    phone = handset(run)
    switches = Switches(**{**vars(phone.family.switches), **run.get("switches", {})})
    start = run.get("start", phone.family.scripts[0])
    outcome = Plain(served(case), phone.variables(), phone.identity(), switches).play(start)
    assert asked(outcome.asked) == run["asked"]
    assert " ".join(str(word) for word in outcome.ended) == run["ended"]
    assert {name: made[0] for name, made in outcome.settings.items()} == run.get("parameters", {})


@pytest.mark.parametrize("case", CASES)
def test_findings(case):
    table = expected(case)
    first = table["run"][0] if "run" in table else {}
    start = first.get("start") or (handset(first).family.scripts[0] if first else "")
    wanted = [(found[0], found[1], found[2] if len(found) > 2 else start) for found in table["findings"]]
    assert {code for code, _, _ in wanted} <= set(CODES)
    folder = Folder.read(CORPUS / case, [name for name, data in octets(case).items() if data])
    told = lint(folder)
    assert sorted((one.code, one.line, one.file) for one in told) == sorted(wanted), "\n".join(map(str, told))


def test_the_corpus_is_whole():
    """Enough files, each family, and no file that nobody reads."""
    files = [(case, name) for case in CASES for name, data in octets(case).items() if data]
    assert len(files) >= 60
    families = {handset(run).family.name for case in CASES for run in expected(case).get("run", ())}
    assert families == set(FAMILIES)
    for case in CASES:
        runs = expected(case).get("run", ())
        read = {taken.split()[0].casefold() for run in runs for taken in run["taken"]}
        read |= {name.casefold() for run in runs for name in run["asked"]}
        read |= {name.casefold() for name in expected(case).get("others", ())}
        unread = {name for name, data in octets(case).items() if data and name.casefold() not in read}
        assert not unread, (case, unread)
