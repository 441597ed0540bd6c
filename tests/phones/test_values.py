"""What a setting may be: good values pass, bad ones get a sentence, and nothing breaks the checks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.phones.parameters import parameters
from mv_iptel.phones.values import TYPES, Rule, host_problem, ranges_of

GOOD = {
    "AUTH": "0 1 01",
    "L2Q": "0 1 2",
    "L2QVLAN": "0 1 4094 020",
    "REUSETIME": "0 20 60 999",
    "MCPORT": "0 1719 65535",
    "DSCPAUD": "0 46 63",
    "CLBACKUPTIME": "0 60 100000",
    "PROCPSWD": "27238 0 1234567",
    "PHNIC": "011 00 *9 #",
    "PHNLD": "1 0",
    "MSGNUM": "*98 4711",
    "SNMPSTRING": "public Public1",
    "OPSTAT": "000 111 101 1 2",
    "PUSHCAP": "000 2222 00000 22222",
    "ADMIN_PASSWORD": "27238 Abc123",
    "MYCERTCN": "$SERIALNO $MACADDR phone-$MACADDR",
    "MYCERTDN": "/O=Example /C=EU/O=Example",
    "HTTPSRVR": "192.0.2.1 files.example.org 192.0.2.1,192.0.2.2 2001:db8::1 [2001:db8::1] files_1 0.0.0.0",
    "LOGSRVR": "192.0.2.1 192.0.2.1:514 log.example.org:6514 [2001:db8::1]:514 2001:db8::1",
    "HTTPDIR": "/phones phones/j100 /phones/$MACADDR/",
    "BRURI": """http://192.0.2.1 https://192.0.2.1:8411/user/backuprestore/ http://anna:key@backup.example.org/a
        https://[2001:db8::1]:411/ HTTP://backup http://$MACADDR.example.org/""",
    "FILE_SERVER_URL": "https://192.0.2.1 https://a.example.org/x,http://192.0.2.2:81/y",
    "LANG1FILE": "mlf_96x1_v176_russian.txt languages/german.txt",
    "TRUSTCERTS": "ca.pem ca1.txt,ca2.crt http://192.0.2.1/ca.pem,ca.pem",
    "LANGUAGES": "Mlf_English.xml Mlf_J169_J179_ParisianFrench.xml,Mlf_German.XML",
    "SCREENSAVER": "96xxscr.jpg logo.JPEG",
    "MEDIAENCRYPTION": "9 1,2,9",
    "DOT1XEAPS": "MD5 TLS peap",
    "SIPREGPROXYPOLICY": "alternate simultaneous Simultaneous",
    "FQDN_IP_MAP": "pbx.example.org=192.0.2.1 a=192.0.2.1,b=192.0.2.2",
    "SIP_CONTROLLER_LIST": """192.0.2.1 proxy.example.org:5061;transport=tls 192.0.2.1:5060;transport=TCP
        192.0.2.1,192.0.2.2;transport=tls
        192.0.2.1;transport=auto [2001:db8::1]:5061;transport=tls""",
    "NVIPSECSUBNET": "0.0.0.0/0 10.0.0.0/8,192.0.2.0/24",
    "GMTOFFSET": "0:00 1:00 +5:30 -05:00 12:45",
    "DSTSTART": "2SunMar2L LSunMar1U lsunmar1u 25Mar2L LOct2L 1SunOct12L",
    "DATEFORMAT": "%d.%m.%y",
    "AUTOMATIC_UPDATE_WINDOW": "2,4 22,3",
    "COUNTRY": "USA Russia",
    "VLANTEST": "0 999",
    "DHCPPREF": "4 6",
    "MTU_SIZE": "1496 1500",
}

