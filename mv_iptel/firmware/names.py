"""Names inside an archive: which may become files here and on a Windows server, and which are one name twice.

Nothing is mended: a name that would need it is refused, for what it was meant to do nobody can know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 512  # octets of a whole name; the longest of a vendor has about 60
PART = 200  # octets of one part: room for what is put before and behind it while it is written aside
DEPTH = 8  # folders in folders; vendors have one, `signatures`

_DRIVE = re.compile(r"[A-Za-z]:")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_WINDOWS = re.compile(r'[<>:"|?*]')
# Whatever stands behind the first dot: to Windows `nul.txt` is the device too.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])(?:\s*\.|\s*\Z)", re.I)
# Control characters, and those that make a name look like another one: direction, joiners, line ends.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def wrong(name: str) -> str:
    """Why a file or folder of this name is not taken, or an empty string. No name ends with a slash here."""
    told = _wrong(name)
    if told or name.isascii():
        return told
    plain = unicodedata.normalize("NFKC", name)
    if _wrong(plain) or plain.count("/") != name.count("/"):  # full-width dots climb on some systems
        return "a name is another one on some systems"
    return ""


def _wrong(name: str) -> str:
    if not name:
        return "a name is empty"
    if "\0" in name:
        return "a name holds a NUL"
    if "\\" in name:
        return "a name holds a backslash"
    if name[0] == "/":
        return "a name is absolute"
    if _DRIVE.match(name):
        return "a name begins with a drive letter"
    if any(unicodedata.category(one) in _UNSEEN for one in name):
        return "a name holds a character that nobody sees"
    if len(name.encode()) > LONGEST:
        return f"a name is longer than {LONGEST} octets"
    parts = name.split("/")
    if len(parts) > DEPTH:
        return f"a name lies more than {DEPTH} folders deep"
    return next((told for part in parts if (told := _wrong_part(part))), "")


def _wrong_part(part: str) -> str:
    if part == "..":
        return "a name climbs with '..'"
    if part in ("", "."):
        return "a part of a name is empty"
    if len(part.encode()) > PART:
        return f"a part of a name is longer than {PART} octets"
    if part != part.strip() or part[-1] == ".":
        return "a name begins or ends with a blank, or ends with a dot"
    if found := _WINDOWS.search(part):
        return f"a name holds {found[0]}, which Windows does not allow"
    if _DEVICE.match(part):
        return "a name is that of a device on Windows"
    if _PERCENT.search(part):  # names are decoded once when they are asked for: nobody could fetch it
        return "a name holds a percent form"
    return ""


def folded(name: str) -> str:
    """The same for all names that some file system, or some phone, takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def collision(names: Iterable[str], folders: Iterable[str] = ()) -> tuple[str, str] | None:
    """Two of these that are one, or of which one is a file and a folder at once; None if there are none.

    `folders` are those that an archive names by themselves, which it may do again and again.
    """
    files: dict[str, str] = {}
    above = {folded(folder): folder for folder in folders}
    for name in names:
        key = folded(name)
        if key in files:
            return files[key], name
        files[key] = name
        while "/" in key:
            key = key.rpartition("/")[0]
            above.setdefault(key, name)
    both = next((key for key in files if key in above), None)
    return None if both is None else (files[both], above[both])


def shown(name: str, most: int = 120) -> str:
    """A name for a message: short, and printable whatever it holds."""
    text = "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode("ascii")
                   for one in name[:most])  # fmt: skip
    return text + ("…" if len(name) > most else "")
