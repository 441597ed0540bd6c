"""A new home is complete and has nothing to mend; an old one keeps what its administrator wrote."""

from __future__ import annotations

import os
import re
import stat

import pytest

from mv_iptel import certs, config, init
from mv_iptel.config import ConfigError
from mv_iptel.home import CHECK_FILE, Home, shipped


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("init") / "home")
    return home, init.create(home, "files1", ["192.0.2.10"], 6000)


def test_the_tree_is_complete(made):
    home, done = made
    assert all(directory.is_dir() for directory in home.directories())
    assert done.kept == [] and len(done.made) == len(set(done.made))
    assert all(path.is_file() for path in done.made)


def test_the_configuration_is_as_the_contract_says(made):
    home, _ = made
    loaded = config.load(home)
    assert loaded.findings == () and loaded.legacy() == ()
    assert (
        loaded.tftp.run_trivial_ftp and loaded.http.run_http and loaded.https.run_https and loaded.ftp.run_ftp
    )
    assert not loaded.ftp.superuser and not loaded.ftps.run_ftps
    assert loaded.settings.server_name == "files1"
    assert loaded.snmp.community not in ("public", "")
    assert config.load_manager(home).findings == () == config.load_watchdog(home).findings


def test_the_offset_moves_the_phones_ports_and_no_other(made):
    loaded = config.load(made[0])
    assert loaded.tftp.trivial_ftp_port == 6069
    assert (loaded.http.http_port, loaded.http.http_alt_ports) == (6081, (6080,))
    assert (loaded.https.https_port, loaded.https.https_alt_ports) == (6411, (6443,))
    assert (loaded.ftp.ftp_port, loaded.ftp.ftp_data_port) == (6021, 6020)
    assert loaded.settings.status_port == 6090 and loaded.backup_servers.file_server_port == 6093


def test_samples_name_this_server(made):
    home, _ = made
    loaded = config.load(home)
    for folder in (home.tftp_data, home.http_data, home.https_data, home.docs):
        for path in folder.iterdir():
            assert not re.search(rb"@[A-Z_]+@", path.read_bytes()), f"{path} has a token left"
    settings = (home.http_data / "46xxsettings.txt").read_text("utf-8")
    assert "192.0.2.10" in settings
    assert loaded.snmp.community in settings, "the phones' SNMPSTRING is the server's Community"
    assert f":{loaded.https.https_port}" in settings and f":{loaded.http.http_port}" in settings
    assert certs.PUBLIC_NAME in settings, "phones learn whom to trust"


