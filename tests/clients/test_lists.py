"""A pilot of ten phones: the list lets them in, the eleventh is kept alive by its fxd_ file."""

from __future__ import annotations

import pytest

from tests.clients.daemon import wait_for
from tests.clients.phone import ask_tftp, ask_web

PILOT = [f"127.0.0.{number}" for number in range(11, 21)]
ELEVENTH = "127.0.0.21"
# Every protocol's refusal of a plain file to an address that is not listed.
REFUSED = {"tftp": 2, "http": 403, "https": 403}
LIST = "# pilot\n" + "".join(f"{address}\n" for address in PILOT)


@pytest.fixture(params=list(REFUSED))
def proto(request):
    return request.param


@pytest.fixture
def ask(proto, program):
    return ask_tftp if proto == "tftp" else ask_web(program("curl"), proto)


@pytest.fixture
def folder(daemon, proto):
    """The protocol's data directory with a script, settings, their substitutes and the pilot's list."""
    home = daemon.home
    folder = {"tftp": home.tftp_data, "http": home.http_data, "https": home.https_data}[proto]
    for name in ("46xxupgrade.scr", "46xxsettings.txt", "96xxupgrade.txt", "fw.bin"):
        daemon.write(folder, name, f"new {name}\n".encode())
    daemon.write(folder, "fxd_upgrade.scr", b"old script\n")
    daemon.write(folder, "fxd_settings.txt", b"old settings\n")
    daemon.write(folder, "fxd_96xxupgrade.txt", b"old script of its own name\n")
    daemon.write(folder, f"{proto.upper()}_allow_IP.txt", LIST.encode())
    yield folder
    for listed in folder.glob("*allow_IP.txt"):
        listed.unlink()


def test_the_pilot_gets_the_new_files(daemon, folder, ask):
    for address in (PILOT[0], PILOT[-1]):
        assert ask(daemon, address, "46xxupgrade.scr") == b"new 46xxupgrade.scr\n"
        assert ask(daemon, address, "fw.bin") == b"new fw.bin\n"


def test_the_eleventh_gets_its_substitutes(daemon, folder, ask, proto):
    assert ask(daemon, ELEVENTH, "46xxupgrade.scr") == b"old script\n"
    assert ask(daemon, ELEVENTH, "46xxsettings.txt") == b"old settings\n"
    assert ask(daemon, ELEVENTH, "96xxupgrade.txt") == b"old script of its own name\n"
    assert ask(daemon, ELEVENTH, "fw.bin") == REFUSED[proto]
    event = daemon.event(peer=ELEVENTH, proto=proto, name="fw.bin", outcome="refused")
    assert event["reason"] == "not-listed" and event["source"].endswith(f"{proto.upper()}_allow_IP.txt")


def test_why_names_list_and_line(daemon, folder, proto):
    told = daemon.why(PILOT[3], "46xxupgrade.scr", proto)
    step = next(step for step in told["steps"] if step["step"] == "list")
    assert step["source"].endswith(f"{proto.upper()}_allow_IP.txt")
    assert step["line"] == LIST.splitlines().index(PILOT[3]) + 1
    told = daemon.why(ELEVENTH, "46xxupgrade.scr", proto)
    assert told["file"].endswith("fxd_upgrade.scr")
    assert any(step["source"].endswith(f"{proto.upper()}_allow_IP.txt") for step in told["steps"])
    told = daemon.why(ELEVENTH, "fw.bin", proto)
    assert told["reason"] == "not-listed"
    assert daemon.run("why", ELEVENTH, "fw.bin", "--protocol", proto, status=1)


def test_an_edit_takes_effect_at_the_next_request(daemon, folder, ask, proto):
    listed = folder / f"{proto.upper()}_allow_IP.txt"
    for _ in range(5):
        assert ask(daemon, ELEVENTH, "fw.bin") == REFUSED[proto]
        listed.write_text(LIST + ELEVENTH + "\n")
        assert ask(daemon, ELEVENTH, "fw.bin") == b"new fw.bin\n"
        listed.write_text(LIST)
    listed.unlink()
    assert ask(daemon, ELEVENTH, "fw.bin") == b"new fw.bin\n"


def test_a_broken_line_is_skipped_and_reported(daemon, folder, ask, proto):
    listed = folder / f"{proto.upper()}_allow_IP.txt"
    listed.write_text("ten phones of the first floor\n" + LIST)
    assert ask(daemon, PILOT[5], "fw.bin") == b"new fw.bin\n"
    assert ask(daemon, ELEVENTH, "fw.bin") == REFUSED[proto]
    wait_for("a notice of the broken line", lambda: '"list-broken"' in daemon.journal())


def test_a_list_that_cannot_be_read_keeps_the_last_good_one(daemon, folder, ask, proto):
    assert ask(daemon, ELEVENTH, "fw.bin") == REFUSED[proto]
    listed = folder / f"{proto.upper()}_allow_IP.txt"
    listed.unlink()
    listed.mkdir()  # nobody, not even root, reads a directory as a list
    try:
        assert ask(daemon, PILOT[0], "fw.bin") == b"new fw.bin\n"
        assert ask(daemon, ELEVENTH, "fw.bin") == REFUSED[proto]
        wait_for("a notice of the lost list", lambda: '"list-lost"' in daemon.journal())
    finally:
        listed.rmdir()
        listed.write_text(LIST)


def test_a_list_of_nobody(daemon, folder, ask, proto):
    (folder / f"{proto.upper()}_allow_IP.txt").write_text("# nobody yet\n")
    assert ask(daemon, PILOT[0], "fw.bin") == REFUSED[proto]


def test_lists_and_dot_files_are_never_served(daemon, folder, ask, proto):
    daemon.write(folder, "secret.ini", b"x")
    for name in (f"{proto.upper()}_allow_IP.txt", ".hidden", "secret.ini"):
        (folder / ".hidden").write_bytes(b"x")
        assert ask(daemon, PILOT[0], name) == {"tftp": 1, "http": 404, "https": 404}[proto], name
