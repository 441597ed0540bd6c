"""CustomFTP against vsftpd, and against a server that lives on while ours is killed between any two steps."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.daemon import PATIENCE, Daemon, free_ports, wait_for
from tests.userdata.customer import PASSWORD, USER, Customer, self_signed
from tests.userdata.test_outbox import FOLDER, A, B, C, Site

KILLS = 12


@contextmanager
def vsftpd(command: str, *lines: str) -> Iterator[tuple[Path, int]]:
    """vsftpd with anonymous upload into `in/`, in the foreground: (its folder, its port)."""
    if os.geteuid() != 0:
        pytest.skip("vsftpd needs root")
    root = Path(tempfile.mkdtemp(prefix="vsftpd-"))
    [port] = free_ports(1)
    try:
        for folder in (root, root / "root", root / "empty", root / "root" / "in"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        shutil.chown(root / "root" / "in", "ftp")
        keys = (
            "listen=YES", "listen_address=127.0.0.1", f"listen_port={port}", "background=NO",
            "anonymous_enable=YES", "local_enable=NO", "write_enable=YES", "anon_upload_enable=YES",
            "anon_mkdir_write_enable=YES", "anon_world_readable_only=NO", f"anon_root={root / 'root'}",
            f"secure_chroot_dir={root / 'empty'}", "connect_from_port_20=NO", *lines,
        )  # fmt: skip
        (root / "vsftpd.conf").write_text("".join(f"{key}\n" for key in keys))
        process = subprocess.Popen([command, str(root / "vsftpd.conf")], stdin=subprocess.DEVNULL)
        try:
            wait_for("vsftpd", lambda: _accepts(port))
            yield root / "root" / "in", port
        finally:
            process.terminate()
            process.wait(PATIENCE)
    finally:
        shutil.rmtree(root)


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def send(site: Site, **content: bytes) -> None:
    site.set(custom_ftp_uname="", custom_ftp_dir="in/backup")
    site.begin()
    for name, data in zip((A, B, C), content.values(), strict=True):
        site.keep(name, data)
    site.outbox.step()


def test_vsftpd_gets_every_byte(program, tmp_path):
    with vsftpd(program("vsftpd"), "anon_other_write_enable=YES") as (folder, port):
        site = Site(tmp_path, port)
        send(site, a=b"one\r\ntwo\n", b=b"", c=os.urandom(300_000))
        site.keep(A, b"two")
        site.outbox.step()
        assert site.told() == []
        assert files(folder / "backup") == {name: (site.data / name).read_bytes() for name in (A, B, C)}


def test_vsftpd_that_only_takes_uploads(program, tmp_path):
    """It forbids renaming, deleting and overwriting: what is new gets there, what is refused is told once."""
    with vsftpd(program("vsftpd")) as (folder, port):
        site = Site(tmp_path, port)
        send(site, a=b"one", b=b"two", c=b"three")
        assert site.told() == []
        assert set(files(folder / "backup")) == {A, B, C, f"{A}.part"}
        site.keep(A, b"newer")
        site.keep("2004_4620data.txt", b"four")
        site.outbox.step()
        assert files(folder / "backup")["2004_4620data.txt"] == b"four"
        assert [(level, A in text) for level, text in site.told()] == [("warning", True)]


def test_vsftpd_over_tls_wants_the_session_resumed(program, tmp_path):
    certificate = self_signed(tmp_path / "customer.pem")
    lines = (
        "ssl_enable=YES", "allow_anon_ssl=YES", "force_anon_logins_ssl=YES", "force_anon_data_ssl=YES",
        "require_ssl_reuse=YES", "anon_other_write_enable=YES", "ssl_tlsv1=YES",
        f"rsa_cert_file={certificate}", f"rsa_private_key_file={certificate}",
    )  # fmt: skip
    with vsftpd(program("vsftpd"), *lines) as (folder, port):
        site = Site(tmp_path, port, custom_ftp_tls=True, peer_ca=certificate)
        send(site, a=b"one", b=b"", c=os.urandom(300_000))
        assert site.told() == []
        assert files(folder / "backup") == {name: (site.data / name).read_bytes() for name in (A, B, C)}


# Stores without end, with the outbox listening, as the daemon wires them; or only sends what is left.
STORING = """
import dataclasses, os, random, sys, threading
from pathlib import Path
from mv_iptel import config as configuration
from mv_iptel.home import Home
from mv_iptel.userdata.names import Kept
from mv_iptel.userdata.outbox import Outbox
from mv_iptel.userdata.store import Origin, Store

