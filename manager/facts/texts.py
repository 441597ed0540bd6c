"""Files as an editor has them: text out of octets and back, without touching a line that nobody edited."""

from __future__ import annotations

import re
from collections import defaultdict
from difflib import SequenceMatcher
from typing import NamedTuple

from mv_iptel.history.kinds import is_script
from mv_iptel.history.lines import HIDDEN, Change, changes, ends, hidden
from mv_iptel.phones.script import decode

EDITABLE = 2 << 20  # octets; the vendor's template of all settings has one
LINES = 100_000  # five times that template's; more of them take seconds to be compared and hidden
MERGED = 20_000  # lines beyond which nothing is merged
_SECRET = re.compile(r"passw|pswd|passphrase|secret|communit|\bpin\b|psk|ha1\b|token|credential", re.I)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----", re.I)


def is_text(data: bytes) -> bool:
    """Whether an editor can show it: no NUL in it, few signs that no text has, not too many lines."""
    if data.count(b"\n") > LINES:
        return False
    if b"\0" in data or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return False
    head = data[:65536]
    odd = sum(head.count(bytes((one,))) for one in (*range(9), 11, *range(14, 27), *range(28, 32), 127))
    return odd * 100 <= len(head)


def text_of(data: bytes) -> str:
    """What the editor shows: every line end is one sign."""
    return decode(data).replace("\r\n", "\n").replace("\r", "\n")


def masked(name: str, data: bytes) -> str:
    """The same for who may not see secrets; line by line as long."""
    text = text_of(data)
    if _KEY.search(text):
        return HIDDEN
    if is_script(name, data):
        return hidden(text)
    # In the languages of other sets nobody knows where a value begins: the line goes as a whole.
    return "\n".join(HIDDEN if _SECRET.search(line) else line for line in hidden(text).split("\n"))


def differences(name: str, old: bytes, new: bytes) -> list[Change]:
    """The lines that differ, with no secret in them, whatever the language."""
    if is_script(name, old) or is_script(name, new):
        return changes(old, new)
    return changes(*(masked(name, one).encode("utf-8", "replace") for one in (old, new)))


def octets_of(text: str, before: bytes = b"") -> bytes:
    """The text as octets: lines that `before` has keep theirs, others get its encoding and line ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    old = before.split(b"\n")
    known = [(text_of(line.removesuffix(b"\r")), line) for line in old]
    new = text.split("\n")
    head = 0
    # The last line has no end, so it is no model of a line that has one; it is compared by itself.
    while head < min(len(new), len(known)) - 1 and new[head] == known[head][0]:
        head += 1
    tail = 0
    while tail < min(len(new), len(known)) - head and new[-1 - tail] == known[-1 - tail][0]:
        tail += 1
    ends = sum(line.endswith(b"\r") for line in old[:-1])
    end = b"\r" if 2 * ends > len(old) - 1 else b""
    spelled: dict[str, bytes] = {}
    for line, raw in known:
        spelled.setdefault(line, raw.removesuffix(b"\r"))
    plain = _is_utf8(before)
    middle = [
        spelled.get(line, _encoded(line, plain)) + (end if head + at < len(new) - 1 else b"")
        for at, line in enumerate(new[head : len(new) - tail])
    ]
    return b"\n".join([*old[:head], *middle, *(old[len(old) - tail :] if tail else ())])


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _encoded(line: str, utf8: bool) -> bytes:
    if not utf8:
        try:
            return line.encode("cp1252")
        except UnicodeEncodeError:
            pass
    return line.encode("utf-8", "replace")


class Merged(NamedTuple):
    """What became of two edits of one text."""

    text: str
    conflicts: tuple[int, ...]  # lines (from 1) at which both had changed the same place


def merged(base: str, mine: str, theirs: str) -> Merged | None:
    """Both edits in one text; where they meet, theirs and then mine, with a comment above each.

    None: the texts are too long to be compared.
    """
    lines = [one.split("\n") for one in (base, mine, theirs)]
    if max(map(len, lines)) > MERGED:
        return None
    root, ours, others = lines
    found: list[str] = []
    conflicts: list[int] = []
    at = {"root": 0, "ours": 0, "others": 0}
    for low, high, our_low, our_high, other_low, other_high in [
        *_common(root, ours, others),
        (len(root), len(root), len(ours), len(ours), len(others), len(others)),
    ]:
        was = root[at["root"] : low]
        own, other = ours[at["ours"] : our_low], others[at["others"] : other_low]
        if own == other or other == was:
            found += own
        elif own == was:
            found += other
        else:
            conflicts.append(len(found) + 1)
            found += ["## both changed this place; saved meanwhile:", *other]
            found += ["## both changed this place; yours:", *own]
        found += root[low:high]
        at = {"root": high, "ours": our_high, "others": other_high}
    return Merged("\n".join(found), tuple(conflicts))


def _common(root: list[str], ours: list[str], others: list[str]) -> list[tuple[int, int, int, int, int, int]]:
    """Runs of lines that all three have, in order."""
    first: dict[int, int] = _pairs(root, ours)
    second: dict[int, int] = _pairs(root, others)
    runs: list[tuple[int, int, int, int, int, int]] = []
    at = 0
    while at < len(root):
        if at not in first or at not in second:
            at += 1
            continue
        size = 1
        while first.get(at + size) == first[at] + size and second.get(at + size) == second[at] + size:
            size += 1
        runs.append((at, at + size, first[at], first[at] + size, second[at], second[at] + size))
        at += size
    return runs


def _pairs(root: list[str], other: list[str]) -> dict[int, int]:
    """Which line of `root` is which of `other`."""
    head, tail = ends(root, other)
    found = {at: at for at in range(head)}
    inner, outer = root[head : len(root) - tail], other[head : len(other) - tail]
    if not _costly(inner, outer):
        for block in SequenceMatcher(None, inner, outer).get_matching_blocks():
            found.update((head + block.a + one, head + block.b + one) for one in range(block.size))
    found.update((len(root) - tail + one, len(other) - tail + one) for one in range(tail))
    return found


def _costly(inner: list[str], outer: list[str]) -> bool:
    """Whether so many lines are equal that comparing them would take minutes; then the whole place is one."""
    count: dict[str, int] = defaultdict(int)
    for line in outer:
        count[line] += 1
    return sum(count[line] for line in inner if count[line] <= len(outer) // 100 + 1 or len(outer) < 200) > (
        8 * (len(inner) + len(outer)) + 10_000
    )
