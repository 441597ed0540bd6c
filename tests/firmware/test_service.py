"""The server's own part in firmware: what comes into Updates is published, or held with the reason."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest

from mv_iptel import config
from mv_iptel.firmware import generations, releases
from mv_iptel.firmware.releases import Releases
from mv_iptel.firmware.service import Firmware
from mv_iptel.home import Home


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    for folder in home.directories():
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (home.tftp_data, home.http_data):
        (folder / "46xxsettings.txt").write_text("SET L2QVLAN 5\n")
    return home


def packed(members: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return whole.getvalue()


HONEST = {
    "96x1Hupgrade.txt": b"SET APPNAME new.tar\nGOTO END\n# END\nGET 46xxsettings.txt\n",
    "new.tar": b"x" * 900,
}
BROKEN = {"96x1Hupgrade.txt": b"GOTO NOWHERE\nSET APPNAME other.tar\n", "other.tar": b"y" * 900}


def arrive(firmware: Firmware, members: dict[str, bytes], name: str = "96x1.zip") -> None:
    """A file in Updates that has stayed as it is for a minute."""
    (firmware.updates.folder / name).write_bytes(packed(members))
    for now in (1000.0, 1100.0):
        firmware.updates.look(now)


def test_what_arrives_is_published(home):
    told = []
    firmware = Firmware(config.defaults(home), told.append)
    arrive(firmware, HONEST)
    (release,) = Releases(home).all()
    assert release.state == releases.PUBLISHED, [one.text for one in told]
    assert (
        (home.http_data / "new.tar").read_bytes() == (home.tftp_data / "new.tar").read_bytes() == b"x" * 900
    )
    assert generations.current(home).number == 1 and list(home.updates.iterdir()) == []
    assert {"firmware-staged", "firmware-published"} <= {one.kind for one in told}


def test_settings_are_the_sites_and_may_be_missing(home):
    """A site that uses HTTP only has none for TFTP, and a new one has none at all."""
    for folder in (home.tftp_data, home.http_data):
        (folder / "46xxsettings.txt").unlink()
        told = []
        arrive(Firmware(config.defaults(home), told.append), {**HONEST, f"{folder.name}.bin": b"x"})
        assert told[-1].kind == "firmware-published", told[-1].text


def test_with_hold_it_waits(home):
    whole = config.defaults(home)
    told = []
    firmware = Firmware(replace(whole, settings=replace(whole.settings, updates_publish="hold")), told.append)
    arrive(firmware, HONEST)
    assert [one.state for one in Releases(home).all()] == [releases.STAGED]
    assert not (home.http_data / "new.tar").exists()
    assert "UpdatesPublish is hold" in told[-1].text


def test_what_lint_finds_broken_is_held(home):
    told = []
    firmware = Firmware(config.defaults(home), told.append)
    arrive(firmware, BROKEN)
    assert [one.state for one in Releases(home).all()] == [releases.STAGED]
    assert not (home.http_data / "96x1Hupgrade.txt").exists()
    assert "96x1Hupgrade.txt" in told[-1].text and told[-1].kind == "firmware-held"


def test_a_disk_that_fails_does_not_end_the_start(home, monkeypatch):
    def failing(self) -> None:
        raise PermissionError(13, "Permission denied", str(home.var / "releases"))

    monkeypatch.setattr("mv_iptel.firmware.publishing.Publisher.recover", failing)
    told = []
    Firmware(config.defaults(home), told.append).recover()
    assert "firmware verify" in told[0].text and told[0].level == "error"
