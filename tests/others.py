"""Doing something as another user of the services' group, as the processes of a package are; needs root."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mv_iptel import owning

GROUP = 20100
ACCOUNTS = owning.Accounts(GROUP, {owning.SERVER: 20001, owning.MANAGER: 20002, owning.WATCHDOG: 20003})
SERVER, MANAGER = ACCOUNTS.users[owning.SERVER], ACCOUNTS.users[owning.MANAGER]

root_only = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")


@contextmanager
def shared() -> Iterator[Path]:
    """A directory as `var/` of a package is: the server's, and its group's. tmp_path is root's alone."""
    with tempfile.TemporaryDirectory(prefix="mv-iptel-others-") as made:
        folder = Path(made, "var")
        folder.mkdir()
        Path(made).chmod(0o755)
        os.chown(folder, SERVER, GROUP)
        folder.chmod(0o2770)
        yield folder


def run_as(user: int, work: Callable[[], object], umask: int = 0o007) -> None:
    """Do this in a child process of that user; what it raises fails the test."""
    child = os.fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "see what the child printed"
        return
    code = 1
    try:
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
        os.setresuid(user, user, user)
        os.umask(umask)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
