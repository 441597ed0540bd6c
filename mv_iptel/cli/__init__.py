"""The command `mv-iptel`: every verb stands in a module of this package."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from mv_iptel import __version__

# Which module holds which command. Loaded when asked for, so that `--help` and short commands start fast.
WHERE = {
    "init": "home", "check": "home", "certs": "certs",
    "serve": "serve",
    "status": "seeing", "watch": "seeing", "why": "seeing", "phones": "phones", "slots": "seeing",
    "reload": "seeing", "backups": "backups",
    "lint": "lint", "params": "params", "explain": "explain", "settings-diff": "settings_diff",
    "firmware": "firmware", "rollout": "rollout",
    "settings": "settings", "sim": "sim", "central": "central",
    "standby": "standby",
    "migrate": "migrate", "dhcp": "dhcp",
    "service": "service",
}  # fmt: skip


class Verbs(click.Group):
    """A group whose commands are imported when they are needed; `where` names the module of each."""

    def __init__(self, where: dict[str, str], **more: Any):
        super().__init__(**more)
        self._where = where

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._where)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._where:
            return None
        module = importlib.import_module(f"mv_iptel.cli.{self._where[name]}")
        return next(command for command in module.commands if command.name == name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Whole sentences: click's own would end them after some words."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(200)) for name, one in found if one is not None]
            )


@click.group(
    cls=Verbs, where=WHERE, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="mv-iptel")
def group() -> None:
    """The file server that IP desk phones ask when they boot.

    \b
    First minute:   mv-iptel serve --dir ./firmware
    Installation:   mv-iptel init && mv-iptel check && mv-iptel serve
    Who asked what: mv-iptel status, mv-iptel watch 192.0.2.17, mv-iptel why 192.0.2.17 46xxsettings.txt
    Users' data:    mv-iptel backups list, mv-iptel backups diff 4711
    Phones' files:  mv-iptel lint, mv-iptel explain L2QVLAN --model 9611G, mv-iptel settings-diff OLD NEW

    Exit codes: 0 done, 1 findings or a negative answer, 2 usage or configuration, 3 server not reachable.
    """


def main() -> None:
    """Entry point of the console script."""
    try:
        group(prog_name="mv-iptel")
    except KeyboardInterrupt:
        sys.exit(130)
