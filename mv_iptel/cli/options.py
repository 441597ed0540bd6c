"""The options and endings that all commands share."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click
from rich.console import Console

from mv_iptel.home import Home
from mv_iptel.journal import plain

DONE, NEGATIVE, USAGE, UNREACHABLE = 0, 1, 2, 3

_UNSEEN = re.compile("[\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ud800-\\udfff\\ufeff]")

console = Console(highlight=False, soft_wrap=True, emoji=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--home` and `--json`, passed to it as `home: Home` and `as_json: bool`."""

    @click.option(
        "--home",
        "home",
        metavar="DIR",
        default=None,
        help="The installation's home. Default: $MV_IPTEL_HOME, else the system's place.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
    @functools.wraps(command)
    def wrapped(*args: Any, home: str | None, **kwargs: Any) -> Any:
        return command(*args, home=Home.find(home), **kwargs)

    return wrapped


def print_json(value: Any) -> None:
    """Print `value` as one JSON document; what JSON does not know becomes its text."""
    # JSON escapes what ASCII has of control characters; terminals know more, and some are no UTF-8.
    told = json.dumps(value, indent=2, default=str, ensure_ascii=False)
    click.echo(_UNSEEN.sub(lambda one: f"\\u{ord(one[0]):04x}", told))


def seconds(text: str, option: str) -> float:
    """A length of time as people write it, in seconds; ends the command if it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.strip().lower(), re.ASCII)
    if match is None:
        end(USAGE, f"{option} {text}: a number with s, m, h, d or w, as in 15m or 30d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]


def failed(error: OSError, what: str = "") -> NoReturn:
    """End for a fault of the disk: what was not done, where, what the system says, and what helps."""
    denied = isinstance(error, PermissionError)
    told = (what, str(error.filename or ""), error.strerror or str(error))
    mend = "; run as the server's user or in its group" if denied else ""
    end(USAGE if denied else NEGATIVE, ": ".join(filter(None, told)) + mend)


def end(code: int, message: str = "") -> NoReturn:
    """End with `code`, telling why on standard error."""
    if message:
        message = "\n".join(plain(line, 4000) for line in message.split("\n"))
        errors.print(message, style="red" if code else "", markup=False)
    sys.exit(code)
