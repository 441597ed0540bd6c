"""Virtual phones that boot from the server, one for each of ProbeModels, beside the downloads."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.phones.boot import Servers, drive, play
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import Live, explain, tls_context
from watchdogd.judge import BOOT, Got, Target

PATIENCE = 10.0  # times ProbeTimeout: one file of a boot, which may be a whole firmware


class Boot(NamedTuple):
    """How one ended."""

    got: Got
    at: float


class Boots:
    """One thread for each model. A boot takes its time; a round looks at what is ready by then."""

    def __init__(self) -> None:
        self._threads: dict[str, threading.Thread] = {}
        self._ready: dict[str, Boot] = {}
        self.last: dict[str, Boot] = {}

    def begin(self, models: tuple[str, ...], config: Config, host: str, timeout: float) -> None:
        """Switch on each phone whose last boot is over."""
        for model in models:
            running = self._threads.get(model)
            if running is not None and running.is_alive():
                continue
            thread = threading.Thread(
                target=self._run, args=(model, config, host, timeout), name=f"boot {model}", daemon=True
            )
            self._threads[model] = thread
            thread.start()
        for model in set(self._threads) - set(models):
            self._threads.pop(model)
            self.last.pop(model, None)

    def take(self) -> Mapping[Target, Got]:
        """The boots that have ended since the last look."""
        ready, self._ready = self._ready, {}
        return {Target(BOOT, model, 0): one.got for model, one in ready.items()}

    def _run(self, model: str, config: Config, host: str, timeout: float) -> None:
        boot = Boot(once(model, config, host, timeout), time.time())
        self._ready[model] = self.last[model] = boot


def once(model: str, config: Config, host: str, timeout: float) -> Got:
    """Boot one phone; what became of it."""
    began = time.monotonic()
    https, http, tftp = config.https, config.http, config.tftp
    servers = Servers(
        tftp=(host,) if tftp.run_trivial_ftp else (),
        http=(host,) if http.run_http else (),
        https=(host,) if https.run_https and not https.refused else (),
        http_port=http.http_port, tls_port=https.https_port, offset=tftp.trivial_ftp_port - 69,
    )  # fmt: skip
    try:
        # Whether its certificate holds is looked at elsewhere: here it must only serve.
        with Live("", tls_context(insecure=True), timeout * PATIENCE) as live:
            report = drive(play(Handset(model), servers), live.fetch)
    except (OSError, ValueError, KeyError) as error:
        return Got("missing", explain(error), time.monotonic() - began)
    booted, seconds = report.booted, report.seconds
    if booted.ready:
        return Got("same", booted.why, seconds)
    mute = [line.got.detail for line in report.requests if line.got.result == "failed"]
    return Got("silent" if mute else "missing", mute[-1] if mute else booted.why, seconds)
