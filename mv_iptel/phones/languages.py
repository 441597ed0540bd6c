"""Which language a file is written in: the scripts' own, or another one that these phones take for comments.

Files of the 11xx, of the old SIP 4602 and of conference phones lie beside the scripts; copied under a
script's name, or the other way round, they change nothing on a phone and nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Language(NamedTuple):
    """A way to write files for phones."""

    name: str
    says: str  # what the file is, to be put behind "the file is"


SCRIPT = Language("script", "a script or settings file (SET, IF, GOTO, GET)")
SIP_4602 = Language("sip-4602", "settings of SIP sets of the old 4602 line (NAME and value, no SET)")
LIST_11XX = Language("11xx-list", "a list of files for 11xx and 12xx sets (sections in square brackets)")
SETTINGS_11XX = Language("11xx-settings", "settings of 11xx and 12xx sets (NAME and value, no SET)")
PAIRS = Language("pairs", "lines of NAME and value without SET, as SIP 4602 and 11xx sets read them")
XML = Language("xml", "XML, as conference phones and language files have it")
HTML = Language("html", "a web page, perhaps an error page that was saved")
PEM = Language("pem", "a certificate or key")

LANGUAGES = {each.name: each for each in (SCRIPT, SIP_4602, LIST_11XX, SETTINGS_11XX, PAIRS, XML, HTML, PEM)}

# What the name alone tells: which language the sets expect that ask for it.
_NAMES = (
    (re.compile(r"sip_[0-9a-f]{12}\.txt|4602d0[12]a\.txt", re.I), SIP_4602),
    (re.compile(r"(11[0-9]{2}e?|12[0-9]{2})(sip)?\.cfg", re.I), LIST_11XX),
    (re.compile(r"11xxsettings\.txt|sip[0-9a-f]{12}\.cfg", re.I), SETTINGS_11XX),
    (re.compile(r"avaya(-[0-9a-f]{12}|b179)?\.xml|cfg([0-9a-f]{12})?\.xml", re.I), XML),
)
_PAIR = re.compile(r"[A-Za-z][A-Za-z0-9_-]*[ \t]+[^ \t]+")
_SECTION = re.compile(r"\[[A-Za-z_]+\]")
_LOOK = 200  # lines with something in them; a file shows its language at once
_ENOUGH = 3  # pairs, before prose is called a settings file


def expected(name: str) -> Language:
    """The language that phones expect in a file of this name."""
    for form, language in _NAMES:
        if form.fullmatch(name):
            return language
    return SCRIPT


def found(lines: Sequence[str], name: str = "") -> Language:
    """The language of a file without any statement of a script; SCRIPT if it shows no other.

    Pairs alone do not tell whose they are, and a few of them could be anything: then the name decides.
    """
    pairs = others = 0
    for text in lines:
        text = text.partition("#")[0].strip(" \t\r\ufeff")  # in these languages # starts a comment anywhere
        if not text:
            continue
        if pairs + others == 0:
            start = text[:64].lower()
            if start.startswith(("<!doctype html", "<html")):
                return HTML
            if re.match(r"<[?!a-z]", start):
                return XML
            if start.startswith("-----begin "):
                return PEM
            if _SECTION.fullmatch(text[:64]):
                return LIST_11XX
        if len(text) < 300 and _PAIR.fullmatch(text):
            pairs += 1
        else:
            others += 1
        if pairs + others == _LOOK:
            break
    # Prose has longer lines; a single odd line among pairs is a slip.
    if pairs < 9 * others or not pairs:
        return SCRIPT
    wanted = expected(name)
    if wanted in (SIP_4602, SETTINGS_11XX):
        return wanted
    return PAIRS if pairs >= _ENOUGH else SCRIPT
