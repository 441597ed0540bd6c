"""The .rpm by rpm's own tools, from a tree of three files."""

from __future__ import annotations

import subprocess

from tests.conftest import program
from tests.packaging.tools import tool

redhat, tree = tool("redhat"), tool("tree")


def small(root):
    (root / "opt/mv-iptel/lib").mkdir(parents=True)
    (root / "opt/mv-iptel/lib/a file").write_text("x\n")
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/mv-iptel").symlink_to("/opt/mv-iptel/bin/mv-iptel")
    return tree.Tree(root, "1.2.3", 1_000_000_000)


def test_only_our_own_directories_are_owned(tmp_path):
    lines = redhat._files(small(tmp_path / "tree").root)
    assert lines == ['%dir "/opt/mv-iptel"', '%dir "/opt/mv-iptel/lib"', '"/opt/mv-iptel/lib/a file"',
                     '"/usr/bin/mv-iptel"']  # fmt: skip


def test_rpm_reads_what_was_written(tmp_path):
    program("rpmbuild")
    package = redhat.build(small(tmp_path / "tree"), tmp_path, 4)

    def ask(*query: str) -> str:
        command = ["rpm", "-qp", "--dbpath", str(tmp_path / "db"), *query, str(package)]
        return subprocess.run(command, text=True, capture_output=True, check=True).stdout

    assert ask("--qf", "%{NAME} %{VERSION}-%{RELEASE}") == "mv-iptel 1.2.3-4"
    assert "python3.11" in ask("--requires").split()
    assert ask("-l").splitlines() == ["/opt/mv-iptel", "/opt/mv-iptel/lib", "/opt/mv-iptel/lib/a file",
                                      "/usr/bin/mv-iptel"]  # fmt: skip
    assert ask("--qf", "%{BUILDHOST}") == "localhost"
