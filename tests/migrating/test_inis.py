"""Keys of old ini files: taken, changed, or to be decided."""

from __future__ import annotations

from dataclasses import fields

import pytest

from mv_iptel import config
from mv_iptel.config import SECTIONS, keys_of
from mv_iptel.home import Home, shipped
from mv_iptel.migrating import inis
from mv_iptel.migrating.inis import New
from tests.migrating.reference import INI, WATCHDOG, write


def told(tmp_path, text: str, paths=None):
    done = inis.server(Home(tmp_path / "home"), write(tmp_path / "old.ini", text), paths or {}, "made-up")
    return done, {(one.section, one.key): one for one in done.rows}


def test_each_written_key_has_a_row(tmp_path):
    done, rows = told(tmp_path, INI)
    keys = [line for line in INI.split("\n") if "=" in line and line[0] not in "#"]
    assert len(done.rows) == len(keys)
    assert {one.verdict for one in done.rows} == {"taken", "changed", "decide"}
    assert (
        rows["Settings", "MaxClient"].verdict == "decide"
        and "MaxClients" in rows["Settings", "MaxClient"].why
    )
    assert rows["FTP", "SUPassword"].verdict == "changed" and done.values["FTP", "SUPassword"] == "made-up"
    assert rows["BACKUP_SERVERS", "RequestUpdates"].verdict == "decide"
    assert done.values["SNMP", "Community"] == "site9" and done.values["SNMP", "SNMPVersion"] == "2c"
    assert ("SNMP", "Params") not in done.values and ("SNMP", "Command") not in done.values


def test_no_secret_is_told(tmp_path):
    done, _ = told(tmp_path, INI.replace("SUPassword=Avaya", "SUPassword=word77\nMyPassword=word78"))
    assert not any(word in str(done.rows) for word in ("word77", "word78", "@word", "site9"))
    assert done.values["FTP", "SUPassword"] == "word77"


def test_the_new_file_means_what_the_old_one_meant(tmp_path):
    """Every key of the reference, apart from those that are told as changed or as to be decided."""
    home = Home(tmp_path / "home")
    done, rows = told(tmp_path, INI.replace("CustomFTPPwd=@word", "CustomFTPPwd=word"))
    new = config.changed((shipped() / "MV_IPTel.ini").read_text("utf-8"), done.values)
    before = config.load(home, tmp_path / "old.ini")
    after = config.load(home, write(tmp_path / "new.ini", new))
    for section, (part, kind) in SECTIONS.items():
        for one in fields(kind):
            key = keys_of(kind)[one.name]
            row = rows.get((section, key.name))
            if key.ours or (row and row.verdict == "changed") or key.name in ("TLSV1",):
                continue
            assert getattr(getattr(after, part), one.name) == getattr(getattr(before, part), one.name), (
                key.name
            )
    assert after.snmp.community == before.snmp.community == "site9"


@pytest.mark.parametrize(
    ("text", "place", "verdict", "value"),
    [
        ("[HTTP]\nHTTPPort=eighty", ("HTTP", "HTTPPort"), "decide", "81"),
        ("[HTTP]\nHTTPPort=80\nHTTPPort=8080", ("HTTP", "HTTPPort"), "taken", "8080"),
        ("[HTTPS]\nRunHTTPS=1\nTLSV1=1", ("HTTPS", "TLSV1"), "decide", "1"),
        ("[HTTPS]\nRunHTTPS=1\nSSLV3=1", ("HTTPS", "SSLV3"), "decide", "1"),
        ("[FTP]\nSUPassword=@own", ("FTP", "SUPassword"), "changed", "@@own"),
        ("[FTP]\nEnableSU=0\nSUPassword=Avaya", ("FTP", "SUPassword"), "changed", "made-up"),
        ("[BACKUP_SERVERS]\nFileServer=1", ("BACKUP_SERVERS", "FileServer"), "decide", "1"),
        ("[BACKUP_SERVERS]\nCDRBackup=1", ("BACKUP_SERVERS", "CDRBackup"), "decide", "1"),
        ("[SNMP]\nParams=-v3 -cx -t9", ("SNMP", "Params"), "decide", None),
        ("[SNMP]\nAwk=x", ("SNMP", "Awk"), "changed", None),
        ("[Extra]\nHTTPPort=1", ("Extra", "HTTPPort"), "decide", None),
        ("[HTTP]\nHTTP Port = 81", ("HTTP", "HTTPPort"), "decide", "81"),
    ],
)
def test_verdicts(tmp_path, text, place, verdict, value):
    done, rows = told(tmp_path, text + "\n")
    assert (rows[place].verdict, done.values.get(place)) == (verdict, value)


def test_absent_keys_are_the_references(tmp_path):
    done, _ = told(tmp_path, "")
    assert done.values["HTTPS", "RunHTTPS"] == "0" and done.values["Settings", "DetailedLog"] == "1"
    assert done.values["SNMP", "Community"] == "public"
    assert ("FTP", "EnableSU") not in done.values and ("HTTPS", "CertFile") not in done.values


def test_paths_are_settled_elsewhere(tmp_path):
    new = New("MV_IPTel/data/TFTPdata", "changed", "copied")
    done, rows = told(tmp_path, "[TFTP]\nTFTPDir=/tftpboot\n", {("TFTP", "TFTPDir"): new})
    assert rows["TFTP", "TFTPDir"].new == done.values["TFTP", "TFTPDir"] == new.value


def test_the_watchdog(tmp_path):
    done = inis.watchdog(Home(tmp_path / "home"), write(tmp_path / "dog.ini", WATCHDOG))
    assert done.values["Settings", "WatchDogTimer"] == "30"
    assert done.values["Settings", "LogFile"] == "MV_WatchDog/log/MV_WatchDog.log"
    assert not any(one.verdict == "decide" for one in done.rows)
    done = inis.watchdog(
        Home(tmp_path / "home"), write(tmp_path / "far.ini", "[Settings]\nHostAddress=10.0.0.1\n")
    )
    assert done.rows[0].verdict == "decide"


def test_what_is_no_ini_at_all(tmp_path):
    done, _ = told(tmp_path, "x" * (1 << 20) + "yz")
    assert done.rows[0].verdict == "decide" and "larger than 1 MiB" in done.rows[0].why
    assert done.values["HTTP", "HTTPPort"] == "81"
