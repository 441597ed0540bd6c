"""Manifests of strangers, and contents that go on after a cut, from a real central server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from dataclasses import replace

import pytest

from mv_iptel.central import fetching, manifest
from mv_iptel.central.fetching import Fetcher, Held, Manifest, Wrong, parse
from mv_iptel.central.peers import Away, Link, peers_of
from mv_iptel.firmware import generations
from mv_iptel.firmware.releases import File
from tests.central.branch import Site, invitation
from tests.central.office import Office
from tests.central.relay import Relay

SHA = "ab" * 32


def row(**more):
    return {"place": "HTTPdata", "name": "a.bin", "size": 1, "sha256": SHA, "role": "software", **more}


def told(*rows, **more) -> bytes:
    return json.dumps({"schema": 1, "generation": 3, "made": 5.5, "files": list(rows), **more}).encode()


def test_what_the_centre_writes_is_what_a_branch_reads():
    entry = generations.Entry("TFTPdata", "46xxupgrade.scr", 7, SHA, "script", "r-1")
    made = manifest.of(generations.Generation(3, 5.5, "publish", "r-1", (entry,)))
    found = parse(made.body)
    assert found == Manifest(3, 5.5, (File("TFTPdata", "46xxupgrade.scr", 7, SHA, "script"),), made.sha256)
    assert found.release == f"central-g3-{made.sha256[:8]}"


HOSTILE = [
    b"", b"[]", b"{", b"null", b'{"schema": 1}', b"[" * 100_000, b"\xff\xfe",
    told(schema=2), told(generation=-1), told(generation="3"), told(generation=True),
    told(generation=1 << 60), told(made="x"), told(files=None), told(files={"a": 1}),
    told("x"), told(None), told({}),
    *(told(row(name=name)) for name in (
        "../x", "/etc/x", "a/../b", "C:x", "a\\b", "a\0b", "", ".", ".hidden", "a/.part", "nul.txt",
        "a\u202eb", "a//b", "x" * 300, 7, None, ["a"])),
    *(told(row(place=place)) for place in ("bin", "../bin", "", None, 3, "certs")),
    *(told(row(role=role)) for role in ("", None, "root")),
    *(told(row(size=size)) for size in (-1, 1.5, "1", None, True, 1 << 50)),
    *(told(row(sha256=sha)) for sha in ("", SHA[:-1], SHA.upper(), "../" + SHA[3:], None, 5)),
    told(row(), row()), told(row(), row(name="A.BIN")), told(row(), row(name="b.bin", size=2)),
    told(row(name="a"), row(name="a/b")),
    told(made=float("nan")), told(made=float("inf")), told(made=10**400), told(made=-(10**400)),
    told(*[row()] * 60_000), told(*[5] * 1_000_000),
    *(told(row(place=place, name=name)) for place in ("HTTPdata", "TFTPdata") for name in (
        "4711_96xxdata.txt", "x/4711_96XXdata.txt", "9610data.txt", "MV_IPTel.ini", "key.pem~", "a.key",
        "backup_allow_IP.txt", "x/allow_IP.txt", "archive/a.bin", "mv_watchdog_check.txt")),
    told(row(place="FTPdata", name="4711_96xxdata.txt")), told(row(place="FTPdata", name="archive/x")),
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE)
def test_a_hostile_manifest_names_no_file_of_ours(body):
    with pytest.raises(Wrong) as wrong:
        parse(body)
    assert str(wrong.value).isprintable() and len(str(wrong.value)) < 400


def test_too_many_files_are_not_taken(monkeypatch):
    monkeypatch.setattr(fetching, "MOST_FILES", 2)
    with pytest.raises(Wrong):
        parse(told(*(row(name=f"{number}.bin") for number in range(3))))


@pytest.mark.parametrize(("name", "data", "said", "role"), [
    ("46xxsettings.txt", b"SET A 1\n", "software", "settings"),
    ("allow_IP.txt", b"10.", "language", "list"),
    ("96xxupgrade.txt", b"SET APPNAME x.bin\n", "other", "script"),
    ("more.txt", b"SET SNMPSTRING public\nSET B 2\n", "other", "settings"),
    ("a.bin", b"\0\1\2", "software", "software"),
    ("a.bin", b"\0\1\2", "settings", "settings"),
    ("MLF_a.txt", b"hello", "language", "language"),
])  # fmt: skip
def test_the_centre_does_not_say_what_is_a_script(tmp_path, name, data, said, role):
    """Else it could replace the site's settings, or a script without lint, by calling them software."""
    site = Site(tmp_path)
    fetcher = Fetcher(site.config)
    fetcher.folder.mkdir(parents=True)
    sha = hashlib.sha256(data).hexdigest()
    (fetcher.folder / sha).write_bytes(data)
    found = parse(told(row(name=name, size=len(data), sha256=sha, role=said)))
    (file,) = fetcher.stage(found, "centre:6093").files
    assert file.role == role


@pytest.fixture
def office(tmp_path):
    with Office(tmp_path / "office") as running:
        yield running


@pytest.fixture
def site(tmp_path, office):
    made = Site(tmp_path / "oslo")
    made.join(invitation(office))
    return made


