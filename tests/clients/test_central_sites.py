"""Three servers on loopback, a centre and two branches: firmware to the phones, user data between sites."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from mv_iptel import config
from mv_iptel.phones import userdata
from tests.clients.daemon import wait_for
from tests.clients.packages import PACKAGES, Package, upgrade
from tests.clients.sites import NEW, OLD, Company, Desk, Site

LONG = 60.0  # seconds that something may take on a machine that does other things too
OLD_B, NEW_B = Desk(OLD.handset, "127.0.1.21"), Desk(NEW.handset, "127.0.1.40")


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    with Company(tmp_path_factory.mktemp("company")) as running:
        yield running


def serves(site: Site, package: Package) -> bool:
    """Whether this site's data directories hold it, byte by byte."""
    for folder in (site.home.tftp_data, site.home.http_data):
        for name, data in package.files.items():
            path = folder / name
            if not path.is_file() or path.read_bytes() != data:
                return False
    return True


def has(site: Site, file: str, data: bytes) -> bool:
    """Whether this is what is stored there under this name."""
    path = site.home.ftp_data / file
    return path.exists() and path.read_bytes() == data


def install(site: Site, archive: Path) -> None:
    site.run("firmware", "install", str(archive), "--publish", "--yes")


@pytest.mark.prove
def test_a_zip_dropped_at_the_centre_is_served_by_both_branches(company, tmp_path, request, evidence):
    """The centre waits until the file is whole, which takes seconds; branches follow within two intervals."""
    package = PACKAGES["96x1"]
    began = time.monotonic()
    company.drop(package.write(tmp_path))
    wait_for("the centre", lambda: serves(company.centre, package), LONG)
    centre = time.monotonic()
    for site in company.branches:
        wait_for("a branch", lambda: serves(site, package), LONG)  # noqa: B023
    seconds = time.monotonic() - centre
    interval = config.load(company.a.home).backup_servers.update_interval
    evidence(
        "central-sites", interval=interval, centre_serves_after=round(centre - began, 2),
        both_branches_after_that=round(seconds, 2), octets=sum(map(len, package.files.values())),
    )  # fmt: skip
    if request.config.getoption("--evidence"):  # a busy machine decides over no test
        assert seconds <= 2 * interval
    for site in company.branches:
        for handset, protocol, software in package.takes:
            report = site.boot(Desk(handset, "127.0.1.8"), protocol)
            taken = [line for line in report.requests if line.fetch.kind == "software"]
            assert tuple(line.fetch.name for line in taken) == software and report.booted.ready
            for line in taken:
                assert line.got.sha256 == hashlib.sha256(package.files[line.fetch.name]).hexdigest()


@pytest.mark.parametrize(("desk", "there"), [(OLD, OLD_B), (NEW, NEW_B)], ids=["ftp", "http"])
def test_what_is_stored_at_a_is_restored_at_b(company, desk, there):
    data = userdata.made_up(userdata.kept_by(desk.handset), seed=3)
    file = userdata.stored_as(desk.handset)
    stored = company.a.store(desk, data)
    assert stored.result == "ok", stored.detail
    wait_for("the centre's copy", lambda: has(company.centre, file, data))
    protocol = "http" if desk is NEW else ""
    got = company.b.restore(there, protocol)
    assert (got.result, got.data) == ("ok", data), got.detail
    assert (company.b.home.ftp_data / file).read_bytes() == data
    assert (company.centre.home.ftp_data / file).read_bytes() == data
    # The user changes something at B: A has it when he is back.
    newer = userdata.made_up(userdata.kept_by(desk.handset), seed=4)
    assert company.b.store(there, newer, protocol).result == "ok"
    wait_for("A has what B stored", lambda: has(company.a, file, newer))
    assert company.a.restore(desk).data == newer


def test_without_the_centre_branches_serve_queue_and_catch_up(company, tmp_path):
    """The centre is killed: nobody at a branch notices, and nothing is lost."""
    package, next_one = upgrade(900), upgrade(901)
    install(company.centre, package.write(tmp_path))
    for site in company.branches:
        wait_for("a branch", lambda: serves(site, package), LONG)  # noqa: B023
    company.kill(company.centre)
    data = userdata.made_up(userdata.kept_by(OLD.handset), seed=9)
    file = userdata.stored_as(OLD.handset)
    assert company.a.store(OLD, data).result == "ok"
    assert company.a.restore(OLD).data == data
    assert company.a.boot(OLD, "tftp").booted.ready and company.b.boot(NEW_B, "https").booted.ready
    wait_for("it waits", lambda: company.a.seen()["central"]["queue"] > 0, LONG)
    install(company.centre, next_one.write(tmp_path))  # by a command, while no server runs there
    company.start(company.centre)
    wait_for("the queue", lambda: has(company.centre, file, data), LONG)
    wait_for("nothing waits", lambda: company.a.seen()["central"]["queue"] == 0, LONG)
    for site in company.branches:
        wait_for("the new generation", lambda: serves(site, next_one), LONG)  # noqa: B023
    wait_for("B has it", lambda: company.b.restore(OLD_B).data == data, LONG)


def test_what_the_centre_takes_back_its_branches_take_back(company, tmp_path):
    old, new = upgrade(910), upgrade(911)
    install(company.centre, old.write(tmp_path))
    install(company.centre, new.write(tmp_path))
    for site in company.branches:
        wait_for("the new one", lambda: serves(site, new), LONG)  # noqa: B023
    company.centre.run("firmware", "rollback")
    for site in company.sites:
        wait_for("the old one", lambda: serves(site, old), LONG)  # noqa: B023
        site.run("firmware", "verify")


def test_the_centre_orders_a_backup_and_a_restore(company):
    data = userdata.made_up(userdata.kept_by(OLD.handset), seed=21)
    older = userdata.made_up(userdata.kept_by(OLD.handset), seed=22)
    file = userdata.stored_as(OLD.handset)
    assert company.a.store(OLD, older).result == "ok"
    wait_for("the centre has the older one", lambda: has(company.centre, file, older))
    assert company.a.store(OLD, data).result == "ok"
    company.centre.run("central", "pull", "A", file, "--wait", "60")
    wait_for("the centre has it", lambda: has(company.centre, file, data))
    versions = sorted((company.centre.home.var / "versions" / file).glob("*Z-*"))
    [before] = [path for path in versions if path.read_bytes() == older]
    company.centre.run("central", "push", "B", file, "--version", before.name, "--wait", "60")
    assert (company.b.home.ftp_data / file).read_bytes() == older
    company.centre.run("central", "push", "B", "--firmware", "--wait", "60")
