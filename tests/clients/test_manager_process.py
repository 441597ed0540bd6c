"""The manager as a process: what keeps it from starting, a restart, a new certificate, its end, its log."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess

import pytest
from click.testing import CliRunner

from manager.cli import group
from mv_iptel import certs
from tests.clients.daemon import PATIENCE, set_keys, wait_for
from tests.clients.manager import MANAGER, NEW, Manager, Person
from tests.manager.here import made


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    with Manager(made(tmp_path_factory.mktemp("home"))) as running:
        yield running


@pytest.fixture(scope="module")
def admin(manager):
    return Person(manager).settle()


def told(home) -> tuple[int, str]:
    """What the command says of settings with which it does not begin."""
    done = CliRunner().invoke(group, ["--home", str(home.root)])
    return done.exit_code, done.output


def tried(home) -> tuple[int, str]:
    """What becomes of a manager that cannot start."""
    done = subprocess.run(
        [str(MANAGER), "--home", str(home.root)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def test_what_keeps_it_from_starting(manager, tmp_path):
    home = made(tmp_path)
    set_keys(home.manager_ini, {("Settings", "ManagerPort"): manager.port})
    code, said = tried(home)
    assert code == 1 and f"port {manager.port} is taken by" in said and str(manager.process.pid) in said
    set_keys(home.manager_ini, {("Settings", "UseHTTPS"): 0, ("Settings", "BindAddress"): "0.0.0.0"})
    code, said = told(home)
    assert code == 2 and "UseHTTPS" in said and f"{home.manager_ini}:" in said
    home.manager_ini.write_text("[Settings]\nManagerPort = many\nUseHTTPS = perhaps\n")
    code, said = told(home)
    assert code == 2 and "ManagerPort" in said and "UseHTTPS" in said, "all that is wrong, at once"
    home.manager_ini.unlink()
    home.key_file.write_text("broken")
    code, said = tried(home)
    assert code == 2 and str(home.key_file) in said
    assert "Traceback" not in said


def test_who_is_signed_in_stays_so_over_a_restart(manager, admin):
    manager.process.send_signal(signal.SIGINT)
    assert manager.process.wait(PATIENCE) == 0
    manager.start()
    assert admin.get("/operations").status == 200
    assert admin.call("PUT", "/api/v1/account/password", {}).status == 422, "its token holds, too"


def test_a_certificate_that_is_renewed_is_used_without_a_restart(manager):
    trust = ssl.create_default_context(cafile=str(manager.home.ca_cert))

    def shown() -> str:
        with (
            socket.create_connection(("127.0.0.1", manager.port), 20) as plain,
            trust.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            return secure.getpeercert()["serialNumber"]

    first = shown()
    certs.renew(manager.home, force=True)
    shown()  # this handshake sees that it was replaced
    assert shown() != first


def test_it_ends_at_once_though_somebody_watches(manager, admin):
    """A live page and a connection that says nothing hold up no restart."""
    trust = ssl.create_default_context(cafile=str(manager.home.ca_cert))
    cookies = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    with (
        socket.create_connection(("127.0.0.1", manager.port), 20),
        socket.create_connection(("127.0.0.1", manager.port), 20) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as live,
    ):
        live.sendall(f"GET /log/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n".encode())
        assert live.recv(12) == b"HTTP/1.1 200"
        manager.process.terminate()
        assert manager.process.wait(15) == 0
    manager.start()


def test_its_log_tells_changes_and_no_secret(manager, admin):
    log = manager.home.manager / "log" / "MV_Manager.log"
    admin.get("/nothing")
    wait_for("the log", lambda: "GET /nothing: not-found" in log.read_text())
    text = log.read_text() + manager.output.read_text()
    assert " info manager.changes admin at 127.0.0.1: " in text and "signed in" in text
    for secret in (NEW, admin.csrf, *admin.cookies.values(), "scrypt:"):
        assert secret not in text
    assert log.stat().st_mode & 0o007 == 0
