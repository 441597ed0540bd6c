"""The command `settings upgrade-script`: an upgrade script for the firmware that is really in a directory."""

from __future__ import annotations

from pathlib import Path

import click

from mv_iptel.cli.options import NEGATIVE, USAGE, common, end
from mv_iptel.cli.settings_writing import config_of, names_in, put
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.phones.authoring.upgrade import upgrade_scripts
from mv_iptel.phones.authoring.wishes import CHOICES
from mv_iptel.phones.lint.folder import content


@click.command(name="upgrade-script")
@click.argument(
    "directory",
    metavar="[DIR]",
    required=False,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--family", "families", multiple=True, type=click.Choice(CHOICES, case_sensitive=False), metavar="FAMILY",
    help=f"Only for these phones: {', '.join(CHOICES)}.",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="Replace what is there; `settings undo` undoes it.")
@click.option("--dry", is_flag=True, help="Only show what would be written.")
@common
def upgrade_script(
    home: Home, as_json: bool, directory: Path | None, families: tuple[str, ...], replace: bool, dry: bool
) -> None:
    """Write the upgrade script of every family whose firmware is in DIR, naming the newest of it.

    DIR is the home's HTTPdata if it is not given. Which phones a file is for is told by the form of its name;
    what that does not tell is said. Models without firmware keep what they run. Where 46xxvpn.scr lies in
    DIR, the 4600 of group 876 are led there.

    \b
    Examples:
      mv-iptel settings upgrade-script --dry
      mv-iptel settings upgrade-script --replace
      mv-iptel settings upgrade-script /srv/phones --family J100-sip
    """
    config = config_of(home)
    if directory is None:
        if config is None:
            end(USAGE, f"{home.ini}: there is no such file; name a directory, or an installation with --home")
        directory = config.http.http_dir
    names = names_in(directory, config)
    current = {}
    for name in names:
        path = directory / name
        if "upgrade" in name.lower() and path.is_file():
            try:
                current[name] = content(path)
            except OSError as error:
                end(USAGE, f"{path}: {error.strerror}")
    made = upgrade_scripts(names, current, families)
    if not made.scripts:
        for note in made.notes:
            click.echo(f"note  {plain(note)}", err=True)
        whose = f" for {', '.join(families)}" if families else ""
        end(NEGATIVE, f"{directory} holds no firmware{whose} whose name is known; nothing was written")
    if made.unnamed:
        made.notes.append(f"not named, because it is older or nobody's: {', '.join(made.unnamed)}")
    put(
        {directory / name: data for name, data in made.scripts.items()},
        made.notes,
        replace,
        dry,
        as_json,
        config,
    )


commands: list[click.Command] = [upgrade_script]
