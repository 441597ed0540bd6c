"""Programs of others fetch files over every protocol, byte for byte."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SIZES = {"empty": 0, "one": 1, "short": 511, "block": 512, "over": 513, "mib": 1 << 20, "wraps": 33 << 20}
HOSTS = ["127.0.0.1", "::1"]


def url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


# What each client is called with: (program, arguments for host, port, name, target).
Arguments = Callable[[str, int, str, str], list[str]]
TFTP: dict[str, tuple[str, Arguments]] = {
    "tftp-hpa": (
        "tftp",
        lambda host, port, name, to: ["-m", "binary", host, str(port), "-c", "get", name, to],
    ),
    "atftp": ("atftp", lambda host, port, name, to: ["-g", "-r", name, "-l", to, host, str(port)]),
    "atftp with options": (
        "atftp",
        lambda host, port, name, to: [
            "--option", "blksize 1428", "--option", "tsize 0", "--option", "timeout 2",
            "--option", "windowsize 8", "-g", "-r", name, "-l", to, host, str(port),
        ],
    ),
    "busybox": (
        "busybox",
        lambda host, port, name, to: ["tftp", "-g", "-r", name, "-l", to, host, str(port)],
    ),
    "busybox with options": (
        "busybox",
        lambda host, port, name, to: ["tftp", "-b", "1428", "-g", "-r", name, "-l", to, host, str(port)],
    ),
    "curl": (
        "curl",
        lambda host, port, name, to: [
            "-sS", "-g", "--tftp-no-options", "-o", to, f"tftp://{url(host)}:{port}/{name}",
        ],
    ),
    "curl with options": (
        "curl",
        lambda host, port, name, to: ["-sS", "-g", "-o", to, f"tftp://{url(host)}:{port}/{name}"],
    ),
    "curl with big blocks": (
        "curl",
        lambda host, port, name, to: [
            "-sS", "-g", "--tftp-blksize", "8192", "-o", to, f"tftp://{url(host)}:{port}/{name}",
        ],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def files(daemon):
    """Made-up firmware of every size in all three data directories: name to content."""
    made = {}
    for number, (name, size) in enumerate(SIZES.items()):
        made[f"{name}.bin"] = random.Random(number).randbytes(size)
    for folder in (daemon.home.tftp_data, daemon.home.http_data, daemon.home.https_data):
        for name, data in made.items():
            daemon.write(folder, name, data)
    return made


def fetch(argv: list[str], target: Path) -> bytes:
    """Run a client and give what it wrote."""
    target.unlink(missing_ok=True)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, cwd=target.parent)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    # atftp and busybox create no file for an empty one in some releases: nothing received is nothing.
    return target.read_bytes() if target.exists() else b""


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("client", TFTP)
def test_tftp(daemon, files, program, tmp_path, client, host):
    name, arguments = TFTP[client]
    path = program(name)
    if client == "tftp-hpa":
        version = subprocess.run([path, "-V"], capture_output=True, text=True).stdout
        if "tftp-hpa" not in version:
            pytest.skip("client missing: tftp is not tftp-hpa (Debian package tftp-hpa)")
    target = tmp_path / "got"
    for file, content in files.items():
        got = fetch([path, *arguments(host, daemon.tftp, file, str(target))], target)
        assert got == content, f"{client} {host} {file}: {len(got)} octets of {len(content)}"


def test_the_options_were_granted(daemon, files, program, tmp_path):
    """What the client asked for was in force, not only declined politely."""
    daemon.write(daemon.home.tftp_data, "granted.bin", files["mib.bin"])
    arguments = TFTP["atftp with options"][1]("127.0.0.1", daemon.tftp, "granted.bin", str(tmp_path / "got"))
    fetch([program("atftp"), *arguments], tmp_path / "got")
    event = daemon.event(name="granted.bin")
    assert (event["blksize"], event["window"]) == (1428, 8)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("port", ["http", "http_alt", "https", "https_alt"])
def test_http(daemon, files, program, tmp_path, host, port):
    scheme = port.partition("_")[0]
    target = tmp_path / "got"
    for file, content in files.items():
        address = f"{scheme}://{url(host)}:{getattr(daemon, port)}/{file}"
        trust = ["--cacert", str(daemon.home.ca_cert)]
        got = fetch([program("curl"), "-sS", "-g", "-f", *trust, "-o", str(target), address], target)
        assert got == content, f"{address}: {len(got)} octets of {len(content)}"


def test_one_event_each(daemon, files, program, tmp_path):
    daemon.write(daemon.home.tftp_data, "counted.bin", files["over.bin"])
    daemon.write(daemon.home.http_data, "counted.bin", files["over.bin"])
    curl = [program("curl"), "-sS", "-g", "-f", "-o", str(tmp_path / "got")]
    fetch([*curl, f"tftp://127.0.0.1:{daemon.tftp}/counted.bin"], tmp_path / "got")
    fetch([*curl, f"http://127.0.0.1:{daemon.http}/counted.bin"], tmp_path / "got")
    for proto in ("tftp", "http"):
        event = daemon.event(name="counted.bin", proto=proto)
        assert (event["outcome"], event["bytes"], event["peer"]) == ("ok", 513, "127.0.0.1")
