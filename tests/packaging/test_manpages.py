"""Manual pages say what the commands say, and roff has nothing to complain of."""

from __future__ import annotations

import subprocess

import click
import pytest

from tests.conftest import program
from tests.packaging.tools import tool

manpages = tool("manpages")


@pytest.fixture(scope="module")
def pages():
    return dict(manpages.pages())


def test_each_command_has_a_page(pages):
    commands = manpages.commands()
    group = commands["mv-iptel"]
    verbs = {f"mv-iptel-{verb}.1" for verb in group.list_commands(click.Context(group))}
    assert pages.keys() == verbs | {"mv-iptel.1", "mv-manager.1", "mv-watchdog.1"}


def test_a_page_has_options_examples_and_exit_codes(pages):
    page = pages["mv-iptel-init.1"]
    assert '.TH "MV\\-IPTEL\\-INIT" "1"' in page
    assert "\\fB\\-\\-ports\\-offset N\\fR" in page
    assert ".SH EXAMPLES\n.nf\n" in page and "mv\\-iptel init ./site" in page.split(".SH EXAMPLES")[1]
    assert page.index(".SH DESCRIPTION") < page.index(".SH OPTIONS") < page.index(".SH EXIT STATUS")


def test_exit_codes_stand_once(pages):
    manager = pages["mv-manager.1"]
    assert manager.count("usage or configuration") == 1 and "not reachable" not in manager
    assert "Exit codes" not in manager and ".SH EXIT STATUS\n0 done, 1 it could" in manager


def test_verbs_beneath_a_verb_stand_in_its_page(pages):
    assert '.SS "mv\\-iptel backups diff' in pages["mv-iptel-backups.1"]
    assert '.SS "mv\\-manager user add' in pages["mv-manager.1"]
    assert "See mv\\-iptel\\-backups(1)." in pages["mv-iptel.1"]


@click.command()
@click.option("--hidden-one", hidden=True)
def odd(hidden_one: str) -> None:
    """Quotes a \\backslash, and more. A second sentence.

    .starts with a dot

    \b
    'kept as
       it is'
    """


def test_roff_reads_text_as_text():
    page = manpages.page("odd", odd, [], deep=True)
    assert "\\&.starts with a dot" in page and "\\e" in page
    assert ".nf\n\\&'kept as\n   it is'\n.fi" in page
    assert "hidden" not in page
    assert "SEE ALSO" not in page


def test_roff_has_no_warning(pages, tmp_path):
    groff = program("groff")
    for name, page in pages.items():
        (tmp_path / name).write_text(page, "utf-8")
    command = [groff, "-man", "-Tutf8", "-Kutf8", "-ww", *(str(tmp_path / name) for name in pages)]
    done = subprocess.run(command, capture_output=True, text=True)
    # A long usage line that cannot be broken is no fault of the page.
    said = [line for line in done.stderr.splitlines() if "cannot" not in line]
    assert (done.returncode, said) == (0, [])
