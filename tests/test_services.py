"""The services' files fit this installation, hold to systemd's rules, and go away as they came."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mv_iptel import services
from mv_iptel.home import Home

HOME = Home(Path("/var/lib/mv-iptel"))
BIN = Path("/opt/mv-iptel/bin")
ROOT = Path(__file__).resolve().parent.parent
LIMIT = 3.0  # of `systemd-analyze security`: the contract's
HEADS = re.compile(r"Overall exposure level for (\S+): ([0-9.]+)")


def text_of(pieces, name):
    return next(piece.text for piece in pieces if piece.path.name == name)


@pytest.fixture
def laid_out(tmp_path):
    """The units, with programs that are there: systemd looks for them."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name in services.PROGRAMS:
        (bin_dir / name).write_text("#!/bin/sh\n")
        (bin_dir / name).chmod(0o755)
    root = tmp_path / "root"
    services.install(services.pieces(HOME, bin_dir), root)
    return root / services.PLACES["systemd"]


def test_the_packages_files_are_installed_as_they_are():
    for piece in services.pieces(HOME, BIN):
        same = [one.read_text("utf-8") for one in (ROOT / "packaging").glob(f"*/{piece.path.name}")]
        assert piece.text in same, piece.path


def test_an_installation_of_ones_own():
    pieces = services.pieces(Home(Path("/srv/phones")), Path("/opt/try/bin"))
    for piece in pieces:
        assert "/var/lib/mv-iptel" not in piece.text and "/opt/mv-iptel" not in piece.text, piece.path
    unit = text_of(pieces, "mv-iptel.service")
    assert "ExecStart=/opt/try/bin/mv-iptel serve\n" in unit and "MV_IPTEL_HOME=/srv/phones " in unit
    tmpfiles = next(piece.text for piece in pieces if "tmpfiles.d" in piece.path.parts)
    assert "\nd /srv/phones/MV_IPTel/var " in tmpfiles


def test_directories_elsewhere_are_opened():
    outside = [Path("/mnt/firmware"), Path("/srv/tftp"), Path("/var/lib/mv-iptel/MV_IPTel/data/HTTPdata")]
    drop_ins = [piece for piece in services.pieces(HOME, BIN, outside) if piece.path.name == services.DROP_IN]
    assert [piece.path.parent.name for piece in drop_ins] == ["mv-iptel.service.d", "mv-manager.service.d"]
    assert all("\nReadWritePaths=-/mnt/firmware\n" in piece.text for piece in drop_ins)


