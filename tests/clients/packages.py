"""Firmware packages with the names and the layout that vendors use, and contents that we made up.

Each is as its family's real one: all files in one folder of a zip, upgrade scripts, software, languages,
fonts, certificates, signatures in a folder of their own, `release.xml`.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mv_iptel.phones.families import Handset
from mv_iptel.phones.sample import made_up

SIZE = 200_000  # octets of each software file


class Package(NamedTuple):
    """One zip: what it is called, what is in it, and which phones take which files of it, in order."""

    archive: str
    files: dict[str, bytes]
    takes: tuple[tuple[Handset, str, tuple[str, ...]], ...]  # phone, protocol, the software that it fetches
    folder: str = ""  # around everything

    def write(self, directory: Path) -> Path:
        """The zip, as a vendor's web site gives it."""
        path = directory / self.archive
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for name, data in self.files.items():
                out.writestr(self.folder + name, data)
        return path


def lines(*rows: str) -> bytes:
    return ("\r\n".join(rows) + "\r\n").encode()


def software(*names: str, size: int = SIZE) -> dict[str, bytes]:
    return {name: made_up(name, size, seed=5) for name in names}


def small(*names: str) -> dict[str, bytes]:
    return {name: b"<?xml version='1.0'?>\n" + made_up(name, 900, seed=5).hex().encode() for name in names}


def signed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A signature of each, in its folder; the phones check them, nobody else."""
    found = {}
    for name in files:
        found[f"signatures/{name}.sig"] = made_up(name, 128)
        found[f"signatures/{name}.sig256"] = made_up(name, 256)
    return {**found, "signatures/RootSA256.crt": made_up("RootSA256.crt", 900)}


def release_xml(name: str, files: Mapping[str, str]) -> dict[str, bytes]:
    listed = "".join(
        f"<file><name>{file}</name><type>{kind}</type><version>1</version><description/></file>"
        for file, kind in files.items()
    )
    head = f"<release-header><name>{name}</name><date>2026-11-20</date><description/></release-header>"
    text = f"<phone-release>{head}<files-in-release>{listed}</files-in-release></phone-release>"
    return {"release.xml": text.encode()}


def sip_9600() -> Package:
    """96x0 and 96x1 with SIP, in one package."""
    old = software("SIP96xx_2_6_18_1.bin", "SIP96xx_2_6_18_1_SHA256.bin", "hb96xxua3_01.bin")
    new = software("S96x1_SALBR7_1_5_0r12_V4r84.tar", "S96x1_UKR_V42r3619_V42r3619.tar")
    third = software("S9608_11_SALKRR7_1_5_0r12.bin")
    scripts = {
        "96xxupgrade.txt": lines(
            "## 96x0 SIP 2.6.18",
            "IF $SIG SEQ 1 GOTO END",
            "IF $BOOTNAME SEQ hb96xxua3_01.bin goto APP96XX",
            "SET APPNAME hb96xxua3_01.bin",
            "goto END",
            "# APP96XX  ",
            "IF $SHA2CAPABLE  SEQ 1 goto SHA256",
            "SET APPNAME SIP96xx_2_6_18_1.bin",
            "goto END",
            "# SHA256",
            "SET APPNAME SIP96xx_2_6_18_1_SHA256.bin",
            "# END",
            "GET 46xxsettings.txt",
        ),
        "96x1Supgrade.txt": lines(
            "IF $HWVERS SEQ 3 GOTO HARDWARE3",
            "SET RFSNAME S96x1_UKR_V42r3619_V42r3619.tar",
            "SET APPNAME S96x1_SALBR7_1_5_0r12_V4r84.tar",
            "GOTO END",
            "# HARDWARE3",
            "SET APPNAME S9608_11_SALKRR7_1_5_0r12.bin",
            "# END",
            "GET 46xxsettings.txt",
        ),
    }
    told = {name: "app" for name in (*old, *new)} | {"96xxmibDRAFT.txt": "mib", "Mlf_German.xml": "lang"}
    files = {
        **scripts,
        **old,
        **new,
        **third,
        **small("Mlf_German.xml", "Mlf_S96x0_German.xml", "KoreanRT1.xml"),
        "96xxmibDRAFT.txt": b"-- a MIB, in words\r\n",
        **signed({**old, **new}),
        **release_xml("96xx SIP", told),
    }
    return Package("96xx-IPT-SIP-R2_6_18-112026.zip", files, (
        (Handset("9640", signalling="SIP", mac="00040d010001"), "https",
         ("hb96xxua3_01.bin", "SIP96xx_2_6_18_1_SHA256.bin")),
        (Handset("9611G", signalling="SIP", mac="00040d010002"), "https",
         ("S96x1_UKR_V42r3619_V42r3619.tar", "S96x1_SALBR7_1_5_0r12_V4r84.tar")),
    ))  # fmt: skip


def h323_96x0() -> Package:
    """96x0 with H.323, which shares the script's name with SIP."""
    apps = software("hb96xxua3_30.bin", "ha96xxua3_30.bin")
    script = lines(
        "IF $SIG SEQ 2 GOTO END",
        "IF $BOOTNAME SEQ hb96xxua3_30.bin GOTO APP",
        "SET APPNAME hb96xxua3_30.bin",
        "GOTO END",
        "# APP",
        "SET APPNAME ha96xxua3_30.bin",
        "# END",
        "GET 46xxsettings.txt",
    )
    files = {"96xxupgrade.txt": script, **apps, "mlf_S31_v76_german.txt": b"LANGUAGE=German\r\n"}
    return Package("96xx-IPT-H323-R3_3_0-112026.zip", files, (
        (Handset("9640", mac="00040d020001"), "https", ("hb96xxua3_30.bin", "ha96xxua3_30.bin")),
    ), folder="96xx-IPT-H323-R3_3_0/")  # fmt: skip


