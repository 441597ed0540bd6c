"""The command `settings new`: a clean settings file from options or from answers."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from mv_iptel import certs
from mv_iptel.cli.options import USAGE, common, end
from mv_iptel.cli.settings_writing import config_of, names_in, put
from mv_iptel.config import Config
from mv_iptel.home import Home
from mv_iptel.phones.authoring.clocks import clock_of
from mv_iptel.phones.authoring.settings import VPN_SETTINGS, settings_file
from mv_iptel.phones.authoring.vpn import (
    UPGRADE,
    VPN_SCRIPT,
    vpn_families,
    vpn_items,
    vpn_script,
    vpn_settings,
    with_branch,
)
from mv_iptel.phones.authoring.wishes import CHOICES, Wishes, items, problems
from mv_iptel.phones.lint.folder import content
from mv_iptel.phones.parameters import presets

SETTINGS = "46xxsettings.txt"
PORT = click.IntRange(1, 65535)
_ASKED = re.compile(r"[A-Za-z0-9._+~@,=-]+")  # what GET can name
_HEAD = b"## 46xxupgrade.scr: what program the 4600 phones run. Every 4600 reads this file first.\n\n"


def _answers(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options; each is an answer."""
    text = {"default": "", "metavar": "TEXT"}
    for option in reversed((
        click.option("--family", "families", multiple=True, type=click.Choice(CHOICES, case_sensitive=False),
                     metavar="FAMILY", help=f"Phones that read it: {', '.join(CHOICES)}. Default: all."),
        click.option("--call-server", "call_servers", **{**text, "metavar": "LIST"},
                     help="Call servers of the H.323 phones (MCIPADD)."),
        click.option("--call-port", **{**text, "metavar": "PORT"}, help="Their port, if not 1719 (MCPORT)."),
        click.option("--sip-server", "sip_servers", **{**text, "metavar": "LIST"},
                     help="Of the SIP phones: 192.0.2.20:5061;transport=tls (SIP_CONTROLLER_LIST)."),
        click.option("--sip-domain", **text, help="SIPDOMAIN."),
        click.option("--vlan", **{**text, "metavar": "N"}, help="The telephones' VLAN (L2QVLAN)."),
        click.option("--server", default=None, metavar="HOST",
                     help="This file server as phones know it. Default: from the home's certificate."),
        click.option("--http-port", "http_ports", multiple=True, type=PORT, metavar="PORT",
                     help="Its HTTP ports, the phones' own first. Default: the ini's, else 81 and 80."),
        click.option("--tls-port", "https_ports", multiple=True, type=PORT, metavar="PORT",
                     help="Its HTTPS ports. Default: the ini's, else 411 and 443."),
        click.option("--community", default=None, metavar="WORD",
                     help="SNMP, for backups (SNMPSTRING). Default: the ini's Community."),
        click.option("--no-backups", is_flag=True, help="No user data is kept here."),
        click.option("--no-tls", is_flag=True, help="No HTTPS, neither for files nor for user data."),
        click.option("--trust", multiple=True, metavar="FILE",
                     help=f"TRUSTCERTS. Default: {certs.PUBLIC_NAME}, where it is there."),
        click.option("--language", "languages", multiple=True, metavar="NAME",
                     help="A language whose file is in the directory; phones start with the first one."),
        click.option("--time-server", "time_servers", **{**text, "metavar": "LIST"}, help="SNTPSRVR (SIP)."),
        click.option("--zone", **{**text, "metavar": "ZONE"},
                     help="Europe/Vienna, with its summer time; or an offset such as 1:00 (SIP)."),
        click.option("--clock", type=click.Choice(["12", "24"]), default=None, help="Hours of a day (SIP)."),
        click.option("--log-server", **{**text, "metavar": "HOST"}, help="Syslog server (LOGSRVR)."),
        click.option("--group", "groups", multiple=True, type=click.IntRange(0, 999), metavar="N",
                     help="A place for settings of this group of phones."),
        click.option("--set", "extra", multiple=True, metavar="NAME=VALUE",
                     help="Any other setting; a VALUE of @FILE is read from there."),
        click.option("--vpn", type=click.Choice(list(presets())), default=None, metavar="PRESET",
                     help=f"Also what VPN phones (group 876) need: {', '.join(presets())}."),
        click.option("--vpn-gateway", "gateways", **{**text, "metavar": "LIST"}, help="NVSGIP."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command(name="new")
@click.argument("file", metavar="[FILE]", required=False, default="")
@_answers
@click.option("--ask", is_flag=True, help="Ask for the answers that no option gives.")
@click.option("--replace", "over", is_flag=True, help="Replace what is there; `settings undo` undoes it.")
@click.option("--dry", is_flag=True, help="Only show what would be written. So does a FILE of -.")
@common
def new_settings(
    home: Home, as_json: bool, file: str, ask: bool, over: bool, dry: bool, **given: Any
) -> None:
    """Write a clean, commented settings file for phones.

    FILE is HTTPdata/46xxsettings.txt of the home if it is not given, or ./46xxsettings.txt where there is no
    home. Ports and community are those of the home's ini. With --vpn also 46vpnsetting.txt, and for the 4600
    46xxvpn.scr and the branch of GROUP 876 in 46xxupgrade.scr. Keys and passwords are not asked for:
    whoever can fetch a settings file can read it.

    \b
    Examples:
      mv-iptel settings new --ask
      mv-iptel settings new --call-server 192.0.2.10,192.0.2.11 --vlan 20 --language german --replace
      mv-iptel settings new - --family J100-sip --sip-server "192.0.2.20:5061;transport=tls" --zone 1:00
      mv-iptel settings new --vpn generic-psk --vpn-gateway 198.51.100.1 --set NVIKEID=PHONES --replace
    """
    config = config_of(home)
    dry = dry or file == "-"
    path = _path(file, config)
    names = [*names_in(path.parent, config), path.name]
    wishes = _wishes(given, config, names)
    if ask or (sys.stdin.isatty() and not (file or any(given.values()))):
        wishes = _ask(wishes, names)
    _check(wishes, names)
    made, notes = _made(wishes, path, names)
    put(made, notes, over, dry, as_json, config)


def _path(file: str, config: Config | None) -> Path:
    if file and file != "-":
        if not _ASKED.fullmatch(Path(file).name):
            end(USAGE, f"{file}: phones cannot ask for a file of this name; write letters, digits, . _ -")
        return Path(file)
    return (config.http.http_dir if config is not None else Path()) / SETTINGS


def _wishes(given: dict[str, Any], config: Config | None, names: list[str]) -> Wishes:
    own = {field.name for field in fields(Wishes)}
    plain = {name: value for name, value in given.items() if name in own and value not in (None, ())}
    wishes = Wishes(
        **{**plain, "extra": _extra(given["extra"]), "groups": tuple(map(str, given["groups"])),
           "vpn": given["vpn"] or "", "backups": not given["no_backups"],
           "server": given["server"] if given["server"] is not None else _server(config),
           "day24": None if given["clock"] is None else given["clock"] == "24",
           "trust": given["trust"] or tuple(name for name in names if name == certs.PUBLIC_NAME)},
    )  # fmt: skip
    if given["zone"]:
        wishes = replace(wishes, clock=_clock(given["zone"]))
    if config is not None:
        http = (config.http.http_port, *config.http.http_alt_ports) if config.http.run_http else ()
        https = (config.https.https_port, *config.https.https_alt_ports) if config.https.run_https else ()
        wishes = replace(
            wishes, http_ports=given["http_ports"] or http, https_ports=given["https_ports"] or https
        )
        if given["community"] is None:
            wishes = replace(wishes, community=config.snmp.community)
    return replace(wishes, https_ports=()) if given["no_tls"] else wishes


def _server(config: Config | None) -> str:
    """The address that the certificate names first, as `init` was told it; IPv4 before IPv6."""
    if config is None:
        return ""
    try:
        found = certs.names_of(certs.load_chain(config.https.cert_file)[0]).addresses
    except certs.CertError:
        return ""
    outside = [one for one in found if one not in ("127.0.0.1", "::1")]
    return next((one for one in outside if ":" not in one), next(iter(outside), ""))


def _extra(given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            end(USAGE, f"--set {name}: write NAME=VALUE")
        if value.startswith("@"):
            try:
                value = Path(value[1:]).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                end(USAGE, f"--set {name}: {value[1:]}: {getattr(error, 'strerror', None) or 'is no text'}")
        found.append((name.strip().upper(), value))
    return tuple(found)


def _clock(text: str) -> Any:
    try:
        return clock_of(text, time.gmtime().tm_year)
    except ValueError as error:
        end(USAGE, f"--zone: {error}")


# Answer -> the question. An empty line leaves it out.
_QUESTIONS = {
    "server": "This file server's address, as phones know it",
    "call_servers": "Call servers of the H.323 phones (a list with commas)",
    "sip_servers": "Call servers of the SIP phones (192.0.2.20:5061;transport=tls)",
    "sip_domain": "SIP domain",
    "vlan": "VLAN of the telephones",
    "community": "SNMP community, so that the server can ask phones whose data they bring",
    "log_server": "Syslog server",
    "time_servers": "Time servers of the SIP phones",
}


def _ask(wishes: Wishes, names: list[str]) -> Wishes:
    """The answers that are missing, from whoever sits there; one that no phone would take is asked again."""
    if wishes.families == CHOICES:
        wishes = _answered(
            wishes, f"Phones that read it: {', '.join(CHOICES)}; or all", _families, names, "all"
        )
    for name, question in _QUESTIONS.items():
        if not getattr(wishes, name):
            wishes = _answered(wishes, question, _plain(name), names)
    if not wishes.languages:
        wishes = _answered(wishes, "Languages, the first one first", _languages, names)
    if wishes.clock is None:
        wishes = _answered(wishes, "Time zone (Europe/Vienna)", _zone, names)
    return wishes


_Reading = Callable[[Wishes, str], Wishes]  # what an answer makes of the wishes; UsageError: ask again


def _answered(
    wishes: Wishes, question: str, reading: _Reading, names: list[str], default: str = ""
) -> Wishes:
    def judged(text: str) -> Wishes:
        answered = reading(wishes, text.strip())
        known = problems(items(wishes, names)[0])
        wrong = [one for one in problems(items(answered, names)[0]) if one not in known]
        if wrong:
            raise click.UsageError("; ".join(wrong))
        return answered

    return click.prompt(question, default, show_default=bool(default), value_proc=judged, err=True)


def _plain(name: str) -> _Reading:
    return lambda wishes, text: replace(wishes, **{name: text})


def _families(wishes: Wishes, text: str) -> Wishes:
    known = {name.casefold(): name for name in CHOICES}
    words = text.replace(",", " ").casefold().split()
    strange = [word for word in words if word not in known]
    if words == ["all"]:
        return wishes
    if strange or not words:
        raise click.UsageError(f"no family {', '.join(strange)}; known are {', '.join(CHOICES)}")
    return replace(wishes, families=tuple(known[word] for word in dict.fromkeys(words)))


def _languages(wishes: Wishes, text: str) -> Wishes:
    return replace(wishes, languages=tuple(text.replace(",", " ").split()))


def _zone(wishes: Wishes, text: str) -> Wishes:
    try:
        return replace(wishes, clock=clock_of(text, time.gmtime().tm_year) if text else None)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _check(wishes: Wishes, names: list[str]) -> None:
    """End with everything that no phone would take."""
    found, _ = items(wishes, names)
    wrong = problems([*found, *(vpn_items(wishes) if wishes.vpn else ())])
    if wishes.vpn and not vpn_families(wishes):
        able = ", ".join(presets()[wishes.vpn].families)
        wrong.append(f"--vpn {wishes.vpn} is for {able}, which are not among the families")
    if wrong:
        end(USAGE, "\n".join(wrong))


def _made(wishes: Wishes, path: Path, names: list[str]) -> tuple[dict[Path, bytes], list[str]]:
    data, notes = settings_file(wishes, names, path.name)
    made = {path: data}
    if not wishes.vpn:
        return made, notes
    folder = path.parent
    made[folder / VPN_SETTINGS] = vpn_settings(wishes)
    if "4600" in vpn_families(wishes):
        made[folder / VPN_SCRIPT] = vpn_script(wishes, names)
        spelled = next((name for name in names if name.casefold() == UPGRADE), UPGRADE)
        try:
            old = content(folder / spelled)
        except FileNotFoundError:
            old = _HEAD + f"GET {path.name}{os.linesep}".encode("ascii").replace(b"\r\n", b"\n")
        except OSError as error:
            end(USAGE, f"{folder / spelled}: {error.strerror}")
        made[folder / spelled] = with_branch(old)
    if not wishes.gateways:
        notes.append(f"{VPN_SETTINGS} names no gateway yet (NVSGIP); --vpn-gateway does")
    return made, notes


commands: list[click.Command] = [new_settings]
