"""Families and models of phones: what each asks for, in which order, from which servers.

A table; where public sources are silent or disagree the choice is a named field of the family.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mv_iptel.phones.evaluate import Switches

# Parameters that name files which are fetched once the settings are applied, in this order.
_LANGUAGES = ("LANGSYS", "LANG1FILE", "LANG2FILE", "LANG3FILE", "LANG4FILE", "LANGLARGEFONT")
_H323_FILES = (*_LANGUAGES, "SCREENSAVER", "VOXFILES", "TRUSTCERTS")
_SIP_FILES = ("SYSTEM_LANGUAGE", "LANGUAGES", "TRUSTCERTS")
# Of these lists a phone fetches the first name only.
FIRST_ONLY = frozenset({"VOXFILES"})

# The one form that is known from captures (J100); older sets are only known to say AVAYA, so they
# borrow it: that word is what file servers look for.
_AGENT = "Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/{model}-{version} (MAC:{mac})"


@dataclass(frozen=True)
class Family:
    """Phones that behave alike.

    protocols        tried in this order, each only where the phone was given such a server
    protocol         what `sim boot` gives it when nobody says otherwise
    software_first   firmware before the settings (guides of 4600 and J100), or after them (with a
                     TLS server: all configuration by TLS, then software)
    secure_software  software over the TLS server too; H.323 sets never do that
    variables        what IF may test besides parameters that a script has set
    files            parameters that name more files
    """

    name: str
    scripts: tuple[str, ...]
    signalling: str  # H323 or SIP
    protocols: tuple[str, ...] = ("https", "http")
    protocol: str = "https"
    software_first: bool = False
    secure_software: bool = False
    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = _H323_FILES
    agent: str = _AGENT
    switches: Switches = field(default_factory=Switches)
    # What the phone asks of a certificate: TLSSRVRID is 1, TLSSRVRVERIFYID of the 96x1 is 0 by default.
    checks_name: bool = True


_OLD = ("BOOTNAME", "GROUP", "SIG")
_9600 = ("BOOTNAME", "APPNAME", "GROUP", "MODEL", "MODEL4", "MACADDR", "SIG")
_96X1 = ("GROUP", "MODEL", "MODEL4", "MACADDR", "SIG_IN_USE", "VPNACTIVE")
# PHONECC, a number on the phone's label, is asked in the script of the SIP software of the 1603SW-I.
_1600 = ("BOOTNAME", "GROUP", "MODEL4", "SIG", "PHONECC")
_J100 = ("APPNAME_IN_USE", "GROUP", "MODEL", "MODEL4", "MACADDR", "SIG_IN_USE")
# IPADD and SUBNET are the phone's own, MODEL6 such as K175CW, GEN the hardware's generation: known only
# where a handset is given them.
_VANTAGE = ("GROUP", "MODEL4", "MODEL6", "MACADDR", "IPADD", "SUBNET", "GEN")
# What the interface specification of the 96x1 says of names, values and files.
_LIMITED = Switches(file_names=r"[0-9A-Za-z._-]{1,50}", name_limit=30, value_limit=255)

FAMILIES = {
    family.name: family
    for family in (
        # TFTP is the last resort, but the only server that most sites give these sets.
        Family("4600", ("46xxupgrade.scr",), "H323", ("https", "http", "tftp"), "tftp", software_first=True,
               variables=_OLD, files=()),
        # Releases before 2.2: TFTP only, and a GET that fails ends the script.
        Family("4600-old", ("46xxupgrade.scr",), "H323", ("tftp",), "tftp", software_first=True,
               variables=_OLD, files=(), switches=Switches(get_failure="stop")),
        Family("96x0", ("96xxupgrade.txt",), "H323", variables=(*_9600, "VPNACTIVE")),
        Family("96x0-sip", ("96xxupgrade.txt",), "SIP", secure_software=True,
               variables=(*_9600, "SHA2CAPABLE"), files=_SIP_FILES),
        Family("96x1", ("96x1Hupgrade.txt",), "H323", variables=_96X1, checks_name=False,
               switches=_LIMITED),
        Family("96x1-sip", ("96x1Supgrade.txt",), "SIP", secure_software=True,
               variables=(*_96X1, "HWVERS"), files=_SIP_FILES),
        # Early notes spell it 1600upgrade.txt.
        Family("16xx", ("16xxupgrade.txt", "1600upgrade.txt"), "H323", protocol="http", software_first=True,
               variables=_1600, files=(*_LANGUAGES, "FONTFILE")),
        Family("J100-sip", ("J100Supgrade.txt",), "SIP", protocol="http", software_first=True,
               secure_software=True, variables=(*_J100, "HWVERS"), files=_SIP_FILES),
        Family("J100", ("J100Hupgrade.txt",), "H323", protocol="http", variables=_J100, checks_name=False),
        # A conference phone with 96x1 software. No source names its script: spelled as its sisters' are.
        Family("B189", ("B189Hupgrade.txt",), "H323", variables=("GROUP", "MODEL", "MODEL4", "MACADDR"),
               checks_name=False),
        Family("K1xx", ("K1xxSupgrade.txt",), "SIP", protocol="http", software_first=True,
               secure_software=True, variables=_VANTAGE, files=_SIP_FILES),
    )
}  # fmt: skip

# Model -> (family with its usual signalling, family with the other one or "").
_MODELS: dict[str, tuple[str, str]] = {}
for _names, _usual, _other in (
    ("4601 4602 4602SW 4610SW 4620 4620SW 4621SW 4622SW 4625SW", "4600", ""),
    ("4606 4612 4624 4630", "4600-old", ""),
    ("9610 9620 9620L 9620C 9630 9630G 9640 9640G 9650 9650C 9670G", "96x0", "96x0-sip"),
    ("9608 9608G 9611G 9621G 9641G 9641GS", "96x1", "96x1-sip"),
    ("9601", "96x1-sip", ""),
    ("1603 1603SW 1608 1616", "16xx", ""),
    ("B189", "B189", ""),
    ("J129 J139 J159 J189", "J100-sip", ""),
    ("J169 J179", "J100-sip", "J100"),
    ("K155 K165 K175", "K1xx", ""),
):
    for _name in _names.split():
        _MODELS[_name] = (_usual, _other)

MODELS = tuple(_MODELS)
_VERSION = re.compile(r"(?<![0-9])[0-9]+(?:[._][0-9]+)+")


def family_of(model: str, signalling: str = "") -> Family:
    """The family of a model that runs this signalling ("" for its usual one); ValueError if there is none."""
    known = {name.casefold(): name for name in _MODELS}
    name = known.get(model.casefold())
    if name is None:
        raise ValueError(f"no phone model {model}; known are {', '.join(MODELS)}")
    for candidate in _MODELS[name]:
        if candidate and signalling in ("", FAMILIES[candidate].signalling):
            return FAMILIES[candidate]
    raise ValueError(f"a {name} does not speak {signalling}")


@dataclass(frozen=True)
class Handset:
    """One phone: what it is and what it runs."""

    model: str
    mac: str = "00040d000001"  # twelve lower-case hex digits
    group: str = "0"
    ext: str = ""
    signalling: str = ""  # H323, SIP, or "" for the model's usual
    runs: str = ""  # application file in flash; empty: none that any script names
    root: str = ""  # 96x1: kernel and root file system in flash
    boot: str = ""  # boot file in flash
    agent: str = ""  # User-Agent instead of the family's
    hwvers: str = "1"
    # What scripts may test besides, or instead: (("VPNACTIVE", "1"), ("MODEL", "9640D02L")).
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def family(self) -> Family:
        """How it behaves."""
        return family_of(self.model, self.signalling)

    @property
    def version(self) -> str:
        """The version that the application's file name tells, as in FW_S_J179_R4_1_3_0_6.bin."""
        return version_of(self.runs) or "0.0.0"

    def user_agent(self) -> str:
        """What its HTTP requests say."""
        return self.agent or self.family.agent.format(model=self.model, version=self.version, mac=self.mac)

    def identity(self) -> dict[str, str]:
        """What may be put into values and file names, whatever the family can test."""
        return {"MACADDR": self.mac, "SERIALNO": f"S{self.mac[-8:].upper()}", "MODEL4": self.model[:4]}

    def variables(self) -> dict[str, str]:
        """What scripts may test: only what this family knows."""
        family = self.family
        everything = {
            "BOOTNAME": self.boot,
            "APPNAME": self.runs,
            "APPNAME_IN_USE": self.version,
            "GROUP": self.group,
            "MODEL": f"{self.model}D01A",
            "MODEL4": self.model[:4],
            "MACADDR": self.mac,
            "SIG": "2" if family.signalling == "SIP" else "1",
            "SIG_IN_USE": family.signalling,
            "VPNACTIVE": "0",
            "SHA2CAPABLE": "1",
            "HWVERS": self.hwvers,
            **dict(self.facts),
        }
        return {name: everything[name] for name in family.variables if name in everything}


def version_of(name: str) -> str:
    """The dotted version in a firmware's file name, or an empty string."""
    found = _VERSION.findall(name)
    return found[-1].replace("_", ".") if found else ""