def h323_96x1() -> Package:
    apps = software(
        "S9608_11HALBR6_8_5_11_V474.tar", "S9621_41HALBR6_8_5_11_V474.tar", "S96x1_UKR_V32r20_V32r20.tar"
    )
    script = lines(
        "SET RFSNAME S96x1_UKR_V32r20_V32r20.tar",
        "IF $MODEL4 SEQ 9608 GOTO BUTTONS",
        "IF $MODEL4 SEQ 9611 GOTO BUTTONS",
        "SET APPNAME S9621_41HALBR6_8_5_11_V474.tar",
        "GOTO END",
        "# BUTTONS",
        "SET APPNAME S9608_11HALBR6_8_5_11_V474.tar",
        "# END",
        "GET 46xxsettings.txt",
    )
    files = {"96x1Hupgrade.txt": script, **apps, "mlf_96x1_v176_german.txt": b"LANGUAGE=German\r\n"}
    kernel = "S96x1_UKR_V32r20_V32r20.tar"
    return Package("96x1-IPT-H323-R6_8_5_11-112026.zip", files, (
        (Handset("9608", mac="00040d030001"), "https", (kernel, "S9608_11HALBR6_8_5_11_V474.tar")),
        (Handset("9641G", mac="00040d030002"), "http", (kernel, "S9621_41HALBR6_8_5_11_V474.tar")),
    ))  # fmt: skip


def sip_j100() -> Package:
    apps = software("FW_S_J179_R4_1_4_0_7.bin", "FW_JEM24_R1_0_1_0_26.bin")
    script = lines(
        "IF $MODEL4 SEQ J179 GOTO J179SW",
        "GOTO END",
        "# J179SW",
        "IF $APPNAME_IN_USE SEQ 4.1.4.0.7 GOTO END",
        "SET APPNAME FW_S_J179_R4_1_4_0_7.bin",
        "# END",
        "GET 46xxsettings.txt",
    )
    files = {"J100Supgrade.txt": script, **apps, **small("Mlf_J169_J179_German.xml"), **signed(apps)}
    return Package("J100-IPT-SIP-R4_1_4_0-112026.zip", files, (
        (Handset("J179", mac="c81fea040001"), "http", ("FW_S_J179_R4_1_4_0_7.bin",)),
    ))  # fmt: skip


