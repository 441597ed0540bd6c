"""The ini files that `init` writes: complete, commented, easy to read."""

from __future__ import annotations

import textwrap

from mv_iptel.config import keys
from mv_iptel.config.loading import Sections
from mv_iptel.home import Home

RULE = "#" + "=" * 78


def template(home: Home, **choices: str) -> str:
    """`MV_IPTel.ini` with every key; `choices` are values by key name (`HTTPPort="6081"`).

    A key that stands in two sections is chosen as `FTPS_FTPPort`. Paths stay relative to the home,
    so that it can be moved.
    """
    return _written(keys.SERVER, "MV_IPTel.ini: the file server", home, choices)


def manager_template(home: Home, **choices: str) -> str:
    """`MV_Manager.ini` with every key."""
    return _written(keys.MANAGER, "MV_Manager.ini: the web manager", home, choices)


def watchdog_template(home: Home, **choices: str) -> str:
    """`MV_WatchDog.ini` with every key."""
    return _written(keys.WATCHDOG, "MV_WatchDog.ini: the watchdog", home, choices)


def _written(sections: Sections, title: str, home: Home, choices: dict[str, str]) -> str:
    left = dict(choices)
    out = [f"# {title}.", "# A line that starts with # is a comment. Switches are 0 or 1. Nothing is quoted."]
    out += [
        f"# Relative paths start at {home.root}.",
        "# `mv-iptel check` tells all mistakes; docs/configuration.md explains every key.",
        "",
    ]
    for section, (_, part) in sections.items():
        out += [RULE, f"[{section}]", f"# {(part.__doc__ or '').partition(': ')[2].strip()}", ""]
        for key in keys.keys_of(part).values():
            if key.name in ("Version", "Command", "Params", "Awk"):
                continue  # the reference's leftovers; Community and SNMPVersion say it better
            value = left.pop(f"{section}_{key.name}", None)
            if value is None and section != "FTPS":
                value = left.pop(key.name, None)
            out += textwrap.wrap(
                f"{key.meaning} ({key.kind.values})".replace("`", ""),
                78,
                initial_indent="# ",
                subsequent_indent="# ",
            )
            out += [f"{key.name}={key.default if value is None else value}", ""]
    if left:
        raise KeyError(f"no such key: {', '.join(left)}")
    return "\n".join(out)
