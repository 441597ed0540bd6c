"""The settings of phones as a table: what each is for, what it may be, which phones take it.

The table is `parameters.toml`, read once when it is first asked for; docs/parameters.md describes it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mv_iptel.phones.slips import LONGEST, Words
from mv_iptel.phones.values import Problem, Rule, ranges_of

FILE = Path(__file__).with_name("parameters.toml")
MARKS = ("confirmed", "inferred", "model-dependent")
Taken = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Parameter:
    """One setting. Tuples of words are in the order of the file.

    default    None if the sources name none; `default_says` tells what they do say
    origins    file, dhcp (the site option), lldp, phone, callserver; `options` are further DHCP options
    families   those that are known to take it; others are unknown unless `only`, `lacks` or
               `signalling` shut them out
    place      settings, upgrade (only an upgrade script) or nowhere (a file cannot set it)
    before     settings that count only on later lines, because this one writes them
    inferred   which of values, default, families are not confirmed
    extra      beyond the reference's own tables
    """

    name: str
    table: str
    says: str
    rule: Rule
    rules: Mapping[str, Rule] = field(default_factory=dict)
    default: str | None = None
    default_says: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[str, ...] = ("file",)
    options: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    signalling: str = ""
    place: str = "settings"
    before: tuple[str, ...] = ()
    substitutes: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()
    server: bool = False
    file: bool = False
    login: bool = False
    source: str = "template"
    inferred: tuple[str, ...] = ()
    by_model: bool = False
    note: str = ""
    extra: bool = False

    @property
    def type(self) -> str:
        return self.rule.type

    @property
    def secret(self) -> bool:
        return self.rule.secret

    @property
    def mark(self) -> str:
        """confirmed, inferred or model-dependent."""
        if self.by_model:
            return MARKS[2]
        # Which families take it is read from headings here and there; that leaves the row as it is.
        return MARKS[1] if set(self.inferred) - {"families"} else MARKS[0]

    def check(self, value: str, family: str = "") -> Problem | None:
        """What is wrong with a value (without its quotes) for this family, "" for any; None if nothing is."""
        problem = self.rules.get(family, self.rule).check(value)
        if problem is None and self.type in ("file", "files") and family in _table().file_names:
            pattern, form = _table().file_names[family]
            for item in value.split(",") if self.type == "files" else [value]:
                if item and "://" not in item and "$" not in item and not re.fullmatch(pattern, item):
                    shown = self.rule.shown(item)
                    return Problem(
                        "form", f"a {family} takes file names of {form}; {self.name} names {shown}"
                    )
        return problem

    def default_for(self, family: str) -> str | None:
        """What this family has if nobody sets it, or None."""
        return self.defaults.get(family, self.default)

    def exposes(self, value: str) -> bool:
        """Whether whoever can fetch a file with this value learns a secret."""
        return bool(value) and (self.secret or bool(re.match(r"[a-z]+://[^/:]*:[^/]*@", value, re.I)))


class Name(NamedTuple):
    """A setting of which no more is known than that it exists."""

    name: str
    secret: bool = False


class Spelling(NamedTuple):
    """Another name of a setting, and whose it is."""

    name: str
    means: str
    says: str
    families: tuple[str, ...] = ()


class Variable(NamedTuple):
    """What IF may test; `put_in` may also stand inside values and file names."""

    name: str
    says: str
    families: tuple[str, ...]
    values: tuple[str, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    put_in: bool = False
    tested: bool = True
    note: str = ""


class Seen(NamedTuple):
    """Names that no table has and that stand in files that work."""

    says: str
    names: frozenset[str]
    patterns: str


class Preset(NamedTuple):
    """What a kind of VPN gateway needs, in the order in which it must be set."""

    name: str
    says: str
    families: tuple[str, ...]
    sets: tuple[tuple[str, str], ...]


def parameters() -> Mapping[str, Parameter]:
    """Every setting that is described, by name."""
    return _table().parameters


def names() -> Mapping[str, Name]:
    """Every name in the vendor's settings template, described or not."""
    return _table().names


