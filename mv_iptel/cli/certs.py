"""The command certs: the site's authority, the certificate of each listener, those for other machines."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mv_iptel import certs as certificates
from mv_iptel import config, files
from mv_iptel.certs import accepting, carrying, making, places, renewing
from mv_iptel.certs.places import LISTENERS
from mv_iptel.certs.reading import key_pem, load_key, owned_as
from mv_iptel.certs.shape import DIGESTS, KINDS, Shape, shape
from mv_iptel.cli.home import plain, show_findings
from mv_iptel.cli.options import DONE, NEGATIVE, USAGE, common, console, end, print_json
from mv_iptel.config import Config, ConfigError, Finding, ManagerConfig, Pair
from mv_iptel.home import Home
from mv_iptel.userdata.disk import locked

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

_of = click.option(
    "--of", "of", type=click.Choice(LISTENERS), default="https", show_default=True,
    help="Whose certificate. One that has none of its own shows that of https.",
)  # fmt: skip
_secret = click.option("--password-file", type=FILE, help="A file whose first line is the password.")


def _wishes(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what a certificate is like."""
    for option in reversed((
        click.option("--kind", type=click.Choice(KINDS), help=f"The key. Default: {KINDS[0]}."),
        click.option("--hash", "digest", type=click.Choice(DIGESTS), help=f"Default: {DIGESTS[0]}."),
        click.option("--days", type=int, default=0, help="Valid so long. Default: 730, an authority 7300."),
        click.option("--subject", default="", metavar="NAME", help='As in "CN=files1,O=Example".'),
        click.option("--crl", default="", metavar="URL", help="Where a list of revocations can be fetched."),
    )):  # fmt: skip
        command = option(command)
    return command


def _load(home: Home, as_json: bool) -> tuple[Config, ManagerConfig]:
    """Both configurations, or the end with every mistake in them."""
    try:
        return config.load(home), config.load_manager(home)
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "findings": [plain(one) for one in error.findings]})
        end(USAGE, "" if as_json else str(error))


@click.group(name="certs")
def certs() -> None:
    """The site's authority and the certificates of the server, its listeners and other machines.

    \b
    Examples:
      mv-iptel certs check
      mv-iptel certs server --address 192.0.2.10
      mv-iptel certs renew
      mv-iptel certs import server.p12 --password-file secret.txt
    """


@certs.command(name="ca")
@click.option("--name", default="", help="The site's name in the authority's. Default: the server's name.")
@click.option("--force", is_flag=True, help="Replace the one that is there. Phones must learn the new one.")
@click.option("--renew", is_flag=True, help="Only new dates: same name and key. What it signed stays valid.")
@click.option("--request", type=FILE, help="Write a request for the company's authority instead.")
@click.option("--import", "source", type=FILE, help="Put in place what that authority made of it.")
@click.option("--import-key", "source_key", type=FILE, help="Its key, where it does not wait here.")
@_secret
@_wishes
@common
def certs_ca(
    home: Home, as_json: bool, name: str, force: bool, renew: bool, request: Path | None, source: Path | None,
    source_key: Path | None, password_file: Path | None, kind: str, digest: str, days: int, subject: str,
    crl: str,
) -> None:  # fmt: skip
    """Make the site's authority, and a server certificate from it.

    An authority below the company's: --request FILE, have it signed there, --import FILE. Phones then trust
    the company's root, and get what is between with every handshake.

    \b
    Examples:
      mv-iptel certs ca
      mv-iptel certs ca --force --name "Site North" --kind rsa4096 --days 3650
      mv-iptel certs ca --renew
      mv-iptel certs ca --request authority.csr --name "Site North"
      mv-iptel certs ca --import authority.pem
    """
    loaded, manager = _load(home, as_json)
    if sum((force, renew, request is not None, source is not None)) > 1:
        end(USAGE, "--force, --renew, --request and --import are different things; give one")
    name = name or loaded.settings.server_name
    waiting = home.ca / "request-key.pem"
    try:
        wish = shape(kind, digest, days, subject, crl)
        if request is not None:
            key = wish.key()
            home.ca.mkdir(parents=True, exist_ok=True)
            files.replace(waiting, key_pem(key), making.AUTHORITY_KEY_MODE)
            files.replace(request, making.request(certificates.Names((), ()), wish, key, name))
            return _say(as_json, f"a request in {request}; its key waits in {waiting}")
        if home.ca_key.exists() and not (force or renew or source):
            end(
                NEGATIVE,
                f"{home.ca_key} is there; --renew gives it new dates, --force replaces it, and every phone "
                "must then learn the new authority",
            )
        before = certificates.load_chain(home.ca_cert) if home.ca_cert.exists() else []
        with locked(home.lock):
            if renew:
                making.renew_authority(home, days=days)
                what = f"new dates for the authority in {home.ca_cert}; what it signed stays valid"
            elif source is not None:
                carrying.import_authority(home, source, source_key, _password(password_file), waiting)
                waiting.unlink(missing_ok=True)
                what = f"another authority in {home.ca_cert}, and a server certificate from it"
            else:
                making.make_authority(home, name, shape=wish)
                what = f"a new authority in {home.ca_cert}, and a server certificate from it"
            if loaded.http.http_dir.is_dir():
                files.replace(loaded.http.http_dir / certificates.PUBLIC_NAME, certificates.public_pem(home))
            if not renew:
                renewing.reissue(loaded, manager, before)
                certificates.make_server(home, certificates.host_names(), *loaded.pair("https"))
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(loaded.pair("https"), as_json, what)


