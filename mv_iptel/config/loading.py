"""From an ini file to a frozen object: every line is looked at, every problem is kept."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from mv_iptel.config import keys, lines
from mv_iptel.config.findings import ConfigError, Finding
from mv_iptel.config.keys import Key, keys_of
from mv_iptel.config.values import Context
from mv_iptel.home import Home

Sections = dict[str, tuple[str, type]]
Where = Mapping[tuple[str, str], int]

PRIVILEGED = 1024  # ports below this one need a privilege to open


class Pair(NamedTuple):
    """A certificate (and chain) and its private key; both may be one file."""

    cert_file: Path
    key_file: Path


@dataclass(frozen=True, kw_only=True)
class Config:
    """`MV_IPTel.ini`, complete: every absent key has its default.

    `lines` says on which line a key was written: `("HTTPS", "TLSV1") -> 74`; absent keys are not in it.
    """

    home: Home
    file: Path | None
    settings: keys.Settings
    ftp: keys.FTP
    ftps: keys.FTPS
    tftp: keys.TFTP
    http: keys.HTTP
    https: keys.HTTPS
    backup_servers: keys.BackupServers
    snmp: keys.SNMP
    findings: tuple[Finding, ...] = ()
    lines: Where = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def legacy(self) -> tuple[str, ...]:
        """The legacy modes in force, by the name of their key."""
        if not self.https.run_https or self.https.refused:
            return ()
        modes = (("IPTel", self.https.iptel), ("LegacyTLS", self.https.legacy_tls))
        return tuple(name for name, on in modes if on)

    def pair(self, listener: str) -> Pair:
        """The certificate of `https` (HTTPSPort), `https-alt`, `ftps` or `central`."""
        own: dict[str, tuple[Path | None, Path | None]] = {
            "https": (self.https.cert_file, self.https.key_file),
            "https-alt": (self.https.https_alt_cert_file, self.https.https_alt_key_file),
            "ftps": (self.ftps.ftps_cert_file, self.ftps.ftps_key_file),
            "central": (
                self.backup_servers.file_server_cert_file,
                self.backup_servers.file_server_key_file,
            ),
        }
        cert_file, key_file = own[listener]
        if cert_file is None:
            return Pair(self.https.cert_file, self.https.key_file)
        return Pair(cert_file, key_file or cert_file)

    def pairs(self) -> tuple[Pair, ...]:
        """The certificates of the listeners that are switched on, each once, that of HTTPSPort first."""
        https = self.https
        alone = set(https.https_alt_ports) - {https.https_port}
        used = {
            "https": https.run_https, "https-alt": https.run_https and bool(alone),
            "ftps": self.ftps.run_ftps, "central": self.backup_servers.file_server,
        }  # fmt: skip
        return tuple(dict.fromkeys(self.pair(name) for name, on in used.items() if on))

    def finding(self, section: str, key: str, text: str) -> Finding:
        """A finding at the line of that key (or at the file, when the key is absent)."""
        return Finding(
            str(self.file or self.home.ini), self.lines.get((section, key), 0), section, key, text, "finding"
        )


@dataclass(frozen=True, kw_only=True)
class ManagerConfig:
    """`MV_Manager.ini`."""

    home: Home
    file: Path | None
    settings: keys.ManagerSettings
    findings: tuple[Finding, ...] = ()
    lines: Where = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class WatchDogConfig:
    """`MV_WatchDog.ini`."""

    home: Home
    file: Path | None
    settings: keys.WatchDogSettings
    findings: tuple[Finding, ...] = ()
    lines: Where = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)


def defaults(home: Home) -> Config:
    """The configuration of a home without any file."""
    parts, _ = _build(home, keys.SERVER, {}, "")
    return _finish(Config(home=home, file=None, **parts))


def load(home: Home, file: Path | None = None) -> Config:
    """`MV_IPTel.ini` (or `file`). Raises ConfigError with all problems, if one of them is an error."""
    path = file or home.ini
    parts, where, findings = _read(home, path, keys.SERVER)
    config = _finish(Config(home=home, file=path, lines=where, **parts)) if parts else None
    if config is not None:
        bad = {(one.section, one.key) for one in findings if one.level == "error"}
        # A key whose value is bad has its default by now; what that one means is nobody's question.
        findings = [*findings, *(one for one in _across(config) if (one.section, one.key) not in bad)]
    findings.sort(key=lambda one: one.line)
    if config is None or any(one.level == "error" for one in findings):
        raise ConfigError(tuple(findings))
    return replace(config, findings=tuple(findings))


def load_manager(home: Home, file: Path | None = None) -> ManagerConfig:
    """`MV_Manager.ini`, or its defaults where there is none. Raises ConfigError."""
    return _load_other(ManagerConfig, home, file or home.manager_ini, keys.MANAGER)


def load_watchdog(home: Home, file: Path | None = None) -> WatchDogConfig:
    """`MV_WatchDog.ini`, or its defaults where there is none. Raises ConfigError."""
    return _load_other(WatchDogConfig, home, file or home.watchdog_ini, keys.WATCHDOG)


def _load_other(kind: type, home: Home, path: Path, sections: Sections) -> Any:
    if not path.exists():
        parts, _ = _build(home, sections, {}, "")
        return kind(home=home, file=None, **parts)
    parts, where, findings = _read(home, path, sections)
    findings.sort(key=lambda one: one.line)
    if not parts or any(one.level == "error" for one in findings):
        raise ConfigError(tuple(findings))
    return kind(home=home, file=path, lines=where, findings=tuple(findings), **parts)


def restart_needed(old: Config, new: Config) -> tuple[str, ...]:
    """The changed keys that a reload cannot apply.

    These are User and Database, and ports below 1024 once the privilege to open them is given up.
    """
    names = [
        key.name
        for attribute, key in keys_of(keys.Settings).items()
        if key.restart and getattr(old.settings, attribute) != getattr(new.settings, attribute)
    ]
    if new.settings.user or old.settings.user:
        for section, (part, kind) in keys.SERVER.items():
            for attribute, key in keys_of(kind).items():
                if (section, key.name) in _LISTENING:
                    before, after = (_as_ports(getattr(getattr(one, part), attribute)) for one in (old, new))
                    if any(0 < port < PRIVILEGED for port in after - before):
                        names.append(key.name)
    return tuple(dict.fromkeys(names))


# Keys that open a listening port here, with the switch that does it.
_LISTENING = {
    ("TFTP", "TrivialFTPPort"): ("tftp", "run_trivial_ftp"),
    ("FTP", "FTPPort"): ("ftp", "run_ftp"),
    ("FTPS", "FTPPort"): ("ftps", "run_ftps"),
    ("HTTP", "HTTPPort"): ("http", "run_http"),
    ("HTTP", "HTTPAltPorts"): ("http", "run_http"),
    ("HTTPS", "HTTPSPort"): ("https", "run_https"),
    ("HTTPS", "HTTPSAltPorts"): ("https", "run_https"),
    ("Settings", "StatusPort"): ("settings", "run_status"),
    ("BACKUP_SERVERS", "FileServerPort"): ("backup_servers", "file_server"),
}


def _as_ports(value: int | tuple[int, ...]) -> set[int]:
    return set(value) if isinstance(value, tuple) else {value}


# --- one file -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Written:
    """A known key as it stands in the file."""

    entry: lines.Entry
    key: Key


def _read(home: Home, path: Path, sections: Sections) -> tuple[dict[str, Any], Where, list[Finding]]:
    """Parts by attribute (empty if the file cannot be read at all), lines by key, and what was found."""
    file = str(path)
    try:
        with open(path, "rb") as opened:
            data = opened.read(lines.MAX_BYTES + 1)
    except OSError as error:
        mend = "run `mv-iptel init`, or name the right home with --home"
        if isinstance(error, PermissionError):
            mend = "run as a user who may read it"
        return {}, {}, [Finding(file, 0, "", "", f"cannot be read ({error.strerror}); {mend}")]
    if len(data) > lines.MAX_BYTES:
        return {}, {}, [Finding(file, 0, "", "", "is larger than 1 MiB; this is not a configuration")]
    written, found = _sort_out(file, data, sections)
    parts, bad = _build(home, sections, written, file)
    where = {place: chosen[-1].entry.line for place, chosen in written.items()}
    return parts, MappingProxyType(where), found + bad


def _sort_out(
    file: str, data: bytes, sections: Sections
) -> tuple[dict[tuple[str, str], list[_Written]], list[Finding]]:
    """Known keys by (section, key) with all their occurrences; everything else that deserves a word."""
    written: dict[tuple[str, str], list[_Written]] = {}
    found: list[Finding] = []
    names = {name.lower(): name for name in sections}
    table = {
        name: {key.name.lower(): key for key in keys_of(part).values()}
        for name, (_, part) in sections.items()
    }

    def note(line: int, section: str, key: str, text: str) -> None:
        found.append(Finding(file, line, section, key, text, "finding"))

    for item in lines.read(data):
        section = names.get(item.section.lower(), "")
        if isinstance(item, lines.Header):
            if not section:
                near = difflib.get_close_matches(item.section.lower(), names, 1, 0.5)
                mend = f"write [{names[near[0]]}]" if near else f"known are {', '.join(sections)}"
                note(item.line, item.section, "", f"is an unknown section, its keys are not read; {mend}")
            elif not item.closed:
                note(item.line, section, "", f"the closing bracket is missing; write [{section}]")
        elif isinstance(item, lines.Stray):
            key = _meant(item.text, table.get(section, {}))
            if key:
                note(
                    item.line,
                    section,
                    key.name,
                    f"is no setting as it stands, it is not read; write {key.name}=VALUE",
                )
        elif section and item.key.lower() in table[section]:
            key = table[section][item.key.lower()]
            written.setdefault((section, key.name), []).append(_Written(item, key))
        elif section or not item.section:  # the keys of an unknown section were told with its header
            note(item.line, item.section, item.key, _unknown(item.key, section, table))
    return written, found


def _meant(text: str, known: dict[str, Key]) -> Key | None:
    """The key that a line without a usable `Key=` was surely meant to set, else None: half a comment."""
    before, sign, _ = text.partition("=")
    if sign:  # "HTTP Port = 81"
        return known.get(re.sub(r"[\s_-]", "", before).lower()) if len(before.split()) <= 3 else None
    words = text.replace(":", " ").split()
    return known.get(words[0].lower()) if 1 <= len(words) <= 2 else None


def _unknown(name: str, section: str, table: dict[str, dict[str, Key]]) -> str:
    homes = [other for other, known in table.items() if name.lower() in known]
    if homes:
        place = " or ".join(f"[{one}]" for one in homes)
        where = f"does not belong in [{section}]" if section else "stands before the first section"
        return f"{where}, it is not read; move it to {place}"
    own = {key.lower(): key for key in (table.get(section) or {})}
    near = difflib.get_close_matches(name.lower(), own, 1, 0.6)
    if near:
        return f"is unknown, it is not read; did you mean {table[section][near[0]].name}?"
    for other, known in table.items():
        near = difflib.get_close_matches(name.lower(), known, 1, 0.75)
        if near:
            return f"is unknown, it is not read; did you mean {known[near[0]].name} in [{other}]?"
    every = {key: known for known in ([table[section]] if section else table.values()) for key in known}
    near = difflib.get_close_matches(name.lower(), every, 1, 0.0)
    nearest = every[near[0]][near[0]].name
    return f"is unknown, it is not read; the nearest known key is {nearest}, or remove the line"


def _build(
    home: Home, sections: Sections, written: dict[tuple[str, str], list[_Written]], file: str
) -> tuple[dict[str, Any], list[Finding]]:
    """Every part of the object. A bad value leaves the default in its place and an error in the findings."""
    parts: dict[str, Any] = {}
    found: list[Finding] = []
    for section, (attribute, kind) in sections.items():
        values: dict[str, Any] = {}
        for one in fields(kind):
            key: Key = one.metadata["key"]
            values[one.name] = key.kind.parse(key.default, Context(home, []))
            good = 0  # the line of the last good value
            for level, item in _levels(written.get((section, key.name), []), home):
                line = item.entry.line
                try:
                    values[one.name], notes = _value(item, home)
                except ValueError as error:
                    found.append(Finding(file, line, section, key.name, str(error), level))
                    continue
                if good:
                    text = f"was set before on line {good}; this later line counts, remove one"
                    found.append(Finding(file, line, section, key.name, text, "finding"))
                good = line
                found += [Finding(file, line, section, key.name, text, "finding") for text in notes]
        parts[attribute] = kind(**values)
    return parts, found


def _levels(items: list[_Written], home: Home) -> list[tuple[str, _Written]]:
    """Each occurrence with the level of its badness.

    Half a comment can look like `TLSV1=1 is the old one)`: it stands right below a comment line, its
    value is prose and bad, and the key is set properly elsewhere. Then it is a finding, no error.
    """
    levels = []
    for item in items:
        prose = item.entry.torn and " " in item.entry.value.strip()
        elsewhere = any(other is not item and _is_good(other, home) for other in items)
        levels.append(("finding" if prose and elsewhere else "error", item))
    return levels


def _is_good(item: _Written, home: Home) -> bool:
    try:
        _value(item, home)
    except ValueError:
        return False
    return True


def _value(item: _Written, home: Home) -> tuple[Any, list[str]]:
    """The typed value and what there is to say about it. Raises ValueError."""
    text = item.entry.value if item.key.kind.blanks else item.entry.value.strip()
    if any(ord(char) < 32 and char != "\t" for char in text):
        raise ValueError("holds a control character; write plain text")
    context = Context(home, [])
    return item.key.kind.parse(text, context), context.notes


# --- what several keys say together ------------------------------------------------------------------


def _finish(config: Config) -> Config:
    """Settle the keys that stand for each other."""
    http, snmp = config.http, config.snmp
    if ("HTTP", "BackupDir") not in config.lines:
        http = replace(http, backup_dir=config.ftp.ftp_dir)
    version, community, _ = _params(snmp.params)
    if version in ("1", "2c") and ("SNMP", "SNMPVersion") not in config.lines:
        snmp = replace(snmp, snmp_version=version)
    if community and ("SNMP", "Community") not in config.lines:
        snmp = replace(snmp, community=community)
    # A port that the main key took is not an alternative any more; an alternative that nobody wrote
    # down gives way to every port that was.
    taken = {config.http.http_port, config.https.https_port}
    if ("HTTP", "HTTPAltPorts") in config.lines:
        taken = {config.http.http_port}
    http = replace(http, http_alt_ports=tuple(port for port in http.http_alt_ports if port not in taken))
    taken = {config.http.http_port, config.https.https_port, *http.http_alt_ports}
    if ("HTTPS", "HTTPSAltPorts") in config.lines:
        taken = {config.https.https_port}
    https = config.https
    https = replace(https, https_alt_ports=tuple(port for port in https.https_alt_ports if port not in taken))
    return replace(config, http=http, https=https, snmp=snmp)


def _params(text: str) -> tuple[str, str, list[str]]:
    """Version and community out of the reference's `-v2c -cpublic`, and the words that are not read."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    version = community = ""
    rest = []
    queue = iter(words)
    for word in queue:
        if word[:2] == "-v":
            version = word[2:] or next(queue, "")
        elif word[:2] == "-c":
            community = word[2:] or next(queue, "")
        else:
            rest.append(word)
    return version, community, rest


