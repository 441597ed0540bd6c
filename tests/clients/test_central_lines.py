"""Firmware over a line between two sites: a cut costs nothing twice, a limit leaves phones their rate."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from mv_iptel.config import load
from mv_iptel.firmware.releases import Releases
from tests.clients.cutting import Cutting
from tests.clients.daemon import set_keys, wait_for
from tests.clients.sites import HOST, Company, Site

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3600)]

NAME = "S9608_11HALBR9_0_0_0_V900.tar"
SLACK = 256 << 10  # octets of TLS, requests and manifests that a transfer may cost besides its contents
LONG = 600.0
GIB = 1 << 30
LIMIT = 100_000_000 // 8  # octets a second: 100 Mbit/s
PHONES, TIMES = 2, 3  # how many fetch the file at the same time, and how often each in one run


def package(folder: Path, size: int) -> Path:
    """A zip with one file of this size, which nobody could have compressed."""
    archive, chance = folder / "big.zip", random.Random(1)
    with zipfile.ZipFile(archive, "w") as out, out.open(f"HTTPdata/{NAME}", "w", force_zip64=True) as file:
        for left in range(size, 0, -(1 << 20)):
            file.write(chance.randbytes(min(left, 1 << 20)))
    return archive


def over(company: Company, relay: Cutting) -> None:
    """Branch A joins, and asks the centre by way of the relay from now on."""
    company.join(company.a, "A")
    set_keys(company.a.home.ini, {("BACKUP_SERVERS", "PrimaryPort"): relay.port})


def cpu(site: Site) -> float:
    """Seconds of CPU that the server has used."""
    times = psutil.Process(site.process.pid).cpu_times()
    return times.user + times.system


def arrived(site: Site, size: int) -> bool:
    path = site.home.http_data / NAME
    return path.exists() and path.stat().st_size == size


def test_a_cut_at_60_percent_costs_nothing_twice(tmp_path, count, evidence):
    size = count("firmware-size")
    company = Company(tmp_path, "1s")
    with company.centre, Cutting((HOST, company.centre.central)) as relay:
        over(company, relay)
        archive = package(tmp_path, size)
        company.centre.run("firmware", "install", str(archive), "--publish", "--yes", "--force")
        archive.unlink()
        relay.cut_at = relay.down + size * 6 // 10
        before, began = cpu(company.centre), time.monotonic()
        with company.a:
            branch_before = cpu(company.a)
            wait_for("the cut", relay.cut.is_set, LONG)
            wait_for("all is written", lambda: part(company.a) > size * 5 // 10, LONG)
            had, first = part(company.a), relay.down
            assert first >= size * 6 // 10 and not arrived(company.a, size)
            relay.mend()
            wait_for("the file", lambda: arrived(company.a, size), LONG)
            seconds = time.monotonic() - began
            wait_for("the end of the publication", lambda: published(company.a), LONG)
            used = cpu(company.centre) - before, cpu(company.a) - branch_before
            again = relay.down - first
        same = (
            Releases(company.a.home)
            .content(hash_of(company.centre))
            .samefile(company.a.home.http_data / NAME)
        )
        assert same, "content is kept once"
    assert again <= size - had + SLACK + size // 100, "what was there already came again"
    assert first + again <= size + SLACK + size // 50
    evidence(
        "central-resume", octets=size, cut_at=first, fetched_after_the_cut=again,
        fetched_twice=max(0, had + again - size), seconds=round(seconds, 2),
        cpu_seconds_per_gib_centre=round(used[0] * GIB / size, 2),
        cpu_seconds_per_gib_branch=round(used[1] * GIB / size, 2),
    )  # fmt: skip


def part(site: Site) -> int:
    """How much of the file has arrived."""
    folder = site.home.var / "releases" / "arriving-content"
    return sum(path.stat().st_size for path in folder.glob("*.part")) if folder.is_dir() else 0


def published(site: Site) -> bool:
    return any(one.state == "published" for one in Releases(load(site.home).home).all())


def hash_of(site: Site) -> str:
    [release] = Releases(site.home).in_state("published")
    return next(one.sha256 for one in release.files if one.name == NAME)


def downloads(program: str, site: Site) -> float:
    """Octets a second that phones get from the centre, which fetch a big file some times each."""
    url = f"http://{HOST}:{site.http}/{NAME}?[1-{TIMES}]"
    command = [program, "-s", "-o", os.devnull, "-w", "%{size_download}\n", url]
    began = time.monotonic()
    phones = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PHONES)]
    octets = sum(int(row) for phone in phones for row in phone.communicate()[0].split())
    return octets / (time.monotonic() - began)


def test_a_limit_leaves_phones_their_rate(tmp_path, program, count, evidence):
    """Five runs each, alternating: with a branch to which the centre gives 100 Mbit/s, and without."""
    curl = program("curl")
    if count("firmware-size") < GIB:
        pytest.skip("a rate is measured by `make prove` alone, on a machine that has nothing else to do")
    size = GIB
    company = Company(tmp_path, "1s", centre={("BACKUP_SERVERS", "BandwidthLimit"): LIMIT})
    with company.centre, Cutting((HOST, company.centre.central)) as relay:
        over(company, relay)
        archive = package(tmp_path, size)
        company.centre.run("firmware", "install", str(archive), "--publish", "--yes", "--force")
        archive.unlink()
        rates: dict[bool, list[float]] = {True: [], False: []}
        lines: list[float] = []
        with company.a:
            wait_for("the fetch", lambda: relay.down > 4 * LIMIT, LONG)
            for beside in (True, False) * 5:
                (relay.go if beside else relay.hold)()
                time.sleep(0.5)  # the line fills, or runs empty
                came, began = relay.down, time.monotonic()
                rates[beside].append(downloads(curl, company.centre))
                if beside:
                    lines.append((relay.down - came) / (time.monotonic() - began))
                assert not arrived(company.a, size), "the branch had nothing to fetch any more"
            relay.go()
    alone, shared = statistics.median(rates[False]), statistics.median(rates[True])
    evidence(
        "central-bandwidth", limit=LIMIT, line=round(statistics.median(lines)),
        phones_alone=round(alone), phones_beside_a_branch=round(shared), ratio=round(shared / alone, 3),
        runs=5, phones=PHONES, octets_each_run=PHONES * TIMES * size,
    )  # fmt: skip
    assert statistics.median(lines) <= LIMIT * 1.05
    assert shared >= 0.8 * alone, rates
