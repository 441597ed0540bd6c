"""What `mv-iptel init` does: a complete home, never overwriting what the administrator has."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from mv_iptel import certs, config, files, owning
from mv_iptel.home import Home, shipped, write_check_files

# The reference product's modes of operation, each a shipped example configuration (docs/modes.md).
MODES = ("1a", "1b", "2", "3", "4")

# Beneath the shipped data: where each directory goes. The scripts and settings are templates.
COPIES = {
    "TFTPdata": "MV_IPTel/data/TFTPdata",
    "FTPdata": "MV_IPTel/data/FTPdata",
    "HTTPdata": "MV_IPTel/data/HTTPdata",
    "HTTPSdata": "MV_IPTel/data/HTTPSdata",
    "docs": "MV_IPTel/docs",
    "MV_WatchDog": "MV_WatchDog/bin",
}
MOVED = "migrate.jsonl"  # in var: a site's own scripts moved in (`migrate`), so samples do not join them
TEMPLATES = {".txt", ".scr", ".ini", ".md", ".sh", ".bat", ""}
TOKEN = re.compile(rb"@([A-Z_]+)@")

# Keys that an offset moves: the ports of the standard servers, not 6090 to 6093.
PORTS = (
    ("TFTP", "TrivialFTPPort"),
    ("FTP", "FTPPort"),
    ("FTP", "FTPDataPort"),
    ("FTPS", "FTPPort"),
    ("FTPS", "FTPDataPort"),
    ("HTTP", "HTTPPort"),
    ("HTTP", "HTTPAltPorts"),
    ("HTTPS", "HTTPSPort"),
    ("HTTPS", "HTTPSAltPorts"),
)


@dataclass
class Made:
    """What `create` did: files made, files kept as they were, and what the administrator should know."""

    made: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def create(
    home: Home,
    name: str = "",
    addresses: Sequence[str] = (),
    ports_offset: int = 0,
    sample: bool = True,
    mode: str = "",
) -> Made:
    """Make `home` complete. Files that exist are kept, and told.

    `mode` is one of MODES; without it the configuration is that of 1b with all its keys.

    `addresses` are those that phones use, the first one goes into the sample settings; without any it is
    this host's. `sample=False` leaves the sample scripts and settings out. Raises OSError, CertError, and
    ConfigError if an ini that was kept has mistakes.
    """
    done = Made()
    names = certs.host_names([name] if name and certs.is_dns_name(name) else [], addresses)
    _directories(home)
    fresh = not home.ini.exists()
    _settings(home, done, name or socket.gethostname(), ports_offset, mode)
    loaded = config.load(home)
    config.load_manager(home)
    config.load_watchdog(home)
    if not fresh and ports_offset and not _is_shifted(home, loaded, ports_offset):
        done.notes.append(f"--ports-offset was not applied: {home.ini} was kept")
    if not fresh and mode:
        done.notes.append(f"--mode was not applied: {home.ini} was kept; docs/modes.md tells the keys")
    _certificates(home, loaded, done, name or socket.gethostname(), names)
    # The watchdog's alert script is no sample: without it nothing would be restarted.
    _samples(home, done, _tokens(loaded, names, addresses), COPIES if sample else ["MV_WatchDog"])
    # 0640: the manager, and who administers, are in the group.
    with _as_owner(home, home.token):
        _file(home.token, (secrets.token_urlsafe(32) + "\n").encode("ascii"), done, 0o640)
    with _as_owner(home, home.http_data):
        missed = write_check_files(loaded)
    for directory, error in missed:
        done.notes.append(f"{directory}: no check file for the watchdog ({error.strerror})")
    if not addresses and _first_address(names) == "127.0.0.1":
        done.notes.append("this host has no address but its own loop; name what phones use with --address")
    here = owning.accounts()
    if here is not None and os.geteuid() == 0:
        owning.hand_over(home, here)
    return done


def _as_owner(home: Home, path: Path) -> AbstractContextManager[None]:
    """As whom root writes there: what lies in var and data the services may have exchanged for links."""
    for top in (home.data, home.var):
        if top in path.parents and top.is_dir():
            return owning.as_owner(top)
    return nullcontext()


def _directories(home: Home) -> None:
    private = {home.ca: 0o700, home.var: 0o750}
    for directory in home.directories():
        if not directory.is_dir():
            with _as_owner(home, directory):
                directory.mkdir(parents=True)
                directory.chmod(private.get(directory, 0o755))


def _settings(home: Home, done: Made, name: str, ports_offset: int, mode: str) -> None:
    """The three ini files and the first passwords."""
    fresh = not home.ini.exists()
    # Phones take the community from a settings file, unquoted: hex digits need no care there.
    superuser, admin, community = secrets.token_urlsafe(12), secrets.token_urlsafe(12), secrets.token_hex(10)
    values = {
        ("Settings", "ServerName"): name,
        ("FTP", "SUPassword"): superuser,
        ("SNMP", "Community"): community,
    }
    example = shipped() / "examples" / f"MV_IPTel-{mode}.ini"
    if ports_offset:
        standard = config.load(home, example) if mode else config.defaults(home)
        values |= {place: _shifted(standard, *place, ports_offset) for place in PORTS}
    for path in _inis(home):
        source = example if mode and path == home.ini else shipped() / path.name
        text = source.read_text("utf-8")
        _file(path, (config.changed(text, values) if path == home.ini else text).encode("utf-8"), done, 0o640)
    if fresh:
        text = (
            "# Made up by `mv-iptel init`. Put them into a safe place, then empty this file.\n"
            f"manager admin {admin}\n"
            "# The FTP superuser is off: EnableSU=1 in MV_IPTel.ini lets him in.\n"
            f"ftp mvuser {superuser}\n"
        )
        _file(home.passwords, text.encode("utf-8"), done, 0o600)


def _inis(home: Home) -> tuple[Path, ...]:
    return home.ini, home.manager_ini, home.watchdog_ini


def _shifted(standard: config.Config, section: str, key: str, offset: int) -> str:
    """The ports of a key, moved by `offset`, as they stand in the file."""
    part, kind = config.SECTIONS[section]
    attribute = next(attr for attr, one in config.keys_of(kind).items() if one.name == key)
    value = getattr(getattr(standard, part), attribute)
    ports = value if isinstance(value, tuple) else (value,)
    return ",".join(str(port + offset) for port in ports)


def _is_shifted(home: Home, loaded: config.Config, offset: int) -> bool:
    """Whether an ini that was kept has the ports that were asked for."""
    standard = config.defaults(home)
    return all(_shifted(loaded, *place, 0) == _shifted(standard, *place, offset) for place in PORTS)


def _certificates(home: Home, loaded: config.Config, done: Made, name: str, names: certs.Names) -> None:
    cert_file, key_file = loaded.https.cert_file, loaded.https.key_file
    if home.ca_key.exists() or cert_file.exists():
        done.kept += [path for path in (home.ca_key, home.ca_cert) if path.exists()]
    else:
        certs.make_authority(home, name)
        done.made += [home.ca_key, home.ca_cert]
    if home.ca_cert.exists() and loaded.http.http_dir.is_dir():
        # TRUSTCERTS names this file: a phone fetches it by plain HTTP before it can trust any TLS.
        public = certs.public_pem(home)
        with _as_owner(home, loaded.http.http_dir):
            _file(loaded.http.http_dir / certs.PUBLIC_NAME, public, done)
    if cert_file.exists() or key_file.exists():
        done.kept += [path for path in (cert_file, key_file) if path.exists()]
        done.notes += [str(one) for one in certs.check(cert_file, key_file, _outside(names))]
    else:
        certs.make_server(home, names, cert_file, key_file)
        done.made += [cert_file, key_file]


def _outside(names: certs.Names) -> list[str]:
    return [one for one in names.addresses if not ipaddress.ip_address(one).is_loopback]


def _first_address(names: certs.Names) -> str:
    """The address that phones are told: the first one given, else this host's first IPv4, else any."""
    outside = _outside(names)
    four = [one for one in outside if ":" not in one]
    return (four or outside or ["127.0.0.1"])[0]