def _across(config: Config) -> list[Finding]:
    """Findings that need more than one key."""
    https, snmp, ftp = config.https, config.snmp, config.ftp
    written = config.lines
    found: list[Finding] = []

    def say(section: str, key: str, text: str) -> None:
        found.append(config.finding(section, key, text))

    if https.refused and https.run_https:
        say("HTTPS", "SSLV2" if https.sslv2 else "SSLV3", https.refused)
    elif (
        https.run_https
        and https.tlsv1
        and not https.iptel
        and not https.legacy_tls
        and ("HTTPS", "TLSV1") in written
    ):
        say(
            "HTTPS",
            "TLSV1",
            "adds nothing by itself, only TLS 1.2 and 1.3 are offered; for old sets write LegacyTLS=1",
        )
    if (
        ftp.run_ftp
        and ftp.enable_su
        and not ftp.superuser
        and {("FTP", "EnableSU"), ("FTP", "SUPassword")} & set(written)
    ):
        why = "is the printed one" if ftp.su_password else "is empty"
        say(
            "FTP",
            "SUPassword",
            f"{why}, so the superuser is switched off; write a password of your own, or EnableSU=0",
        )
    for key, value in (("Command", snmp.command), ("Awk", snmp.awk)):
        if value.strip():
            say("SNMP", key, "is obsolete and never run: the server speaks SNMP itself; remove the line")
    found += _about_params(config)
    if config.backup_servers.custom_ftp and not config.backup_servers.custom_ftp_host:
        host = config.backup_servers.primary_ip
        say(
            "BACKUP_SERVERS",
            "CustomFTP",
            f"names no server, {host} (PrimaryIP) is meant; write CustomFTPHost=HOST",
        )
    for section, name, cert, key in (
        ("HTTPS", "HTTPSAlt", https.https_alt_cert_file, https.https_alt_key_file),
        ("FTPS", "FTPS", config.ftps.ftps_cert_file, config.ftps.ftps_key_file),
        ("BACKUP_SERVERS", "FileServer", config.backup_servers.file_server_cert_file,
         config.backup_servers.file_server_key_file),
    ):  # fmt: skip
        if key is not None and cert is None:
            text = f"is not used without its certificate; write {name}CertFile=FILE, or remove the line"
            say(section, f"{name}KeyFile", text)
    if https.use_proxy and not https.proxy_addr:
        say("HTTPS", "UseProxy", "is 1 but no proxy is named; write ProxyAddr=HOST, or UseProxy=0")
    # What the reference copies there, from where and how, nobody knows (reference section 6).
    for key, data in (("CDRBackup", "CDR"), ("BCMSBackup", "BCMS")):
        if getattr(config.backup_servers, f"{data.lower()}_backup"):
            say(
                "BACKUP_SERVERS",
                key,
                f"is 1 and {data} data is not copied, nobody knows how; copy it otherwise, write {key}=0",
            )
    return found + _same_ports(config)


