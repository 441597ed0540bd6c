"""A home as `init` makes it, the commands run over it, and phones that boot from it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.cli.settings import settings
from mv_iptel.home import Home
from mv_iptel.phones.boot import Booted, Servers, drive, dry, play
from mv_iptel.phones.families import Handset


def furnish(root: Path) -> Home:
    done = CliRunner().invoke(group, ["init", str(root), "--address", "192.0.2.5", "--ports-offset", "6000"])
    assert done.exit_code == 0, done.output
    return Home(root)


def run(home: Home, *words: str, code: int = 0, answers: str | None = None) -> str:
    """`mv-iptel settings WORDS`."""
    done = CliRunner().invoke(settings, [*words, "--home", str(home.root)], input=answers)
    assert done.exit_code == code, done.output
    return done.output


def booted(home: Home, model: str, group: str = "0") -> Booted:
    servers = Servers(tftp=("192.0.2.5",), http=("192.0.2.5",), https=("192.0.2.5",), offset=6000)
    return drive(play(Handset(model, group=group), servers), dry(home.data)).booted