def _tokens(loaded: config.Config, names: certs.Names, addresses: Sequence[str]) -> dict[str, str]:
    server = addresses[0] if addresses else _first_address(names)
    return {
        "SERVER": f"[{server}]" if ":" in server else server,
        "NAME": loaded.settings.server_name,
        "TFTP_PORT": str(loaded.tftp.trivial_ftp_port),
        "HTTP_PORT": str(loaded.http.http_port),
        "HTTPS_PORT": str(loaded.https.https_port),
        "COMMUNITY": loaded.snmp.community,
    }


def _samples(home: Home, done: Made, tokens: dict[str, str], folders: Iterable[str]) -> None:
    source = shipped()
    for folder in folders:
        target = COPIES[folder]
        if target.startswith("MV_IPTel/data/") and (home.var / MOVED).exists():
            continue
        for path in sorted((source / folder).rglob("*")):
            if path.is_file() and path.name[0] != ".":
                data = path.read_bytes()
                if path.suffix.lower() in TEMPLATES:
                    data = TOKEN.sub(lambda match: _token(match, tokens), data)
                mode = 0o755 if path.suffix == ".sh" else 0o644
                there = home.root / target / path.relative_to(source / folder)
                with _as_owner(home, there):
                    _file(there, data, done, mode)


def _token(match: re.Match[bytes], tokens: dict[str, str]) -> bytes:
    value = tokens.get(match[1].decode("ascii"))
    return match[0] if value is None else value.encode("utf-8")


def _file(path: Path, data: bytes, done: Made, mode: int = 0o644) -> None:
    """Write a file, or keep the one that is there."""
    if path.exists():
        done.kept.append(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, data, mode)
    done.made.append(path)
