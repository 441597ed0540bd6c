"""The command `mv-manager`: runs the manager, and keeps its users."""

from __future__ import annotations

import asyncio
import sqlite3
import sys

import click

from manager.cli_users import must_be, user
from mv_iptel import __version__
from mv_iptel.cli.options import NEGATIVE, USAGE, end
from mv_iptel.config import ConfigError, load_manager
from mv_iptel.home import Home
from mv_iptel.http.tls import CertificateError

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(invoke_without_command=True, context_settings=HELP)
@click.option(
    "--home", metavar="DIR", help="The installation's home. Default: $MV_IPTEL_HOME, else the system's place."
)
@click.version_option(__version__, prog_name="mv-manager")
@click.pass_context
def group(context: click.Context, home: str | None) -> None:
    """Web administration of the file server, over HTTPS on port 6092.

    \b
    mv-manager                         # until Ctrl-C or SIGTERM
    mv-manager user list
    mv-manager user add anna --role operator

    The first user and his password stand in initial-passwords.txt of the home.
    Exit codes: 0 done, 1 it could not be done, 2 usage or configuration.
    """
    context.obj = Home.find(home)
    if context.invoked_subcommand is None:
        run(context.obj)


group.add_command(user)


def run(home: Home) -> None:
    """Serve until a signal."""
    from manager import serving  # takes long to import, and `user` does without

    must_be(home)
    try:
        config = load_manager(home)
        asyncio.run(serving.run(config, lambda text: click.echo(text)))
    except ConfigError as error:
        end(USAGE, "\n".join(str(finding) for finding in error.findings))
    except CertificateError as error:
        end(USAGE, str(error))
    except (OSError, sqlite3.Error) as error:
        end(NEGATIVE, f"the manager cannot run: {error}")


def main() -> None:
    """Entry point of the console script."""
    try:
        group(prog_name="mv-manager")
    except KeyboardInterrupt:
        sys.exit(130)
