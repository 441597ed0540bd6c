"""What the server is doing, for people and for machines: totals, snapshot, metrics and the status server.

Wiring (the daemon does it):

    counters = Counters()                        # a listener of the stream
    inventory = Inventory(path)                  # another one
    stream = Stream(journal, inventory, counters, first_id=inventory.first_id())
    inventory.publish = stream.publish           # its notices (boot loop, damaged database)
    status = StatusServer(
        counters,
        Sources(
            config=lambda: daemon.config,        # the one in force
            library=library,                     # .slots and .why are used
            fronts=lambda: [tftp, http],         # anything with listeners() and active()
            inventory=inventory, stream=stream, journal=journal, backups=lambda: {"files": ...},
        ),
        Controls(reload=..., listener=..., lift_ban=..., refresh=..., unpin=...),
        publish=stream.publish,
    )
    await status.start(); await status.reload(config); await status.stop()
"""

from __future__ import annotations

from mv_iptel.status.counters import Counters
from mv_iptel.status.server import StatusServer
from mv_iptel.status.snapshot import Controls, Sources

__all__ = ["Controls", "Counters", "Sources", "StatusServer"]