def test_systemd_finds_nothing_wrong(laid_out, program):
    units = sorted(str(path) for path in laid_out.glob("mv-*"))
    done = subprocess.run([program("systemd-analyze"), "verify", "--man=no", *units],
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_is_exposed_is_little(laid_out, program):
    units = sorted(str(path) for path in laid_out.glob("mv-*.service"))
    done = subprocess.run(
        [program("systemd-analyze"), "security", "--offline=yes", "--no-pager", *units], capture_output=True,
        text=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    told = {name: float(level) for name, level in HEADS.findall(done.stdout)}
    assert set(told) == {Path(unit).name for unit in units}, done.stderr
    assert max(told.values()) < LIMIT, told


def test_users_and_directories_are_made_by_systemds_own_programs(tmp_path, program):
    services.install(services.pieces(HOME, BIN), tmp_path)
    done = subprocess.run([program("systemd-sysusers"), f"--root={tmp_path}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "etc/passwd").read_text().splitlines()
    users = {line.split(":")[0]: line.split(":") for line in lines}
    group = (tmp_path / "etc/group").read_text().split(":")
    assert group[0] == "mvuser" and set(users) == {"mv-iptel", "mv-manager", "mv-watchdog"}
    assert all(one[3] == group[2] and one[6].endswith("nologin") for one in users.values())


def test_every_unit_runs_without_root():
    for path in (ROOT / "packaging/systemd").glob("*.service"):
        text = path.read_text("utf-8")
        assert re.search(r"^User=mv-", text, re.M) and re.search(r"^NoNewPrivileges=yes$", text, re.M), path
        ambient = "".join(re.findall(r"^AmbientCapabilities=(.*)$", text, re.M))
        assert ambient == ("CAP_NET_BIND_SERVICE" if path.name == "mv-iptel.service" else ""), path


def test_the_server_renames_within_one_mount():
    """Second names and renames go from var to data; between two mounts they fail."""
    text = (ROOT / "packaging/systemd/mv-iptel.service").read_text("utf-8")
    (paths,) = re.findall(r"^ReadWritePaths=(.*)$", text, re.M)
    assert [one for one in paths.split() if "mv-iptel" in one] == ["/var/lib/mv-iptel/MV_IPTel"]


def test_the_watchdogs_rule_is_for_one_unit_and_one_verb():
    text = (ROOT / "packaging/polkit/50-mv-iptel.rules").read_text("utf-8")
    for part in ('"org.freedesktop.systemd1.manage-units"', '== "mv-iptel.service"', '== "restart"',
                 'subject.user == "mv-watchdog"'):  # fmt: skip
        assert text.count(part) == 1, part
    assert text.count("polkit.Result") == text.count("polkit.Result.YES") == 1


def test_install_twice_then_remove(tmp_path):
    pieces = services.pieces(HOME, BIN, [Path("/mnt/firmware")])
    written = services.install(pieces, tmp_path)
    assert sorted(written) == sorted(tmp_path / piece.path for piece in pieces)
    assert services.install(pieces, tmp_path) == []
    unit = tmp_path / services.PLACES["systemd"] / "mv-manager.service"
    unit.unlink()
    unit.symlink_to("/dev/null")
    assert services.install(pieces, tmp_path) == [unit] and not unit.is_symlink()
    own = tmp_path / services.PLACES["systemd"] / "mv-iptel.service.d" / "ours.conf"
    own.write_text("[Service]\nNice=5\n")
    removed, kept = services.remove(services.pieces(HOME, BIN), tmp_path)
    assert set(removed) == set(written) and kept == [own.parent]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [own]
    assert services.remove(services.pieces(HOME, BIN), tmp_path) == ([], [own.parent])


def test_what_no_service_could_run_is_told(tmp_path):
    found = services.unfit(Home(Path("/home/anna/phones")), tmp_path / "no bin")
    assert any("mv-iptel is not there" in one for one in found)
    assert any("/home/anna/phones lies in home" in one for one in found)
    assert any("cannot stand in a unit" in one for one in found)


def test_a_closed_directory_is_named(tmp_path):
    closed = tmp_path / "a"
    (closed / "b").mkdir(parents=True)
    closed.chmod(0o700)
    found = services._closed(closed / "b")
    assert found in (closed, *closed.parents) and not found.stat().st_mode & 0o001


@pytest.mark.parametrize("place", services.PACKAGED)
def test_a_packages_services_are_seen(tmp_path, place):
    assert services.packaged(tmp_path) is None
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).touch()
    assert services.packaged(tmp_path) == tmp_path / place


def test_what_systemctl_shows_is_read():
    text = ("Id=mv-iptel.service\nActiveState=active\nStatusText=12 phones = 3 models\nJunk=1\n\n"
            "Id=mv-manager.service\nActiveState=failed\n\n\n")  # fmt: skip
    assert services.parse(text) == [
        {"Id": "mv-iptel.service", "ActiveState": "active", "StatusText": "12 phones = 3 models"},
        {"Id": "mv-manager.service", "ActiveState": "failed"},
    ]
    assert services.parse("") == []


def test_a_program_that_is_missing_has_failed():
    done = services.system(("no-such-program-here", "x"))
    assert done.returncode == 127 and "no-such-program-here" in done.stderr
