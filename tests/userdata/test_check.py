"""`check` on user data: one finding for each thing that keeps backups out, or lets anybody in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mv_iptel import config as configuration
from mv_iptel import passwords
from mv_iptel.config import changed
from mv_iptel.home import Home, shipped
from mv_iptel.userdata import check

OWN = {"SNMP.Community": "0123456789abcdef"}


@pytest.fixture
def home(tmp_path):
    """A home with the sample configuration and its directories; no keys, no samples."""
    home = Home(tmp_path / "home")
    for directory in home.directories():
        directory.mkdir(parents=True)
    return home


def told(home: Home, **values: str) -> list[tuple[str, str]]:
    """(key or file name, text) of each finding with these settings."""
    text = (shipped() / "MV_IPTel.ini").read_text("utf-8")
    home.ini.write_text(changed(text, {tuple(at.split(".")): one for at, one in {**OWN, **values}.items()}))
    found = list(check.check(configuration.load(home)))
    assert all(one.level == "finding" for one in found)
    return [(one.key or Path(one.file).name, one.text) for one in found]


def test_the_sample_has_nothing_to_mend(home):
    assert told(home) == []


ONE = [
    ({"SNMP.Community": "public"}, "Community", "is public, which everybody knows"),
    ({"SNMP.Community": ""}, "Community", "is empty, which everybody knows"),
    ({"SNMP.SNMPTimeout": "5"}, "SNMPTimeout", "no question is ever repeated"),
    ({"HTTP.BackupAuth": "basic"}, "BackupPasswords", "needs it"),
    ({"HTTP.BackupPerNet": "10.0.0.0/8=basic"}, "BackupPasswords", "needs it"),
    ({"HTTP.BackupAuth": "pin", "HTTPS.RunHTTPS": "0"}, "BackupAuth", "only over HTTPS"),
    ({"HTTP.BackupPerNet": "10.0.0.0/8=pin", "HTTPS.RunHTTPS": "0"}, "BackupPerNet", "only over HTTPS"),
    ({"HTTP.BackupAuth": "pin", "HTTPS.IPTel": "1"}, "BackupAuth", "without encryption"),
    ({"HTTP.BackupAuth": "none"}, "BackupAuth", "none lets anybody read and replace"),
    ({"SNMP.UseSNMP": "0", "HTTP.BackupAuth": "pin"}, "UseSNMP", "0 lets anybody read and replace"),
    ({"SNMP.UseSNMP": "0", "FTP.RunFTP": "0"}, "BackupAuth", "while UseSNMP=0"),
    ({"SNMP.UseSNMP": "0", "FTP.RunFTP": "0", "HTTP.BackupAuth": "pin",
      "HTTP.BackupPerNet": "10.0.0.0/8=snmp"}, "BackupPerNet", "while UseSNMP=0"),
    ({"Settings.QuotaPerExtension": "1 KiB"}, "QuotaPerExtension", "smaller than MaxBackupBytes (1 MiB)"),
    ({"Settings.QuotaTotal": "2 MiB"}, "QuotaTotal", "smaller than QuotaPerExtension (5 MiB)"),
    ({"FTP.EnableSU": "1", "FTP.SUPassword": "short"}, "SUPassword", "fewer than 8 characters"),
    ({"FTP.EnableSU": "1", "FTP.SUPassword": "scrypt:nonsense"}, "SUPassword", "cannot log in"),
    ({"BACKUP_SERVERS.CustomFTP": "1"}, "CustomFTPUName", "sent to the customer's server as anonymous"),
    ({"BACKUP_SERVERS.CustomFTP": "1", "BACKUP_SERVERS.CustomFTPUName": "u"}, "CustomFTPPwd", "will fail"),
    ({"HTTP.BackupDir": "nowhere"}, "BackupDir", "is not there"),
    ({"HTTP.BackupDir": "MV_IPTel/var"}, "BackupDir", "no phone may see"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "key", "words"), ONE, ids=[str(one[0]) for one in ONE])
def test_one_thing_one_finding(home, values, key, words):
    found = told(home, **values)
    assert [name for name, _ in found] == [key] and words in found[0][1]


def test_nobody_keeps_data_where_nothing_runs(home):
    off = {"FTP.RunFTP": "0", "HTTP.RunHTTP": "0", "HTTPS.RunHTTPS": "0"}
    assert told(home, **off, **{"HTTP.BackupAuth": "none", "SNMP.Community": "public"}) == []


def test_a_list_says_who_may_come(home):
    (home.ftp_data / check.LIST).write_text("10.0.0.0/8\n")
    assert told(home, **{"HTTP.BackupAuth": "none", "SNMP.UseSNMP": "0"}) == []


def test_the_superuser_with_a_password_of_the_sites_own(home):
    for password in ("a long one of ours", passwords.make("short")):
        assert told(home, **{"FTP.EnableSU": "1", "FTP.SUPassword": password}) == []


def test_the_file_of_passwords(home):
    path = home.bin / "users.txt"
    path.write_text("4711:secret-one\nnonsense\n4712:scrypt:x\n")
    path.chmod(0o640)
    found = told(home, **{"HTTP.BackupAuth": "basic", "HTTP.BackupPasswords": str(path)})
    assert len(found) == 2 and all(name == "users.txt" for name, _ in found)
    assert "secret-one" not in str(found) and "nonsense" not in str(found)


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_passwords_that_everybody_reads(home):
    path = home.bin / "users.txt"
    path.write_text("4711:secret\n")
    path.chmod(0o644)
    found = told(home, **{"HTTP.BackupAuth": "basic", "HTTP.BackupPasswords": str(path)})
    assert len(found) == 1 and "chmod o-rwx" in found[0][1]


@pytest.mark.parametrize("name", ["allow_IP.txt", "HTTP_allow_IP.txt"])
def test_a_list_that_governs_nothing(home, name):
    (home.ftp_data / name).write_text("10.0.0.0/8\n")
    found = told(home)
    assert len(found) == 1 and found[0][0] == name and "governs nothing" in found[0][1]
    assert told(home, **{"HTTP.HTTPDir": "MV_IPTel/data/FTPdata"}) == [], "it is HTTP's there"
