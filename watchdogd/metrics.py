"""The watchdog's figures for Prometheus, made from its status document when somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

PREFIX = "mv_watchdog_"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """A collector with a registry of its own. Labels are proto, listener, kind and model only."""

    def __init__(self, status: Callable[[], dict[str, Any]]):
        self._status = status
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def text(self) -> bytes:
        """The text form, version 0.0.4."""
        return generate_latest(self.registry)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at each scrape."""
        status = self._status()
        labels = ["proto", "listener"]
        up = GaugeMetricFamily(
            PREFIX + "listener_up", "1 if it answered the last time as it should.", labels=labels
        )
        failures = GaugeMetricFamily(
            PREFIX + "listener_failures", "Missed downloads that count.", labels=labels
        )
        seconds = GaugeMetricFamily(
            PREFIX + "listener_seconds", "What the last download took.", labels=labels
        )
        for row in {(one["proto"], one["port"]): one for one in status["listeners"]}.values():
            key = [row["proto"], f"{row['proto']}:{row['port']}"]
            up.add_metric(key, float(row["up"]))
            failures.add_metric(key, row["failures"])
            seconds.add_metric(key, row["seconds"])
        phones = GaugeMetricFamily(PREFIX + "phone_up", "1 if it booted.", labels=["model"])
        for row in status["phones"]:
            phones.add_metric([row["model"]], float(row["up"]))
        matters = GaugeMetricFamily(
            PREFIX + "matters", "What no restart mends, while it lasts.", labels=["kind"]
        )
        for kind, count in Counter(row["kind"] for row in status["matters"]).items():
            matters.add_metric([kind], count)
        yield from (up, failures, seconds, phones, matters)
        rounds = CounterMetricFamily(PREFIX + "rounds", "Rounds of downloads.")
        rounds.add_metric([], status["rounds"]["count"])
        yield rounds
        restarts, last = status["restarts"], status["rounds"]["last"]
        for name, text, value in (
            ("well", "1 if there is nothing to mend.", float(status["state"]["well"])),
            ("restarts_hour", "Restarts within the last hour.", restarts["hour"]),
            ("restarts_max", "MaxRestartsPerHour.", restarts["max"]),
            ("last_round_seconds", "When the last round ended.", last or 0),
            ("started_seconds", "When the watchdog was started.", status["watchdog"]["started"]),
        ):
            yield GaugeMetricFamily(PREFIX + name, text, value)
