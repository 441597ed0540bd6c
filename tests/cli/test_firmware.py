"""`mv-iptel firmware`: from a zip to what phones get, and back; with and without --json."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from mv_iptel.cli import group
from mv_iptel.home import Home

APP = "S9608_11HALBR6_{}_V1.tar"
SCRIPT = "96x1Hupgrade.txt"


def run(home: Home, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(group, ["firmware", *words, "--home", str(home.root)])
    assert done.exit_code == code, done.output
    return done.output


def told(home: Home, *words: str, code: int = 0):
    return json.loads(run(home, *words, "--json", code=code))


def package(folder: Path, number: int, **more: str) -> Path:
    """A release for the 96x1, as the vendor packs it."""
    app = APP.format(number)
    script = f"IF $MODEL4 SEQ 9611 GOTO APP\nGOTO END\n# APP\nSET APPNAME {app}\nGOTO END\n# END\n"
    files = {app: "app" * 100, SCRIPT: script + "GET 46xxsettings.txt\n", **more}
    path = folder / f"96x1-IPT-H323-R6_{number}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_from_the_zip_to_the_phones_and_back(site, tmp_path):
    before = (site.http_data / SCRIPT).read_bytes()
    first, second = package(tmp_path, 1), package(tmp_path, 2)
    output = run(site, "install", str(first))
    assert "staged" in output and "Publishing it" in output and "come" in output
    assert not (site.http_data / APP.format(1)).exists()
    output = run(site, "publish", first.stem)
    assert "is published" in output
    assert (site.http_data / APP.format(1)).read_bytes() == b"app" * 100
    done = told(site, "install", str(second), "--publish")
    assert (done["done"], done["state"], done["generation"]) == (True, "published", 2)
    states = {one["archive"]: one["state"] for one in told(site, "list")}
    assert states == {first.name: "superseded", second.name: "published"}
    assert "generation 2" in run(site, "list")
    assert told(site, "show", second.stem)["files"]
    assert "all is as it was published" in run(site, "verify")

    assert "taken back: 96x1-IPT-H323-R6_2" in run(site, "rollback")
    assert APP.format(1).encode() in (site.http_data / SCRIPT).read_bytes()
    run(site, "rollback")
    assert (site.http_data / SCRIPT).read_bytes() == before
    assert "nothing is published" in run(site, "rollback", code=1)
    run(site, "remove", second.stem)
    assert [one["state"] for one in told(site, "list")] == ["superseded"]
    assert len(told(site, "list", "--all")) == 2


def test_a_script_that_the_site_has_changed(site, tmp_path):
    run(site, "install", str(package(tmp_path, 1)), "--publish")
    live = site.http_data / SCRIPT
    insert = b"IF $GROUP SEQ 876 goto VPN\ngoto NOVPN\n# VPN\nGET 46xxvpn.scr\ngoto END\n# NOVPN\n"
    (site.http_data / "46xxvpn.scr").write_bytes(b"SET VPNPROC 2\n")
    live.write_bytes(insert + live.read_bytes())
    second = package(tmp_path, 2)
    output = run(site, "install", str(second), "--publish", code=1)
    assert "--keep, --replace or --merge" in output and "Nothing was changed" in output
    made = told(site, "show", second.stem)["plan"]
    assert {one["name"] for one in made["conflicts"]} == {SCRIPT}
    output = run(site, "verify", code=1)
    assert "was changed since it was published" in output
    run(site, "publish", second.stem, "--merge")
    assert live.read_bytes().startswith(insert) and APP.format(2).encode() in live.read_bytes()
    assert told(site, "verify")["found"] == []


def test_who_would_lose_firmware_is_said_first(site, tmp_path):
    run(site, "install", str(package(tmp_path, 1)), "--publish")
    bare = tmp_path / "bare.zip"
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr(SCRIPT, "GET 46xxsettings.txt\n")
    output = run(site, "install", str(bare), "--publish", code=1)
    assert "takes from" in output and APP.format(1) in output
    held = told(site, "publish", "bare", code=1)
    assert held["done"] is False and held["why"] and held["options"] == ["--yes"]
    assert "--yes: although phones lose firmware" in run(site, "publish", "bare", code=1)
    run(site, "publish", "bare", "--yes")


def test_what_is_refused_says_why(site, tmp_path):
    bad = tmp_path / "bad.zip"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("../../up.txt", "x")
    bad.write_bytes(data.getvalue())
    assert "bad.zip is refused" in run(site, "install", str(bad), code=1)
    assert run(site, "list", code=1).startswith("no release")
    assert [one["state"] for one in told(site, "list", "--all")] == ["refused"]


@pytest.mark.parametrize("verb", ["show", "publish", "rollback", "remove"])
def test_a_release_that_is_not_there(site, verb):
    assert "there is no release" in run(site, verb, "nothing", code=1)