def variables() -> Mapping[str, Variable]:
    """Every variable of scripts, by name."""
    return _table().variables


def presets() -> Mapping[str, Preset]:
    """Every VPN preset, by name."""
    return _table().presets


def field_names() -> Mapping[str, Seen]:
    """Names that are known from the field only, by the kind of file."""
    return _table().field


def families() -> Mapping[str, str]:
    """The families that the table speaks of, with their signalling."""
    return _table().families


def titles() -> Mapping[str, str]:
    """The headings of the tables."""
    return _table().titles


def sources() -> Mapping[str, str]:
    """Where rows come from, in words."""
    return _table().sources


def known(name: str) -> Parameter | Name | None:
    """The setting of this name, in any letter case and other spelling (compare `.name`), or None."""
    found = _table().every.get(name)
    return _table().every.get(name.upper()) if found is None else found


def spelling(name: str) -> Spelling | None:
    """Whether this is another name of a setting."""
    return _table().spellings.get(name.upper())


def elsewhere(name: str) -> str:
    """What this is if it belongs to another language than settings files: "a key of ..."; else empty."""
    table = _table()
    return "" if known(name) else table.elsewhere.get(re.sub(r"[0-9]+", "#", name.upper()), "")


def takes(parameter: Parameter | Name, family: str) -> Taken:
    """Whether phones of this family take it. Not being listed proves nothing."""
    if isinstance(parameter, Name):
        return "unknown"
    if family in parameter.lacks or (parameter.only and family not in parameter.only):
        return "no"
    if family in parameter.families:
        return "yes"
    signalling = _table().families.get(family, "")
    return "no" if parameter.signalling and signalling not in ("", parameter.signalling) else "unknown"


def nearest(name: str, count: int = 3) -> list[str]:
    """Known names that this may be a slip of, the nearest first; described ones before mere names."""
    return list(_nearest(name.upper()[:LONGEST], count))


def near_secret(name: str) -> bool:
    """Whether a secret setting is among the names that this may be a slip of; cheaper than to find those."""
    return bool(_table().secrets.nearest(name.upper()[:LONGEST], 1))


@lru_cache(maxsize=4096)
def _nearest(name: str, count: int) -> tuple[str, ...]:
    return tuple(_table().words.nearest(name, count))


def search(words: Iterable[str]) -> list[Parameter | Name]:
    """Settings in which every word stands: in the name first, then in what is said, then in the heading."""
    wanted = [word.casefold() for word in words if word]
    table = _table()
    found: list[tuple[int, str, Parameter | Name]] = []
    for each in table.parameters.values():
        name = " ".join((each.name, *each.spellings)).casefold()
        text = f"{name} {each.says} {each.note} {' '.join(each.rule.values.values())}".casefold()
        for rank, place in enumerate((name, text, f"{text} {table.titles[each.table].casefold()}")):
            if all(word in place for word in wanted):
                found.append((rank, each.name, each))
                break
    for other in table.names.values():
        if other.name not in table.parameters and all(word in other.name.casefold() for word in wanted):
            found.append((3, other.name, other))
    return [each for _, _, each in sorted(found, key=lambda one: one[:2])]


def written(value: str) -> str:
    """A value as it stands behind SET: quoted if it is empty or has blanks."""
    return f'"{value}"' if not value or any(one.isspace() for one in value) else value


# The table.


