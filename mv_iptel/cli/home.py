"""The commands init, check and certs: an installation and what it stands on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from mv_iptel import certs as certificates
from mv_iptel import check as checking
from mv_iptel import config, files
from mv_iptel.cli.options import DONE, NEGATIVE, USAGE, common, console, end, print_json
from mv_iptel.config import ConfigError, Finding
from mv_iptel.home import Home

FILE = click.Path(dir_okay=False, path_type=Path)


def _plain(finding: Finding) -> dict[str, Any]:
    return finding._asdict()


def _load(home: Home, as_json: bool = False) -> config.Config:
    """The configuration, or the end with every mistake in it."""
    try:
        return config.load(home)
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "findings": [_plain(one) for one in error.findings]})
        end(USAGE, "" if as_json else str(error))


# --- init ---------------------------------------------------------------------------------------------


@click.command(name="init")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(file_okay=False))
@click.option("--name", default="", help="The server's name, also in its certificate. Default: the host's.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="An address that phones use for this server; may be repeated. Default: the host's own.",
)
@click.option(
    "--ports-offset",
    type=click.IntRange(0, 60000),
    default=0,
    metavar="N",
    help="Add N to the phones' ports (6000: TFTP on 6069, HTTP on 6081 ...), not to 6090 and 6093.",
)
@click.option(
    "--mode",
    type=click.Choice(("1a", "1b", "2", "3", "4")),
    help="Mode of operation: 1a HTTP and HTTPS; 1b TFTP and FTP too; 2 a branch; 3 a central server; 4 both.",
)
@common
def init(
    home: Home,
    as_json: bool,
    directory: str | None,
    name: str,
    addresses: tuple[str, ...],
    ports_offset: int,
    mode: str | None,
) -> None:
    """Make a complete home: configuration, directories, samples, authority, certificate, passwords.

    What is there already is kept, so it can be run again after an upgrade.

    \b
    Examples:
      mv-iptel init                                     the system's usual place
      mv-iptel init ./site --name files1 --address 192.0.2.10
      mv-iptel init ./try --ports-offset 6000           no root needed for the ports
      mv-iptel init ./branch --mode 2                   a branch of a central server
    """  # fmt: skip
    from mv_iptel.init import create

    if directory:
        home = Home.find(directory)
    try:
        done = create(home, name, addresses, ports_offset, mode=mode or "")
    except ConfigError as error:
        end(USAGE, f"{error}\nThe home was not completed: mend this first.")
    except certificates.CertError as error:
        end(USAGE, str(error))
    except OSError as error:
        end(USAGE, f"{error.filename or home.root}: {error.strerror or error}")
    if as_json:
        print_json({"home": home.root, "made": done.made, "kept": done.kept, "notes": done.notes})
        return
    console.print(
        f"[bold]{escape(str(home.root))}[/] is complete: {len(done.made)} files made, {len(done.kept)} kept"
    )
    for word, paths in (("made", done.made), ("kept", done.kept)):
        for path in paths:
            console.print(f"  {word}  {os.path.relpath(path, home.root)}", markup=False)
    for note in done.notes:
        console.print(f"  note  {note}", style="yellow", markup=False)
    if home.passwords in done.made:
        console.print(f"Passwords were made up; read and empty {home.passwords}", markup=False)
    option = "" if home == Home.find() else f" --home {home.root}"
    console.print(f"Next: mv-iptel check{option}, then mv-iptel serve{option}", markup=False)


# --- check --------------------------------------------------------------------------------------------


@click.command(name="check")
@common
def check(home: Home, as_json: bool) -> None:
    """Look for everything that would keep phones from booting, before they notice.

    Configuration, directories, ports, certificates, access lists, scripts and settings. Exit code 0: nothing
    found, 1: findings, 2: the configuration does not load.

    \b
    Examples:
      mv-iptel check
      mv-iptel check --home /srv/phones --json
    """
    report = checking.check(home)
    if as_json:
        print_json(
            {
                "ok": not report.findings,
                "findings": [_plain(one) for one in report.findings],
                "facts": [fact._asdict() for fact in report.facts],
            }
        )
    else:
        _show(report)
    end(USAGE if not report.usable else NEGATIVE if report.findings else DONE)


def _show(report: checking.Report) -> None:
    width = max((len(fact.topic) for fact in report.facts), default=0)
    for fact in report.facts:
        style = "yellow" if fact.topic == "legacy" else ""
        console.print(f"{fact.topic:<{width}}  {fact.text}", style=style, markup=False)
    if report.facts and report.findings:
        console.print()
    _show_findings(report.findings)
    count = len(report.findings)
    if not count:
        console.print("nothing to mend", style="green")
    else:
        console.print(f"{count} thing{'s' * (count != 1)} to mend", style="bold")


def _show_findings(findings: list[Finding]) -> None:
    for finding in findings:
        style = "red" if finding.level == "error" else "yellow"
        console.print(f"[{style}]{finding.level:<7}[/]  {escape(str(finding))}")


# --- certs --------------------------------------------------------------------------------------------


@click.group(name="certs")
def certs() -> None:
    """The site's authority and the server's certificate.

    \b
    Examples:
      mv-iptel certs check
      mv-iptel certs server --address 192.0.2.10
      mv-iptel certs renew
      mv-iptel certs import server.p12 --password-file secret.txt
    """


@certs.command(name="ca")
@click.option("--name", default="", help="The site's name in the authority's. Default: the server's name.")
@click.option(
    "--force", is_flag=True, help="Replace the authority that is there. Phones must learn the new one."
)
@common
def certs_ca(home: Home, as_json: bool, name: str, force: bool) -> None:
    """Make the site's authority, and a server certificate from it.

    \b
    Examples:
      mv-iptel certs ca
      mv-iptel certs ca --force --name "Site North"
    """
    loaded = _load(home, as_json)
    if home.ca_key.exists() and not force:
        end(
            NEGATIVE,
            f"{home.ca_key} is there; --force replaces it, and every phone must then learn the new authority",
        )
    try:
        certificates.make_authority(home, name or loaded.settings.server_name)
        if loaded.http.http_dir.is_dir():
            public = loaded.http.http_dir / certificates.PUBLIC_NAME
            files.replace(public, home.ca_cert.read_bytes())
        names = certificates.host_names()
        certificates.make_server(home, names, loaded.https.cert_file, loaded.https.key_file)
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(loaded, as_json, f"a new authority in {home.ca_cert}, and a server certificate from it")


@certs.command(name="server")
@click.option("--name", "names", multiple=True, help="A further DNS name; may be repeated.")
@click.option("--address", "addresses", multiple=True, help="A further address; may be repeated.")
@click.option("--forget", is_flag=True, help="Leave out what only the present certificate names.")
@common
def certs_server(
    home: Home, as_json: bool, names: tuple[str, ...], addresses: tuple[str, ...], forget: bool
) -> None:
    """Make a new server certificate with a new key, for this host's names and addresses.

    What the present certificate names stays named: a shared address is not on this host at all times.

    \b
    Examples:
      mv-iptel certs server
      mv-iptel certs server --name files.example.net --address 192.0.2.10
    """
    loaded = _load(home, as_json)
    wrong = [name for name in names if not certificates.is_dns_name(name)]
    if wrong:
        end(USAGE, f"{wrong[0]!r} is not a DNS name")
    try:
        old = certificates.Names((), ())
        if not forget and loaded.https.cert_file.exists():
            old = certificates.names_of(certificates.load_chain(loaded.https.cert_file)[0])
        every = certificates.host_names(
            [*names, loaded.settings.server_name, *old.dns], [*addresses, *old.addresses]
        )
        certificates.make_server(home, every, loaded.https.cert_file, loaded.https.key_file)
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(loaded, as_json, "a new server certificate")


@certs.command(name="renew")
@click.option("--force", is_flag=True, help="Renew even if more than 30 days are left.")
@common
def certs_renew(home: Home, as_json: bool, force: bool) -> None:
    """Renew the server certificate when fewer than 30 days are left; same names, same key.

    Meant to run daily. The server takes the new one up with the next connection.

    \b
    Examples:
      mv-iptel certs renew
      mv-iptel certs renew --force
    """
    loaded = _load(home, as_json)
    try:
        new = certificates.renew(home, loaded.https.cert_file, loaded.https.key_file, force=force)
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(loaded, as_json, "renewed" if new else "not due yet", renewed=new is not None)


@certs.command(name="import")
@click.argument("source", metavar="FILE", type=FILE)
@click.option("--key", "key", type=FILE, help="The private key, where FILE holds only certificates.")
@click.option("--password-file", type=FILE, help="A file whose first line is the password.")
@common
def certs_import(
    home: Home, as_json: bool, source: Path, key: Path | None, password_file: Path | None
) -> None:
    """Put another authority's certificate and key in place: PEM files, or one PKCS#12.

    Nothing is replaced unless certificate and key belong together.

    \b
    Examples:
      mv-iptel certs import chain.pem --key key.pem
      mv-iptel certs import server.p12 --password-file secret.txt
    """
    loaded = _load(home, as_json)
    try:
        certificates.import_files(
            loaded.https.cert_file, loaded.https.key_file, source, key, _password(password_file)
        )
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(loaded, as_json, "imported")


@certs.command(name="export")
@click.argument("target", metavar="FILE", type=FILE)
@click.option("--form", type=click.Choice(["pem", "p12"]), default="pem", show_default=True)
@click.option("--password-file", type=FILE, help="A file whose first line is the password; p12 needs one.")
@common
def certs_export(home: Home, as_json: bool, target: Path, form: str, password_file: Path | None) -> None:
    """Write certificate, authority and private key to FILE (readable for you only).

    \b
    Examples:
      mv-iptel certs export backup.pem
      mv-iptel certs export server.p12 --form p12 --password-file secret.txt
    """
    loaded = _load(home, as_json)
    try:
        data = certificates.export(
            home, loaded.https.cert_file, loaded.https.key_file, form, _password(password_file)
        )
        files.replace(target, data, 0o600)
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(loaded, as_json, f"written to {target}")


@certs.command(name="check")
@common
def certs_check(home: Home, as_json: bool) -> None:
    """Key, dates, names and strength of the server's certificate.

    \b
    Examples:
      mv-iptel certs check
      mv-iptel certs check --json
    """
    loaded = _load(home, as_json)
    https = loaded.https
    found = certificates.check(https.cert_file, https.key_file, loaded.settings.bind_address)
    shown: dict[str, Any] = {}
    try:
        shown = certificates.describe(https.cert_file)
    except certificates.CertError:
        pass  # the check has told it
    if as_json:
        print_json(
            {"ok": not found, "certificate": shown or None, "findings": [_plain(one) for one in found]}
        )
    else:
        _show_certificate(shown)
        _show_findings(found)
        if not found:
            console.print("nothing to mend", style="green")
    end(NEGATIVE if found else DONE)


def _told(loaded: config.Config, as_json: bool, what: str, **more: object) -> None:
    """Say what was done and what the server's certificate now is."""
    try:
        shown = certificates.describe(loaded.https.cert_file)
    except certificates.CertError as error:
        end(NEGATIVE, str(error))
    if as_json:
        print_json({"done": what, "certificate": shown, **more})
    else:
        console.print(what, markup=False)
        _show_certificate(shown)


def _show_certificate(shown: dict[str, Any]) -> None:
    if shown:
        rows = {**shown, "names": ", ".join(shown["names"])}
        for key, value in rows.items():
            console.print(f"  {key.replace('_', ' '):<9}  {value}", markup=False)


def _password(path: Path | None) -> bytes | None:
    if path is None:
        return None
    lines = path.read_bytes().splitlines()
    return lines[0] if lines else b""


commands: list[click.Command] = [init, check, certs]
