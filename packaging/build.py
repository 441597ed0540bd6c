"""Builds what `make package` leaves in dist/: sdist, wheel, .deb, .rpm and the folder for Windows.

    python packaging/build.py                  everything that this host has the tools for
    python packaging/build.py deb --release 2  one of them; the number behind the version

It needs no root. The .deb and the .rpm need Debian's own /usr/bin/python3.11 on this host, because the
environment inside is made with it; rpm needs `rpmbuild` (Debian package rpm).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import debian
import redhat
import source
import tree
import windows

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("sdist", "wheel", "deb", "rpm", "windows")


def main(arguments: list[str] | None = None) -> int:
    """Build and tell what was built; 1 if something that was asked for by name could not be."""
    parser = argparse.ArgumentParser(prog="build.py", description="Build the packages of mv-iptel.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"some of {', '.join(KINDS)}; default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="default: dist/")
    parser.add_argument(
        "--release", type=int, default=1, metavar="N", help="of the .deb and .rpm; default: 1"
    )
    asked = parser.parse_args(arguments)
    if unknown := set(asked.kinds) - set(KINDS):
        parser.error(f"{', '.join(sorted(unknown))}: there is only {', '.join(KINDS)}")
    kinds = asked.kinds or list(KINDS)
    out: Path = asked.out
    out.mkdir(parents=True, exist_ok=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="mv-") as work:
        sdist, wheel = source.build(ROOT, Path(work))
        built = [
            shutil.copy2(one, out) for kind, one in (("sdist", sdist), ("wheel", wheel)) if kind in kinds
        ]
        staged = None
        for kind in (one for one in ("deb", "rpm") if one in kinds):
            maker = {"deb": debian, "rpm": redhat}[kind]
            try:
                staged = staged or tree.build(ROOT, wheel, Path(work) / "tree")
                built.append(maker.build(staged, out, asked.release))
            except tree.Missing as error:
                print(f"no .{kind}: {error}", file=sys.stderr)
                failed = failed or bool(asked.kinds)
        if "windows" in kinds:
            built.append(windows.build(wheel, out))
    for one in built:
        print(os.path.relpath(one))
    return int(failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(map(str, error.cmd))}: ended with {error.returncode}")
