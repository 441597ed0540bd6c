"""Mends what is safe to mend in a file, without touching any other byte of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from mv_iptel.phones.differences import secret
from mv_iptel.phones.lint import lines
from mv_iptel.phones.lint.clients import sounds_secret
from mv_iptel.phones.lint.findings import Finding
from mv_iptel.phones.lint.text import Text
from mv_iptel.phones.script import decode

PASSES = 5  # a line may have several things wrong with it: each pass mends one
_CP1252 = {bytes([code]).decode("cp1252", "ignore"): bytes([code]) for code in range(0x80, 0xA0)}
_LOGIN = re.compile(r"://[^/\s]*@")
# Blanks of every kind, for a line that is to be mended may have any.
_SET = re.compile(
    "([-+ ]?[\\s\ufeff\u200b]*(?:SET|ADD)[\\s\u200b]+([A-Z0-9_]+)[\\s=\u200b]+)(.*)", re.I | re.S
)


def mended(name: str, data: bytes, codes: Iterable[str] = ()) -> tuple[bytes, list[Finding]]:
    """The file as it should be, and what was mended; only these codes, if any are given."""
    only = frozenset(codes)
    done: list[Finding] = []
    for _ in range(PASSES):
        text = Text.of(name, data)
        if text.script.fault:
            break
        fixes: dict[int, Finding] = {}
        for one in lines.check(text):
            if one.fix is not None and text.wanted(one) and (not only or one.code in only):
                fixes.setdefault(one.line, one)
        if not fixes:
            break
        data = _applied(data, fixes)
        done += fixes.values()
    return data, sorted(done, key=lambda one: (one.line, one.code))


def _applied(data: bytes, fixes: dict[int, Finding]) -> bytes:
    rows = data.split(b"\n")
    for number, one in fixes.items():
        row = rows[number - 1]
        end = b"\r" if row.endswith(b"\r") else b""
        rows[number - 1] = _bytes("".join(one.fix or ()), row) + end  # a fix is one line: none comes or goes
    return b"\n".join(rows)


def _bytes(line: str, before: bytes) -> bytes:
    """The line in the encoding that it had."""
    try:
        before.decode("utf-8")
    except UnicodeDecodeError:
        return b"".join(_CP1252.get(one) or one.encode("latin-1", "replace") for one in line)
    return line.encode("utf-8", "replace")


def diff(name: str, before: bytes, after: bytes) -> list[str]:
    """What changes, for people: values that are secrets are not shown. Each line is mended in its place."""
    old, new = (decode(data).replace("\r", "").split("\n") for data in (before, after))
    changed = [at for at, (was, is_now) in enumerate(zip(old, new, strict=True)) if was != is_now]
    told = [f"--- {name}", f"+++ {name} (mended)"] if changed else []
    for _, run in groupby(enumerate(changed), lambda one: one[1] - one[0]):  # lines that stand together
        places = [at for _, at in run]
        first, count = places[0], f",{len(places)}" if len(places) > 1 else ""
        told.append(f"@@ -{first + 1}{count} +{first + 1}{count} @@")
        told += [_masked(f"-{old[at]}") for at in places] + [_masked(f"+{new[at]}") for at in places]
    return told


def _masked(line: str) -> str:
    match = _SET.fullmatch(line)
    if match is None:
        return line
    name = match[2].upper()
    hidden = sounds_secret(name) or secret(name) or _LOGIN.search(match[3])
    return f"{match[1]}..." if hidden else line
