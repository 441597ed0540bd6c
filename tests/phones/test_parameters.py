"""The table of settings: complete, of one mind with itself, and quick to ask."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from mv_iptel.phones import parameters as table
from mv_iptel.phones.families import FAMILIES
from mv_iptel.phones.parameters import Name, Parameter, known, nearest, search, takes, written
from mv_iptel.phones.values import TYPES

ROOT = Path(__file__).resolve().parents[2]
RAW = tomllib.loads(table.FILE.read_text("utf-8"))
ROWS = {name: row for title in RAW["tables"] for name, row in RAW[title].items()}

# The rows of each table in the public sources, and how many there are.
TABLES = {
    "addresses": (30, """
        MCIPADD MCPORT VUMCIPADD NVMCIPADD HTTPSRVR HTTPDIR HTTPPORT NVHTTPSRVR TLSSRVR TLSDIR TLSPORT
        NVTLSSRVR TLSSRVRID TLSSRVRVERIFYID FILE_SERVER_URL TFTPSRVR TFTPDIR AUTH STATIC
        FORCE_HTTP_AUTH_USERNAME FORCE_HTTP_AUTH_PASSWORD GROUP SIG DES_STAT DNSSRVR DOMAIN SNTPSRVR
        LOGSRVR CNASRVR CNAPORT
    """),
    "network": (33, """
        L2Q L2QVLAN L2QAUD L2QSIG L2QVID VLANSEP VLANSEPMODE PHY2VLAN PHY2PRIO PHY2TAGS VLANTEST
        REUSETIME DHCPSTD DSCPAUD DSCPSIG DSCPVID PHY1STAT PHY2STAT MTU_SIZE ICMPDU ICMPRED GRATARP
        ARP_REQUEST_LIMIT LLDP_ENABLED LLDP_XMIT_SECS DOT1XSTAT DOT1X DOT1XEAPS DOT1XWAIT IPV6STAT
        DHCPSTAT DHCPPREF IPPREF
    """),
    "access": (24, """
        PROCPSWD PROCSTAT ADMIN_PASSWORD ADMIN_LOGIN_ATTEMPT_ALLOWED ADMIN_LOGIN_LOCKED_TIME SNMPADD
        SNMPSTRING SYSLOG_ENABLED LOGSRVR_SECURE SYSLOG_LEVEL LOGLOCAL LOCAL_LOG_LEVEL LOGTOFILE
        LOG_CATEGORY ENABLE_RECORDING SSH_ALLOWED SSH_IDLE_TIMEOUT SSH_BANNER_FILE SLMSTAT SLMPORT
        ENABLE_WEBSERVER WEB_HTTP_PORT WEB_HTTPS_PORT FORCE_WEB_ADMIN_PASSWORD
    """),
    "tls": (28, """
        TRUSTCERTS MAX_TRUSTCERTS ENABLE_PUBLIC_CA_CERTS TLS_VERSION TLS_SECURE_RENEG
        CIPHER_SUITE_BLACKLIST CERTIFICATE_MIN_RSA_KEY_LENGTH BLOCK_CERTIFICATE_WILDCARDS
        KEYUSAGE_REQUIRED SERVER_CERT_RECHECK_HOURS CERT_WARNING_DAYS FQDN_IP_MAP OCSP_ENABLED
        FIPS_ENABLED MYCERTURL MYCERTCN MYCERTDN MYCERTCAID MYCERTKEYLEN MYCERTRENEW MYCERTWAIT
        SCEPPASSWORD SCEPENCALG PKCS12URL PKCS12_PASSWD_RETRY DELETE_MY_CERT HTTPPROXY
        HTTPEXCEPTIONDOMAINS
    """),
    "data": (26, """
        BRURI BRAUTH USER_STORE_URI FTPSRVR FTPDIR FTPUSERSTAT LOGBACKUP CLBACKUPTIMESTAT CLBACKUPTIME
        WMLHOME WMLPROXY WMLPORT WMLEXCEPT WMLIDLEURI WMLIDLETIME WMLHELPSTAT TPSLIST SUBSCRIBELIST
        PUSHCAP PUSHPORT PUSHPORT_SECURE DIRSRVR DIRLDAPPORT DIRTOPDN DIRFULLNAME DIRTELNUM
    """),
    "screen": (35, """
        LANGSYS LANG1FILE LANGLARGEFONT LANG0STAT FONTFILE VOXFILES SYSTEM_LANGUAGE LANGUAGES COUNTRY
        DATEFORMAT TIMEFORMAT GMTOFFSET DSTOFFSET DSTSTART DSTSTOP DAYLIGHT_SAVING_SETTING_MODE APPSTAT
        OPSTAT OPSTAT2 BAKLIGHTOFF SCREENSAVERON SCREENSAVER HOMEIDLETIME DEFAULTRING RINGTONESTYLE
        TIMERSTAT USBLOGINSTAT USBPOWER PHNEMERGNUM PHNMOREEMERGNUMS AGCHAND AGCHEAD AGCSPKR AUDIOENV
        LEDMODE
    """),
    "dialling": (8, """
        ENHDIALSTAT PHNCC PHNDPLENGTH PHNIC PHNLD PHNLDLENGTH PHNOL DIALPLAN
    """),
    "h323": (9, """
        UNNAMEDSTAT REREGISTER UDT H323SIGPROTOCOL GUESTLOGINSTAT GUESTDURATION GUESTWARNING QKLOGINSTAT
        CALLCTRSTAT
    """),
    "sip": (33, """
        SIPDOMAIN SIP_CONTROLLER_LIST SIPPROXYSRVR SIPSIGNAL SIPPORT SIP_PORT_SECURE SIPREGPROXYPOLICY
        SIMULTANEOUS_REGISTRATIONS REGISTERWAIT WAIT_FOR_REGISTRATION_TIMER RECOVERYREGISTERWAIT
        ENABLE_AVAYA_ENVIRONMENT ENABLE_PPM CONFIG_SERVER_SECURE_MODE ENABLE_IPOFFICE
        ENABLE_3PCC_ENVIRONMENT MWISRVR MSGNUM PSTN_VM_NUM PHNNUMOFSA MEDIAENCRYPTION ENCRYPT_SRTCP
        ENFORCE_SIPS_URI SDPCAPNEG ENABLE_G711A DTMF_PAYLOAD_TYPE SEND_DTMF_TYPE TCP_KEEP_ALIVE_STATUS
        TCP_KEEP_ALIVE_TIME TCP_KEEP_ALIVE_INTERVAL INTER_DIGIT_TIMEOUT NO_DIGITS_TIMEOUT
        FORCE_SIP_USERNAME
    """),
    "upgrade": (8, """
        APPNAME RFSNAME BOOTNAME JEM24_APPNAME AUTOMATIC_UPDATE_POLICY AUTOMATIC_UPDATE_WINDOW
        UPGRADE_POLLING_PERIOD DLOAD_RND
    """),
    "vpn": (36, """
        NVVPNMODE NVSGIP NVBACKUPSGIP NVVPNFILESRVR NVVPNCFGPROF NVVPNSVENDOR NVVPNAUTHTYPE
        NVVPNUSERTYPE NVVPNUSER NVVPNPSWDTYPE NVVPNCOPYTOS NVVPNENCAPS NVIKEPSK NVIKEID NVIKEIDTYPE
        NVIKEXCHGMODE NVIKECONFIGMODE NVXAUTH NVIKEDHGRP NVPFSDHGRP NVIKEP1ENCALG NVIKEP2ENCALG
        NVIKEP1AUTHALG NVIKEP2AUTHALG NVIKEP1LIFESEC NVIKEP2LIFESEC NVIPSECSUBNET NVIKEOVERTCP
        NORTELAUTH VPNALLOWTAGS VPNCODE VPNPROC QTESTRESPONDER DHCPSRVR DROPCLEAR ALWCLRNOTIFY
    """),
}  # fmt: skip
# Rows of which the sources confirm only the name, or do not confirm the default.
INFERRED_VALUES = """
    MCPORT TFTPSRVR TFTPDIR GROUP FTPSRVR FTPDIR FTPUSERSTAT DIRLDAPPORT DIRFULLNAME DIRTELNUM PHNNUMOFSA
    APPNAME RFSNAME BOOTNAME JEM24_APPNAME NVBACKUPSGIP NVVPNFILESRVR