@certs.command(name="server")
@click.option("--name", "names", multiple=True, help="A further DNS name; may be repeated.")
@click.option("--address", "addresses", multiple=True, help="A further address; may be repeated.")
@click.option("--uri", "uris", multiple=True, help="A further URI; may be repeated.")
@click.option("--forget", is_flag=True, help="Leave out what only the present certificate names.")
@_of
@_wishes
@click.option("--for", "machine", metavar="NAME", help="For another machine of this name or address.")
@click.option("--out", type=FOLDER, help="Where certificate, key and authority for it are put.")
@click.option("--form", type=click.Choice(["pem", "p12", "p12-old"]), default="pem", show_default=True,
              help="With --for: as files, or as one PKCS#12.")  # fmt: skip
@_secret
@click.option("--request", type=FILE, help="Write a request for another authority instead.")
@common
def certs_server(
    home: Home, as_json: bool, names: tuple[str, ...], addresses: tuple[str, ...], uris: tuple[str, ...],
    forget: bool, of: str, kind: str, digest: str, days: int, subject: str, crl: str, machine: str | None,
    out: Path | None, form: str, password_file: Path | None, request: Path | None,
) -> None:  # fmt: skip
    """Make a new server certificate with a new key, for this host's names and addresses.

    What the present certificate names stays named: a shared address is not on this host at all times.
    With --of another listener gets one of its own: old sets on HTTPSPort, say, and browsers on port 443.

    \b
    Examples:
      mv-iptel certs server
      mv-iptel certs server --name files.example.net --address 192.0.2.10
      mv-iptel certs server --of https-alt --kind p256
      mv-iptel certs server --for pbx.example.net --address 192.0.2.20 --out ./pbx
      mv-iptel certs server --request server.csr        then: certs import signed.pem
    """
    loaded, manager = _load(home, as_json)
    wrong = [name for name in names if not certificates.is_dns_name(name)]
    if wrong:
        end(USAGE, f"{wrong[0]!r} is not a DNS name")
    if (machine is None) != (out is None):
        end(USAGE, "--for NAME and --out DIR belong together")
    try:
        wish = shape(kind, digest, days, subject, crl)
        if machine is not None and out is not None:
            every = certificates.given_names([machine, *names], addresses, uris)
            return _for_another(home, as_json, every, wish, machine, out, form, _password(password_file))
        pair = places.pair_of(loaded, manager, of)
        old = certificates.Names((), ())
        if not forget and pair.cert_file.exists():
            old = certificates.names_of(certificates.load_chain(pair.cert_file)[0])
        every = certificates.host_names(
            [*names, loaded.settings.server_name, *old.dns],
            [*addresses, *old.addresses],
            [*uris, *old.uris],
        )
        if request is not None:
            waiting, key = places.waiting_key(home, of), wish.key()
            files.replace(waiting, key_pem(key), certificates.KEY_MODE)
            files.replace(request, making.request(every, wish, key))
            option = "" if of == "https" else f" --of {of}"
            return _say(as_json, f"a request in {request}; next: mv-iptel certs import{option} SIGNED_FILE")
        with locked(home.lock):
            target, more = _own(loaded, manager, of)
            certificates.make_server(home, every, *target, shape=wish)
            _given(loaded, of, target)
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(target, as_json, f"a new server certificate{more}")


