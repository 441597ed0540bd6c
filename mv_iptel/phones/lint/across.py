"""What is wrong between the files of a directory: files that are named and not there, circles, firmware."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

from mv_iptel.phones.lint.findings import Finding, finding
from mv_iptel.phones.lint.folder import ENTRY, Folder
from mv_iptel.phones.lint.lines import prose
from mv_iptel.phones.lint.text import Text
from mv_iptel.phones.parameters import Parameter, known
from mv_iptel.phones.script import FIRMWARE, Statement

# Files that phones read if they are there, and do without if not.
_OPTIONAL = frozenset({"46xxspecials.txt", "46xxspecial.txt"})


def check(text: Text, folder: Folder) -> Iterator[Finding]:
    """Every finding about the files that one file names."""
    if folder.whole:
        yield from _missing(text, folder)
    for each in text.script.statements:
        if each.kind == "get":
            yield from _spelled(text, each, each.name, folder)
        elif each.kind == "set" and each.value and _names_files(each.name):
            for name in each.value.split(","):
                yield from _spelled(text, each, name, folder)
        if each.kind == "set" and each.name in FIRMWARE and each.value and _for_refused(text.name):
            yield finding(
                text.name,
                each.line,
                "fxd-firmware",
                f"{each.name} {each.value[:60]} is ordered from every phone that is refused, and they may "
                "not fetch it",
                "remove the line: the phones keep the software that they have",
            )


def _for_refused(name: str) -> bool:
    return name.lower().startswith("fxd_") and "upgrade" in name.lower()


def _names_files(name: str) -> bool:
    parameter = known(name)
    return isinstance(parameter, Parameter) and parameter.file


def _missing(text: Text, folder: Folder) -> Iterator[Finding]:
    # A GET that fails goes on with the next line, so of several in a row only one has to be there.
    row: list[Statement] = []
    for each in (*text.script.statements, Statement(text.script.lines, "end")):
        if each.kind == "get":
            if not prose(text, each):
                row.append(each)
            continue
        if row and not any(folder.has(get.name) for get in row):
            for get in row:
                if get.name.casefold() in _OPTIONAL:
                    continue
                place = _nearby(folder, get.name)
                yield finding(
                    text.name,
                    get.line,
                    "no-file",
                    f"GET {get.name[:60]}: there is no such file{place}; phones go on without it",
                    "put the file there, or mend its name",
                    None if text.upgrade else "warning",
                )
        row = []
        firmware = each.kind == "set" and each.name in FIRMWARE and each.value
        if firmware and not folder.has(each.value):
            place = _nearby(folder, each.value)
            yield finding(
                text.name,
                each.line,
                "no-firmware",
                f"{each.name} {each.value[:60]}: there is no such file{place}; phones would ask for it and "
                "restart for ever",
                "put the file there, or name one that is",
            )
        elif each.kind == "set" and each.value and not firmware:
            yield from _absent(text, each, folder)


def _absent(text: Text, each: Statement, folder: Folder) -> Iterator[Finding]:
    """Languages, pictures and certificates that are named and not there: phones do without them."""
    parameter = known(each.name)
    if not isinstance(parameter, Parameter) or not parameter.file or each.note or text.generated:
        return  # IP Office makes what its files name at the moment it is asked for
    if parameter.type not in ("file", "files") or parameter.check(each.value) is not None:
        return
    for name in each.value.split(","):
        if name and "@" not in name and not folder.has(name):
            # Trust decides whether phones talk to the server at all; the rest they miss and go on.
            grave = each.name == "TRUSTCERTS"
            effect = "phones cannot check the server's certificate" if grave else "phones do without it"
            yield finding(
                text.name,
                each.line,
                "no-file",
                f"{each.name} names {name[:60]}: there is no such file{_nearby(folder, name)}; {effect}",
                "put the file there, or mend its name",
                "warning" if grave else "info",
            )


def _nearby(folder: Folder, name: str) -> str:
    where = folder.nearby.get(name.casefold())
    return f" (it lies in {where}, where these phones do not ask)" if where else ""


def _spelled(text: Text, each: Statement, name: str, folder: Folder) -> Iterator[Finding]:
    own = folder.name_of(name)
    if own is not None and own != name:
        yield finding(
            text.name,
            each.line,
            "file-case",
            f"the file is called {own}, not {name}; this server finds it, others may not",
            f"write {own}",
        )


def loops(texts: Mapping[str, Text], folder: Folder) -> Iterator[Finding]:
    """Each GET that closes a circle."""
    leads: dict[str, list[tuple[int, str]]] = {
        name: [
            (each.line, target)
            for each in text.script.statements
            if each.kind == "get" and "$" not in each.name
            for target in folder.matching(each.name)
            if target in texts
        ]
        for name, text in texts.items()
    }
    for name, line, target in circles(leads):
        yield finding(
            name,
            line,
            "get-loop",
            f"GET {target} leads back to this file: a GET loop, which phones read until they give up",
            "remove the line: a file may only lead onward",
        )


def _begins(name: str) -> bool:
    """Whether phones begin with a file of this name."""
    return "upgrade" in name.lower() and ENTRY.fullmatch(name) is not None


Step = tuple[str, int, str]  # file, line, the file that it leads to


def circles(leads: Mapping[str, Iterable[tuple[int, str]]]) -> Iterator[Step]:
    """Of each circle the step that is one too many: to a script that phones begin with, else the closing one.

    Depth first without recursion, and no circle is walked again: a file may close thousands of them.
    """
    done: set[str] = set()
    for start in sorted(leads, key=lambda name: (not _begins(name), name)):
        if start in done:
            continue
        depth = {start: 0}  # of each file on the way
        begun: list[tuple[int, Step]] = []  # steps of the way that lead to a script that phones begin with
        stack = [(start, iter(leads[start]))]
        while stack:
            name, rest = stack[-1]
            for line, target in rest:
                step = (name, line, target)
                if target in depth:
                    first = bisect_right(begun, depth[target], key=itemgetter(0))
                    yield begun[first][1] if first < len(begun) else step
                elif target not in done:
                    depth[target] = len(stack)
                    if _begins(target):
                        begun.append((len(stack), step))
                    stack.append((target, iter(leads.get(target, ()))))
                    break
            else:
                done.add(name)
                if begun and begun[-1][0] == depth[name]:
                    begun.pop()
                del depth[name]
                stack.pop()
