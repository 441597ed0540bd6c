"""The .deb by dpkg's own tools, from a tree of two files; what its scripts say."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.conftest import program
from tests.packaging.tools import SCRIPTS, tool

debian, tree = tool("debian"), tool("tree")
UNITS = {path.name for path in (SCRIPTS / "systemd").iterdir()}


@pytest.fixture
def small(tmp_path):
    root = tmp_path / "tree"
    (root / "opt/mv-iptel/bin").mkdir(parents=True)
    (root / "opt/mv-iptel/bin/mv-iptel").write_text("#!/bin/sh\n")
    (root / "usr/share").mkdir(parents=True)
    (root / "usr/share/note").write_text("x\n")
    return tree.Tree(root, "1.2.3", 1_000_000_000)


def test_dpkg_reads_what_was_written(small, tmp_path):
    deb = program("dpkg-deb")
    package = debian.build(small, tmp_path, 4)
    fields = subprocess.run([deb, "-f", str(package)], text=True, capture_output=True, check=True).stdout
    assert "Package: mv-iptel\nVersion: 1.2.3-4\n" in fields
    assert re.search(r"^Depends: python3\.11, ", fields, re.MULTILINE)
    listed = subprocess.run([deb, "-c", str(package)], text=True, capture_output=True, check=True).stdout
    assert "root/root" in listed and "./usr/share/note" in listed
    # Nothing in /etc: nothing for dpkg to ask about at an upgrade.
    assert "./etc" not in listed
    members = subprocess.run([deb, "-I", str(package)], text=True, capture_output=True, check=True).stdout
    assert all(script in members for script in (*debian.SCRIPTS, "md5sums")) and "conffiles" not in members
    assert not (small.root / "DEBIAN").exists()


def test_the_same_tree_gives_the_same_package(small, tmp_path):
    program("dpkg-deb")
    one = debian.build(small, tmp_path).read_bytes()
    assert debian.build(small, tmp_path).read_bytes() == one


@pytest.mark.parametrize("script", ["deb/postinst", "deb/prerm", "deb/postrm", "complete-home"])
def test_scripts_are_plain_shell(script):
    dash = program("dash")
    subprocess.run([dash, "-n", str(SCRIPTS / script)], check=True)
    assert (SCRIPTS / script).read_text().startswith("#!/bin/sh\n")


def test_scripts_name_the_units_that_there_are():
    for path in (SCRIPTS / "deb/postinst", SCRIPTS / "deb/postrm", SCRIPTS / "rpm/mv-iptel.spec"):
        units = set(re.findall(r"mv-[a-z-]+\.(?:service|timer)", path.read_text()))
        # A service that a timer starts is not enabled by itself.
        assert units == UNITS - {"mv-iptel-certs.service"}, path
    assert set(re.findall(r"mv-[a-z-]+\.(?:service|timer)", (SCRIPTS / "deb/prerm").read_text())) <= UNITS


def test_users_that_go_with_the_home_are_those_that_came():
    told = (SCRIPTS / "sysusers.d/mv-iptel.conf").read_text()
    users = set(re.findall(r"^u (\S+)", told, re.MULTILINE))
    removed = re.search(r"for user in ([^;]+); do", (SCRIPTS / "deb/postrm").read_text())
    assert set(removed[1].split()) == users
