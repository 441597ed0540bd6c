"""`mv-iptel check`: everything that can be known to be wrong before a phone notices it.

Each check takes the configuration and yields findings; `CHECKS` is their order. What is worth knowing
but not wrong is a fact.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from mv_iptel import certs, config, ports
from mv_iptel.certs import accepting
from mv_iptel.config import Config, ConfigError, Finding
from mv_iptel.home import CHECK_FILE, Home
from mv_iptel.library import access
from mv_iptel.userdata import check as userdata

MANY_FILES = 20_000  # beyond this, directories are not compared further
PIECE = 1 << 20

LEGACY = {
    "IPTel": "authenticate-only TLS on HTTPSPort: whoever listens can read and alter what old sets fetch",
    "LegacyTLS": "TLS 1.0 and 1.1 on HTTPSPort",
}


class Fact(NamedTuple):
    """Something worth knowing that is not wrong."""

    topic: str
    text: str


@dataclass
class Report:
    """What `check` found. `usable` is false when a configuration does not load: nothing else was tried."""

    findings: list[Finding] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    usable: bool = True


class Listener(NamedTuple):
    """A socket that `serve` would open."""

    section: str
    key: str
    proto: str
    kind: int  # socket.SOCK_STREAM or SOCK_DGRAM
    port: int


class Root(NamedTuple):
    """A directory that a running server serves."""

    section: str
    key: str
    proto: str  # as in the name of its access list
    path: Path


def check(home: Home) -> Report:
    """Load everything, try everything. Raises nothing that a file or a host could cause."""
    report = Report()
    loaded = []
    for load in (config.load, config.load_manager, config.load_watchdog):
        try:
            one = load(home)
        except ConfigError as error:
            report.findings += error.findings
            report.usable = False
        else:
            report.findings += one.findings
            loaded.append(one)
    if not report.usable:
        return report
    server: Config = loaded[0]
    for part in CHECKS:
        report.findings += part(server)
    report.facts += _facts(server)
    return report


def roots(config: Config) -> list[Root]:
    """The directories of the servers that run."""
    every = (
        (config.tftp.run_trivial_ftp, Root("TFTP", "TFTPDir", "TFTP", config.tftp.tftp_dir)),
        (config.http.run_http, Root("HTTP", "HTTPDir", "HTTP", config.http.http_dir)),
        (config.https.run_https, Root("HTTPS", "HTTPSDir", "HTTPS", config.https.https_dir)),
        (config.ftp.run_ftp or config.ftps.run_ftps, Root("FTP", "FTPDir", "FTP", config.ftp.ftp_dir)),
    )
    return [root for runs, root in every if runs]


def listeners(config: Config) -> list[Listener]:
    """The sockets of the servers that run, without those that take any free port."""
    settings, ftp, ftps, http, https = config.settings, config.ftp, config.ftps, config.http, config.https
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    found: list[Listener] = []
    if config.tftp.run_trivial_ftp:
        found.append(Listener("TFTP", "TrivialFTPPort", "tftp", udp, config.tftp.trivial_ftp_port))
    if ftp.run_ftp:
        found.append(Listener("FTP", "FTPPort", "ftp", tcp, ftp.ftp_port))
    if ftps.run_ftps:
        found.append(Listener("FTPS", "FTPPort", "ftps", tcp, ftps.ftp_port))
    if http.run_http:
        found.append(Listener("HTTP", "HTTPPort", "http", tcp, http.http_port))
        found += [Listener("HTTP", "HTTPAltPorts", "http", tcp, port) for port in http.http_alt_ports]
    if https.run_https and not https.refused:
        found.append(Listener("HTTPS", "HTTPSPort", "https", tcp, https.https_port))
        found += [Listener("HTTPS", "HTTPSAltPorts", "https", tcp, port) for port in https.https_alt_ports]
    if settings.run_status:
        found.append(Listener("Settings", "StatusPort", "status", tcp, settings.status_port))
    servers = config.backup_servers
    if servers.file_server:
        found.append(Listener("BACKUP_SERVERS", "FileServerPort", "central", tcp, servers.file_server_port))
    return [one for one in found if one.port]


# --- directories and files --------------------------------------------------------------------------


def _directories(config: Config) -> Iterator[Finding]:
    home = config.home
    for root in roots(config):
        mend = "make it, or write another one"
        if not root.path.is_dir():
            what = "is a file" if root.path.exists() else "is not there"
            yield config.finding(root.section, root.key, f"the directory {root.path} {what}; {mend}")
        elif not os.access(root.path, os.R_OK | os.X_OK):
            text = f"the directory {root.path} cannot be read; give the server's account the right to"
            yield config.finding(root.section, root.key, text)
        elif root.proto == "FTP" and not os.access(root.path, os.W_OK):
            text = f"the directory {root.path} cannot be written; backups of the phones would be lost"
            yield config.finding(root.section, root.key, text)
        real = root.path.resolve()
        for private in (home.bin, home.certs, home.var, home.manager, home.watchdog):
            inner = private.resolve()
            if real == inner or real in inner.parents or inner in real.parents:
                text = f"{root.path} holds or lies in {private}, which no phone may see; name another one"
                yield config.finding(root.section, root.key, text)
                break
    for section, key, path in (
        ("Settings", "LogFile", config.settings.log_file),
        ("Settings", "Database", config.settings.database),
    ):
        if not os.access(path.parent, os.W_OK | os.X_OK):
            text = f"the directory {path.parent} is not there or cannot be written; make it, or name another"
            yield config.finding(section, key, text)


def _secrets(config: Config) -> Iterator[Finding]:
    if os.name != "posix":
        return
    home = config.home
    keys = dict.fromkeys(pair.key_file for pair in (config.pair("https"), *config.pairs()))
    for path in (home.ca_key, *keys, home.token, home.passwords):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & stat.S_IROTH:
            yield Finding(
                str(path),
                0,
                "",
                "",
                "can be read by everybody on this host; run chmod o-rwx on it",
                "finding",
            )


def missing_account(config: Config) -> Iterator[Finding]:
    """A finding if `User` names an account that this host does not have."""
    name = config.settings.user
    if not name or os.name != "posix":
        return
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        text = f"there is no account {name!r} on this host; make it, or leave the value empty"
        yield config.finding("Settings", "User", text)


# --- ports ------------------------------------------------------------------------------------------


def _ports(config: Config) -> Iterator[Finding]:
    ours = running(config.home)
    for listener in listeners(config):
        addresses = [config.settings.status_bind] if listener.proto == "status" else bind_addresses(config)
        for address in addresses:
            fault = _try(address, listener.kind, listener.port)
            if fault is None:
                continue
            yield from _port_fault(config, listener, address, fault, ours)
            break


def _addresses(config: Config) -> Iterator[Finding]:
    places = [("BindAddress", address) for address in config.settings.bind_address]
    for key, address in [*places, ("StatusBind", config.settings.status_bind)]:
        fault = _try(address, socket.SOCK_STREAM, 0)
        if fault is not None:
            text = f"{address} is not an address of this host ({fault.strerror}); write one that is"
            yield config.finding("Settings", key, text)


def bind_addresses(config: Config) -> list[str]:
    """The addresses that `BindAddress` stands for; without any, both wildcards."""
    return list(config.settings.bind_address) or ["0.0.0.0", "::"]  # noqa: S104


def _try(address: str, kind: int, port: int) -> OSError | None:
    """Bind as the server would, and let go. None: it worked, or this host lacks the address family."""
    try:
        if kind == socket.SOCK_STREAM:
            ports.listen(address, port, 1).close()
        else:
            six = ":" in address
            with socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind) as sock:
                if six:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((address, port))
    except OSError as error:
        missing = address == "::" and error.errno in ports.NO_FAMILY
        return None if missing else error
    return None


def _port_fault(
    config: Config, listener: Listener, address: str, fault: OSError, ours: int
) -> Iterator[Finding]:
    section, key, port = listener.section, listener.key, listener.port
    if fault.errno == errno.EADDRINUSE:
        pid, name = ports.holder(port, listener.kind, besides=ours, address=address)
        if ours and not pid:
            return  # the server that runs over this home has it, as it should
        who = f"{name} (process {pid})" if pid else "another process (run check as root to see which)"
        yield config.finding(section, key, f"port {port} is taken by {who}; stop it, or write another port")
    elif fault.errno == errno.EADDRNOTAVAIL:
        return  # the address is wrong, not the port: _addresses tells it
    elif isinstance(fault, PermissionError):
        text = f"this user may not open port {port}; run as root or as a service, or use ports above 1023"
        yield config.finding(section, key, text)
    else:
        yield config.finding(section, key, f"port {port} cannot be opened on {address} ({fault.strerror})")


def running(home: Home) -> int:
    """The process that serves this home, or 0. The server holds a lock as long as it lives."""
    if os.name != "posix":
        return 0
    import fcntl

    try:
        with open(home.var / "server.lock", "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                text = file.read(20).strip()
                return int(text) if text.isdigit() else 0
    except OSError:
        pass
    return 0


# --- certificates -----------------------------------------------------------------------------------


def _tls(config: Config) -> bool:
    """Whether any server needs the certificate."""
    return config.https.run_https or config.ftps.run_ftps or config.backup_servers.file_server


def _certificates(config: Config) -> Iterator[Finding]:
    https = config.https
    if not _tls(config):
        return
    from mv_iptel.http import tls  # the engine that will load it has the last word

    addresses = [one for one in config.settings.bind_address if not ipaddress.ip_address(one).is_loopback]
    for pair in config.pairs():
        phones = pair in (config.pair("https"), config.pair("https-alt"))
        found = certs.check(*pair, addresses, phones=phones)
        yield from found
        if any(one.level == "error" for one in found):
            continue
        offer = tls.policy(https, https.https_port) if pair == config.pair("https") else tls.Policy()
        try:
            tls.make_context(*pair, offer)
        except tls.CertificateError as error:
            yield Finding(str(pair.cert_file), 0, "", "", str(error), "error")
    yield from certs.check_authority(config.home)


# --- lists ------------------------------------------------------------------------------------------


def list_file(root: Root) -> Path | None:
    """The access list in force for a root: its own one, else the general one; FTP has only its own."""
    names = [f"{root.proto}_allow_IP.txt"]
    if root.proto != "FTP":
        names.append("allow_IP.txt")
    for name in names:
        path = root.path / name
        if path.exists() or path.is_symlink():
            return path
    return None


def _lists(config: Config) -> Iterator[Finding]:
    paths = [path for root in roots(config) if (path := list_file(root))]
    paths += [config.http.backup_dir / "backup_allow_IP.txt", config.home.lists / "banned.txt"]
    for path in dict.fromkeys(paths):
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            if path.is_symlink():
                yield Finding(str(path), 0, "", "", "is a link that leads nowhere; remove it or mend it")
            continue
        except OSError as error:
            mend = "make it readable for the server"
            yield Finding(str(path), 0, "", "", f"cannot be read ({error.strerror}); {mend}")
            continue
        entries, problems = access.parse(text)
        for problem in problems:
            yield Finding(str(path), problem.line, "", "", f"{problem.text}; this line is skipped", "finding")
        if not entries and path.name != "banned.txt":
            mend = "write one, or remove the file to let everybody in"
            yield Finding(str(path), 0, "", "", f"has no valid line, so it lists nobody; {mend}", "finding")


def _public(config: Config) -> Iterator[Finding]:
    own = certs.host_names().addresses
    bound = config.settings.bind_address or own
    public = [one for one in bound if ipaddress.ip_address(one).is_global]
    if not public:
        return
    for root in roots(config):
        if root.proto != "FTP" and list_file(root) is None:  # FTP asks each phone who it is
            text = (
                f"{', '.join(public)} can be reached from anywhere and {root.path} has no list; "
                f"write {root.proto}_allow_IP.txt there, or a private BindAddress"
            )
            yield config.finding(root.section, root.key, text)


# --- what is served ---------------------------------------------------------------------------------


def _twins(config: Config) -> Iterator[Finding]:
    """The same name with other content in HTTPdata and HTTPSdata: phones get one or the other."""
    plain, secure = config.http.http_dir, config.https.https_dir
    if not (config.http.run_http and config.https.run_https) or _same(plain, secure):
        return
    for count, path in enumerate(_files(secure)):
        if count >= MANY_FILES:
            return
        other = plain / path.relative_to(secure)
        if other.is_file() and not _equal(path, other):
            text = f"differs from {other}; phones get one by HTTPS and one by HTTP; keep one of them"
            yield Finding(str(path), 0, "", "", text, "finding")


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _files(root: Path) -> Iterator[Path]:
    for directory, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if name[0] != "." and name != "archive")
        for name in sorted(names):
            if name[0] != "." and name != CHECK_FILE and not name.lower().endswith("allow_ip.txt"):
                yield Path(directory) / name


def _equal(one: Path, other: Path) -> bool:
    try:
        if one.stat().st_size != other.stat().st_size:
            return False
        with open(one, "rb") as first, open(other, "rb") as second:
            while piece := first.read(PIECE):
                if piece != second.read(PIECE):
                    return False
    except OSError:
        return True  # what cannot be read is told elsewhere
    return True


def _scripts(config: Config) -> Iterator[Finding]:
    """What lint is sure of, or warns of. What is only worth knowing `mv-iptel lint` tells."""
    from mv_iptel import linted  # only check needs the language

    for path, one in linted.served(config):
        if one.severity != "info":
            yield Finding(str(path), one.line, "", "", f"{one.text}; {one.mend} ({one.code})", "finding")


def _community(config: Config) -> Iterator[Finding]:
    """Phones answer only to the word that their settings name; another one here loses their backups."""
    from mv_iptel.phones import script

    if not config.snmp.use_snmp:
        return
    for directory in dict.fromkeys(root.path for root in roots(config) if root.proto != "FTP"):
        for path in sorted(directory.glob("*")) if directory.is_dir() else ():
            if path.name.lower() not in ("46xxsettings.txt", "46xxsettings.scr") or not path.is_file():
                continue
            try:
                data = path.read_bytes()
            except OSError:
                continue  # told by _scripts
            for one in script.parse(path.name, data).statements:
                if (
                    one.kind == "set"
                    and one.name == "SNMPSTRING"
                    and one.value not in ("", config.snmp.community)
                ):
                    text = "SNMPSTRING differs from Community in the ini: phones stay silent; use one word"
                    yield Finding(str(path), one.line, "", "", text, "finding")


# --- keys that do not go together -------------------------------------------------------------------


def _combinations(config: Config) -> Iterator[Finding]:
    settings, http = config.settings, config.http
    if settings.max_clients and not settings.client_session_time:
        text = f"slots have no end: only the first {settings.max_clients} clients are served; write 600 or so"
        yield config.finding("Settings", "ClientSessionTime", text)
    servers = config.backup_servers
    if (servers.request_updates or servers.request_backup) and not (
        servers.use_primary_svr or servers.use_secondary_svr
    ):
        key = "RequestUpdates" if servers.request_updates else "RequestBackup"
        yield config.finding(
            "BACKUP_SERVERS", key, "no file server is used; write UsePrimarySvr=1 and PrimaryIP"
        )
    asked = [key for key, used in (("UsePrimarySvr", servers.use_primary_svr),
                                   ("UseSecondarySvr", servers.use_secondary_svr)) if used]  # fmt: skip
    if asked and not servers.peer_token:
        text = "no central server knows this branch yet; run `mv-iptel central invite NAME` there, "
        yield config.finding("BACKUP_SERVERS", asked[0], f"{text}and here the line that it prints")
    serves = (config.tftp.run_trivial_ftp, http.run_http, config.https.run_https, servers.file_server)
    if not any(serves):
        text = "TFTP, HTTP and HTTPS are all off, so no phone can boot from here; write RunHTTP=1"
        yield config.finding("HTTP", "RunHTTP", text)


CHECKS = (
    _directories,
    _secrets,
    missing_account,
    _addresses,
    _ports,
    _certificates,
    _lists,
    _public,
    _twins,
    _scripts,
    _community,
    _combinations,
    userdata.check,
)


def _facts(config: Config) -> Iterator[Fact]:
    pid = running(config.home)
    yield Fact("home", str(config.home.root))
    yield Fact("server", f"running, process {pid}" if pid else "not running")
    for root in roots(config):
        listed = list_file(root)
        text = f"serves {root.path}, {'listed in ' + listed.name if listed else 'no list'}"
        if root.proto == "FTP":
            text = f"keeps user data in {config.http.backup_dir}, " + (
                "each phone is asked by SNMP who it is"
                if config.snmp.use_snmp
                else "nobody is asked (UseSNMP=0)"
            )
        yield Fact(root.proto.lower(), text)
    if config.http.run_http or config.https.run_https:
        nets = [f"{one.network}: {one.policy}" for one in config.http.backup_per_net]
        yield Fact("backup", ", ".join([f"over HTTP and HTTPS {config.http.backup_auth}", *nets]))
    if config.ftp.superuser and any(root.proto == "FTP" for root in roots(config)):
        yield Fact("superuser", f"{config.ftp.su_user_name} may sign in over FTP")
    ports = [f"{one.proto}:{one.port}" for one in listeners(config)]
    yield Fact("ports", " ".join(ports))
    if _tls(config):
        for pair in config.pairs():
            with contextlib.suppress(certs.CertError):
                shown = certs.describe(pair.cert_file)
                yield Fact("certificate", f"{shown['subject']} until {shown['not_after'][:10]}")
        with contextlib.suppress(certs.CertError):
            for port in accepting.ports(config, accepting.hosts(config), datetime.now(UTC)):
                yield Fact("phones", port.short())
    for mode in config.legacy():
        yield Fact("legacy", f"{mode}=1: {LEGACY[mode]}")
