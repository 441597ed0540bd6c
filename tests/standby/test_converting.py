"""From heartbeat to keepalived: what is taken, changed, or wants a decision."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mv_iptel import heartbeat
from mv_iptel.standby.converting import CHANGED, DECISION, DROPPED, TAKEN, NotConverted, Wishes, convert

ROOT = Path(__file__).resolve().parent.parent.parent
HA_CF = """\
bcast eth1
keepalive 2
warntime 10
deadtime 30
initdead 120
udpport 694
nice_failback on
node EY-FTP1
node EY-FTP2
ping 192.168.38.1
"""
RESOURCES = "EY-FTP1 192.168.38.130 mv_ipteld mv_watchdogd\n"
KEYS = "auth 2\n2 crc\n"
OWN = {"EY-FTP1": "192.168.38.131", "EY-FTP2": "192.168.38.132"}


def pair(ha_cf: str = HA_CF, resources: str = RESOURCES, keys: str = KEYS) -> heartbeat.HeartBeat:
    return heartbeat.parse(ha_cf.encode(), resources.encode(), keys.encode())


def outcomes(done, what: str) -> list[str]:
    return [row.outcome for row in done.rows if row.what == what]


def block(text: str, name: str) -> str:
    """The lines of one block."""
    return text.split(f"{name} {{\n", 1)[1].split("\n}", 1)[0]


def test_the_references_sample():
    done = convert(pair())
    instance = block(done.text, "vrrp_instance mv_iptel")
    assert "interface eth1" in instance
    assert "192.168.38.130/32" in instance
    assert "virtual_router_id 130" in instance
    assert "priority 100" in instance
    assert "unicast" not in instance
    assert "reach.sh 192.168.38.1" in block(done.text, "vrrp_script gateway")
    assert outcomes(done, "deadtime") == [CHANGED]
    assert outcomes(done, "udpport") == [DROPPED]
    assert outcomes(done, "SNMPADD") == [DECISION]


def test_own_addresses_make_it_unicast_and_one_file_for_both():
    text = convert(pair(), Wishes(addresses=OWN, interface="ens18", router_id=7)).text
    assert "@EY-FTP1 unicast_src_ip 192.168.38.131" in text
    assert "@^EY-FTP1 192.168.38.131" in text
    assert "interface ens18" in text
    assert "virtual_router_id 7" in text


@pytest.mark.parametrize(
    ("line", "equal", "outcome"),
    [("nice_failback on", True, TAKEN), ("auto_failback on", False, TAKEN), ("", False, DECISION)],
)
def test_who_is_active_when_both_are_there(line, equal, outcome):
    done = convert(pair(HA_CF.replace("nice_failback on", line)))
    assert ("@EY-FTP1 priority 110" in done.text) != equal
    assert [row.outcome for row in done.rows if row.what.endswith("_failback")] == [outcome]


def test_both_failing_leaves_the_address_where_it_is():
    """Weights, not faults: two servers that fail alike must not leave phones without any."""
    text = convert(pair()).text
    assert "weight -50" in block(text, "vrrp_script mv_iptel")
    assert "weight -25" in block(text, "vrrp_script gateway")


def test_addresses_of_both_kinds_and_their_interfaces():
    resources = "EY-FTP1 192.0.2.130/24/eth0/192.0.2.255 IPv6addr::2001:db8::130/64 192.0.2.131/24/eth0\n"
    text = convert(pair(resources=resources)).text
    assert "192.0.2.130/24 brd 192.0.2.255 dev eth0" in text
    assert "2001:db8::130/64" in block(text, "    virtual_ipaddress_excluded")
    assert block(text, "    track_interface").strip().startswith("eth0")


def test_long_names_are_shortened_as_keepalived_does():
    text = convert(
        pair(HA_CF.replace("EY-FTP1", "files1.example.net"), "files1.example.net 192.0.2.1\n")
    ).text
    assert ".example" not in text


def test_scripts_of_the_site_and_keys_are_told():
    done = convert(pair(resources="EY-FTP1 192.0.2.1 named::x\n", keys="auth 1\n1 sha1 quite-secret\n"))
    assert outcomes(done, "named::x") == [DECISION]
    assert outcomes(done, "sha1") == [DECISION]
    assert "quite-secret" not in done.text + repr(done)


@pytest.mark.parametrize(
    ("ha_cf", "resources", "wishes", "words"),
    [
        (HA_CF, "EY-FTP1 mv_ipteld\n", Wishes(), "no shared address"),
        (HA_CF.replace("node EY-FTP2\n", ""), RESOURCES, Wishes(), "1 members"),
        (HA_CF.replace("EY-FTP2", "a;b"), RESOURCES, Wishes(), "no host name"),
        (HA_CF.replace("bcast eth1", ""), RESOURCES, Wishes(), "--interface"),
        (HA_CF.replace("eth1", "eth1{}"), RESOURCES, Wishes(), "no name of an interface"),
        (HA_CF, "EY-FTP1 192.0.2.1/24/$(x)\n", Wishes(), "no name of an interface"),
        (HA_CF, RESOURCES, Wishes(addresses={"EY-FTP1": "192.0.2.1"}), "of both"),
        (HA_CF, RESOURCES, Wishes(addresses={**OWN, "other": "192.0.2.1"}), "called other"),
    ],
)
def test_what_cannot_be_made(ha_cf, resources, wishes, words):
    with pytest.raises(NotConverted, match=words):
        convert(pair(ha_cf, resources), wishes)


def test_no_word_of_the_old_files_runs():
    done = convert(pair(HA_CF.replace("ping 192.168.38.1", "ping $(reboot) `x` gw.example.net")))
    assert "reach.sh gw.example.net" in done.text
    assert "$" not in done.text
    assert outcomes(done, "ping").count(DROPPED) == 2


def test_the_example_is_what_the_converter_writes():
    example = (ROOT / "packaging" / "keepalived" / "keepalived.conf").read_text("utf-8")
    names = {"files1": "192.0.2.11", "files2": "192.0.2.12"}
    ha_cf = "bcast eth0\nnice_failback on\nnode files1 files2\nping 192.0.2.1\n"
    made = convert(
        pair(ha_cf, "files1 192.0.2.10\n"), Wishes(addresses=names, interface="eth0", router_id=10)
    )
    assert example == made.text


def test_keepalived_reads_it(program, tmp_path):
    """Its own test of the file, on this host's first interface that is no loop."""
    keepalived = program("keepalived")
    names = [name for name in os.listdir("/sys/class/net") if name != "lo"]
    if not names:
        pytest.skip("no interface but the loop")
    scripts = ROOT / "packaging" / "keepalived"
    wishes = Wishes(interface=names[0], user="root", scripts=str(scripts))
    for number, addresses in enumerate((None, OWN)):
        text = convert(pair(), Wishes(**{**vars(wishes), "addresses": addresses})).text
        file = tmp_path / f"{number}.conf"
        file.write_text(text)
        tried = subprocess.run(
            [keepalived, "-t", "-i", "EY-FTP1", "-f", str(file)], capture_output=True, text=True, timeout=30
        )
        said = [
            line for line in (tried.stdout + tried.stderr).splitlines()
            if "not secure" not in line and "insecure" not in line.lower()
        ]  # fmt: skip
        assert not [line for line in said if "nknown" in line or "not found" in line], said
