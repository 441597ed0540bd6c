"""Every section and key of the three ini files: name, kind, default and meaning, in one table.

The dataclass fields are the table: loading, the template, the documentation and their test read
the `Key` in each field's metadata. Defaults are written as they would stand in the file; those
marked `ours=False` are what the reference product's printed sample says.
"""

# ruff: noqa: RUF009 - the calls make `field`s, which is what the rule asks for

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.config import values as v
from mv_iptel.config.values import Kind, Network, Policy

DEFAULT_COMMUNITY = "public"
KNOWN_PASSWORD = "Avaya"  # noqa: S105 - the reference's printed superuser password; it opens nothing here


class Key(NamedTuple):
    """One key as printed. `ours` tells our own keys from the reference's."""

    name: str
    kind: Kind
    default: str
    meaning: str
    ours: bool = True
    restart: bool = False  # a change needs a restart; everything else applies at reload


def _ours(name: str, kind: Kind, default: str, meaning: str, restart: bool = False) -> Any:
    secret = kind is v.SECRET
    return field(repr=not secret, metadata={"key": Key(name, kind, default, meaning, True, restart)})


def _theirs(name: str, kind: Kind, default: str, meaning: str) -> Any:
    secret = kind is v.SECRET
    return field(repr=not secret, metadata={"key": Key(name, kind, default, meaning, False)})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`[Settings]`: the process as a whole."""

    detailed_log: bool = _theirs("DetailedLog", v.FLAG, "1", "log what happens inside a request too")
    run_status: bool = _theirs("RunStatus", v.FLAG, "1", "run the status server")
    status_port: int = _theirs("StatusPort", v.PORT, "6090", "port of the status server")
    status_refresh: float = _theirs(
        "StatusRefresh", v.duration(1, 3600), "10", "the status page refreshes itself after so long"
    )
    archive: bool = _theirs("Archive", v.FLAG, "1", "archive old versions of user data by month")
    log_file: Path = _theirs("LogFile", v.FILE, "MV_IPTel/log/MV_IPTel.log", "the journal")
    version: str = _theirs("Version", v.TEXT, "", "build stamp of the file; read and not used")
    server_name: str = _theirs(
        "ServerName", v.TEXT, "Unknown", "a label for this server on pages and in reports"
    )
    bind_address: tuple[str, ...] = _ours(
        "BindAddress", v.ADDRESSES, "all", "addresses the servers listen on; all is IPv4 and IPv6"
    )
    max_clients: int = _ours(
        "MaxClients",
        v.number(0, 1_000_000),
        "0",
        "client addresses served at a time, over all protocols; 0 is no limit",
    )
    client_session_time: float = _ours(
        "ClientSessionTime",
        v.duration(0, 7 * 86400),
        "0",
        "a client keeps its slot so long after its last activity; 0 is without end",
    )
    user: str = _ours(
        "User", v.TEXT, "", "account to run as once the ports are open; empty: do not change", True
    )
    log_max_bytes: int = _ours("LogMaxBytes", v.SIZE, "20 MiB", "the journal is rotated at this size")
    log_files: int = _ours("LogFiles", v.number(1, 1000), "10", "rotated journals that are kept")
    log_format: str = _ours("LogFormat", v.choice("text", "json"), "text", "form of the journal's lines")
    database: Path = _ours("Database", v.FILE, "MV_IPTel/var/inventory.db", "the inventory of phones", True)
    status_bind: str = _ours(
        "StatusBind", v.ADDRESS, "127.0.0.1", "address of the status server; 0.0.0.0 or :: for all"
    )
    status_names: tuple[str, ...] = _ours(
        "StatusNames", v.NAMES, "", "further Host names that the status server answers to"
    )
    updates_publish: str = _ours(
        "UpdatesPublish",
        v.choice("auto", "hold"),
        "auto",
        "publish a zip found in Updates, or hold it for a decision",
    )
    keep_versions: int = _ours(
        "KeepVersions", v.number(1, 100_000), "20", "versions kept of each user's data"
    )
    keep_days: int = _ours("KeepDays", v.number(1, 36_500), "400", "days that versions are kept")
    quota_per_extension: int = _ours("QuotaPerExtension", v.SIZE, "5 MiB", "room for one extension's data")
    quota_total: int = _ours("QuotaTotal", v.SIZE, "10 GiB", "room for all user data")


@dataclass(frozen=True, kw_only=True)
class FTP:
    """`[FTP]`: backup and restore of 4600 user data, and the superuser."""

    run_ftp: bool = _theirs("RunFTP", v.FLAG, "1", "run the FTP server")
    ftp_port: int = _theirs("FTPPort", v.PORT, "21", "control port")
    ftp_data_port: int = _theirs("FTPDataPort", v.PORT, "20", "port that active data connections come from")
    ftp_dir: Path = _theirs(
        "FTPDir", v.DIRECTORY, "MV_IPTel/data/FTPdata", "where the phones' user data lands"
    )
    ftp_time_out: float = _theirs(
        "FTP_TimeOut",
        v.duration(0.1, 60),
        "5",
        "a phone must have answered the SNMP challenge within so long",
    )
    enable_su: bool = _theirs("EnableSU", v.FLAG, "1", "allow the superuser")
    su_user_name: str = _theirs("SUUserName", v.TEXT, "mvuser", "the superuser's name")
    su_password: str = _theirs(
        "SUPassword",
        v.SECRET,
        KNOWN_PASSWORD,
        "the superuser's password, plain or `scrypt:HASH`; empty or the printed one switches him off",
    )
    ftp_passive_ports: tuple[int, int] | None = _ours(
        "FTPPassivePorts", v.PORT_RANGE, "any", "ports offered for passive data connections"
    )
    ftp_masquerade: str = _ours(
        "FTPMasquerade", v.HOST, "", "address told to passive clients, where this server stands behind NAT"
    )
    ftp_idle_timeout: float = _ours(
        "FTPIdleTimeout", v.duration(1, 86400), "300", "an idle control connection is closed after so long"
    )
    ftp_max_connections: int = _ours(
        "FTPMaxConnections", v.number(1, 100_000), "1024", "FTP sessions at a time"
    )
    ftp_max_per_address: int = _ours(
        "FTPMaxPerAddress",
        v.number(0, 100_000),
        "0",
        "FTP sessions at a time from one address; 0 is no limit",
    )
    su_allow_from: tuple[Network, ...] = _ours(
        "SUAllowFrom", v.NETWORKS, "all", "networks the superuser may come from"
    )

    @property
    def superuser(self) -> bool:
        """Whether the superuser may sign in: switched on, and with a password of the site's own."""
        return self.enable_su and self.su_password not in ("", KNOWN_PASSWORD)


