"""The group `settings`: writing scripts and settings files, and what they were before."""

from __future__ import annotations

import importlib

import click

# Loaded when asked for: writing needs the table of settings, the log needs the configuration.
WHERE = {
    "new": "settings_new",
    "upgrade-script": "settings_upgrade",
    "log": "settings_history",
    "undo": "settings_history",
}


class Verbs(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(WHERE)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in WHERE:
            return None
        module = importlib.import_module(f"mv_iptel.cli.{WHERE[name]}")
        return next(command for command in module.commands if command.name == name)


@click.group(name="settings", cls=Verbs)
def settings() -> None:
    """Write scripts and settings files for phones; say what changed in them, and put it back.

    \b
    Examples:
      mv-iptel settings new --call-server 192.0.2.10 --vlan 20
      mv-iptel settings upgrade-script
      mv-iptel settings log 46xxsettings.txt
      mv-iptel settings undo 46xxsettings.txt
    """


commands: list[click.Command] = [settings]
