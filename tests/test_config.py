"""Settings: good, bad, unknown, torn, reloaded; and that the documentation says what the code does."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mv_iptel import config
from mv_iptel.config import ConfigError, editing, findings, keys, lines, loading, values
from mv_iptel.home import Home

ROOT = Path(__file__).resolve().parent.parent

# A file as the reference product has it: all eight sections, every key with its printed value, rules of
# equals signs, comments torn in two (one of them begins with an equals sign). The comments are ours.
REFERENCE = """\
[Settings]
#==========================================
# talk a lot
DetailedLog=1
RunStatus=1
StatusPort=6090
StatusRefresh=10
Archive=1
# the file that takes the
log lines
LogFile=/opt/ecs/mvuser/MV_IPTel/log/MV_IPTel.log
#==========================================
Version=0.9 Build 4 Created July 11 2004 14:00
ServerName=Unknown

[FTP]
#==========================================
RunFTP=1
FTPPort=21
FTPDataPort=20
# the place that catches what sets send as
backups
FTPDir=/opt/ecs/mvuser/MV_IPTel/data/FTPdata
FTP_TimeOut=5
EnableSU=1
SUUserName=mvuser
SUPassword=Avaya
#
==========================================
[FTPS]
RunFTPS=0
FTPPort=990
FTPDataPort=889

[TFTP]
RunTrivialFTP=1
TrivialFTPPort=69
TFTPDir=/opt/ecs/mvuser/MV_IPTel/data/TFTPdata

[HTTP]
RunHTTP=1
HTTPPort=81
HTTPDir=/opt/ecs/mvuser/MV_IPTel/data/HTTPdata

[HTTPS]
RunHTTPS=0
HTTPSPort=411
HTTPSDir=/opt/ecs/mvuser/MV_IPTel/data/HTTPSdata
CertFile=/opt/ecs/mvuser/MV_IPTel/certs/IPTelcert.pem
KeyFile=/opt/ecs/mvuser/MV_IPTel/certs/IPTelkey.pem
ClientAuth=0
# what sets of that time speak
IPTel=0
# only looked at while the one above is off (IPTel
=0), else not
SSLV2=0
SSLV3=0
TLSV1=1
UseProxy=0
ProxyAddr=proxy.example.net
ProxyPort=9000

[BACKUP_SERVERS]
FileServer=0
RequestUpdates=0
RequestBackup=0
UsePrimarySvr=0
PrimaryIP=192.168.0.13
UseSecondarySvr=0
SecondaryIP=192.168.0.10
# how often: 1 each minute, 2
=each hour, 3=each day, 4 =each month
UpdateInterval=2
CustomFTP=1
CustomFTPDir=home/mvuser/backup
CustomFTPUName=someone
CustomFTPPwd=something
CDRBackup=0
BCMSBackup=0
RetainDays=7.0

