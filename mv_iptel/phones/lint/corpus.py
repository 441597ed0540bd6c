"""A table over many files that do not belong together: findings of each, and how phones go through it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mv_iptel.phones.evaluate import Evaluation
from mv_iptel.phones.families import FAMILIES, MODELS, Handset
from mv_iptel.phones.lint.folder import Folder, foreign, listing
from mv_iptel.phones.lint.linting import lint
from mv_iptel.phones.lint.phones import readers_of
from mv_iptel.phones.lint.text import Text

SUFFIXES = frozenset({".txt", ".scr", ".cfg", ""})


def table(directory: Path) -> Iterator[dict[str, Any]]:
    """A row for each script in a directory and all below it, in the order of their names.

    Files of one folder may name each other, but none is called missing: a corpus is no server.
    """
    for folder in _folders(directory):
        names = [
            name
            for name in listing(folder).values()
            if name[0] != "." and Path(name).suffix.lower() in SUFFIXES and (folder / name).is_file()
        ]
        read = Folder.read(folder, names, whole=False)
        found: dict[str, list[Any]] = {name: [] for name in sorted({*read.files, *read.faults})}
        for one in lint(read):
            found[one.file].append(one)
        for name, findings in found.items():
            data = read.files.get(name, b"")
            counts = {
                grade: sum(one.severity == grade for one in findings)
                for grade in ("error", "warning", "info")
            }
            yield {
                "file": (folder / name).relative_to(directory).as_posix(),
                "bytes": len(data),
                "lines": Text.of(name, data).script.lines,
                "foreign": foreign(name),
                "counts": counts,
                "findings": [one.as_dict() for one in findings],
                "trace": {} if name in read.faults else traces(read, name),
            }


def _folders(directory: Path) -> Iterator[Path]:
    """A directory and all below it, however deep, but nothing that a link leads to."""
    todo = [directory]
    while todo:
        folder = todo.pop()
        yield folder
        try:
            with os.scandir(folder) as entries:
                below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # too deep for a path, or not ours to look into
        todo += sorted((Path(path) for path in below if os.path.basename(path)[0] != "."), reverse=True)


def handsets() -> dict[str, Handset]:
    """One phone of each family."""
    found: dict[str, Handset] = {}
    for signalling in ("", "H323", "SIP"):
        for model in MODELS:
            try:
                handset = Handset(model, signalling=signalling)
                found.setdefault(handset.family.name, handset)
            except ValueError:
                continue
    return {name: found[name] for name in FAMILIES if name in found}


def traces(folder: Folder, name: str) -> dict[str, dict[str, Any]]:
    """How a phone of each family that may read the file goes through it, in a few numbers."""
    families = readers_of(name) or tuple(FAMILIES)
    return {
        family: trace(folder, name, handset) for family, handset in handsets().items() if family in families
    }


def trace(folder: Folder, name: str, handset: Handset) -> dict[str, Any]:
    """One phone reading one file and what it leads to."""
    evaluation = Evaluation(handset.variables(), handset.family.switches, handset.identity())
    reading = evaluation.run(name)
    answer: Any = None
    while True:
        try:
            ask = reading.send(answer)
        except StopIteration as stop:
            ended = stop.value
            break
        own = folder.name_of(ask.name)
        answer = folder.files.get(own) if own is not None else None
    return {
        "ended": ended.why,
        "file": ended.file,
        "line": ended.line,
        "steps": len(evaluation.trace),
        "sets": len(evaluation.assignments),
        "parameters": len(evaluation.parameters),
        "files": [asked for asked, _ in evaluation.files],
    }