"""
INFERRED_DEFAULTS = """
    MTU_SIZE LANG0STAT COUNTRY DATEFORMAT AUDIOENV DLOAD_RND NVVPNSVENDOR NVVPNUSERTYPE NVIKEP1LIFESEC
    NVIKEP2LIFESEC NVIKEOVERTCP NORTELAUTH VPNCODE VPNPROC DROPCLEAR ALWCLRNOTIFY
"""
BY_MODEL = """
    IPV6STAT DHCPSTAT SYSLOG_LEVEL LOCAL_LOG_LEVEL SSH_ALLOWED PUSHCAP ENABLE_3PCC_ENVIRONMENT MEDIAENCRYPTION
"""
SECRETS = """
    PROCPSWD ADMIN_PASSWORD SNMPSTRING FORCE_HTTP_AUTH_PASSWORD FORCE_WEB_ADMIN_PASSWORD SCEPPASSWORD NVIKEPSK
    VPNCODE FORCE_SIP_PASSWORD
"""
FILES = """
    APPNAME RFSNAME JEM24_APPNAME TRUSTCERTS SSH_BANNER_FILE PKCS12URL LANGSYS LANG1FILE LANG2FILE LANG3FILE
    LANG4FILE LANGLARGEFONT FONTFILE VOXFILES SYSTEM_LANGUAGE LANGUAGES SCREENSAVER
