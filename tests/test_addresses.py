"""Addresses and MACs in every form that people write."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.addresses import address_of, host_of, mac_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
        ("192.0.2", ""),
        ("4711", ""),
        ("files1.example", ""),
    ],
)
def test_an_address(text, expected):
    assert address_of(text) == expected


@pytest.mark.parametrize(
    "text", ["00:04:0D:12:34:56", "00-04-0d-12-34-56", "0004.0d12.3456", "00040d123456", "00 04 0d 12 34 56"]
)
def test_a_mac(text):
    assert mac_of(text) == "00040d123456"


NO_MACS = ["", "00:04:0d:12:34", "00:04:0d:12:34:5g", "00040d1234567", "00040d123456\n"]


@pytest.mark.parametrize("text", NO_MACS)
def test_no_mac(text):
    assert mac_of(text) == ""


@given(st.ip_addresses())
def test_an_address_is_kept_once(address):
    kept = address_of(str(address))
    assert address_of(kept) == kept
    assert ipaddress.ip_address(kept) in (address, getattr(address, "ipv4_mapped", None))


@given(st.text(max_size=40))
def test_any_text_has_an_answer(text):
    assert address_of(text) == "" or ipaddress.ip_address(address_of(text))
    assert mac_of(text) == "" or len(mac_of(text)) == 12


def test_who_stands_for_an_address():
    assert host_of("192.0.2.1") == "192.0.2.1"
    assert host_of("2001:db8::1:2:3:4") == host_of("2001:db8::9") == "2001:db8::/64"
