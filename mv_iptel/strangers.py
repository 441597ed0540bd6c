"""Leaves out what aiohttp logs of clients that speak no HTTP: no fault of ours, it could fill a journal."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

CLIENTS = (HttpProcessingError, RequestPayloadError, ConnectionError, TimeoutError)


def wire(name: str) -> logging.Logger:
    """A logger for one server of aiohttp's, which says nothing of what a client did wrong."""
    log = logging.getLogger(name)
    if _ours not in log.filters:
        log.addFilter(_ours)
    return log


def _ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], CLIENTS))
