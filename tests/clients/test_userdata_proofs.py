"""What user data is promised: synced before acknowledged, 300 phones at once, a full disk, beside TFTP."""

from __future__ import annotations

import ftplib
import io
import json
import math
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.build import build
from mv_iptel.home import Home
from tests.clients.agents import Agents
from tests.clients.daemon import PATIENCE, Daemon, wait_for
from tests.clients.savers import FIRST, HTTP_FROM, address, content, says, store_by_ftp, store_by_http
from tests.clients.snmpd import free_udp

BY_FTP, BY_HTTP = 3, HTTP_FROM + 3
FTP_NAME, HTTP_NAME = f"{FIRST + BY_FTP}_4620data.txt", f"{FIRST + BY_HTTP}_96xxdata.txt"
STORM = 13.0  # seconds that the storm takes alone, about: more than ten in any case


def herd_says(here: str) -> tuple[str, str, str]:
    ext, _, _ = says(here)
    return ext, "4621SW", "4600"


# What is synced before it is acknowledged.

CALL = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))$")


def calls(trace: str) -> list[tuple[str, str]]:
    """(call, what it says) in the order in which the calls ended; what was sent counts when it began."""
    begun: dict[str, str] = {}
    found = []
    for line in trace.splitlines():
        match = CALL.match(line)
        if not match:
            continue
        thread, resumed, rest, name, arguments = match.groups()
        if resumed:
            found.append((resumed, begun.pop(thread, "") + rest))
        elif arguments.endswith(" <unfinished ...>") and not name.startswith(("send", "write")):
            begun[thread] = arguments.removesuffix(" <unfinished ...>")
        else:
            found.append((name, arguments))
    return found


def assert_in_order(found: list[tuple[str, str]], home: Home, name: str, reply: str, again: bool) -> None:
    """The file is synced, then renamed, then its directory is synced, and only then the reply leaves.

    `again`: what is replaced lies among the versions, for good, before the new one takes its place.
    """
    folder, versions = home.ftp_data, home.var / "versions" / name
    aside = re.escape(f"{folder}/.{name}.") + r"[0-9a-f]{8}\.part"
    steps = (
        ("the file is synced", "fsync|fdatasync", rf"\d+<{aside}>\) += 0"),
        *(("the old one is a version", "fsync|fdatasync", rf"\d+<{re.escape(str(versions))}>\) += 0"),)
        * again,
        ("it takes its place", "rename|renameat|renameat2", rf'{aside}".*{re.escape(f"{folder}/{name}")}"'),
        ("the directory is synced", "fsync|fdatasync", rf"\d+<{re.escape(str(folder))}>\) += 0"),
        ("it is acknowledged", "sendto|sendmsg|write|writev", rf'"{reply}'),
    )
    place = 0
    for what, names, form in steps:
        while place < len(found) and not (
            re.fullmatch(names, found[place][0]) and re.search(form, found[place][1])
        ):
            place += 1
        assert place < len(found), f"{what}: not in its order\n" + "\n".join(map(str, found))
    early = [call for call in found[:place] if re.search(rf'"{reply}', call[1]) and call[0] != "rename"]
    assert early == []


