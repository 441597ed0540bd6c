"""What `--help` says of each command: whole sentences in 80 columns, and an example."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from mv_iptel.cli import group


def every(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that lead to each command."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from every(command.get_command(context, name), (*path, name))


def said(*words: str) -> str:
    done = CliRunner().invoke(group, [*words, "--help"], env={"COLUMNS": "80"}, prog_name="mv-iptel")
    assert done.exit_code == 0
    return done.output


def test_the_list_of_commands_has_whole_sentences():
    for words in ((), ("settings",)):
        listed = said(*words).partition("Commands:")[2]
        assert listed and "..." not in listed and max(map(len, listed.splitlines())) <= 80


@pytest.mark.parametrize("words", [words for words in every(group) if words], ids=" ".join)
def test_each_command_has_an_example(words):
    assert f"mv-iptel {' '.join(words)}" in said(*words).partition("\n")[2]
