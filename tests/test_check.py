"""`check` names what would keep phones from booting, and nothing else."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mv_iptel import certs, check, config, init
from mv_iptel.home import Home


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """A home as `init` makes it; each test gets a copy, for keys take time to make."""
    home = Home(tmp_path_factory.mktemp("check") / "home")
    init.create(home, "files1", ["192.0.2.10"])
    return home


@pytest.fixture
def home(pattern, tmp_path):
    import shutil

    copy = Home(tmp_path / "home")
    shutil.copytree(pattern.root, copy.root, symlinks=True)
    # Any free port: other tests and the machine's own servers are no matter of these tests.
    change(copy, **dict.fromkeys(PORTS, "0"))
    return copy


PORTS = (
    "TFTP.TrivialFTPPort", "FTP.FTPPort", "FTPS.FTPPort", "HTTP.HTTPPort", "HTTP.HTTPAltPorts",
    "HTTPS.HTTPSPort", "HTTPS.HTTPSAltPorts", "Settings.StatusPort",
)  # fmt: skip


def change(home: Home, **values: str) -> None:
    """`change(home, **{"HTTP.HTTPPort": "81"})`"""
    places = {tuple(place.split(".")): value for place, value in values.items()}
    home.ini.write_text(config.changed(home.ini.read_text("utf-8"), places), "utf-8")


def told(home: Home) -> list[tuple[str, str]]:
    """(key or file name, text) of each finding."""
    report = check.check(home)
    assert report.usable
    return [(one.key or Path(one.file).name, one.text) for one in report.findings]


def only(home: Home) -> tuple[str, str]:
    found = told(home)
    assert len(found) == 1, found
    return found[0]


# --- the whole ----------------------------------------------------------------------------------------


def test_a_new_home_has_nothing_to_mend(home):
    report = check.check(home)
    assert report.findings == [] and report.usable
    facts = dict(report.facts)
    assert facts["server"] == "not running"
    assert facts["tftp"] == f"serves {home.tftp_data}, no list"
    assert facts["certificate"].startswith("CN=files1 until ")
    assert "legacy" not in facts


def test_a_configuration_that_does_not_load_is_all_there_is_to_say(home):
    change(home, **{"HTTP.HTTPPort": "x", "TFTP.TFTPRetries": "y"})
    home.watchdog_ini.write_text("[Settings]\nFailureLimit=0\n", "utf-8")
    report = check.check(home)
    assert not report.usable and report.facts == []
    assert [(Path(one.file).name, one.key) for one in report.findings] == [
        ("MV_IPTel.ini", "TFTPRetries"), ("MV_IPTel.ini", "HTTPPort"), ("MV_WatchDog.ini", "FailureLimit"),
    ]  # fmt: skip


def test_findings_of_the_load_are_told_too(home):
    with open(home.ini, "a") as file:
        file.write("SNMPRetry=3\n")
    key, text = only(home)
    assert key == "SNMPRetry" and "did you mean SNMPRetries" in text


def test_legacy_modes_are_named_and_are_no_finding(home):
    change(home, **{"HTTPS.IPTel": "1", "HTTPS.LegacyTLS": "1"})
    report = check.check(home)
    assert report.findings == []
    assert [fact.text.partition(":")[0] for fact in report.facts if fact.topic == "legacy"] == [
        "IPTel=1",
        "LegacyTLS=1",
    ]


# --- one thing each -----------------------------------------------------------------------------------

COMBINATIONS = [
    ({"Settings.MaxClients": "100"}, "ClientSessionTime", "only the first 100 clients"),
    ({"BACKUP_SERVERS.RequestUpdates": "1"}, "RequestUpdates", "UsePrimarySvr=1"),
    ({"TFTP.RunTrivialFTP": "0", "HTTP.RunHTTP": "0", "HTTPS.RunHTTPS": "0"}, "RunHTTP", "no phone can boot"),
    ({"TFTP.TFTPDir": "nowhere"}, "TFTPDir", "is not there"),
    ({"FTP.FTPDir": "initial-passwords.txt"}, "FTPDir", "is a file"),
    ({"Settings.LogFile": "nowhere/a.log"}, "LogFile", "cannot be written"),
    ({"Settings.Database": "nowhere/a.db"}, "Database", "cannot be written"),
    ({"Settings.User": "no-such-account"}, "User", "no account 'no-such-account'"),
    ({"Settings.BindAddress": "192.0.2.10"}, "BindAddress", "is not an address of this host"),
    ({"Settings.StatusBind": "192.0.2.10"}, "StatusBind", "is not an address of this host"),
]


@pytest.mark.parametrize(("values", "key", "words"), COMBINATIONS, ids=[str(one[0]) for one in COMBINATIONS])
def test_keys_and_places(home, values, key, words):
    change(home, **values)
    found = [text for name, text in told(home) if name == key and words in text]
    assert found


def test_a_central_server_needs_its_port_and_its_certificate(home):
    change(home, **{"BACKUP_SERVERS.FileServer": "1", "BACKUP_SERVERS.FileServerPort": "0"})
    assert told(home) == []
    off = {"HTTPS.RunHTTPS": "0", "FTPS.RunFTPS": "0", "HTTPS.CertFile": "nowhere.pem"}
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        change(home, **{"BACKUP_SERVERS.FileServerPort": str(taken.getsockname()[1]), **off})
        texts = [text for _, text in told(home)]  # the other is about the certificate
    assert len(texts) == 2 and any("is taken" in text for text in texts), texts


QUIET = [
    {"Settings.MaxClients": "100", "Settings.ClientSessionTime": "600"},
    {"TFTP.TFTPDir": "nowhere", "TFTP.RunTrivialFTP": "0"},
    {"HTTPS.CertFile": "nowhere.pem", "HTTPS.RunHTTPS": "0"},
    {"Settings.User": "root"},
]


@pytest.mark.parametrize("values", QUIET, ids=str)
def test_what_is_nothing_to_mend(home, values):
    change(home, **values)
    assert told(home) == []


@pytest.mark.parametrize(
    "folder", [".", "MV_IPTel", "MV_IPTel/var", "MV_IPTel/var/lists", "MV_Manager/ca", "/"]
)
def test_a_root_that_holds_secrets(home, folder):
    change(home, **{"TFTP.TFTPDir": folder})
    assert any(key == "TFTPDir" and "which no phone may see" in text for key, text in told(home))


def test_a_root_that_leads_to_secrets_by_a_link(home):
    (home.root / "link").symlink_to(home.certs)
    change(home, **{"TFTP.TFTPDir": "link"})
    assert any(key == "TFTPDir" and "which no phone may see" in text for key, text in told(home))


@pytest.mark.parametrize("path", ["ca_key", "key_file", "token", "passwords"])
def test_secrets_that_everybody_can_read(home, path):
    getattr(home, path).chmod(0o644)
    name, text = only(home)
    assert name == getattr(home, path).name and "chmod o-rwx" in text


# --- ports --------------------------------------------------------------------------------------------


@pytest.fixture(
    params=[
        ("TFTP.TrivialFTPPort", socket.SOCK_DGRAM),
        ("HTTP.HTTPPort", socket.SOCK_STREAM),
        ("FTP.FTPPort", socket.SOCK_STREAM),
    ]
)
def taken(request):
    """(key, port) that this process holds on the loop."""
    key, kind = request.param
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        yield key, sock.getsockname()[1]


def test_a_taken_port_names_its_holder(home, taken):
    key, port = taken
    change(home, **{key: str(port), "Settings.BindAddress": "127.0.0.1"})
    name, text = only(home)
    assert name == key.partition(".")[2]
    assert f"port {port} is taken by" in text and f"(process {os.getpid()})" in text


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of the host")
def test_another_server_on_another_address_is_in_nobodys_way(home):
    """Offices on one host, each with a BindAddress; this one runs."""
    code = "import socket,sys; s = socket.create_server(('127.0.0.2', int(sys.argv[1]))); print(1); input()"
    with socket.create_server(("127.0.0.1", 0)) as mine:
        port = str(mine.getsockname()[1])
        change(home, **{"HTTP.HTTPPort": port, "Settings.BindAddress": "127.0.0.1"})
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-uc", code, port], **pipes) as other:
            assert other.stdout.readline() == b"1\n"
            with open(home.var / "server.lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                lock.write(f"{os.getpid()}\n")
                lock.flush()
                assert told(home) == []
            other.communicate(b"\n")


def test_a_branch_that_has_not_joined_is_told_how(home):
    change(home, **{"BACKUP_SERVERS.UseSecondarySvr": "1"})
    key, text = only(home)
    assert key == "UseSecondarySvr" and "central invite" in text
    change(home, **{"BACKUP_SERVERS.PeerToken": "a" * 43})
    assert told(home) == []


def test_all_addresses_are_tried(home, taken):
    key, port = taken
    change(home, **{key: str(port)})
    assert only(home)[0] == key.partition(".")[2]


def test_our_own_running_server_may_have_its_ports(home, taken):
    key, port = taken
    change(home, **{key: str(port)})
    with open(home.var / "server.lock", "w") as lock:  # as `serve` holds it
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        assert check.running(home) == os.getpid()
        report = check.check(home)
        assert report.findings == []
        assert dict(report.facts)["server"] == f"running, process {os.getpid()}"
    assert check.running(home) == 0, "a lock that nobody holds is a leftover"
    assert only(home)[0] == key.partition(".")[2]


def test_trying_a_port_leaves_it_free(home):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    change(home, **{"HTTP.HTTPPort": str(port)})
    assert told(home) == []
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))


# --- certificates -------------------------------------------------------------------------------------


def test_certificates_are_loaded_and_checked(home):
    home.key_file.write_bytes(home.ca_key.read_bytes())
    name, text = only(home)
    assert name == "IPTelkey.pem" and "does not belong" in text
    home.cert_file.unlink()
    assert any("cannot be read" in text for _, text in told(home))


def test_a_certificate_should_name_the_bound_address(home):
    certs.make_server(home, certs.Names(("files1",), ("192.0.2.10",)))
    assert told(home) == []
    change(home, **{"Settings.BindAddress": "192.0.2.99"})
    assert any("does not name 192.0.2.99" in text for _, text in told(home))


# --- lists --------------------------------------------------------------------------------------------


def test_broken_lines_of_lists(home):
    path = home.tftp_data / "TFTP_allow_IP.txt"
    path.write_text("# pilot\n192.0.2.7\n192.0.2.300\n192.0.2.9-192.0.2.8\n", "utf-8")
    (home.https_data / "allow_IP.txt").write_text("nobody\n", "utf-8")
    (home.lists / "banned.txt").write_text("", "utf-8")
    report = check.check(home)
    found = [(Path(one.file).name, one.line) for one in report.findings]
    assert found == [
        ("TFTP_allow_IP.txt", 3),
        ("TFTP_allow_IP.txt", 4),
        ("allow_IP.txt", 1),
        ("allow_IP.txt", 0),
    ]
    assert "lists nobody" in report.findings[-1].text
    assert dict(report.facts)["tftp"].endswith("listed in TFTP_allow_IP.txt")


def test_a_list_that_leads_nowhere(home):
    (home.http_data / "HTTP_allow_IP.txt").symlink_to("gone")
    name, text = only(home)
    assert name == "HTTP_allow_IP.txt" and "leads nowhere" in text


def test_the_own_list_wins_over_the_general_one(home):
    (home.http_data / "HTTP_allow_IP.txt").write_text("192.0.2.7\n", "utf-8")
    (home.http_data / "allow_IP.txt").write_text("broken\n", "utf-8")
    assert told(home) == []


def test_public_addresses_want_a_list(home):
    change(home, **{"Settings.BindAddress": "8.8.8.8"})
    keys = {key for key, text in told(home) if "can be reached from anywhere" in text}
    assert keys == {"TFTPDir", "HTTPDir", "HTTPSDir"}
    for root in ("tftp", "http", "https"):
        (getattr(home, f"{root}_data") / "allow_IP.txt").write_text("192.0.2.0/24\n", "utf-8")
    assert not any("can be reached from anywhere" in text for _, text in told(home))


# --- what is served -----------------------------------------------------------------------------------


def test_the_same_name_with_other_content(home):
    same, other = b"x" * (check.PIECE + 5), b"x" * (check.PIECE + 4) + b"y"
    for name, plain, secure in (("a.bin", same, same), ("sub/b.bin", same, other), ("c.bin", b"1", b"12")):
        for folder, data in ((home.http_data, plain), (home.https_data, secure)):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
    (home.https_data / "only.here").write_bytes(b"1")
    (home.https_data / ".hidden").write_bytes(b"1")
    (home.http_data / ".hidden").write_bytes(b"2")
    assert [name for name, _ in told(home)] == ["c.bin", "b.bin"]
    change(home, **{"HTTPS.HTTPSDir": "MV_IPTel/data/HTTPdata"})
    assert told(home) == []


def test_scripts_are_read(home):
    (home.tftp_data / "46xxupgrade.scr").write_bytes(b"IF $MODEL4 SEQ 4610 GOTO NONE\nGET 46xxsettings.txt\n")
    (home.tftp_data / "46xxsettings.txt").write_bytes(b"GET 46xxupgrade.scr\n")
    report = check.check(home)
    found = {(Path(one.file).name, one.line) for one in report.findings}
    assert ("46xxupgrade.scr", 1) in found
    assert any("loop" in one.text for one in report.findings)


def test_phones_and_server_share_one_community(home):
    change(home, **{"SNMP.Community": "another"})
    assert {name for name, text in told(home) if "SNMPSTRING differs" in text} == {"46xxsettings.txt"}
    change(home, **{"SNMP.UseSNMP": "0", "HTTP.BackupAuth": "pin"})
    (home.ftp_data / "backup_allow_IP.txt").write_text("10.0.0.0/8\n")
    assert told(home) == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_a_directory_that_cannot_be_read(home):
    home.tftp_data.chmod(0)
    try:
        assert any(key == "TFTPDir" and "cannot be read" in text for key, text in told(home))
    finally:
        home.tftp_data.chmod(0o755)


def test_a_reference_file_can_be_checked(home):
    from tests.test_config import REFERENCE

    home.ini.write_text(config.changed(REFERENCE, {tuple(one.split(".")): "0" for one in PORTS}), "utf-8")
    report = check.check(home)
    assert report.usable
    assert not [one for one in report.findings if one.level == "error"]
