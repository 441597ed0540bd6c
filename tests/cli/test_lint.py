"""The command lint: what it prints, its JSON, its exit codes, and that --fix writes nothing else."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

from mv_iptel import init
from mv_iptel.cli.lint import lint_command
from mv_iptel.cli.settings import settings
from mv_iptel.home import Home
from mv_iptel.phones.lint import CODES


def run(*arguments: object, home: object = "/nonexistent"):
    return CliRunner().invoke(lint_command, ["--home", str(home), *(str(each) for each in arguments)])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "46xxupgrade.scr").write_bytes(b"GET 46xxsettings.txt\n")
    (tmp_path / "46xxsettings.txt").write_bytes(
        b"SET L2Q 0\r\n  SET L2QVLAN 20\r\nSET COFFEE_STRENGTH 3\r\n## \xe9\r\n"
    )
    return tmp_path


def test_a_sound_file_says_nothing(folder):
    done = run(folder / "46xxupgrade.scr")
    assert done.exit_code == 0 and done.stdout == "nothing to mend\n"


def test_findings_as_text(folder):
    done = run(folder)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        f"{folder}/46xxsettings.txt:2: warning leading-blanks: blanks stand before SET"
    )
    assert lines[1].startswith("    begin the line in the first column")
    assert lines[-1] == "1 warning, 1 note"
    assert "unknown-parameter" in done.stdout
    assert "unknown-parameter" not in run(folder, "--no-notes").stdout


def test_notes_alone_end_well(folder):
    (folder / "46xxsettings.txt").write_bytes(b"SET COFFEE_STRENGTH 3\n")
    assert run(folder).exit_code == 0


def test_findings_as_json(folder):
    done = run(folder / "46xxsettings.txt", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert told["counts"] == {"error": 0, "warning": 1, "info": 1}
    first = told["findings"][0]
    assert (first["file"], first["line"], first["code"]) == (
        str(folder / "46xxsettings.txt"),
        2,
        "leading-blanks",
    )
    assert first["fix"] is True and first["mend"]


def test_a_dry_run_changes_nothing(folder):
    before = (folder / "46xxsettings.txt").read_bytes()
    done = run(folder, "--fix", "--dry-run")
    assert done.exit_code == 1
    assert "-  SET L2QVLAN 20" in done.stdout and "+SET L2QVLAN 20" in done.stdout
    assert done.stdout.endswith("1 file would change\n")
    assert (folder / "46xxsettings.txt").read_bytes() == before
    assert (
        json.loads(run(folder, "--fix", "--dry-run", "--json").stdout)["changes"][0]["mended"][0]["line"] == 2
    )


def test_fix_mends_and_keeps_the_rest(folder):
    path = folder / "46xxsettings.txt"
    path.chmod(0o640)
    done = run(path, "--fix")
    assert done.exit_code == 0
    assert "1 line mended" in done.stdout
    assert path.read_bytes() == b"SET L2Q 0\r\nSET L2QVLAN 20\r\nSET COFFEE_STRENGTH 3\r\n## \xe9\r\n"
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(folder)) == ["46xxsettings.txt", "46xxupgrade.scr"]
    assert json.loads(run(folder, "--fix", "--json").stdout)["changes"] == []


def test_fix_goes_through_a_link(folder, tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (real / "x.txt").write_bytes(b" SET L2Q 0\n")
    link = folder / "J179.txt"
    link.symlink_to(real / "x.txt")
    assert run(link, "--fix").exit_code == 0
    assert link.is_symlink() and (real / "x.txt").read_bytes() == b"SET L2Q 0\n"


def test_a_single_file_misses_nothing_beside_it(tmp_path):
    path = tmp_path / "96x1Hupgrade.txt"
    path.write_bytes(b"SET APPNAME gone.tar\nGET 46xxsettings.txt\n")
    assert run(path).exit_code == 0
    (tmp_path / "46xxsettings.txt").write_bytes(b"")
    assert "no-firmware" in run(path).stdout


def test_one_model_only(folder):
    (folder / "46xxsettings.txt").write_bytes(
        b"IF $MODEL4 SEQ 9640 GOTO A\nGOTO END\n# A\nSET L2Q 9\n# END\n"
    )
    assert run(folder, "--model", "9640").exit_code == 1
    assert run(folder, "--model", "J179").exit_code == 0
    assert run(folder, "--family", "96X0-sip").exit_code == 1
    wrong = run(folder, "--model", "1234")
    assert wrong.exit_code == 2 and "9611G" in wrong.stderr


def test_wrong_calls(tmp_path):
    assert run(tmp_path / "absent").exit_code == 2
    assert run(tmp_path, "--dry-run").exit_code == 2
    assert run("--corpus", tmp_path / "absent").exit_code == 2
    assert run().exit_code == 2


def test_a_table_over_a_corpus(folder):
    done = run("--corpus", folder)
    assert done.exit_code == 1 and "2 files" in done.stdout
    told = json.loads(run("--corpus", folder, "--json").stdout)
    assert [(row["file"], row["counts"]["warning"]) for row in told["files"]] == [
        ("46xxsettings.txt", 1),
        ("46xxupgrade.scr", 0),
    ]
    assert told["files"][1]["trace"]["4600"]["sets"] == 2


def test_every_code_is_listed():
    done = run("--codes")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == list(CODES)
    assert [each["code"] for each in json.loads(run("--codes", "--json").stdout)] == list(CODES)


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    (tmp_path / "46xxsettings.txt").write_bytes(b"SET \x1b[31mNAME x\nGOTO \x1b]0;x\x07\n")
    assert "\x1b" not in run(tmp_path).stdout


def test_an_installation_is_linted_without_a_path(tmp_path):
    home = Home(tmp_path / "home")
    init.create(home, "files1", ["192.0.2.10"])
    assert run(home=home.root).exit_code == 0
    with open(home.http_data / "46xxsettings.txt", "ab") as file:
        file.write(b"SET BRURI https://192.0.2.77:411/\n")
    for paths in ((), (home.http_data,), (home.http_data / "46xxsettings.txt",), (home.root,)):
        done = run(*paths, home=home.root)
        assert done.exit_code == 1
        assert "192.0.2.77, which is no address of this server" in done.stdout
    assert "backup-elsewhere" not in run(home.http_data).stdout, "another installation knows nothing of it"


def test_what_a_fix_replaces_is_kept(tmp_path):
    """`settings undo` brings it back, though no server saw it."""
    home = Home(tmp_path)
    init.create(home, "files1", ["192.0.2.10"])
    path = home.http_data / "46xxsettings.txt"
    before = b"  SET L2QVLAN 20\n" + path.read_bytes()
    path.write_bytes(before)
    assert "settings undo HTTPdata/46xxsettings.txt" in run("--fix", home=home.root).stdout
    assert path.read_bytes() != before
    done = CliRunner().invoke(settings, ["undo", "HTTPdata/46xxsettings.txt", "--home", str(home.root)])
    assert done.exit_code == 0 and path.read_bytes() == before
