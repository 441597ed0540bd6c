"""An ini of the reference product drops in: it starts, and its mistakes are all told at once."""

from __future__ import annotations

import pytest

from tests.clients.daemon import Daemon
from tests.clients.phone import ask_tftp, ask_web

# All eight sections with every key; the layout of copies in circulation, with rules of equal signs
# between the sections and comment lines that were broken in two.
REFERENCE = """\
# ============================================================
# Settings of the whole server
# ============================================================
[Settings]
# log everything, also what is
only interesting for development
DetailedLog=1
RunStatus=1
StatusPort=6090
# seconds between two
refreshes
StatusRefresh=10
Archive=1
LogFile=/opt/ecs/mvuser/MV_IPTel/log/MV_IPTel.log
Version=0.9 Build 4 Created July 11 2004 14:00
ServerName=Unknown
# ============================================================
[FTP]
RunFTP=0
FTPPort=21
FTPDataPort=20
FTPDir=/opt/ecs/mvuser/MV_IPTel/data/FTPdata
FTP_TimeOut=5
EnableSU=1
SUUserName=mvuser
SUPassword=Avaya
# ============================================================
[FTPS]
RunFTPS=0
FTPPort=990
FTPDataPort=889
# ============================================================
[TFTP]
RunTrivialFTP=1
TrivialFTPPort=69
TFTPDir=/opt/ecs/mvuser/MV_IPTel/data/TFTPdata
# ============================================================
[HTTP]
RunHTTP=1
HTTPPort=81
HTTPDir=/opt/ecs/mvuser/MV_IPTel/data/HTTPdata
# ============================================================
[HTTPS]
RunHTTPS=1
HTTPSPort=411
HTTPSDir=/opt/ecs/mvuser/MV_IPTel/data/HTTPSdata
CertFile=/opt/ecs/mvuser/MV_IPTel/certs/IPTelcert.pem
KeyFile=/opt/ecs/mvuser/MV_IPTel/certs/IPTelkey.pem
ClientAuth=0
# only what the telephones use
IPTel=0
SSLV2=0
SSLV3=0
TLSV1=1
UseProxy=0
ProxyAddr=proxy.example
ProxyPort=9000
# ============================================================
[BACKUP_SERVERS]
FileServer=0
RequestUpdates=0
RequestBackup=0
UsePrimarySvr=0
PrimaryIP=192.168.0.13
UseSecondarySvr=0
SecondaryIP=192.168.0.10
UpdateInterval=2
CustomFTP=0
CustomFTPDir=home/mvuser/backup
CustomFTPUName=name
CustomFTPPwd=made-up
CDRBackup=0
BCMSBackup=0
RetainDays=7.0
# ============================================================
[SNMP]
UseSNMP=1
#Command=/usr/bin/snmpget
#Params= -v2c -cpublic
#ExtObject=.1.3.6.1.4.1.6889.2.69.1.4.9.0
#TypeObject=.1.3.6.1.4.1.6889.2.69.1.1.2.0
"""

# What is planted: (line as it stands, line with the mistake, section, key, error or finding).
MISTAKES = [
    ("StatusPort=6090", "StatusPort=60900000", "Settings", "StatusPort", True),
    ("RunStatus=1", "RunStatus=maybe", "Settings", "RunStatus", True),
    ("StatusRefresh=10", "StatusRefresh=soon", "Settings", "StatusRefresh", True),
    ("ServerName=Unknown", "SeverName=Unknown", "Settings", "SeverName", False),
    ("RunTrivialFTP=1", "RunTrivialFTP=2", "TFTP", "RunTrivialFTP", True),
    ("TrivialFTPPort=69", "TrivialFTPPort=-69", "TFTP", "TrivialFTPPort", True),
    ("HTTPPort=81", "HTTPPort=eighty-one", "HTTP", "HTTPPort", True),
    ("HTTPSPort=411", "HTTPSProt=411", "HTTPS", "HTTPSProt", False),
    ("UpdateInterval=2", "UpdateInterval=7 parsecs", "BACKUP_SERVERS", "UpdateInterval", True),
    ("UseSNMP=1", "UseSNMP=perhaps", "SNMP", "UseSNMP", True),
]


@pytest.fixture(scope="module")
def dropped_in(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    with Daemon(folder, ini=REFERENCE) as running:
        yield running


def test_it_starts_and_serves(dropped_in, program):
    for folder in (dropped_in.home.tftp_data, dropped_in.home.http_data, dropped_in.home.https_data):
        dropped_in.write(folder, "46xxsettings.txt", b"SET GROUP 7\n")
    assert ask_tftp(dropped_in, "127.0.0.5", "46xxsettings.txt") == b"SET GROUP 7\n"
    for scheme in ("http", "https"):
        ask = ask_web(program("curl"), scheme)
        assert ask(dropped_in, "127.0.0.5", "46xxsettings.txt") == b"SET GROUP 7\n"


def test_tlsv1_alone_is_a_finding_that_names_the_way(dropped_in):
    said = dropped_in.run("check", status=None).stdout
    line = next(line for line in said.splitlines() if "TLSV1" in line)
    assert "LegacyTLS" in said and str(dropped_in.home.ini) in said and line


def test_ten_mistakes_are_told_at_once(dropped_in, tmp_path):
    other = Daemon(tmp_path, ini=REFERENCE)
    text = other.home.ini.read_text("utf-8")
    for number, (right, wrong, section, _key, _) in enumerate(MISTAKES):
        if "Port=" in right:  # the harness has put a free port there
            name = right.partition("=")[0]
            begin = text.index(f"[{section}]")
            right = text[text.index(f"\n{name}=", begin) + 1 :].partition("\n")[0]
        assert right in text, number
        begin = text.index(f"[{section}]")
        text = text[:begin] + text[begin:].replace(right, wrong, 1)
    other.home.ini.write_text(text, "utf-8")
    done = other.run("check", status=2)
    said = [" ".join(line.split()) for line in (done.stdout + done.stderr).splitlines()]
    lines = text.splitlines()
    for _, wrong, section, key, _error in MISTAKES:
        place = f"{other.home.ini}:{lines.index(wrong) + 1}: [{section}] {key}:"
        told = [line for line in said if place in line]
        assert len(told) == 1, (place, said)
        assert ";" in told[0], "what is wrong; what to write instead"
    assert other.run("serve", status=2).stdout.count("[HTTP] HTTPPort") <= 1


def test_a_misspelt_key_alone_does_not_stop_the_start(tmp_path):
    text = REFERENCE.replace("ServerName", "SeverName")
    with Daemon(tmp_path, ini=text) as running:
        said = running.run("check", status=1)
        assert "ServerName" in said.stdout + said.stderr
