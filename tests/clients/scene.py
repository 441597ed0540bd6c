"""A site that looks like one: phones of several families have booted, one is refused, firmware waits."""

from __future__ import annotations

import http.client
import io
import zipfile
from pathlib import Path
from urllib.parse import quote

from mv_iptel.phones.boot import Servers, drive, play
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import Live, tls_context
from mv_iptel.phones.sample import write_firmware
from tests.clients.daemon import Daemon
from tests.clients.snmpd import free_udp

# model, over what, its address
BOOTS = (
    ("4610SW", "tftp", "127.0.0.31"), ("4621SW", "tftp", "127.0.0.32"), ("9611G", "https", "127.0.0.33"),
    ("9620", "http", "127.0.0.34"), ("9640", "https", "127.0.0.35"), ("1616", "http", "127.0.0.36"),
    ("J179", "http", "127.0.0.37"),
)  # fmt: skip
REFUSED = "127.0.0.77"
SAVES = "4705"  # the extension whose user data has two versions


def site(folder: Path) -> Daemon:
    """A daemon, not started yet, whose SNMPPort is one that anybody may answer on."""
    daemon = Daemon(folder, {("SNMP", "SNMPPort"): free_udp("127.0.0.31")})
    write_firmware([daemon.home.tftp_data, daemon.home.http_data])
    return daemon


def furnish(daemon: Daemon, phones: int = 12) -> None:
    """Phones boot and save at the running daemon; one address is shut out and asks all the same."""
    trust = tls_context(daemon.home.ca_cert)
    for number, (model, over, address) in enumerate(BOOTS):
        handset = Handset(model, mac=f"00040d{0xA10000 + number:06x}", ext=str(4701 + number))
        servers = Servers(
            tftp=("127.0.0.1",) if over == "tftp" else (), http=("127.0.0.1",) if over != "tftp" else (),
            https=("127.0.0.1",) if over == "https" else (), offset=daemon.offset,
        )  # fmt: skip
        with Live(address, trust) as live:
            drive(play(handset, servers), live.fetch)
    (daemon.home.http_data / "HTTP_allow_IP.txt").write_text(
        "# the pilot group\n127.0.0.1-127.0.0.60\n127.1\n127.2\n192.0.2.0/24\n"
    )
    if phones:
        daemon.run("sim", "storm", "--phones", str(phones), "--arrival", "0.5", "--mix",
                   "tftp=40,http=30,https=30", "--ports-offset", str(daemon.offset), "--backups", "--json",
                   status=None)  # fmt: skip
    for seed in ("1", "2"):  # a user changes something
        daemon.run("sim", "backup", "--model", "9640", "--ext", SAVES, "--address", "127.0.0.35", "--agent",
                   "--ports-offset", str(daemon.offset), "--seed", seed)  # fmt: skip
    for name in ("46xxsettings.txt", "ha96xxua3_2_8.bin", "<b>no such</b>.txt"):
        ask(daemon, REFUSED, name)


def ask(daemon: Daemon, address: str, name: str) -> int:
    """One GET from an address of 127/8; the status."""
    line = http.client.HTTPConnection("127.0.0.1", daemon.http, timeout=20, source_address=(address, 0))
    try:
        line.request("GET", "/" + quote(name), headers={"User-Agent": "AVAYA/9640-3.2.8 (MAC:00040d777777)"})
        return line.getresponse().status
    finally:
        line.close()


def release(name: str = "96xx-Demo-R9_1") -> tuple[str, bytes]:
    """A vendor-like zip: file name and content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("96xxupgrade.txt", "SET APPNAME hb96xxua9_1.bin\nGET 46xxsettings.txt\n")
        archive.writestr("hb96xxua9_1.bin", bytes(range(256)) * 2000)
        archive.writestr("readme.txt", "made by a test\n")
    return f"{name}.zip", packed.getvalue()
