"""GET: names that phones may refuse, lines behind it that nobody reads, and upgrade scripts without one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mv_iptel.phones.differences import masked
from mv_iptel.phones.lint.findings import Finding, finding
from mv_iptel.phones.lint.folder import Folder
from mv_iptel.phones.lint.lines import prose
from mv_iptel.phones.lint.text import Text
from mv_iptel.phones.script import Statement

_PLAIN = re.compile(r"[0-9A-Za-z._$-]{1,50}")
_SETTINGS = ("46xxsettings.txt", "46xxsettings.scr")
# A VPN phone comes to its settings from 46xxvpn.scr, a refused one shall get none.
_ALONE = re.compile(r"46vpnupgrade\.scr|fxd_.*", re.I)


def check(text: Text, folder: Folder) -> Iterator[Finding]:
    """Every finding about GET."""
    yield from _strange(text)
    yield from _behind(text, folder)
    statements = text.script.statements
    if not text.upgrade or _ALONE.fullmatch(text.name) or any(each.kind == "get" for each in statements):
        return
    here = next((own for own in map(folder.name_of, _SETTINGS) if own), "")
    first = next((each for each in statements if each.kind == "set"), None)
    if here and first:
        yield finding(
            text.name,
            first.line,
            "no-settings",
            f"no line of this script gets {here}, so its phones never read it",
            f"add GET {here} at the end, where all phones come",
        )


def _behind(text: Text, folder: Folder) -> Iterator[Finding]:
    """Settings below a GET of a file that is there: phones read on only if they do not get it."""
    left: Statement | None = None
    rest: list[Statement] = []
    for each in (*text.script.statements, Statement(text.script.lines + 1, "tag")):
        if left is None:
            own = folder.name_of(each.name) if each.kind == "get" and "$" not in each.name else None
            if own and own != text.name and "upgrade" not in own.lower():  # else it is a circle, and told
                left = each
        elif each.kind in ("set", "get"):
            rest.append(each)
        elif each.kind == "tag":
            acts = [one for one in rest if one.kind == "set" or "$" in one.name]
            if acts:
                grave = any(one.kind == "set" for one in acts)
                lines = (
                    f"lines {acts[0].line} to {acts[-1].line}" if len(acts) > 1 else f"line {acts[0].line}"
                )
                yield finding(
                    text.name,
                    acts[0].line,
                    "unreachable",
                    f"phones do not come back from GET {left.name[:60]} in line {left.line}, which is there, "
                    f"so they do not read {lines}",
                    f"write them above the GET, or into {left.name[:60]}",
                    None if grave else "info",
                )
            left, rest = None, []


def _strange(text: Text) -> Iterator[Finding]:
    """Every GET of something else than a plain file name."""
    for each in text.script.statements:
        if each.kind != "get" or _PLAIN.fullmatch(each.name) or prose(text, each) or "<" in each.name:
            continue
        shown = "".join(one if one.isprintable() else "?" for one in masked("", each.name)[:60])
        if "://" in each.name:
            why, grave = "is a whole URL, but phones fetch the file from where they have this one", True
        elif "/" in each.name or "\\" in each.name:
            why, grave = "names a folder, but phones fetch the file from where they have this one", False
        elif len(each.name) > 50:
            why, grave = f"has {len(each.name)} characters, and a 96x1 with H.323 takes 50", False
        else:
            why, grave = "has characters that a 96x1 with H.323 refuses", False
        yield finding(
            text.name,
            each.line,
            "get-name",
            f"GET {shown}: the name {why}",
            "write the name of a file in this folder: letters, digits, dots, hyphens and underscores",
            "warning" if grave else "info",
        )
