"""The watching: one round of downloads after the other, what the judge makes of it, and what is done then."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mv_iptel.config import ConfigError, WatchDogConfig, load_watchdog
from mv_iptel.files import states
from mv_iptel.home import Home
from mv_iptel.journal import plain
from watchdogd.alerting import Alerter, Ran
from watchdogd.boots import Boots
from watchdogd.judge import ALL, Got, Rules, Seen, State, Target, Verdict, judge
from watchdogd.memory import Memory
from watchdogd.probes import Sides, Trust, probe
from watchdogd.targets import Learner, Told
from watchdogd.telling import Message, Teller

SLACK = 0.25  # seconds that a round gives its threads beyond ProbeTimeout, for the disk
EVENTS = 50  # verdicts that the page shows

NOTHING = Seen({})

_log = logging.getLogger("mv-watchdog")


@dataclass(frozen=True)
class View:
    """What is known after a round; replaced whole, so that any thread may read it."""

    config: WatchDogConfig
    state: State = field(default_factory=State)
    seen: Seen = NOTHING
    rounds: int = 0
    at: float = 0.0  # when the last round ended
    seconds: float = 0.0
    events: tuple[tuple[float, Verdict], ...] = ()
    runs: tuple[Ran, ...] = ()
    running: bool = False  # the alert script runs now
    fault: str = ""  # what is wrong with MV_WatchDog.ini as it lies there now


class Watch:
    """Watches one home. `run` is for a thread of its own; `round` is one look."""

    def __init__(self, config: WatchDogConfig, clock: Callable[[], float] = time.time, acting: bool = True):
        """Without `acting` it looks and judges, and does nothing."""
        self.home: Home = config.home
        self._acting = acting
        self._clock = clock
        self._memory = Memory(self.home.watchdog / "data")
        self._learner = Learner(self.home, config.settings.host_address)
        self._trust = Trust()
        self._sides = Sides()
        self._boots = Boots()
        self._events: deque[tuple[float, Verdict]] = deque(maxlen=EVENTS)
        self._runs: deque[Ran] = deque(maxlen=EVENTS)
        self._said = ""
        self._ini: object = states([config.file] if config.file else [])
        self._end = threading.Event()
        self._changing = threading.Lock()  # the script ends on a thread of its own
        self._thread: threading.Thread | None = None
        self._alerter = Alerter(self.home, self._ran)
        self._teller = Teller() if acting else None
        self.beat = time.monotonic()  # when the watching was last seen to go on
        self.view = View(config, self._memory.load())

    # running

    def start(self) -> None:
        """Watch until `stop`."""
        self._thread = threading.Thread(target=self.run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a script that runs gets a moment, and goes on without us."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(self.longest() + 2)
        if self._teller is not None:
            self._teller.close()

    def run(self) -> None:
        """Round after round, with WatchDogTimer seconds between two of them."""
        while not self._end.is_set():
            try:
                self.round()
            except Exception:  # a mistake of ours must not leave the server unwatched
                _log.exception("a round of the watchdog failed")
            until = time.monotonic() + self.view.config.settings.watch_dog_timer
            while (left := until - time.monotonic()) > 0 and not self._end.is_set():
                self.beat = time.monotonic()
                self._end.wait(min(left, 1.0))
            self.beat = time.monotonic()

    def longest(self) -> float:
        """Seconds that a round may take."""
        return 2 * self.view.config.settings.probe_timeout + 2 * SLACK

    def stuck(self, now: float) -> bool:
        """Whether the watching itself stands still."""
        return now - self.beat > self.longest() + 10

    # one round

    def round(self) -> View:
        """Look once, judge, act."""
        self._reread()
        view = self.view
        settings = view.config.settings
        began = time.monotonic()
        self._learner.read()
        told: Told | None = None
        if not view.rounds:  # nobody knows yet who runs
            told = self._sides.run({"status": lambda: self._learner.ask(settings.probe_timeout)},
                                   settings.probe_timeout + SLACK).get("status")  # fmt: skip
            self._learner.learn(told)
        seen = self._look(settings.probe_timeout, told)
        counting = not self._alerter.running
        rules = Rules(settings.failure_limit, settings.max_restarts_per_hour)
        state, verdicts = judge(view.state, seen, rules, self._clock(), counting)
        seconds = time.monotonic() - began
        self._change(state=state, seen=seen, rounds=view.rounds + 1, at=self._clock(), seconds=seconds)
        if self._acting:
            # Before the script runs: it may restart the whole machine.
            wrong = self._memory.keep(state)
            if wrong and wrong != self._said:
                _log.warning("%s", wrong)
            self._said = wrong
            self._log_changes(view.state, state)
            for verdict in verdicts:
                self._act(verdict)
        self._change(events=tuple(self._events))
        return self.view

    def _look(self, timeout: float, told: Told | None) -> Seen:
        """Status port and downloads, side by side."""
        settings, learner = self.view.config.settings, self._learner
        targets = learner.targets()
        context = None
        config = learner.config
        if config is not None and any(one.proto in ("https", "ftps") for one in targets):
            shown = dict.fromkeys(pair.cert_file for pair in config.pairs())
            context = self._trust.context((self.home.ca_cert, *shown))
        jobs: dict[Any, Callable[[], Any]] = {
            target: self._probing(target, timeout, context if target.proto in ("https", "ftps") else None)
            for target in targets
        }
        if told is None:
            jobs["status"] = lambda: learner.ask(timeout)
        done = self._sides.run(jobs, timeout + SLACK)
        if told is None:
            told = done.get("status")
            learner.learn(told)
        got: dict[Target, Got] = {
            target: done.get(target) or Got("silent", seconds=timeout) for target in targets
        }
        pending: list[str] = []
        if config is not None and settings.probe_models:
            self._boots.begin(settings.probe_models, config, settings.host_address, timeout)
            booted = self._boots.take()
            got.update(booted)
            labels = {target.label for target in booted}
            pending = [label for model in settings.probe_models if (label := f"boot:{model}") not in labels]
        matters = learner.matters(told)
        fault = self._alerter.fault()
        if fault:
            matters.append(("script", ALL, fault))
        if self.view.fault:
            matters.append(("config", "MV_WatchDog.ini", self.view.fault))
        return Seen(got, learner.server(told), matters, learner.local, pending)

    def _probing(self, target: Target, timeout: float, context: Any) -> Callable[[], Got]:
        directories = self._learner.directories(target.proto)
        return lambda: probe(target, directories, timeout, context)

    def _reread(self) -> None:
        """A changed MV_WatchDog.ini is in force at the next round; one with mistakes is not."""
        file = self.home.watchdog_ini
        state = states([file]) if file.exists() or self.view.config.file else []
        if state == self._ini:
            return
        self._ini = state
        try:
            config, fault = load_watchdog(self.home), ""
        except ConfigError as error:
            config, fault = self.view.config, f"{error.findings[0]}; what was in force stays"
        except OSError as error:
            config, fault = self.view.config, f"{file} cannot be read: {error.strerror}"
        old = self.view.config.settings
        now = config.settings
        if not fault and (old.status_port, old.log_file) != (now.status_port, now.log_file):
            fault = "StatusPort and LogFile are in force after a restart of the watchdog"
        if now.host_address != old.host_address:
            self._learner = Learner(self.home, now.host_address)
        _log.info("%s was read again%s", file, f": {fault}" if fault else "")
        self._change(config=config, fault=fault)

    # what is done

    def _act(self, verdict: Verdict) -> None:
        self._events.append((self._clock(), verdict))
        level = logging.INFO if verdict.kind == "over" else logging.ERROR
        _log.log(level, "%s %s: %s: %s", verdict.kind, verdict.listener, verdict.reason, verdict.text)
        if verdict.kind == "restart":
            self._change(running=True)
            self._alerter.start(verdict)
        self._tell(verdict.kind, verdict)

    def _tell(self, event: str, verdict: Verdict) -> None:
        if self._teller is not None:
            settings = self.view.config.settings
            host = socket.gethostname() if self._learner.local else settings.host_address
            self._teller.tell(
                Message(event, round(self._clock(), 3), host, str(self.home.root), verdict.listener,
                        verdict.reason, verdict.text), settings,
            )  # fmt: skip

    def _ran(self, ran: Ran) -> None:
        """The script has ended; on its thread."""
        self._runs.append(ran)
        for line in ran.printed.splitlines():
            _log.info("the alert script: %s", line)
        if ran.text:
            _log.error("%s", ran.text)
            self._tell("failed", ran.verdict._replace(text=f"{ran.text}\n{ran.printed}".strip()))
        else:
            _log.info("the alert script did its work in %.1f s", ran.seconds)
        self._change(runs=tuple(self._runs), running=False)

    def _change(self, **fields: Any) -> None:
        with self._changing:
            self.view = replace(self.view, **fields)

    def _log_changes(self, old: State, new: State) -> None:
        for label, one in new.counters.items():
            before = old.counters.get(label)
            was = before.failures if before else 0
            if one.failures > was:
                _log.warning("%s: %s (%d)", label, plain(one.text, 300), one.failures)
            elif was and not one.failures and not one.missed:
                _log.info("%s: well again", label)
        for place, matter in new.matters.items():
            if place not in old.matters:
                _log.warning("%s: %s", matter.kind, plain(matter.text, 300))
        for place, matter in old.matters.items():
            if place not in new.matters:
                _log.info("no more: %s: %s", matter.kind, plain(matter.text, 300))