[SNMP]
#==========================================
UseSNMP=1
# uncomment to override
#Command=/usr/bin/snmpget
#Params= -v2c -cpublic
#ExtObject=.1.3.6.1.4.1.6889.2.69.1.4.9.0
#TypeObject=.1.3.6.1.4.1.6889.2.69.1.1.2.0
#Awk=| cut -d '"' -f 2
#==========================================
"""


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.bin.mkdir(parents=True)
    return made


@pytest.fixture
def loads(home):
    """`loads(text)`: the configuration that an ini with this text gives."""

    def load(text: str | bytes) -> config.Config:
        home.ini.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        return config.load(home)

    return load


def told(error: ConfigError) -> list[tuple[int, str, str, str]]:
    return [(one.line, one.section, one.key, one.level) for one in error.findings]


# --- a file of the reference product ------------------------------------------------------------------


def test_a_reference_file_drops_in(home, loads):
    loaded = loads(REFERENCE)
    assert loaded.tftp.run_trivial_ftp and loaded.tftp.trivial_ftp_port == 69
    assert loaded.http.http_port == 81 and loaded.http.http_alt_ports == (80,)
    assert not loaded.https.run_https and loaded.https.https_port == 411 and loaded.https.tlsv1
    assert (loaded.ftp.ftp_port, loaded.ftps.ftp_port, loaded.ftps.ftp_data_port) == (21, 990, 889)
    assert loaded.backup_servers.update_interval == 3600 and loaded.backup_servers.retain_days == 7
    assert loaded.backup_servers.custom_ftp, "what is written counts, also for CustomFTP"
    assert loaded.settings.version == "0.9 Build 4 Created July 11 2004 14:00"
    assert loaded.legacy() == ()
    assert not loaded.ftp.superuser


def test_reference_paths_become_the_homes_own_with_a_finding(home, loads):
    loaded = loads(REFERENCE)
    assert loaded.tftp.tftp_dir == home.tftp_data
    assert loaded.https.https_dir == home.https_data
    assert loaded.https.cert_file == home.cert_file and loaded.https.key_file == home.key_file
    assert loaded.settings.log_file == home.log / "MV_IPTel.log"
    assert loaded.http.backup_dir == home.ftp_data
    moved = {one.key for one in loaded.findings if "is not on this machine" in one.text}
    assert moved == {"LogFile", "FTPDir", "TFTPDir", "HTTPDir", "HTTPSDir", "CertFile", "KeyFile"}
    assert {one.key for one in loaded.findings} - moved == {"SUPassword", "CustomFTP"}


def test_a_windows_reference_path_becomes_the_homes_own(home, loads):
    loaded = loads("[TFTP]\nTFTPDir=c:\\Program Files\\Avaya\\MV_IPTel\\data\\TFTPdata\n")
    assert loaded.tftp.tftp_dir == home.tftp_data


def test_a_reference_path_that_exists_stays(home, loads, monkeypatch, tmp_path):
    tree = tmp_path / "ecs"
    (tree / "MV_IPTel" / "data" / "TFTPdata").mkdir(parents=True)
    monkeypatch.setattr(values, "REFERENCE_TREES", (str(tree),))
    loaded = loads(
        f"[TFTP]\nTFTPDir={tree}/MV_IPTel/data/TFTPdata\n[HTTP]\nHTTPDir={tree}/MV_IPTel/data/HTTPdata\n"
    )
    assert loaded.tftp.tftp_dir == tree / "MV_IPTel" / "data" / "TFTPdata"
    assert loaded.http.http_dir == home.http_data
    assert [one.key for one in loaded.findings] == ["HTTPDir"]


def test_every_reference_key_stands_in_the_fixture():
    absent = {"Command", "Params", "ExtObject", "TypeObject", "Awk"}  # commented out in the sample as well
    for section, (_, part) in keys.SERVER.items():
        for key in keys.keys_of(part).values():
            if not key.ours and key.name not in absent:
                assert re.search(rf"^{key.name}=", REFERENCE, re.M), (section, key.name)


def test_absent_keys_have_the_samples_values_except_paths_and_custom_ftp(home, loads):
    sample = loads(REFERENCE)
    empty = config.defaults(home)
    placeholders = {"custom_ftp", "custom_ftp_uname", "custom_ftp_pwd", "proxy_addr", "version"}
    for part, _ in keys.SERVER.values():
        for field in dataclasses.fields(getattr(empty, part)):
            if field.name not in placeholders:
                got = getattr(getattr(empty, part), field.name)
                assert got == getattr(getattr(sample, part), field.name), (part, field.name)
    assert empty.backup_servers.custom_ftp is False


def test_an_empty_file_is_the_defaults(home, loads):
    assert replace(loads(""), file=None) == config.defaults(home)


# --- mistakes -----------------------------------------------------------------------------------------

# (the line in the reference file, what stands there instead, section, key, level, words of the mend)
PLANTED = [
    ("RunStatus=1", "RunStatus=yes", "Settings", "RunStatus", "error", "write 1"),
    ("StatusPort=6090", "StatusPort=609O", "Settings", "StatusPort", "error", "write a port from 1 to 65535"),
    ("FTP_TimeOut=5", "FTP_TimeOut=soon", "FTP", "FTP_TimeOut", "error", "write seconds, or 30s"),
    ("TrivialFTPPort=69", "TrivialFTPPort=69069", "TFTP", "TrivialFTPPort", "error", "from 1 to 65535"),
    ("HTTPPort=81", "HTTPort=81", "HTTP", "HTTPort", "finding", "did you mean HTTPPort?"),
    ("ClientAuth=0", "LegacyTLS=maybe", "HTTPS", "LegacyTLS", "error", "write 0 or 1"),
    ("UpdateInterval=2", "UpdateInterval=5", "BACKUP_SERVERS", "UpdateInterval", "error", "write 1 (minute)"),
    ("PrimaryIP=192.168.0.13", "PrimaryIP=192,168,0,13", "BACKUP_SERVERS", "PrimaryIP", "error", "neither a"),
    ("UseProxy=0", "TFTPBlockMax=512", "HTTPS", "TFTPBlockMax", "finding", "move it to [TFTP]"),
    ("[SNMP]", "[SNPM]", "SNPM", "", "finding", "write [SNMP]"),
]  # fmt: skip


def test_ten_planted_mistakes_are_told_at_once_with_line_key_and_mend(home, loads):
    text = REFERENCE
    for good, bad, *_ in PLANTED:
        assert text.count(good + "\n") == 1
        text = text.replace(good + "\n", bad + "\n")
    with pytest.raises(ConfigError) as caught:
        loads(text)
    found = {(one.section, one.key): one for one in caught.value.findings}
    for _, bad, section, key, level, mend in PLANTED:
        one = found[section, key]
        assert one.line == text.split("\n").index(bad) + 1
        assert one.level == level
        assert mend in one.text
        place = f"{home.ini}:{one.line}: [{section}]" + (f" {key}:" if key else ":")
        assert str(one).startswith(place)
    assert [one.line for one in caught.value.findings] == sorted(one.line for one in caught.value.findings)
    assert str(caught.value).count("\n") == len(caught.value.findings) - 1


BAD = [
    ("Settings", "MaxClients", "-1", "out of range"),
    ("Settings", "MaxClients", "many", "write a number from 0"),
    ("Settings", "MaxClients", "", "is not a number"),
    ("Settings", "BindAddress", "192.168.0", "is not an address"),
    ("Settings", "LogMaxBytes", "20 melons", "write bytes, or 512 KiB"),
    ("Settings", "LogFormat", "xml", "write text or json"),
    ("Settings", "StatusRefresh", "0", "out of range"),
    ("Settings", "LogFile", "", "remove the line"),
    ("TFTP", "TFTPPortRange", "50999-50000", "range of ports"),
    ("TFTP", "TFTPPortRange", "0-10", "range of ports"),
    ("TFTP", "TFTPBlockMax", "65465", "out of range"),
    ("TFTP", "TFTPBlockMax", "7", "out of range"),
    ("TFTP", "TFTPDir", '"/srv/tftp"', "quotes"),
    ("TFTP", "TFTPDir", "d:\\tftp", "Windows path"),
    ("TFTP", "TFTPDir", "/srv/\x00/tftp", "control character"),
    ("HTTP", "HTTPAltPorts", "80,http", "is not a port"),
    ("HTTP", "RunHTTP", "1 # on", "a comment needs a line of its own"),
    ("HTTP", "BackupAuth", "snpm", "write snmp, pin, basic or none"),
    ("HTTP", "BackupPerNet", "10.0.0.0/8", "NET=policy"),
    ("HTTP", "BackupPerNet", "10.0.0.0/99=pin", "neither an address nor a network"),
    ("FTP", "SUPassword", "@no/such/file", "cannot be read"),
    ("FTP", "SUAllowFrom", "home", "neither an address nor a network"),
    ("SNMP", "ExtObject", "extension", "object identifier"),
    ("SNMP", "SNMPVersion", "3", "write 1 or 2c"),
    ("BACKUP_SERVERS", "RetainDays", "a week", "write days such as 7.0"),
    ("BACKUP_SERVERS", "QuietHours", "8-18", "08:00-18:00"),
    ("BACKUP_SERVERS", "UpdateInterval", "0", "write 1 (minute)"),
]


@pytest.mark.parametrize(("section", "key", "value", "words"), BAD, ids=lambda one: str(one)[:20])
def test_a_bad_value_is_an_error(loads, section, key, value, words):
    with pytest.raises(ConfigError) as caught:
        loads(f"[{section}]\n{key}={value}\n")
    assert told(caught.value) == [(2, section, key, "error")]
    assert words in caught.value.findings[0].text


UNKNOWN = [
    ("[TFTP]\nTFTPDri=/srv\n", 2, "TFTP", "TFTPDri", "did you mean TFTPDir?"),
    ("[HTTP]\nTFTPDir=/srv\n", 2, "HTTP", "TFTPDir", "move it to [TFTP]"),
    ("[TFTP]\nFTPPort=21\n", 2, "TFTP", "FTPPort", "move it to [FTP] or [FTPS]"),
    ("RunHTTP=0\n", 1, "", "RunHTTP", "stands before the first section"),
    ("[Http]\nColour=red\n", 2, "Http", "Colour", "the nearest known key is"),
    ("[HTTP]\nCommunty=red\n", 2, "HTTP", "Communty", "did you mean Community in [SNMP]?"),
    ("[Web]\nA=1\nB=2\n", 1, "Web", "", "known are Settings, FTP"),
    ("[HTTP\nRunHTTP=1\n", 1, "HTTP", "", "the closing bracket is missing"),
    ("[HTTP]\nHTTP Port = 82\n", 2, "HTTP", "HTTPPort", "write HTTPPort=VALUE"),
    ("[HTTP]\nHTTPPort: 82\n", 2, "HTTP", "HTTPPort", "write HTTPPort=VALUE"),
    ("[HTTP]\nHTTPPort=82\nHTTPPort=83\n", 3, "HTTP", "HTTPPort", "was set before on line 2"),
]


@pytest.mark.parametrize(("text", "line", "section", "key", "words"), UNKNOWN)
def test_what_is_not_read_is_a_finding_and_does_not_stop(loads, text, line, section, key, words):
    loaded = loads(text)
    assert [(one.line, one.section, one.key, one.level) for one in loaded.findings] == [
        (line, section, key, "finding")
    ]
    assert words in loaded.findings[0].text


def test_the_later_of_two_lines_counts(loads):
    assert loads("[HTTP]\nHTTPPort=82\n[FTP]\n[http]\nhttpport=83\n").http.http_port == 83


def test_a_missing_file_says_what_to_do(home):
    with pytest.raises(ConfigError, match="mv-iptel init"):
        config.load(home)


def test_a_huge_file_is_refused(loads):
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        loads(b"#" * ((1 << 20) + 1))


# --- how lines are read -------------------------------------------------------------------------------

FORMS = [
    ("line ends of Windows", b"[HTTP]\r\nHTTPPort=82\r\n"),
    ("line ends of an old Mac", b"[HTTP]\rHTTPPort=82\r"),
    ("a mark of UTF-8", b"\xef\xbb\xbf[HTTP]\nHTTPPort=82\n"),
    ("UTF-16", "[HTTP]\nHTTPPort=82\n".encode("utf-16")),
    ("blanks and tabs", b"  [ HTTP ]  \n\tHTTPPort \t= 82  \n"),
    ("letter case", b"[http]\nHTTPPORT=82\n"),
    ("no line end at the end", b"[HTTP]\nHTTPPort=82"),
    ("a semicolon's comment", b"; words\n[HTTP]\n;HTTPPort=83\nHTTPPort=82\n"),
    ("words behind a header", b"[HTTP] # downloads\nHTTPPort=82\n"),
    ("Windows-1252", b"# \x93caf\xe9\x94 \x81\n[HTTP]\nHTTPPort=82\n"),
    (
        "a torn comment that sets nothing",
        b"[HTTP]\n# ports that sets ask on (80\n=often, 81 = firmware\nHTTPPort=82\n",
    ),
    ("prose with a sign", b"[HTTP]\nthe port (81 = firmware)\nHTTPPort=82\n"),
    (
        "half a comment like a bad value",
        b"[HTTP]\n# the port is set with\nHTTPPort=81 as a rule\nHTTPPort=82\n",
    ),
]


@pytest.mark.parametrize(("what", "data"), FORMS, ids=[what for what, _ in FORMS])
def test_forms_of_lines(loads, what, data):
    loaded = loads(data)
    assert loaded.http.http_port == 82
    expected = ["HTTPPort"] if "half a comment" in what else []
    assert [one.key for one in loaded.findings] == expected


def test_a_bad_value_below_a_comment_is_still_an_error(loads):
    with pytest.raises(ConfigError):
        loads("[HTTP]\n# the port\nHTTPPort=eighty one\n")


def test_lines_keep_their_numbers_and_blanks():
    found = lines.read(b"\n# c\n[SNMP]\n\nParams= -v1 \n[X\nwords\n")
    assert found == [
        lines.Header(3, "SNMP", True),
        lines.Entry(5, "SNMP", "Params", " -v1 ", False),
        lines.Header(6, "X", False),
        lines.Stray(7, "X", "words"),
    ]


# --- values -------------------------------------------------------------------------------------------

GOOD = [
    ("Settings", "BindAddress", "", "settings.bind_address", ()),
    ("Settings", "BindAddress", "ALL", "settings.bind_address", ()),
    ("Settings", "BindAddress", "192.0.2.1, ::1", "settings.bind_address", ("192.0.2.1", "::1")),
    ("Settings", "ClientSessionTime", "10m", "settings.client_session_time", 600.0),
    ("Settings", "LogMaxBytes", "20 MiB", "settings.log_max_bytes", 20 << 20),
    ("Settings", "LogMaxBytes", "1.5k", "settings.log_max_bytes", 1536),
    ("Settings", "LogMaxBytes", "4096", "settings.log_max_bytes", 4096),
    ("Settings", "StatusNames", "files, f.example", "settings.status_names", ("files", "f.example")),
    ("TFTP", "TFTPTimeout", "500ms", "tftp.tftp_timeout", 0.5),
    ("TFTP", "TFTPPortRange", "50000 - 50999", "tftp.tftp_port_range", (50000, 50999)),
    ("TFTP", "TFTPPortRange", "any", "tftp.tftp_port_range", None),
    ("TFTP", "TrivialFTPPort", "0", "tftp.trivial_ftp_port", 0),
    ("HTTP", "HTTPAltPorts", "", "http.http_alt_ports", ()),
    ("HTTP", "HTTPAltPorts", "80,8080 80", "http.http_alt_ports", (80, 8080)),
    ("HTTP", "HTTPPort", "80", "http.http_alt_ports", ()),
    ("HTTP", "BackupPerNet", "10.8.0.0/16=pin, 10.9.1.1=NONE", "http.backup_per_net", (
        (ipaddress.ip_network("10.8.0.0/16"), "pin"), (ipaddress.ip_network("10.9.1.1/32"), "none"))),
    ("HTTPS", "HTTPSPort", "443", "https.https_alt_ports", ()),
    ("BACKUP_SERVERS", "UpdateInterval", "1", "backup_servers.update_interval", 60.0),
    ("BACKUP_SERVERS", "UpdateInterval", "4", "backup_servers.update_interval", 30 * 86400.0),
    ("BACKUP_SERVERS", "UpdateInterval", "30s", "backup_servers.update_interval", 30.0),
    ("BACKUP_SERVERS", "UpdateInterval", "5m", "backup_servers.update_interval", 300.0),
    ("BACKUP_SERVERS", "CustomFTPPwd", "@@home", "backup_servers.custom_ftp_pwd", "@home"),
    ("BACKUP_SERVERS", "QuietHours", "08:00-18:00 22:30-23:59", "backup_servers.quiet_hours",
     "08:00-18:00,22:30-23:59"),
    ("SNMP", "Params", " -v1 -cphones", "snmp.community", "phones"),
    ("SNMP", "Params", " -v1 -cphones", "snmp.snmp_version", "1"),
    ("SNMP", "Params", " -v 1 -c phones", "snmp.community", "phones"),
    ("FTP", "SUPassword", "own", "ftp.superuser", True),
    ("FTP", "SUPassword", "", "ftp.superuser", False),
    ("FTP", "SUPassword", "Avaya", "ftp.superuser", False),
]  # fmt: skip


@pytest.mark.parametrize(("section", "key", "value", "path", "expected"), GOOD, ids=lambda one: str(one)[:24])
def test_good_values(loads, section, key, value, path, expected):
    part, field = path.split(".")
    assert getattr(getattr(loads(f"[{section}]\n{key}={value}\n"), part), field) == expected


def test_a_secret_may_stand_in_a_file(home, loads):
    (home.root / "secret.txt").write_text("first line \nsecond\n", "utf-8")
    loaded = loads("[SNMP]\nCommunity=@secret.txt\n[FTP]\nSUPassword=@secret.txt\n")
    assert loaded.snmp.community == "first line"
    assert loaded.ftp.superuser
    assert "first line" not in repr(loaded), "no log and no traceback shows a secret"


def test_paths_are_relative_to_the_home(home, loads):
    loaded = loads("[TFTP]\nTFTPDir=phones/tftp\n[HTTP]\nHTTPDir=/srv/http\n[FTP]\nFTPDir=phones/ftp\n")
    assert loaded.tftp.tftp_dir == home.root / "phones" / "tftp"
    assert loaded.http.http_dir == Path("/srv/http")
    assert loaded.http.backup_dir == home.root / "phones" / "ftp", "BackupDir follows FTPDir"


def test_backup_dir_of_its_own(home, loads):
    assert loads("[FTP]\nFTPDir=a\n[HTTP]\nBackupDir=b\n").http.backup_dir == home.root / "b"


# --- keys that speak of each other --------------------------------------------------------------------

TOGETHER = [
    ("[HTTPS]\nRunHTTPS=1\nTLSV1=1\n", "TLSV1", "LegacyTLS=1"),
    ("[HTTPS]\nRunHTTPS=1\nSSLV3=1\n", "SSLV3", "HTTPS stays off"),
    ("[HTTPS]\nRunHTTPS=1\nSSLV2=1\n", "SSLV2", "no maintained TLS library"),
    ("[FTP]\nEnableSU=1\n", "SUPassword", "switched off"),
    ("[FTP]\nSUPassword=\n", "SUPassword", "is empty"),
    ("[SNMP]\nCommand=/usr/bin/snmpget\n", "Command", "never run"),
    ("[SNMP]\nAwk=| awk\n", "Awk", "never run"),
    ("[SNMP]\nParams= -v3 -u me\n", "Params", "version 3 is not spoken"),
    ("[SNMP]\nParams=-cone\nCommunity=two\n", "Params", "which counts"),
    ("[SNMP]\nParams=-t 3\n", "Params", "only -v and -c are read"),
    ("[BACKUP_SERVERS]\nCustomFTP=1\n", "CustomFTP", "write CustomFTPHost"),
    ("[HTTPS]\nUseProxy=1\n", "UseProxy", "write ProxyAddr"),
    ("[HTTP]\nHTTPPort=6090\n", "StatusPort", "is also HTTPPort of [HTTP]"),
]


@pytest.mark.parametrize(("text", "key", "words"), TOGETHER)
def test_keys_that_do_not_go_together(loads, text, key, words):
    matching = [one for one in loads(text).findings if one.key == key and words in one.text]
    assert len(matching) == 1 and matching[0].level == "finding"


QUIET = [
    "[HTTPS]\nRunHTTPS=1\n",
    "[HTTPS]\nRunHTTPS=0\nTLSV1=1\n",
    "[HTTPS]\nRunHTTPS=1\nTLSV1=1\nLegacyTLS=1\n",
    "[HTTPS]\nRunHTTPS=1\nTLSV1=1\nIPTel=1\nSSLV3=1\n",
    "[FTP]\nEnableSU=0\nSUPassword=Avaya\n",
    "[FTP]\nRunFTP=0\nSUPassword=Avaya\n",
    "[HTTP]\nHTTPPort=443\n[HTTPS]\nRunHTTPS=1\n",
    "[SNMP]\nParams= -v2c -cpublic\n",
]


@pytest.mark.parametrize("text", QUIET)
def test_what_is_nothing_to_mend(loads, text):
    assert loads(text).findings == ()


def test_ssl_stops_https_alone(loads):
    loaded = loads("[HTTPS]\nRunHTTPS=1\nSSLV2=1\nSSLV3=1\n")
    assert "SSLV2=1 and SSLV3=1" in loaded.https.refused
    assert loaded.legacy() == ()
    assert loads("[HTTPS]\nRunHTTPS=1\nIPTel=1\nSSLV2=1\n").https.refused == "", "read only with IPTel=0"


def test_legacy_modes_are_named(loads):
    assert loads("[HTTPS]\nRunHTTPS=1\nIPTel=1\nLegacyTLS=1\n").legacy() == ("IPTel", "LegacyTLS")
    assert loads("[HTTPS]\nRunHTTPS=0\nIPTel=1\n").legacy() == ()


RESTART = [
    ("", "[Settings]\nUser=mvuser\n", ("User",)),
    ("", "[Settings]\nDatabase=other.db\n", ("Database",)),
    ("", "[HTTP]\nHTTPPort=82\n", ()),
    (
        "[Settings]\nUser=a\n",
        "[Settings]\nUser=a\n[HTTP]\nHTTPPort=82\nHTTPAltPorts=80,8080\n",
        ("HTTPPort",),
    ),
    ("[Settings]\nUser=a\n", "[Settings]\nUser=a\n[HTTP]\nHTTPPort=8082\n[TFTP]\nTFTPRetries=3\n", ()),
    ("[Settings]\nUser=a\n", "[Settings]\nUser=a\n[HTTPS]\nHTTPSAltPorts=443,444\n", ("HTTPSAltPorts",)),
]


@pytest.mark.parametrize(("old", "new", "expected"), RESTART)
def test_what_a_reload_cannot_apply(loads, old, new, expected):
    assert config.restart_needed(loads(old), loads(new)) == expected


# --- the other two processes --------------------------------------------------------------------------


def test_the_manager_and_the_watchdog_have_their_files(home):
    assert config.load_manager(home).settings.manager_port == 6092
    assert config.load_watchdog(home).settings.watch_dog_timer == 60
    home.manager_ini.parent.mkdir(parents=True)
    home.manager_ini.write_text("[Settings]\nManagerPort=x\nUseHTTPs=1\n", "utf-8")
    home.watchdog_ini.parent.mkdir(parents=True)
    home.watchdog_ini.write_text(
        "[Settings]\nVersion=0.9 Build 1 Created July 11 2004 14:00\nHostAddress=127.0.0.1\n"
        "WatchDogTimer=30\nFailureLimit=5\nStatusPort=6091\nStatusRefresh=10\n"
        "LogFile=c:\\Program Files\\Avaya\\MV_Watchdog\\log\\MV_Watchdog.log\nSMTPServer=mail:25\n",
        "utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        config.load_manager(home)
    assert told(caught.value) == [(2, "Settings", "ManagerPort", "error")]
    watchdog = config.load_watchdog(home)
    assert watchdog.settings.watch_dog_timer == 30 and watchdog.settings.smtp_server == "mail:25"
    assert [one.key for one in watchdog.findings] == ["LogFile"]


# --- writing back -------------------------------------------------------------------------------------


def test_changed_leaves_the_rest_alone(loads):
    text = "# top\r\n[HTTP]\r\n# port\r\nHTTPPort   = 81\r\n[TFTP]\r\nTFTPDir=x"
    new = config.changed(
        text, {("HTTP", "HTTPPort"): "82", ("TFTP", "TFTPRetries"): "3", ("SNMP", "UseSNMP"): "0"}
    )
    assert new.startswith("# top\r\n[HTTP]\r\n# port\r\nHTTPPort   = 82\r\n[TFTP]\r\nTFTPDir=x\r\n")
    loaded = loads(new)
    assert (loaded.http.http_port, loaded.tftp.tftp_retries, loaded.snmp.use_snmp) == (82, 3, False)
    assert loaded.findings == ()


def test_changed_keeps_the_form_of_an_empty_value():
    text = "[FTP]\nSUPassword   =\nSUUserName=\n"
    new = config.changed(text, {("FTP", "SUPassword"): "one", ("FTP", "SUUserName"): "two"})
    assert new == "[FTP]\nSUPassword   = one\nSUUserName=two\n"


def test_changed_adds_sections(loads):
    new = {
        ("SNMP", "UseSNMP"): "0",
        ("TFTP", "TFTPRetries"): "3",
        ("SNMP", "SNMPRetries"): "4",
        ("FTP", "RunFTP"): "0",
    }
    loaded = loads(config.changed("", new))
    assert (loaded.snmp.use_snmp, loaded.snmp.snmp_retries, loaded.tftp.tftp_retries) == (False, 4, 3)
    assert not loaded.ftp.run_ftp and loaded.findings == ()


def test_changed_sets_the_line_that_counts(loads):
    new = config.changed("[HTTP]\nHTTPPort=81\nHTTPPort=82\n", {("http", "httpport"): "90"})
    assert loads(new).http.http_port == 90


def test_the_template_loads_without_a_finding(home, loads):
    loaded = loads(config.template(home, HTTPPort="6081", FTPS_FTPPort="6990", ServerName="files1"))
    assert loaded.findings == ()
    assert (loaded.http.http_port, loaded.ftps.ftp_port, loaded.settings.server_name) == (
        6081,
        6990,
        "files1",
    )
    assert loaded.ftp.ftp_port == 21
    with pytest.raises(KeyError):
        config.template(home, HTTPort="81")


def test_what_init_starts_with_is_complete_and_differs_on_purpose(home, loads):
    """Every key stands in the shipped files; only these differ from the defaults."""
    obsolete = {"Version", "Command", "Params", "Awk"}
    for name, sections in (
        ("MV_IPTel", keys.SERVER),
        ("MV_Manager", keys.MANAGER),
        ("MV_WatchDog", keys.WATCHDOG),
    ):
        text = (ROOT / "data" / f"{name}.ini").read_text("utf-8")
        for section, (_, part) in sections.items():
            body = text.partition(f"\n[{section}]\n")[2].partition("\n[")[0]
            for key in keys.keys_of(part).values():
                stands = re.search(rf"^(# )?{key.name} *=", body, re.M)
                assert (stands is None) == (key.name in obsolete), (name, section, key.name)
    loaded = loads((ROOT / "data" / "MV_IPTel.ini").read_bytes())
    standard = config.defaults(home)
    differ = {
        field.name
        for part, _ in keys.SERVER.values()
        for field in dataclasses.fields(getattr(standard, part))
        if getattr(getattr(standard, part), field.name) != getattr(getattr(loaded, part), field.name)
    }
    assert differ == {"run_https", "tlsv1", "enable_su", "su_password", "detailed_log"}
    assert loaded.findings == () and loaded.legacy() == ()


# --- the table ----------------------------------------------------------------------------------------


def rows(part: type) -> list[str]:
    """What the documentation must say of each key."""
    found = []
    for key in keys.keys_of(part).values():
        default = f"`{key.default}`" if key.default else "empty"
        mark = " *" if key.ours else ""
        found.append(f"| `{key.name}`{mark} | {default} | {key.kind.values} | {key.meaning} |")
    return found


@pytest.mark.parametrize(
    ("file", "sections"),
    [("MV_IPTel.ini", keys.SERVER), ("MV_Manager.ini", keys.MANAGER), ("MV_WatchDog.ini", keys.WATCHDOG)],
)
def test_every_key_is_documented_as_it_is(file, sections):
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    chapter = text.partition(f"\n## {file}\n")[2].partition("\n## ")[0]
    for section, (_, part) in sections.items():
        table = chapter.partition(f"\n### `[{section}]`")[2].partition("\n### ")[0]
        written = [line for line in table.split("\n") if line.startswith("| `")]
        assert written == rows(part), section


def test_keys_are_told_apart():
    for sections in (keys.SERVER, keys.MANAGER, keys.WATCHDOG):
        for _, part in sections.values():
            names = [key.name.lower() for key in keys.keys_of(part).values()]
            assert len(names) == len(set(names))


def test_every_default_is_a_good_value(home):
    for sections in (keys.SERVER, keys.MANAGER, keys.WATCHDOG):
        for _, part in sections.values():
            for key in keys.keys_of(part).values():
                key.kind.parse(key.default, values.Context(home, []))


def test_restart_keys_are_those_of_the_documentation():
    marked = {
        key.name for _, part in keys.SERVER.values() for key in keys.keys_of(part).values() if key.restart
    }
    assert marked == {"User", "Database"}
    assert all(place in {(s, k.name) for s, (_, p) in keys.SERVER.items() for k in keys.keys_of(p).values()}
               for place in loading._LISTENING)  # fmt: skip


def test_a_finding_prints_its_place():
    assert str(findings.Finding("a.ini", 3, "HTTP", "HTTPPort", "bad")) == "a.ini:3: [HTTP] HTTPPort: bad"
    assert str(findings.Finding("a.ini", 3, "HTTP", "", "bad")) == "a.ini:3: [HTTP]: bad"
    assert str(findings.Finding("a.ini", 0, "", "", "bad")) == "a.ini: bad"


# --- anything at all ----------------------------------------------------------------------------------

NAMES = sorted({key.name for _, part in keys.SERVER.values() for key in keys.keys_of(part).values()})
some_line = st.one_of(
    st.sampled_from([f"[{section}]" for section in keys.SERVER]),
    st.builds(lambda key, value: f"{key}={value}", st.sampled_from(NAMES), st.text(max_size=20)),
    st.builds(
        lambda key, value: f"{key}={value}", st.sampled_from(NAMES), st.from_regex(r"[0-9a-z:./@,= -]{0,12}")
    ),
    st.text(max_size=30),
)


def any_outcome(home: Home, data: bytes) -> None:
    home.ini.write_bytes(data)
    try:
        loaded = config.load(home)
    except ConfigError as error:
        assert any(one.level == "error" for one in error.findings)
        assert "\n" not in "".join(one.text for one in error.findings)
    else:
        assert all(one.level == "finding" for one in loaded.findings)
        hash(loaded.settings)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    made = Home(tmp_path_factory.mktemp("any"))
    made.bin.mkdir(parents=True)
    return made


@given(data=st.binary(max_size=400))
@example(data=b"\xff\xfe\x00")
@example(data=b"[")
def test_any_bytes_load_or_are_told(scratch, data):
    any_outcome(scratch, data)


@given(parts=st.lists(some_line, max_size=12))
@example(parts=["[HTTP]", "HTTPDir=" + "/x" * 5000])
@example(parts=["[FTP]", "SUPassword=@" + "a" * 5000])
@example(parts=["[FTP]", "SUPassword=@."])
@example(parts=["[HTTPS]", "ProxyAddr=[::1", "HTTPSPort=٣"])
@example(parts=["[SNMP]", 'Params= -v "', "Params= -c"])
def test_any_lines_load_or_are_told(scratch, parts):
    any_outcome(scratch, "\n".join(parts).encode("utf-8", "surrogatepass"))


@given(text=st.lists(some_line, max_size=8).map("\n".join), value=st.sampled_from(["82", "8082"]))
@example(text="[HTTP]\rHTTPPort=1\rRunHTTP=1", value="82")
@example(text="[SNMP]\nUseSNMP=1", value="82")
def test_changed_changes_one_key_and_nothing_else(text, value):
    text = text.encode("utf-8", "replace").decode("utf-8")

    def entries(content: str) -> list[tuple[str, str, str]]:
        found = lines.read(content.encode("utf-8"))
        return [(one.section, one.key, one.value) for one in found if isinstance(one, lines.Entry)]

    def is_it(one: tuple[str, str, str]) -> bool:
        return (one[0].lower(), one[1].lower()) == ("http", "httpport")

    before, after = entries(text), entries(editing.changed(text, {("HTTP", "HTTPPort"): value}))
    assert [one[2].strip() for one in after if is_it(one)][-1] == value
    assert [one for one in before if not is_it(one)] == [one for one in after if not is_it(one)]