@dataclass(frozen=True, kw_only=True)
class FTPS:
    """`[FTPS]`: FTP over TLS."""

    run_ftps: bool = _theirs("RunFTPS", v.FLAG, "0", "run the FTPS server")
    ftp_port: int = _theirs("FTPPort", v.PORT, "990", "control port, TLS from the first byte")
    ftp_data_port: int = _theirs("FTPDataPort", v.PORT, "889", "port that active data connections come from")
    ftps_cert_file: Path | None = _ours(
        "FTPSCertFile", v.FILE_OR_NONE, "", "certificate of FTPS and AUTH TLS, PEM; empty: that of [HTTPS]"
    )
    ftps_key_file: Path | None = _ours(
        "FTPSKeyFile", v.FILE_OR_NONE, "", "its private key, PEM; empty: it stands in FTPSCertFile too"
    )


@dataclass(frozen=True, kw_only=True)
class TFTP:
    """`[TFTP]`: scripts, settings and firmware for 4600 sets."""

    run_trivial_ftp: bool = _theirs("RunTrivialFTP", v.FLAG, "1", "run the TFTP server")
    trivial_ftp_port: int = _theirs("TrivialFTPPort", v.PORT, "69", "port")
    tftp_dir: Path = _theirs("TFTPDir", v.DIRECTORY, "MV_IPTel/data/TFTPdata", "what the TFTP server serves")
    tftp_block_max: int = _ours(
        "TFTPBlockMax", v.number(8, 65464), "65464", "largest block size granted, in octets (RFC 2348)"
    )
    tftp_window_max: int = _ours(
        "TFTPWindowMax", v.number(1, 1024), "64", "largest window granted, in blocks (RFC 7440)"
    )
    tftp_timeout: float = _ours(
        "TFTPTimeout",
        v.duration(0.05, 255),
        "1",
        "first wait for an acknowledgement; doubles up to 8 seconds",
    )
    tftp_retries: int = _ours("TFTPRetries", v.number(0, 100), "5", "repeats before a transfer is given up")
    tftp_single_port: bool = _ours(
        "TFTPSinglePort",
        v.FLAG,
        "0",
        "answer from the server's own port, for NAT and containers; blocks up to 1428, no windows",
    )
    tftp_port_range: tuple[int, int] | None = _ours(
        "TFTPPortRange", v.PORT_RANGE, "any", "ports that transfers answer from, for firewalls"
    )