# (setting, value, kind, sure, words of the sentence)
BAD = [
    ("MCPORT", "99999", "range", True, "MCPORT is a port from 0 to 65535; 99999 is too large"),
    ("MCPORT", "9" * 9999, "range", True, "is too large"),
    ("MCPORT", "http", "number", True, "'http' is no whole number"),
    ("REUSETIME", "10", "range", True,
     "REUSETIME is a number of seconds: 0, or from 20 to 999; 10 lies between"),
    ("REUSETIME", "1000", "range", True, "1000 is too large"),
    ("REUSETIME", "60 s", "blank", True, "'60 s' has a blank in it"),
    ("L2QVLAN", "-1", "range", True, "'-1' is too small"),
    ("L2QVLAN", "4095", "range", True, "from 0 to 4094; 4095 is too large"),
    ("L2QVLAN", "20.5", "number", True, "no whole number"),
    ("L2QVLAN", "٣", "number", True, "no whole number"),
    ("L2QVLAN", "”20”", "number", True, "no whole number"),
    ("L2QVLAN", "", "empty", False, "an empty value is ignored"),
    ("PHNCC", "0", "range", True, "0 is too small"),
    ("GROUP", "1000", "range", False, "too large"),  # the range is inferred
    ("AUTH", "on", "value", True, "'on' is neither"),
    ("AUTH", "2", "value", True, "2 is neither"),
    ("L2Q", "3", "value", True, "L2Q is one of 0 (automatic), 1 (on), 2 (off); 3 is none of them"),
    ("NVVPNCFGPROF", "4", "value", True, "4 is none of them"),
    ("DSCPAUD", "64", "range", True, "a DSCP from 0 to 63; 64 is too large"),
    ("OPSTAT", "3", "form", True, "OPSTAT is three digits, each 0 or 1; 3 is not"),
    ("PUSHCAP", "2223", "form", True, "2223 is not"),
    ("PHNLD", "00", "form", True, "PHNLD is one digit or nothing; 00 is not"),
    ("PHNOL", "999", "length", True, "at most 2 characters; 999 has 3"),
    ("PHNIC", "abc", "form", False, "holds something else"),
    ("MYCERTCN", "desk-phone", "form", True, "contains $SERIALNO or $MACADDR"),
    ("MYCERTDN", "O=Example", "form", True, "begins with /"),
    ("HTTPSRVR", "192.0.2.1, 192.0.2.2", "blank", True, "a list has commas and no blanks"),
    ("HTTPSRVR", "192.0.2.300", "address", True, "'192.0.2.300' is no IPv4 address"),
    ("HTTPSRVR", "192.0.2", "address", True, "is no IPv4 address"),
    ("HTTPSRVR", "192.0.2.1;192.0.2.2", "address", True, "is neither an address nor a name"),
    ("HTTPSRVR", "http://192.0.2.1", "address", True, "is a whole URL"),
    ("HTTPSRVR", "192.0.2.1:81", "address", False, "names a port too"),
    ("HTTPSRVR", "192.0.2.1,", "form", False, "a comma with nothing behind or before it"),
    ("HTTPSRVR", "2001:db8::zz", "address", True, "is no IPv6 address"),
    ("MCIPADD", "a" * 256, "length", True, "has 256"),
    ("LOGSRVR", "log:70000", "address", True, "has no port behind its colon"),
    ("LOGSRVR", "[2001:db8::1", "address", True, ""),
    ("HTTPDIR", "phones\\j100", "form", False, "parted by /"),
    ("HTTPDIR", "my phones", "blank", True, "no blank belongs there"),
    ("HTTPDIR", "a" * 128, "length", True, "has 128"),
    ("BRURI", "192.0.2.1/user", "form", False, "begins with http:// or https://"),
    ("BRURI", "ftp://192.0.2.1/", "form", False, "does not"),
    ("BRURI", "http:192.0.2.1", "form", True, "does not"),
    ("BRURI", "https:/192.0.2.1/", "form", True, "does not"),
    ("BRURI", "http://192.0.2.1:99999/", "address", True, "the port in"),
    ("BRURI", "http://192.0.2.999/", "address", True, "is no IPv4 address"),
    ("BRURI", "http:///user", "address", True, "neither an address nor a name"),
    ("LANG1FILE", "x" * 33, "length", True, "at most 32 characters"),
    ("LANG1FILE", "sub\\german.txt", "form", False, "do not belong in one"),
    ("LANGUAGES", "Mlf_English.txt", "form", False, "a list of files that end in .xml"),
    ("SYSTEM_LANGUAGE", "German", "form", False, "a file's name that ends in .xml"),
    ("MEDIAENCRYPTION", "1,2,12", "range", True, "12 is too large"),
    ("DOT1XEAPS", "LEAP", "value", True, "a list of MD5, TLS, PEAP"),
    ("SIPREGPROXYPOLICY", "both", "value", True, "'both' is neither"),
    ("FQDN_IP_MAP", "pbx.example.org", "form", True, "has no ="),
    ("FQDN_IP_MAP", "pbx.example.org=192.0.2.", "address", True, "is no IPv4 address"),
    ("SIP_CONTROLLER_LIST", "192.0.2.1;transport=sctp", "form", True, "not 'transport=sctp'"),
    ("SIP_CONTROLLER_LIST", "192.0.2.1:5061,192.0.2.2:x", "address", True, "no port behind its colon"),
    ("NVIPSECSUBNET", "10.0.0.0", "address", True, "is none"),
    ("NVIPSECSUBNET", "10.0.0.0/33", "address", True, "a number from 0 to 32"),
    ("NVIPSECSUBNET", ",".join(["10.0.0.0/8"] * 6), "length", True, "at most 5 networks"),
    ("GMTOFFSET", "13:00", "form", True, "'13:00' is not"),
    ("GMTOFFSET", "5", "form", True, "5 is not"),
    ("DSTSTART", "2SonMar2L", "form", True, "such as 2SunMar2L"),
    ("DATEFORMAT", "dd.mm.yy", "form", False, "with %d"),
    ("AUTOMATIC_UPDATE_WINDOW", "2-4", "form", True, "two hours such as 2,4"),
    ("SNMPSTRING", "my_community", "form", False, "this value holds other characters"),
    ("ADMIN_PASSWORD", "123", "length", True, "6 to 31 characters; this value has 3"),
    ("NVIKEPSK", "k" * 31, "length", True, "this value has 31"),
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_value_passes(name):
    each = parameters()[name]
    assert {value: each.check(value) for value in GOOD[name].split() if each.check(value)} == {}


@pytest.mark.parametrize(("name", "value", "kind", "sure", "words"), BAD)
def test_a_bad_value_gets_its_sentence(name, value, kind, sure, words):
    problem = parameters()[name].check(value)
    assert (problem.kind, problem.sure) == (kind, sure)
    assert words in problem.text and problem.text.startswith(f"{name} is ")
    assert str(problem) == problem.text


def test_each_type_is_tried():
    assert {parameters()[name].type for name in GOOD} == set(TYPES)


def test_texts_lists_and_files_may_be_empty():
    for name in (
        "HTTPSRVR",
        "HTTPDIR",
        "BRURI",
        "LANG1FILE",
        "TRUSTCERTS",
        "SNMPSTRING",
        "PHNLD",
        "NVIPSECSUBNET",
    ):
        assert parameters()[name].check("") is None, name
    for name in ("L2Q", "L2QVLAN", "MCPORT", "OPSTAT", "ADMIN_PASSWORD", "MYCERTCN", "DSTSTART"):
        assert not parameters()[name].check("").sure, name


def test_a_secret_is_never_repeated():
    for name, each in parameters().items():
        if each.secret:
            for value in ("TopSecret\x07!", "Top Secret", "TopSecret" * 40):
                assert "TopSecret" not in str(each.check(value)), name
    for value in ("ftp://anna:TopSecret@192.0.2.1/", "http://anna:TopSecret@192.0.2.999/"):
        assert "TopSecret" not in parameters()["BRURI"].check(value).text


@given(st.sampled_from(sorted(parameters())), st.text(max_size=400))
def test_any_text_is_judged(name, value):
    problem = parameters()[name].check(value)
    assert problem is None or (problem.text.isprintable() and len(problem.text) < 400)


@given(st.text(alphabet="0123456789abcdef.:,;/=@[]%$-+ http", max_size=60))
def test_any_address_is_judged(value):
    for name in (
        "LOGSRVR",
        "HTTPSRVR",
        "BRURI",
        "SIP_CONTROLLER_LIST",
        "FQDN_IP_MAP",
        "NVIPSECSUBNET",
        "GMTOFFSET",
    ):
        problem = parameters()[name].check(value)
        assert problem is None or problem.text.startswith(name)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [("", ()), ("7", ((7, 7),)), ("0-7", ((0, 7),)), ("0, 20-999", ((0, 0), (20, 999)))],
)
def test_ranges(text, pairs):
    assert ranges_of(text) == pairs


@pytest.mark.parametrize(
    "text", ["192.0.2.1", "255.255.255.255", "phone", "a-b.example.org.", "fe80::1%eth0", "::"]
)
def test_a_host(text):
    assert host_problem(text) == ""


@pytest.mark.parametrize(
    "text", ["", ".", "1.2.3.4.5", "-a", "a..b", "a b", "256.1.1.1", "x" * 64, "[::1]:80"]
)
def test_no_host(text):
    assert host_problem(text)


def test_a_sentence_names_what_is_wanted():
    rule = Rule("SPEED", "integer", ranges=((1, 3), (5, 5), (7, 9)), unit="%")
    assert (
        rule.check("4").text == "SPEED is a number of percent: from 1 to 3, 5, or from 7 to 9; 4 lies between"
    )
    assert Rule("SPEED", "integer", ranges=((1, 3),), accepts=("9",)).check("9") is None
    assert Rule("SPEED", "integer", ranges=((1, 3),), loose=True).check("9").sure is False
