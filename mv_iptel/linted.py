"""Lint of what the server serves: which directories belong together, and what only the server knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mv_iptel import certs
from mv_iptel.config import Config
from mv_iptel.phones.lint import Finding, Folder, Site, lint

# A directory with these below it is a server's data.
DATA = ("TFTPdata", "HTTPdata", "HTTPSdata")


class Place(NamedTuple):
    """A directory that phones fetch from."""

    path: Path
    elsewhere: tuple[Path, ...] = ()  # where phones get files that are not here
    nearby: tuple[Path, ...] = ()  # where an administrator may have put them by mistake
    site: Site | None = None

    def folder(self) -> Folder:
        """What lies in it now."""
        return Folder.read(self.path, (), self.elsewhere, self.nearby)

    def lint(self) -> list[Finding]:
        """Every finding about its scripts and settings."""
        return lint(self.folder(), site=self.site)


def places(config: Config) -> list[Place]:
    """The directories that a running server gives scripts from, each once."""
    tftp, http, https = config.tftp, config.http, config.https
    served = (
        (tftp.run_trivial_ftp, tftp.tftp_dir, "TFTP", ()),
        (http.run_http, http.http_dir, "HTTP", ()),
        # HTTPS falls back to HTTPdata, and phones fetch firmware over HTTP after a script over HTTPS.
        (https.run_https, https.https_dir, "HTTPS", (http.http_dir,)),
    )
    every = [path for runs, path, _, _ in served if runs]
    known = _site(config)
    found: dict[str, Place] = {}
    for runs, path, proto, elsewhere in served:
        if runs and path.is_dir():
            lists = any((path / name).exists() for name in (f"{proto}_allow_IP.txt", "allow_IP.txt"))
            nearby = tuple(other for other in every if other != path and other not in elsewhere)
            place = Place(path, elsewhere, nearby, replace(known, lists=lists))
            found.setdefault(os.path.realpath(path), place)
    return list(found.values())


def places_in(directory: Path) -> list[Place]:
    """The directories of a server's data, or the directory itself if it is no such thing."""
    for data in (directory / "MV_IPTel" / "data", directory / "data", directory):
        inner = {name: data / name for name in DATA if (data / name).is_dir()}
        if len(inner) > 1 or "HTTPdata" in inner:
            return [
                Place(
                    path,
                    (data / "HTTPdata",) if name == "HTTPSdata" else (),
                    tuple(other for other in inner.values() if other != path),
                )
                for name, path in inner.items()
            ]
    return [Place(directory)]


def served(config: Config) -> Iterator[tuple[Path, Finding]]:
    """Every finding in what the server serves, with the path of its file."""
    for place in places(config):
        for one in place.lint():
            yield place.path / one.file, one


def _site(config: Config) -> Site:
    """The certificate says what phones call this server; without one an address proves nothing."""
    own = certs.host_names()
    try:
        names = {*certs.describe(config.https.cert_file)["names"], *own.dns, *own.addresses}
    except (certs.CertError, OSError):
        names = set()
    addresses = frozenset(one for one in names if ":" in one or one.replace(".", "").isdigit())
    snmp = config.snmp.use_snmp and config.http.backup_auth == "snmp" and not config.http.backup_per_net
    return Site(
        addresses,
        frozenset(names) - addresses,
        _ports(config.http.run_http, config.http.http_port, config.http.http_alt_ports),
        _ports(config.https.run_https, config.https.https_port, config.https.https_alt_ports),
        snmp,
        config.snmp.use_snmp,
    )


def _ports(runs: bool, port: int, more: tuple[int, ...]) -> frozenset[int] | None:
    """The ports that a server listens on; None if one of them is any free one."""
    every = (port, *more)
    return None if 0 in every else frozenset(every) if runs else frozenset()