@dataclass(frozen=True, kw_only=True)
class HTTP:
    """`[HTTP]`: downloads, and user data of 9600 and 1600 sets."""

    run_http: bool = _theirs("RunHTTP", v.FLAG, "1", "run the HTTP server")
    http_port: int = _theirs("HTTPPort", v.PORT, "81", "port for firmware")
    http_dir: Path = _theirs("HTTPDir", v.DIRECTORY, "MV_IPTel/data/HTTPdata", "what the HTTP server serves")
    http_alt_ports: tuple[int, ...] = _ours(
        "HTTPAltPorts", v.PORTS, "80", "further ports; phones also try 80"
    )
    backup_dir: Path = _ours(
        "BackupDir", v.DIRECTORY, "MV_IPTel/data/FTPdata", "where user data is kept; absent: what FTPDir says"
    )
    backup_auth: str = _ours(
        "BackupAuth", v.choice(*v.POLICIES), "snmp", "how a phone shows that user data is its own"
    )
    backup_per_net: tuple[Policy, ...] = _ours(
        "BackupPerNet", v.PER_NET, "", "other policies for some networks (NAT, VPN); the first match counts"
    )
    backup_passwords: Path | None = _ours(
        "BackupPasswords", v.FILE_OR_NONE, "", "names and passwords for the policy basic"
    )
    max_backup_bytes: int = _ours("MaxBackupBytes", v.SIZE, "1 MiB", "largest backup that is accepted")