def test_the_authority_is_for_phones_and_its_key_is_not(made):
    home, _ = made
    assert (home.http_data / certs.PUBLIC_NAME).read_bytes() == home.ca_cert.read_bytes()
    keys = [path for path in home.root.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(keys) == sorted([home.ca_key, home.key_file])
    assert certs.check(home.cert_file, home.key_file, ["192.0.2.10"]) == []
    assert {"files1", "localhost"} <= set(certs.names_of(certs.load_chain(home.cert_file)[0]).dns)


def test_what_is_secret_is_nobody_elses(made):
    home, _ = made
    for path in (home.ca_key, home.passwords):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(home.ca.stat().st_mode) == 0o700
    for path in (home.ini, home.key_file, home.token):
        assert not stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO, path
    lines = [line.split() for line in home.passwords.read_text("utf-8").splitlines() if line[0] != "#"]
    assert [line[:2] for line in lines] == [["manager", "admin"], ["ftp", "mvuser"]]
    assert all(len(line[2]) >= 16 for line in lines)
    assert config.load(home).ftp.su_password == lines[1][2]
    assert len(home.token.read_text("ascii").strip()) >= 32


def test_check_files_lie_beside_other_files(made):
    home, _ = made
    assert (home.tftp_data / CHECK_FILE).is_file() and (home.http_data / CHECK_FILE).is_file()
    assert os.listdir(home.ftp_data) == []


def test_two_homes_share_no_secret(made, tmp_path):
    other = Home(tmp_path)
    init.create(other)
    for path in ("token", "passwords", "ca_key", "key_file"):
        assert getattr(other, path).read_bytes() != getattr(made[0], path).read_bytes()
    assert config.load(other).snmp.community != config.load(made[0]).snmp.community


def test_a_second_time_keeps_everything(tmp_path):
    home = Home(tmp_path / "h")
    init.create(home, "files1", ["192.0.2.10"], 6000)
    settings = home.http_data / "46xxsettings.txt"
    settings.write_text("the site's own\n", "utf-8")
    (home.http_data / "96xxupgrade.txt").unlink()
    home.passwords.unlink()
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    done = init.create(home, "other", ["192.0.2.10"], 6000)
    assert {path: path.read_bytes() for path in before} == before
    assert done.made == [home.http_data / "96xxupgrade.txt"], (
        "what was missing is made again, but no passwords"
    )
    assert {home.ini, settings, home.ca_key, home.cert_file} <= set(done.kept)
    assert done.notes == []


def test_what_was_not_done_is_said(tmp_path):
    home = Home(tmp_path / "h")
    init.create(home, "files1", ["192.0.2.10"])
    notes = init.create(home, "files1", ["192.0.2.77"], 6000).notes
    assert any("--ports-offset was not applied" in note for note in notes)
    assert any("does not name 192.0.2.77" in note for note in notes)


def test_a_dropped_in_ini_is_kept_and_the_samples_follow_it(tmp_path):
    home = Home(tmp_path / "h")
    home.bin.mkdir(parents=True)
    home.ini.write_text("[HTTP]\nHTTPPort=8181\n[SNMP]\nCommunity=ours\n[HTTPS]\nHTTPSPort=8411\n", "utf-8")
    init.create(home, addresses=["192.0.2.10"])
    settings = (home.http_data / "46xxsettings.txt").read_text("utf-8")
    assert "192.0.2.10:8181" in settings and "192.0.2.10:8411" in settings and "ours" in settings
    assert not home.passwords.exists(), "there is no password of ours in an ini that was kept"


def test_an_ini_with_mistakes_stops_it(tmp_path):
    home = Home(tmp_path / "h")
    home.bin.mkdir(parents=True)
    home.ini.write_text("[HTTP]\nHTTPPort=eighty\n", "utf-8")
    with pytest.raises(ConfigError):
        init.create(home)
    assert not home.ca_key.exists()


def test_an_imported_certificate_is_kept_and_no_authority_is_made(made, tmp_path):
    home = Home(tmp_path / "h")
    home.certs.mkdir(parents=True)
    home.cert_file.write_bytes(made[0].cert_file.read_bytes())
    home.key_file.write_bytes(made[0].key_file.read_bytes())
    done = init.create(home, addresses=["192.0.2.10"])
    assert not home.ca_key.exists() and not (home.http_data / certs.PUBLIC_NAME).exists()
    assert {home.cert_file, home.key_file} <= set(done.kept)


def test_without_samples(tmp_path):
    home = Home(tmp_path / "h")
    init.create(home, sample=False)
    assert os.listdir(home.tftp_data) == [] and os.listdir(home.docs) == []


def test_the_package_ships_what_init_copies():
    """setup.cfg names every directory that holds shipped files, or an installed package lacks them."""
    from configparser import ConfigParser

    root = shipped().parent
    parser = ConfigParser()
    parser.read(root / "setup.cfg", "utf-8")
    globs = {glob for value in parser["options.data_files"].values() for glob in value.split()}
    held = {
        path.parent.relative_to(root)
        for path in shipped().rglob("*")
        if path.is_file() and path.name[0] != "."
    }
    for folder in held:
        assert globs & {f"{folder}/*", f"{folder}/*.ini"}, folder
    assert "certs/*" in globs