def _for_another(
    home: Home, as_json: bool, names: certificates.Names, wish: Shape, machine: str, out: Path, form: str,
    password: bytes | None,
) -> None:  # fmt: skip
    """Nothing of it stays here: the key is the other machine's."""
    signer = making.authority(home)
    key = wish.key()
    chain = making.issue(home, names, key.public_key(), wish, signer=signer)
    stem = "".join(one if one.isalnum() or one in ".-_" else "_" for one in machine).strip(".") or "server"
    whole = carrying.whole(home, chain)
    out.mkdir(parents=True, exist_ok=True)
    if form == "pem":
        written = {f"{stem}-cert.pem": carrying.packed(chain, key, "chain"), f"{stem}-key.pem": key_pem(key),
                   "ca.pem": certificates.public_pem(home)}  # fmt: skip
    else:
        written = {f"{stem}.p12": carrying.packed(whole, key, form, password)}
    for name, data in written.items():
        files.replace(out / name, data, 0o600 if "key" in name or name.endswith(".p12") else 0o644)
    text = f"a certificate for {machine}, until {chain[0].not_valid_after_utc:%Y-%m-%d}"
    if as_json:
        print_json({"done": text, "files": [str(out / name) for name in written], "names": names.every})
        return
    console.print(f"{text}: {', '.join(names.every)}", markup=False)
    for name in written:
        console.print(f"  {out / name}", markup=False)
    console.print("It is not renewed from here: make the next one in time.", markup=False)


@certs.command(name="renew")
@click.option("--force", is_flag=True, help="Renew even if more than 30 days are left.")
@common
def certs_renew(home: Home, as_json: bool, force: bool) -> None:
    """Renew every certificate of this home when fewer than 30 days are left; same names, same key.

    Meant to run daily. Server and manager take the new ones up with the next connection. Exit code 1: one
    that is due cannot be renewed here, because another authority made it.

    \b
    Examples:
      mv-iptel certs renew
      mv-iptel certs renew --force
    """
    loaded, manager = _load(home, as_json)
    try:
        done = renewing.renew_all(loaded, manager, force=force)
    except OSError as error:
        end(USAGE, f"{error.filename or home.lock}: {error.strerror or error}")
    failed = [one for one in done if one.result == "failed"]
    if as_json:
        rows = [{**one._asdict(), "ends": one.ends.isoformat() if one.ends else None} for one in done]
        print_json({"ok": not failed, "renewed": any(one.result == "renewed" for one in done),
                    "certificates": rows})  # fmt: skip
    else:
        for one in done:
            what = f"not due yet, {one.text}" if one.result == "not due" else f"{one.result}: {one.text}"
            style = "red" if one.result == "failed" else ""
            console.print(f"{', '.join(one.listeners)}: {what}", style=style, markup=False)
    end(NEGATIVE if failed else DONE)


@certs.command(name="import")
@click.argument("source", metavar="FILE", type=FILE)
@click.option("--key", "key", type=FILE, help="The private key, where FILE holds only certificates.")
@_secret
@_of
@common
def certs_import(
    home: Home, as_json: bool, source: Path, key: Path | None, password_file: Path | None, of: str
) -> None:
    """Put another authority's certificate and key in place: PEM, DER, PKCS#7, or one PKCS#12.

    Intermediates in FILE are put in order and sent with it. Without --key the key is in FILE, or waits here
    since `certs server --request`. Nothing is replaced unless certificate and key belong together.

    \b
    Examples:
      mv-iptel certs import chain.pem --key key.pem
      mv-iptel certs import server.p12 --password-file secret.txt
      mv-iptel certs import signed.p7b
      mv-iptel certs import public.pem --key public-key.pem --of https-alt
    """
    loaded, manager = _load(home, as_json)
    waiting = places.waiting_key(home, of)
    keys = [waiting, places.pair_of(loaded, manager, of).key_file]
    try:
        with locked(home.lock):
            brought = carrying.bring(source, key, _password(password_file), keys)
            target, more = _own(loaded, manager, of)
            carrying.put(target, brought)
            _given(loaded, of, target)
        if waiting.exists() and load_key(waiting).public_key() == brought.key.public_key():
            waiting.unlink()
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(target, as_json, f"imported{more}")


@certs.command(name="export")
@click.argument("target", metavar="FILE", type=FILE)
@click.option("--form", type=click.Choice(carrying.FORMS), default="pem", show_default=True,
              help="chain has no key; p12-old is what old systems open.")  # fmt: skip
@_secret
@_of
@common
def certs_export(
    home: Home, as_json: bool, target: Path, form: str, password_file: Path | None, of: str
) -> None:
    """Write certificate, authority and private key to FILE (readable for you only).

    \b
    Examples:
      mv-iptel certs export backup.pem
      mv-iptel certs export server.p12 --form p12 --password-file secret.txt
      mv-iptel certs export chain.pem --form chain --of manager
    """
    loaded, manager = _load(home, as_json)
    pair = places.pair_of(loaded, manager, of)
    try:
        data = certificates.export(home, *pair, form, _password(password_file))
        files.replace(target, data, 0o600)
    except (certificates.CertError, OSError) as error:
        end(USAGE, str(error))
    _told(pair, as_json, f"written to {target}")