class _Table:
    """The file, read."""

    def __init__(self, read: dict[str, Any]):
        self.families: dict[str, str] = read["families"]
        self.titles: dict[str, str] = read["tables"]
        self.sources: dict[str, str] = read["sources"]
        self.file_names = {name: (each["pattern"], each["form"]) for name, each in read["file_names"].items()}
        self.spellings = {
            name: Spelling(name, each["means"], each["says"], _words(each.get("families")))
            for name, each in read["spellings"].items()
        }
        also: dict[str, list[str]] = {}
        for each in self.spellings.values():
            also.setdefault(each.means, []).append(each.name)
        rows = {name: (table, row) for table in self.titles for name, row in read[table].items()}
        self.parameters: dict[str, Parameter] = {}
        for name, (table, row) in rows.items():
            whole = {**rows[row["like"]][1], **row} if "like" in row else row
            self.parameters[name] = _parameter(name, table, whole, tuple(also.get(name, ())))
        secrets = frozenset(_words(read["names"]["secrets"]))
        self.names = {
            name: Name(name, name in secrets or (name in self.parameters and self.parameters[name].secret))
            for name in _words(read["names"]["template"])
        }
        self.every: dict[str, Parameter | Name] = {**self.names, **self.parameters}
        for each in self.spellings.values():
            self.every[each.name] = self.every[each.means]
        self.variables = {name: _variable(name, row) for name, row in read["variables"].items()}
        self.presets = {
            name: Preset(name, row["says"], _words(row["families"]), tuple(row["sets"].items()))
            for name, row in read["presets"].items()
        }
        self.field = {
            name: Seen(row["says"], frozenset(_words(row["names"])), row["patterns"])
            for name, row in read["field"].items()
        }
        self.elsewhere = {
            name: group["says"] for group in read["elsewhere"].values() for name in _words(group["names"])
        }

    @cached_property
    def words(self) -> Words:
        """Each name that may be meant, described ones first."""
        return Words((name, 0 if isinstance(each, Parameter) else 1) for name, each in self.every.items())

    @cached_property
    def secrets(self) -> Words:
        """Those of them that are secret."""
        return Words((name, 0) for name, each in self.every.items() if each.secret)


@lru_cache(maxsize=1)
def _table() -> _Table:
    return _Table(tomllib.loads(FILE.read_text("utf-8")))


_FLAGS = ("server", "file", "login", "by_model")
_TEXTS = ("says", "default_says", "signalling", "place", "source", "note")
_TUPLES = ("options", "families", "only", "lacks", "before", "substitutes", "inferred")


def _parameter(name: str, table: str, row: dict[str, Any], spellings: tuple[str, ...]) -> Parameter:
    differs: dict[str, dict[str, str]] = row.get("differs", {})
    given: dict[str, Any] = {key: row[key] for key in (*_FLAGS, *_TEXTS) if key in row}
    given.update((key, _words(row[key])) for key in _TUPLES if key in row)
    return Parameter(
        name=name,
        table=table,
        rule=_rule(name, row),
        rules={
            family: _rule(name, {**row, **own}) for family, own in differs.items() if set(own) - {"default"}
        },
        default=row.get("default"),
        defaults={family: own["default"] for family, own in differs.items() if "default" in own},
        origins=_words(row.get("from", "file")),
        spellings=spellings,
        extra=table == "more",
        **given,
    )


_RANGES = {"port": "0-65535", "dscp": "0-63"}


def _rule(name: str, row: dict[str, Any]) -> Rule:
    kind = row["type"]
    length = ranges_of(row.get("length", ""))
    values = row.get("values", {"0": "", "1": ""} if kind == "flag" else {})
    without = _words(row.get("without"))
    inferred = "values" in _words(row.get("inferred")) and kind != "port"
    return Rule(
        name=name,
        type=kind,
        values={code: words for code, words in values.items() if code not in without},
        ranges=ranges_of(row.get("range", _RANGES.get(kind, ""))),
        length=length[0] if length else None,
        pattern=row.get("pattern", ""),
        chars=row.get("chars", ""),
        form=row.get("form", ""),
        schemes=_words(row.get("schemes")),
        suffix=_words(row.get("suffix")),
        most=row.get("most", 0),
        unit=row.get("unit", ""),
        port=row.get("port", False) or kind == "controllers",
        url=row.get("url", False),
        accepts=_words(row.get("accepts")),
        secret=row.get("secret", False),
        loose=row.get("loose", False) or inferred,
    )


def _variable(name: str, row: dict[str, Any]) -> Variable:
    return Variable(
        name, row["says"], _words(row["families"]), _words(row.get("values")),
        ranges_of(row.get("range", "")), row.get("put_in", False), row.get("tested", True),
        row.get("note", ""),
    )  # fmt: skip


def _words(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").split())
