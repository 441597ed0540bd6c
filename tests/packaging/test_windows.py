"""The folder for Windows: what it must have, judged as Windows would, from made-up wheels."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from tests.packaging.tools import SCRIPTS, tool

windows = tool("windows")


def wheel(folder: Path, name: str, version: str, *needs: str) -> Path:
    """A wheel with nothing in it but what it needs."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as out:
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
        out.writestr(
            f"{name}-{version}.dist-info/METADATA", "Metadata-Version: 2.1\n" + "\n".join(lines) + "\n"
        )
    return path


def lacking(folder: Path) -> list[str]:
    return [str(need) for need in windows.lacking(folder)]


def test_markers_are_those_of_windows(tmp_path):
    wheel(tmp_path, "pywin32", "308")
    needs = ['colour; sys_platform == "win32"', 'uvloop; sys_platform == "linux"', "plain >=2",
             'old; python_version < "3.11"', 'more; extra == "more"']  # fmt: skip
    path = wheel(tmp_path, "shop", "1.0", *needs)
    assert list(windows.requirements(path)) == ["colour", "plain>=2"]
    assert lacking(tmp_path) == ["colour", "plain>=2"]


def test_nothing_lacks_when_all_is_there_under_any_spelling(tmp_path):
    wheel(tmp_path, "pywin32", "308")
    wheel(tmp_path, "shop", "1.0", "Some.Thing >=1,<2")
    wheel(tmp_path, "some_thing", "1.5")
    assert lacking(tmp_path) == []


def test_wishes_of_several_are_one(tmp_path):
    wheel(tmp_path, "pywin32", "308")
    wheel(tmp_path, "one", "1.0", "x >=1")
    wheel(tmp_path, "two", "1.0", "x <3")
    wheel(tmp_path, "x", "4.0")
    assert lacking(tmp_path) == ["x<3,>=1"]


def test_the_service_library_is_always_wanted(tmp_path):
    wheel(tmp_path, "one", "1.0")
    assert lacking(tmp_path) == ["pywin32>=306"]


def test_the_script_closes_what_it_opens_and_fetches_nothing():
    text = (SCRIPTS / "windows/install.ps1").read_text("utf-8")
    bare = re.sub(r"<#.*?#>|#[^\n]*|'[^'\n]*'", "", text, flags=re.DOTALL)
    for opening, closing in ("()", "{}", "[]"):
        assert bare.count(opening) == bare.count(closing), opening
    assert "--no-index" in text and "http" not in text.lower().replace("http and https", "")
    documented = set(re.findall(r"\.PARAMETER (\w+)", text))
    declared = set(re.findall(r"^    \[(?:string|switch)\] \$(\w+)", text, flags=re.MULTILINE))
    assert documented == declared
    told = (SCRIPTS / "windows/README.txt").read_text("utf-8")
    assert set(re.findall(r"install\.ps1 -(\w+)", told)) <= declared


def test_the_script_uses_options_that_commands_have():
    import click

    from mv_iptel.cli import group

    service = group.get_command(click.Context(group), "service")
    text = (SCRIPTS / "windows/install.ps1").read_text("utf-8")
    for verb, options in (("install", ("--home", "--no-start")), ("remove", ("--home",))):
        have = {option for one in service.commands[verb].params for option in one.opts}
        assert f"'{verb}'" in text and set(options) <= have
