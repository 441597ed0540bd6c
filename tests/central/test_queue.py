"""User data on its way to the centre: in order, at least once, removals too, no older one over a newer."""

from __future__ import annotations

import os
import time

from mv_iptel.central import queue
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.store import Origin
from tests.central.branch import Branch, at_the_centre, until
from tests.central.office import Office

A = "4711_96xxdata.txt"


def quiet(branch: Branch, name: str = A) -> bool:
    return not branch.client.outbox.waits(name)


def test_what_is_stored_gets_there_with_who_stored_it(office, branch):
    branch.store(A, b"one")
    until(lambda: at_the_centre(office, A) == b"one" and quiet(branch))
    history = office.home.var / "versions" / A / "history.jsonl"
    until(lambda: history.exists() and "001122334455" in history.read_text())
    assert abs(office.server.changes.get(A).changed - time.time()) < 600


def test_a_removal_by_the_phone_goes_too(office, branch):
    branch.store(A, b"one")
    until(lambda: at_the_centre(office, A) == b"one" and quiet(branch))
    draft = branch.library.backups.store.removal(parse(A), Origin(how="none"))
    draft.commit(lambda stored: None)
    until(lambda: at_the_centre(office, A) is None and quiet(branch))
    assert branch.has(A) is None


def test_a_file_that_is_lost_here_stays_there(office, branch):
    branch.store(A, b"one")
    until(lambda: at_the_centre(office, A) == b"one" and quiet(branch))
    (branch.config.http.backup_dir / A).unlink()
    branch.client.outbox.push([A])
    until(lambda: quiet(branch))
    assert at_the_centre(office, A) == b"one"


def test_the_newer_one_stays_current_and_comes_back(tmp_path, office):
    """Oslo was cut off when the user stored there, went to Bergen and stored again."""
    with Branch(tmp_path / "bergen", office, "Bergen") as bergen:
        site = Branch(tmp_path / "oslo", office)
        site.home.ftp_data.mkdir(exist_ok=True)
        file = site.config.http.backup_dir / A
        file.write_bytes(b"older, from Oslo")
        os.utime(file, (time.time() - 3600,) * 2)
        bergen.store(A, b"newer, from Bergen")
        until(lambda: at_the_centre(office, A) == b"newer, from Bergen" and quiet(bergen))
        with site as oslo:
            until(lambda: oslo.has(A) == b"newer, from Bergen")
            until(lambda: quiet(oslo))
        versions = office.home.var / "versions" / A
        contents = {path.read_bytes() for path in versions.iterdir() if path.name != "history.jsonl"}
        assert b"older, from Oslo" in contents  # nothing is lost on the way
        assert at_the_centre(office, A) == bergen.has(A) == b"newer, from Bergen"


def test_quiet_hours_hold_it_back(tmp_path, office):
    with Branch(tmp_path / "oslo", office, backup_servers={"quiet_hours": "00:00-00:00"}) as branch:
        branch.store(A, b"one")
        until(lambda: branch.client.status()["last_ok"])
        until(lambda: office.server.reports.all().get("Oslo", {}).get("queue") == 1)
        assert not quiet(branch) and at_the_centre(office, A) is None
        branch.set(backup_servers={"quiet_hours": ""})
        branch.client.reload(branch.config)
        until(lambda: at_the_centre(office, A) == b"one")


def test_a_file_that_the_centre_does_not_keep_holds_up_nobody(tmp_path):
    with (
        Office(tmp_path / "office", http={"max_backup_bytes": 100}) as office,
        Branch(tmp_path / "oslo", office) as branch,
    ):
        branch.store(A, b"x" * 200)
        branch.store("2001_4620data.txt", b"small")
        until(lambda: at_the_centre(office, "2001_4620data.txt") == b"small")
        [text, *_] = until(lambda: branch.notices("central-userdata"))
        assert A in text and "413" in text
        assert not quiet(branch)


def test_with_client_auth_the_certificate_goes_along(tmp_path):
    with (
        Office(tmp_path / "office", https={"client_auth": True}) as office,
        Branch(tmp_path / "oslo", office) as branch,
    ):
        branch.store(A, b"one")
        until(lambda: at_the_centre(office, A) == b"one")


def test_whether_it_is_wanted(branch):
    assert queue.wanted(branch.config)
    branch.set(backup_servers={"request_backup": False})
    assert not queue.wanted(branch.config)
