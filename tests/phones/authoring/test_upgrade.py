"""Upgrade scripts from firmware: each played for each model, until the phone is ready."""

from __future__ import annotations

import pytest

from mv_iptel.phones.authoring.firmware import firmware
from mv_iptel.phones.authoring.upgrade import upgrade_scripts
from mv_iptel.phones.effects import effects
from mv_iptel.phones.families import FAMILIES, Handset
from mv_iptel.phones.lint import Folder, lint
from tests.phones.authoring.test_settings import handsets

SETTINGS = {"46xxsettings.txt": b"SET PHNOL 9\n"}
# What lies in one directory -> model and signalling -> what it then runs ("": what it had).
DEPOTS = {
    "J100": (
        "FW_S_J179_R4_1_3_0_6.bin FW_S_J179_R4_1_3_0_12.bin FW_S_J189_R4_1_3_0_6.bin FW_JEM24_R1_0_1_0_25.bin"
        " FW_H_J169_R6_7_0_02.bin",
        {"J179": "FW_S_J179_R4_1_3_0_12.bin", "J189": "FW_S_J189_R4_1_3_0_6.bin", "J129": "", "J169": "",
         "J169 H323": "FW_H_J169_R6_7_0_02.bin", "J179 H323": ""},
    ),
    "96x1": (
        "S96x1_UKR_V22r11_V22r11.tar S9608_11HALBR6_4_0_14_V452.tar S9621_41HALBR6_4_0_14_V452.tar"
        " S9621_41HALBR6_3_1.tar S96x1_SALBR7_1_4_0r11_V4r83.tar S9608_11_SALKRR7_1_4_0r11.bin",
        {"9608": "S9608_11HALBR6_4_0_14_V452.tar", "9611G": "S9608_11HALBR6_4_0_14_V452.tar",
         "9621G": "S9621_41HALBR6_4_0_14_V452.tar", "9641GS": "S9621_41HALBR6_4_0_14_V452.tar",
         "9601": "S96x1_SALBR7_1_4_0r11_V4r83.tar", "9641G SIP": "S96x1_SALBR7_1_4_0r11_V4r83.tar",
         "9608 SIP": "S96x1_SALBR7_1_4_0r11_V4r83.tar", "9608 SIP 3": "S9608_11_SALKRR7_1_4_0r11.bin"},
    ),
    "96x0": (
        "SIP96xx_2_6_17_0.bin SIP96xx_2_6_17_0_SHA256.bin hb96xxua3_00.bin hb96xxua3_00_SHA256.bin"
        " ha96xxua3_2_1.bin ha96xxua3_11_0.bin",
        {"9640": "ha96xxua3_11_0.bin", "9620L": "ha96xxua3_11_0.bin",
         "9640 SIP": "SIP96xx_2_6_17_0_SHA256.bin"},
    ),
    "96x0 old SIP": ("SIP96xx_2_5_0.bin", {"9640 SIP": "SIP96xx_2_5_0.bin", "9640": ""}),
    "96x0 new SIP": ("SIP96xx_2_6_SHA256.bin", {"9640 SIP": "SIP96xx_2_6_SHA256.bin", "9640": ""}),
    "96x0 H.323": ("96x0_example_3_2_1.bin", {"9640": "96x0_example_3_2_1.bin", "9640 SIP": ""}),
    "16xx": (
        "16xx_example_1_3_12.bin 1603_example_1_3_12.bin hb1603ua1_3.bin",
        {"1603": "1603_example_1_3_12.bin", "1608": "16xx_example_1_3_12.bin",
         "1616": "16xx_example_1_3_12.bin"},
    ),
    "16xx alone": ("1608_ua_1_3.bin", {"1603": "", "1608": "1608_ua_1_3.bin", "1616": ""}),
    "4600 one": ("4620_031225.app", {"4620": "4620_031225.app", "4610SW": "4620_031225.app"}),
    "B189": ("SB189_HALBR1_0_22.tar", {"B189": "SB189_HALBR1_0_22.tar"}),
    "K1xx": ("K1xx_SIP_R3_1_0.tar", {"K165": "K1xx_SIP_R3_1_0.tar"}),
}  # fmt: skip


def files_of(made, names):
    empty = [name for family in FAMILIES.values() for name in family.scripts]
    scripts = dict.fromkeys(empty, b"GET 46xxsettings.txt\n")
    return {**dict.fromkeys(names.split(), b"\0"), **scripts, **SETTINGS, **made.scripts}


