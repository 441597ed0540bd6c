"""Every oddity of the script language by name: whom it concerns, how sure it is, and what decides a doubt.

The parser and the evaluator follow these rules, which stand in rules.toml; tests/phones/test_rules.py
shows each at work, and `python -m mv_iptel.phones.rules` writes docs/scripts.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("rules.toml")
# How sure a rule is. "unknown" means that no public source says it, so that the default is our choice.
MARKS = ("confirmed", "inferred", "unknown")


class Rule(NamedTuple):
    """One oddity.

    switch    the field of `Switches` that decides it; empty if nothing is in doubt
    default   what it is unless a family has its own answer
    families  the families whose answer is another one
    only      the families that it concerns at all; empty for all
    """

    name: str
    part: str
    says: str
    mark: str
    source: str
    switch: str
    default: str | int | bool | None
    families: Mapping[str, str | int | bool]
    only: tuple[str, ...]


@lru_cache(maxsize=1)
def rules() -> Mapping[str, Rule]:
    """All of them by name, in the file's order."""
    with open(FILE, "rb") as file:
        parts = tomllib.load(file)
    return {
        name: Rule(
            name,
            part,
            row["says"],
            row["mark"],
            row["source"],
            row.get("switch", ""),
            row.get("default"),
            row.get("families", {}),
            tuple(row.get("only", "").split()),
        )
        for part, rows in parts.items()
        for name, row in rows.items()
    }


def page() -> str:
    """docs/scripts.md."""
    told = [_HEAD]
    every = rules().values()
    for part in dict.fromkeys(rule.part for rule in every):
        told.append(f"## {part}\n\n| rule | what it says | how sure | where sources differ | source |")
        told.append("|---|---|---|---|---|")
        for rule in every:
            if rule.part == part:
                says = f"{rule.says} (Only {', '.join(rule.only)}.)" if rule.only else rule.says
                told.append(f"| `{rule.name}` | {says} | {rule.mark} | {_switch(rule)} | {rule.source} |")
        told.append("")
    return "\n".join(told)


def _switch(rule: Rule) -> str:
    if not rule.switch:
        return ""
    others = "".join(f"; {family}: {_word(value)}" for family, value in rule.families.items())
    return f"`{rule.switch}` is {_word(rule.default)}{others}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`" if value else "none"


_HEAD = """# How phones read scripts

One language serves upgrade scripts and settings files. Here is every rule by which `sim boot --dry`,
`explain`, `settings-diff` and `lint` read them, with what public sources say of it:

- **confirmed**: a public document or a public real file says so;
- **inferred**: it follows from such material;
- **unknown**: nobody says so in public. What stands here is our choice, and where it matters a switch
  (`Switches` in `mv_iptel/phones/evaluate.py`) holds it, with the families' own answers in `families.py`.

This page is made from `mv_iptel/phones/rules.toml`.
"""


if __name__ == "__main__":
    print(page(), end="")
