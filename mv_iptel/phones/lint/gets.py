"""Names behind GET that phones may refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mv_iptel.phones.lint.findings import Finding, finding
from mv_iptel.phones.lint.lines import prose
from mv_iptel.phones.lint.text import Text

_PLAIN = re.compile(r"[0-9A-Za-z._$-]{1,50}")


def check(text: Text) -> Iterator[Finding]:
    """Every GET of something else than a plain file name."""
    for each in text.script.statements:
        if each.kind != "get" or _PLAIN.fullmatch(each.name) or prose(text, each) or "<" in each.name:
            continue
        shown = "".join(one if one.isprintable() else "?" for one in each.name[:60])
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