@certs.command(name="check")
@common
def certs_check(home: Home, as_json: bool) -> None:
    """Every certificate: key, dates, names, chain; and which phones accept it, and why others do not.

    \b
    Examples:
      mv-iptel certs check
      mv-iptel certs check --json
    """
    loaded, manager = _load(home, as_json)
    found: list[Finding] = []
    rows: list[dict[str, Any]] = []
    bound = [one for one in loaded.settings.bind_address if not ipaddress.ip_address(one).is_loopback]
    for held in places.every(loaded, manager):
        if not (held.used or held.pair.cert_file.exists()):
            continue
        phones = bool({"https", "https-alt"} & set(held.listeners))
        own = bound if held.listeners != ("manager",) else ()
        found += certificates.check(*held.pair, own, phones=phones)
        try:
            rows.append({"listeners": list(held.listeners), **certificates.details(held.pair.cert_file)})
        except certificates.CertError:
            pass  # the check has told it
    found += certificates.check_authority(home)
    try:
        seen = accepting.ports(loaded, accepting.hosts(loaded), datetime.now(UTC))
    except certificates.CertError:
        seen = []
    if as_json:
        table = {one.listener: [verdict._asdict() for verdict in one.verdicts] for one in seen}
        print_json({"ok": not found, "certificate": rows[0] if rows else None, "certificates": rows,
                    "phones": table, "findings": [plain(one) for one in found]})  # fmt: skip
    else:
        for row in rows:
            _show(row)
        _show_phones(seen)
        show_findings(found)
        if not found:
            console.print("nothing to mend", style="green")
    end(NEGATIVE if found else DONE)


# --- a listener's own certificate -----------------------------------------------------------------------


def _own(loaded: Config, manager: ManagerConfig, of: str) -> tuple[Pair, str]:
    """The files of this listener alone, and what else to say; `_given` names them in the ini."""
    pair = places.pair_of(loaded, manager, of)
    if of == "https" or pair != loaded.pair("https"):
        return pair, ""
    after = "restart the manager" if of == "manager" else "run `mv-iptel reload`"
    return places.own_files(loaded.home, of), f" of {places.TITLES[of]} alone; {after}"


def _given(loaded: Config, of: str, target: Pair) -> None:
    """Let the ini name the files that were made; the ini last, so that it never names what is not there."""
    home = loaded.home
    if target != places.own_files(home, of) or of == "https":
        return
    owned_as(target.key_file, loaded.https.key_file)
    ini = home.manager_ini if of == "manager" else loaded.file or home.ini
    section, cert_key, key_key = places.KEYS[of]
    values = {(section, cert_key): target.cert_file, (section, key_key): target.key_file}
    text = ini.read_text("utf-8", "surrogateescape") if ini.exists() else ""
    new = config.changed(text, {key: path.relative_to(home.root).as_posix() for key, path in values.items()})
    if new != text:
        mode = ini.stat().st_mode & 0o777 if ini.exists() else 0o640
        files.replace(ini, new.encode("utf-8", "surrogateescape"), mode)


# --- telling ---------------------------------------------------------------------------------------------


def _say(as_json: bool, what: str) -> None:
    if as_json:
        print_json({"done": what})
    else:
        console.print(what, markup=False)


def _told(pair: Pair, as_json: bool, what: str) -> None:
    """Say what was done and what the certificate now is."""
    try:
        shown = certificates.details(pair.cert_file)
    except certificates.CertError as error:
        end(NEGATIVE, str(error))
    if as_json:
        print_json({"done": what, "certificate": shown})
    else:
        console.print(what, markup=False)
        _show(shown)


def _show(row: dict[str, Any]) -> None:
    for key, value in row.items():
        text = ", ".join(value) if isinstance(value, list) else value
        if text:
            console.print(f"  {key.replace('_', ' '):<10} {text}", markup=False)
    console.print()


def _show_phones(phones: list[accepting.Port]) -> None:
    for port in phones:
        console.print(port.listener, style="bold", markup=False)
        width = max(len(one.family) for one in port.verdicts)
        for one in port.verdicts:
            style = {"yes": "green", "perhaps": "yellow", "no": "red"}[one.accepts]
            console.print(f"  {one.family:<{width}}  [{style}]{one.accepts:<7}[/]  ", end="")
            console.print("; ".join(one.reasons), markup=False)
        console.print()


def _password(path: Path | None) -> bytes | None:
    if path is None:
        return None
    lines = path.read_bytes().splitlines()
    return lines[0] if lines else b""


commands: list[click.Command] = [certs]