folder, port, user, password, stores = sys.argv[1:]
config = configuration.defaults(Home(Path(folder)))
config.http.backup_dir.mkdir(parents=True, exist_ok=True)
servers = dataclasses.replace(
    config.backup_servers, custom_ftp=True, custom_ftp_host="127.0.0.1", custom_ftp_port=int(port),
    custom_ftp_uname=user, custom_ftp_pwd=password)
config = dataclasses.replace(config, backup_servers=servers)
store, outbox = Store(config, print), Outbox(config, print)
store.listeners.append(outbox.add)
store.open()
if stores != "0":
    outbox.start()
print("up", flush=True)
for number in range(int(stores)):
    draft = store.draft(Kept(str(4000 + number % 5), "4620"), Origin("127.0.0.1"))
    draft.write(os.urandom(random.choice((0, 10, 30_000))))
    done = threading.Event()
    draft.commit(lambda outcome: done.set())
    done.wait(10)
store.close()
outbox.step()
print("left:", outbox.counts()["queued"], flush=True)
"""


def storing(folder: Path, port: int, stores: int) -> subprocess.Popen:
    command = [sys.executable, "-c", STORING, str(folder), str(port), USER, PASSWORD, str(stores)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_killed_at_any_step_the_customer_has_what_is_current_in_the_end(tmp_path):
    """What is current at the end gets there, whatever was lost between commit, queue and record."""
    chance = random.Random()
    home = tmp_path / "home"
    with Customer(tmp_path / "customer") as customer:
        for _ in range(KILLS):
            process = storing(home, customer.port, 1_000_000)
            assert process.stdout.readline() == "up\n"
            time.sleep(chance.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = storing(home, customer.port, 0)
        said, _ = process.communicate(timeout=PATIENCE)
        assert said == "up\nleft: 0\n"
        there = customer.files(FOLDER)
        current = {
            path.name: path.read_bytes()
            for path in (home / "MV_IPTel" / "data" / "FTPdata").iterdir()
            if path.name.endswith("data.txt") and not path.name.startswith(".")
        }
        assert len(current) == 5
        assert customer.count("STOR") > 5 + KILLS  # the kills did come between something
        assert {name: there.get(name) for name in current} == current


def test_the_daemon_brings_old_data_to_the_customer(tmp_path):
    """What an administrator moved in before the start goes too; the status says when the queue is empty."""
    with Customer(tmp_path / "customer") as customer:
        keys = {
            ("BACKUP_SERVERS", "CustomFTP"): 1, ("BACKUP_SERVERS", "CustomFTPHost"): "127.0.0.1",
            ("BACKUP_SERVERS", "CustomFTPPort"): customer.port, ("BACKUP_SERVERS", "CustomFTPUName"): USER,
            ("BACKUP_SERVERS", "CustomFTPPwd"): PASSWORD,
        }  # fmt: skip
        daemon = Daemon(tmp_path / "home", keys)
        daemon.write(daemon.home.ftp_data, A, b"from the old server")
        with daemon:
            wait_for("the copy", lambda: customer.files(FOLDER) == {A: b"from the old server"})
            wait_for("the status", lambda: daemon.seen()["backups"]["queued"] == 0)
        assert PASSWORD not in daemon.journal()
