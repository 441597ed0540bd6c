"""Writes `46xxsettings.txt`: what every phone takes first, then what only some families or models take."""

from __future__ import annotations

from collections.abc import Iterable

from mv_iptel.phones.authoring.page import Page
from mv_iptel.phones.authoring.wishes import TOPICS, Item, Wishes, items, models4
from mv_iptel.phones.families import FAMILIES
from mv_iptel.phones.parameters import known, takes

# Families that share their models: one place for them, divided by what they speak.
_PLACES = {
    "16XX": ("16xx", ""),
    "96X0": ("96x0", "96x0-sip"),
    "96X1": ("96x1", "96x1-sip"),
    "J100": ("J100", "J100-sip"),
    "B189": ("B189", ""),
    "K1XX": ("", "K1xx"),
}
# How a script sees that a phone speaks SIP.
_SPEAKS = {"96X0": ("SIG", "2"), "96X1": ("SIG_IN_USE", "SIP"), "J100": ("SIG_IN_USE", "SIP")}
_SAYS = {
    "data": (
        "Before the server gives or takes a user's data it asks the phone over SNMP for its extension, so "
        "SNMP must be on for this server."
    ),
    "server": "TRUSTCERTS is the authority behind the server's certificate; phones fetch it over plain HTTP.",
}
VPN_GROUP = "876"
VPN_SETTINGS = "46vpnsetting.txt"


def settings_file(
    wishes: Wishes, names: Iterable[str] = (), name: str = "46xxsettings.txt"
) -> tuple[bytes, list[str]]:
    """The file, and what could not be done. `names` are the files of the directory that it is for."""
    found, notes = items(wishes, names)
    common = [item for item in found if _for_all(item, found, wishes.families)]
    own = [item for item in found if item not in common]
    page = Page()
    page.say(f"{name}: the settings of {', '.join(wishes.families)}.")
    page.say(
        'One statement a line, beginning in the first column. A value with blanks stands in straight double '
        'quotes; "" is the empty value; lists have commas and no blanks. Comments begin with two ##. '
        '"# NAME" (one space) is a place to jump to; jumps go down the file only; when the place is missing, '
        "the phone ignores the rest of the file."
    )  # fmt: skip
    if wishes.server:
        page.say(f"Phones find this server by DHCP: {_dhcp(wishes)}")
    page.head("Every phone")
    _write(page, common, explained=True)
    if not common:
        page.say("nothing yet")
    vpn = _vpn_families(wishes)
    grouped = bool(wishes.groups or vpn)
    if own:
        _by_family(page, own, wishes, "GROUPS" if grouped else "END")
    if grouped:
        _groups(page, wishes, bool(vpn))
    if page.wants("END"):
        page.tag("END")
    return page.data(), notes


def telephony(page: Page, wishes: Wishes, family: str, names: Iterable[str] = ()) -> None:
    """What one family is told, one after the other: for a file that no other phone reads."""
    found, _ = items(wishes, names)
    _write(page, [item for item in found if family in item.families and not item.models], explained=False)


def _dhcp(wishes: Wishes) -> str:
    parts = []
    if "4600" in wishes.families:
        parts.append(f"option 176 with TFTPSRVR={wishes.server} (4600)")
    if set(wishes.families) - {"4600"}:
        tls = f",TLSSRVR={wishes.server}" if wishes.https_ports else ""
        parts.append(f"option 242 with HTTPSRVR={wishes.server}{tls}")
    return ", ".join(parts)


def _for_all(item: Item, found: list[Item], families: tuple[str, ...]) -> bool:
    """Whether every phone may read this line: one value, and no harm to those it is not meant for."""
    if item.models or any(other.name == item.name and other.value != item.value for other in found):
        return False
    setting = known(item.name)
    others = set(families) - set(item.families)
    return not item.apart or all(setting is not None and takes(setting, one) == "no" for one in others)


def _write(page: Page, found: Iterable[Item], explained: bool) -> None:
    topic = ""
    for item in found:
        if item.topic != topic:
            if topic:
                page.blank()
            topic = item.topic
            page.say(f"{TOPICS[topic]}.")
            if explained and topic == "data":
                page.say(_SAYS[topic])
        page.set(item.name, item.value)
        if item.name == "TRUSTCERTS" and explained:
            page.say(_SAYS["server"])


