"""The manager's process: its port, its certificate, its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import socket

from aiohttp import web

from manager.app import application
from manager.renewing import Renewal
from manager.site import Site
from mv_iptel import notify, ports
from mv_iptel.config import ConfigError, Finding, ManagerConfig
from mv_iptel.guests import Context, Guests, Limits
from mv_iptel.logfile import LogFile
from mv_iptel.strangers import wire

BACKLOG = 128
# `named` are those of one session: a browser keeps at most six. Behind a proxy all come from one host.
LIMITS = Limits(most=256, each=192, named=48, strangers=128, strange=32)

_log = logging.getLogger("manager")


async def run(config: ManagerConfig, said=print) -> None:  # type: ignore[no-untyped-def]
    """Serve until SIGTERM or Ctrl-C. Raises ConfigError, OSError, CertificateError, sqlite3.Error."""
    settings = config.settings
    allowed(config)
    context = Context(settings.cert_file, settings.key_file, _log.error) if settings.use_https else None
    sock = listen(config)
    ended = asyncio.Event()
    _signals(asyncio.get_running_loop(), ended)
    with sock, LogFile(settings.log_file, "manager"):
        site = Site(config)
        if not await asyncio.to_thread(site.people.first):
            said("nobody may sign in yet: mv-manager user add NAME --role administrator")
        for finding in config.findings:
            _log.warning("%s", finding)
        runner = web.AppRunner(
            application(site), access_log=None, handle_signals=False, keepalive_timeout=60,
            shutdown_timeout=2, handler_cancellation=True, logger=wire("manager.wire"),
            auto_decompress=False,
        )  # fmt: skip
        await runner.setup()
        assert runner.server is not None
        site.guests = Guests(runner.server, LIMITS)
        tasks = [asyncio.create_task(site.guests.accept(sock, context)),
                 asyncio.create_task(site.guests.sweep()), asyncio.create_task(_live()),
                 asyncio.create_task(Renewal(site).run())]  # fmt: skip
        place = address(config, sock.getsockname()[1])
        try:
            _log.info("up: %s, process %d", place, os.getpid())
            said(f"the manager is up: {place}  (process {os.getpid()})")
            notify.ready(f"serving {place}")
            await ended.wait()
        finally:
            notify.stopping()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            sock.close()
            site.ending.set()
            site.guests.close()
            await runner.cleanup()
            good = await site.close()
            _log.info("ended" if good else "ended; long work was cut off, it is marked as interrupted")
    if not good:
        # Python would wait for its thread. Whatever we write to files survives a kill; so it may be one.
        os._exit(0)


async def _live() -> None:
    """Signs of life for systemd, while this loop goes on."""
    patience = notify.patience()
    while patience:
        notify.alive()
        await asyncio.sleep(patience / 3)


def allowed(config: ManagerConfig) -> None:
    """Passwords never cross a network in the clear. Raises ConfigError."""
    settings = config.settings
    if settings.use_https or ipaddress.ip_address(settings.bind_address).is_loopback:
        return
    text = (
        f"without TLS the manager listens on this host only; set UseHTTPS=1, or BindAddress=127.0.0.1 "
        f"instead of {settings.bind_address} and a TLS proxy before it"
    )
    line = config.lines.get(("Settings", "UseHTTPS"), 0)
    file = str(config.file or config.home.manager_ini)
    raise ConfigError((Finding(file, line, "Settings", "UseHTTPS", text),))


def listen(config: ManagerConfig) -> socket.socket:
    """The manager's port. Raises OSError, which says who has it."""
    settings = config.settings
    place, port = settings.bind_address, settings.manager_port
    try:
        return ports.listen(place, port, BACKLOG)
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            pid, name = ports.holder(port, socket.SOCK_STREAM)
            who = f"{name} (process {pid})" if pid else "another process"
            text = f"port {port} is taken by {who}; end it, or set another ManagerPort"
        elif isinstance(fault, PermissionError):
            text = f"this process may not open port {port}; set a ManagerPort above 1023"
        elif fault.errno == errno.EADDRNOTAVAIL:
            text = f"BindAddress={place} is no address of this host"
        else:
            text = f"{place} port {port}: {fault.strerror or fault}"
        raise OSError(f"{text} in {config.home.manager_ini}") from None


def address(config: ManagerConfig, port: int = 0) -> str:
    """What to open in a browser on this host."""
    settings = config.settings
    scheme = "https" if settings.use_https else "http"
    host = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(  # noqa: S104
        settings.bind_address, settings.bind_address
    )
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{port or settings.manager_port}/"


def _signals(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, ended.set)
        except NotImplementedError:  # Windows
            with contextlib.suppress(ValueError):
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