@dataclass(frozen=True, kw_only=True)
class HTTPS:
    """`[HTTPS]`: the same over TLS, and the certificate of every TLS port."""

    run_https: bool = _theirs("RunHTTPS", v.FLAG, "0", "run the HTTPS server")
    https_port: int = _theirs("HTTPSPort", v.PORT, "411", "port; the only one that the legacy modes touch")
    https_dir: Path = _theirs(
        "HTTPSDir", v.DIRECTORY, "MV_IPTel/data/HTTPSdata", "what the HTTPS server serves first"
    )
    cert_file: Path = _theirs(
        "CertFile", v.FILE, "MV_IPTel/certs/IPTelcert.pem", "certificate (and chain), PEM"
    )
    key_file: Path = _theirs("KeyFile", v.FILE, "MV_IPTel/certs/IPTelkey.pem", "its private key, PEM")
    client_auth: bool = _theirs(
        "ClientAuth", v.FLAG, "0", "ask peers for a certificate, for backup and restore only"
    )
    iptel: bool = _theirs(
        "IPTel",
        v.FLAG,
        "0",
        "legacy: add the authenticate-only mode (TLS 1.0 and up with NULL-SHA) on HTTPSPort",
    )
    sslv2: bool = _theirs(
        "SSLV2", v.FLAG, "0", "read with IPTel=0; 1 stops the HTTPS server: no library has SSLv2"
    )
    sslv3: bool = _theirs(
        "SSLV3", v.FLAG, "0", "read with IPTel=0; 1 stops the HTTPS server: no library has SSLv3"
    )
    tlsv1: bool = _theirs("TLSV1", v.FLAG, "1", "read with IPTel=0; adds nothing by itself, see LegacyTLS")
    use_proxy: bool = _theirs("UseProxy", v.FLAG, "0", "use a proxy for requests to file servers")
    proxy_addr: str = _theirs("ProxyAddr", v.HOST, "", "the proxy")
    proxy_port: int = _theirs("ProxyPort", v.PORT, "9000", "its port")
    https_alt_ports: tuple[int, ...] = _ours(
        "HTTPSAltPorts", v.PORTS, "443", "further ports, always TLS 1.2 and 1.3"
    )
    legacy_tls: bool = _ours(
        "LegacyTLS", v.FLAG, "0", "legacy: add TLS 1.0 and 1.1 with AES-CBC-SHA on HTTPSPort"
    )
    https_alt_cert_file: Path | None = _ours(
        "HTTPSAltCertFile", v.FILE_OR_NONE, "", "certificate of HTTPSAltPorts, PEM; empty: that of CertFile"
    )
    https_alt_key_file: Path | None = _ours(
        "HTTPSAltKeyFile",
        v.FILE_OR_NONE,
        "",
        "its private key, PEM; empty: it stands in HTTPSAltCertFile too",
    )
    https_fallback: bool = _ours("HTTPSFallback", v.FLAG, "1", "look in HTTPDir too for what HTTPSDir lacks")

    @property
    def refused(self) -> str:
        """Why the HTTPS server must not start, or "": it was asked for a protocol that nobody has."""
        asked = [] if self.iptel else [n for n, on in (("SSLV2", self.sslv2), ("SSLV3", self.sslv3)) if on]
        if not asked:
            return ""
        return (
            f"{' and '.join(f'{name}=1' for name in asked)}: no maintained TLS library has this protocol, "
            f"HTTPS stays off; write {' and '.join(f'{name}=0' for name in asked)} "
            "(for old sets: LegacyTLS=1 or IPTel=1)"
        )


