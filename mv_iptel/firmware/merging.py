"""The site's own lines at the top of an upgrade script, carried over into the vendor's next one.

Administrators put an insert above the vendor's script (the guide for VPN phones asks for one: GROUP 876).
It is told from the vendor's lines by comparing the file with a script of the vendor's that we know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import NamedTuple

from mv_iptel.phones.script import parse

_STATEMENT = re.compile(rb"(?:SET|IF|GOTO|GET)[ \t]|# ", re.IGNORECASE)
LONGEST = 1 << 20  # octets; an upgrade script has some kilobytes


class Merged(NamedTuple):
    """The new script with the insert at its top; `insert` are the site's own lines."""

    data: bytes
    insert: bytes


def merge(live: bytes, new: bytes, known: Iterable[bytes]) -> Merged | str:
    """The new script with what the site has put at the top of the live one, or why that cannot be done.

    `known` are scripts of the vendor's that the live one may be made of.
    """
    why = "no script that it could be made of is known here; compare them by eye, then --keep or --replace"
    if len(live) > LONGEST or len(new) > LONGEST:
        return "it is too big for an upgrade script"
    for base in (*known, new):
        found = _insert(base, live)
        if isinstance(found, str):
            why = found
        elif found.strip():
            return _joined(found, new)
    return why


def _insert(base: bytes, live: bytes) -> bytes | str:
    """What stands in `live` above the first statement of `base`, if that is all that differs."""
    ours, theirs = live.splitlines(keepends=True), base.splitlines(keepends=True)
    key_ours, key_theirs = [line.strip() for line in ours], [line.strip() for line in theirs]
    first = next((at for at, line in enumerate(key_theirs) if _STATEMENT.match(line)), len(key_theirs))
    # What stands at the very top may be longer than the rest: a common end is looked for first.
    end = 0
    while end < min(len(ours), len(theirs)) and key_ours[-1 - end] == key_theirs[-1 - end]:
        end += 1
    if end < len(theirs) - first:
        return "it was changed below its top too: only lines above the vendor's first one can be carried over"
    head, rest = ours[: len(ours) - end], theirs[: len(theirs) - end]
    keys = [line.strip() for line in rest]
    matcher = SequenceMatcher(None, keys, [line.strip() for line in head], autojunk=False)
    lines: list[bytes] = []
    for what, _, _, start, stop in matcher.get_opcodes():
        if what in ("insert", "replace"):
            lines += head[start:stop]
        if what in ("delete", "replace") and any(_STATEMENT.match(key) for key in keys):
            return "lines of the vendor's are gone from it"
    return b"".join(lines)


def _joined(insert: bytes, new: bytes) -> Merged | str:
    newline = b"\r\n" if b"\r\n" in new else b"\n"
    if not insert.endswith(b"\n"):
        insert += newline
    above, below = parse("insert", insert), parse("new", new)
    tags = {one.tag.casefold() for one in below.statements if one.kind == "tag"}
    own = {one.tag.casefold() for one in above.statements if one.kind == "tag"}
    if twice := sorted(own & tags):
        return f"the vendor's new script has a place named {twice[0].upper()} too; give yours another name"
    for one in above.statements:
        if one.kind in ("goto", "if") and one.tag.casefold() not in own | tags:
            return f"line {one.line} of the insert jumps to {one.tag}, which the vendor's new script has not"
    return Merged(insert + new, insert)
