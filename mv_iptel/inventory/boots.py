"""Follows each phone's boot through its requests: what it runs by evidence, and who restarts in a loop."""

from __future__ import annotations

from mv_iptel.events import Finished, Notice
from mv_iptel.inventory import evidence
from mv_iptel.inventory.evidence import Boot, Orders
from mv_iptel.inventory.known import Known, Phones


class Boots:
    """Evidence in the sense of DESIGN section 10. `notices` waits for somebody who takes it."""

    def __init__(self, phones: Phones, orders: Orders, notices: list[Notice]):
        self._phones = phones
        self._orders = orders
        self._notices = notices
        self._settling: dict[int, Known] = {}

    def follow(self, phone: Known, event: Finished) -> bool:
        """Follow a boot. Whether the event is about software that the phone's script orders."""
        if event.op != "read":
            return False
        last = event.name.rpartition("/")[2].casefold()
        boot = phone.boot
        script = evidence.script_of(event.name) if event.outcome == "ok" else ""
        if script:
            if boot is None:
                boot = phone.boot = Boot()
            orders: dict[str, str] = {}
            first = True
            if phone.model and not self._phones.twins(event.peer, event.time):
                orders, first = self._orders.of(event.file, script, phone.model, phone.mac)
            runs = evidence.script_read(boot, orders, first, event.time)
        elif boot is None:
            return False
        elif evidence.asked(boot, event.name):
            if event.outcome == "ok":
                self.downloaded(phone, event)
            return True
        elif event.outcome == "ok" and last in evidence.SETTINGS:
            if self._phones.twins(event.peer, event.time):
                return False
            runs = evidence.settings_read(boot, event.time)
            if boot.settle_at:
                self._settling[phone.id] = phone
        else:
            return False
        if runs:
            self._phones.runs(phone, runs, "script", event.time)
        return False

    def downloaded(self, phone: Known, event: Finished) -> None:
        """One more complete download of ordered software; the third within half an hour is told."""
        if phone.boot is None or not evidence.downloaded(phone.boot, event.name, event.time):
            return
        if self._phones.twins(event.peer, event.time):
            return
        who = " ".join(part for part in (phone.model, phone.mac, phone.ext and f"ext {phone.ext}") if part)
        text = (
            f"{who or 'a phone'} at {event.peer} fetched {event.name} {evidence.LOOP_DOWNLOADS} times within "
            "30 minutes: it restarts again and again, or does not accept this firmware"
        )
        self._notices.append(Notice("boot-loop", text, "error", event.file, 0, event.peer))

    def settle(self, now: float) -> None:
        """Believe what was not contradicted for long enough."""
        for identity, phone in list(self._settling.items()):
            boot = phone.boot
            if boot is None or not boot.settle_at:
                del self._settling[identity]
            elif runs := evidence.settle(boot, now):
                del self._settling[identity]
                self._phones.runs(phone, runs, "script", now)

    def drop(self, identity: int) -> None:
        """The phone is another one's now, or none."""
        self._settling.pop(identity, None)