def _by_family(page: Page, own: list[Item], wishes: Wishes, after: str) -> None:
    """The sections, and the lines that lead to them."""
    wanted = set(wishes.families)
    needs = {family for item in own for family in item.families}
    if len(wanted) == 1 and not any(item.models for item in own):
        _write(page, own, explained=False)
        return
    places = [place for place, pair in _PLACES.items() if set(pair) & needs]
    page.head("By product line")
    for place in places:
        # A model that speaks either is sent to one place, which then looks at what it speaks.
        models = dict.fromkeys(model for family in _PLACES[place] if family for model in models4(family))
        for model in models:
            page.jump("MODEL4", model, f"SETTINGS{place}")
    if "4600" in needs:
        page.say("4600 phones do not know $MODEL4: they pass over every line above that asks for it.")
        rest = [family for family in wanted - needs if family != "4600"]
        for model in dict.fromkeys(model for family in sorted(rest) for model in models4(family)):
            if not any(model in models4(family) for family in needs):
                page.jump("MODEL4", model, after)
        page.goto("SETTINGS46XX")
        page.tag("SETTINGS46XX")
        _write(page, [item for item in own if "4600" in item.families], explained=False)
    page.goto(after)
    for place in places:
        _place(page, place, own, wanted, after)


def _place(page: Page, place: str, own: list[Item], wanted: set[str], after: str) -> None:
    h323, sip = _PLACES[place]
    lines = {family: [item for item in own if family in item.families] for family in (h323, sip) if family}
    page.tag(f"SETTINGS{place}")
    if h323 and sip:
        page.jump(*_SPEAKS[place], f"SETTINGS{place}SIP")
    if h323:
        page.say(f"{h323}.") if sip else None
        _section(page, h323, lines[h323] if h323 in wanted else [], place, after)
    if sip:
        if h323:
            page.tag(f"SETTINGS{place}SIP")
        _section(page, sip, lines[sip] if sip in wanted else [], f"{place}SIP", after)


def _section(page: Page, family: str, own: list[Item], place: str, after: str) -> None:
    """One family's lines; where models differ, each has a place of its own."""
    _write(page, [item for item in own if not item.models], explained=False)
    by_model: dict[str, list[Item]] = {}
    for item in own:
        for model in item.models:
            by_model.setdefault(model, []).append(item)
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for model, found in by_model.items():
        alike.setdefault(tuple((item.name, item.value) for item in found), []).append(model)
    if len(alike) == 1 and set(by_model) == set(models4(family)):
        _write(page, by_model[next(iter(by_model))], explained=False)
        alike = {}
    for models in alike.values():
        for model in models:
            page.jump("MODEL4", model, f"{place}{models[0]}")
    page.goto(after)
    for models in alike.values():
        page.tag(f"{place}{models[0]}")
        _write(page, by_model[models[0]], explained=False)
        page.goto(after)


def _vpn_families(wishes: Wishes) -> tuple[str, ...]:
    """Who finds the VPN's settings by way of this file; the 4600 has a script of its own."""
    from mv_iptel.phones.authoring.vpn import vpn_families

    return tuple(family for family in vpn_families(wishes) if family != "4600")


def _groups(page: Page, wishes: Wishes, vpn: bool) -> None:
    page.head("By group: a phone's GROUP is keyed on it or sent by the call server")
    if page.wants("GROUPS"):
        page.tag("GROUPS")
    # The VPN's group has one place: a second condition on it would never be true.
    groups = [group for group in dict.fromkeys(wishes.groups) if not (vpn and group == VPN_GROUP)]
    for group in groups:
        page.jump("GROUP", group, f"GROUP_{group}")
    if vpn:
        page.jump("GROUP", VPN_GROUP, "VPN")
    page.goto("END")
    for group in groups:
        page.tag(f"GROUP_{group}")
        page.say(f"what only the phones of group {group} take")
        page.goto("END")
    if vpn:
        page.tag("VPN")
        page.say(f"what only the phones of group {VPN_GROUP} take; they do not return from GET")
        page.get(VPN_SETTINGS)


assert {family for pair in _PLACES.values() for family in pair if family} <= set(FAMILIES)
