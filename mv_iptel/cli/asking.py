"""Calls to the running server's status port, and what to say when none answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click

from mv_iptel import owning
from mv_iptel.cli.options import NEGATIVE, UNREACHABLE, USAGE, console, end, errors, print_json
from mv_iptel.config import Config, ConfigError, defaults, load
from mv_iptel.home import Home

TIMEOUT = 15.0  # seconds for a call; the server answers at once or not at all


class Unreachable(Exception):
    """No server answers at the status port; the text says what to do."""


class Refused(Exception):
    """The server answered that it does not do this: status and text."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


def config_of(home: Home) -> Config:
    """The home's configuration; where nobody named a home and there is none, that of `serve --dir`.

    A home that was named and is none must not be answered for by another home's server.
    """
    if not home.ini.exists():
        return defaults(home) if home == Home.find() else installed(home)
    try:
        return load(home)
    except ConfigError as error:
        end(USAGE, "\n".join(str(finding) for finding in error.findings))
    except OSError as error:
        end(USAGE, f"{home.ini}: {error.strerror}; run as a user who may read it, or name another --home")


def installed(home: Home) -> Config:
    """The configuration of a home that must be there: its files are about to be read."""
    if not home.ini.exists():
        end(USAGE, f"{home.ini}: there is no such file; name the installation with --home")
    return config_of(home)


def changing(home: Home, *reads: Path) -> Config:
    """As `installed`, for a command that changes what the server changes: root does it as the server's user.

    A service that was taken over may have laid out links in the home and wait for root to write by them.
    """
    config = installed(home)
    click.get_current_context().with_resource(owning.as_owner(home.var, reads))
    return config


def base(config: Config) -> str:
    host = config.settings.status_bind.split(",")[0].strip()
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{config.settings.status_port}"


def unreachable(config: Config) -> Unreachable:
    if not config.settings.run_status:
        text = "RunStatus=0 switches the status server off; set it to 1 and restart the server"
        return Unreachable(f"{config.file}: {text}")
    return Unreachable(
        f"no server answers at {base(config)}; start it with `mv-iptel serve --home {config.home.root}`, or "
        "name its home with --home"
    )


def same_home(config: Config, headers: Mapping[str, str]) -> None:
    """Raise Unreachable if it is another home's server that answered: what it says is not about this one."""
    told = unquote(headers.get("MV-IPTel-Home", ""))
    if config.file and told and os.path.realpath(told) != os.path.realpath(config.home.root):
        raise Unreachable(
            f"at {base(config)} the server of {told} answers, not that of {config.home.root}; name the one "
            "you mean with --home, or give each its own StatusPort"
        )


def _token(config: Config) -> str:
    try:
        return config.home.token.read_text("ascii").strip()
    except FileNotFoundError:
        raise unreachable(config) from None
    except OSError as error:
        end(USAGE, f"{config.home.token}: {error.strerror}; run as the server's user or in its group")


async def _request(config: Config, method: str, path: str, token: str = "", body: Any = None) -> Any:
    import aiohttp  # takes long to import, and `why NUMBER` may not need it

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.request(method, base(config) + path, json=body) as answer,
        ):
            same_home(config, answer.headers)
            told = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError):
        raise unreachable(config) from None
    if answer.status >= 400 and not (isinstance(told, dict) and "ok" in told):
        text = told.get("error", "") if isinstance(told, dict) else ""
        raise Refused(answer.status, str(text or f"the server answered {answer.status}"))
    return told


def get(config: Config, path: str) -> Any:
    return asyncio.run(_request(config, "GET", path))


def post(config: Config, path: str, body: Any = None) -> Any:
    """Have the running server do something; where none runs the command ends. Raises Refused."""
    try:
        return tell(config, path, body)
    except Unreachable as error:
        end(UNREACHABLE, str(error))


def tell(config: Config, path: str, body: Any = None) -> Any:
    """The same, for who can do without a server. Raises Unreachable, Refused."""
    get(config, "/slots")  # whose server it is shows before it is told to do anything
    return asyncio.run(_request(config, "POST", path, _token(config), body))


def refresh(config: Config) -> None:
    """Tell a running server that somebody else worked on its files; without one there is nobody to tell."""
    with contextlib.suppress(Unreachable, SystemExit):  # who may not read the token was told so
        try:
            tell(config, "/control/refresh")
        except Refused as error:
            errors.print(f"the running server was not told: {error}", style="yellow", markup=False)


def did(call: Callable[[], Any], as_json: bool, text: str) -> None:
    try:
        told = call()
    except Refused as error:
        end(NEGATIVE, str(error))
    if as_json:
        print_json(told)
    else:
        console.print(text, style="green", markup=False)
