"""Which certificates a home has: one for each listener, and which of them are the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.config import Pair

if TYPE_CHECKING:
    from mv_iptel.config import Config, ManagerConfig
    from mv_iptel.home import Home

LISTENERS = ("https", "https-alt", "ftps", "central", "manager")

# Where a listener's own certificate is named: section, CertFile's key and KeyFile's. The manager has its ini.
KEYS: Mapping[str, tuple[str, str, str]] = {
    "https": ("HTTPS", "CertFile", "KeyFile"),
    "https-alt": ("HTTPS", "HTTPSAltCertFile", "HTTPSAltKeyFile"),
    "ftps": ("FTPS", "FTPSCertFile", "FTPSKeyFile"),
    "central": ("BACKUP_SERVERS", "FileServerCertFile", "FileServerKeyFile"),
    "manager": ("Settings", "CertFile", "KeyFile"),
}


class Held(NamedTuple):
    """One certificate of the home, who shows it, and whether one of them is switched on."""

    pair: Pair
    listeners: tuple[str, ...]
    used: bool

    @property
    def title(self) -> str:
        return ", ".join(TITLES[one] for one in self.listeners)


TITLES = {
    "https": "HTTPS", "https-alt": "HTTPS on HTTPSAltPorts", "ftps": "FTPS", "central": "central API",
    "manager": "manager",
}  # fmt: skip


def pair_of(config: Config, manager: ManagerConfig, listener: str) -> Pair:
    """The certificate that this listener shows."""
    if listener == "manager":
        return Pair(manager.settings.cert_file, manager.settings.key_file)
    return config.pair(listener)


def every(config: Config, manager: ManagerConfig) -> list[Held]:
    """Each certificate once, that of HTTPSPort first."""
    switched = {
        "https": config.https.run_https, "https-alt": config.https.run_https,
        # AUTH TLS on the plain port shows it too.
        "ftps": config.ftps.run_ftps, "central": config.backup_servers.file_server,
        "manager": manager.settings.use_https,
    }  # fmt: skip
    found: dict[Pair, list[str]] = {}
    for listener in LISTENERS:
        found.setdefault(pair_of(config, manager, listener), []).append(listener)
    return [Held(pair, tuple(names), any(switched[one] for one in names)) for pair, names in found.items()]


def own_files(home: Home, listener: str) -> Pair:
    """Where a listener's own certificate is put when it gets one."""
    if listener == "https":
        return Pair(home.cert_file, home.key_file)
    return Pair(home.certs / f"{listener}-cert.pem", home.certs / f"{listener}-key.pem")


def waiting_key(home: Home, listener: str) -> Path:
    """Where a key waits for the certificate that another authority makes of its request."""
    return home.certs / f"{listener}-request-key.pem"