@dataclass(frozen=True, kw_only=True)
class BackupServers:
    """`[BACKUP_SERVERS]`: central servers, and the customer's own FTP server."""

    file_server: bool = _theirs("FileServer", v.FLAG, "0", "be the central file server for others")
    request_updates: bool = _theirs("RequestUpdates", v.FLAG, "0", "fetch firmware from the file servers")
    request_backup: bool = _theirs("RequestBackup", v.FLAG, "0", "send user data to the file servers")
    use_primary_svr: bool = _theirs("UsePrimarySvr", v.FLAG, "0", "use the primary file server")
    primary_ip: str = _theirs("PrimaryIP", v.HOST, "192.168.0.13", "its address or name")
    use_secondary_svr: bool = _theirs("UseSecondarySvr", v.FLAG, "0", "use the secondary file server")
    secondary_ip: str = _theirs("SecondaryIP", v.HOST, "192.168.0.10", "its address or name")
    update_interval: float = _theirs("UpdateInterval", v.PERIOD, "2", "period of updates and backups")
    custom_ftp: bool = _theirs(
        "CustomFTP", v.FLAG, "0", "copy user data to the customer's own FTP server (the printed sample has 1)"
    )
    custom_ftp_dir: str = _theirs("CustomFTPDir", v.TEXT, "home/mvuser/backup", "directory there")
    custom_ftp_uname: str = _theirs("CustomFTPUName", v.TEXT, "", "login name there")
    custom_ftp_pwd: str = _theirs("CustomFTPPwd", v.SECRET, "", "password there")
    cdr_backup: bool = _theirs("CDRBackup", v.FLAG, "0", "read; CDR data is not copied, and 1 is told")
    bcms_backup: bool = _theirs("BCMSBackup", v.FLAG, "0", "read; BCMS data is not copied, and 1 is told")
    retain_days: float = _theirs(
        "RetainDays", v.DECIMAL, "7.0", "read and not used: days that such copies would be kept"
    )
    file_server_port: int = _ours("FileServerPort", v.PORT, "6093", "port of the central API")
    file_server_cert_file: Path | None = _ours(
        "FileServerCertFile",
        v.FILE_OR_NONE,
        "",
        "certificate of the central API, PEM; empty: that of [HTTPS]",
    )
    file_server_key_file: Path | None = _ours(
        "FileServerKeyFile",
        v.FILE_OR_NONE,
        "",
        "its private key, PEM; empty: it stands in FileServerCertFile too",
    )
    primary_port: int = _ours("PrimaryPort", v.PORT, "6093", "port of the primary's central API")
    secondary_port: int = _ours("SecondaryPort", v.PORT, "6093", "port of the secondary's central API")
    peer_ca: Path | None = _ours(
        "PeerCA", v.FILE_OR_NONE, "", "authority that the file servers' certificates come from"
    )
    peer_token: str = _ours(
        "PeerToken",
        v.SECRET,
        "",
        "token for the file servers; `central join` writes it (two: the primary's first, comma)",
    )
    bandwidth_limit: int = _ours(
        "BandwidthLimit", v.SIZE, "0", "octets a second towards file servers; 0 is no limit"
    )
    quiet_hours: str = _ours("QuietHours", v.QUIET, "", "hours of the day without transfers")
    custom_ftp_host: str = _ours("CustomFTPHost", v.HOST, "", "the customer's FTP server; empty: the primary")
    custom_ftp_port: int = _ours("CustomFTPPort", v.PORT, "21", "its port")
    custom_ftp_tls: bool = _ours("CustomFTPTLS", v.FLAG, "0", "talk to it over TLS")


@dataclass(frozen=True, kw_only=True)
class SNMP:
    """`[SNMP]`: the question that shows which phone is asking."""

    use_snmp: bool = _theirs(
        "UseSNMP", v.FLAG, "1", "ask phones by SNMP who they are before their user data moves"
    )
    command: str = _theirs("Command", v.TEXT, "", "obsolete, never run: the server speaks SNMP itself")
    params: str = _theirs(
        "Params", v.BLANKS, "", "read for -v and -c, where SNMPVersion and Community are absent"
    )
    ext_object: str = _theirs(
        "ExtObject", v.OID, ".1.3.6.1.4.1.6889.2.69.1.4.9.0", "object that holds a 4600's extension"
    )
    type_object: str = _theirs(
        "TypeObject", v.OID, ".1.3.6.1.4.1.6889.2.69.1.1.2.0", "object that holds a 4600's type"
    )
    awk: str = _theirs("Awk", v.BLANKS, "", "obsolete, never run: answers are read as they are")
    community: str = _ours("Community", v.SECRET, DEFAULT_COMMUNITY, "the phones' SNMPSTRING")
    snmp_version: str = _ours("SNMPVersion", v.choice("1", "2c"), "2c", "version of the protocol")
    snmp_port: int = _ours("SNMPPort", v.PORT, "161", "port on the phones")
    snmp_timeout: float = _ours("SNMPTimeout", v.duration(0.05, 60), "1", "wait for an answer")
    snmp_retries: int = _ours("SNMPRetries", v.number(0, 10), "2", "repeats of an unanswered question")
    snmp_match: bool = _ours(
        "SNMPMatch",
        v.FLAG,
        "1",
        "refuse a phone whose type is another than its address lately showed over TFTP and HTTP; "
        "the extension in a name must be the phone's in any case",
    )


