"""The staged tree: paths of the host that will have it, and nothing of the one that builds it."""

from __future__ import annotations

import os

import pytest

from tests.packaging.tools import PROJECT, tool

tree = tool("tree")


@pytest.fixture
def staged(tmp_path):
    """A root with an environment as pip leaves it: scripts that name where they were made."""
    root = tmp_path / "root"
    place = root / "opt/mv-iptel"
    (place / "bin").mkdir(parents=True)
    (place / "bin/python3.11").symlink_to("/usr/bin/python3.11")
    (place / "bin/python").symlink_to("python3.11")
    body = "# -*- coding: utf-8 -*-\nimport sys\nsys.exit(main())\n"
    (place / "bin/mv-iptel").write_text(f"#!{place}/bin/python\n{body}")
    # How pip begins a script whose interpreter has a long path.
    (place / "bin/mv-manager").write_text(
        f"#!/bin/sh\n'''exec' {place}/bin/python \"$0\" \"$@\"\n' '''\n{body}"
    )
    (place / "pyvenv.cfg").write_text(f"home = /usr/bin\ncommand = /usr/bin/python3.11 -m venv {place}\n")
    (root / "usr/bin").mkdir(parents=True)
    return root


def test_scripts_name_the_interpreter_of_the_host(staged):
    place = staged / "opt/mv-iptel"
    tree._relocate(staged, place)
    for name in ("mv-iptel", "mv-manager"):
        lines = (place / "bin" / name).read_text().splitlines()
        assert lines == ["#!/opt/mv-iptel/bin/python3.11", "# -*- coding: utf-8 -*-", "import sys",
                         "sys.exit(main())"]  # fmt: skip
    assert (place / "pyvenv.cfg").read_text().endswith("-m venv /opt/mv-iptel\n")
    assert os.readlink(place / "bin/python3.11") == "/usr/bin/python3.11"
    tree._nothing_of_here(staged)


def test_a_file_that_names_the_building_place_is_a_fault(staged):
    with pytest.raises(RuntimeError, match="name the place where they were built"):
        tree._nothing_of_here(staged)


def test_every_file_of_the_system_is_there(staged):
    tree._system(PROJECT, staged)
    for path in ("usr/lib/systemd/system/mv-iptel.service", "usr/lib/systemd/system/mv-iptel-certs.timer",
                 "usr/lib/sysusers.d/mv-iptel.conf", "usr/lib/tmpfiles.d/mv-iptel.conf",
                 "usr/lib/sysctl.d/60-mv-iptel.conf", "usr/share/polkit-1/rules.d/50-mv-iptel.rules",
                 "opt/mv-iptel/share/mv-iptel/keepalived/check.sh", "opt/mv-iptel/libexec/complete-home",
                 "usr/bin/mv-iptel", "usr/bin/mv-manager"):  # fmt: skip
        assert (staged / path).is_file(), path
    # keepalived's scripts and the commands are run.
    assert all(os.access(path, os.X_OK) for path in (staged / "usr/bin").iterdir())
    assert os.access(staged / "opt/mv-iptel/share/mv-iptel/keepalived/check.sh", os.X_OK)
    assert not (staged / "usr/bin/mv-watchdog").exists()  # only what the environment has


def test_rights_and_times_do_not_tell_who_built_it(staged):
    (staged / "usr/bin").chmod(0o700)
    (staged / "opt/mv-iptel/pyvenv.cfg").chmod(0o600)
    (staged / "opt/mv-iptel/bin/mv-iptel").chmod(0o775)
    tree._even(staged, 1_000_000_000)
    modes = {str(path.relative_to(staged)): path.lstat() for path in staged.rglob("*")}
    assert modes["usr/bin"].st_mode & 0o777 == 0o755
    assert modes["opt/mv-iptel/pyvenv.cfg"].st_mode & 0o777 == 0o644
    assert modes["opt/mv-iptel/bin/mv-iptel"].st_mode & 0o777 == 0o755
    assert {one.st_mtime for one in modes.values()} == {1_000_000_000}


def test_the_time_is_given_or_that_of_the_last_change(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "123")
    assert tree._stamp(PROJECT) == 123
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert tree._stamp(PROJECT) > 1_700_000_000


def test_a_tree_is_not_staged_over_another(staged, tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "PYTHON", tmp_path / "none")
    with pytest.raises(tree.Missing, match="none is not here"):
        tree.build(PROJECT, tmp_path / "x-1.0-py3-none-any.whl", tmp_path / "new")
