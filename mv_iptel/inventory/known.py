"""The phones as the inventory writes them: who is behind a request, and who told which part of that."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace

from mv_iptel.events import Finished
from mv_iptel.inventory.evidence import BOOT_SECONDS, Boot
from mv_iptel.inventory.limits import move
from mv_iptel.inventory.scanned import MORE, Scanned, owner
from mv_iptel.inventory.writing import Writing, bounded
from mv_iptel.library.identity import of_agent

LATE_SECONDS = 15 * 60.0  # an address is the phone that it turns out to be so much later
TWIN_SECONDS = 24 * 3600.0  # two phones at an address within this: nothing is concluded from the address
STAMP_SECONDS = 60.0  # how exact the last_seen of an address or a saying is
# What a phone answered by SNMP is not changed by names that it asks for, until it answers something else
# or has not been asked so long.
PROVED_SECONDS = 24 * 3600.0

CACHED_PHONES = 4096
WITNESSES = frozenset({"agent", "snmp", "neighbour"})
SAID_LIMIT = 64  # different things that one phone may say of itself before we stop writing them down


class Known:
    """A phone as it stands in the database, with what is not written yet."""

    __slots__ = ("address", "addresses", "boot", "bytes", "ext", "failed", "first", "id", "last", "mac",
                 "model", "proved", "refused", "requests", "said", "told", "version")  # fmt: skip

    def __init__(self, identity: int, mac: str, address: str, first: float):
        self.id = identity
        self.mac = mac
        self.address = address
        self.ext = self.model = self.version = ""
        self.first = self.last = first
        self.requests = self.refused = self.failed = self.bytes = 0  # not written yet
        self.addresses: dict[str, float] = {}  # address -> when its last_seen was written
        self.said: dict[tuple[str, str, str], float] = {}
        self.proved: dict[str, float] = {}  # ext, model -> when SNMP told it last
        self.told: tuple[str, ...] = ()  # identity as of the last row
        self.boot: Boot | None = None


class Phones:
    """The phones of a database, some of them held in memory. Works inside the writer's transaction.

    `moved(phone id, phone)` is called when an address turns out to be a phone: what it did, that one did.
    """

    def __init__(self, database: Writing, moved: Callable[[int, Known], None]):
        self._database = database
        self._moved = moved
        self._held: OrderedDict[str, Known] = OrderedDict()
        self._changed: dict[int, Known] = {}
        self.created = 0  # since somebody set it to 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def waiting(self) -> bool:
        """Whether `write` has something to do."""
        return bool(self._changed)

    def behind(self, event: Finished | Scanned) -> Known | None:
        """The phone behind an event, learnt from it; None for a stranger who got nothing.

        An address that was only ever refused is in the time line, but is no phone: anybody could fill
        the inventory with made-up senders.
        """
        key = event.mac or event.peer
        phone = self._held.get(key)
        if phone is None:
            phone = self._load(key)
            if phone is None:
                # The MAC in a name proves nothing: who walks through all of them is no phone either.
                if event.outcome != "ok" and not WITNESSES.intersection(event.identified.split("+")):
                    return None
                phone = self._create(key, event)
            self._held[key] = phone
            if len(self._held) > CACHED_PHONES:
                self.write()
                while len(self._held) > CACHED_PHONES // 2:
                    self._held.popitem(last=False)
        else:
            self._held.move_to_end(key)
        now = event.time
        phone.last = max(phone.last, now)
        phone.address = event.peer
        self._changed[phone.id] = phone
        written = phone.addresses.get(event.peer, 0.0)
        if not 0 <= now - written < STAMP_SECONDS:
            self._at(phone, event.peer, now)
        told = (event.mac, event.ext, event.model, event.version, event.identified, event.agent)
        if told != phone.told:
            phone.told = told
            self._learn(phone, event)
        return phone

    def scanned(self, told: Scanned) -> None:
        """Take in what a phone answered to a scan."""
        if not told.mac:
            self.write()  # what the last requests showed of this address counts
            told = replace(told, mac=owner(self._database.run, told, TWIN_SECONDS), found=True)
        if held := self._held.get(told.mac or told.peer):
            held.told = ()  # also what it says again is news: it is still so
        phone = self.behind(told)
        assert phone is not None, "who answers is a phone"
        for field in MORE:
            if value := getattr(told, field):
                self._saying(phone, field, value, "snmp", told.time)

    def count(self, phone: Known, event: Finished, many: int, last: float) -> None:
        """Add `many` requests like `event` to the phone's own totals."""
        phone.requests += many
        phone.last = max(phone.last, last)
        self._changed[phone.id] = phone
        if event.outcome == "refused":
            phone.refused += many
        elif event.outcome != "ok":
            phone.failed += many
        elif event.op == "read":
            phone.bytes += event.bytes * many

    def twins(self, address: str, now: float) -> bool:
        """Whether two phones with MACs were seen at an address lately."""
        # The newest first, and no more than two: one client may have made up thousands at its address.
        found = self._database.run(
            "SELECT 1 FROM addresses JOIN phones ON phones.id = addresses.phone "
            "WHERE addresses.address = ? AND addresses.last_seen > ? AND phones.mac != '' "
            "ORDER BY addresses.phone DESC LIMIT 2",
            address, now - TWIN_SECONDS,
        ).fetchall()  # fmt: skip
        return len(found) > 1

    def runs(self, phone: Known, version: str, source: str, now: float) -> None:
        """The phone runs this, and how that is known.

        What it says itself outweighs what a script orders. But what it answered to a scan was true when it
        was asked: a boot after that is newer.
        """
        self._database.begin()
        self._database.run(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?) ON CONFLICT (phone, version, source) "
            "DO UPDATE SET last_seen = excluded.last_seen",
            phone.id, version, source, now, now,
        )  # fmt: skip
        self._database.run(
            "UPDATE phones SET runs = ?, runs_source = ?, runs_seen = ? "
            "WHERE id = ? AND (? != 'script' OR runs_source IN ('', 'script') "
            "OR (runs_source = 'snmp' AND runs_seen < ?))",
            version, source, now, phone.id, source, now - BOOT_SECONDS,
        )  # fmt: skip

    def drop(self, gone: Iterable[int]) -> None:
        """Let go of phones that were deleted."""
        gone = set(gone)
        self._held = OrderedDict((key, one) for key, one in self._held.items() if one.id not in gone)
        for identity in gone:
            self._changed.pop(identity, None)

    def write(self) -> None:
        """Write what the phones did since the last time."""
        if not self._changed:
            return
        self._database.many(
            "UPDATE phones SET ext = ?, model = ?, version = ?, address = ?, last_seen = ?, "
            "requests = requests + ?, refused = refused + ?, failed = failed + ?, bytes = bytes + ? "
            "WHERE id = ?",
            [
                (phone.ext, phone.model, phone.version, bounded(phone.address, 64), phone.last,
                 phone.requests, phone.refused, phone.failed, phone.bytes, phone.id)
                for phone in self._changed.values()
            ],
        )  # fmt: skip
        for phone in self._changed.values():
            phone.requests = phone.refused = phone.failed = phone.bytes = 0
        self._changed.clear()

    def _load(self, key: str) -> Known | None:
        row = self._database.run("SELECT * FROM phones WHERE key = ?", key).fetchone()
        if row is None:
            return None
        phone = Known(row["id"], row["mac"], row["address"], row["first_seen"])
        phone.ext, phone.model, phone.version = row["ext"], row["model"], row["version"]
        phone.last = row["last_seen"]
        said = "SELECT field, value, source, last_seen FROM said WHERE phone = ? LIMIT ?"
        for one in self._database.run(said, phone.id, SAID_LIMIT):
            phone.said[one["field"], one["value"], one["source"]] = one["last_seen"]
            if one["source"] == "snmp":
                phone.proved[one["field"]] = max(phone.proved.get(one["field"], 0.0), one["last_seen"])
        return phone

    def _create(self, key: str, event: Finished | Scanned) -> Known:
        self._database.begin()
        cursor = self._database.run(
            "INSERT INTO phones (key, mac, ext, model, version, address, first_seen, last_seen, requests, "
            "refused, failed, bytes) VALUES (?, ?, '', '', '', ?, ?, ?, 0, 0, 0, 0)",
            key, event.mac, event.peer, event.time, event.time,
        )  # fmt: skip
        assert cursor.lastrowid is not None
        self.created += 1
        phone = Known(cursor.lastrowid, event.mac, event.peer, event.time)
        if event.mac:
            self._absorb(phone, event)
        return phone

    def _at(self, phone: Known, address: str, now: float) -> None:
        """Write that the phone is at this address."""
        self._database.begin()
        self._database.run(
            "INSERT INTO addresses VALUES (?, ?, ?, ?) ON CONFLICT (address, phone) "
            "DO UPDATE SET last_seen = max(last_seen, excluded.last_seen)",
            bounded(address, 64), phone.id, now, now,
        )  # fmt: skip
        if len(phone.addresses) > 64:
            phone.addresses.clear()
        phone.addresses[address] = now

    def _absorb(self, phone: Known, event: Finished | Scanned) -> None:
        """Late identity: what an address did shortly before it showed its MAC was done by this phone."""
        nameless = self._held.pop(event.peer, None)
        if nameless is not None:
            self.write()
        row = self._database.run("SELECT * FROM phones WHERE key = ?", event.peer).fetchone()
        if row is None or event.time - row["last_seen"] > LATE_SECONDS or self.twins(event.peer, event.time):
            return
        self._moved(row["id"], phone)
        self._changed.pop(row["id"], None)
        move(self._database.connection, row["id"], phone.id)
        phone.first = min(phone.first, row["first_seen"])
        if nameless is not None:
            phone.boot = nameless.boot or phone.boot
            phone.proved = nameless.proved
            if "ext" in nameless.proved:
                phone.ext = nameless.ext
            if "model" in nameless.proved:
                phone.model = nameless.model

    def _learn(self, phone: Known, event: Finished | Scanned) -> None:
        """Write down what this request says of the phone, and who said it."""
        sources = event.identified.split("+") if event.identified else []
        said = of_agent(event.agent) if event.agent else None
        for field, value in (("mac", event.mac), ("ext", event.ext), ("model", event.model),
                             ("version", event.version)):  # fmt: skip
            if not value or (field == "mac" and isinstance(event, Scanned) and event.found):
                continue
            value = bounded(value, 80)
            if said is not None and getattr(said, field) == value:
                source = "agent"
            elif field in ("mac", "ext") and "name" in sources:
                source = "name"
            elif "snmp" in sources:
                source = "snmp"
                phone.proved[field] = event.time
            elif field == "mac" and "neighbour" in sources:
                source = "neighbour"
            else:
                source = ""  # only remembered from an earlier request
            proved = 0 <= event.time - phone.proved.get(field, 0.0) < PROVED_SECONDS
            if field == "ext" and (source == "snmp" or not proved):
                phone.ext = value
            elif field == "model" and (source in ("snmp", "agent") or not proved):
                phone.model = value
            elif field == "version" and value != phone.version:
                phone.version = value
            if source:
                self._saying(phone, field, value, source, event.time)

    def _saying(self, phone: Known, field: str, value: str, source: str, now: float) -> None:
        key = (field, value, source)
        written = phone.said.get(key)
        if written is None and len(phone.said) >= SAID_LIMIT:
            return
        if written is not None and 0 <= now - written < STAMP_SECONDS:
            return
        self._database.begin()
        phone.said[key] = now
        self._database.run(
            "INSERT INTO said VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (phone, field, value, source) "
            "DO UPDATE SET last_seen = excluded.last_seen",
            phone.id, *key, now, now,
        )  # fmt: skip
        if field == "version":
            self.runs(phone, value, source, now)
