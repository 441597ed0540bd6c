"""The old ini files, key by key: which value is taken, which one changes and why, which needs a decision.

Pure but for the files that `config.load` looks at. Values go into this product's own commented file; a key
that the old file does not have gets what the reference's printed sample says, so that nothing starts to run
that did not run there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mv_iptel import config
from mv_iptel.config import ConfigError, Finding, keys, lines
from mv_iptel.config.keys import KNOWN_PASSWORD, Key, keys_of
from mv_iptel.config.values import SECRET
from mv_iptel.home import Home
from mv_iptel.migrating.report import CHANGED, DECIDE, HIDDEN, TAKEN, Row

Place = tuple[str, str]  # section and key, as printed

# Left out of the new file, and why.
_LEFT = {
    "Version": "the build stamp of the old program",
    "Command": "obsolete: the server speaks SNMP itself",
    "Awk": "obsolete: the server speaks SNMP itself",
}
# Not filled in where they are absent: the superuser's stay as `init` made them, the others mean nothing.
_KEPT = {*_LEFT, "Params", "EnableSU", "SUPassword", "TLSV1"}
# Paths are settled by where their files are copied to.
PATHS = {
    ("Settings", "LogFile"), ("FTP", "FTPDir"), ("TFTP", "TFTPDir"), ("HTTP", "HTTPDir"),
    ("HTTPS", "HTTPSDir"), ("HTTPS", "CertFile"), ("HTTPS", "KeyFile"),
}  # fmt: skip
# Switches that talk to another server of the reference: that server has to move too.
_CENTRAL = {
    "FileServer": "its branches must be mv-iptel servers too: `mv-iptel central invite` lets each one in",
    "RequestUpdates": "the file server must be an mv-iptel too: `central invite` there, `central join` here",
    "RequestBackup": "the file server must be an mv-iptel too: `central invite` there, `central join` here",
}


class New(NamedTuple):
    """What becomes of a key."""

    value: str | None  # None: not written
    verdict: str
    why: str = ""


@dataclass
class Taken:
    """The outcome for one file: values to be written, and what is told."""

    values: dict[Place, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


def server(home: Home, file: Path, paths: Mapping[Place, New], password: str) -> Taken:
    """`MV_IPTel.ini`. `paths` says what becomes of PATHS; `password` stands in for the printed one."""
    done = Taken()
    found = _findings(lambda: config.load(home, file))
    written = _read(file, keys.SERVER, found, done)
    off = _value(written, ("FTP", "EnableSU")) == "0"

    def settle(place: Place, key: Key, value: str) -> New:
        name = place[1]
        if place in paths:
            return paths[place]
        if name in _LEFT:
            return New(None, CHANGED, f"left out: {_LEFT[name]}")
        if place == ("SNMP", "Params"):
            return _params(done, value, found.get(place, []))
        if place == ("FTP", "SUPassword") and value in ("", KNOWN_PASSWORD):
            if off:
                return New(password, CHANGED, "everybody knows the printed one; he is switched off")
            why = "everybody knows the printed one: a made-up one took its place"
            return New(password, CHANGED, f"{why}, see initial-passwords.txt or the new ini")
        if name in _CENTRAL and value == "1":
            return New(value, DECIDE, _CENTRAL[name])
        if key.kind is SECRET and value.startswith("@"):
            return New(f"@{value}", CHANGED, "a single @ would name a file")
        return New(value, TAKEN)

    _settle(done, written, found, settle, file)
    for place, attribute_default in _defaults(keys.SERVER).items():
        # What nobody wrote down: as the reference would have it.
        if place in done.values or place in PATHS or place[1] in _KEPT:
            continue
        done.values[place] = attribute_default
    done.values.setdefault(("SNMP", "Community"), keys.DEFAULT_COMMUNITY)
    if ("FTP", "EnableSU") in done.values:
        done.values.setdefault(("FTP", "SUPassword"), password)
    return done


def watchdog(home: Home, file: Path) -> Taken:
    """`MV_WatchDog.ini`."""
    done = Taken()
    found = _findings(lambda: config.load_watchdog(home, file))
    written = _read(file, keys.WATCHDOG, found, done)

    def settle(place: Place, key: Key, value: str) -> New:
        if place[1] == "Version":
            return New(None, CHANGED, f"left out: {_LEFT['Version']}")
        if place[1] == "LogFile":
            return New(key.default, CHANGED, "the home's own log; old logs stay where they are")
        if place[1] == "HostAddress" and value not in ("127.0.0.1", "localhost", "::1"):
            return New(value, DECIDE, "watches this host? The alert restarts the server of this host only")
        return New(value, TAKEN)

    _settle(done, written, found, settle, file)
    return done


# --- how a file is read ---------------------------------------------------------------------------------


class _Line(NamedTuple):
    entry: lines.Entry
    place: Place
    key: Key


def _findings(load: Callable[[], config.Config | config.WatchDogConfig]) -> dict[Place, list[Finding]]:
    """What loading says of each key; ("", "") has what stands nowhere."""
    try:
        told = load().findings
    except ConfigError as error:
        told = error.findings
    found: dict[Place, list[Finding]] = {}
    for one in told:
        found.setdefault((one.section, one.key), []).append(one)
    return found


def _read(
    file: Path, sections: dict[str, tuple[str, type]], found: Mapping[Place, list[Finding]], done: Taken
) -> dict[Place, list[_Line]]:
    """The known keys with all their lines. Everything else that is told becomes a row."""
    table = {
        name.lower(): (name, {key.name.lower(): key for key in keys_of(part).values()})
        for name, (_, part) in sections.items()
    }
    written: dict[Place, list[_Line]] = {}
    by_line: dict[int, list[Finding]] = {}
    for findings in found.values():
        for one in findings:
            by_line.setdefault(one.line, []).append(one)
    # What is wrong with the file as a whole stands on no line.
    whole = [one for one in by_line.get(0, ()) if not one.key]
    done.rows += [Row(str(file), 0, "", "", "", "", DECIDE, one.text) for one in whole]
    for item in lines.read(file.read_bytes()[: lines.MAX_BYTES]):
        section, known = table.get(item.section.lower(), (item.section, {}))
        if isinstance(item, lines.Entry) and item.key.lower() in known:
            key = known[item.key.lower()]
            written.setdefault((section, key.name), []).append(_Line(item, (section, key.name), key))
        elif isinstance(item, lines.Entry) and section.lower() not in table and section:
            near = difflib.get_close_matches(item.key.lower(), _names(sections), 1, 0.6)
            why = f"is in an unknown section{f', perhaps {near[0]} is meant' if near else ''}"
            done.rows.append(_row(file, item, section, item.key, item.value.strip(), "", DECIDE, why))
        else:
            for one in by_line.get(item.line, ()):
                name = item.key if isinstance(item, lines.Entry) else one.key
                value = item.value.strip() if isinstance(item, lines.Entry) else ""
                done.rows.append(_row(file, item, section, name, _hidden(name, value), "", DECIDE, one.text))
    return written


def _names(sections: dict[str, tuple[str, type]]) -> list[str]:
    return [key.name.lower() for _, part in sections.values() for key in keys_of(part).values()]


def _hidden(name: str, value: str) -> str:
    """An unknown key may hold a password too."""
    return (
        HIDDEN
        if value and any(word in name.lower() for word in ("pass", "pwd", "secret", "commun"))
        else value
    )


def _row(
    file: Path, item: lines.Entry | lines.Header | lines.Stray, section: str, key: str, old: str, new: str,
    verdict: str, why: str,
) -> Row:  # fmt: skip
    return Row(str(file), item.line, section, key, old, new, verdict, why)


def _value(written: Mapping[Place, list[_Line]], place: Place) -> str:
    there = written.get(place)
    return there[-1].entry.value.strip() if there else ""


def _settle(
    done: Taken,
    written: Mapping[Place, list[_Line]],
    found: Mapping[Place, list[Finding]],
    settle: Callable[[Place, Key, str], New],
    file: Path,
) -> None:
    for place, there in written.items():
        told = {one.line: one for one in found.get(place, ())}
        secret = there[0].key.kind is SECRET or place[1] == "Params"
        good = [one for one in there if not _is_bad(one, told)]
        for one in there:
            text = one.entry.value if one.key.kind.blanks else one.entry.value.strip()
            shown = HIDDEN if secret and text.strip() else text.strip()
            if _is_bad(one, told):
                torn = one.entry.torn and bool(good)
                why = "half a comment, left out" if torn else told[one.entry.line].text
                row = (CHANGED if torn else DECIDE), why
                new = "" if good else one.key.default
                done.rows.append(_row(file, one.entry, *place, shown, new, *row))
            elif one is not good[-1]:
                why = f"set again on line {good[-1].entry.line}, which counts"
                done.rows.append(_row(file, one.entry, *place, shown, "", CHANGED, why))
            else:
                new = settle(place, one.key, text)
                note = told.get(one.entry.line)
                if new.verdict == TAKEN and note is not None and "was set before" not in note.text:
                    new = New(new.value, DECIDE, note.text)
                if new.value is not None:
                    done.values[place] = new.value
                told_new = HIDDEN if secret and new.value else (new.value or "")
                done.rows.append(_row(file, one.entry, *place, shown, told_new, new.verdict, new.why))
    done.rows.sort(key=lambda one: one.line)


def _is_bad(one: _Line, told: Mapping[int, Finding]) -> bool:
    """Whether this line cannot be used. A password that begins with @ can: it named no file there."""
    finding = told.get(one.entry.line)
    if one.key.kind is SECRET and one.entry.value.strip().startswith("@"):
        return False
    if finding is None:
        return False
    return finding.level == "error" or (one.entry.torn and " " in one.entry.value.strip())


def _params(done: Taken, value: str, found: list[Finding]) -> New:
    """The reference's options for snmpget become keys of their own."""
    from mv_iptel.config.loading import _params as words

    version, community, _ = words(value)
    told = []
    if version in ("1", "2c"):
        done.values[("SNMP", "SNMPVersion")] = version
        told.append("SNMPVersion")
    if community:
        done.values[("SNMP", "Community")] = f"@{community}" if community.startswith("@") else community
        told.append("Community")
    why = f"became {' and '.join(told)}" if told else "says neither version nor community; left out"
    if found:
        return New(None, DECIDE, f"{why}; {found[0].text}")
    return New(None, CHANGED, why)


def _defaults(sections: dict[str, tuple[str, type]]) -> dict[Place, str]:
    """What each key of the reference is when nobody writes it down."""
    return {
        (section, key.name): key.default
        for section, (_, part) in sections.items()
        for key in keys_of(part).values()
        if not key.ours
    }
