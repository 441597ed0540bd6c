"""Writes the upgrade script of each family whose firmware is in a directory, naming just that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mv_iptel.phones.authoring.firmware import Firmware, firmware, for_model, newest
from mv_iptel.phones.authoring.page import Page
from mv_iptel.phones.authoring.vpn import VPN_SCRIPT, with_branch
from mv_iptel.phones.authoring.wishes import models4
from mv_iptel.phones.families import FAMILIES
from mv_iptel.phones.script import parse

SETTINGS = "46xxsettings.txt"
_MODULES = ("J169", "J179", "J189")  # sets that take button modules with firmware of their own
_END = "FILES"


class Load(NamedTuple):
    """What a phone is told to load: settings of the upgrade script, in order."""

    sets: tuple[tuple[str, str], ...] = ()
    boot: str = ""  # this one has to be in the phone first


@dataclass
class Written:
    """The scripts by name, what could not be decided, and the firmware that none of them names."""

    scripts: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)


def upgrade_scripts(
    names: Iterable[str], current: Mapping[str, bytes] | None = None, families: Iterable[str] = ()
) -> Written:
    """Scripts for these files; for all families, or only for some.

    `current` are scripts that are there: where names do not tell which kernel belongs to which software, what
    they say counts.
    """
    names = set(names)
    written = Written()
    found = firmware(names)
    wanted = set(families) or set(FAMILIES)
    # A kernel or boot file alone may belong to a sister's software.
    present = {one.family for one in found if one.kind in ("app", "app3")} & wanted
    spelled = {name.casefold(): name for name in sorted(names | set(current or ()))}
    for script, (ours, write) in _SCRIPTS.items():
        if not present & set(ours):
            continue
        target = spelled.get(script.casefold(), script)
        page = Page()
        mine = {family: [one for one in found if one.family == family] for family in ours}
        old = (current or {}).get(target, b"")
        write(_Writer(page, script, mine, written.notes, old))
        if page.wants(_END):
            page.tag(_END)
        else:
            page.blank()
        page.get(spelled.get(SETTINGS, SETTINGS))
        data = page.data()
        if not any(one.kind == "set" for one in parse(script, data).statements):
            continue  # what could not be decided must not take the place of a script that works
        if "4600" in ours and VPN_SCRIPT.casefold() in spelled:
            data = with_branch(data)
        written.scripts[target] = data
    if written.scripts and SETTINGS not in spelled:
        written.notes.append(f"{SETTINGS} is not there yet: `mv-iptel settings new` writes one")
    named = {
        statement.value
        for name, data in written.scripts.items()
        for statement in parse(name, data).statements
        if statement.kind in ("set", "if")
    }
    mine_too = {one.file for one in found if one.family in wanted}
    written.unnamed = sorted(mine_too - named)
    return written


class _Writer:
    """One script: its page, and the firmware of its families."""

    def __init__(
        self, page: Page, script: str, found: dict[str, list[Firmware]], notes: list[str], old: bytes
    ):
        self.page = page
        self.script = script
        self.found = found
        self.notes = notes
        self.old = old

    def of(self, family: str, kind: str, sha256: bool | None = None) -> list[Firmware]:
        return [
            one for one in self.found[family] if one.kind == kind and (sha256 is None or one.sha256 == sha256)
        ]

    def begin(self, text: str) -> None:
        self.page.say(f"{self.script}: {text}")
        self.page.say(
            "It names the newest firmware that was in the directory. Your own settings belong into the "
            "settings file; jumps go down the file only."
        )
        self.page.blank()

    def load(self, load: Load, place: str) -> None:
        """The lines that order this; without any the phone keeps what it has."""
        if load.boot and load.sets:
            self.page.say("The boot file goes first, where it is another one.")
            self.page.jump("BOOTNAME", load.boot, f"{place}APP")
            self.page.set("APPNAME", load.boot)
            self.page.goto(_END)
            self.page.tag(f"{place}APP")
        for name, value in load.sets:
            self.page.set(name, value)

    def by_model(self, loads: Mapping[str, Load]) -> None:
        """A place for each group of models that load the same; the others keep what they have."""
        alike: dict[Load, list[str]] = {}
        for model, load in loads.items():
            if load.sets:
                alike.setdefault(load, []).append(model)
        if len(alike) == 1 and len(next(iter(alike.values()))) == len(loads):
            load = next(iter(alike))
            self.load(load, "")
            return
        for models in alike.values():
            for model in models:
                self.page.jump("MODEL4", model, f"MODEL{models[0]}")
        self.page.goto(_END)
        for at, (load, models) in enumerate(alike.items()):
            self.page.tag(f"MODEL{models[0]}")
            self.load(load, f"MODEL{models[0]}")
            if at + 1 < len(alike):
                self.page.goto(_END)

    def kernel(self, family: str) -> str | None:
        """The kernel of the 96x1; None if it is not known which of several."""
        roots = self.of(family, "root")
        if len({one.file for one in roots}) < 2:
            return roots[0].file if roots else ""
        there = {one.file.casefold(): one.file for one in roots}
        for statement in parse(self.script, self.old).statements:
            if statement.name == "RFSNAME" and statement.value.casefold() in there:
                return there[statement.value.casefold()]
        self.notes.append(
            f"{self.script}: {', '.join(sorted(there.values()))} are there, and no name tells which belongs "
            f"to this software; keep one, or write SET RFSNAME into {self.script} yourself"
        )
        return None


def _4600(to: _Writer) -> None:
    to.begin("what program the 4600 phones run.")
    apps, boots = to.of("4600", "app"), to.of("4600", "boot")
    paired = {
        models: (app, [boot for boot in boots if boot.models == models])
        for models in sorted({one.models for one in apps})
        if (app := newest(one for one in apps if one.models == models)) is not None
    }
    known = {models: pair for models, pair in paired.items() if pair[1]}
    if known:
        to.page.say("A 4600 says nothing of its model but the boot file that it has.")
        for models, (_, own) in known.items():
            for boot in own:
                to.page.jump("BOOTNAME", boot.file, f"SETS{models[0]}")
        to.page.goto(_END)
        for at, (models, (app, _)) in enumerate(known.items()):
            to.page.tag(f"SETS{models[0]}")
            to.page.set("APPNAME", app.file)
            if at + 1 < len(known):
                to.page.goto(_END)
    elif len(paired) == 1:
        app = next(iter(paired.values()))[0]
        to.page.say("Every 4600 that reads this loads it; other models need a directory of their own.")
        to.page.set("APPNAME", app.file)
        return
    left = [app.file for models, (app, _) in paired.items() if models not in known]
    if left:
        to.notes.append(
            f"{to.script}: {', '.join(left)} named nowhere: a 4600 says nothing of its model, so that "
            "only its boot file could tell who is to load which"
        )


def _96x0(to: _Writer) -> None:
    to.begin("what software the 9610 to 9670 run, with H.323 and with SIP.")
    plain = _with_boot(to, "96x0", False)
    if not plain.sets:
        plain = _with_boot(to, "96x0", True)
    old, new = _with_boot(to, "96x0-sip", False), _with_boot(to, "96x0-sip", True)
    if old.sets or new.sets:
        to.page.jump("SIG", "2", "SIP")
    else:
        to.page.jump("SIG", "2", _END)
    to.load(plain, "H323")
    if not (old.sets or new.sets):
        return
    to.page.goto(_END)
    to.page.tag("SIP")
    if new.sets:
        to.page.jump("SHA2CAPABLE", "1", "SIPSHA256")
    to.load(old, "SIP")
    if new.sets:
        to.page.goto(_END)
        to.page.tag("SIPSHA256")
        to.load(new, "SIPSHA256")


def _with_boot(to: _Writer, family: str, sha256: bool, model4: str = "") -> Load:
    app = for_model(to.of(family, "app", sha256), model4) if model4 else newest(to.of(family, "app", sha256))
    if app is None:
        return Load()
    boots = to.of(family, "boot", sha256) or to.of(family, "boot", False)
    boot = for_model(boots, model4) if model4 else newest(boots)
    return Load((("APPNAME", app.file),), boot.file if boot else "")


def _16xx(to: _Writer) -> None:
    to.begin("what software the 1603, 1608 and 1616 run.")
    to.by_model({model: _with_boot(to, "16xx", False, model) for model in models4("16xx")})


def _96x1(family: str, text: str) -> Callable[[_Writer], None]:
    def write(to: _Writer) -> None:
        to.begin(text)
        kernel = to.kernel(family)
        loads, loads3 = {}, {}
        for model in models4(family):
            app, app3 = for_model(to.of(family, "app"), model), for_model(to.of(family, "app3"), model)
            root = (("RFSNAME", kernel),) if kernel else ()
            # An application without the kernel that it belongs to would leave the phone half new.
            loads[model] = Load((*root, ("APPNAME", app.file))) if app and kernel is not None else Load()
            if app3 is not None:
                loads3[model] = app3.file
        for file in dict.fromkeys(loads3.values()):
            to.page.say("Phones of hardware version 3 have a file of their own.")
            for model in [one for one, own in loads3.items() if own == file]:
                to.page.jump("MODEL4", model, f"LOOK{model}")
        if not loads3:
            to.by_model(loads)
            return
        to.page.goto("OTHERS")
        for model, file in loads3.items():
            to.page.tag(f"LOOK{model}")
            to.page.jump("HWVERS", "3", f"NEWER{model}")
            to.page.goto("OTHERS")
            to.page.tag(f"NEWER{model}")
            to.page.set("APPNAME", file)
            to.page.goto(_END)
        to.page.tag("OTHERS")
        to.by_model(loads)

    return write


def _plain(family: str, text: str) -> Callable[[_Writer], None]:
    def write(to: _Writer) -> None:
        to.begin(text)
        module = newest(to.of(family, "module"))
        loads = {}
        for model in models4(family):
            app = for_model(to.of(family, "app"), model)
            sets = [("APPNAME", app.file)] if app else []
            if module and model in _MODULES:
                sets.append(("JEM24_APPNAME", module.file))
            loads[model] = Load(tuple(sets))
        to.by_model(loads)

    return write


def _b189(to: _Writer) -> None:
    to.begin("what software the B189 runs.")
    app, kernel = newest(to.of("B189", "app")), newest(to.of("B189", "root"))
    if kernel is not None:
        to.page.set("RFSNAME", kernel.file)
    if app is not None:
        to.page.set("APPNAME", app.file)


# Script -> the families that read it, and who writes it.
_SCRIPTS: dict[str, tuple[tuple[str, ...], Callable[[_Writer], None]]] = {
    "46xxupgrade.scr": (("4600",), _4600),
    "16xxupgrade.txt": (("16xx",), _16xx),
    "96xxupgrade.txt": (("96x0", "96x0-sip"), _96x0),
    "96x1Hupgrade.txt": (("96x1",), _96x1("96x1", "what software the 96x1 phones run with H.323.")),
    "96x1Supgrade.txt": (("96x1-sip",), _96x1("96x1-sip", "what software the 96x1 phones run with SIP.")),
    "J100Supgrade.txt": (("J100-sip",), _plain("J100-sip", "what software the J100 phones run with SIP.")),
    "J100Hupgrade.txt": (("J100",), _plain("J100", "what software the J169 and J179 run with H.323.")),
    "B189Hupgrade.txt": (("B189",), _b189),
    "K1xxSupgrade.txt": (("K1xx",), _plain("K1xx", "what software the K155, K165 and K175 run.")),
}
