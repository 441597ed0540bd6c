"""The servers that are compared: how each is configured, started on loopback and ended."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.files import Files
from benchmarks.meter import Meter, meter

OURS = "mv-iptel"
CHALLENGED = "mv-iptel+SNMP"  # the same program, with the phone's answer before each store
HERE = "127.0.0.1"


class ServerError(Exception):
    """A server did not start; the message says why."""


@dataclass(frozen=True)
class Plan:
    """What to start and where it then listens; a port of 0 is not offered.

    A file that is sent to `prefix` + its name lies in `stored`; `snmp` is the port where phones are asked.
    """

    command: list[str]
    address: str = HERE
    tftp: int = 0
    http: int = 0
    https: int = 0
    ftp: int = 0
    snmp: int = 0
    stored: Path = Path()
    prefix: str = ""


@dataclass(frozen=True)
class Server:
    """One program. `plan` writes its configuration into a folder. `missing` says why it cannot run, or ''."""

    name: str
    plan: Callable[[Path, Files], Plan]
    version: Callable[[], str]
    missing: Callable[[], str]


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    plan: Plan
    meter: Meter
    process: subprocess.Popen[bytes]
    output: Path


def find(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextmanager
def running(server: Server, scratch: Path, files: Files) -> Iterator[Running]:
    """Starts it, waits until its ports are open, ends it with all its children."""
    folder = scratch / server.name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    plan = server.plan(folder, files)
    output = folder / "output.txt"
    output.unlink(missing_ok=True)
    counter = meter(server.name)
    try:
        process = counter.start(plan.command, output)
        started = Running(plan, counter, process, output)
        _wait(server.name, started)
        yield started
    finally:
        counter.close()


def _wait(name: str, server: Running, limit: float = 20.0) -> None:
    """Raises ServerError if a port does not open within `limit` seconds."""
    end = time.monotonic() + limit
    tcp = [port for port in (server.plan.http, server.plan.https, server.plan.ftp) if port]
    while True:
        if server.process.poll() is not None:
            tail = server.output.read_text(errors="replace")[-600:].strip()
            raise ServerError(f"{name} ended with {server.process.returncode}: {tail}")
        closed = [port for port in tcp if not _accepts(server.plan.address, port)]
        if server.plan.tftp and not closed and not _answers(server.plan.address, server.plan.tftp):
            closed = [server.plan.tftp]
        if not closed:
            return
        if time.monotonic() > end:
            raise ServerError(
                f"{name} did not answer on port {closed[0]} in {limit:.0f} s; see {server.output}"
            )
        time.sleep(0.05)


def _accepts(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 1):
            return True
    except OSError:
        return False


def _answers(address: str, port: int) -> bool:
    """A request for a file that is not there gets an error packet and leaves nothing behind."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.3)
        try:
            probe.sendto(b"\0\1bench-not-there\0octet\0", (address, port))
            return probe.recv(100)[:2] == b"\0\5"
        except OSError:
            return False


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Below the range that clients' sockets come from: thousands of those come and go meanwhile."""
    for port in random.sample(range(12000, 32000), 100):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind((HERE, port))
            except OSError:
                continue
            return port
    raise ServerError("of 100 ports tried, none is free")


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return ""
    return next(iter((done.stdout + done.stderr).splitlines()), "")


def _needs(program: str, package: str, root: bool = False) -> Callable[[], str]:
    def missing() -> str:
        if find(program) is None:
            return f"{program} is not installed (Debian package {package})"
        if root and os.geteuid() != 0:
            return f"{program} needs root"
        return ""

    return missing


def _tftpd(folder: Path, files: Files) -> Plan:
    port = free_port(socket.SOCK_DGRAM)
    listen = ["-L", "-u", "root", "-a", f"{HERE}:{port}", "-s", str(files.root)]
    return Plan([find("in.tftpd") or "in.tftpd", *listen], tftp=port)


