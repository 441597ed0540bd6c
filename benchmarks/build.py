"""Builds the load generators with gcc; they are C so that they cost less than the servers they load."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "load"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")


class BuildError(Exception):
    """The generators cannot be built; the message says what is missing."""


@dataclass(frozen=True)
class Generators:
    """Where the programs are. `tls` is False when OpenSSL's headers were missing."""

    tftpload: Path
    httpload: Path
    ftpload: Path
    tls: bool


def build(target: Path) -> Generators:
    """Compiles what is older than its source into `target`. Raises BuildError."""
    if shutil.which("gcc") is None:
        raise BuildError(
            "gcc is missing (Debian package gcc): the load generators are C and are built on the spot"
        )
    target.mkdir(parents=True, exist_ok=True)
    tftpload, httpload, plain = target / "tftpload", target / "httpload", target / "httpload-without-tls"
    ftpload = target / "ftpload"
    _compile("tftpload.c", tftpload)
    _compile("ftpload.c", ftpload)
    try:
        _compile("httpload.c", httpload, libraries=("-lssl", "-lcrypto"))
    except BuildError:
        if _openssl_installed():
            _compile("httpload.c", httpload, libraries=("-lssl", "-lcrypto"))
        else:
            _compile("httpload.c", plain, defines=("-DNO_TLS",))
            return Generators(tftpload, plain, ftpload, False)
    return Generators(tftpload, httpload, ftpload, True)


def _compile(
    source: str, target: Path, defines: tuple[str, ...] = (), libraries: tuple[str, ...] = ()
) -> None:
    origin = SOURCES / source
    if target.exists() and target.stat().st_mtime >= origin.stat().st_mtime:
        return
    aside = target.with_suffix(".new")
    command = ["gcc", *FLAGS, *defines, "-o", str(aside), str(origin), *libraries]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise BuildError(f"{source} does not compile:\n{done.stderr.strip()}")
    aside.replace(target)


def _openssl_installed() -> bool:
    """Installs OpenSSL's headers where root and apt are there."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    update = ["apt-get", "update", "-qq"]
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "libssl-dev"]
    return all(
        subprocess.run(command, capture_output=True, env=quiet, timeout=300).returncode == 0
        for command in (update, install)
    )
