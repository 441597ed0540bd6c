"""An installation of the reference product, as one finds it: written for these tests."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

INI = """#=====================================
[Settings]
# detailed log
DetailedLog=1
RunStatus=1
StatusPort=6090
StatusRefresh=10
Archive=1
LogFile=/opt/ecs/mvuser/MV_IPTel/log/MV_IPTel.log
Version=0.9 Build 4 Created July 11 2004 14:00
ServerName=North
MaxClient=100
[FTP]
RunFTP=1
FTPPort=21
FTPDataPort=20
FTPDir=/opt/ecs/mvuser/MV_IPTel/data/FTPdata
FTP_TimeOut=5
EnableSU=1
SUUserName=mvuser
SUPassword=Avaya
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
# IPTel=1 narrows TLS (then
TLSV1=1 is the old one)
IPTel=0
SSLV2=0
SSLV3=0
TLSV1=1
UseProxy=0
ProxyAddr=proxy.example.net
ProxyPort=9000
[BACKUP_SERVERS]
FileServer=0
RequestUpdates=1
RequestBackup=0
UsePrimarySvr=1
PrimaryIP=192.168.0.13
UpdateInterval=2
CustomFTP=1
CustomFTPDir=home/mvuser/backup
CustomFTPUName=name
CustomFTPPwd=@word
RetainDays=7.0
[SNMP]
UseSNMP=1
Command=/usr/bin/snmpget
Params= -v2c -csite9
"""

WATCHDOG = """[Settings]
Version=0.9 Build 1 Created July 11 2004 14:00
HostAddress=127.0.0.1
WatchDogTimer=30
FailureLimit=5
StatusPort=6091
StatusRefresh=10
LogFile=c:\\Program Files\\Avaya\\MV_Watchdog\\log\\MV_Watchdog.log
"""

SETTINGS = """SET SNMPADD 192.168.38.130
SET SNMPSTRING site9
SET FTPSRVR 192.168.38.7
"""

WHEN = 1_150_000_000  # June 2006


def write(path: Path, data: str | bytes, when: int = WHEN) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(path, (when, when))
    return path


def install(base: Path, ini: str = INI) -> Path:
    """An old installation at `base`; gives it back."""
    data = base / "MV_IPTel" / "data"
    write(base / "MV_IPTel" / "bin" / "MV_IPTel.ini", ini.replace("\n", "\r\n"))
    write(base / "MV_WatchDog" / "bin" / "MV_WatchDog.ini", WATCHDOG)
    write(base / "MV_WatchDog" / "bin" / "mv_iptel_alert.sh", "#!/bin/sh\n/etc/init.d/mv_ipteld restart\n")
    write(base / "MV_Manager" / "bin" / "MV_Manager.ini", "[Settings]\nPort=1\n")
    write(data / "TFTPdata" / "46xxupgrade.scr", "SET APPNAME a20d01b2_9.bin\nGET 46xxsettings.txt\n")
    write(data / "TFTPdata" / "46xxsettings.txt", SETTINGS)
    write(data / "TFTPdata" / "a20d01b2_9.bin", bytes(range(256)) * 64)
    write(data / "TFTPdata" / "TFTP_allow_IP.txt", "192.168.38\nnonsense\n")
    write(data / "TFTPdata" / "sub" / "ring.wav", b"RIFF")
    os.symlink("46xxupgrade.scr", data / "TFTPdata" / "46XXUPGRADE.SCR")
    os.symlink("/etc/hostname", data / "TFTPdata" / "out.txt")
    write(data / "HTTPdata" / "fxd_settings.txt", "SET X 1\n")
    write(data / "HTTPdata" / "4711_96xxdata.txt", "NAME=b\n", WHEN + 60)
    (data / "HTTPSdata").mkdir(parents=True)
    write(data / "FTPdata" / "4711_4620data.txt", "\nNAME=new\n", WHEN + 60)
    write(data / "FTPdata" / "4712_4620DATA.TXT", "\nNAME=capitals\n")
    write(data / "FTPdata" / "4610data.txt", "\nNAME=release 2.0\n")
    write(data / "FTPdata" / "notes.doc", b"\xd0\xcf")
    write(
        data / "FTPdata" / "200605" / "4711_4620data.txt.gz", gzip.compress(b"\nNAME=old\n", mtime=WHEN - 9)
    )
    write(data / "FTPdata" / "200605" / "month.gz", gzip.compress(b"?", mtime=0))
    write(data / "Updates" / "a.zip", b"PK")
    write(base / "ha.cf", "bcast eth1\nnode a\nnode b\nauto_failback on\n")
    write(base / "haresources", "a 192.168.38.130 mv_ipteld\n")
    write(base / "authkeys", "auth 1\n1 sha1 secret word\n")
    return base


def state(base: Path) -> dict[str, tuple[object, ...]]:
    """Everything of a tree that a careless reader could change."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(base.rglob("*")):
        there = path.lstat()
        content = b"" if path.is_symlink() or path.is_dir() else path.read_bytes()
        found[str(path)] = (
            there.st_ino,
            there.st_mode,
            there.st_mtime_ns,
            there.st_ctime_ns,
            there.st_nlink,
            content,
        )
    return found
