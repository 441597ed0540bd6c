"""Intake: an archive becomes a release that is staged, or refused with the reason, and nothing else stays."""

from __future__ import annotations

import zipfile

import pytest

from mv_iptel import config
from mv_iptel.firmware import archives, intake, names, nested, placing, tars, unpacking, worker, zips
from mv_iptel.firmware.releases import Releases
from mv_iptel.home import Home

HERE = (archives, names, nested, placing, tars, unpacking, worker, zips)


@pytest.fixture
def conf(tmp_path):
    home = Home(tmp_path / "home")
    for folder in home.directories():
        folder.mkdir(parents=True, exist_ok=True)
    return config.defaults(home)


def honest(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("96xxupgrade.txt", "SET APPNAME SIP96xx_2_6_17_0.bin\nGET 46xxsettings.txt\n")
        archive.writestr("SIP96xx_2_6_17_0.bin", b"software" * 100)
        archive.writestr("signatures/SIP96xx_2_6_17_0.bin.sig", b"s" * 128)
        archive.writestr("Mlf_German.xml", "<a/>")
    return path


def test_an_honest_package_is_staged(conf, tmp_path):
    seen = []
    archive = honest(tmp_path / "96xx-IPT-SIP-R2_6_17.zip")
    one = intake.take(conf, archive, "command", progress=seen.append, now=lambda: 100.0)
    assert (one.state, one.source, one.arrived, one.note) == ("staged", "command", 100.0, "")
    assert one.id.startswith("96xx-IPT-SIP-R2_6_17-")
    assert {(file.place, file.name, file.role) for file in one.files} == {
        (place, name, role)
        for place in ("TFTPdata", "HTTPdata")
        for name, role in (("96xxupgrade.txt", "script"), ("SIP96xx_2_6_17_0.bin", "software"),
                           ("signatures/SIP96xx_2_6_17_0.bin.sig", "other"), ("Mlf_German.xml", "language"))
    }  # fmt: skip
    kept = Releases(conf.home)
    assert kept.all() == [one]
    for file in one.files:
        content = kept.content(file.sha256)
        assert content.stat().st_size == file.size and content.stat().st_mode & 0o777 == 0o444
    assert {step.what for step in seen} >= {"hashing", "keeping"}
    assert intake.take(conf, archive, "updates") == one  # as it is
    assert not (kept.folder / one.id / ".arriving").exists() and archive.exists()
