"""The .rpm, made from the staged tree by rpmbuild: the same files at the same places as the .deb's."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tree import Missing, Tree

SPEC = Path(__file__).resolve().parent / "rpm" / "mv-iptel.spec"
# Directories that go with the package. The shells' are theirs too, which rpm allows; they may not be there.
OURS = ("/opt/mv-iptel", "/usr/share/doc/mv-iptel", "/usr/share/fish", "/usr/share/zsh")


def build(tree: Tree, out: Path, release: int = 1) -> Path:
    """Build the package of this tree into `out`."""
    if shutil.which("rpmbuild") is None:
        raise Missing("rpmbuild is not here (Debian package rpm)")
    with tempfile.TemporaryDirectory(prefix="mv-rpm-") as work:
        listed = Path(work) / "files"
        listed.write_text("".join(f"{line}\n" for line in _files(tree.root)), "utf-8")
        defines = {
            "_topdir": work, "_rpmdir": work, "_dbpath": f"{work}/db", "_buildrootdir": f"{work}/buildroot",
            "_rpmfilename": "made.rpm", "_build_id_links": "none",
            "mv_version": tree.version, "mv_release": str(release),
            "mv_tree": str(tree.root), "mv_files": str(listed),
            # Times are those of the tree; the building host is nobody's business.
            "_buildhost": "localhost", "use_source_date_epoch_as_buildtime": "1",
            "clamp_mtime_to_source_date_epoch": "1",
        }  # fmt: skip
        command = ["rpmbuild", "-bb", "--quiet"]
        for name, value in defines.items():
            command += ["--define", f"{name} {value}"]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(tree.stamp)}
        done = subprocess.run([*command, str(SPEC)], text=True, capture_output=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"rpmbuild: {done.stderr}")
        package = out / f"mv-iptel-{tree.version}-{release}.{os.uname().machine}.rpm"
        shutil.copyfile(Path(work) / "made.rpm", package)
    return package


def _files(root: Path) -> list[str]:
    """The lines of %files: every file, and the directories that are only ours."""
    lines = []
    for path in sorted(root.rglob("*")):
        place = "/" + str(path.relative_to(root))
        if path.is_dir() and not path.is_symlink():
            # To own the system's as well would be a conflict.
            if place in OURS or place.startswith(tuple(f"{one}/" for one in OURS)):
                lines.append(f'%dir "{place}"')
        else:
            lines.append(f'"{place}"')
    return lines
