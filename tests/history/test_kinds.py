"""Which files have a history."""

from __future__ import annotations

import pytest

from mv_iptel.history.kinds import concerns, is_script, may_be_script

SCRIPTS = (
    "46xxupgrade.scr 46XXsettings.TXT 96x1Hupgrade.txt J100Supgrade.txt B189Hupgrade.txt 46xxvpn.scr"
    " 46vpnsetting.txt 46xxspecials.txt fxd_settings.txt fxd_46xxupgrade.scr 11xxsettings.txt 1120eSIP.cfg"
    " SIP001122334455.cfg avayab179.xml cfg001122334455.xml paris/46xxsettings.txt odd.scr"
)
OTHERS = (
    "4711_4620data.txt 9610data.txt HTTP_allow_IP.txt allow_IP.txt mlf_96x1_v176_german.txt mv_ca.txt"
    " IPTSAcert1.txt 96xxmibDRAFT.txt FW_S_J179_R4_1_3_0_6.bin S9608_11HALBR6_4.tar release.xml"
    " .46xxsettings.txt x.txt~ 46xxsettings.txt.tmp mv_watchdog_check.txt Mlf_German.xml readme.html"
)


@pytest.mark.parametrize("name", SCRIPTS.split())
def test_a_script_by_its_name(name):
    assert is_script(name) and may_be_script(name) and concerns(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_no_script_whatever_is_in_it(name):
    assert not is_script(name, b"SET A 1\n")


def test_what_get_may_lead_to_is_told_by_its_content():
    for name in ("0004f2000001.txt", "site_paris.cfg"):
        assert may_be_script(name) and not is_script(name)
        assert is_script(name, b"## here\r\nset L2QVLAN 20\r\n")
        assert not is_script(name, b"dear reader, SET is a word\n")


def test_firmware_concerns_scripts_and_user_data_does_not():
    assert concerns("FW_S_J179_R4_1_3_0_6.bin") and concerns("mlf_96x1_v176_german.txt")
    for name in ("4711_4620data.txt", ".x.part", "x.tmp", "HTTP_allow_IP.txt", "mv_watchdog_check.txt", ""):
        assert not concerns(name)
