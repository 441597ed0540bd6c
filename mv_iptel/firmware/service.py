"""What the server does with firmware by itself: ends what was cut off, takes in what comes, publishes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mv_iptel.config import Config
from mv_iptel.events import Event, Notice
from mv_iptel.firmware import generations
from mv_iptel.firmware.publishing import Held, Publisher
from mv_iptel.firmware.releases import Release
from mv_iptel.firmware.updates import Updates


class Firmware:
    """The part of the daemon; `publish` is told what happened."""

    def __init__(
        self, config: Config, publish: Callable[[Event], None], now: Callable[[], float] = time.time
    ):
        self._config, self._publish, self._now = config, publish, now
        self.updates = Updates(config, publish, self._staged, now)

    def recover(self) -> None:
        """Before the first phone is served: a publication that a crash cut off is finished or undone."""
        try:
            self._publisher().recover()
        except OSError as error:
            where = error.filename or self._config.home.var / "releases"
            text = f"a publication that was cut off cannot be finished: {error.strerror or error}; "
            text += f"make {where} writable and run: mv-iptel firmware verify"
            self._publish(Notice("firmware-held", text, "error", source=str(where)))

    def refresh(self) -> None:
        """A command has worked on the home, or was killed while it did."""
        threading.Thread(target=self.recover, name="firmware", daemon=True).start()
        self.updates.refresh()

    def start(self) -> None:
        """Watch `Updates`."""
        self.updates.start()

    def stop(self) -> None:
        """End; what is being taken in is left for the next start."""
        self.updates.stop()

    def configure(self, config: Config) -> None:
        """Go on by a changed configuration."""
        self._config = config
        self.updates.configure(config)

    def status(self) -> dict[str, object]:
        """What status.json tells. Reads a file."""
        now = generations.current(self._config.home)
        return {
            "generation": now.number, "action": now.action, "release": now.release, **self.updates.status()
        }  # fmt: skip

    def _publisher(self) -> Publisher:
        return Publisher(self._config, self._publish, self._now, apart=True)

    def _staged(self, release: Release) -> str:
        """Publish what came into `Updates`; why it is held instead, for people."""
        result = self._publisher().publish(release.id)
        return " ".join(result.why) if isinstance(result, Held) else ""
