"""DHCP servers that we did not write offer, octet for octet, what `mv-iptel dhcp` wants them to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mv_iptel.dhcp.lines import SERVERS
from mv_iptel.dhcp.offer import Site, offer

PAIR = Site(("192.0.2.10", "192.0.2.11"), ("192.0.2.1", "192.0.2.2"), vlan=20, tls_port=6411)


def _isc(text: str, folder: Path) -> list[str]:
    (folder / "leases").touch()
    file = folder / "dhcpd.conf"
    file.write_text(
        text
        + "ping-check false;\nsubnet 192.0.2.0 netmask 255.255.255.0 { range 192.0.2.100 192.0.2.200; }\n"
    )
    return [
        "dhcpd",
        "-f",
        "-q",
        "-cf",
        str(file),
        "-lf",
        str(folder / "leases"),
        "-pf",
        str(folder / "pid"),
        "v0",
    ]


def _kea(text: str, folder: Path) -> list[str]:
    whole = json.loads(text[text.index("{") :])
    whole["Dhcp4"] |= {
        "interfaces-config": {"interfaces": ["v0"]},
        "lease-database": {"type": "memfile", "persist": False},
        "subnet4": [{"subnet": "192.0.2.0/24", "pools": [{"pool": "192.0.2.100 - 192.0.2.200"}]}],
    }
    file = folder / "kea.conf"
    file.write_text(json.dumps(whole))
    return ["kea-dhcp4", "-c", str(file)]


def _dnsmasq(text: str, folder: Path) -> list[str]:
    file = folder / "dnsmasq.conf"
    file.write_text(f"{text}port=0\ninterface=v0\nbind-interfaces\nno-ping\ndhcp-range=192.0.2.100,192.0.2.200,1h\nuser=root\n"
                    f"dhcp-leasefile={folder}/leases\npid-file={folder}/pid\n")  # fmt: skip
    return ["dnsmasq", "-k", "-C", str(file)]


RUN = {"isc": _isc, "kea": _kea, "dnsmasq": _dnsmasq}


@pytest.mark.prove
@pytest.mark.parametrize("server", RUN)
def test_what_is_offered(server, program, tmp_path, evidence):
    told = offer(PAIR)
    name, *words = RUN[server](SERVERS[server][1](told), tmp_path)
    path, unshare = program(name), program("unshare")
    program("ip")
    if subprocess.run([unshare, "-n", "true"], capture_output=True).returncode:
        pytest.skip("no network namespaces for this user")
    script = str(Path(__file__).with_name("offered.py"))
    done = subprocess.run([unshare, "-n", sys.executable, script, str(tmp_path), path, *words],
                          capture_output=True, text=True, timeout=100)  # fmt: skip
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text("utf-8", "replace")
    got = {int(code): bytes.fromhex(value) for code, value in json.loads(done.stdout).items()}
    if server == "dnsmasq":  # it ends 66 with a NUL, as it does for everybody
        got[66] = got[66].removesuffix(b"\0")
    for one in told.options:
        assert got[one.code] == one.data, (one.code, got[one.code])
    evidence(f"dhcp-{server}", options=sorted(one.code for one in told.options), same_octets=True)
