"""From an empty home to a phone that boots: each step with what is true of it now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mv_iptel import certs
from mv_iptel.config import Config
from mv_iptel.dhcp.lines import SERVERS
from mv_iptel.dhcp.offer import calls, offer, site_of
from mv_iptel.home import Home
from mv_iptel.inventory.evidence import SETTINGS, script_of
from mv_iptel.inventory.reader import Reader
from mv_iptel.phones.effects import effects
from mv_iptel.phones.families import FAMILIES, MODELS, Handset, family_of
from mv_iptel.phones.served import Served
from mv_iptel.phones.told import OURS, PLACES, SETTINGS_FILE, hosts, is_loop, settings_of
from mv_iptel.status.words import span

DONE, OPEN, LOOK = "done", "open", "look"  # it is so; it is to be done; something is wrong


class Step(NamedTuple):
    """One of them. `said` is what is true now, a sentence each."""

    key: str
    title: str
    state: str
    said: tuple[str, ...]


class Software(NamedTuple):
    """What the upgrade script of a family orders, and whether it is there."""

    family: str
    models: str
    script: str
    ordered: tuple[tuple[str, bool], ...]  # name, there


class Dhcp(NamedTuple):
    """What the DHCP server has to say. `options` are (number, for whom, value)."""

    server: str
    options: tuple[tuple[str, str, str], ...]
    isc: str
    kea: str
    dnsmasq: str
    windows: str
    routeros: str
    notes: tuple[str, ...]


class Seen(NamedTuple):
    """How far a phone has come: moments in seconds since the epoch, 0: not yet."""

    key: str
    mac: str
    address: str
    model: str
    ext: str
    seen: float
    script: tuple[str, float]
    software: tuple[str, float]
    settings: tuple[str, float]
    refused: int  # reference number of its last refusal; 0: none


# --- what the files say -----------------------------------------------------------------------------


def served(config: Config) -> Served:
    """What phones can get. Reads the directories."""
    return Served.split(config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir)


# --- the steps --------------------------------------------------------------------------------------


def password(home: Home, fresh: bool) -> Step:
    """Nobody can guess who administers here."""
    title = "A password of your own"
    try:
        lines = [
            one
            for one in home.passwords.read_text("utf-8", "replace").splitlines()
            if one[:1] not in ("", "#")
        ]
    except OSError:
        lines = []
    if fresh:
        return Step("password", title, OPEN, ("You still have the password that the installation made up.",))
    if any(one.startswith("manager ") for one in lines):
        text = f"You have one. The made-up password still stands in {home.passwords}; remove that line."
        return Step("password", title, LOOK, (text,))
    said = ["You have one."]
    if lines:
        said.append(f"{home.passwords} still holds the FTP superuser's: put it away, then empty the file.")
    return Step("password", title, DONE, tuple(said))


def server(status: Mapping[str, Any] | None, why_not: str) -> Step:
    """It listens."""
    title = "The file server runs"
    if status is None:
        return Step("server", title, OPEN, (f"It does not answer: {why_not}",))
    rows = [one for one in status["listeners"] if one["proto"] not in ("status", "central")]
    up = dict.fromkeys(one["proto"].upper() for one in rows if one["state"] == "up")
    failed = [f"{one['proto'].upper()} on port {one['port']}: {one['error']}" for one in rows
              if one["state"] == "failed"]  # fmt: skip
    if failed or not up:
        return Step("server", title, LOOK, tuple(failed) or ("No listener is up.",))
    return Step("server", title, DONE, (f"Up are {', '.join(up)}.",))


def address(files: Served, named: Iterable[str]) -> Step:
    """Phones can find back to this server: its address stands in the settings, and is its own."""
    title = "This server's address in the settings"
    if not any(files.script(protocol, SETTINGS_FILE) for protocol in PLACES):
        return Step("address", title, OPEN, (f"There is no {SETTINGS_FILE} yet.",))
    own = {one.casefold() for one in named}
    found = hosts(settings_of(files, OURS))
    if not found:
        text = f"{SETTINGS_FILE} does not say where users' data is kept ({', '.join(OURS)})."
        return Step("address", title, OPEN, (text,))
    wrong: dict[str, list[str]] = {}
    for host, told in found:
        if is_loop(host):
            wrong.setdefault(f"{host}, which only this host itself can reach", []).append(told.place)
        elif host.casefold() not in own:
            wrong.setdefault(f"{host}, which is no address or name of this host", []).append(told.place)
    if wrong:
        said = (f"Phones are told {what}: {', '.join(places[:8])}." for what, places in wrong.items())
        return Step("address", title, LOOK, tuple(said)[:6])
    return Step(
        "address", title, DONE, (f"Phones are told {', '.join(dict.fromkeys(host for host, _ in found))}.",)
    )


def system(files: Served) -> Step:
    """Phones know their telephone system."""
    title = "Your telephone system"
    words = {"MCIPADD": "H.323", "SIP_CONTROLLER_LIST": "SIP"}
    found = dict.fromkeys(f"{words[one.name]}: {one.value}" for one in settings_of(files, words) if one.value)
    if found:
        return Step("system", title, DONE, (f"Phones are told {'; '.join(found)}.",))
    return Step("system", title, OPEN, ("No settings name it. They may get it from DHCP instead.",))


def software(files: Served) -> tuple[Step, list[Software]]:
    """The firmware that scripts order is there. Plays a phone of each family."""
    title = "Firmware for your phones"
    rows = []
    for name, models in _families().items():
        family = FAMILIES[name]
        seen = effects(files, Handset(models[0], signalling=family.signalling))
        if seen.start:
            ordered = tuple((one.name, one.had) for one in seen.asked if one.kind == "software")
            rows.append(Software(name, f"{', '.join(models)} ({family.signalling})", seen.start, ordered))
    missing = [
        f"{one.script} orders {name}, which is not there."
        for one in rows
        for name, had in one.ordered
        if not had
    ]
    missing = list(dict.fromkeys(missing))
    if missing:
        return Step("firmware", title, LOOK, tuple(missing[:6])), rows
    ordered = list(dict.fromkeys(name for one in rows for name, _ in one.ordered))
    if not rows:
        return Step(
            "firmware", title, OPEN, ("There is no upgrade script, so no phone gets any further.",)
        ), rows
    if not ordered:
        text = "The upgrade scripts order none. Phones keep what they have, and boot all the same."
        return Step("firmware", title, OPEN, (text,)), rows
    return Step("firmware", title, DONE, (f"Ordered and there: {', '.join(ordered)}.",)), rows


def certificate(config: Config, files: Served, now: float) -> Step:
    """Phones and browsers can trust it."""
    title = "The certificate"
    try:
        leaf = certs.load_chain(config.https.cert_file)[0]
    except certs.CertError as error:
        return Step("certificate", title, LOOK, (str(error),))
    left = leaf.not_valid_after_utc.timestamp() - now
    names = certs.names_of(leaf)
    named = {*names.dns, *names.addresses}
    said = []
    if left < certs.RENEW_DAYS * 86400:
        said.append(f"It ends in {span(left)}." if left > 0 else "It has ended.")
    told = dict.fromkeys(host for host, _ in hosts(settings_of(files, OURS)))
    said += [f"It does not name {host}, as the settings do." for host in told if host not in named]
    if said:
        return Step("certificate", title, LOOK, tuple(said))
    return Step(
        "certificate", title, DONE, (f"It names {', '.join(sorted(named))} and ends in {span(left)}.",)
    )


def dhcp(config: Config, files: Served, own: Iterable[str]) -> Dhcp:
    """The lines for the DHCP server, with this server's address in them."""
    site = site_of(config, files, own, call_servers=() if calls(files) else ("<telephone system>",))
    told = offer(site)
    rows = tuple((str(one.code), one.who, one.value) for one in told.options if one.kind != "bytes")
    return Dhcp(site.servers[0], rows, *(write(told) for _, write in SERVERS.values()), told.notes)