"""
# How many of the template's names begin so.
INITIALS = {
    "1": 1, "3": 1, "A": 79, "B": 52, "C": 75, "D": 77, "E": 120, "F": 22, "G": 9, "H": 27, "I": 18,
    "K": 3, "L": 35,
    "M": 34, "N": 40, "O": 48, "P": 82, "Q": 5, "R": 36, "S": 136, "T": 24, "U": 23, "V": 23, "W": 42, "X": 4,
}  # fmt: skip


def those(asked) -> set[str]:
    return {name for name, each in table.parameters().items() if asked(each)}


# Complete.


@pytest.mark.parametrize("title", TABLES)
def test_a_table_has_all_its_rows(title):
    count, names = TABLES[title]
    assert len(names.split()) == count
    assert list(RAW[title]) == names.split()


def test_there_are_270_rows():
    assert sum(count for count, _ in TABLES.values()) == 270
    assert len(those(lambda each: not each.extra)) == 270


def test_every_name_of_the_template_is_known():
    names = table.names()
    assert len(names) == 1016
    assert dict(Counter(name[0] for name in names)) == INITIALS
    for name in names:
        assert known(name) is not None and known(name.lower()) is known(name)


def test_what_is_described_and_not_in_the_template_has_another_source():
    outside = those(lambda each: each.name not in table.names())
    assert outside == those(lambda each: each.source != "template")


# Of one mind with itself.


def test_every_key_of_a_row_is_read_and_documented():
    text = (ROOT / "docs" / "parameters.md").read_text("utf-8")
    keys = {key for row in ROWS.values() for key in row} | {
        key for row in ROWS.values() for own in row.get("differs", {}).values() for key in own
    }
    source = Path(table.__file__).read_text("utf-8")
    assert [key for key in keys if f'"{key}"' not in source] == []
    assert [key for key in (*keys, *TYPES, *RAW) if f"`{key}`" not in text and key not in RAW["tables"]] == []


def test_every_row_has_what_a_row_must_have():
    for name, each in table.parameters().items():
        assert each.says.endswith("."), name
        assert each.type in TYPES, name
        assert each.source in table.sources(), name
        assert each.place in ("settings", "upgrade", "nowhere"), name
        assert each.signalling in ("", "SIP", "H323"), name
        assert set(each.origins) <= {"file", "dhcp", "lldp", "phone", "callserver"} and each.origins, name
        assert set(each.inferred) <= {"values", "default", "families"}, name
        assert each.mark in table.MARKS, name
        assert all(known(one) for one in each.before), name
        assert each.rule.describe(), name
        if each.type in ("enum", "flag"):
            assert len(each.rule.values) >= 2, name
        if each.type in ("file", "files"):
            assert each.file or name == "BOOTNAME", name
        assert re.compile(each.rule.pattern)


def test_every_default_is_a_value():
    for name, each in table.parameters().items():
        for family in ("", *FAMILIES):
            default = each.default_for(family)
            if default is not None:
                assert each.check(default, family) is None, (name, family, default)


def test_a_row_without_a_default_says_so_or_has_none():
    without = those(lambda each: each.default is None and not each.default_says)
    assert without == {"VLANSEPMODE", "DHCPPREF", "IPPREF", "CLBACKUPTIME", "BOOTNAME", "FILTERLIST"}


def test_every_family_exists():
    assert table.families() == {name: family.signalling for name, family in FAMILIES.items()}
    for name, each in table.parameters().items():
        for words in (each.families, each.only, each.lacks, each.rules, each.defaults):
            assert set(words) <= set(FAMILIES), name
    for variable in table.variables().values():
        assert set(variable.families) <= set(FAMILIES), variable.name
    for family in FAMILIES.values():
        assert set(family.variables) <= set(table.variables())


def test_who_shuts_a_family_out_does_not_list_it():
    for name, each in table.parameters().items():
        listed = set(each.families)
        assert not each.only or listed <= set(each.only), name
        if each.signalling:
            assert {FAMILIES[family].signalling for family in listed} <= {each.signalling}, name
    assert those(lambda each: set(each.lacks) & set(each.families)) == {"TLSSRVRID"}  # as the sources have it


def test_marks():
    assert those(lambda each: "values" in each.inferred and not each.extra) == set(INFERRED_VALUES.split())
    assert those(lambda each: "default" in each.inferred and not each.extra) == set(INFERRED_DEFAULTS.split())
    assert those(lambda each: each.by_model) == set(BY_MODEL.split())
    assert table.parameters()["NVIKEPSK"].mark == "confirmed"  # only its families were inferred
    assert table.parameters()["MCPORT"].mark == "inferred"
    assert table.parameters()["PUSHCAP"].mark == "model-dependent"


def test_secrets_and_files():
    assert those(lambda each: each.secret) == set(SECRETS.split())
    assert those(lambda each: each.file) == set(FILES.split())
    assert known("WLAN_PASSWORD") == Name("WLAN_PASSWORD", secret=True)
    assert known("FORCE_SIP_PASSWORD").secret and table.names()["SNMPSTRING"].secret
    assert not known("PHONE_LOCK_PASSWORD_LOCKED_TIME").secret


def test_every_file_that_a_simulated_phone_fetches_is_marked():
    fetched = {name for family in FAMILIES.values() for name in family.files}
    assert fetched <= set(FILES.split())


def test_servers():
    servers = those(lambda each: each.server)
    assert {"MCIPADD", "HTTPSRVR", "TLSSRVR", "TFTPSRVR", "FTPSRVR", "BRURI", "DNSSRVR", "NVSGIP"} <= servers
    kinds = {"host", "hosts", "url", "urls", "controllers"}
    named = those(lambda each: each.type in kinds)
    assert named - servers == {"SNMPADD"}  # who may ask, not who is asked


def test_where_a_value_may_come_from():
    rows = table.parameters()
    assert rows["MCIPADD"].origins == ("file", "dhcp", "lldp")
    assert rows["HTTPDIR"].origins == ("file", "dhcp")
    assert rows["PHY2VLAN"].origins == ("file", "lldp")
    assert rows["GROUP"].origins == ("phone", "callserver")
    assert len(those(lambda each: "dhcp" in each.origins)) == 26
    assert len(those(lambda each: "lldp" in each.origins)) == 13
    parts = [one for each in rows.values() for one in each.options if one.startswith("43.")]
    assert sorted(parts, key=lambda one: int(one[3:])) == [f"43.{part}" for part in range(2, 16)]


# VPN.


def test_each_profile_has_its_preset():
    profiles = set(table.parameters()["NVVPNCFGPROF"].rule.values) - {"0"}
    assert {dict(preset.sets)["NVVPNCFGPROF"] for preset in table.presets().values()} == profiles
    assert {dict(preset.sets).get("NORTELAUTH") for preset in table.presets().values()} == {
        None,
        "1",
        "2",
        "3",
    }


def test_a_preset_sets_the_profile_first_and_only_what_the_phone_takes():
    rows = table.parameters()
    for preset in table.presets().values():
        (first, _), *rest = preset.sets
        assert first == "NVVPNCFGPROF"
        assert {name for name, _ in rest} <= set(rows[first].before), preset.name
        assert preset.families
        for family in preset.families:
            for name, value in preset.sets:
                assert rows[name].check(value, family) is None, (preset.name, name)
                assert takes(rows[name], family) == "yes", (preset.name, name)


def test_the_vpn_set_is_complete():
    names = [name for name in table.names() if name.startswith("NVIKE") or name.startswith("NVVPN")]
    assert len(names) == 22
    assert all(isinstance(known(name), Parameter) for name in names)


def test_profiles_of_the_4600_are_its_own():
    profile = table.parameters()["NVVPNCFGPROF"]
    assert profile.check("7") is None and profile.check("7", "4600") is None
    assert profile.check("7", "96x1").kind == "value"


# Asking.


def test_known_by_any_letter_case_and_spelling():
    assert known("L2QVLAN") is known("l2qvlan") is known("L2qVlan")
    assert known("SNMPSTAT").name == "SNMPSTRING"
    assert known("NvVlanTest").name == "VLANTEST"
    assert known("PRESERVED_CONNECTION_DURATION").name == "PRESERVED_CALL_DURATION"
    assert table.spelling("snmpstat").means == "SNMPSTRING" and table.spelling("SNMPSTRING") is None
    assert known("SNMPSTRING").spellings == ("SNMPSTAT",)
    assert isinstance(known("XSI_URL"), Name)
    assert known("NO_SUCH_THING") is None and known("") is None and known("$GROUP") is None


def test_one_that_is_like_another():
    first, third = known("LANG1FILE"), known("LANG3FILE")
    assert (third.type, third.families, third.rule.length) == (first.type, first.families, first.rule.length)
    assert third.extra and not first.extra and third.rule.name == "LANG3FILE"
    assert "LANG3FILE" in third.check("a b").text
    assert known("MYCERTURL_2").families == ()
    assert known("ENABLE_G729").check("2") is None and known("ENABLE_G711U").check("2").kind == "value"
    assert known("ENABLE_G726").default == "0"


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("MCIPADDR", "MCIPADD"), ("HTTPSERVER", "HTTPSRVR"), ("SNMPSTRIGN", "SNMPSTRING"),
        ("L2QVALN", "L2QVLAN"),
        ("TRUSTCERT", "TRUSTCERTS"), ("NVVPNCFGPORF", "NVVPNCFGPROF"), ("l2qvlam", "L2QVLAN"),
        ("BRURL", "BRURI"),
        ("SIP_CONTROLER_LIST", "SIP_CONTROLLER_LIST"),
        ("ENABLE_AVAYA_ENVIROMENT", "ENABLE_AVAYA_ENVIRONMENT"),
        ("PHNEMERGENUM", "PHNEMERGNUM"), ("TLSSERVER", "TLSSRVR"), ("DST_START", "DSTSTART"),
    ],
)  # fmt: skip
def test_the_nearest_of_a_slip(slip, meant):
    assert known(slip) is None
    assert nearest(slip)[0] == meant


@pytest.mark.parametrize("word", ["", "FOO", "X" * 5000, "ÄÖÜ" * 9, "COMPLETELY_DIFFERENT_WORDS"])
def test_nothing_is_near(word):
    assert nearest(word) == []


def test_taken_or_not():
    rows = table.parameters()
    assert takes(rows["L2QVLAN"], "96x1") == "yes"
    assert takes(rows["PHY2TAGS"], "96x0") == "unknown"  # not listed proves nothing
    assert takes(rows["SIPDOMAIN"], "96x1") == "no" and takes(rows["SIPDOMAIN"], "96x1-sip") == "yes"
    assert takes(rows["UNNAMEDSTAT"], "J100-sip") == "no" and takes(rows["UNNAMEDSTAT"], "J100") == "yes"
    assert takes(rows["TFTPSRVR"], "96x0") == "no" and takes(rows["TFTPSRVR"], "4600-old") == "yes"
    assert takes(rows["TLSSRVRID"], "96x1") == "no" and takes(rows["TLSSRVRID"], "96x1-sip") == "yes"
    assert takes(rows["FONTFILE"], "16xx") == "yes" and takes(rows["FONTFILE"], "96x1") == "no"
    assert takes(rows["NVVPNMODE"], "4600") == "yes" and takes(rows["NVVPNMODE"], "16xx") == "unknown"
    assert takes(rows["SIPDOMAIN"], "no such family") == "unknown"
    assert takes(known("XSI_URL"), "96x1") == "unknown"


def test_what_the_4600_takes():
    common = """MCIPADD MCPORT TFTPSRVR HTTPSRVR TLSSRVR L2Q L2QVLAN PHNCC DIRSRVR FTPSRVR WMLHOME SNMPADD
        SNMPSTRING OPSTAT APPSTAT ICMPDU ICMPRED VLANTEST APPNAME BOOTNAME IRSTAT NVVPNCFGPROF"""
    assert [name for name in common.split() if takes(known(name), "4600") != "yes"] == []
    old = those(lambda each: "4600-old" in each.families)
    assert old and not old & {"HTTPSRVR", "TLSSRVR", "FTPSRVR"}  # came with later releases


def test_a_default_may_hang_on_the_family():
    rows = table.parameters()
    assert rows["PROCPSWD"].default_for("96x1") == "27238" and rows["PROCPSWD"].default_for("4600") == ""
    assert rows["TLSPORT"].default_for("J100-sip") == "443" and rows["TLSPORT"].default_for("96x1") == "411"
    assert rows["WMLPORT"].default_for("96x1") == "8000" and rows["WMLPORT"].default_for("96x1-sip") == "8080"


def test_a_range_may_hang_on_the_family():
    length = known("PHNDPLENGTH")
    assert length.check("12") is None and length.check("12", "96x1") is None
    assert length.check("12", "4600").text == "PHNDPLENGTH is a number from 3 to 10; 12 is too large"
    bruri = known("BRURI")
    assert bruri.check("https://192.0.2.1/user/") is None
    assert bruri.check("https://192.0.2.1/user/", "16xx").sure


def test_file_names_of_the_96x1():
    assert known("LANG1FILE").check("mlf(1).txt") is None
    assert known("LANG1FILE").check("mlf(1).txt", "96x1").kind == "form"
    certificates = known("TRUSTCERTS")
    assert certificates.check("http://192.0.2.1/a/b.pem,c.pem,$MACADDR.pem", "96x1") is None
    assert "'a~b.pem'" in certificates.check("c.pem,a~b.pem", "96x1").text


def test_what_a_value_gives_away():
    assert known("SNMPSTRING").exposes("public") and not known("SNMPSTRING").exposes("")
    assert known("BRURI").exposes("http://anna:secret@192.0.2.1/") and not known("BRURI").exposes(
        "http://192.0.2.1/"
    )
    assert not known("L2QVLAN").exposes("20")


def test_keys_of_other_languages():
    assert "11xx" in table.elsewhere("SERVER_IP1_1") and "11xx" in table.elsewhere("autologin_id_key01")
    assert "11xx" in table.elsewhere("DOWNLOAD_MODE")
    assert "user data" in table.elsewhere("ABKNAME001")
    assert table.elsewhere("ADMIN_PASSWORD") == "" and table.elsewhere("NO_SUCH_THING") == ""
    names = {name for group in RAW["elsewhere"].values() for name in group["names"].split()}
    assert [name for name in names if known(name)] == []


def test_variables():
    variables = table.variables()
    assert set(variables) - {"MACADDR_UPPER", "SERIALNO"} == {
        name for name, one in variables.items() if one.tested
    }
    assert "9608" in variables["MODEL4"].values and variables["GROUP"].ranges == ((0, 999),)
    assert {name for name, one in variables.items() if one.put_in} == {
        "MACADDR", "MACADDR_UPPER", "SERIALNO", "MODEL4",
    }  # fmt: skip


def test_search():
    def named(*words: str) -> list[str]:
        return [each.name for each in search(words)]

    assert named("VLAN")[:3] == ["L2QVLAN", "PHY2VLAN", "VLANSEP"]
    assert named("community") == ["SNMPSTRING"]
    assert named("snmpstat") == ["SNMPSTRING"]
    assert named("lock", "procedures") == ["PROCSTAT"]
    assert named("xsi_ur") == ["XSI_URL"]
    assert "NVIKEPSK" in named("vpn")  # by its heading
    assert named("no such thing") == []


def test_as_it_is_written():
    assert written("20") == "20"
    assert written("") == '""'
    assert written("a b") == '"a b"'


def test_the_file_is_read_once():
    assert table.parameters() is table.parameters()
    assert known("L2Q") is table.parameters()["L2Q"]
