"""The three services on Windows: thin over pywin32. Each service runs a command of ours as its child.

A child has a console of its own without a window, so it can be ended in order by Ctrl-C, as by hand.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.home import Home

try:  # Windows only; everything that needs them is below a class or function
    import servicemanager
    import win32console
    import win32event
    import win32service
    import win32serviceutil
except ImportError:
    servicemanager = win32console = win32event = win32service = win32serviceutil = None

END = 30  # seconds that a child gets after Ctrl-C; what phones stored is on the disk before
AGAIN = (2000, 5000, 10000)  # ms until a service that ended by itself is started again
# The server and the manager need no right of an administrator; the watchdog restarts a service.
LOCAL = r"NT AUTHORITY\LocalService"


class ServiceError(Exception):
    """What could not be done and why; for the administrator's eyes."""


class Service(NamedTuple):
    """One service: its name, what people read, its command, its class here, and its account."""

    name: str
    title: str
    command: tuple[str, ...]
    kind: str
    account: str | None  # None: LocalSystem
    text: str


SERVICES = (
    Service("mv-iptel", "mv-iptel file server", ("mv-iptel", "serve"), "FileServer", LOCAL,
            "Serves IP desk phones over TFTP, FTP, HTTP and HTTPS."),
    Service("mv-manager", "mv-iptel manager", ("mv-manager",), "Manager", LOCAL,
            "Web administration of the phones' file server, over HTTPS on port 6092."),
    Service("mv-watchdog", "mv-iptel watchdog", ("mv-watchdog",), "Watchdog", None,
            "Downloads a file from the phones' file server again and again, and restarts it."),
)  # fmt: skip
STATES = {1: "stopped", 2: "starts", 3: "stops", 4: "runs", 5: "continues", 6: "pauses", 7: "paused"}


def command(service: Service, home: Path) -> list[str]:
    """What a service runs."""
    program = Path(sysconfig.get_path("scripts")) / f"{service.command[0]}.exe"
    return [str(program), *service.command[1:], "--home", str(home)]


def install(home: Home, start: bool = True) -> dict[str, Any]:
    """Make the home and the services, which start with Windows and again after a fault."""
    from mv_iptel.config import ConfigError
    from mv_iptel.init import create

    _there()
    missing = [path for one in SERVICES if not Path(path := command(one, home.root)[0]).is_file()]
    if missing:
        raise ServiceError(f"{missing[0]} is not there; install mv-iptel again with pip")
    try:
        create(home)
    except (OSError, ConfigError) as error:
        raise ServiceError(f"{home.root}: {error}") from None
    _grant(home)
    have = {one["name"] for one in status(home)["services"] if one["state"] != "not installed"}
    for one in SERVICES:
        try:
            if one.name in have:
                _change(one)
            else:
                win32serviceutil.InstallService(
                    f"mv_iptel.windows.{one.kind}", one.name, one.title, userName=one.account,
                    startType=win32service.SERVICE_AUTO_START, description=one.text,
                )  # fmt: skip
            win32serviceutil.SetServiceCustomOption(one.name, "home", str(home.root))
            _start_again(one.name)
            if start:
                win32serviceutil.RestartService(one.name)
        except win32service.error as error:
            raise ServiceError(f"{one.name}: {error.strerror}; run it as an administrator") from None
    return status(home)


def remove(home: Home, start: bool = False) -> dict[str, Any]:
    """Stop the services and remove them; the home stays."""
    _there()
    before = status(home)["services"]
    # The watchdog first: it would start the server again.
    for one in reversed(before):
        if one["state"] == "not installed":
            continue
        try:
            if one["state"] != "stopped":
                win32serviceutil.StopService(one["name"])
                win32serviceutil.WaitForServiceStatus(one["name"], win32service.SERVICE_STOPPED, END + 5)
            win32serviceutil.RemoveService(one["name"])
        except win32service.error as error:
            raise ServiceError(f"{one['name']}: {error.strerror}; run it as an administrator") from None
    return status(home)


