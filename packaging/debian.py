"""The .deb, made from the staged tree by dpkg-deb."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tree import Missing, Tree

HERE = Path(__file__).resolve().parent / "deb"
# In this order they are stopped and started: a watchdog must not restart what is being replaced.
CONTROL = """\
Package: mv-iptel
Version: {version}
Architecture: {architecture}
Maintainer: mv-iptel <mv-iptel@localhost>
Installed-Size: {size}
Depends: {depends}
Recommends: ca-certificates
Section: comm
Priority: optional
Description: provisioning file server for IP desk phones
 TFTP, FTP, HTTP and HTTPS in one daemon, with a web manager and a watchdog:
 phones fetch scripts, settings and firmware from it, and keep their users'
 data there.
 .
 Its Python environment is its own, in /opt/mv-iptel; its home is
 /var/lib/mv-iptel and stays when the package goes.
"""
DEPENDS = (
    "python3.11",
    "systemd | systemd-standalone-sysusers",
    # The watchdog restarts the server by a rule of polkit.
    "polkitd",
    "procps",
    "init-system-helpers (>= 1.54~)",
)
SCRIPTS = ("postinst", "prerm", "postrm")


def build(tree: Tree, out: Path, release: int = 1) -> Path:
    """Build the package of this tree into `out`."""
    if shutil.which("dpkg-deb") is None:
        raise Missing("dpkg-deb is not here: build on Debian")
    asked = subprocess.run(["dpkg", "--print-architecture"], check=True, text=True, capture_output=True)
    architecture = asked.stdout.strip()
    version = f"{tree.version}-{release}"
    control = tree.root / "DEBIAN"
    control.mkdir(mode=0o755)
    try:
        files = sorted(
            path for path in tree.root.rglob("*") if path.is_file() and control not in path.parents
        )
        size = sum(-(-path.lstat().st_size // 1024) for path in files)
        text = CONTROL.format(
            version=version, architecture=architecture, size=size, depends=", ".join(DEPENDS)
        )
        _put(control / "control", text, 0o644)
        sums = (f"{_md5(path)}  {path.relative_to(tree.root)}\n" for path in files if not path.is_symlink())
        _put(control / "md5sums", "".join(sums), 0o644)
        for script in SCRIPTS:
            _put(control / script, (HERE / script).read_text("utf-8"), 0o755)
        package = out / f"mv-iptel_{version}_{architecture}.deb"
        # xz, because every dpkg reads it; owners are root's whoever builds.
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree.root), str(package)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(tree.stamp)}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    finally:
        shutil.rmtree(control)
        os.utime(tree.root, (tree.stamp, tree.stamp))
    return package


def _put(path: Path, text: str, mode: int) -> None:
    path.write_text(text, "utf-8")
    path.chmod(mode)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
