"""Back into an ini file: the files that `init` writes, and changes that leave the rest of a file alone."""

from __future__ import annotations

from collections.abc import Mapping

from mv_iptel.config import keys, lines
from mv_iptel.home import Home, shipped


def changed(text: str, values: Mapping[tuple[str, str], str]) -> str:
    """`text` with other values: `{("HTTP", "HTTPPort"): "6081"}`.

    Comments, order and blanks stay. A key that is not there is put at the end of its section, a section
    that is not there at the end of the file. Of repeated keys the last one, which counts, is changed.
    """
    out = text.split("\n")
    left = {(section.lower(), key.lower()): (section, key, value) for (section, key), value in values.items()}
    ends: dict[str, int] = {}  # section to the last of its lines that means something
    at: dict[tuple[str, str], int] = {}
    for item in lines.read(text.encode("utf-8")):
        section = item.section.lower()
        ends[section] = item.line
        if isinstance(item, lines.Entry):
            at[section, item.key.lower()] = item.line
    for place in [place for place in left if place in at]:
        index = at[place] - 1
        before, sign, old = out[index].partition("=")
        gap = old[: len(old) - len(old.lstrip())] if old.strip() else ""
        ending = "\r" if out[index].endswith("\r") else ""
        out[index] = f"{before}{sign}{gap}{left.pop(place)[2]}{ending}"
    for (section, _), (name, key, value) in sorted(
        left.items(), key=lambda one: -ends.get(one[0][0], 1 << 30)
    ):
        if section in ends:
            out.insert(ends[section], f"{key}={value}")
        else:
            out += [f"[{name}]", f"{key}={value}"]
            ends[section] = len(out)
    return "\n".join(out)


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
