"""The home directory: where everything of one installation lives."""

from __future__ import annotations

import os
import secrets
import site
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mv_iptel.config import Config

# The watchdog fetches this file over every protocol and compares it with the one on disk.
CHECK_FILE = "mv_watchdog_check.txt"


def _standard() -> Path:
    """Where a home is when nobody says otherwise."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "mv-iptel"
    if os.geteuid() == 0:
        return Path("/var/lib/mv-iptel")
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share") / "mv-iptel"


def shipped() -> Path:
    """The directory of what a new installation starts with: in a checkout, or installed with the package."""
    checkout = Path(__file__).resolve().parent.parent / "data"
    installed = [Path(prefix) / "share" / "mv-iptel" / "data" for prefix in (sys.prefix, site.getuserbase())]
    for place in (checkout, *installed):
        if (place / "MV_IPTel.ini").is_file():
            return place
    raise FileNotFoundError(
        f"the package's data is not in {', '.join(map(str, installed))}; install it again"
    )


def write_check_files(config: Config) -> list[tuple[Path, OSError]]:
    """Put `mv_watchdog_check.txt` into each data directory that has other files and lacks it.

    An empty directory stays empty: nobody serves from it. Gives the directories where it did not work.
    """
    failed = []
    directories = (config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir, config.ftp.ftp_dir)
    for directory in dict.fromkeys(directories):
        try:
            names = os.listdir(directory)
            if not names or CHECK_FILE in names:
                continue
            text = f"mv-iptel watchdog check file, do not remove: {secrets.token_hex(16)}\n"
            # "x": of two processes that start together one writes, the other finds it there.
            with open(directory / CHECK_FILE, "x", encoding="ascii") as file:
                file.write(text)
        except FileExistsError:
            pass
        except OSError as error:
            failed.append((directory, error))
    return failed


@dataclass(frozen=True)
class Home:
    """The tree of DESIGN.md section 3 beneath `root`; nothing here touches the disk."""

    root: Path

    @classmethod
    def find(cls, option: str | os.PathLike[str] | None = None) -> Home:
        """`--home`, else MV_IPTEL_HOME, else the system's usual place for such data."""
        chosen = option or os.environ.get("MV_IPTEL_HOME")
        return cls(Path(os.path.abspath(Path(chosen).expanduser() if chosen else _standard())))

    # the file server
    @property
    def mv_iptel(self) -> Path:
        return self.root / "MV_IPTel"

    @property
    def bin(self) -> Path:
        return self.mv_iptel / "bin"

    @property
    def ini(self) -> Path:
        return self.bin / "MV_IPTel.ini"

    @property
    def data(self) -> Path:
        return self.mv_iptel / "data"

    @property
    def tftp_data(self) -> Path:
        return self.data / "TFTPdata"

    @property
    def ftp_data(self) -> Path:
        return self.data / "FTPdata"

    @property
    def http_data(self) -> Path:
        return self.data / "HTTPdata"

    @property
    def https_data(self) -> Path:
        return self.data / "HTTPSdata"

    @property
    def updates(self) -> Path:
        return self.data / "Updates"

    @property
    def certs(self) -> Path:
        return self.mv_iptel / "certs"

    @property
    def cert_file(self) -> Path:
        return self.certs / "IPTelcert.pem"

    @property
    def key_file(self) -> Path:
        return self.certs / "IPTelkey.pem"

    @property
    def ca_cert(self) -> Path:
        """The authority's public certificate, readable by the server."""
        return self.certs / "ca.pem"

    @property
    def docs(self) -> Path:
        return self.mv_iptel / "docs"

    @property
    def log(self) -> Path:
        return self.mv_iptel / "log"

    @property
    def var(self) -> Path:
        return self.mv_iptel / "var"

    @property
    def database(self) -> Path:
        return self.var / "inventory.db"

    @property
    def token(self) -> Path:
        """The Bearer token of the control calls."""
        return self.var / "control.token"

    @property
    def lock(self) -> Path:
        """The one lock under which other processes change files."""
        return self.var / "lock"

    @property
    def lists(self) -> Path:
        """The last good copy of each access list, and `banned.txt`."""
        return self.var / "lists"

    # the manager
    @property
    def manager(self) -> Path:
        return self.root / "MV_Manager"

    @property
    def manager_ini(self) -> Path:
        return self.manager / "bin" / "MV_Manager.ini"

    @property
    def ca(self) -> Path:
        """The authority's directory: for the manager's user only."""
        return self.manager / "ca"

    @property
    def ca_key(self) -> Path:
        return self.ca / "ca-key.pem"

    @property
    def passwords(self) -> Path:
        """Made-up first passwords; the manager's user empties this file."""
        return self.root / "initial-passwords.txt"

    # the watchdog
    @property
    def watchdog(self) -> Path:
        return self.root / "MV_WatchDog"

    @property
    def watchdog_ini(self) -> Path:
        return self.watchdog / "bin" / "MV_WatchDog.ini"

    def directories(self) -> tuple[Path, ...]:
        """Every directory of a complete home, parents first."""
        return (
            self.root,
            self.mv_iptel,
            self.bin,
            self.data,
            self.tftp_data,
            self.ftp_data,
            self.http_data,
            self.https_data,
            self.updates,
            self.certs,
            self.docs,
            self.log,
            self.var,
            *(self.var / name for name in ("releases", "versions", "history", "queue", "lists")),
            self.manager,
            self.manager / "bin",
            self.ca,
            self.manager / "data",
            self.manager / "log",
            self.watchdog,
            self.watchdog / "bin",
            self.watchdog / "data",
            self.watchdog / "log",
        )
