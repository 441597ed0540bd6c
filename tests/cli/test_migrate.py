"""The command migrate, as somebody types it."""

from __future__ import annotations

import fcntl
import json

import pytest
from click.testing import CliRunner

from mv_iptel.cli.migrate import migrate
from mv_iptel.home import Home
from tests.migrating.reference import install


@pytest.fixture
def there(tmp_path):
    return install(tmp_path / "old")


def run(*words):
    return CliRunner().invoke(migrate, [str(word) for word in words])


def test_a_dry_run_writes_nothing(there, tmp_path):
    done = run(there, "--to", tmp_path / "home", "--dry-run")
    assert done.exit_code == 1 and not (tmp_path / "home").exists()
    assert "Nothing was written." in done.output and "taken    5: [Settings] RunStatus = 1" in done.output
    assert (
        "Avaya" not in done.output.replace("Program Files", "").replace("\\Avaya\\", "")
        or "hidden" in done.output
    )


def test_a_move_ends_with_check(there, site):
    done = run(there, "--to", site.root, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1 and told["done"]["users"] == 3 and not told["dry_run"]
    assert told["verdicts"]["taken"] > 30 and any(one["verdict"] == "decide" for one in told["rows"])
    assert any(one["key"] == "CustomFTP" for one in told["check"])
    done = run(there, "--to", site.root, "--quiet")
    assert (
        "0 copied" in done.output and "taken  " not in done.output and "Next: mv-iptel serve" in done.output
    )


def test_what_is_refused(there, tmp_path):
    assert run(tmp_path / "nothing").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", "--to", tmp_path / "home").exit_code == 2
    for inside in (there, there / "MV_IPTel" / "home", tmp_path):
        assert "lie in each other" in run(there, "--to", inside).output


def test_not_under_a_running_server(there, tmp_path):
    home = Home(tmp_path / "home")
    home.var.mkdir(parents=True)
    with open(home.var / "server.lock", "w+") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(there, "--to", home.root)
        assert done.exit_code == 1 and "process 4711" in done.output
        assert run(there, "--to", home.root, "--dry-run").exit_code == 1
