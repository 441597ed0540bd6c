"""Which files of a data directory are scripts and settings, told by name, else by content."""

from __future__ import annotations

import re

from mv_iptel.home import CHECK_FILE
from mv_iptel.library.names import forbidden
from mv_iptel.userdata.names import parse

LARGEST = 4 << 20  # octets; the vendor's template of all settings has one

# What phones ask for by themselves, the files of other languages included (11xx, the conference phones), and
# what these files are called when an administrator splits them.
_BY_NAME = re.compile(
    r".*(upgrade|settings?|specials?|vpn)\.(scr|txt)|(11[0-9]{2}e?|12[0-9]{2}|sip[0-9a-f]{12})(sip)?\.cfg"
    r"|(avaya|cfg)[\w.-]*\.xml|.+\.scr",
    re.IGNORECASE | re.DOTALL,
)
# Where a GET may lead: 0004f2000001.txt, site_paris.cfg.
_MAYBE = re.compile(r".+\.(txt|cfg|inc|conf)", re.IGNORECASE | re.DOTALL)
# Languages, certificates and MIBs have these endings too.
_NEVER = re.compile(r"mlf_.*|.*mib.*|.*ca\.txt|.*cert.*\.txt|.*\.(bin|tar|app|zip|sig|sig256)", re.I | re.S)
_STATEMENT = re.compile(rb"^(?:SET|IF|GOTO|GET)[ \t]+\S", re.IGNORECASE | re.MULTILINE)


def concerns(name: str) -> bool:
    """Whether a change of the file of this name may matter to scripts: it is one, or one may name it.

    User data, address lists, temporary names and the watchdog's file never do.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return bool(last) and last != CHECK_FILE and not forbidden(last) and parse(last) is None


def is_script(name: str, data: bytes | None = None) -> bool:
    """Whether this is a script or a settings file; without `data`, whether its name alone says so."""
    last = name.replace("\\", "/").rpartition("/")[2]
    if not concerns(last) or _NEVER.fullmatch(last):
        return False
    if _BY_NAME.fullmatch(last):
        return True
    return data is not None and bool(_MAYBE.fullmatch(last) and _STATEMENT.search(data))


def may_be_script(name: str) -> bool:
    """Whether it is worth reading the file to find out."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return is_script(last) or bool(concerns(last) and _MAYBE.fullmatch(last) and not _NEVER.fullmatch(last))