def traced(strace: str, daemon: Daemon, output: Path, do) -> list[tuple[str, str]]:
    """The system calls of the daemon while `do()` runs."""
    kinds = "fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write,writev"
    watcher = subprocess.Popen(
        [strace, "-f", "-y", "-s", "64", "-e", f"trace={kinds}", "-o", str(output),
         "-p", str(daemon.process.pid)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = watcher.stderr.readline()
    if "attached" not in said:
        watcher.wait()
        pytest.skip(f"strace may not look: {said.strip()}")
    do()
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=PATIENCE)
    return calls(output.read_text("utf-8", "replace"))


@pytest.mark.parametrize("again", [False, True], ids=["new", "replaced"])
def test_synced_before_it_is_acknowledged(program, tmp_path, again):
    strace = program("strace")
    with Agents(says) as agents, Daemon(tmp_path / "home", {("SNMP", "SNMPPort"): agents.port}) as daemon:
        folder = daemon.home.ftp_data
        if again:
            store_by_ftp(daemon, address(BY_FTP), FTP_NAME, b"one\n")
            assert store_by_http(daemon, address(BY_HTTP), HTTP_NAME, b"one\n") == 201
        found = traced(strace, daemon, tmp_path / "ftp.trace", lambda: store_by_ftp(
            daemon, address(BY_FTP), FTP_NAME, b"two\n"))  # fmt: skip
        assert_in_order(found, daemon.home, FTP_NAME, "226", again)
        found = traced(strace, daemon, tmp_path / "http.trace", lambda: store_by_http(
            daemon, address(BY_HTTP), HTTP_NAME, b"two\n"))  # fmt: skip
        assert_in_order(found, daemon.home, HTTP_NAME, "HTTP/1.1 204" if again else "HTTP/1.1 201", again)
        assert (folder / FTP_NAME).read_bytes() == (folder / HTTP_NAME).read_bytes() == b"two\n"


# Many at once.


def test_phones_at_once_by_ftp(tmp_path, count, evidence):
    """300 of them, as after a power cut; all begin together, and every byte is on the disk in the end."""
    phones = 300
    gate = threading.Barrier(phones)
    replies: list[str] = [""] * phones

    def phone(number: int) -> None:
        gate.wait()
        name = f"{FIRST + number}_4620data.txt"
        try:
            replies[number] = store_by_ftp(daemon, address(number), name, content(number, 1), timeout=60)
        except (*ftplib.all_errors,) as error:
            replies[number] = repr(error)

    with (
        Agents(herd_says) as agents,
        Daemon(tmp_path / "home", {("SNMP", "SNMPPort"): agents.port}) as daemon,
    ):
        threads = [threading.Thread(target=phone, args=[number], daemon=True) for number in range(phones)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        seconds = time.monotonic() - began
        assert [reply for reply in replies if not reply.startswith("226")] == []
        for number in range(phones):
            path = daemon.home.ftp_data / f"{FIRST + number}_4620data.txt"
            assert path.read_bytes() == content(number, 1)
    evidence("ftp-at-once", phones=phones, failed=0, seconds=round(seconds, 2), asked=agents.asked)


# A disk that fills up.


@contextmanager
def tiny(folder: Path) -> Iterator[Path]:
    """A file system of 512 KiB in that place."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "mv-iptel-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up(tmp_path):
    """452 and 507 on the wire, the old data is what it was, and with room again all goes on."""
    old, big = b"ABKNAME001=Anna\n" * 100, random.Random(3).randbytes(200_000)
    with tiny(tmp_path / "tiny") as folder, Agents(says) as agents:
        keys = {("SNMP", "SNMPPort"): agents.port, ("HTTP", "BackupDir"): folder}
        with Daemon(tmp_path / "home", keys) as daemon:
            assert store_by_ftp(daemon, address(BY_FTP), FTP_NAME, old).startswith("226")
            assert store_by_http(daemon, address(BY_HTTP), HTTP_NAME, old) == 201
            filler = folder / ".filler"
            filler.write_bytes(bytes(512 * 1024 - 150_000))
            for _ in range(3):
                with pytest.raises(ftplib.error_temp, match=r"^452"):
                    store_by_ftp(daemon, address(BY_FTP), FTP_NAME, big)
                assert store_by_http(daemon, address(BY_HTTP), HTTP_NAME, big) == 507
            assert sorted(path.name for path in folder.iterdir()) == [".filler", FTP_NAME, HTTP_NAME]
            assert (folder / FTP_NAME).read_bytes() == (folder / HTTP_NAME).read_bytes() == old
            got = io.BytesIO()
            with ftplib.FTP(timeout=PATIENCE, source_address=(address(BY_FTP), 0)) as ftp:
                ftp.connect("127.0.0.1", daemon.ftp)
                ftp.login()
                ftp.retrbinary(f"RETR {FTP_NAME}", got.write)
            assert got.getvalue() == old
            filler.unlink()
            assert store_by_ftp(daemon, address(BY_FTP), FTP_NAME, big).startswith("226")
            (folder / FTP_NAME).unlink()
            assert store_by_http(daemon, address(BY_HTTP), HTTP_NAME, big) == 204
            assert (folder / HTTP_NAME).read_bytes() == big
            daemon.event(name=HTTP_NAME, outcome="ok", bytes=len(big))


def test_no_room_for_versions(tmp_path):
    """What would be replaced cannot be kept: then it is not replaced."""
    old, new = random.Random(4).randbytes(200_000), b"ABKNAME001=Anna\n"
    with Agents(says) as agents:
        daemon = Daemon(tmp_path / "home", {("SNMP", "SNMPPort"): agents.port})
        with tiny(daemon.home.var / "versions") as folder, daemon:
            assert store_by_ftp(daemon, address(BY_FTP), FTP_NAME, old).startswith("226")
            assert store_by_http(daemon, address(BY_HTTP), HTTP_NAME, old) == 201
            filler = folder / ".filler"
            filler.write_bytes(bytes(512 * 1024 - 100_000))
            with pytest.raises(ftplib.error_temp, match=r"^452"):
                store_by_ftp(daemon, address(BY_FTP), FTP_NAME, new)
            assert store_by_http(daemon, address(BY_HTTP), HTTP_NAME, new) == 507
            for name in (FTP_NAME, HTTP_NAME):
                assert (daemon.home.ftp_data / name).read_bytes() == old
            filler.unlink()
            assert store_by_ftp(daemon, address(BY_FTP), FTP_NAME, new).startswith("226")
            assert store_by_http(daemon, address(BY_HTTP), HTTP_NAME, new) == 204
            for name in (FTP_NAME, HTTP_NAME):
                assert (daemon.home.ftp_data / name).read_bytes() == new
                [version] = (folder / name).glob("*Z-*")
                assert version.read_bytes() == old


# Beside a TFTP storm.


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_slow_agents_hold_up_no_tftp(program, tmp_path, request, evidence):
    """200 stores whose phones answer after 0.8 s, in the midst of a TFTP storm.

    The clock decides only in `make prove`; else the storm is short and all that counts is that nothing fails.
    """
    program("gcc")
    proving = request.config.getoption("--evidence") is not None
    rounds = 3 if proving else 1
    tools = build(tmp_path / "bin")
    boot = tmp_path / "boot.bin"
    boot.write_bytes(random.Random(5).randbytes(1 << 20))
    port = free_udp("0.0.0.0")
    alone, beside, stores, slowest = [], [], [], []
    with Daemon(tmp_path / "home", {("SNMP", "SNMPPort"): port}) as daemon:
        shutil.copy(boot, daemon.home.tftp_data / boot.name)

        def storm(files: int) -> list[str]:
            options = ["-a", "-n", "100", "-r", str(files), "-T", "300"]
            where = ["127.0.0.1", str(daemon.tftp), f"{boot.name}={boot}"]
            return [str(tools.tftpload), *options, *where]

        files = 1  # mebibyte for each of 100 clients; as many as take long enough on this machine
        if proving:
            files = 4
            files = math.ceil(files * STORM / measured(begin(storm(files)))["wall"])
        save = [
            str(tools.ftpload), "-n", "200", "-S", str(port), "-D", "0.8", "127.0.0.1", str(daemon.ftp),
            str(daemon.home.ftp_data),
        ]  # fmt: skip
        for number in range(rounds):
            alone.append(measured(begin(storm(files)))["wall"])
            process = begin(storm(files))
            over = process.poll  # a short one may be over before anybody looks
            wait_for(
                "the storm",
                lambda over=over: over() is not None or daemon.seen()["transfers"]["active"],
            )
            more = ["-e", str(20000 + 1000 * number)]
            saved = measured(begin([*save[:1], *more, *save[1:]]))
            assert (saved["sessions"], saved["failed"], saved["wrong"]) == (200, 0, 0)
            stores.append(saved["wall"])
            slowest.append(saved["slowest"])
            still = process.poll() is None
            beside.append(measured(process)["wall"])
            assert still or not proving, "the storm was over before the stores were"
    ratio = statistics.median(beside) / statistics.median(alone)
    evidence(
        "stores-beside-tftp", stores=200, agents_answer_after=0.8, seconds_of_the_stores=stores,
        slowest_store=slowest, mebibytes_of_the_storm=100 * files,
        storm_alone=alone, storm_beside=beside, ratio_of_medians=round(ratio, 3),
    )  # fmt: skip
    if proving:
        assert statistics.median(alone) >= 10
        assert max(stores) <= 5
        assert ratio <= 1.25


def begin(command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measured(process: subprocess.Popen) -> dict:
    """What a load generator measured; it ended well."""
    said, _ = process.communicate(timeout=400)
    figures = json.loads(said)
    assert process.returncode == 0, figures
    return figures
