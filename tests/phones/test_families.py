"""The table of families and models: who asks what, and what each phone knows of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mv_iptel.library import names
from mv_iptel.library.identity import of_agent
from mv_iptel.phones.families import FAMILIES, MODELS, Handset, family_of, version_of
from mv_iptel.phones.parameters import variables

DATA = Path(__file__).resolve().parents[2] / "data"

MODEL_ROWS = {
    ("4621SW", ""): ("4600", "46xxupgrade.scr"),
    ("4624", ""): ("4600-old", "46xxupgrade.scr"),
    ("9640", ""): ("96x0", "96xxupgrade.txt"),
    ("9640", "SIP"): ("96x0-sip", "96xxupgrade.txt"),
    ("9611G", ""): ("96x1", "96x1Hupgrade.txt"),
    ("9611G", "SIP"): ("96x1-sip", "96x1Supgrade.txt"),
    ("9601", ""): ("96x1-sip", "96x1Supgrade.txt"),
    ("1616", ""): ("16xx", "16xxupgrade.txt"),
    ("B189", ""): ("B189", "B189Hupgrade.txt"),
    ("J179", ""): ("J100-sip", "J100Supgrade.txt"),
    ("j179", "H323"): ("J100", "J100Hupgrade.txt"),
    ("K175", ""): ("K1xx", "K1xxSupgrade.txt"),
}


@pytest.mark.parametrize("model", MODEL_ROWS)
def test_family(model):
    family = family_of(*model)
    assert (family.name, family.scripts[0]) == MODEL_ROWS[model]


def test_every_family_has_a_model_and_every_model_a_family():
    reached = {family_of(model).name for model in MODELS}
    reached |= {family_of(model, "SIP").name for model in ("9640", "9611G")}
    reached.add(family_of("J169", "H323").name)
    assert reached == set(FAMILIES)


def test_what_does_not_exist_is_said():
    with pytest.raises(ValueError, match="no phone model 9999; known are"):
        family_of("9999")
    with pytest.raises(ValueError, match="4621SW does not speak SIP"):
        family_of("4621sw", "SIP")


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_refused_phone_gets_the_substitute_of_its_script(family):
    """The server knows every script name as one that an fxd_ file may stand in for."""
    assert all(names.override(script) for script in family.scripts)
    assert set(family.protocols) <= {"tftp", "http", "https"}
    assert family.protocol in family.protocols


VARIABLES = {
    "4621SW": {"BOOTNAME": "b.bin", "GROUP": "7", "SIG": "1"},
    "9640": {
        "BOOTNAME": "b.bin", "APPNAME": "ha96xx_3_2_8.bin", "GROUP": "7", "MODEL": "9640D01A",
        "MODEL4": "9640", "MACADDR": "00040d000001", "SIG": "1", "VPNACTIVE": "0",
    },
    "9611G": {
        "GROUP": "7", "MODEL": "9611GD01A", "MODEL4": "9611", "MACADDR": "00040d000001", "SIG_IN_USE": "H323",
        "VPNACTIVE": "0",
    },
    "1616": {"BOOTNAME": "b.bin", "GROUP": "7", "MODEL4": "1616", "SIG": "1"},
    "J179": {
        "APPNAME_IN_USE": "3.2.8", "GROUP": "7", "MODEL": "J179D01A", "MODEL4": "J179",
        "MACADDR": "00040d000001", "SIG_IN_USE": "SIP", "HWVERS": "1",
    },
}  # fmt: skip


@pytest.mark.parametrize("model", VARIABLES)
def test_a_phone_knows_only_what_its_family_knows(model):
    handset = Handset(model, group="7", runs="ha96xx_3_2_8.bin", boot="b.bin")
    assert handset.variables() == VARIABLES[model]
    assert handset.identity()["MODEL4"] == model[:4]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_table_of_variables_says_the_same_of_each_family(name):
    table = {each.name for each in variables().values() if each.tested and name in each.families}
    assert set(FAMILIES[name].variables) == table


@pytest.mark.parametrize("model", [model for model in MODELS if family_of(model).protocol != "tftp"])
def test_the_server_reads_what_the_phone_says_of_itself(model):
    handset = Handset(model, mac="00040dabcdef", runs="FW_R4_1_3_0_6.bin")
    assert "AVAYA" in handset.user_agent()
    phone = of_agent(handset.user_agent())
    assert (phone.mac, phone.model, phone.version) == ("00040dabcdef", model, "4.1.3.0.6")
    assert Handset(model, agent="mine").user_agent() == "mine"


VERSIONS = {
    "FW_S_J179_R4_1_3_0_6.bin": "4.1.3.0.6",
    "SIP96xx_2_6_17_0.bin": "2.6.17.0",
    "S96x1_SALBR7_1_4_0r11_V4r83.tar": "7.1.4.0",
    "4620_031225.app": "4620.031225",
    "plain.bin": "",
}


@pytest.mark.parametrize("name", VERSIONS)
def test_version(name):
    assert version_of(name) == VERSIONS[name]


def test_every_model_of_the_sample_settings_is_one_that_we_know():
    told = re.findall(r"\$MODEL4 SEQ (\w+)", (DATA / "HTTPdata" / "46xxsettings.txt").read_text())
    assert set(told) <= {model[:4] for model in MODELS}
