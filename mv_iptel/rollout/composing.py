"""A script that asks the phone whether it is in the ring: a few lines above the one that everybody gets.

In the ring is who then fetches the ring's script under its own name; the others read on as ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mv_iptel.rollout.rings import Clause

LONGEST = 1 << 20  # octets; nobody's upgrade script comes near
_PLAIN = re.compile(r"[A-Za-z0-9._+@()-]+")
_BOM = b"\xef\xbb\xbf"


def ring_name(run: str, name: str) -> str:
    """The name under which a ring's phones fetch the ring's script; also a 96x1 takes such names."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}mvr-{run}-{last}"


def asks_for(name: str) -> bool:
    """Whether a script can ask for a file of this name."""
    return bool(_PLAIN.fullmatch(name.rpartition("/")[2]))


def compose(live: bytes, clauses: Iterable[Clause], name: str) -> bytes:
    """The live script below lines that send the ring's phones to `name`.

    All jumps go forward, and a phone that does not get `name` reads on in the live script.
    """
    stem = "MVRING"
    while stem.encode() in live.upper():
        stem += "X"
    lines = []
    for number, clause in enumerate(clauses):
        if clause.models and clause.groups:
            lines += [f"IF $MODEL4 SEQ {model} GOTO {stem}MODEL{number}" for model in clause.models]
            lines += [f"GOTO {stem}NEXT{number}", f"# {stem}MODEL{number}"]
        elif clause.models:
            lines += [f"IF $MODEL4 SEQ {model} GOTO {stem}IN" for model in clause.models]
        lines += [f"IF $GROUP SEQ {group} GOTO {stem}IN" for group in clause.groups]
        if clause.models and clause.groups:
            lines.append(f"# {stem}NEXT{number}")
    lines += [f"GOTO {stem}OUT", f"# {stem}IN", f"GET {name.rpartition('/')[2]}", f"# {stem}OUT"]
    end = "\r\n" if b"\r\n" in live else "\n"
    return "".join(line + end for line in lines).encode("ascii") + live.removeprefix(_BOM)
