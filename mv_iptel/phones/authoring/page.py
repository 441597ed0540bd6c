"""A script or settings file while it is being written: statements, and comments that fit a window."""

from __future__ import annotations

import textwrap

from mv_iptel.phones.parameters import written

WIDTH = 100


class Page:
    """Lines of one file, in ASCII, each statement in the first column."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._tags: set[str] = set()
        self._wanted: set[str] = set()

    def say(self, *paragraphs: str) -> None:
        """Comments, wrapped."""
        for text in paragraphs:
            self._lines += textwrap.wrap(
                _ascii(text), WIDTH, initial_indent="## ", subsequent_indent="## ", break_on_hyphens=False
            )

    def head(self, text: str) -> None:
        """The heading of a part."""
        self.blank()
        self._lines.append(f"## ======== {_ascii(text)} ========")

    def blank(self) -> None:
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def set(self, name: str, value: str) -> None:
        self._lines.append(f"SET {name} {written(value)}")

    def example(self, name: str, value: str) -> None:
        """A setting that waits for the administrator to take the ## away."""
        self._lines.append(f"## SET {name} {written(value)}")

    def jump(self, variable: str, value: str, tag: str) -> None:
        self._wanted.add(tag)
        self._lines.append(f"IF ${variable} SEQ {value} GOTO {tag}")

    def goto(self, tag: str) -> None:
        self._wanted.add(tag)
        self._lines.append(f"GOTO {tag}")

    def wants(self, tag: str) -> bool:
        """Whether a line so far jumps there."""
        return tag in self._wanted

    def tag(self, tag: str) -> None:
        """A place to jump to; once in a file."""
        assert tag not in self._tags, tag
        self._tags.add(tag)
        self.blank()
        self._lines.append(f"# {tag}")

    def get(self, name: str) -> None:
        self._lines.append(f"GET {name}")

    def data(self) -> bytes:
        """The file."""
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        return ("\n".join(self._lines) + "\n").encode("ascii")


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")
