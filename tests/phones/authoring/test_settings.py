"""The settings file that is written: played for every model, and looked at by lint."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel.phones.authoring.clocks import Clock
from mv_iptel.phones.authoring.settings import settings_file
from mv_iptel.phones.authoring.vpn import vpn_settings
from mv_iptel.phones.authoring.wishes import CHOICES, Wishes, items, models4, problems
from mv_iptel.phones.effects import effects
from mv_iptel.phones.families import FAMILIES, MODELS, Handset, family_of
from mv_iptel.phones.lint import Folder, lint

NAME = "46xxsettings.txt"
NAMES = (
    "mv_ca.txt", "mlf_96x1_v176_german.txt", "mlf_96x1_v80_german.txt", "mlf_S31_v76_german.txt",
    "Mlf_German.xml", "Mlf_S96x0_German.xml", "Mlf_J169_J179_German.xml", "Mlf_J189_German.xml",
    "mlf_Sage_v502_german.txt", "Mlf_French.xml",
)  # fmt: skip
FULL = Wishes(
    server="192.0.2.10", call_servers="192.0.2.20,192.0.2.21", sip_servers="192.0.2.30:5061;transport=tls",
    sip_domain="example.com", vlan="20", community="abc123", trust=("mv_ca.txt",), languages=("German",),
    time_servers="192.0.2.40", clock=Clock("1:00", "LSunMar2L", "LSunOct3L"), day24=True,
    log_server="192.0.2.50", groups=("1", "7"), extra=(("PHNOL", "0"), ("procpswd", "1234")),
)  # fmt: skip


def handsets(groups=("0", "7")):
    for model in MODELS:
        for signalling in ("H323", "SIP"):
            try:
                family_of(model, signalling)
            except ValueError:
                continue
            for group in groups:
                yield Handset(model, signalling=signalling, group=group)


def files_of(wishes, names=NAMES):
    """What a phone finds: the file, an upgrade script that leads to it, and the files that it names."""
    data, notes = settings_file(wishes, names)
    scripts = {name: f"GET {NAME}\n".encode() for family in FAMILIES.values() for name in family.scripts}
    return {**dict.fromkeys(names, b""), **scripts, NAME: data}, notes


def played(files, handset):
    found = effects(files, handset)
    assert found.ended.why == "end", (handset, found.ended)
    assert found.missing == [], handset
    assert found.rejected == {}, handset
    return found


def clean(files):
    found = lint(Folder(files), [NAME])
    return [str(one) for one in found if one.severity != "info" or one.code != "open-secret"]


def expected(family):
    """What FULL asks of a family."""
    sip = FAMILIES[family].signalling == "SIP"
    wanted = {"HTTPSRVR": "192.0.2.10", "SNMPADD": "192.0.2.10", "SNMPSTRING": "abc123", "L2QVLAN": "20",
              "LOGSRVR": "192.0.2.50", "PHNOL": "0", "PROCPSWD": "1234"}  # fmt: skip
    if sip:
        wanted |= {"SIP_CONTROLLER_LIST": "192.0.2.30:5061;transport=tls", "SIPDOMAIN": "example.com",
                   "SNTPSRVR": "192.0.2.40", "GMTOFFSET": "1:00", "DSTSTART": "LSunMar2L",
                   "BRURI": None}  # fmt: skip
    else:
        wanted |= {"MCIPADD": "192.0.2.20,192.0.2.21", "SIPDOMAIN": None}
    if family in ("4600", "4600-old"):
        return wanted | {"TLSSRVR": None, "BRURI": None, "TRUSTCERTS": None}
    if family == "16xx":
        return wanted | {
            "BRURI": "http://192.0.2.10:81/",
            "TLSSRVR": None,
            "LANG1FILE": "mlf_Sage_v502_german.txt",
        }
    wanted |= {"TLSSRVR": "192.0.2.10", "TRUSTCERTS": "mv_ca.txt"}
    return wanted if sip else wanted | {"BRURI": "https://192.0.2.10:411/"}


def test_every_model_ends_up_with_what_was_asked():
    files, _ = files_of(FULL)
    assert clean(files) == []
    for handset in handsets():
        found = played(files, handset)
        for name, value in expected(found.family.name).items():
            made = found.parameters.get(name)
            assert (made.value if made else None) == value, (handset, name)
        if found.family.name == "4600":
            assert found.value("FTPSRVR") == "192.0.2.10"


def test_languages_are_those_of_the_files_that_are_there():
    files, notes = files_of(FULL)
    for model, signalling, name in (
        ("9608", "H323", "mlf_96x1_v176_german.txt"),
        ("9640", "H323", "mlf_S31_v76_german.txt"),
        ("9608", "SIP", "Mlf_German.xml"),
        ("9640", "SIP", "Mlf_S96x0_German.xml"),
        ("J179", "SIP", "Mlf_J169_J179_German.xml"),
        ("J189", "SIP", "Mlf_J189_German.xml"),
        ("J129", "SIP", None),
    ):
        found = played(files, Handset(model, signalling=signalling))
        made = found.parameters.get("LANGSYS" if signalling == "H323" else "SYSTEM_LANGUAGE")
        assert (made.value if made else None) == name, model
    assert "no file of German for J100-sip (J129) is there" in notes


@pytest.mark.parametrize("family", CHOICES)
def test_a_file_for_one_family_alone(family):
    wishes = replace(FULL, families=(family,))
    files, _ = files_of(wishes)
    assert clean(files) == []
    assert family == "J100-sip" or b"IF $MODEL4" not in files[NAME]  # whose languages are by model
    for handset in handsets():
        if handset.family.name == family:
            found = played(files, handset)
            for name, value in expected(family).items():
                made = found.parameters.get(name)
                assert (made.value if made else None) == value, (handset, name)


@pytest.mark.parametrize(
    "families", [("4600", "96x1"), ("96x0-sip", "96x1"), ("16xx", "J100-sip"), ("4600", "16xx", "J100")]
)
def test_phones_that_it_is_not_for_take_no_harm(families):
    files, _ = files_of(replace(FULL, families=families))
    assert clean(files) == []
    for handset in handsets():
        found = played(files, handset)
        ours = found.family.name in families
        if not ours and found.family.name != "4600-old":
            assert "BRURI" not in found.parameters or found.family.name in ("96x1", "96x0"), handset
        if ours:
            for name, value in expected(found.family.name).items():
                made = found.parameters.get(name)
                assert (made.value if made else None) == value, (handset, name)


def test_nothing_asked_is_a_sound_file():
    files, notes = files_of(Wishes(), ())
    assert clean(files) == [] and notes == []
    for handset in handsets():
        assert played(files, handset).parameters == {}


def test_other_ports_and_no_tls():
    found, notes = items(replace(FULL, http_ports=(6081, 6080), https_ports=(6411,)))
    sets = {(item.name, item.value) for item in found}
    assert {("HTTPPORT", "6081"), ("TLSPORT", "6411"), ("BRURI", "https://192.0.2.10:6411/")} <= sets
    assert any("port 411" in note for note in notes)
    found, notes = items(replace(FULL, https_ports=()))
    sets = {(item.name, item.value) for item in found}
    assert ("BRURI", "http://192.0.2.10:81/") in sets
    assert not {name for name, _ in sets} & {"TLSSRVR", "TRUSTCERTS", "TLSPORT", "HTTPPORT"}


def test_an_ipv6_server_stands_in_brackets_in_urls_only():
    found, _ = items(replace(FULL, server="2001:db8::1"))
    sets = {item.name: item.value for item in found}
    assert sets["SNMPADD"] == "2001:db8::1" and "[2001:db8::1]" in sets["BRURI"]


def test_what_was_named_by_hand_wins():
    found, notes = items(
        replace(FULL, extra=(("L2QVLAN", "30"), ("FONTFILE", "x.rbm.lzma")), families=("96x1",))
    )
    assert [item.value for item in found if item.name == "L2QVLAN"] == ["30"]
    assert any("FONTFILE" in note and "left out" in note for note in notes)


def test_what_no_phone_would_take_is_said():
    bad = replace(FULL, vlan="5000", extra=(("L2QVLAM", "1"), ("APPNAME", "x"), ("DOMAIN", 'a"b')))
    told = "\n".join(problems(items(bad)[0]))
    assert "L2QVLAN is a number from 0 to 4094" in told
    assert "L2QVLAM is no known setting; did you mean L2QVLAN" in told
    assert "APPNAME cannot be set" in told and "DOMAIN: a value" in told
    assert problems(items(FULL, NAMES)[0]) == []


def test_without_community_or_trust_it_says_so():
    _, notes = items(replace(FULL, community="", trust=()))
    assert any("SNMP community" in note for note in notes) and any("TRUSTCERTS" in note for note in notes)


def test_groups_have_a_place():
    files, _ = files_of(FULL)
    steps = effects(files, Handset("9608", group="7")).trace
    assert any(step.text == "# GROUP_7" for step in steps)


def test_vpn_phones_that_come_by_this_file():
    # That somebody wants a place for their group, or one twice, makes no line that is never reached.
    wishes = replace(FULL, vpn="generic-psk", gateways="198.51.100.1", groups=("1", "876", "1"))
    files, _ = files_of(wishes)
    files["46vpnsetting.txt"] = vpn_settings(wishes)
    assert clean(files) == []
    found = played(files, Handset("9640", group="876"))
    assert (found.value("NVSGIP"), found.value("NVVPNCFGPROF")) == ("198.51.100.1", "6")
    assert found.value("MCIPADD") == "192.0.2.20,192.0.2.21"
    for handset in handsets(("0",)):
        assert "NVSGIP" not in played(files, handset).parameters


def test_the_models_of_a_family():
    assert models4("96x1-sip") == ("9608", "9611", "9621", "9641", "9601")
    assert models4("4600") == () and models4("B189") == ("B189",)
