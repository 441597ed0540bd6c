"""Names from the wire: what they become, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.library import names


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"46xxsettings.txt", "46xxsettings.txt"),
        (b"/46xxsettings.txt", "46xxsettings.txt"),
        (b"///46xxsettings.txt", "46xxsettings.txt"),
        (b"\\46xxsettings.txt", "46xxsettings.txt"),
        (b"Communicator\\x\\y.xml", "Communicator/x/y.xml"),
        (b"phones/./a//b.txt", "phones/a/b.txt"),
        (b"a%20b.txt", "a b.txt"),
        (b"a b.txt", "a b.txt"),
        (b"100%.txt", "100%.txt"),
        (b"%2541.txt", "%41.txt"),  # decoded once only
        (b"46upgrade.scr", "46xxupgrade.scr"),
        (b"M\xc3\xbcller.txt", "Müller.txt"),
        (b"a...b/..c", "a...b/..c"),
        (b"signatures/S9608.tar.sig256", "signatures/S9608.tar.sig256"),
    ],
)
def test_a_name_becomes_a_clean_path(raw, name):
    assert names.clean(raw) == (name, "")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "empty"),
        (b"/", "empty"),
        (b"../etc/passwd", "climbs"),
        (b"a/../../etc/passwd", "climbs"),
        (b"..\\..\\windows\\win.ini", "climbs"),
        (b"%2e%2e/etc/passwd", "climbs"),
        (b"%2e%2e%2fetc%2fpasswd", "climbs"),
        (b"%5c..%5c..%5cx", "climbs"),
        (b"a\x00b", "control"),
        (b"a%00b", "control"),
        (b"a\r\nb", "control"),
        (b"C:\\boot.ini", "drive"),
        (b"c:/x", "drive"),
        (b"a" * 1025, "1025 octets"),
        (b"a" * 256, "255 octets"),
    ],
)
def test_a_bad_name_is_told(raw, told):
    name, wrong = names.clean(raw)
    assert name == ""
    assert told in wrong


@given(st.binary(max_size=1200))
def test_any_octets_end_in_a_path_that_stays_below(raw):
    name, wrong = names.clean(raw)
    assert bool(name) != bool(wrong)
    if name:
        parts = name.split("/")
        assert ".." not in parts and "" not in parts and "." not in parts
        assert "\0" not in name and "\\" not in name and not name.startswith("/")
    names.understand(raw)
    assert len(names.printable(raw)) < 2000
    assert all(character.isprintable() for character in names.printable(raw))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (".htaccess", "dot"),
        ("a/.git/config", "dot"),
        ("HTTP_allow_IP.txt", "lists"),
        ("tftp_ALLOW_ip.TXT", "lists"),
        ("archive/2026-01/4711_96xxdata.txt.gz", "archive"),
        ("x/archive/y", "archive"),
        ("MV_IPTel.ini", "configuration"),
        ("server.KEY", "configuration"),
        ("phone.p12", "configuration"),
        ("a.tmp", "configuration"),
        ("a.txt~", "temporary"),
    ],
)
def test_never_served(name, told):
    assert told in names.forbidden(name)


@pytest.mark.parametrize("name", ["46xxsettings.txt", "mv_ca.txt", "a.keys", "initial.bin", "archive.txt"])
def test_served(name):
    assert names.forbidden(name) == ""


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("46xxupgrade.scr", ("fxd_46xxupgrade.scr", "fxd_upgrade.scr")),
        ("46XXUPGRADE.SCR", ("fxd_46XXUPGRADE.SCR", "fxd_upgrade.scr")),
        ("x/96x1Hupgrade.txt", ("fxd_96x1Hupgrade.txt", "fxd_upgrade.scr")),
        ("J100Supgrade.txt", ("fxd_J100Supgrade.txt", "fxd_upgrade.scr")),
        ("K1xxSupgrade.txt", ("fxd_K1xxSupgrade.txt", "fxd_upgrade.scr")),
        ("16xxupgrade.txt", ("fxd_16xxupgrade.txt", "fxd_upgrade.scr")),
        ("1600upgrade.txt", ("fxd_1600upgrade.txt", "fxd_upgrade.scr")),
        ("46vpnupgrade.scr", ("fxd_46vpnupgrade.scr", "fxd_upgrade.scr")),
        ("46xxsettings.txt", ("fxd_46xxsettings.txt", "fxd_settings.txt")),
        ("46xxsettings.scr", ("fxd_46xxsettings.scr", "fxd_settings.txt")),
        ("46xxspecials.txt", ("fxd_46xxspecials.txt", "fxd_settings.txt")),
        ("46vpnsetting.txt", ("fxd_46vpnsetting.txt", "fxd_settings.txt")),
        ("a20d01a2_9.bin", ()),
        ("upgrade.scr", ()),
        ("96xxsettings.txt", ()),
    ],
)
def test_what_may_stand_in_for_a_refused_script(name, instead):
    assert names.override(name) == instead


@pytest.mark.parametrize(
    ("name", "mac"),
    [
        ("SEP001122AABBCC.cnf.xml", "001122aabbcc"),
        ("001122aabbcc.cfg", "001122aabbcc"),
        ("cfg001122334455.xml", "001122334455"),
        ("00-11-22-33-44-55.txt", "001122334455"),
        ("snom760-001122AABBCC.htm", "001122aabbcc"),
        ("001122aabbcc/phone.cfg", "001122aabbcc"),
        ("sip_001122aabbcc.txt", "001122aabbcc"),
        ("ipst_config_01_02_03_04_05_ab.cfg", "0102030405ab"),
        ("000000000000.cfg", ""),
        ("y000000000025.cfg", ""),
        ("image-a1b2c3d4e5f6.bin", ""),
        ("firmware-202611210930.bin", ""),
        ("FW_S_J179_R4_1_3_0_6.bin", ""),
    ],
)
def test_a_mac_in_a_name(name, mac):
    assert names.mac_in(name) == mac
