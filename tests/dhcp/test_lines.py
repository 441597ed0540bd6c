"""The lines for each DHCP server: what they say, and what the servers' own checks say of them."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from mv_iptel.dhcp.lines import SERVERS
from mv_iptel.dhcp.offer import CLASSES, Site, offer

PAIR = Site(("192.0.2.10", "192.0.2.11"), ("192.0.2.1",), vlan=20, tls_port=6411)
OFFERS = {"usual": offer(PAIR), **{name: offer(PAIR, (name,)) for name in CLASSES}}


def said(server: str, name: str = "usual") -> str:
    return SERVERS[server][1](OFFERS[name])


def test_every_option_stands_in_every_text():
    for server in SERVERS:
        for name, told in OFFERS.items():
            text = said(server, name)
            assert all(re.search(rf"\b{one.code}\b", text) for one in told.options), (server, name)
            assert text.endswith("\n") and "\r" not in text


def test_quotes_are_kept():
    assert r'option avaya-242 "MCIPADD=192.0.2.1,HTTPSRVR=\"192.0.2.10,192.0.2.11\",' in said("isc")
    assert r'dhcp-option=176,"MCIPADD=192.0.2.1,MCPORT=1719,TFTPSRVR=\"192.0.2.10,' in said("dnsmasq")
    assert '-OptionId 242 -Value \'MCIPADD=192.0.2.1,HTTPSRVR="192.0.2.10,192.0.2.11",' in said("windows")
    text = said("kea")
    entries = json.loads(text[text.index("{") :])["Dhcp4"]["option-data"]
    data = {one["code"]: one["data"] for one in entries}
    assert data[242] == f"'{OFFERS['usual'].options[0].value}'" and data[150] == "192.0.2.10, 192.0.2.11"


def test_octets():
    value = next(one for one in OFFERS["usual"].options if one.code == 43)
    assert f"option vendor-encapsulated-options {value.data.hex(':')};" in said("isc")
    assert "-OptionId 43 -Value 0x01,0x04,0x36," in said("windows")
    assert f"code=43 value=0x{value.data.hex()}" in said("routeros")
    assert "code=150 value=0xc000020ac000020b" in said("routeros")


CHECKS = {
    "isc": ("dhcpd", ["-t", "-cf"]),
    "kea": ("kea-dhcp4", ["-t"]),
    "dnsmasq": ("dnsmasq", ["--test", "-C"]),
}


@pytest.mark.parametrize("server", CHECKS)
def test_the_servers_own_check(server, program, tmp_path):
    name, words = CHECKS[server]
    path = program(name)
    for number, (which, broken) in enumerate([*((one, False) for one in OFFERS), ("usual", True)]):
        file = tmp_path / f"{number}.conf"
        text = said(server, which)
        file.write_text(text.replace("option", "optoin") if broken else text)
        done = subprocess.run([path, *words, str(file)], capture_output=True, text=True, timeout=60)
        told = done.stdout + done.stderr
        assert (done.returncode != 0 or "Syntax check failed" in told) is broken, told
