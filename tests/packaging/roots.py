"""A Debian beneath a directory, made by debootstrap and entered with processes and a network of its own."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.clients.daemon import PATIENCE, wait_for

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root",
               "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}  # fmt: skip
LONG = 900  # seconds: a mirror may be far away


def mirror() -> str:
    """Where this host has its own packages from, as apt is set up; empty if it has no apt."""
    form = "$(CREATED_BY) $(COMPONENT) $(REPO_URI)"
    try:
        asked = subprocess.run(["apt-get", "indextargets", "--format", form], text=True, capture_output=True)
    except OSError:
        return ""
    rows = [line.split() for line in asked.stdout.splitlines()]
    found = [row[2] for row in rows if len(row) == 3 and row[:2] == ["Packages", "main"]]
    return next((place for place in found if "security" not in place), "")


def suite() -> str:
    """The name of this host's release."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


class Unit(NamedTuple):
    """What a test takes from a unit file: how systemd would start its process."""

    values: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Unit:
        values: dict[str, list[str]] = {}
        for line in path.read_text("utf-8").splitlines():
            key, equals, value = line.partition("=")
            if equals and line[0] not in "#;":
                values.setdefault(key.strip(), []).append(value.strip())
        return cls(values)

    def one(self, key: str, default: str = "") -> str:
        return self.values.get(key, [default])[-1]

    def command(self) -> list[str]:
        """Its ExecStart line, as its own user, with its rights, its umask and nothing else."""
        rights = [f"+{name.lower().removeprefix('cap_')}" for name in self.one("AmbientCapabilities").split()]
        caps = ",".join(["-all", *rights])
        become = ["setpriv", "--reuid", self.one("User"), "--regid", self.one("Group"), "--init-groups",
                  f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}",
                  "--no-new-privs"]  # fmt: skip
        environment = [word for line in self.values.get("Environment", []) for word in shlex.split(line)]
        environment += [f"PATH={ENVIRONMENT['PATH']}", "NOTIFY_SOCKET=/run/mv-notify"]
        masked = ["sh", "-c", f'umask {self.one("UMask", "0022")}; exec "$@"', "sh"]
        return [*become, "env", "-i", *environment, *masked, *shlex.split(self.one("ExecStart"))]


class Root:
    """A root directory. Commands run in it; `alone()` gives them a network that nobody else sees."""

    def __init__(self, path: Path):
        self.path = path
        self._keeper: subprocess.Popen | None = None

    @classmethod
    def make(cls, path: Path, debootstrap: str) -> Root:
        """The smallest Debian of this host's release, from this host's mirror."""
        command = [debootstrap, "--variant=minbase", suite(), str(path), mirror()]
        _checked(subprocess.run(command, text=True, capture_output=True, timeout=LONG))
        return cls(path)

    def run(self, *command: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run in the root: within `alone()` with its network, else with this host's."""
        if self._keeper is not None:
            done = subprocess.run(self.inside(*command), text=True, capture_output=True, timeout=LONG)
        else:
            # A /proc of its own: packages look into it.
            proc = f"mount -t proc proc {shlex.quote(str(self.path))}/proc && "
            script = proc + shlex.join(["chroot", str(self.path), *_environment(), *command])
            outer = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
            done = subprocess.run(outer, text=True, capture_output=True, timeout=LONG)
        return _checked(done, status)

    def inside(self, *command: str) -> list[str]:
        """The command line that runs `command` among the root's own processes."""
        assert self._keeper is not None
        child = _child(self._keeper.pid)
        enter = ["nsenter", f"--target={child}", "--mount", "--pid", "--net"]
        return [*enter, "chroot", str(self.path), *_environment(), *command]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Until the end, commands share processes and a network with a loopback and nothing else."""
        proc = shlex.quote(str(self.path))
        script = f"mount -t proc proc {proc}/proc && ip link set lo up && echo up && exec sleep infinity"
        command = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", script]
        self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert self._keeper.stdout.readline() == "up\n"
            yield
        finally:
            self._keeper.kill()  # its child, and with it everything inside, is killed by --kill-child
            self._keeper.wait()
            self._keeper.stdout.close()
            self._keeper = None

    @contextmanager
    def service(self, name: str) -> Iterator[Service]:
        """Start a unit's process as systemd would, and wait until it says that it is ready."""
        unit = Unit.read(self.path / "usr/lib/systemd/system" / name)
        told = self.path / "run/mv-notify"
        told.unlink(missing_ok=True)
        output = self.path / "tmp" / f"{name}.out"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, output.open("wb") as out:
            notify.bind(str(told))
            told.chmod(0o666)
            notify.settimeout(0.05)
            process = subprocess.Popen(self.inside(*unit.command()), stdout=out, stderr=out)
            running = Service(self, unit, process, output, notify)
            try:
                wait_for(f"{name} ready ({output})", running.is_ready, 4 * PATIENCE)
                yield running
            finally:
                running.end()

    def files(self, *without: str) -> dict[str, tuple[int, int]]:
        """Every path with its mode and size, but not beneath `without` (of directories no size)."""
        found = {}
        for place, folders, names in os.walk(self.path):
            inside = "/" + os.path.relpath(place, self.path).removeprefix(".")
            folders[:] = [one for one in folders if os.path.join(inside, one) not in without]
            for name in [*folders, *names]:
                path = os.path.join(inside, name)
                if path not in without:
                    seen = os.lstat(os.path.join(place, name))
                    found[path] = (seen.st_mode, 0 if name in folders else seen.st_size)
        return found


class Service:
    """One running process of a unit."""

    def __init__(
        self, root: Root, unit: Unit, process: subprocess.Popen, output: Path, notify: socket.socket
    ):
        self.root, self.unit, self.process, self.output, self._notify = root, unit, process, output, notify
        self.said: list[str] = []  # what it told systemd

    def is_ready(self) -> bool:
        """Whether it has told that it is ready; it must not have ended."""
        assert self.process.poll() is None, self.output.read_text("utf-8", "replace")
        try:
            self.said += self._notify.recv(4096).decode().split("\n")
        except TimeoutError:
            pass
        return "READY=1" in self.said

    @property
    def pid(self) -> int:
        """The process itself, as this host counts."""
        return _child(self.process.pid)

    def user(self) -> str:
        """Whose process it is, by the root's own names."""
        uid = str(os.stat(f"/proc/{self.pid}").st_uid)
        names = (line.split(":") for line in (self.root.path / "etc/passwd").read_text().splitlines())
        return next(name for name, _, number, *_ in names if number == uid)

    def rights(self) -> int:
        """Its effective capabilities, a bit each."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1], 16)

    def end(self) -> None:
        """As systemd ends it: SIGTERM, and it ends well."""
        if self.process.poll() is None:
            # nsenter waits for the process within; the signal is for that one.
            os.kill(self.pid, signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        said = self.output.read_text("utf-8", "replace")
        assert code in {0, -signal.SIGTERM, 128 + signal.SIGTERM}, said
        assert "Traceback" not in said, said


def _environment() -> list[str]:
    return ["env", "-i", *(f"{key}={value}" for key, value in ENVIRONMENT.items())]


def _child(pid: int) -> int:
    """The one child of a process."""
    return int(wait_for("a child", lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split())[0])


def _checked(done: subprocess.CompletedProcess, status: int | None = 0) -> subprocess.CompletedProcess:
    assert status is None or done.returncode == status, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done


def chosen(depends: str) -> Sequence[str]:
    """The first choice of each dependency, without versions."""
    return [part.split("|")[0].split("(")[0].strip() for part in depends.split(",")]
