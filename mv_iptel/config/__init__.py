"""The three ini files: read into one frozen, typed object each, with every problem told at once."""

from __future__ import annotations

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
)
from mv_iptel.config.loading import (
    Config,
    ManagerConfig,
    WatchDogConfig,
    defaults,
    load,
    load_manager,
    load_watchdog,
    restart_needed,
)
from mv_iptel.config.templates import manager_template, template, watchdog_template
from mv_iptel.config.values import Policy

__all__ = [
    "FTP",
    "FTPS",
    "HTTP",
    "HTTPS",
    "SNMP",
    "TFTP",
    "BackupServers",
    "Config",
    "ConfigError",
    "Finding",
    "Key",
    "ManagerConfig",
    "ManagerSettings",
    "Policy",
    "Settings",
    "WatchDogConfig",
    "WatchDogSettings",
    "defaults",
    "load",
    "load_manager",
    "load_watchdog",
    "manager_template",
    "restart_needed",
    "template",
    "watchdog_template",
]