@dataclass(frozen=True, kw_only=True)
class ManagerSettings:
    """`MV_Manager.ini`, `[Settings]`."""

    manager_port: int = _ours("ManagerPort", v.PORT, "6092", "port of the manager", True)
    bind_address: str = _ours("BindAddress", v.ADDRESS, "127.0.0.1", "address of the manager", True)
    use_https: bool = _ours("UseHTTPS", v.FLAG, "1", "serve over TLS", True)
    cert_file: Path = _ours("CertFile", v.FILE, "MV_IPTel/certs/IPTelcert.pem", "certificate, PEM", True)
    key_file: Path = _ours("KeyFile", v.FILE, "MV_IPTel/certs/IPTelkey.pem", "its private key, PEM", True)
    server_url: str = _ours(
        "ServerURL", v.URL, "http://127.0.0.1:6090/", "status server of the file server", True
    )
    session_time: float = _ours(
        "SessionTime", v.duration(60, 7 * 86400), "3600", "sign-out after so long idle", True
    )
    log_file: Path = _ours("LogFile", v.FILE, "MV_Manager/log/MV_Manager.log", "the manager's log", True)


@dataclass(frozen=True, kw_only=True)
class WatchDogSettings:
    """`MV_WatchDog.ini`, `[Settings]`."""

    version: str = _theirs("Version", v.TEXT, "", "build stamp of the file; read and not used")
    host_address: str = _theirs("HostAddress", v.HOST, "127.0.0.1", "host to watch, normally this one")
    watch_dog_timer: float = _theirs(
        "WatchDogTimer", v.duration(1, 86400), "60", "between two rounds of downloads"
    )
    failure_limit: int = _theirs(
        "FailureLimit", v.number(1, 10_000), "5", "missed downloads that trigger the alert"
    )
    status_port: int = _theirs("StatusPort", v.PORT, "6091", "port of the watchdog's status page")
    status_refresh: float = _theirs(
        "StatusRefresh", v.duration(1, 3600), "10", "that page refreshes itself after so long"
    )
    log_file: Path = _theirs("LogFile", v.FILE, "MV_WatchDog/log/MV_WatchDog.log", "the watchdog's log")
    probe_timeout: float = _ours("ProbeTimeout", v.duration(0.1, 300), "5", "wait for one download")
    max_restarts_per_hour: int = _ours(
        "MaxRestartsPerHour", v.number(0, 60), "3", "alerts run in one hour at most"
    )
    mail_to: tuple[str, ...] = _ours("MailTo", v.NAMES, "", "who gets a mail when an alert runs")
    mail_from: str = _ours("MailFrom", v.TEXT, "", "sender of such mails")
    smtp_server: str = _ours("SMTPServer", v.HOST_PORT, "", "mail server")
    webhook_url: str = _ours("WebhookURL", v.URL, "", "called with JSON when an alert runs")
    probe_models: tuple[str, ...] = _ours(
        "ProbeModels", v.NAMES, "", "phone models whose boot is tried as well"
    )


# Sections as printed, in the reference file's order, each with its part of `Config`.
SERVER: dict[str, tuple[str, type]] = {
    "Settings": ("settings", Settings),
    "FTP": ("ftp", FTP),
    "FTPS": ("ftps", FTPS),
    "TFTP": ("tftp", TFTP),
    "HTTP": ("http", HTTP),
    "HTTPS": ("https", HTTPS),
    "BACKUP_SERVERS": ("backup_servers", BackupServers),
    "SNMP": ("snmp", SNMP),
}
MANAGER: dict[str, tuple[str, type]] = {"Settings": ("settings", ManagerSettings)}
WATCHDOG: dict[str, tuple[str, type]] = {"Settings": ("settings", WatchDogSettings)}


def keys_of(part: type) -> dict[str, Key]:
    """Attribute name to key, in the order they are written down."""
    return {one.name: one.metadata["key"] for one in fields(part)}
