"""What VPN phones are given: every preset, for every model that can have it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel.phones.authoring.settings import settings_file
from mv_iptel.phones.authoring.vpn import vpn_families, vpn_items, vpn_script, vpn_settings, with_branch
from mv_iptel.phones.authoring.wishes import CHOICES, problems
from mv_iptel.phones.effects import effects
from mv_iptel.phones.families import FAMILIES
from mv_iptel.phones.lint import Folder, lint
from mv_iptel.phones.parameters import presets
from tests.phones.authoring.test_settings import FULL, NAMES, handsets

PLAIN = b"## head\r\n## of it\r\n\r\n## The settings.\r\nGET 46xxsettings.txt\r\n"


def files_of(wishes):
    every = {name for family in FAMILIES.values() for name in family.scripts}
    scripts = dict.fromkeys(every, b"GET 46xxsettings.txt\n")
    return {
        **dict.fromkeys(NAMES, b""), **scripts, "46xxsettings.txt": settings_file(wishes, NAMES)[0],
        "46xxupgrade.scr": with_branch(PLAIN), "46xxvpn.scr": vpn_script(wishes, NAMES),
        "46vpnsetting.txt": vpn_settings(wishes),
    }  # fmt: skip


@pytest.mark.parametrize("preset", presets())
def test_each_preset_for_each_model(preset):
    wishes = replace(FULL, vpn=preset, gateways="198.51.100.1", extra=(("NVIKEID", "PHONES"),))
    assert problems(vpn_items(wishes)) == []
    files = files_of(wishes)
    told = [str(one) for one in lint(Folder(files)) if one.code != "open-secret"]
    assert told == []
    able = vpn_families(wishes)
    assert able
    for handset in handsets(("0", "876")):
        found = effects(files, handset)
        family = handset.family.name
        assert found.ended.why == "end" and found.missing == [] and found.rejected == {}, handset
        if handset.group == "876" and family in able:
            for name, value in (*presets()[preset].sets, ("NVSGIP", "198.51.100.1"), ("NVIKEID", "PHONES")):
                assert found.parameters[name].value == value, (handset, name)
            assert found.parameters["MCIPADD"].value == FULL.call_servers
            assert found.parameters["SNMPSTRING"].value == FULL.community
            assert ("L2QVLAN" in found.parameters) == (family != "4600")
        elif handset.group == "0":
            assert "NVSGIP" not in found.parameters, handset


def test_the_profile_comes_first():
    wishes = replace(FULL, vpn="nortel-securid", extra=(("NVVPNPSWDTYPE", "1"), ("NVVPNAUTHTYPE", "4")))
    found = [item.name for item in vpn_items(wishes)]
    assert found[:2] == ["NVVPNMODE", "NVVPNCFGPROF"]
    values = {item.name: item.value for item in vpn_items(wishes)}
    assert (values["NVVPNPSWDTYPE"], values["NVVPNAUTHTYPE"]) == ("1", "4")  # who names it means it
    assert found.count("NVVPNPSWDTYPE") == 1


def test_the_branch_stands_at_the_top_and_once():
    made = with_branch(PLAIN)
    assert made.startswith(b"## head\r\n## of it\r\n\r\n## Group 876")
    assert b"\n" not in made.replace(b"\r\n", b"")
    assert made.index(b"GET 46xxvpn.scr") < made.index(b"## The settings.\r\nGET 46xxsettings.txt")
    assert with_branch(made) == made
    by_hand = b"IF $GROUP SEQ 876 goto vpn\nGET 46xxsettings.txt\n# vpn\nGET 46xxvpn.scr\n"
    assert with_branch(by_hand) == by_hand
    assert with_branch(b"").count(b"876 GOTO") == 1
    assert with_branch(b"GET 46xxsettings.txt").endswith(b"GET 46xxsettings.txt\n\n# END876\n")


def test_the_branch_takes_no_tag_that_is_there():
    made = with_branch(b"GOTO OTHERS\n# OTHERS\n# VPN876\nGET 46xxsettings.txt\n")
    files = {"46xxupgrade.scr": made, "46xxsettings.txt": b"SET PHNOL 9\n", "46xxvpn.scr": b"SET PHNOL 8\n"}
    for handset in handsets(("0", "876")):
        if handset.family.name == "4600":
            assert effects(files, handset).value("PHNOL") == ("8" if handset.group == "876" else "9")


def test_who_cannot_have_it():
    assert vpn_families(replace(FULL, vpn="avaya", families=("96x1", "16xx"))) == ()
    assert vpn_families(FULL) == ()
    assert set(vpn_families(replace(FULL, vpn="cisco"))) <= set(CHOICES)
