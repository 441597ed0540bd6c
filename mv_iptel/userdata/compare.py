"""Reads the content of user data as its user sees it, and tells two versions apart in words.

Pure: bytes in, entries and sentences out. The bytes themselves are kept and served as they are; this is
only for the eyes of an administrator. A line is `name=value` (reference: phones 4.3); what is not is shown
as it stands, so that nothing that changed is hidden.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

CONTACT, LABEL, OPTION, LINE = "contact", "label", "option", "line"
ADDED, REMOVED, CHANGED, MOVED, FORM = "added", "removed", "changed", "moved", "form"
MOVES_TOLD = 3  # more contacts than this that only moved are told in one sentence
MANY = 20_000  # entries beyond this are counted, not read: no phone has so many

_NUMBERED = re.compile(r"(ABKNAME|ABKNUMBER|PHNLABEL|SBMLABEL)(\d{1,6})\Z", re.IGNORECASE)
_LABELS = {"phnlabel": "label", "sbmlabel": "button module label"}
_CONTROLS = frozenset(range(32)) - {9, 10, 12, 13}

# Setting -> (what the user's screen calls it, further names in files, whether 0 and 1 are off and on).
# Call servers of the IP Office kind show the same files with display names: the first four are from its
# documentation, the others from how sets name these options.
_OPTIONS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "PHNREDIAL": ("redial", ("Redial",), False),
    "PHNTIMERS": ("call timer", ("Call Timer", "Call Timers"), True),
    "OPTAGCHAND": ("handset AGC", ("Handset AGC",), True),
    "LANGUSER": ("display language", ("Display Language", "Language"), False),
    "OPTAGCHEAD": ("headset AGC", ("Headset AGC",), True),
    "OPTAGCSPKR": ("speaker AGC", ("Speaker AGC",), True),
    "OPTAUDIOPATH": ("audio path", ("Audio Path",), False),
    "OPTCLICKS": ("button clicks", ("Button Clicks",), True),
    "OPTERRORTONE": ("error tones", ("Error Tones", "Error Tone"), True),
    "PERSONALRING": ("personalized ring", ("Personalized Ring", "Personalized Ringing"), False),
    "PHNSCRONCALL": ("phone screen on calling", ("Phone Screen on Calling",), True),
    "PHNSCRONALERT": ("phone screen on ringing", ("Phone Screen on Ringing",), True),
    "PHNVISUALALERT": ("visual alerting", ("Visual Alerting",), True),
    "LOGACTIVE": ("call log", ("Call Log", "Log Active"), True),
    "LOGBRIDGED": ("log of bridged calls", ("Log Bridged Calls",), True),
    "LOGLINEAPPS": ("log of line calls", ("Log Line Calls",), True),
    "LOGOTHERANS": ("log of calls answered by others", ("Log Calls Answered by Others",), True),
}
_KNOWN = {
    name.casefold(): setting
    for setting, (_, names, _) in _OPTIONS.items()
    for name in (setting, *names)
}  # fmt: skip
_SWITCH = {"0": "off", "1": "on"}


class Entry(NamedTuple):
    """One thing that the file says. `key` is the same in all versions that say it of the same thing."""

    kind: str  # contact, label, option or line
    key: str
    term: str  # as the user knows it: "speed dial 3", "redial"; empty for a bare line
    value: str  # as the user knows it: "Anna 201", "on"
    who: str = ""  # a contact's name

    def words(self) -> str:
        """The entry as a line for people."""
        return f"{self.term}: {self.value}" if self.term else self.value


class Content(NamedTuple):
    """What a file says. `encoding` is empty if it is no text; then there are no entries."""

    encoding: str
    ends: str  # LF, CRLF, CR, mixed; empty if there is no end of a line
    size: int
    entries: tuple[Entry, ...]
    more: int = 0  # entries beyond `MANY` that were not read

    def summary(self) -> str:
        """What is in it, counted: "12 speed dials, 3 labels, 5 options"."""
        if not self.size:
            return "empty"
        if not self.encoding:
            return "no text"
        counts = Counter(entry.kind for entry in self.entries)
        names = {CONTACT: "speed dial", LABEL: "label", OPTION: "option", LINE: "other line"}
        parts = [_many(counts[kind], name) for kind, name in names.items() if counts[kind]]
        if self.more:
            parts.append(_many(self.more, "line") + " not read")
        return ", ".join(parts) or "only empty lines"


class Difference(NamedTuple):
    """One thing that is not as it was. `old` and `new` are empty where it was not, or is no more."""

    what: str  # added, removed, changed, moved, form
    kind: str  # as of the entry; empty for `form`
    term: str
    old: str
    new: str

    def words(self) -> str:
        """The difference as a sentence: `speed dial 3: Anna 201 -> Anna 202`."""
        term = self.term or "line"
        if self.what == ADDED:
            return f"{term} added: {self.new}"
        if self.what == REMOVED:
            return f"{term} removed: {self.old}"
        return f"{term}: {self.old} -> {self.new}"


def parse(data: bytes) -> Content:
    """What a file says, in its order; the two lines of a contact are one entry, where the first stands."""
    encoding, text = _decode(data)
    if not encoding:
        return Content("", "", len(data), ())
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    entries: list[Entry] = []
    contacts: dict[str, tuple[int, dict[str, str]]] = {}  # number -> place among the entries, its parts
    seen: Counter[str] = Counter()
    for line in lines[:MANY]:
        name, sign, value = line.partition("=")
        name, value = name.strip(), value.strip()
        numbered = _NUMBERED.match(name) if sign else None
        if not sign or not name:
            entry = Entry(LINE, line, "", line)
        elif numbered is None:
            entry = _option(name, value)
        elif (base := numbered[1].lower()) in _LABELS:
            number = numbered[2].lstrip("0") or "0"
            entry = Entry(LABEL, f"{base} {number}", f"{_LABELS[base]} {number}", value)
        else:
            part, number = base.removeprefix("abk"), numbered[2].lstrip("0") or "0"
            at, parts = contacts.get(number, (-1, {}))
            if part not in parts:
                parts[part] = value
                entry = _contact(number, parts)
                if at >= 0:
                    entries[at] = entry
                    continue
                contacts[number] = (len(entries), parts)
                entries.append(entry)
                continue
            entry = Entry(OPTION, name.casefold(), name, value)  # said twice: shown as it stands
        seen[entry.key] += 1
        if seen[entry.key] > 1 and entry.kind != LINE:
            entry = entry._replace(key=f"{entry.key}\0{seen[entry.key]}")
        entries.append(entry)
    return Content(encoding, _ends(text), len(data), tuple(entries), max(0, len(lines) - MANY))


def differences(old: Content | bytes, new: Content | bytes) -> list[Difference]:
    """What changed from one version to another, in the order of the new one; removed things come last.

    Versions that say the same in other bytes (line ends, order, an encoding) differ in their `form`.
    """
    same = isinstance(old, bytes) and isinstance(new, bytes) and old == new
    before, after = (one if isinstance(one, Content) else parse(one) for one in (old, new))
    if same:
        return []
    if any(one.size and not one.encoding for one in (before, after)):
        return [Difference(CHANGED, "", "content", _whole(before), _whole(after))]
    found = _contacts(before.entries, after.entries)
    was = {entry.key: entry for entry in before.entries if entry.kind in (LABEL, OPTION)}
    now = {entry.key: entry for entry in after.entries if entry.kind in (LABEL, OPTION)}
    for key, entry in now.items():
        earlier = was.get(key)
        if earlier is None:
            found.append(Difference(ADDED, entry.kind, entry.term, "", entry.value))
        elif earlier.value != entry.value:
            found.append(Difference(CHANGED, entry.kind, entry.term, earlier.value, entry.value))
    lines, earlier_lines = _bare(after), _bare(before)
    found += [Difference(ADDED, LINE, "", "", line) for line in (lines - earlier_lines).elements()]
    found += [
        Difference(REMOVED, entry.kind, entry.term, entry.value, "")
        for key, entry in was.items()
        if key not in now
    ]
    found += [Difference(REMOVED, LINE, "", line, "") for line in (earlier_lines - lines).elements()]
    return found or _form(before, after, isinstance(old, bytes))


def sentences(found: Iterable[Difference]) -> list[str]:
    """Differences in words. Many contacts that only moved, as behind a new one, are one sentence."""
    told = list(found)
    moved = [one for one in told if one.what == MOVED]
    if len(moved) <= MOVES_TOLD:
        return [one.words() for one in told]
    rest = [one.words() for one in told if one.what != MOVED]
    return [*rest, f"{len(moved)} speed dials have other numbers than before, and are the same otherwise"]


def _decode(data: bytes) -> tuple[str, str]:
    """(name of the encoding, text); both empty for what is no text."""
    for mark, encoding, shown in (
        (codecs.BOM_UTF8, "utf-8", "UTF-8 with a mark"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16LE"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16BE"),
    ):
        if data.startswith(mark):
            try:
                return shown, data[len(mark) :].decode(encoding)
            except UnicodeDecodeError:
                return "", ""
    if _CONTROLS.intersection(data):
        return "", ""
    try:
        return ("ASCII" if data.isascii() else "UTF-8"), data.decode("utf-8")
    except UnicodeDecodeError:
        # Extended ASCII; five octets have no meaning in it and are shown as escapes.
        return "Windows-1252", data.decode("cp1252", "backslashreplace")


def _ends(text: str) -> str:
    both = text.count("\r\n")
    feeds, returns = text.count("\n") - both, text.count("\r") - both
    used = [name for name, count in (("CRLF", both), ("LF", feeds), ("CR", returns)) if count]
    return used[0] if len(used) == 1 else "mixed" if used else ""


def _option(name: str, value: str) -> Entry:
    setting = _KNOWN.get(" ".join(name.split()).casefold())
    if setting is None:
        return Entry(OPTION, name.casefold(), name, value)
    term, _, switch = _OPTIONS[setting]
    return Entry(OPTION, setting, term, _SWITCH.get(value, value) if switch else value)


def _contact(number: str, parts: dict[str, str]) -> Entry:
    value = " ".join(filter(None, (parts.get("name", ""), parts.get("number", ""))))
    if not parts.get("number"):
        value = f"{value} (no number)".strip()
    elif not parts.get("name"):
        value = f"{value} (no name)"
    return Entry(CONTACT, f"contact {number}", f"speed dial {number}", value, parts.get("name", ""))


def _contacts(before: Iterable[Entry], after: Iterable[Entry]) -> list[Difference]:
    """Pairs what is the same contact: at the same place, moved, of the same name, or the place's next one."""
    was = {entry.key: entry for entry in before if entry.kind == CONTACT}
    now = {entry.key: entry for entry in after if entry.kind == CONTACT}
    origin = {key: key for key, entry in now.items() if key in was and was[key].value == entry.value}
    for same in (lambda entry: entry.value, lambda entry: entry.who, lambda entry: entry.key):
        taken = set(origin.values())
        free: dict[str, list[str]] = {}
        for key, entry in was.items():
            if key not in taken and (mark := same(entry)):
                free.setdefault(mark, []).append(key)
        for key, entry in now.items():
            if key not in origin and (left := free.get(same(entry))):
                origin[key] = left.pop(0)
    found: list[Difference] = []
    for key, entry in now.items():
        earlier = was.get(origin.get(key, ""))
        if earlier is None:
            found.append(Difference(ADDED, CONTACT, entry.term, "", entry.value))
        elif earlier.value != entry.value:
            found.append(Difference(CHANGED, CONTACT, entry.term, earlier.value, entry.value))
        elif earlier.key != entry.key:
            found.append(Difference(MOVED, CONTACT, entry.value, earlier.term, entry.term))
    kept = set(origin.values())
    gone = [entry for key, entry in was.items() if key not in kept]
    return found + [Difference(REMOVED, CONTACT, entry.term, entry.value, "") for entry in gone]


def _bare(content: Content) -> Counter[str]:
    return Counter(entry.value for entry in content.entries if entry.kind == LINE)


def _form(before: Content, after: Content, bytes_known: bool) -> list[Difference]:
    """What differs though both say the same."""
    found = []
    if before.encoding != after.encoding:
        found.append(Difference(FORM, "", "encoding", before.encoding, after.encoding))
    if before.ends != after.ends:
        found.append(Difference(FORM, "", "line ends", before.ends or "none", after.ends or "none"))
    if [entry.key for entry in before.entries] != [entry.key for entry in after.entries]:
        found.append(Difference(FORM, "", "order of the lines", "one", "another"))
    if before.more != after.more:
        found.append(Difference(FORM, "", "lines not read", str(before.more), str(after.more)))
    if not found and (bytes_known or before.size != after.size):
        found.append(Difference(FORM, "", "spelling or empty lines", f"{before.size} B", f"{after.size} B"))
    return found


def _whole(content: Content) -> str:
    return f"{content.encoding or 'no text'}, {content.size} B" if content.size else "empty"


def _many(number: int, name: str) -> str:
    return f"{number} {name}{'s' if number != 1 else ''}"
