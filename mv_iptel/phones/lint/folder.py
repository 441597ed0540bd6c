"""What lint looks at: the files of a directory, and what is known of the server that serves them."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# O_NONBLOCK: a FIFO under the name of a file must not hold anybody up.
_FLAGS = (os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
          | getattr(os, "O_BINARY", 0))  # fmt: skip
MOST = 16 << 20  # octets; a longer file is no script

# What phones ask for by themselves; everything else is reached from these by GET. The settings of
# other grammars (11xx `.cfg`, the old SIP 4602) are not scripts.
ENTRY = re.compile(
    r"((46xx|46|46vpn|96xx|96x1[hs]|16xx|1600|j100[hs]|k1xxs|b189h|fxd_\w*)upgrade\.(scr|txt)"
    r"|(46xx|fxd_\w*)settings\.(scr|txt)|46xxvpn\.scr|46vpnsetting\.txt|46xxspecials?\.txt)",
    re.I,
)
# Files with another language: phone lists and settings of 11xx and 12xx, XML, the old SIP 4602.
_FOREIGN = re.compile(
    r"(11[0-9]{2}e?|12[0-9]{2})(sip)?\.cfg|11xxsettings\.txt|11xxsecpolicy\.txt|sip[0-9a-f]{12}\.cfg|.*\.xml"
    r"|4602d0[12]a\.txt|sip_[0-9a-f]{12}\.txt|.*data(_sip)?\.txt|.*allow_ip\.txt",
    re.I,
)
# Of these sets the files are looked at all the same: SET lines in them are a mistake that is made.
_SIP_4602 = re.compile(r"4602d0[12]a\.txt|sip_[0-9a-f]{12}\.txt", re.I)
# What the variables in a file's name may stand for.
_VARIABLE = re.compile(r"\$(macaddr|model4|serialno)", re.I)
_FORMS = {"macaddr": "[0-9a-f]{12}", "model4": "[0-9a-z]{4}", "serialno": "[0-9a-z]{6,20}"}
VARIABLES = 3  # in one name; more have no sense, and each multiplies the ways that a name may fit
TEMPLATES = 200  # names with variables for which the files are looked through


@dataclass(frozen=True)
class Site:
    """What is known of the server: its addresses and ports, who may fetch, how backups are let in.

    `lists` says that only listed clients may fetch files from this directory. `snmp` says that it asks
    phones over SNMP before it keeps user data over HTTP; over FTP it always does unless `ftp_snmp` is false.
    """

    addresses: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    http: frozenset[int] | None = frozenset({81, 80})  # None: not known
    https: frozenset[int] | None = frozenset({411, 443})
    snmp: bool = True
    ftp_snmp: bool = True
    lists: bool = False


@dataclass(frozen=True)
class Folder:
    """The files of one directory by name: scripts with their bytes, others only as names.

    elsewhere   further names that count as there: folded name -> where (HTTPSdata falls back to HTTPdata)
    nearby      names that do not count, only for the sentence: folded name -> where
    whole       whether all files are known; if not, none is called missing
    faults      files that could not be read, with the reason
    """

    files: Mapping[str, bytes]
    others: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    nearby: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True
    faults: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {name.casefold(): name for name in (*self.others, *self.faults, *self.files)}
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_templates", {})

    @staticmethod
    def read(
        directory: Path,
        only: Iterable[str] = (),
        elsewhere: Iterable[Path] = (),
        nearby: Iterable[Path] = (),
        whole: bool = True,
    ) -> Folder:
        """What lies in a directory: what phones ask for, what those files lead to, and `only` besides."""
        listed = listing(directory)
        files: dict[str, bytes] = {}
        faults: dict[str, str] = {}
        todo = [
            *only,
            *(name for name in listed.values() if ENTRY.fullmatch(name) or _SIP_4602.fullmatch(name)),
        ]
        templates: dict[str, list[str]] = {}
        while todo:
            name = todo.pop()
            if name in files or name in faults:
                continue
            try:
                data = content(directory / name)
            except OSError as error:
                faults[name] = error.strerror or type(error).__name__
                continue
            files[name] = data
            for target in _named(data):
                todo += [listed[each] for each in _known(target, listed, templates) if not foreign(each)]
        places = ({folded: other.name for folded in listing(other)} for other in elsewhere)
        beside = ({folded: other.name for folded in listing(other)} for other in nearby)
        return Folder(
            files,
            frozenset(listed.values()) - set(files) - set(faults),
            {name: where for place in places for name, where in place.items()},
            {name: where for place in beside for name, where in place.items()},
            whole,
            faults,
        )

    def name_of(self, name: str) -> str | None:
        """The file's own spelling of a name, or None if it does not lie here."""
        return self._names.get(name.casefold())  # type: ignore[attr-defined]

    def has(self, name: str) -> bool:
        """Whether phones get a file of this name; one with a variable or a directory in it cannot be told."""
        folded = name.casefold()
        return (
            "$" in name
            or "/" in name
            or "\\" in name
            or folded in self._names  # type: ignore[attr-defined]
            or folded in self.elsewhere
        )

    def matching(self, name: str) -> list[str]:
        """The scripts here that a GET of this name may bring; `$MACADDR.txt` may bring several."""
        names: Mapping[str, str] = self._names  # type: ignore[attr-defined]
        known = _known(name, names, self._templates)  # type: ignore[attr-defined]
        return [names[folded] for folded in known if names[folded] in self.files]


def content(path: Path) -> bytes:
    """A regular file's octets; a FIFO or a device has no end. Raises OSError, also for what is too long."""
    with open(os.open(path, _FLAGS), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", os.fspath(path))
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise OSError(errno.EFBIG, f"it has more than {MOST >> 20} MiB", os.fspath(path))
    return data


def listing(directory: Path) -> dict[str, str]:
    """Every file of a directory by its folded name: phones spell names in any letter case."""
    try:
        return {name.casefold(): name for name in sorted(os.listdir(directory))}
    except OSError:
        return {}


def matching(name: str, names: Mapping[str, str]) -> list[str]:
    """The folded names among `names` that a name with variables in it may stand for."""
    folded = name.casefold()
    if "$" not in name:
        return [folded] if folded in names else []
    parts = _VARIABLE.split(folded)  # text and variables in turn
    if len(parts) > 2 * VARIABLES + 1:
        return []
    form = re.compile("".join(_FORMS[part] if at % 2 else re.escape(part) for at, part in enumerate(parts)))
    return [each for each in names if form.fullmatch(each)]


def _known(name: str, names: Mapping[str, str], templates: dict[str, list[str]]) -> list[str]:
    """The same, each name with variables looked up once, and not very many of them."""
    if "$" not in name:
        return matching(name, names)
    folded = name.casefold()
    if folded not in templates:
        if len(templates) >= TEMPLATES:
            return []
        templates[folded] = matching(folded, names)
    return templates[folded]


def foreign(name: str) -> bool:
    """Whether a file of this name has another language, and is not for lint."""
    return bool(_FOREIGN.fullmatch(name)) and not ENTRY.fullmatch(name)


_GET = re.compile(rb"^get[ \t]+\"?([^ \t\r\n\"]+)", re.I | re.M)


def _named(data: bytes) -> list[str]:
    return [name.decode("latin-1") for name in set(_GET.findall(data))]
