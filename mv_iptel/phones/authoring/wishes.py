"""What an administrator wants of the phones, and the settings that bring it to which families."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mv_iptel.phones.authoring.clocks import Clock
from mv_iptel.phones.authoring.languages import LanguageFile, choose, language_files
from mv_iptel.phones.families import FAMILIES, MODELS, family_of
from mv_iptel.phones.parameters import Parameter, known, nearest, takes

# The 4600 before release 2.2 read the same files as their sisters.
CHOICES = tuple(name for name in FAMILIES if name != "4600-old")
# Whose user data goes where: SIP software keeps it with the call server.
_BY_FTP = ("4600",)
_BY_HTTP = ("16xx",)  # these know no TLS for it
_BY_URI = ("96x0", "96x1", "J100", "B189")
_TLS = tuple(name for name in CHOICES if name not in ("4600", "16xx"))
_SIP = tuple(name for name in CHOICES if FAMILIES[name].signalling == "SIP")
_H323 = tuple(name for name in CHOICES if FAMILIES[name].signalling == "H323")
_BAD = re.compile(r'["\r\n\0]|[^ -~]')  # what no value in a file can hold


@dataclass(frozen=True)
class Wishes:
    """The answers; an empty one means that nothing is said of it. Lists have commas."""

    families: tuple[str, ...] = CHOICES
    server: str = ""  # the file server's address or name, as phones know it
    http_ports: tuple[int, ...] = (81, 80)
    https_ports: tuple[int, ...] = (411, 443)  # empty: no TLS
    call_servers: str = ""
    call_port: str = ""
    sip_servers: str = ""
    sip_domain: str = ""
    vlan: str = ""
    community: str = ""  # of SNMP; without it nothing is asked of the phones
    backups: bool = True
    trust: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    time_servers: str = ""
    clock: Clock | None = None
    day24: bool | None = None  # the time as 24 hours
    log_server: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    vpn: str = ""  # a preset
    gateways: str = ""

    @property
    def host(self) -> str:
        """The server as it stands in a URL."""
        bare = self.server.strip("[]")
        return f"[{bare}]" if ":" in bare else bare


class Item(NamedTuple):
    """A setting for some families. `apart`: others of the wanted ones must not read it.

    `topic` is the part of the file that it belongs to; `models` narrows it to some first four characters.
    """

    topic: str
    name: str
    value: str
    families: tuple[str, ...]
    apart: bool = False
    models: tuple[str, ...] = ()


TOPICS = {
    "server": "This server",
    "data": "User data, and the question who is asking",
    "call": "Telephone system",
    "network": "Network",
    "time": "Time",
    "language": "Languages",
    "log": "Logging",
    "more": "Further settings",
}


def models4(family: str) -> tuple[str, ...]:
    """The first four characters of this family's models, as $MODEL4 has them; none for those that lack it."""
    if "MODEL4" not in FAMILIES[family].variables:
        return ()
    signalling = FAMILIES[family].signalling
    found = {}
    for model in MODELS:
        try:
            if family_of(model, signalling).name == family:
                found[model[:4]] = None
        except ValueError:
            continue
    return tuple(found)


def items(wishes: Wishes, names: Iterable[str] = ()) -> tuple[list[Item], list[str]]:
    """The settings in the order of TOPICS, and what could not be done. `names` are files that are there."""
    notes: list[str] = []
    found = [*_server(wishes, notes), *_data(wishes, notes), *_call(wishes), *_rest(wishes)]
    found += _languages(wishes, language_files(names), notes)
    extra = {name.upper(): value for name, value in wishes.extra}
    found = [item for item in found if item.name not in extra]  # who names a setting means it
    for name, value in extra.items():
        if not (wishes.vpn and is_vpn(name)):
            found.append(Item("more", name, value, wishes.families))
    order = list(TOPICS)
    found.sort(key=lambda item: order.index(item.topic))
    kept = []
    for item in found:
        taking = tuple(
            family for family in wishes.families if family in item.families and _takes(item.name, family)
        )
        if taking:
            kept.append(item._replace(families=taking))
        elif item.topic == "more":
            notes.append(f"{item.name}: no phone of {', '.join(wishes.families)} takes it; it was left out")
    return kept, notes


def is_vpn(name: str) -> bool:
    """Whether a setting belongs into the VPN's own file."""
    setting = known(name)
    return isinstance(setting, Parameter) and (setting.table == "vpn" or name.startswith("NV"))


def problems(found: Iterable[Item]) -> list[str]:
    """What no phone would take: a sentence each, without secrets."""
    said: dict[str, None] = {}
    for item in found:
        setting = known(item.name)
        if setting is None:
            near = nearest(item.name)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            said[f"{item.name} is no known setting{hint}"] = None
            continue
        if _BAD.search(item.value):
            said[f"{item.name}: a value can hold neither quotes nor characters outside ASCII"] = None
        elif isinstance(setting, Parameter):
            if setting.place != "settings":
                said[f"{item.name} cannot be set in a settings file"] = None
            for family in item.families:
                problem = setting.check(item.value, family)
                if problem is not None and problem.sure:
                    said[problem.text] = None
    return list(said)


def _takes(name: str, family: str) -> bool:
    setting = known(name)
    return setting is None or takes(setting, family) != "no"


