"""What is wrong in a file, where, and what to write instead."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One problem. `level` is error (stops the load) or finding (does not); `line` 0 is the whole file."""

    file: str
    line: int
    section: str
    key: str
    text: str
    level: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:" if self.line else f"{self.file}:"
        section = f" [{self.section}]" if self.section else ""
        key = f" {self.key}:" if self.key else (":" if section else "")
        return f"{place}{section}{key} {self.text}"


class ConfigError(Exception):
    """A file that cannot be used; `findings` holds all its problems, errors and others, by line."""

    def __init__(self, findings: tuple[Finding, ...]):
        super().__init__("\n".join(map(str, findings)))
        self.findings = findings
