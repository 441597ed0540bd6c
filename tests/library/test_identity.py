"""Identity: what User-Agents, names, neighbours and the recent past tell of a phone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.library import identity
from mv_iptel.library.answers import NOBODY, Phone
from mv_iptel.library.identity import Identity, of_agent


@pytest.mark.parametrize(
    ("agent", "mac", "model", "version"),
    [
        ("Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/J179-4.1.3.0.6 (MAC:c81fea83e85a)", "c81fea83e85a", "J179",
         "4.1.3.0.6"),
        ("AVAYA/SIP12x0\x14/04.00.04.00", "", "SIP12x0", "04.00.04.00"),
        ("AVAYA/SIP12x0\xff/04.00.04.00", "", "SIP12x0", "04.00.04.00"),
        ("Yealink SIP-T46G 28.83.0.120 00:15:65:4a:a9:37", "0015654aa937", "T46G", "28.83.0.120"),
        ("yealink SIP-T28P 2.70.0.50 00:15:65:4a:a9:38", "0015654aa938", "T28P", "2.70.0.50"),
        ("FileTransport PolycomVVX-VVX_400-UA/4.1.4.7430 Type/Application", "", "VVX_400", "4.1.4.7430"),
        ("Mozilla/4.0 (compatible; snom760-SIP 8.7.3.19 2010.06)", "", "snom760", "8.7.3.19"),
        ("Grandstream Model HW GXP2130 V1.2A SW 1.0.7.25 DevId 000b82000001", "000b82000001", "GXP2130",
         "1.0.7.25"),
        ("Fanvil X4U 2.12.1.5 0c383e000001", "0c383e000001", "X4U", "2.12.1.5"),
        ("Mitel6920 MAC:14-00-E9-1F-03-EA V:6.4.0.140-SIP", "1400e91f03ea", "Mitel6920", "6.4.0.140-SIP"),
        ("Panasonic_KX-UT113/01.133 (0080f0c8c381)", "0080f0c8c381", "KX-UT113", "01.133"),
        ("Cisco-CP-8841-3PCC/11.3.1 (00562b043615)", "00562b043615", "CP-8841-3PCC", "11.3.1"),
        ("curl/7.88.1", "", "", ""),
        ("", "", "", ""),
    ],
)  # fmt: skip
def test_what_a_user_agent_tells(agent, mac, model, version):
    phone = of_agent(agent)
    assert (phone.mac, phone.model, phone.version) == (mac, model, version)


@given(st.text(max_size=400))
def test_any_user_agent_is_read_quietly(agent):
    phone = of_agent(agent)
    assert len(phone.mac) in (0, 12)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


J179 = "Mozilla/4.0 AVAYA/J179-4.1.3.0.6 (MAC:c81fea83e85a)"


def test_what_an_address_showed_lately_identifies_its_next_requests():
    clock = Clock()
    ids = Identity(clock)
    assert ids.identify("10.0.0.1", "") == NOBODY
    assert ids.identify("10.0.0.1", J179).mac == "c81fea83e85a"
    clock.now += 600
    later = ids.identify("10.0.0.1", "")
    assert (later.mac, later.model, later.source) == ("c81fea83e85a", "J179", "recent")
    clock.now += 901
    assert ids.identify("10.0.0.1", "") == NOBODY


def test_the_name_adds_what_the_agent_does_not_say():
    ids = Identity(Clock())
    ids.identify("10.0.0.1", J179)
    phone = ids.identify("10.0.0.1", "", ext="4711")
    assert (phone.mac, phone.ext, phone.model, phone.source) == (
        "c81fea83e85a",
        "4711",
        "J179",
        "name+recent",
    )


def test_an_address_with_two_macs_tells_nothing_of_its_past():
    ids = Identity(Clock())
    ids.identify("10.0.0.1", "", mac="001122334455")
    assert ids.recent("10.0.0.1").mac == "001122334455"
    ids.identify("10.0.0.1", "", mac="001122334466")
    assert ids.recent("10.0.0.1") is None
    assert ids.identify("10.0.0.1", "").mac == ""
    assert ids.identify("10.0.0.1", J179).mac == "c81fea83e85a"


def test_another_phones_past_does_not_colour_this_one():
    ids = Identity(Clock())
    ids.identify("10.0.0.1", J179)
    phone = ids.identify("10.0.0.1", "", mac="001122334455")
    assert (phone.mac, phone.model) == ("001122334455", "")


def test_asking_why_teaches_nothing():
    ids = Identity(Clock())
    ids.identify("10.0.0.1", J179, learn=False)
    assert ids.identify("10.0.0.1", "") == NOBODY


def test_the_neighbour_table(tmp_path, monkeypatch):
    table = tmp_path / "arp"
    table.write_text(
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "10.0.0.7         0x1         0x2         00:1B:4F:aa:bb:cc     *        eth0\n"
        "10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        eth0\n"
    )
    monkeypatch.setattr(identity, "_ARP", table)
    ids = Identity(Clock())
    assert ids.identify("10.0.0.7", "") == ("001b4faabbcc", "", "", "", "neighbour")
    assert ids.identify("10.0.0.8", "") == NOBODY
    assert ids.neighbour("fe80::21b:4fff:feaa:bbcc%eth0") == "001b4faabbcc"
    assert ids.neighbour("2001:db8::1") == ""


def test_sightings_from_before_the_start():
    clock = Clock()
    ids = Identity(clock)
    ids.preload([("10.0.0.1", of_agent(J179), 300.0), ("10.0.0.2", of_agent(J179), 1000.0)])
    assert ids.identify("10.0.0.1", "").model == "J179"
    assert ids.identify("10.0.0.2", "") == NOBODY


def test_forged_addresses_push_no_phone_out_and_stay_few():
    ids = Identity(Clock())
    ids.identify("10.0.0.1", J179)
    for number in range(3 * identity.STRANGERS):
        ids.identify(
            f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}".replace("10.0.0.1", "10.9.9.9"), ""
        )
    assert len(ids._strangers) == identity.STRANGERS and len(ids._seen) == 1
    assert ids.identify("10.0.0.1", "").model == "J179"


def test_the_phone_that_was_not_seen_for_longest_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(identity, "KEPT", 2)
    ids = Identity(Clock())
    for last in (1, 2, 1, 3):
        ids.identify(f"10.0.0.{last}", "", mac=f"00040d00000{last}")
    assert list(ids._seen) == ["10.0.0.1", "10.0.0.3"]


def test_what_a_phone_proved_stands_for_its_address():
    clock = Clock()
    ids = Identity(clock)
    assert ids.recent("10.0.0.1") is None
    ids.tell("10.0.0.1", Phone("", "1234", "4621SW", "", "snmp"))
    assert ids.recent("10.0.0.1")[1:3] == ("1234", "4621SW")
    assert ids.identify("10.0.0.1", "").ext == "1234"
    clock.now += 16 * 60
    assert ids.recent("10.0.0.1") is None
    ids.tell("10.0.0.1", Phone("", "1235", "4621SW", "", "snmp"))
    assert ids.recent("10.0.0.1").ext == "1235"


def test_what_a_phone_answered_is_not_what_it_showed():
    clock = Clock()
    ids = Identity(clock)
    assert ids.showed("10.0.0.1") == ""
    ids.tell("10.0.0.1", Phone("", "1234", "4621SW", "", "snmp"))
    ids.identify("10.0.0.1", "", ext="1234")
    assert ids.recent("10.0.0.1").model == "4621SW" and ids.showed("10.0.0.1") == ""
    ids.identify("10.0.0.1", "AVAYA/9640-3.1")
    ids.tell("10.0.0.1", Phone("", "1234", "4621SW", "", "snmp"))
    assert ids.showed("10.0.0.1") == "9640"
    clock.now += 10 * 60
    ids.tell("10.0.0.1", Phone("", "1234", "4621SW", "", "snmp"))
    clock.now += 10 * 60  # the address was seen since, but not with that
    assert ids.recent("10.0.0.1").model == "4621SW" and ids.showed("10.0.0.1") == ""
    # Two phones behind one address: nothing is known of the one that asks.
    for mac in ("001122334455", "001122334466"):
        ids.identify("10.0.0.1", f"AVAYA/9640-3.1 (MAC:{mac})")
    assert ids.showed("10.0.0.1") == ""
