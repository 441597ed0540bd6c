"""A branch beside a real central server: firmware, user data, cuts, and what it refuses."""

from __future__ import annotations

import hashlib
import os
from types import SimpleNamespace

from mv_iptel.firmware import generations
from mv_iptel.firmware.releases import Releases
from tests.central.branch import Branch, at_the_centre, store_there, until
from tests.central.office import Office

A, B = "4711_96xxdata.txt", "2001_4620data.txt"


def served(site) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in site.home.http_data.iterdir() if path.suffix == ".bin"}


def test_what_the_centre_publishes_is_served_by_the_branch(office, branch):
    one, two = os.urandom(300_000), os.urandom(5)
    office.publish(1, one, two, b"")
    until(lambda: served(branch) == {"fw0.bin": one, "fw1.bin": two, "fw2.bin": b""})
    [release] = until(lambda: Releases(branch.home).in_state("published"))
    assert release.source == "central" and release.id.startswith("central-g1-")
    until(lambda: branch.client.status()["generation"] == 1)
    office.publish(2, two, one)
    until(lambda: served(branch)["fw0.bin"] == two and served(branch)["fw1.bin"] == one)
    until(lambda: office.server.reports.all().get("Oslo", {}).get("generation") == 2)
    assert branch.client.status()["role"] == "branch"
    assert not list((branch.home.var / "releases" / "arriving-content").iterdir())
    assert branch.notices("central-fault") == []


def test_a_backup_goes_to_the_centre_and_comes_back_elsewhere(office, branch, tmp_path):
    branch.store(A, b"NAME=Anna\n")
    until(lambda: at_the_centre(office, A) == b"NAME=Anna\n")
    until(lambda: not branch.client.outbox.waits(A))
    with Branch(tmp_path / "bergen", office, "Bergen") as other:
        told = []
        from mv_iptel.userdata.names import parse

        other.library.backups.elsewhere(parse(A), told.append)
        until(lambda: told)
        assert told == [""]
        assert other.has(A) == b"NAME=Anna\n"
        until(lambda: other.client.state.of(other.client._peers.all[0]).cursor)
        branch.store(A, b"NAME=Berta\n")  # the user is back at home,
        until(lambda: other.has(A) == b"NAME=Berta\n")  # and what Bergen has is no older than that
        other.library.backups.elsewhere(parse(B), told.append)
        until(lambda: len(told) == 2)
        assert "none either" in told[1]
        assert branch.has(B) is None


def test_with_the_centre_gone_everything_waits_and_catches_up(tmp_path):
    with Office(tmp_path / "office") as office, Branch(tmp_path / "oslo", office) as branch:
        until(lambda: branch.client.status()["last_ok"])
        port = office.port
        office.call(office.server.stop(0))
        for number in range(5):
            branch.store(A, b"%d" % number)
            branch.store(B, b"%d" % number)
        assert branch.client.status()["queue"] == 2
        until(lambda: branch.client.status()["error"])
        office.config = office.changed(backup_servers={"file_server_port": port})
        office.publish(3, b"new")
        office.call(office.server.reload(office.config))
        until(lambda: at_the_centre(office, A) == at_the_centre(office, B) == b"4")
        until(lambda: served(branch) == {"fw0.bin": b"new"})
        until(lambda: branch.client.status()["queue"] == 0)


def test_an_older_generation_is_never_taken(office, branch):
    office.publish(5, b"five")
    until(lambda: branch.client.status()["generation"] == 5)
    office.publish(4, b"four")  # one that runs never tells a smaller number, another in its place does
    office.server.manifests = type(office.server.manifests)(office.home)
    until(lambda: branch.notices("central-updates"))
    assert "generation 4" in branch.notices("central-updates")[0]
    assert served(branch) == {"fw0.bin": b"five"}
    assert branch.client.status()["generation"] == 5


def test_held_firmware_waits_for_the_administrator(tmp_path, office):
    with Branch(tmp_path / "oslo", office, settings={"updates_publish": "hold"}) as branch:
        office.publish(1, b"one")
        [text] = until(lambda: branch.notices("firmware-held"))
        assert "firmware publish central-g1-" in text
        assert served(branch) == {}
        until(lambda: office.server.reports.all().get("Oslo", {}).get("error"))
        [release] = Releases(branch.home).all()
        # Also when it is asked again, and nothing has changed.
        assert branch.client._why_not(SimpleNamespace(release=release.id)) == text
        branch.client._publisher(branch.config).publish(release.id)
        until(lambda: served(branch) == {"fw0.bin": b"one"})
        until(lambda: office.server.reports.all()["Oslo"].get("generation") == 1)
        until(lambda: not office.server.reports.all()["Oslo"].get("error"))


def test_a_revoked_branch_is_told(office, branch):
    until(lambda: branch.client.status()["last_ok"])
    office.server.branches.revoke("Oslo")
    [text, *_] = until(lambda: branch.notices("central-away") or branch.notices("central-updates"))
    assert "401" in text and "peer.token" not in text


def test_off_is_quiet(tmp_path, office):
    with Branch(tmp_path / "oslo", office, backup_servers={"use_primary_svr": False}) as branch:
        assert branch.client.status()["role"] is None
        assert branch.library.backups.elsewhere is None
        branch.store(A, b"x")
        assert branch.client.status()["queue"] == 0
        branch.set(backup_servers={"use_primary_svr": True})
        branch.client.reload(branch.config)
        until(lambda: at_the_centre(office, A) == b"x")
        branch.set(backup_servers={"use_primary_svr": False})
        branch.client.reload(branch.config)
        assert branch.client.status()["role"] is None


def test_the_secondary_is_asked_when_the_primary_is_gone(tmp_path, office):
    with Office(tmp_path / "second") as second:
        site = Branch(tmp_path / "oslo", office)
        from tests.central.branch import invitation

        site.join(invitation(second, "Oslo2"), "secondary")
        with site as branch:
            until(lambda: (branch.client.status()["peer"] or "").endswith(str(office.port)))
            office.call(office.server.stop(0))
            branch.store(A, b"to the second")
            until(lambda: at_the_centre(second, A) == b"to the second")
            second.publish(7, b"second's")
            until(lambda: served(branch) == {"fw0.bin": b"second's"})
            assert branch.client.status()["peer"].endswith(str(second.port))


def test_a_restart_takes_up_where_it_was(tmp_path, office):
    big = os.urandom(200_000)
    office.publish(1, big)
    with Branch(tmp_path / "oslo", office) as branch:
        until(lambda: branch.client.status()["generation"] == 1)
        number = generations.current(branch.home).number
    sent = office.server.contents.sent
    with Branch(tmp_path / "oslo", office) as branch:
        until(lambda: branch.client.status()["last_ok"])
        office.publish(2, big, b"more")
        until(lambda: served(branch) == {"fw0.bin": big, "fw1.bin": b"more"})
        until(lambda: generations.current(branch.home).number == number + 1)  # it is written last
    assert office.server.contents.sent == sent + 4  # nothing came twice
    assert hashlib.sha256(big).hexdigest() in {one.sha256 for one in generations.current(branch.home).files}


def test_what_a_phone_of_the_centre_stores_reaches_a_branch_that_has_the_name(office, branch):
    branch.store(A, b"one")
    until(lambda: at_the_centre(office, A) == b"one" and not branch.client.outbox.waits(A))
    store_there(office, A, b"two")
    until(lambda: branch.has(A) == b"two")
    assert list((branch.home.var / "versions" / A).glob("*-" + hashlib.sha256(b"one").hexdigest()[:8]))
