"""Events as tests want them: one complete request, changed where it matters."""

from __future__ import annotations

from mv_iptel.events import Finished

NOON = 1_760_000_000.0  # an arbitrary moment that all of these events know
AGENT = "Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/9640-3.2.1 (MAC:00040d112233)"


def finished(number=1, after=0.0, **changes):
    """A settings file that was sent to a stranger `after` seconds past noon."""
    fields = {
        "id": number, "time": NOON + after, "proto": "http", "listener": "http:81", "peer": "192.0.2.17",
        "port": 40000, "mac": "", "ext": "", "model": "", "version": "", "name": "46xxsettings.txt",
        "file": "/data/46xxsettings.txt", "outcome": "ok", "reason": "", "bytes": 3069, "seconds": 0.004,
    }  # fmt: skip
    return Finished(**{**fields, **changes})


def refused(number=1, after=0.0, **changes):
    """The same, refused because no list has the address."""
    fields = {
        "outcome": "refused", "reason": "not-listed", "bytes": 0, "file": "", "source": "/data/allow_IP.txt",
        "line": 3, "detail": "192.0.2.17 is on no line",
    }  # fmt: skip
    return finished(number, after, **{**fields, **changes})


def known(number=1, after=0.0, **changes):
    """The same, sent to a 9640 that says who it is."""
    fields = {
        "mac": "00040d112233",
        "model": "9640",
        "version": "3.2.1",
        "identified": "agent",
        "agent": AGENT,
    }
    return finished(number, after, **{**fields, **changes})
