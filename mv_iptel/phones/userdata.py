"""What a simulated phone keeps of its user: under which name, where, and made-up contents of the right form.

The contents are names, numbers and options that we invented. How lines of a 4600 look is inferred from
the newer sets; the blank first line before UTF-8 is documented.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from mv_iptel.phones.boot import AVAYA_HTTP, AVAYA_TLS, Fetch, Fetched, Server
from mv_iptel.phones.families import Handset
from mv_iptel.userdata import names

FTP = 21
READS_ONLY = "9610"  # the class that fetches what the administrator wrote, and never stores

_NAMES = ("Anna", "Bernd", "Clara", "Doorman", "Emil", "Front desk", "Jürgen", "Łukasz", "Zoë", "Ελένη")
_OPTIONS = {
    "LANGUSER": ("English", "German", "Français"),
    "LOGACTIVE": ("0", "1"),
    "OPTAGCHAND": ("0", "1"),
    "OPTAUDIOPATH": ("1", "2"),
    "OPTCLICKS": ("0", "1"),
    "PERSONALRING": ("1", "4", "7"),
    "PHNREDIAL": ("0", "1"),
    "PHNTIMERS": ("0", "1"),
}
# The 16xx write what their screens say, blanks and all.
_DISPLAYED = {
    "Redial": ("0", "1"),
    "Call Timer": ("0", "1"),
    "Handset AGC": ("0", "1"),
    "Display Language": ("English", "German", "Français"),
    "Personalized Ring": ("1", "5", "8"),
}


class Depot(NamedTuple):
    """Where a phone keeps its user's data: FTPSRVR with FTPDIR, or BRURI taken apart."""

    server: Server
    directory: str = ""
    user: str = ""  # as BRURI may carry them
    password: str = ""

    def __repr__(self) -> str:
        return f"Depot({self.server}, {self.directory!r})"

    def path(self, file: str) -> str:
        """The name with the directory before it, as an HTTP request asks for it."""
        folder = self.directory.strip("/")
        return f"{folder}/{file}" if folder else file


def kept_by(handset: Handset) -> names.Kept:
    """The user data of the extension at this phone. Raises ValueError where it keeps none here."""
    model, family = handset.model, handset.family
    if family.signalling == "SIP":
        raise ValueError(f"a {model} with SIP software keeps its user's data with the call server, not here")
    cls = names.class_of(model)
    if not cls:
        raise ValueError(f"a {model} keeps no user data")
    if not (handset.ext.isascii() and handset.ext.isdigit() and len(handset.ext) <= 20):
        raise ValueError(f"user data belongs to an extension, a number; {handset.ext or 'none'} was given")
    return names.Kept(handset.ext, cls)


def stored_as(handset: Handset, old: bool = False) -> str:
    """The name under which this phone stores; `old`: release 2.0 of the 4600, without the extension."""
    kept = kept_by(handset)
    if kept.cls == READS_ONLY:
        raise ValueError(f"a {handset.model} only reads its user data, it never stores any")
    if old:
        if by_ftp(handset):
            return kept._replace(ext="").file
        raise ValueError(f"only the 4600 ever had names without extension, not a {handset.model}")
    return kept.file


def asked_for(handset: Handset, old: bool = False) -> tuple[str, ...]:
    """The names that this phone asks for until one is there."""
    kept = kept_by(handset)
    if kept.cls == READS_ONLY:
        return kept.file, kept._replace(ext="").file
    return (stored_as(handset, old),)


def by_ftp(handset: Handset) -> bool:
    """Whether it keeps user data over FTP (the 4600), or by BRURI."""
    return handset.family.name.startswith("4600")


def depot_at(
    handset: Handset, host: str, offset: int = 0, directory: str = "", protocol: str = "", port: int = 0
) -> Depot:
    """The depot on a server of ours; `protocol` is http or https, empty for the family's usual.

    Raises ValueError if this phone cannot do that.
    """
    if by_ftp(handset):
        if protocol not in ("", "ftp"):
            raise ValueError(f"a {handset.model} keeps user data over FTP only")
        return Depot(Server("ftp", host, port or FTP + offset), directory)
    family = handset.family
    protocol = protocol or family.protocol
    if protocol not in ("http", "https") or (protocol == "https" and family.name == "16xx"):
        only = "HTTP only" if family.name == "16xx" else "HTTP or HTTPS"
        raise ValueError(f"a {handset.model} keeps user data over {only}")
    standard = AVAYA_TLS if protocol == "https" else AVAYA_HTTP
    return Depot(Server(protocol, host, port or standard + offset), directory)


def depot_in(handset: Handset, settings: Mapping[str, str], offset: int = 0) -> Depot:
    """The depot that the phone's settings name. Raises ValueError if they name none it can use.

    `offset` moves FTP's port, which no setting can.
    """
    if by_ftp(handset):
        host = settings.get("FTPSRVR", "").split(",")[0].strip()
        if not host:
            raise ValueError("its settings have no FTPSRVR")
        return depot_at(handset, host.strip("[]"), offset, settings.get("FTPDIR", ""))
    return depot_by(handset, settings.get("BRURI", ""))


def depot_by(handset: Handset, bruri: str) -> Depot:
    """The depot that a BRURI names. Raises ValueError."""
    try:
        parts = urlsplit(bruri)
        # After its boot a phone uses the web's own ports, unless BRURI carries one.
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError as error:
        raise ValueError(f"BRURI {bruri}: {error}") from None
    if not parts.hostname or not port:
        raise ValueError(f"BRURI is {bruri or 'not set'}; something like http://192.0.2.10:81/ is needed")
    if by_ftp(handset):
        raise ValueError(f"a {handset.model} knows no BRURI, it keeps user data over FTP")
    depot = depot_at(handset, parts.hostname, 0, parts.path, parts.scheme, port)
    return depot._replace(user=unquote(parts.username or ""), password=unquote(parts.password or ""))


def made_up(kept: names.Kept, seed: int = 1) -> bytes:
    """Contents of a file, always the same for this name and seed."""
    chance = random.Random(f"{seed}:{kept.file}")
    lines = []
    for number, name in enumerate(chance.sample(_NAMES, chance.randint(2, 6)), 1):
        lines += [f"ABKNAME{number:03}={name}", f"ABKNUMBER{number:03}={chance.randint(200, 99_999)}"]
    options = _DISPLAYED if kept.cls == "16xx" else _OPTIONS
    for option in sorted(chance.sample(sorted(options), 3)):
        lines.append(f"{option}={chance.choice(options[option])}")
    if kept.cls != "16xx":
        lines.append(f"PHNLABEL{chance.randint(1, 24):02}={chance.choice(_NAMES)}")
    text = "\n".join(lines) + "\n"
    if kept.cls in ("4610", "4620") and not text.isascii():
        text = "\n" + text  # or the phone may lose the first line
    return text.encode()


Keeping = Generator[Fetch, Fetched, str]


def play(handset: Handset, depot: Depot, data: bytes) -> Keeping:
    """A phone that saves, and gets it back at the next login; why that failed, or an empty string."""
    file = stored_as(handset)
    name = depot.path(file)
    stores = Fetch(depot.server, name, "store", keep=False, agent=handset.user_agent(), body=data)
    got = yield stores
    if got.result != "ok":
        return f"{file} was not stored: {got.detail}"
    got = yield stores._replace(kind="restore", keep=True, body=None)
    if got.result != "ok":
        return f"{file} was not restored: {got.detail}"
    if got.data != data:
        return f"{file} came back different: {got.size} octets where {len(data)} were stored"
    return ""
