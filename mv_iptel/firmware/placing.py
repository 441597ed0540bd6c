"""Where the members of a firmware archive go, and what each is to a phone.

A top-level `TFTPdata/`, `HTTPdata/` ... says it; else TFTPdata and HTTPdata get everything. The folder that
vendors put around everything is taken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from mv_iptel.config import Config
from mv_iptel.firmware.names import collision, shown
from mv_iptel.firmware.releases import PLACES
from mv_iptel.history.kinds import is_script, may_be_script
from mv_iptel.home import CHECK_FILE
from mv_iptel.library.names import forbidden
from mv_iptel.phones.families import FAMILIES
from mv_iptel.userdata.names import parse

USUAL = ("TFTPdata", "HTTPdata")
RELEASE_XML = "release.xml"
LARGEST_XML = 1 << 20  # octets of a release.xml that is read

_FOLDED = {place.lower(): place for place in PLACES}
_LISTS = {"tftp_allow_ip.txt": ("TFTPdata",), "ftp_allow_ip.txt": ("FTPdata",),
          "http_allow_ip.txt": ("HTTPdata",), "https_allow_ip.txt": ("HTTPSdata",),
          "allow_ip.txt": USUAL}  # fmt: skip
# What the desktops of people who pack archives leave in them.
_LITTER = re.compile(r"(?:.*/)?(?:__MACOSX(?:/.*)?|\.DS_Store|Thumbs\.db|desktop\.ini)", re.I | re.S)

_SCRIPTS = frozenset(name.lower() for family in FAMILIES.values() for name in family.scripts)
_UPGRADE = re.compile(r"(?:fxd_)?.*upgrade\.(?:scr|txt)|avaya_fw_version\.xml", re.I | re.S)
_SETTINGS = re.compile(r"(?:fxd_)?.*(?:settings?|specials?)\.(?:scr|txt)", re.I | re.S)
_SOFTWARE = re.compile(
    r".*\.(?:bin|tar|app|kt|img|ebn|sbn|sb[2-9]|loads|zz|swu|apk|fw|rom|rbm|lzma)", re.I | re.S
)
_LANGUAGE = re.compile(r"mlf_.*\.(?:xml|txt)|.*\.(?:lng|lang)|KoreanRT[0-9]+\.xml", re.I | re.S)
# What a script does that orders software, and what one does that sets a phone up.
_ORDERS = re.compile(rb"^\s*(?:SET[ \t]+(?:APPNAME|RFSNAME|BOOTNAME)[ \t]|\[FW\])", re.I | re.M)
_SETS = re.compile(rb"^SET[ \t]", re.I | re.M)
_TYPES = {"app": "software", "boot": "software", "lang": "language"}  # of release.xml


class Placed(NamedTuple):
    """One member, by its number in the archive, and where it goes."""

    member: int
    places: tuple[str, ...]
    name: str


class Placing(NamedTuple):
    """Where everything goes, and what is left out because nobody would ever be served it."""

    placed: list[Placed]
    left_out: list[str]
    wrong: str = ""  # why nothing of it is placed


def directories(config: Config) -> dict[str, Path]:
    """The data directory that each place stands for in this installation."""
    return {
        "TFTPdata": config.tftp.tftp_dir,
        "HTTPdata": config.http.http_dir,
        "HTTPSdata": config.https.https_dir,
        "FTPdata": config.ftp.ftp_dir,
    }


def place(names: Iterable[str], where: Mapping[str, Path] | None = None) -> Placing:
    """Where the files of these names go. `where` tells which places are one directory here.

    Each name was found good by `names.wrong`.
    """
    every = [(number, name) for number, name in enumerate(names) if not _LITTER.fullmatch(name)]
    around = _around([name for _, name in every])
    placed, left_out = [], []
    for number, name in every:
        places, inner = _place(name[len(around) :])
        if not inner:
            return Placing([], [], f"{shown(name)} is a file under the name of a data directory")
        last = inner.rpartition("/")[2]
        if parse(last) is not None:
            return Placing([], [], f"{shown(name)} is user data, which never comes with firmware")
        is_list = inner.lower() in _LISTS
        if last.lower() == CHECK_FILE.lower() or (forbidden(inner) and not is_list):
            left_out.append(name)
        else:
            placed.append(Placed(number, places, inner))
    if not placed:
        return Placing([], left_out, "it holds no file for a phone")
    return Placing(placed, left_out, _collides(placed, where or {}))


def _place(name: str) -> tuple[tuple[str, ...], str]:
    first, slash, rest = name.partition("/")
    if first.lower() in _FOLDED:
        return (_FOLDED[first.lower()],), rest if slash else ""
    return _LISTS.get(name.lower(), USUAL), name


def _around(names: list[str]) -> str:
    """The folders around everything, with the slash behind them, or an empty string."""
    around = ""
    while names and all("/" in name for name in names):
        folders = {name.partition("/")[0] for name in names}
        folder = folders.pop()
        if folders or folder.lower() in _FOLDED:
            break
        names = [name[len(folder) + 1 :] for name in names]
        around += folder + "/"
        if any(_marks_top(name) for name in names):
            return around
    return ""


def _marks_top(name: str) -> bool:
    """Whether such a file shows that it lies where phones ask: scripts, software and the places do."""
    first, slash, _ = name.partition("/")
    if slash:
        return first.lower() in _FOLDED
    return name.lower() == RELEASE_XML or role(name) in ("script", "settings", "software", "list")


def _collides(placed: list[Placed], where: Mapping[str, Path]) -> str:
    # Two places that are one directory get one file once: a member does not collide with itself.
    paths = (
        f"{directory}/{item.name}"
        for item in placed
        for directory in {Path(where.get(one, one)).as_posix() for one in item.places}
    )
    found = collision(paths)
    if found is None:
        return ""
    return f"{shown(found[0][-100:])} and {shown(found[1][-100:])} are one name on some system"


# What a file is


def needs_content(name: str) -> bool:
    """Whether what it is shows only inside it."""
    return may_be_script(name)


def role(name: str, data: bytes | None = None, told: str = "") -> str:
    """What the file is to a phone; `data` is its content where `needs_content`, `told` release.xml's type."""
    last = name.rpartition("/")[2]
    if last.lower() in _LISTS:
        return "list"
    if last.lower() in _SCRIPTS or _UPGRADE.fullmatch(last):
        return "script"
    if _SETTINGS.fullmatch(last):
        return "settings"
    if _LANGUAGE.fullmatch(last):
        return "language"
    if is_script(last, data):
        if data is None:
            return "script" if last.lower().endswith(".scr") else "settings"
        return "script" if _ORDERS.search(data) or not _SETS.search(data) else "settings"
    if told.lower() in _TYPES:
        return _TYPES[told.lower()]
    return "software" if _SOFTWARE.fullmatch(last) else "other"