def status(home: Home, start: bool = False) -> dict[str, Any]:
    """How each service is."""
    _there()
    told = []
    for one in SERVICES:
        try:
            state = STATES.get(win32serviceutil.QueryServiceStatus(one.name)[1], "unknown")
        except win32service.error:
            state = "not installed"
        told.append({"name": one.name, "state": state})
    return {"ok": all(one["state"] == "runs" for one in told), "services": told}


DO = {"install": install, "remove": remove, "status": status}


def _there() -> None:
    if win32serviceutil is None:
        raise ServiceError("pywin32 is not there; install it with: pip install pywin32")


def _change(one: Service) -> None:
    win32serviceutil.ChangeServiceConfig(
        f"mv_iptel.windows.{one.kind}", one.name, displayName=one.title, userName=one.account,
        startType=win32service.SERVICE_AUTO_START, description=one.text,
    )  # fmt: skip


def _grant(home: Home) -> None:
    """The services' account may change the home; who is no administrator may not read it."""
    # By number: the names of accounts differ with the language.
    rights = [
        "/inheritance:r",
        "/grant",
        "*S-1-5-18:(OI)(CI)F",
        "*S-1-5-32-544:(OI)(CI)F",
        "*S-1-5-19:(OI)(CI)M",
    ]
    done = subprocess.run(["icacls", str(home.root), *rights], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"icacls {home.root}: {done.stderr.strip() or done.stdout.strip()}")


def _start_again(name: str) -> None:
    manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_ALL_ACCESS)
    try:
        service = win32service.OpenService(manager, name, win32service.SERVICE_ALL_ACCESS)
        try:
            actions = [(win32service.SC_ACTION_RESTART, wait) for wait in AGAIN]
            win32service.ChangeServiceConfig2(
                service, win32service.SERVICE_CONFIG_FAILURE_ACTIONS,
                {"ResetPeriod": 3600, "RebootMsg": "", "Command": "", "Actions": actions},
            )  # fmt: skip
        finally:
            win32service.CloseServiceHandle(service)
    finally:
        win32service.CloseServiceHandle(manager)


if win32serviceutil is not None and sys.platform == "win32":

    class _Runs(win32serviceutil.ServiceFramework):  # type: ignore[misc]
        """A service that runs one of our commands until Windows stops it."""

        service: Service

        def __init__(self, args: Any):
            super().__init__(args)
            self._stop = win32event.CreateEvent(None, 0, 0, None)

        def SvcStop(self) -> None:
            self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, waitHint=(END + 5) * 1000)
            win32event.SetEvent(self._stop)

        def SvcDoRun(self) -> None:
            home = Path(win32serviceutil.GetServiceCustomOption(self.service.name, "home"))
            child = subprocess.Popen(
                command(self.service, home), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, creationflags=subprocess.CREATE_NO_WINDOW,
            )  # fmt: skip
            handles = (self._stop, int(child._handle))  # type: ignore[attr-defined]
            if (
                win32event.WaitForMultipleObjects(handles, False, win32event.INFINITE)
                == win32event.WAIT_OBJECT_0
            ):
                _end(child)
                return
            servicemanager.LogErrorMsg(f"{self.service.name} ended by itself, exit code {child.wait()}")
            # Only a service that did not say "stopped" is started again.
            os._exit(1)

    def _end(child: subprocess.Popen[bytes]) -> None:
        win32console.FreeConsole()
        win32console.AttachConsole(child.pid)
        win32console.SetConsoleCtrlHandler(None, True)
        win32console.GenerateConsoleCtrlEvent(win32console.CTRL_C_EVENT, 0)
        try:
            child.wait(END)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    class FileServer(_Runs):
        """The file server's service."""

        service = SERVICES[0]
        _svc_name_, _svc_display_name_ = service.name, service.title

    class Manager(_Runs):
        """The manager's service."""

        service = SERVICES[1]
        _svc_name_, _svc_display_name_ = service.name, service.title

    class Watchdog(_Runs):
        """The watchdog's service."""

        service = SERVICES[2]
        _svc_name_, _svc_display_name_ = service.name, service.title
