"""Back into an ini file: the files that `init` writes, and changes that leave the rest of a file alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mv_iptel.config import keys, lines
from mv_iptel.home import Home, shipped


def changed(text: str, values: Mapping[tuple[str, str], str]) -> str:
    """`text` with other values: `{("HTTP", "HTTPPort"): "6081"}`.

    Comments, order and blanks stay. A key that is not there is put at the end of its section, a section
    that is not there at the end of the file. Of repeated keys the last one, which counts, is changed.
    """
    # As `lines.read` counts them, each with its own line end.
    out = [line for line in re.findall(r"[^\r\n]*(?:\r\n|\r|\n|\Z)", text) if line]
    end = "\r\n" if "\r\n" in text else "\n"
    left = {(section.lower(), key.lower()): (section, key, value) for (section, key), value in values.items()}
    last: dict[str, int] = {}  # section to the last of its lines that means something
    at: dict[tuple[str, str], int] = {}
    for item in lines.read(text.encode("utf-8")):
        section = item.section.lower()
        last[section] = item.line
        if isinstance(item, lines.Entry):
            at[section, item.key.lower()] = item.line
    for place in [place for place in left if place in at]:
        line = out[at[place] - 1]
        before, sign, old = line.partition("=")
        body = old.rstrip("\r\n")
        gap = body[: len(body) - len(body.lstrip())]
        if not body.strip():
            gap = " " if body.startswith(" ") or before.endswith(" ") else ""
        out[at[place] - 1] = f"{before}{sign}{gap}{left.pop(place)[2]}{old[len(body) :]}"
    if left and out and out[-1][-1] not in "\r\n":
        out[-1] += end
    # From the bottom up, so that the line numbers above stay true.
    for (section, _), (name, key, value) in sorted(
        left.items(), key=lambda one: (last.get(one[0][0], len(out) + 1), one[0]), reverse=True
    ):
        if section not in last:
            out.append(f"[{name}]{end}")
            last[section] = len(out)
        out.insert(last[section], f"{key}={value}{end}")
    return "".join(out)


def template(home: Home, **choices: str) -> str:
    """The `MV_IPTel.ini` that `init` writes; `choices` are values by key name (`HTTPPort="6081"`).

    A key that stands in two sections is named with its section: `FTPS_FTPPort`. Raises KeyError.
    """
    del home  # paths in it are relative, so that a home can be moved
    values: dict[tuple[str, str], str] = {}
    for choice, value in choices.items():
        places = [
            (section, key.name)
            for section, (_, part) in keys.SERVER.items()
            for key in keys.keys_of(part).values()
            if choice in (key.name, f"{section}_{key.name}")
        ]
        if not places:
            raise KeyError(choice)
        values[places[0]] = value
    return changed((shipped() / "MV_IPTel.ini").read_text("utf-8"), values)
