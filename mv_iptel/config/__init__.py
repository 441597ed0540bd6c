"""The three ini files: read into one frozen, typed object each, with every problem told at once."""

from __future__ import annotations

from mv_iptel.config.editing import changed, template
from mv_iptel.config.findings import ConfigError, Finding
from mv_iptel.config.keys import (
    FTP,
    FTPS,
    HTTP,
    HTTPS,
    SNMP,
    TFTP,
    BackupServers,
    Key,
    ManagerSettings,
    Settings,
    WatchDogSettings,
    keys_of,
)
from mv_iptel.config.keys import (
    SERVER as SECTIONS,
)
from mv_iptel.config.loading import (
    Config,
    ManagerConfig,
    Pair,
    WatchDogConfig,
    defaults,
    load,
    load_manager,
    load_watchdog,
    restart_needed,
)
from mv_iptel.config.values import Policy

__all__ = [
    "FTP",
    "FTPS",
    "HTTP",
    "HTTPS",
    "SECTIONS",
    "SNMP",
    "TFTP",
    "BackupServers",
    "Config",
    "ConfigError",
    "Finding",
    "Key",
    "ManagerConfig",
    "ManagerSettings",
    "Pair",
    "Policy",
    "Settings",
    "WatchDogConfig",
    "WatchDogSettings",
    "changed",
    "defaults",
    "keys_of",
    "load",
    "load_manager",
    "load_watchdog",
    "restart_needed",
    "template",
]
