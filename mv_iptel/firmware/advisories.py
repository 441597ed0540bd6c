"""Which versions of phone firmware are weak or out of support, told by data files (docs/advisories.md)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.config import Config
from mv_iptel.phones.families import FAMILIES, MODELS, version_of

SCHEMA = 1
SHIPPED = Path(__file__).with_name("advisories.toml")
NAME = "advisories.toml"  # the site's own, beside MV_IPTel.ini
KINDS = ("weak", "unsupported")
LONGEST = 1 << 20  # octets of a file
_MODELS = {model.casefold() for model in MODELS}


class Advisory(NamedTuple):
    """One entry: whom it is about, and what of it. Without `below` and `upto` it is about every version."""

    id: str
    kind: str  # one of KINDS
    families: tuple[str, ...]
    models: tuple[str, ...]
    below: tuple[int, ...]
    upto: tuple[int, ...]
    text: str
    source: str
    confirmed: bool  # by a public document; else it is inferred

    def concerns(self, family: str, model: str, software: str) -> bool:
        """Whether a phone of this family and model that runs this has it. An unknown version has none."""
        if not (family in self.families or model.casefold() in self.models):
            return False
        if not (self.below or self.upto):
            return True
        runs = numbers(software)
        if not runs:
            return False
        if self.below:
            return _compared(runs, self.below) < 0
        return runs[: len(self.upto)] <= self.upto  # 2.6.17.0 is a 2.6.17

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"id": self.id, "kind": self.kind, "text": self.text, "source": self.source,
                "confirmed": self.confirmed}  # fmt: skip


def numbers(software: str) -> tuple[int, ...]:
    """The version in the name of a firmware file, or in what a phone says; empty if there is none."""
    parts = version_of(software).split(".")
    found = tuple(int(part) for part in parts) if all(0 < len(part) < 6 for part in parts) else ()
    return found if found and found[0] < 100 else ()  # 4620_031225.app carries a date


def concerning(
    advisories: Iterable[Advisory], family: str, model: str, software: str
) -> tuple[Advisory, ...]:
    """What is known against a phone, the gravest kind first."""
    found = [one for one in advisories if one.concerns(family, model, software)]
    return tuple(sorted(found, key=lambda one: KINDS.index(one.kind)))


def known(config: Config) -> tuple[list[Advisory], list[str]]:
    """The product's advisories with the site's own, and what is wrong with the latter's file."""
    found, problems = read(SHIPPED)
    assert not problems, problems
    own = config.file.parent / NAME if config.file is not None else None
    if own is not None and own.exists():
        more, problems = read(own)
        replaced = {one.id for one in more}
        found = [one for one in found if one.id not in replaced] + more
    return found, problems


def read(path: Path) -> tuple[list[Advisory], list[str]]:
    """The entries of a file; a broken one is left out and told."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            return [], [f"{path}: it is longer than {LONGEST:,} octets"]
        table = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        return [], [f"{path}: {error.strerror}"]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [], [f"{path}: it is no TOML: {error}"]
    except RecursionError:
        return [], [f"{path}: it is no TOML: it is nested too deeply"]
    if table.get("schema") != SCHEMA:
        return [], [f"{path}: schema is not {SCHEMA}; this version reads no other"]
    found: dict[str, Advisory] = {}
    problems = [f"{path}: {key} is no key here; write schema or [[advisory]]"
                for key in table if key not in ("schema", "advisory")]  # fmt: skip
    entries = table.get("advisory", [])
    if not isinstance(entries, list):
        return [], [*problems, f"{path}: advisory: write [[advisory]] above each entry"]
    for place, entry in enumerate(entries, 1):
        one = _entry(entry)
        name = entry.get("id") if isinstance(entry, dict) else None
        where = f"{path}: advisory {place}" + (f" ({name})" if isinstance(name, str) else "")
        if isinstance(one, str):
            problems.append(f"{where}: {one}")
        elif one.id in found:
            problems.append(f"{where}: there is another with this id above")
        else:
            found[one.id] = one
    return list(found.values()), problems


def _entry(entry: object) -> Advisory | str:
    """An entry, or what is wrong with it."""
    if not isinstance(entry, dict):
        return "write [[advisory]] above each entry"
    values: dict[str, Any] = {}
    for key, value in entry.items():
        form = _KEYS.get(key)
        if form is None:
            return f"{key} is no key of an advisory; they are {', '.join(_KEYS)}"
        try:
            values[key] = form(value)
        except ValueError as error:
            return f"{key}: {error}"
    missing = [key for key in ("id", "kind", "text", "source") if not values.get(key)]
    if missing:
        return f"{missing[0]} is missing"
    if not (values.get("families") or values.get("models")):
        return "it is about nobody; name families or models"
    if values.get("below") and values.get("upto"):
        return "below and upto at once; write one of them"
    empty: dict[str, Any] = {"families": (), "models": (), "below": (), "upto": (), "confirmed": False}
    return Advisory(**{**empty, **values})


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 500 or not value.isprintable():
        raise ValueError("a text of one line and at most 500 characters")
    return value.strip()


def _kind(value: object) -> str:
    if value not in KINDS:
        raise ValueError(f"one of {', '.join(KINDS)}")
    return str(value)


def _families(value: object) -> tuple[str, ...]:
    for one in (found := _list(value)):
        if one not in FAMILIES:
            raise ValueError(f"{one!r} is no family; they are {', '.join(FAMILIES)}")
    return found


def _models(value: object) -> tuple[str, ...]:
    found = tuple(one.casefold() for one in _list(value))
    for one in found:
        if one not in _MODELS:
            raise ValueError(f"{one!r} is no model; they are {', '.join(MODELS)}")
    return found


def _list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError('a list of names, as in ["4600"]')
    return tuple(value)


def _version(value: object) -> tuple[int, ...]:
    parts = value.split(".") if isinstance(value, str) else []
    if not parts or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise ValueError('a version in quotes, as in "6.8.2"')
    return tuple(map(int, parts))


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


_KEYS: dict[str, Callable[[object], Any]] = {
    "id": _text, "kind": _kind, "families": _families, "models": _models, "below": _version, "upto": _version,
    "text": _text, "source": _text, "confirmed": _truth,
}  # fmt: skip


def _compared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Less than, equal or greater than 0, as versions are ordered: 2.6 is 2.6.0."""
    size = max(len(one), len(other))
    first, second = (each + (0,) * (size - len(each)) for each in (one, other))
    return (first > second) - (first < second)