def fetch(site: Site, port: int, found: Manifest, fetcher: Fetcher | None = None) -> Fetcher:
    fetcher = fetcher or Fetcher(site.config)

    async def work() -> None:
        link = Link(replace_port(site, port), site.config)
        try:
            await fetcher.fetch(found, link)
        finally:
            await link.close()

    asyncio.run(work())
    return fetcher


def replace_port(site: Site, port: int):
    return peers_of(site.config)[0]._replace(port=port)


def offered(office: Office) -> Manifest:
    return parse(office.server.manifests.current().body)


def test_a_cut_costs_only_what_had_not_come(office, site):
    data = os.urandom(4 << 20)
    office.publish(1, data)
    with Relay(office.port, cut=int(len(data) * 0.6)) as relay:
        fetcher = fetch(site, relay.port, offered(office))
    assert (fetcher.folder / hashlib.sha256(data).hexdigest()).read_bytes() == data
    assert relay.cut is None
    assert relay.passed < 1.1 * len(data)  # and not 1.6 times as much


def test_what_a_killed_server_had_is_not_fetched_again(office, site):
    data = os.urandom(1 << 20)
    [sha] = office.publish(1, data)
    folder = Fetcher(site.config).folder
    folder.mkdir(parents=True)
    (folder / f"{sha}.part").write_bytes(data[:600_000])
    fetcher = fetch(site, office.port, offered(office))
    assert (folder / sha).read_bytes() == data
    assert office.server.contents.sent == len(data) - 600_000
    assert fetcher.progress.done == fetcher.progress.total == len(data)
    fetch(site, office.port, offered(office))
    assert office.server.contents.sent == len(data) - 600_000
    made = fetcher.stage(offered(office), "here")
    assert (made.state, made.source) == ("staged", "central")
    assert fetcher.releases.content(sha).read_bytes() == data
    assert fetcher.stage(offered(office), "here") == made


@pytest.mark.parametrize("litter", [b"x" * 600_000, b"x" * (2 << 20), b"x" * (1 << 20)])
def test_a_damaged_part_is_never_served(office, site, litter):
    data = os.urandom(1 << 20)
    [sha] = office.publish(1, data)
    fetcher = Fetcher(site.config)
    fetcher.folder.mkdir(parents=True)
    (fetcher.folder / f"{sha}.part").write_bytes(litter)
    for _ in range(2):
        try:
            fetch(site, office.port, offered(office), fetcher)
        except Wrong as wrong:
            assert "another hash" in str(wrong)
            assert not (fetcher.folder / sha).exists()
    assert (fetcher.folder / sha).read_bytes() == data


def test_a_content_that_is_not_what_it_is_named_for_is_thrown_away(office, site):
    [sha] = office.publish(1, b"honest")
    path = office.server.releases.content(sha)
    path.write_bytes(b"forged")
    with pytest.raises(Wrong):
        fetch(site, office.port, offered(office))
    path.write_bytes(b"longer than the manifest says")
    with pytest.raises(Wrong):
        fetch(site, office.port, offered(office))
    path.write_bytes(b"less")
    with pytest.raises(Away):
        fetch(site, office.port, offered(office))
    assert not (Fetcher(site.config).folder / sha).exists()


def test_the_disk_is_looked_at_before(office, site):
    office.publish(1, b"x")
    huge = replace_size(offered(office), 1 << 60)
    with pytest.raises(Wrong, match="free"):
        fetch(site, office.port, huge)
    assert office.server.contents.sent == 0


def replace_size(found: Manifest, size: int) -> Manifest:
    return found._replace(files=tuple(one._replace(size=size) for one in found.files))


def test_quiet_hours_hold_contents(office, site):
    office.publish(1, os.urandom(1000))
    site.set(backup_servers={"quiet_hours": "00:00-00:00"})
    with pytest.raises(Held) as held:
        fetch(site, office.port, offered(office))
    assert held.value.seconds > 0


def test_the_bandwidth_is_limited(office, site):
    # Nobody waits for what came last, which may be half a megabyte.
    office.publish(1, os.urandom(2_000_000))
    site.set(backup_servers={"bandwidth_limit": 2_000_000})
    began = time.monotonic()
    fetch(site, office.port, offered(office))
    assert time.monotonic() - began > 0.4


def test_through_a_proxy(office, site):
    office.publish(1, b"by proxy")
    with Relay() as proxy:
        https = replace(site.config.https, use_proxy=True, proxy_addr="127.0.0.1", proxy_port=proxy.port)
        site.config = replace(site.config, https=https)
        fetch(site, office.port, offered(office))
    assert proxy.asked == [f"CONNECT 127.0.0.1:{office.port} HTTP/1.1"]


def test_what_nobody_waits_for_goes(office, site):
    fetcher = Fetcher(site.config)
    fetcher.clean()
    fetcher.folder.mkdir(parents=True)
    [sha] = office.publish(1, b"wanted")
    for name in (sha, f"{sha}.part", SHA, f"{SHA}.part"):
        (fetcher.folder / name).touch()
    fetcher.clean(offered(office))
    assert set(os.listdir(fetcher.folder)) == {sha, f"{sha}.part"}
