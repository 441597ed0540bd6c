"""Lint: everything that is wrong or doubtful in the scripts and settings of a directory."""

from __future__ import annotations

from collections.abc import Iterable

from mv_iptel.phones import languages
from mv_iptel.phones.lint import across, almost, backups, conditions, gets, lines, settings
from mv_iptel.phones.lint.findings import CODES, ORDER, Finding, finding
from mv_iptel.phones.lint.flow import walk
from mv_iptel.phones.lint.folder import ENTRY, Folder, Site, foreign
from mv_iptel.phones.lint.phones import Kind, Phones, strange_models
from mv_iptel.phones.lint.text import Text
from mv_iptel.phones.slips import Words


def lint(
    folder: Folder,
    names: Iterable[str] | None = None,
    site: Site | None = None,
    kinds: Iterable[Kind] = (),
) -> list[Finding]:
    """Every finding about these files (all of the folder's scripts), by file and line.

    `site` adds what only the server can know. `kinds` leaves only what these phones read.
    """
    wanted = set(folder.files if names is None else names)
    found = [
        finding(name, 0, "unreadable", f"cannot be read: {why}", "make it a file that the server may read")
        for name, why in folder.faults.items()
    ]
    texts: dict[str, Text] = {}
    for name, data in folder.files.items():
        text = Text.of(name, data)
        if text.script.fault:
            found += _fault(text)
        elif languages.expected(name) is not languages.SCRIPT:
            found += _no_script(text)
        else:
            texts[name] = text
    phones = Phones(_strange(texts.values()), tuple(kinds))
    readers = _readers(texts, folder, phones)
    sip_1603 = any(_sip_1603(text) for text in texts.values())
    for name in wanted & texts.keys():
        text = texts[name]
        flow = walk(text.script, phones, readers[name])
        single = [*lines.check(text), *almost.check(text)]
        told = {one.line for one in single}
        own = [
            *single,
            # A value that is badly written is not called a wrong one besides.
            *(
                one
                for one in settings.check(text, flow, phones, sip_1603)
                if one.line not in told or not one.code.startswith("value-")
            ),
            *conditions.check(text, flow, phones),
            *gets.check(text, folder),
            *_codes(text),
            *across.check(text, folder),
        ]
        if kinds:
            read = {each.line for at, each in enumerate(text.script.statements) if flow.reach[at]}
            acts = {each.line for each in text.script.statements}
            own = [one for one in own if one.line in read or one.line not in acts]
        found += own
    found += across.loops(texts, folder)
    found += backups.check(texts, site)
    kept = {
        one
        for one in found
        if one.file in wanted or one.file in folder.faults
        if one.file not in texts or texts[one.file].wanted(one)
    }
    return sorted(kept, key=lambda one: (one.file, one.line, ORDER[one.severity], one.code, one.text))


def _fault(text: Text) -> list[Finding]:
    """Why nothing in the file can be read by phones; nothing if they look for no script under its name."""
    why, _, mend = text.script.fault.partition("; ")
    if not why.startswith("no line of it"):
        return [finding(text.name, 1, "not-text", why, mend or "save it as plain text (ANSI or ASCII)")]
    asked = ENTRY.fullmatch(text.name) is not None  # phones that read scripts ask for this name
    if not asked and foreign(text.name):
        return []
    mend = "write a script here, or give the file the name that its own phones ask for"
    return [finding(text.name, 1, "other-language", why, mend, "error" if asked else "info")]


def _no_script(text: Text) -> list[Finding]:
    """SET lines in a file of sets that have another language, and do not know SET."""
    acts = [each for each in text.script.statements if each.kind == "set" and not lines.prose(text, each)]
    if not acts:
        return []
    more = f" (and {len(acts) - 1} more such lines)" if len(acts) > 1 else ""
    says = languages.expected(text.name).says
    told = f"SET is not known to the sets that ask for this name{more}: they expect {says}"
    mend = "write NAME and value alone, or give the file the name that its own phones ask for"
    return [finding(text.name, acts[0].line, "other-language", told, mend)]


def _codes(text: Text) -> list[Finding]:
    """Comments for lint itself that have no effect."""
    known = Words((code.upper(), 0) for code in CODES) if text.unknown_codes else None
    found = []
    for line, word in text.unknown_codes:
        near = known.nearest(word, 1) if known else []
        told = f"{word[:40]} is no code of lint, so the comment has no effect"
        mend = f"write {near[0].lower()}" if near else "look the code up with mv-iptel lint --codes"
        found.append(finding(text.name, line, "unknown-code", told, mend))
    return found


def _sip_1603(text: Text) -> bool:
    """Whether a script orders the SIP software that the 1603SW-I had for a while: sa1603ua1_0100.bin."""
    return any(
        each.kind == "set" and each.name == "APPNAME" and each.value[:4].casefold() == "sa16"
        for each in text.script.statements
    )


def _strange(texts: Iterable[Text]) -> list[str]:
    values = (
        each.value
        for text in texts
        for each in text.script.statements
        if each.kind == "if" and each.name == "MODEL4"
    )
    return strange_models(dict.fromkeys(values))


def _readers(texts: dict[str, Text], folder: Folder, phones: Phones) -> dict[str, int]:
    """Who may read each file: what phones ask for by themselves, and what those files lead to."""
    readers = {name: phones.first(name) if ENTRY.fullmatch(name) else 0 for name in texts}
    leads = {
        name: {
            target
            for each in text.script.statements
            if each.kind == "get"
            for target in folder.matching(each.name)
            if target in texts
        }
        for name, text in texts.items()
    }
    todo = [name for name in texts if readers[name]]
    while todo:
        name = todo.pop()
        for target in leads[name]:
            both = readers[target] | readers[name]
            if both != readers[target]:
                readers[target] = both
                todo.append(target)
    return {name: who or phones.all for name, who in readers.items()}
