"""SIGKILL at random instants while twenty phones store: nothing acknowledged is lost, nothing is torn."""

from __future__ import annotations

import ftplib
import http.client
import random
import threading
from pathlib import Path

import pytest

from tests.clients.agents import Agents
from tests.clients.daemon import PATIENCE, Daemon, wait_for
from tests.clients.savers import Saver, content, says, version_of

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3600)]

PHONES = 20
LIFE = 0.5  # seconds that the server lives at most once it has acknowledged something


def look(savers: list[Saver], home) -> None:
    """What must hold whenever the server is up again."""
    folder = home.ftp_data
    left = [
        path.name for path in folder.iterdir() if path.name.startswith(".") or path.name.endswith(".part")
    ]
    assert left == []
    for saver in savers:
        current = saver.current(folder)
        assert saver.acknowledged <= (current or 0) <= saver.sent, f"{saver.name}: {vars(saver)}"
        for version in (home.var / "versions" / saver.name).glob("*Z-*"):
            data = version.read_bytes()
            assert data == content(saver.number, version_of(data)), version


def in_parallel(savers: list[Saver]) -> list[threading.Thread]:
    threads = []
    for saver in savers:
        saver.stop.clear()
        thread = threading.Thread(target=saver.run, daemon=True)
        thread.start()
        threads.append(thread)
    return threads


def pause(savers: list[Saver], threads: list[threading.Thread]) -> None:
    for saver in savers:
        saver.stop.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_killed_while_phones_store(tmp_path, count, evidence):
    kills, chance = count("kills"), random.Random()
    leftovers = 0
    with Agents(says) as agents:
        keys = {
            ("SNMP", "SNMPPort"): agents.port, ("BACKUP_SERVERS", "CustomFTP"): 0,
            ("Settings", "KeepVersions"): 3,
        }  # fmt: skip
        daemon = Daemon(tmp_path / "home", keys)
        savers = [Saver(daemon, number) for number in range(PHONES)]
        for _ in range(kills):
            daemon.__enter__()
            look(savers, daemon.home)
            before = [saver.acknowledged for saver in savers]
            threads = in_parallel(savers)
            wait_for("an acknowledgement", lambda: [one.acknowledged for one in savers] != before)  # noqa: B023
            threading.Event().wait(chance.uniform(0.0, LIFE))
            daemon.process.kill()
            daemon.process.wait()
            pause(savers, threads)
            parts = list(daemon.home.ftp_data.glob(".*"))
            leftovers += len(parts)
            planted = daemon.home.ftp_data / f".{savers[0].name}.deadbeef.part"
            planted.write_bytes(b"half of")
        with daemon:
            look(savers, daemon.home)
            planted.write_bytes(
                b"half of"
            )  # the start has removed it: nobody gets it while it is there, either
            assert_not_served(daemon, savers, [planted, *parts])
            planted.unlink()
            threads = in_parallel(savers)
            before = [saver.acknowledged for saver in savers]
            wait_for("every phone again", lambda: all(
                saver.acknowledged > old for saver, old in zip(savers, before, strict=True)
            ))  # fmt: skip
            pause(savers, threads)
            look(savers, daemon.home)
    stores = sum(saver.acknowledged for saver in savers)
    assert [saver.refused for saver in savers] == [[]] * PHONES
    evidence(
        "kills", kills=kills, phones=PHONES, versions_sent=sum(saver.sent for saver in savers),
        newest_acknowledged=stores, temporaries_that_kills_left=leftovers, lost=0, torn=0, asked=agents.asked,
    )  # fmt: skip


def by_http(daemon: Daemon, here: str, name: str) -> tuple[bool, bytes]:
    connection = http.client.HTTPConnection(
        "127.0.0.1", daemon.http, timeout=PATIENCE, source_address=(here, 0)
    )
    try:
        connection.request("GET", name)
        with connection.getresponse() as answer:
            return answer.status == 200, answer.read()
    finally:
        connection.close()


def by_ftp(daemon: Daemon, here: str, name: str) -> tuple[bool, bytes]:
    found: list[bytes] = []
    with ftplib.FTP(timeout=PATIENCE, source_address=(here, 0)) as ftp:
        ftp.connect("127.0.0.1", daemon.ftp)
        ftp.login()
        try:
            ftp.retrbinary(f"RETR {name}", found.append)
        except ftplib.error_perm as error:
            return False, str(error).encode()
    return True, b"".join(found)


def assert_not_served(daemon: Daemon, savers: list[Saver], temporaries: list[Path]) -> None:
    """Not even to the phone whose data it is, which does get its file, by the same ways."""
    folder = daemon.home.ftp_data
    owner = next(saver for saver in savers if saver.acknowledged)
    whole = (folder / owner.name).read_bytes()
    for ask in (by_http, by_ftp):
        assert ask(daemon, owner.address, f"/{owner.name}") == (True, whole)
    for path in temporaries:
        assert path.parent == folder
        owner = next(saver for saver in savers if saver.name in path.name)
        for name in (path.name, f"FTPdata/{path.name}", f"../FTPdata/{path.name}"):
            for ask in (by_http, by_ftp):
                served, said = ask(daemon, owner.address, f"/{name}")
                assert not served and b"half of" not in said, (name, said)
