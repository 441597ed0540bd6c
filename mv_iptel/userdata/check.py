"""What `mv-iptel check` says of user data: who is let in by the policies, quotas, places, passwords."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mv_iptel import passwords
from mv_iptel.config import Config, Finding
from mv_iptel.status.words import size
from mv_iptel.userdata.policies import Passwords

LIST = "backup_allow_IP.txt"
SHORT = 8  # characters; a shorter password of the superuser is soon guessed
EVERYBODY_KNOWS = {"public", "private", ""}


def check(config: Config) -> Iterator[Finding]:
    """Findings about user data; none while nobody may keep any."""
    if not (_over_http(config) or _over_ftp(config)):
        return
    yield from _place(config)
    yield from _policies(config)
    yield from _questions(config)
    yield from _open(config)
    yield from _passwords(config)
    yield from _sizes(config)
    yield from _lists(config)
    yield from _superuser(config)
    yield from _customer(config)


def _over_http(config: Config) -> bool:
    return config.http.run_http or (config.https.run_https and not config.https.refused)


def _over_ftp(config: Config) -> bool:
    return config.ftp.run_ftp or config.ftps.run_ftps


def policies(config: Config) -> set[str]:
    """Every policy that some network is under."""
    return {config.http.backup_auth, *(one.policy for one in config.http.backup_per_net)}


def _place(config: Config) -> Iterator[Finding]:
    folder, home = config.http.backup_dir, config.home
    if folder == config.ftp.ftp_dir and _over_ftp(config):
        return  # told as FTPDir
    key = "BackupDir" if ("HTTP", "BackupDir") in config.lines else "FTPDir"
    section = "HTTP" if key == "BackupDir" else "FTP"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        yield config.finding(section, key, f"the directory {folder} {what}; make it, or write another one")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        text = f"the directory {folder} cannot be written; backups of the phones would be lost"
        yield config.finding(section, key, text)
    real = folder.resolve()
    for private in (home.bin, home.certs, home.var, home.manager, home.watchdog):
        inner = private.resolve()
        if real == inner or real in inner.parents or inner in real.parents:
            text = f"{folder} holds or lies in {private}, which no phone may see; name another one"
            yield config.finding(section, key, text)
            break


def _policies(config: Config) -> Iterator[Finding]:
    http, used = config.http, policies(config)
    if not _over_http(config):
        return
    if "snmp" in used and not config.snmp.use_snmp:
        where = "BackupAuth" if http.backup_auth == "snmp" else "BackupPerNet"
        text = "is snmp while UseSNMP=0, so no backup over HTTP is accepted; write pin, basic or none"
        yield config.finding("HTTP", where, text)
    if "basic" in used and (http.backup_passwords is None or not http.backup_passwords.is_file()):
        text = "the policy basic needs it; name a file with names and passwords"
        yield config.finding("HTTP", "BackupPasswords", text)
    if "pin" in used:
        where = "BackupAuth" if http.backup_auth == "pin" else "BackupPerNet"
        if not config.https.run_https:
            text = "the policy pin works only over HTTPS, which is off; write RunHTTPS=1"
            yield config.finding("HTTP", where, text)
        elif config.https.iptel:
            text = (
                "the policy pin refuses sets that connect without encryption (IPTel=1), so they cannot keep "
                "their data; give their network another policy with BackupPerNet"
            )
            yield config.finding("HTTP", where, text)


def _questions(config: Config) -> Iterator[Finding]:
    """The question by SNMP: what it is worth, and whether there is time for it."""
    snmp = config.snmp
    if not snmp.use_snmp or not (_over_ftp(config) or "snmp" in policies(config)):
        return
    if snmp.community in EVERYBODY_KNOWS:
        shown = snmp.community or "empty"
        text = (
            f"is {shown}, which everybody knows: whoever answers for a phone may take its user's data; write "
            "a word of your own here and as SNMPSTRING in the phones' settings"
        )
        yield config.finding("SNMP", "Community", text)
    if snmp.snmp_timeout >= config.ftp.ftp_time_out:
        text = "is not shorter than FTP_TimeOut, so no question is ever repeated; write 1"
        yield config.finding("SNMP", "SNMPTimeout", text)


def _open(config: Config) -> Iterator[Finding]:
    """Nothing has to be shown, and no list says who may come."""
    if (config.http.backup_dir / LIST).exists():
        return
    mend = f"write another policy, or a list {config.http.backup_dir / LIST}"
    text = f"lets anybody read and replace every user's data; {mend}"
    if _over_ftp(config) and not config.snmp.use_snmp:
        yield config.finding("SNMP", "UseSNMP", f"0 {text.replace('another policy', '1')}")
    if _over_http(config) and config.http.backup_auth == "none":
        yield config.finding("HTTP", "BackupAuth", f"none {text}")


def _passwords(config: Config) -> Iterator[Finding]:
    path = config.http.backup_passwords
    if path is None or "basic" not in policies(config) or not path.is_file():
        return
    for file, line, text in Passwords(path).problems():
        yield Finding(file, line, "", "", f"{text}; nobody comes in by this", "finding")
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH:
        text = "can be read by everybody on this host; run chmod o-rwx on it"
        yield Finding(str(path), 0, "", "", text, "finding")


def _sizes(config: Config) -> Iterator[Finding]:
    largest, settings = config.http.max_backup_bytes, config.settings
    if settings.quota_per_extension < largest:
        text = f"is smaller than MaxBackupBytes ({size(largest)}), so such a backup is never accepted"
        yield config.finding("Settings", "QuotaPerExtension", f"{text}; write {size(2 * largest)} or more")
    if settings.quota_total < settings.quota_per_extension:
        text = f"is smaller than QuotaPerExtension ({size(settings.quota_per_extension)}); write more"
        yield config.finding("Settings", "QuotaTotal", text)


def _lists(config: Config) -> Iterator[Finding]:
    """A list that phones' data is not governed by, though its name looks so."""
    folder = config.http.backup_dir
    if any(
        _same(folder, root) for root in (config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir)
    ):
        return
    for name in ("allow_IP.txt", "HTTP_allow_IP.txt", "HTTPS_allow_IP.txt"):
        path = folder / name
        if path.exists():
            text = (
                f"governs nothing: user data has {LIST}, and what FTP gives back FTP_allow_IP.txt; rename it"
            )
            yield Finding(str(path), 0, "", "", text, "finding")


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _superuser(config: Config) -> Iterator[Finding]:
    ftp = config.ftp
    if not ftp.superuser or not _over_ftp(config):
        return
    if wrong := passwords.broken(ftp.su_password):
        yield config.finding("FTP", "SUPassword", f"{wrong}; the superuser cannot log in, write it again")
    elif not ftp.su_password.startswith("scrypt:") and len(ftp.su_password) < SHORT:
        text = f"has fewer than {SHORT} characters, and FTP lets anybody guess; write a longer one"
        yield config.finding("FTP", "SUPassword", text)


def _customer(config: Config) -> Iterator[Finding]:
    servers = config.backup_servers
    if not servers.custom_ftp:
        return
    if not servers.custom_ftp_uname:
        text = "is empty, so users' data is sent to the customer's server as anonymous; write its login"
        yield config.finding("BACKUP_SERVERS", "CustomFTPUName", text)
    elif not servers.custom_ftp_pwd:
        text = (
            f"is empty, so the login of {servers.custom_ftp_uname[:40]!r} there will fail; write it, or @FILE"
        )
        yield config.finding("BACKUP_SERVERS", "CustomFTPPwd", text)
