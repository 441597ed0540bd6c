"""The figures for Prometheus, made from the totals when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from mv_iptel.status.counters import SECONDS, Counters
from mv_iptel.status.words import STEPS

if TYPE_CHECKING:
    from mv_iptel.status.snapshot import Snapshot

PREFIX = "mv_iptel_"
NOTICE_LEVELS = ("info", "warning", "error")


class Metrics:
    """A collector with a registry of its own. Labels are proto, listener, outcome and reason only:
    nothing that a phone sends becomes a label."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, counters: Counters, snapshot: Snapshot):
        self.counters = counters
        self.snapshot = snapshot
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def text(self) -> bytes:
        """The text form, version 0.0.4."""
        return generate_latest(self.registry)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at each scrape."""
        yield from self._traffic()
        yield from self._userdata()
        yield from self._state()

    def _traffic(self) -> Iterator[Metric]:
        labels = ["proto", "listener", "outcome", "reason"]
        requests = CounterMetricFamily(PREFIX + "requests", "Answered requests.", labels=labels)
        sent = CounterMetricFamily(PREFIX + "sent_bytes", "Octets of file content sent.", labels=labels[:2])
        resends = CounterMetricFamily(PREFIX + "resends", "TFTP packets sent again.", labels=labels[:2])
        sums: dict[tuple[str, str], list[int]] = {}
        for key, (count, octets, again) in list(self.counters.totals.items()):
            requests.add_metric(key, count)
            row = sums.setdefault(key[:2], [0, 0])
            row[0] += octets
            row[1] += again
        for key, (octets, again) in sums.items():
            sent.add_metric(key, octets)
            if key[0] == "tftp":
                resends.add_metric(key, again)
        yield from (requests, sent, resends)

        text = "Request to last octet, complete transfers without user data."
        yield _histogram("transfer_seconds", text, self.counters.seconds)

    def _userdata(self) -> Iterator[Metric]:
        counters = self.counters
        labels = ["proto", "listener", "outcome", "reason"]
        names = {"store": "stores", "read": "restores", "delete": "deletes"}
        texts = {
            "store": "Users' data that phones handed over.",
            "read": "Users' data that phones asked for.",
            "delete": "Users' data that phones wanted deleted; versions stay.",
        }
        octets = CounterMetricFamily(PREFIX + "kept_bytes", "Octets of user data taken.", labels=labels[:2])
        kept: dict[tuple[str, str], int] = {}
        for op, name in names.items():
            family = CounterMetricFamily(PREFIX + name, texts[op], labels=labels)
            for key, (count, size) in list(counters.userdata[op].items()):
                family.add_metric(key, count)
                if op == "store" and key[2] == "ok":
                    kept[key[:2]] = kept.get(key[:2], 0) + size
            yield family
        for listener, size in kept.items():
            octets.add_metric(listener, size)
        yield octets
        text = "Requests for user data that the phone's answer by SNMP decided, or its silence."
        asked = CounterMetricFamily(PREFIX + "challenges", text, labels=labels[2:])
        for outcome, count in list(counters.challenges.items()):
            asked.add_metric(outcome, count)
        yield asked
        text = "Request to acknowledgement, user data stored or fetched; the question to the phone included."
        yield _histogram("userdata_seconds", text, counters.userdata_seconds)

    def _state(self) -> Iterator[Metric]:
        status = self.snapshot.build()
        sources = self.snapshot.sources
        active = GaugeMetricFamily(PREFIX + "active_transfers", "Transfers under way.", labels=["proto"])
        running: dict[str, int] = {}
        for row in status["listeners"]:
            running.setdefault(row["proto"], 0)
        for row in status["transfers"]["active"]:
            running[row["proto"]] = running.get(row["proto"], 0) + 1
        for proto, count in running.items():
            active.add_metric([proto], count)
        yield active

        text = "1 if the listener is up on all its addresses."
        up = GaugeMetricFamily(PREFIX + "listener_up", text, labels=["proto", "listener"])
        states: dict[tuple[str, str], bool] = {}
        for row in status["listeners"]:
            key = (row["proto"], f"{row['proto']}:{row['port']}")
            states[key] = states.get(key, True) and row["state"] == "up"
        for key, state in states.items():
            up.add_metric(key, float(state))
        yield up

        slots, phones, disk, config = status["slots"], status["phones"], status["disk"], status["config"]
        backups = status["backups"]
        gauges = {
            "slots_max": (slots["max"], "MaxClients; 0 is no limit."),
            "slots_used": (slots["used"], "Client addresses that hold a slot."),
            "phones_known": (phones["known"], "Phones in the inventory."),
            "phones_seen": (phones["seen_15m"], "Phones seen within 15 minutes."),
            "backup_files": (backups["files"], "Users' files that are kept."),
            "backup_versions": (backups["versions"], "Earlier versions of them that are kept."),
            "backup_bytes": (backups["bytes"], "Octets of both on the disk."),
            "backup_queue": (backups["queued"], "Files that wait for the customer's own FTP server."),
            "generation_info": (status["firmware"].get("generation", 0), "Counts what was published."),
            "central_queue": (status["central"]["queue"], "What waits to go to or from central servers."),
            "central_seen_seconds": (
                status["central"]["last_ok"] or 0,
                "When the other side was last heard.",
            ),
            **{
                f"rollout_phones_{what}": (
                    status["rollout"].get(what, 0),
                    f"Phones of the roll-out that {text}.",
                )
                for what, text in STEPS.items()
            },
            "disk_free_bytes": (disk["free"], "Free where the home directory lies."),
            "legacy_modes": (len(status["server"]["legacy"]), "Legacy modes in force."),
            "config_generation": (config["generation"], "Counts the configurations loaded."),
            "config_findings": (len(config["findings"]), "Findings of the last load."),
            "start_time_seconds": (status["server"]["started"], "When the server started."),
            "watchdog_seen_seconds": (status["watchdog"]["last_seen"] or 0, "The watchdog's last download."),
        }
        ends = [row["not_after"] for row in status["certs"]]
        if ends:
            gauges["cert_not_after_seconds"] = (min(ends), "When the first certificate ends.")
        for name, (value, text) in gauges.items():
            yield GaugeMetricFamily(PREFIX + name, text, value=value)

        counts = {
            "slots_refused": (slots["refused"], "Requests that found no slot."),
            "events_lost": (sources.stream.lost if sources.stream else 0, "Events that no listener got."),
        }
        if sources.journal is not None:
            counts["journal_lines_lost"] = (sources.journal.lost, "Lines that the disk did not take.")
        for level in NOTICE_LEVELS:
            counts[f"notices_{level}"] = (self.counters.levels.get(level, 0), f"Notices of level {level}.")
        for name, (value, text) in counts.items():
            yield CounterMetricFamily(PREFIX + name, text, value=value)


def _histogram(name: str, text: str, seconds: dict[str, list[float]]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, text, labels=["proto"])
    for proto, row in list(seconds.items()):
        buckets, total = [], 0.0
        for bound, count in zip((*map(str, SECONDS), "+Inf"), row[:-1], strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([proto], buckets, row[-1])
    return family
