"""The command `settings upgrade-script`."""

from __future__ import annotations

from tests.cli.furnished import booted, run


def test_upgrade_scripts(site):
    for name in ("FW_S_J179_R4_1_3_0_6.bin", "FW_S_J179_R4_0_1.bin"):
        (site.http_data / name).write_bytes(b"\0")
    before = (site.http_data / "J100Supgrade.txt").read_bytes()
    assert "there already" in run(site, "upgrade-script", code=1)
    assert "SET APPNAME FW_S_J179_R4_1_3_0_6.bin" in run(site, "upgrade-script", "--dry")
    assert (site.http_data / "J100Supgrade.txt").read_bytes() == before
    said = run(site, "upgrade-script", "--replace")
    assert "FW_S_J179_R4_0_1.bin" in said
    found = booted(site, "J179")
    assert (found.ready, found.handset.runs) == (True, "FW_S_J179_R4_1_3_0_6.bin")


def test_no_firmware_no_script(site, tmp_path):
    assert "holds no firmware" in run(site, "upgrade-script", code=1)
    (tmp_path / "depot").mkdir()
    (tmp_path / "depot" / "FW_S_J179_R4.bin").write_bytes(b"\0")
    (tmp_path / "depot" / "46xxsettings.txt").write_bytes(b"SET PHNOL 9\n")
    run(site, "upgrade-script", str(tmp_path / "depot"), "--family", "j100-sip")
    assert (tmp_path / "depot" / "J100Supgrade.txt").exists()
    assert "for 96x1" in run(site, "upgrade-script", str(tmp_path / "depot"), "--family", "96x1", code=1)


def test_strange_names_are_no_firmware(site, tmp_path):
    for name in ("FW_S_J129_Rü.bin", "4620é.app", "FW_S_J179_R٣.bin", "FW_S_J179_R\x1b[31m.bin", "a b.app"):
        (tmp_path / name).write_bytes(b"\0")
    assert "holds no firmware" in run(site, "upgrade-script", str(tmp_path), code=1)
    (tmp_path / "FW_S_J179_R4.bin").write_bytes(b"\0")
    (tmp_path / "46xxsettings.txt").write_bytes(b"SET PHNOL 9\n")
    said = run(site, "upgrade-script", str(tmp_path))
    assert said.replace("\n", "").isprintable()
    assert b"SET APPNAME FW_S_J179_R4.bin" in (tmp_path / "J100Supgrade.txt").read_bytes()