def _server(wishes: Wishes, notes: list[str]) -> Iterable[Item]:
    if not wishes.server:
        return
    yield Item("server", "HTTPSRVR", wishes.server, CHOICES)
    if wishes.http_ports and 80 not in wishes.http_ports:
        # Without it phones ask port 80 (reference: phones 1.2).
        phones = tuple(name for name in CHOICES if name != "16xx")
        yield Item("server", "HTTPPORT", str(wishes.http_ports[0]), phones)
    if wishes.https_ports:
        yield Item("server", "TLSSRVR", wishes.server, _TLS, apart=True)
        if 443 not in wishes.https_ports:
            yield Item("server", "TLSPORT", str(wishes.https_ports[0]), _SIP)
        if 411 not in wishes.https_ports and set(wishes.families) & set(_TLS) & set(_H323):
            notes.append("H.323 phones ask port 411 for files over TLS, where this server does not listen")
        if wishes.trust:
            yield Item("server", "TRUSTCERTS", ",".join(wishes.trust), _TLS, apart=True)
        elif set(wishes.families) & set(_TLS):
            notes.append("no certificate to trust is named (TRUSTCERTS); phones refuse TLS without one")


def _data(wishes: Wishes, notes: list[str]) -> Iterable[Item]:
    if not (wishes.backups and wishes.server):
        return
    if wishes.community:
        yield Item("data", "SNMPADD", wishes.server.strip("[]"), CHOICES)
        yield Item("data", "SNMPSTRING", wishes.community, CHOICES)
    elif set(wishes.families) & {*_BY_FTP, *_BY_HTTP, *_BY_URI}:
        notes.append("no SNMP community is given; a server that asks phones who they are gets no answer")
    yield Item("data", "FTPSRVR", wishes.server, _BY_FTP)
    if wishes.http_ports:
        plain = f"http://{wishes.host}:{wishes.http_ports[0]}/"
        yield Item("data", "BRURI", plain, _BY_HTTP, apart=True)
        if not wishes.https_ports:
            yield Item("data", "BRURI", plain, _BY_URI, apart=True)
    if wishes.https_ports:
        yield Item("data", "BRURI", f"https://{wishes.host}:{wishes.https_ports[0]}/", _BY_URI, apart=True)


def _call(wishes: Wishes) -> Iterable[Item]:
    if wishes.call_servers:
        yield Item("call", "MCIPADD", wishes.call_servers, _H323)
    if wishes.call_port:
        yield Item("call", "MCPORT", wishes.call_port, ("4600",))
    if wishes.sip_servers:
        yield Item("call", "SIP_CONTROLLER_LIST", wishes.sip_servers, _SIP)
    if wishes.sip_domain:
        yield Item("call", "SIPDOMAIN", wishes.sip_domain, _SIP)


def _rest(wishes: Wishes) -> Iterable[Item]:
    if wishes.vlan:
        yield Item("network", "L2QVLAN", wishes.vlan, CHOICES)
    if wishes.time_servers:
        yield Item("time", "SNTPSRVR", wishes.time_servers, _SIP)
    if wishes.clock is not None:
        for name, value in wishes.clock.sets():
            yield Item("time", name, value, _SIP)
        summer = "2" if wishes.clock.start else "0"
        yield Item("time", "DAYLIGHT_SAVING_SETTING_MODE", summer, ("J100-sip", "K1xx"))
    if wishes.day24 is not None:
        yield Item("time", "TIMEFORMAT", "1" if wishes.day24 else "0", ("96x1-sip", "J100-sip", "K1xx"))
    if wishes.log_server:
        yield Item("log", "LOGSRVR", wishes.log_server, CHOICES)
        yield Item("log", "SYSLOG_ENABLED", "1", ("96x1-sip", "J100-sip", "K1xx"))


def _languages(wishes: Wishes, files: list[LanguageFile], notes: list[str]) -> Iterable[Item]:
    """The files of the wanted languages, the first one as what the phone comes up with."""
    for family in wishes.families if wishes.languages else ():
        divided = any(one.models for one in files if one.family == family)
        for model4 in models4(family) if divided else ("",):
            named = []
            for language in wishes.languages:
                one = choose(files, family, model4, language)
                if isinstance(one, str):
                    if any(each.family == family for each in files):
                        notes.append(one)
                elif (wrong := _unfit(family, one.file)) is not None:
                    notes.append(wrong)
                else:
                    named.append(one.file)
            models = (model4,) if model4 else ()
            for name, value in _language_sets(family, named):
                yield Item("language", name, value, (family,), True, models)
    if wishes.languages and not files:
        notes.append("no language file is in the directory; put them there and write the file again")


def _language_sets(family: str, named: list[str]) -> list[tuple[str, str]]:
    if not named:
        return []
    if family in _SIP:
        return [("SYSTEM_LANGUAGE", named[0]), ("LANGUAGES", ",".join(named))]
    users = [(f"LANG{at}FILE", file) for at, file in enumerate(named[:4], 1)]
    return users if family == "16xx" else [("LANGSYS", named[0]), *users]


def _unfit(family: str, file: str) -> str | None:
    """Why a phone of this family cannot be told this name."""
    setting = known("SYSTEM_LANGUAGE" if family in _SIP else "LANG1FILE")
    assert isinstance(setting, Parameter)
    problem = setting.check(file, family)
    return None if problem is None or not problem.sure else problem.text
