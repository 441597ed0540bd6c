"""The running server's part of a roll-out: lends scripts, listens to what becomes of them, and halts it.

The library asks `overlay`, the stream tells `receive` and `tick`; what is found out is written down in a
file of its own, so that a restart forgets nobody who runs the new firmware.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mv_iptel.config import Config
from mv_iptel.events import Event, Finished, Notice
from mv_iptel.library import Library
from mv_iptel.rollout import judging, plans
from mv_iptel.rollout.judging import Judge
from mv_iptel.rollout.overlay import Overlay
from mv_iptel.rollout.plans import FAILED, HALTED, LOOPS, OVER, RUNNING, Halt, Log, Met, Rollout

# A phone that read a question just before the end still asks for the answer under its name.
AFTER = 3600.0
TICK_SECONDS = 2.0


class Rolling:
    """One for a server's life; `refresh` reads what commands have written. Listens to the stream."""

    def __init__(
        self,
        config: Config,
        library: Library,
        publish: Callable[[Event], None],
        now: Callable[[], float] = time.time,
    ):
        self._config = config
        self._library = library
        self._publish = publish
        self._now = now
        self._lock = threading.RLock()
        self._overlay: Overlay | None = None
        self._judge = Judge({})
        self._log: Log | None = None
        self._unwritten: list[Met | Halt] = []
        self._unsynced = False
        self._ticked = 0.0
        self._problem = ""
        self.refresh()

    @property
    def rollout(self) -> Rollout | None:
        """The one that is under way, or the last one while its phones may still ask."""
        overlay = self._overlay
        return None if overlay is None else overlay.rollout

    def configure(self, config: Config) -> None:
        """Other directories may hold the live scripts."""
        self._config = config
        self.refresh()

    def refresh(self) -> None:
        """Read the plan anew: a command has changed it."""
        with self._lock:
            self._write(True)
            found = plans.load(self._config.home)
            now = self._now()
            if found is None or (found.state in OVER and now - found.changed > AFTER):
                self._put(None)
                return
            mine = self.rollout
            if mine is None or mine.run != found.run:
                path = plans.log_of(self._config.home, found.run)
                self._judge, self._log = Judge(plans.read(path)), Log(path)
            elif mine.state == HALTED and found.state == RUNNING and found.changed == mine.changed:
                found = mine  # the halt is not on the disk yet
            self._make(found)

    def receive(self, batch: list[Event]) -> None:
        """On the stream's thread."""
        overlay = self._overlay
        if overlay is None or overlay.rollout.state in OVER:
            return
        with self._lock:
            if (overlay := self._overlay) is None:
                return
            found = []
            for event in batch:
                if type(event) is Finished:
                    one = self._judge.take(event, overlay.rollout.stage, overlay.paths)
                    if one is not None:
                        found.append(one)
            self._found(found)

    def tick(self, now: float) -> None:
        """On the stream's thread, every now and then."""
        if self._overlay is None:
            return
        with self._lock:
            if not 0 <= now - self._ticked < TICK_SECONDS:
                self._ticked = now
                self._found(self._judge.tick(now))
                self._write(True)

    def problems(self) -> list[tuple[str, int, str]]:
        """What turns the status red, as (file, line, text)."""
        if self._problem:
            return [(str(self._config.home.var / "releases" / "rollout.json"), 0, self._problem)]
        return []

    def status(self) -> dict[str, Any]:
        """For the status page: empty when none runs."""
        with self._lock:
            rollout = self.rollout
            if rollout is None or rollout.state in OVER:
                return {}
            return {
                "release": rollout.release, "state": rollout.state, "stage": rollout.stage + 1,
                "stages": len(rollout.stages), "note": rollout.note,
                **judging.counts(self._judge.met.values())._asdict(),
            }  # fmt: skip

    def _found(self, found: list[Met]) -> None:
        """Write it down, and look whether it is too much."""
        if not found:
            return
        self._unwritten += found
        rollout = self.rollout
        trouble = any(one.fate in (FAILED, LOOPS) for one in found)
        if trouble and rollout is not None and rollout.state == RUNNING:
            why = judging.verdict(rollout, self._judge.met.values())
            if why:
                self._halt(rollout, why)
        self._write(trouble)

    def _halt(self, rollout: Rollout, why: str) -> None:
        now = self._now()
        self._unwritten.append(Halt(now, why))
        assert self._overlay is not None
        self._overlay = self._library.overlay = self._overlay.to(replace(rollout, state=HALTED, note=why))
        text = (
            f"the roll-out of {rollout.release} has halted in stage {rollout.stage + 1}: {why}. Phones that "
            "have the new firmware keep it, no others get it; `mv-iptel rollout status` names them"
        )
        self._publish(Notice("rollout-halted", text, "error"))

    def _make(self, rollout: Rollout) -> None:
        """Decide by this state from the next request on."""
        try:
            self._put(Overlay(rollout, self._config, self._judge.met))
        except (OSError, ValueError) as error:
            problem = f"the roll-out of {rollout.release} cannot lend its scripts: {error}"
            if problem != self._problem:
                self._problem = problem
                self._publish(Notice("rollout-broken", problem, "error"))
            # Who decided until now goes on, if there was one: nobody is sent back for a fault of the disk.

    def _put(self, overlay: Overlay | None) -> None:
        if overlay is None:
            self._judge, self._log = Judge({}), None
        self._problem = ""
        self._overlay = self._library.overlay = overlay

    def _write(self, sync: bool) -> None:
        """Write what waits: at once, but synced only now and then, for others wait for this thread."""
        if self._log is None or not (self._unwritten or (sync and self._unsynced)):
            return
        try:
            if self._unwritten:
                self._log.write(self._unwritten, sync)
            else:
                self._log.sync()
        except OSError as error:
            if not self._problem:
                self._problem = f"what becomes of the phones cannot be written: {error.strerror}"
                self._publish(Notice("rollout-broken", self._problem, "error", str(self._log.path)))
            return
        self._unwritten.clear()
        self._unsynced = not sync
        self._problem = ""
