"""Which firmware lies in a directory, told by names: for which models, of what kind and version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# app, boot, root (kernel and file system), app3 (the application of hardware version 3), module (buttons)
_FORMS = tuple(
    (re.compile(form, re.IGNORECASE | re.ASCII), kind, families)
    for form, kind, families in (
        (r"FW_S_(?P<models>J[0-9]{3}(?:_J[0-9]{3})*)_(?P<version>\w+)\.bin", "app", "J100-sip"),
        (r"FW_H_(?P<models>J[0-9]{3}(?:_J[0-9]{3})*)_(?P<version>\w+)\.bin", "app", "J100"),
        (r"FW_JEM24_(?P<version>\w+)\.bin", "module", "J100-sip"),
        (r"S96x1_UKR_(?P<version>\w+)\.tar", "root", "96x1 96x1-sip"),
        (r"S(?P<models>9608_11|9621_41|96x1)_?HALBR(?P<version>\w+)\.tar", "app", "96x1"),
        (r"S(?P<models>9608_11|9621_41|96x1)_?SALBR(?P<version>\w+)\.tar", "app", "96x1-sip"),
        (r"S(?P<models>9608_11|9621_41|96x1)_?SALKR(?P<version>\w+)\.bin", "app3", "96x1-sip"),
        (r"SIP96x[x0]_(?P<version>\w+?)(?P<sha>_SHA256)?\.bin", "app", "96x0-sip"),
        (r"hb96x[x0](?P<version>\w+?)(?P<sha>_SHA256)?\.bin", "boot", "96x0 96x0-sip"),
        (r"(?:ha|s)?96x[x0](?P<version>\w+?)(?P<sha>_SHA256)?\.bin", "app", "96x0"),
        (r"hb(?P<models>16xx|1603|1608|1616)(?P<version>\w+)\.bin", "boot", "16xx"),
        (r"(?:ha|s)?(?P<models>16xx|1603|1608|1616)(?P<version>\w+)\.bin", "app", "16xx"),
        (r"S?B189_?UKR_?(?P<version>\w+)\.tar", "root", "B189"),
        (r"S?B189(?P<version>\w+)\.(?:tar|bin)", "app", "B189"),
        (r"(?:FW_S_)?(?P<models>K1xx|K155|K165|K175)(?P<version>\w+)\.(?:bin|tar)", "app", "K1xx"),
        (r"(?P<models>46[0-9]{2})(?:SW)?_?(?P<version>\w*)\.app", "app", "4600"),
        (r"[ai](?P<models>[0-9]{2})d[0-9]{2}(?P<version>\w+)\.bin", "app", "4600"),
        (r"b(?P<models>[0-9]{2})d[0-9]{2}(?P<version>\w+)\.bin", "boot", "4600"),
        (r"(?:bbla|repl\w*boot)(?P<version>\w*)\.(?:bin|app)", "boot", "4600"),
    )
)
_GROUPS = {
    "9608_11": ("9608", "9611"),
    "9621_41": ("9621", "9641"),
    "96X1": (),
    "16XX": (),
    "K1XX": (),
}


class Firmware(NamedTuple):
    """One file. `models` are first four characters (for the 4600 two digits); empty: all of the family."""

    file: str
    family: str
    kind: str
    models: tuple[str, ...]
    version: tuple[int, ...]
    sha256: bool = False  # signed so that only newer phones can check it


def firmware(names: Iterable[str]) -> list[Firmware]:
    """Every firmware among these names, once for each family that may load it."""
    found = []
    for name in sorted(names):
        for form, kind, families in _FORMS:
            match = form.fullmatch(name)
            if match is None:
                continue
            parts = match.groupdict()
            written = (parts.get("models") or "").upper()
            models = _GROUPS.get(written, tuple(filter(None, written.split("_"))))
            version = tuple(int(number) for number in re.findall(r"[0-9]+", parts["version"] or ""))
            if families == "4600":
                models = tuple(model[-2:] for model in models)
                if name.lower().endswith(".app"):
                    version = (0, *version)  # the older way to name them: a date
            found += [
                Firmware(name, family, kind, models, version, bool(parts.get("sha")))
                for family in families.split()
            ]
            break
    return found


def newest(found: Iterable[Firmware]) -> Firmware | None:
    """The one with the highest version, or None."""
    return max(found, key=lambda one: (one.version, one.file), default=None)


def for_model(found: Iterable[Firmware], model4: str) -> Firmware | None:
    """What a model loads: what is made for it alone goes before what is made for all."""
    fitting = [one for one in found if not one.models or model4 in one.models]
    own = [one for one in fitting if one.models]
    return newest(own or fitting)
