"""Orders of a real central server, carried out once and reported; strange ones do nothing."""

from __future__ import annotations

import asyncio
import hashlib

from mv_iptel.central.orders import BACKUP, RESTORE, UPDATE, Order
from mv_iptel.central.reporting import Orders
from mv_iptel.central.state import Done, State
from tests.central.branch import Branch, at_the_centre, until
from tests.central.office import Office

A, B = "4711_96xxdata.txt", "2001_4620data.txt"


def ended(office: Office, order: Order) -> Order:
    return until(lambda: (one := office.server.orders.get(order.id)) and one.ended and one)


def test_back_up_now(office, branch):
    for name in (A, B):
        branch.store(name, name.encode())
    until(lambda: not branch.client.outbox.waits(A) and not branch.client.outbox.waits(B))
    for name in (A, B):
        (office.config.http.backup_dir / name).unlink()  # the centre has lost them
    done = ended(office, office.server.orders.add("Oslo", BACKUP, names=(A,)))
    assert (done.ok, done.text) == (True, "sent 1 of 1 files")
    assert at_the_centre(office, A) == A.encode() and at_the_centre(office, B) is None
    done = ended(office, office.server.orders.add("Oslo", BACKUP))
    assert done.ok and at_the_centre(office, B) == B.encode()
    done = ended(office, office.server.orders.add("Oslo", BACKUP, names=("77_96xxdata.txt", A)))
    assert not done.ok and "1 are not here" in done.text
    assert len(branch.notices("central-order")) == 3


def test_restore_a_version(office, branch):
    for data in (b"one", b"two"):
        branch.store(A, data)
        until(lambda data=data: at_the_centre(office, A) == data and not branch.client.outbox.waits(A))
    sha = hashlib.sha256(b"one").hexdigest()
    order = office.server.orders.add("Oslo", RESTORE, name=A, version=sha[:8], sha256=sha)
    assert ended(office, order).ok
    assert branch.has(A) == b"one"
    until(lambda: at_the_centre(office, A) == b"one")  # and it is current there too
    wrong = office.server.orders.add("Oslo", RESTORE, name=A, version="current", sha256="00" * 32)
    assert not ended(office, wrong).ok
    gone = office.server.orders.add("Oslo", RESTORE, name=B, version="current", sha256=sha)
    done = ended(office, gone)
    assert not done.ok and "none either" in done.text
    assert branch.has(A) == b"one" and branch.has(B) is None


def test_look_for_firmware_now(tmp_path, office):
    keys = {"update_interval": 3600.0}
    with Branch(tmp_path / "oslo", office, backup_servers=keys) as branch:
        until(lambda: branch.client.status()["last_ok"])
        office.publish(1, b"new")
        done = ended(office, office.server.orders.add("Oslo", UPDATE))
        assert (done.ok, done.text) == (True, "the newest firmware is served")
        assert (branch.home.http_data / "fw0.bin").read_bytes() == b"new"
    off = {"request_updates": False, "update_interval": 3600.0}
    with Branch(tmp_path / "oslo", office, backup_servers=off):
        done = ended(office, office.server.orders.add("Oslo", UPDATE))
        assert not done.ok and "RequestUpdates" in done.text


class Says:
    """A link whose answer is written by a stranger."""

    def __init__(self, told):
        self.told = told
        self.peer = None

    async def ask(self, *_: object, **__: object) -> Says:
        return self

    def json(self) -> object:
        return self.told


STRANGE = [
    {"id": "a1", "kind": "explode"}, {"id": "a2", "kind": "restore", "name": "../../x", "version": "current"},
    {"id": "a3", "kind": "restore", "name": A, "version": "../x", "sha256": "00" * 32},
    {"id": "a4", "kind": "restore", "name": A, "version": "current", "sha256": "x"},
    {"id": "a5", "kind": "backup", "names": "all"}, {"id": "a6", "kind": "backup", "names": [1]},
    {"id": "a7", "kind": "restore", "name": "96xxdata.txt", "version": "current", "sha256": "00" * 32},
    {"id": "a8", "kind": ["backup"]},
]  # fmt: skip


def test_strange_orders_do_nothing_and_are_reported(branch):
    client = branch.client
    state = State(branch.home)

    async def never() -> str:
        raise AssertionError

    orders = Orders(branch.config, state, client.outbox, client._restorer, never)
    noise = [None, 5, {}, {"id": 5}, {"id": ""}, {"id": "../x"}, {"id": "x" * 65}]
    done = asyncio.run(orders.poll(Says({"orders": [*STRANGE, *noise]})))
    assert [one.id for one in done] == [one["id"] for one in STRANGE]
    assert not any(one.ok for one in done)
    assert list(branch.config.http.backup_dir.iterdir()) == []


def test_an_order_is_carried_out_once(branch):
    """The report was lost: it comes again, and what became of it is told again."""
    state, told = State(branch.home), []
    state.finish(Done("id1", True, "sent 1 file"))

    async def never() -> str:
        raise AssertionError

    orders = Orders(branch.config, state, branch.client.outbox, branch.client._restorer, never, told.append)
    done = asyncio.run(orders.poll(Says({"orders": [{"id": "id1", "kind": "update"}]})))
    assert done == [Done("id1", True, "sent 1 file")] and told == []


def test_the_branch_says_how_it_is(office, branch):
    row = until(lambda: (one := office.server.reports.all().get("Oslo", {})) and "queue" in one and one)
    assert row["queue"] == 0 and not row["error"]