def _dnsmasq(folder: Path, files: Files) -> Plan:
    """dnsmasq cannot be told another port than 69; an address of its own keeps it out of everybody's way."""
    command = [
        find("dnsmasq") or "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
        "--user=root", "--enable-tftp", f"--tftp-root={files.root}", "--tftp-max=5000",
        "--listen-address=127.0.0.69", "--bind-interfaces", f"--log-facility={folder / 'log'}", "--pid-file=",
    ]  # fmt: skip
    return Plan(command, address="127.0.0.69", tftp=69)


def _nginx(folder: Path, files: Files) -> Plan:
    http, https = free_port(), free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "access.log").unlink(missing_ok=True)
    (folder / "nginx.conf").write_text(f"""
{user}
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 10000; }}
http {{
    access_log {folder}/access.log;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    root {files.root};
    client_body_temp_path {folder}/temp; proxy_temp_path {folder}/temp; fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp; scgi_temp_path {folder}/temp;
    server {{ listen {HERE}:{http} backlog=1024; }}
    server {{
        listen {HERE}:{https} ssl backlog=1024;
        ssl_certificate {files.certificate};
        ssl_certificate_key {files.key};
        ssl_protocols TLSv1.2 TLSv1.3;
    }}
}}
""")
    return Plan(
        [find("nginx") or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")],
        http=http,
        https=https,
    )


def _vsftpd(folder: Path, files: Files) -> Plan:
    """Anonymous upload, its log on. Its user must reach the folder; the root itself must not be writable."""
    port, root, inside = free_port(), folder / "root", folder / "root" / "in"
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            raise ServerError(f"vsftpd's user ftp cannot reach {folder}: chmod o+x {parent}")
    shutil.rmtree(root, ignore_errors=True)
    for path in (root, inside, folder / "empty"):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    shutil.chown(inside, "ftp")
    (folder / "log").unlink(missing_ok=True)
    (folder / "vsftpd.conf").write_text(f"""\
listen=YES
listen_address={HERE}
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
anon_root={root}
secure_chroot_dir={folder / "empty"}
connect_from_port_20=NO
xferlog_enable=YES
vsftpd_log_file={folder / "log"}
""")
    command = [find("vsftpd") or "vsftpd", str(folder / "vsftpd.conf")]
    return Plan(command, ftp=port, stored=inside, prefix="in/")


def _home(folder: Path) -> Path:
    """A complete home as `init` makes it, with journal, inventory and status."""
    home = folder / "home"
    ini = home / "MV_IPTel" / "bin" / "MV_IPTel.ini"
    program = str(Path(sys.executable).parent / "mv-iptel")
    if not ini.exists():
        init = [program, "init", str(home), "--name", "bench", "--address", HERE]
        done = subprocess.run(init, capture_output=True, text=True, timeout=120)
        if done.returncode or not ini.exists():
            raise ServerError(
                f"mv-iptel init ended with {done.returncode}: {(done.stdout + done.stderr)[-600:]}"
            )
    return home


def _set(home: Path, keys: dict[str, dict[str, str]]) -> None:
    ini = home / "MV_IPTel" / "bin" / "MV_IPTel.ini"
    ini.write_text(set_keys(ini.read_text(encoding="utf-8", errors="surrogateescape"), keys))


def _ours(folder: Path, files: Files) -> Plan:
    """Everything but FTP; ports and certificate are the bench's."""
    program, home = str(Path(sys.executable).parent / "mv-iptel"), _home(folder)
    for name in ("TFTPdata", "HTTPdata", "HTTPSdata"):
        files.link_into(home / "MV_IPTel" / "data" / name)
    plan = Plan(
        [program, "serve", "--home", str(home)],
        tftp=free_port(socket.SOCK_DGRAM),
        http=free_port(),
        https=free_port(),
    )
    off = {"FTP": {"RunFTP": "0"}, "FTPS": {"RunFTPS": "0"}}
    on = {
        "Settings": {"BindAddress": HERE, "StatusPort": str(free_port()), "MaxClients": "0"},
        "TFTP": {"RunTrivialFTP": "1", "TrivialFTPPort": str(plan.tftp)},
        "HTTP": {"RunHTTP": "1", "HTTPPort": str(plan.http), "HTTPAltPorts": ""},
        # The modern port is the one measured: HTTPSPort itself could be in a legacy mode.
        "HTTPS": {
            "RunHTTPS": "1", "HTTPSPort": str(free_port()), "HTTPSAltPorts": str(plan.https),
            "CertFile": str(files.certificate), "KeyFile": str(files.key),
        },
    }  # fmt: skip
    _set(home, {**off, **on})
    return plan


def _our_ftp(challenge: bool) -> Callable[[Path, Files], Plan]:
    """FTP alone, nothing stored yet; `challenge`: every session's phone is asked by SNMP."""

    def plan(folder: Path, files: Files) -> Plan:
        program, home = str(Path(sys.executable).parent / "mv-iptel"), _home(folder)
        stored, versions = home / "MV_IPTel" / "data" / "FTPdata", home / "MV_IPTel" / "var" / "versions"
        for path in (*stored.glob("*data.txt"), *versions.glob("*")):
            path.unlink() if path.is_file() else shutil.rmtree(path)
        port, snmp = free_port(), free_port(socket.SOCK_DGRAM)
        _set(home, {
            "Settings": {"BindAddress": HERE, "StatusPort": str(free_port()), "MaxClients": "0"},
            "TFTP": {"RunTrivialFTP": "0"}, "HTTP": {"RunHTTP": "0"}, "HTTPS": {"RunHTTPS": "0"},
            "FTP": {"RunFTP": "1", "FTPPort": str(port), "FTPMaxPerAddress": "0"}, "FTPS": {"RunFTPS": "0"},
            "SNMP": {"UseSNMP": str(int(challenge)), "SNMPPort": str(snmp)},
        })  # fmt: skip
        command = [program, "serve", "--home", str(home)]
        return Plan(command, ftp=port, snmp=snmp if challenge else 0, stored=stored)

    return plan


def set_keys(text: str, wanted: dict[str, dict[str, str]]) -> str:
    """The ini text with these keys changed in place, or added at the top of their section."""
    left = {section: dict(keys) for section, keys in wanted.items()}
    lines: list[str] = []
    heads: dict[str, int] = {}
    section = ""
    for line in text.splitlines():
        if head := re.match(r"\s*\[(.+?)\]", line):
            section = head[1]
            heads[section] = len(lines)
        key = line.split("=", 1)[0].strip()
        if "=" in line and key in left.get(section, {}):
            line = f"{key}={left[section].pop(key)}"
        lines.append(line)
    for name, keys in sorted(left.items(), key=lambda item: -heads.get(item[0], -1)):
        new = [f"{key}={value}" for key, value in keys.items()]
        if name in heads:
            lines[heads[name] + 1 : heads[name] + 1] = new
        else:
            lines += [f"[{name}]", *new]
    return "\n".join(lines) + "\n"


def _our_version() -> str:
    from mv_iptel import __version__

    return f"mv-iptel {__version__}, Python {sys.version.split()[0]}"


TFTPD = Server(
    "tftpd-hpa",
    _tftpd,
    lambda: _first_line("/usr/sbin/in.tftpd", "-V"),
    _needs("in.tftpd", "tftpd-hpa", root=True),
)
DNSMASQ = Server(
    "dnsmasq", _dnsmasq, lambda: _first_line("/usr/sbin/dnsmasq", "--version").split("  ")[0],
    _needs("dnsmasq", "dnsmasq-base", root=True),
)  # fmt: skip
NGINX = Server("nginx", _nginx, lambda: _first_line("/usr/sbin/nginx", "-v"), _needs("nginx", "nginx-light"))
VSFTPD = Server(
    "vsftpd", _vsftpd, lambda: _first_line("sh", "-c", "vsftpd -v 0>&1 2>&1"),
    _needs("vsftpd", "vsftpd", root=True),
)  # fmt: skip
MV_IPTEL = Server(OURS, _ours, _our_version, lambda: "")
MV_IPTEL_FTP = Server(OURS, _our_ftp(False), _our_version, lambda: "")
MV_IPTEL_SNMP = Server(CHALLENGED, _our_ftp(True), _our_version, lambda: "")
