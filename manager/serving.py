"""The manager's process: its port, its certificate, its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl

from aiohttp import web

from manager.app import application
from manager.site import Site
from mv_iptel import ports
from mv_iptel.config import ManagerConfig
from mv_iptel.files import states
from mv_iptel.http.tls import CertificateError, Policy, make_context
from mv_iptel.strangers import wire

BACKLOG = 128
HANDSHAKE = 15.0  # seconds in which it must be done

_log = logging.getLogger("manager")


class Context:
    """One TLS context for all connections. A certificate that was replaced is used soon after."""

    def __init__(self, config: ManagerConfig):
        """Raises CertificateError."""
        self.files = (config.settings.cert_file, config.settings.key_file)
        self._state: object = states(self.files)
        self.ssl = make_context(*self.files, Policy())
        self.ssl.set_alpn_protocols(["http/1.1"])
        self.ssl.sni_callback = self._hello

    def _hello(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """A handshake begins: the next one has the certificate that lies there now, if it is good."""
        state = states(self.files)
        if state == self._state:
            return
        self._state = state
        try:
            make_context(*self.files, Policy())
            self.ssl.load_cert_chain(*self.files, password="")
        except (CertificateError, OSError, ssl.SSLError, ValueError) as error:
            _log.error("%s; the certificate that was loaded before stays in use", error)


async def run(config: ManagerConfig, said=print) -> None:  # type: ignore[no-untyped-def]
    """Serve until SIGTERM or Ctrl-C. Raises OSError, CertificateError, sqlite3.Error."""
    settings = config.settings
    context = Context(config) if settings.use_https else None
    sock = ports.listen(settings.bind_address, settings.manager_port, BACKLOG)
    site = Site(config)
    site.people.first()
    runner = web.AppRunner(
        application(site), access_log=None, handle_signals=False, keepalive_timeout=60, shutdown_timeout=2,
        handler_cancellation=True, logger=wire("manager.wire"), auto_decompress=False,
    )  # fmt: skip
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        await runner.setup()
        await web.SockSite(runner, sock, ssl_context=context.ssl if context else None).start()
        port = sock.getsockname()[1]
        said(f"the manager is up: {address(config, port)}  (process {os.getpid()})")
        await ended.wait()
    finally:
        await runner.cleanup()
        await site.close()


def address(config: ManagerConfig, port: int = 0) -> str:
    """What to open in a browser on this host."""
    settings = config.settings
    scheme = "https" if settings.use_https else "http"
    host = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(  # noqa: S104
        settings.bind_address, settings.bind_address
    )
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{port or settings.manager_port}/"
