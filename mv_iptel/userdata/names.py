"""Names of user data: which extension, which kind of phone, and the one name it is kept under.

Data belongs to extension and phone type, never to an instrument (DESIGN section 8). Pure: no disk, no socket.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"(?:([0-9]{1,20})_)?(4610|4620|96xx|16xx|9610)data(_sip)?\.txt\Z", re.IGNORECASE)

# What a phone says of its type -> the class in its files' names (reference: phones 4.1, 4.2). The 4610SW
# has a class of its own; the larger screens share one.
_CLASSES = (
    (re.compile(r"4610(?!\d)"), "4610"),
    (re.compile(r"46(?:20|21|22|25)(?!\d)"), "4620"),
    (re.compile(r"9610(?!\d)"), "9610"),
    (re.compile(r"(?:96[0-7]\d|B189|J1[2-8]9)(?!\d)"), "96xx"),
    (re.compile(r"16(?:03|08|16)(?!\d)"), "16xx"),
)


class Kept(NamedTuple):
    """What a name of user data says. `ext` is empty for the names of 4600 release 2.0."""

    ext: str
    cls: str  # 4610, 4620, 96xx, 16xx or 9610
    sip: bool = False

    @property
    def file(self) -> str:
        """The canonical name: the one that the data is kept under."""
        prefix = f"{self.ext}_" if self.ext else ""
        return f"{prefix}{self.cls}data{'_sip' if self.sip else ''}.txt"


def parse(name: str) -> Kept | None:
    """What the last part of a path says as a name of user data, in any letter case; None: no such name."""
    match = _NAME.match(name.rpartition("/")[2])
    return Kept(match[1] or "", match[2].lower(), bool(match[3])) if match else None


def class_of(model: str) -> str:
    """The class of a phone type as SNMP or User-Agent tell it ("4621SW"); empty: it keeps no data."""
    for form, cls in _CLASSES:
        if form.search(model):
            return cls
    return ""