@pytest.mark.parametrize("depot", DEPOTS)
def test_each_model_loads_what_is_there_for_it(depot):
    names, wanted = DEPOTS[depot]
    made = upgrade_scripts([*names.split(), *SETTINGS])
    assert made.notes == [] and made.scripts
    files = files_of(made, names)
    assert [str(one) for one in lint(Folder(files), made.scripts)] == []
    for handset in handsets(("0",)):
        found = effects(files, handset)
        assert found.missing == [] and not found.restless and found.ended.why == "end", handset
        assert found.value("PHNOL") == "9", handset
    for who, file in wanted.items():
        model, signalling, hwvers = (*who.split(), "", "")[:3]
        found = effects(files, Handset(model, signalling=signalling, hwvers=hwvers or "1"))
        assert found.handset.runs == file, who


def test_the_module_is_named_for_those_that_take_it():
    names = DEPOTS["J100"][0]
    files = files_of(upgrade_scripts([*names.split(), *SETTINGS]), names)
    for model, file in (
        ("J169", "FW_JEM24_R1_0_1_0_25.bin"),
        ("J179", "FW_JEM24_R1_0_1_0_25.bin"),
        ("J129", ""),
    ):
        found = effects(files, Handset(model)).parameters.get("JEM24_APPNAME")
        assert (found.value if found else "") == file


def test_older_firmware_is_said_not_to_be_named():
    made = upgrade_scripts([*DEPOTS["J100"][0].split(), *SETTINGS])
    assert made.unnamed == ["FW_S_J179_R4_1_3_0_6.bin"]


def test_of_two_kernels_the_one_that_the_present_script_names():
    names = [
        "S96x1_UKR_V22r11_V22r11.tar",
        "S96x1_UKR_V41r3618_V41r3618.tar",
        "S96x1_SALBR7_1_4.tar",
        *SETTINGS,
    ]
    made = upgrade_scripts(names)
    assert any("no name tells" in note for note in made.notes)
    assert made.scripts == {}  # half of what a phone needs is worse than the script that is there
    old = {"96x1supgrade.txt": b"SET RFSNAME s96x1_ukr_v41r3618_V41r3618.tar\r\n"}
    made = upgrade_scripts([*names, *old], old)
    assert made.notes == []
    assert b"SET RFSNAME S96x1_UKR_V41r3618_V41r3618.tar" in made.scripts["96x1supgrade.txt"]


def test_4600_are_told_apart_by_their_boot_files():
    names = "i20d01a2_9.bin b20d01a2_9.bin i10d01a2_9.bin b10d01b2_9.bin a02d01b2_3.bin 4620_031225.app"
    made = upgrade_scripts([*names.split(), *SETTINGS])
    assert any("a02d01b2_3.bin named nowhere" in note for note in made.notes)
    files = files_of(made, names)
    assert effects(files, Handset("4620", boot="b20d01a2_9.bin")).handset.runs == "i20d01a2_9.bin"
    assert effects(files, Handset("4610SW", boot="b10d01b2_9.bin")).handset.runs == "i10d01a2_9.bin"
    assert effects(files, Handset("4602", boot="b02d01b2_3.bin")).handset.runs == ""


def test_only_some_families_and_none():
    names = [*DEPOTS["J100"][0].split(), *DEPOTS["96x1"][0].split(), *SETTINGS]
    assert set(upgrade_scripts(names, families=["96x1"]).scripts) == {"96x1Hupgrade.txt"}
    assert upgrade_scripts(["46xxsettings.txt", "Mlf_German.xml", "96xxmibDRAFT.txt"]).scripts == {}


def test_settings_that_are_not_there_are_told():
    made = upgrade_scripts(["FW_S_J179_R4_1_3_0_6.bin"])
    assert any("46xxsettings.txt is not there" in note for note in made.notes)
    made = upgrade_scripts(["FW_S_J179_R4_1_3_0_6.bin", "46XXSettings.TXT"])
    assert made.notes == [] and b"GET 46XXSettings.TXT" in made.scripts["J100Supgrade.txt"]


def test_names_that_only_look_like_it():
    for name in (
        "FW_S_J179.bin.sig",
        "mlf_96x1_v176_german.txt",
        "46xxupgrade.scr",
        "1608.txt",
        "x.app",
        "b.bin",
    ):
        assert firmware([name]) == [], name