def first_phone(reader: Reader) -> Seen | None:
    """The phone that has come furthest; of several the one that was seen last."""
    rows = reader.ask("SELECT id, key, mac, address, model, ext, last_seen, refused FROM phones "
                      "ORDER BY last_seen DESC LIMIT 20")  # fmt: skip
    best = None
    for row in rows:
        files = reader.ask("SELECT name, last_seen FROM files WHERE phone = ? ORDER BY last_seen", row["id"])
        script, settings, loaded = ("", 0.0), ("", 0.0), ("", 0.0)
        for one in files:
            last = one["name"].replace("\\", "/").rpartition("/")[2]
            if script_of(last):
                script = last, one["last_seen"]
            elif last.casefold() in SETTINGS:
                settings = last, one["last_seen"]
            elif re.search(r"\.(bin|tar|app|kt|tgz|ebin|zip)$", last, re.I):
                loaded = last, one["last_seen"]
        refused = 0
        if row["refused"]:
            found = reader.refusals(1, row["address"])
            refused = found[0]["id"] if found else 0
        who = (row[key] for key in ("key", "mac", "address", "model", "ext", "last_seen"))
        seen = Seen(*who, script, loaded, settings, refused)
        if best is None or _far(seen) > _far(best):
            best = seen
    return best


def phone(seen: Seen | None) -> Step:
    """It boots."""
    title = "The first phone"
    if seen is None:
        return Step(
            "phone", title, OPEN, ("None was seen yet. Switch one on: this page tells when it asks.",)
        )
    if not seen.script[1]:
        return Step("phone", title, OPEN, ("One was seen, and has not got an upgrade script yet.",))
    if not seen.settings[1]:
        return Step("phone", title, OPEN, ("It has its upgrade script, and has not read its settings yet.",))
    return Step("phone", title, DONE, ("It boots: it got its upgrade script and its settings here.",))


def _far(seen: Seen) -> tuple[bool, bool]:
    return bool(seen.script[1]), bool(seen.settings[1])


def _families() -> dict[str, list[str]]:
    """Models by family; the oldest sets read the same script as the other 4600s."""
    found: dict[str, list[str]] = {}
    for model in MODELS:
        for signalling in ("H323", "SIP"):
            try:
                name = family_of(model, signalling).name
            except ValueError:
                continue
            if name != "4600-old":
                found.setdefault(name, []).append(model)
    return found