def _about_params(config: Config) -> list[Finding]:
    version, community, rest = _params(config.snmp.params)
    found = []
    if rest:
        text = (
            f"only -v and -c are read, not {' '.join(rest)[:60]}; write SNMPPort, SNMPTimeout or SNMPRetries"
        )
        found.append(config.finding("SNMP", "Params", text))
    if version and version not in ("1", "2c"):
        text = f"version {version[:20]} is not spoken, {config.snmp.snmp_version} is used; write -v1 or -v2c"
        found.append(config.finding("SNMP", "Params", text))
    for key, said, counts in (
        ("SNMPVersion", version, config.snmp.snmp_version),
        ("Community", community, config.snmp.community),
    ):
        if said and said != counts and ("SNMP", key) in config.lines:
            text = f"says something else than {key}, which counts; remove one of the two"
            found.append(config.finding("SNMP", "Params", text))
    return found


def _same_ports(config: Config) -> list[Finding]:
    """Two of our own TCP listeners on one port: the second would fail at start."""
    owners: dict[int, str] = {}
    found = []
    for (section, name), (part, switch) in _LISTENING.items():
        own = getattr(config, part)
        if section == "TFTP" or not getattr(own, switch):
            continue
        attribute = next(attr for attr, key in keys_of(type(own)).items() if key.name == name)
        for port in _as_ports(getattr(own, attribute)) - {0}:
            if port in owners:
                text = f"port {port} is also {owners[port]}; the second of the two fails, write another port"
                found.append(config.finding(section, name, text))
            owners.setdefault(port, f"{name} of [{section}]")
    return found