# release.xml


class Described(NamedTuple):
    """What a vendor says of a release: for people, and the type of each file."""

    name: str = ""
    date: str = ""
    description: str = ""
    types: tuple[tuple[str, str], ...] = ()  # (file name, mib|config|boot|app|lang)

    def type_of(self, name: str) -> str:
        """What it says a file is, or an empty string."""
        last = name.rpartition("/")[2]
        return next((kind for one, kind in self.types if one == last), "")


class _Entity(ValueError):
    pass


def described(data: bytes) -> Described:
    """What a release.xml says; empty if it cannot be read. ValueError: it defines entities, as none does."""
    if len(data) > LARGEST_XML:
        return Described()
    seen = _Seen()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = seen.start, seen.end
    parser.CharacterDataHandler = seen.text
    parser.EntityDeclHandler = seen.entity
    parser.ExternalEntityRefHandler = lambda *_: 0
    try:
        parser.Parse(data, True)
    except _Entity:
        raise ValueError("release.xml defines entities") from None
    except (expat.ExpatError, ValueError, LookupError):
        return Described()
    return Described(
        *(seen.header.get(key, "") for key in ("name", "date", "description")), tuple(seen.types)
    )


class _Seen:
    """Gathers what counts while a release.xml is read."""

    def __init__(self) -> None:
        self.header: dict[str, str] = {}
        self.types: list[tuple[str, str]] = []
        self._file: dict[str, str] = {}
        self._path: list[str] = []

    def start(self, tag: str, _: object) -> None:
        if len(self._path) > 16:
            raise ValueError("too deep")
        self._path.append(tag)
        if tag == "file":
            self._file = {}

    def end(self, tag: str) -> None:
        self._path.pop()
        if tag == "file" and "name" in self._file:
            self.types.append((self._file["name"].strip(), self._file.get("type", "").strip()))

    def text(self, text: str) -> None:
        if len(self._path) < 2:
            return
        above, tag = self._path[-2:]
        kept = self._file if above == "file" else self.header if above == "release-header" else None
        if kept is not None and len(kept.get(tag, "")) < 1000:
            kept[tag] = (kept.get(tag, "") + text).lstrip()[:1000]

    def entity(self, *_: object) -> None:
        raise _Entity
