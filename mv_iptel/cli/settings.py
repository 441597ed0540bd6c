"""The group `settings`: writing scripts and settings files, and what they were before."""

from __future__ import annotations

import click

from mv_iptel.cli import Verbs

# Loaded when asked for: writing needs the table of settings, the log needs the configuration.
WHERE = {
    "new": "settings_new",
    "upgrade-script": "settings_upgrade",
    "log": "settings_history",
    "undo": "settings_history",
}


@click.group(name="settings", cls=Verbs, where=WHERE)
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