def h323_16xx() -> Package:
    apps = software("ha1608ua1_3_13.bin", "hb1608ua1_3_13.bin")
    script = lines(
        "IF $BOOTNAME SEQ hb1608ua1_3_13.bin GOTO APP",
        "SET APPNAME hb1608ua1_3_13.bin",
        "GOTO END",
        "# APP",
        "SET APPNAME ha1608ua1_3_13.bin",
        "# END",
        "GET 46xxsettings.txt",
    )
    extra = {"mlf_Sage_v502_german.txt": b"LANGUAGE=German\r\n", **software("japanese16.rbm.lzma")}
    files = {"16xxupgrade.txt": script, **apps, **extra}
    return Package("16xx-IPT-H323-R1_3_13-112026.zip", files, (
        (Handset("1616", mac="00040d050001"), "http", ("hb1608ua1_3_13.bin", "ha1608ua1_3_13.bin")),
    ))  # fmt: skip


def h323_4600() -> Package:
    apps = software("bbla0_84.bin", "i20d01a2_9_3.bin")
    script = lines(
        "IF $BOOTNAME SEQ bbla0_84.bin GOTO APP",
        "SET APPNAME bbla0_84.bin",
        "GOTO END",
        "# APP",
        "SET APPNAME i20d01a2_9_3.bin",
        "# END",
        "GET 46xxsettings.txt",
    )
    return Package("46xxH323_112026.zip", {"46xxupgrade.scr": script, **apps}, (
        (Handset("4621SW", mac="00040d060001"), "tftp", ("bbla0_84.bin", "i20d01a2_9_3.bin")),
    ))  # fmt: skip


def sip_1100() -> Package:
    """11xx: no script but a list of sections; what is after `[FW]` is the software."""
    files = software("SIP1140e04.04.30.00.bin")
    config = lines(
        "[FW]", "DOWNLOAD_MODE AUTO", "VERSION SIP1140e04.04.30.00", "FILENAME SIP1140e04.04.30.00.bin"
    )
    return Package("11xx-IPT-SIP-R4_4_30.zip", {"1140eSIP.cfg": config, **files}, ())


def b179() -> Package:
    """B179: an XML file names the software and its MD5."""
    files = software("AVAYA_B179_v2.4.4.kt")
    [(name, data)] = files.items()
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    inner = f"<version>2.4.4</version><filename>{name}</filename><checksum>{digest}</checksum>"
    told = f"<firmware_version>{inner}</firmware_version>".encode()
    return Package("AVAYA_B179_v2.4.4.zip", {"avaya_fw_version.xml": told, **files}, ())


# In this order they can be published on one site: what a later one takes from phones is told.
PACKAGES = {
    "96x0-96x1-sip": sip_9600(),
    "96x0": h323_96x0(),
    "96x1": h323_96x1(),
    "J100-sip": sip_j100(),
    "16xx": h323_16xx(),
    "4600": h323_4600(),
    "11xx": sip_1100(),
    "B179": b179(),
}


def upgrade(number: int, size: int = 40_000) -> Package:
    """The package of one generation: every script names files of this number."""
    app, image, kernel = f"a4600_{number}.app", f"ha96xx_{number}.bin", f"S96x1_{number}.tar"
    files = {
        "46xxupgrade.scr": lines(f"SET APPNAME {app}", "GET 46xxsettings.txt"),
        "96xxupgrade.txt": lines(f"SET APPNAME {image}", "GET 46xxsettings.txt"),
        "96x1Hupgrade.txt": lines(f"SET RFSNAME {kernel}", f"SET APPNAME {image}", "GET 46xxsettings.txt"),
        **software(app, image, kernel, size=size),
    }
    return Package(f"company-{number}.zip", files, ())
