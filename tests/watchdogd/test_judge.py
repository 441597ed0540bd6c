"""The judge, in tables: what counts, what is only told, how it is named, when the server is restarted."""

from __future__ import annotations

import pytest

from watchdogd.judge import (
    BOOT,
    Counter,
    Got,
    Rules,
    Seen,
    Server,
    State,
    Target,
    full,
    judge,
)

TFTP, HTTP, HTTPS = (
    Target("tftp", "127.0.0.1", 69),
    Target("http", "127.0.0.1", 81),
    Target("https", "::1", 411),
)
DATA = "/home/HTTPdata"
GOOD = Got("same", directory=DATA)
UP = Server(True, 7, "running")
SILENT = Got("silent", directory=DATA)


def seen(server=UP, local=True, matters=(), pending=(), **got):
    targets = {"tftp": TFTP, "http": HTTP, "https": HTTPS, "boot": Target(BOOT, "9640", 0)}
    return Seen({targets[name]: one for name, one in got.items()}, server, matters, local, pending)


def play(*rounds, rules=Rules(3, 3), state=State(), step=10.0, counting=True):  # noqa: B008
    """Rounds one after the other; the state of the end, and each round's verdicts."""
    told = []
    for number, one in enumerate(rounds):
        state, verdicts = judge(state, one, rules, 1000.0 + number * step, counting)
        told.append(verdicts)
    return state, told


def reasons(told):
    return [(one.kind, one.listener, one.reason) for verdicts in told for one in verdicts]


def test_up_and_down():
    state, told = play(seen(http=SILENT), seen(http=SILENT))
    assert state.counters["http:81"].failures == 2 and not reasons(told)
    state, _ = play(seen(http=GOOD), state=state)
    assert state.counters["http:81"].failures == 1 and state.counters["http:81"].reason == "wedged"
    state, _ = play(seen(http=GOOD), seen(http=GOOD), state=state)
    assert state.counters["http:81"] == Counter(ok_at=1010.0, result="same")


def test_the_limit_restarts_once_and_counts_anew():
    state, told = play(*[seen(http=SILENT, tftp=GOOD)] * 3)
    assert reasons(told) == [("restart", "http:81", "wedged")]
    assert state.counters["http:81"].failures == 0 and state.restarts == (1020.0,)
    _, told = play(seen(http=GOOD, tftp=GOOD), state=state)
    assert reasons(told) == [("over", "all", "well")]


def test_nothing_is_over_in_the_round_of_the_restart():
    _, told = play(*[seen(http=SILENT)] * 4)
    assert reasons(told) == [("restart", "http:81", "wedged")]


@pytest.mark.parametrize(("server", "got", "listener", "reason"), [
    (Server(False, 7, "gone"), Got("closed"), "all", "killed"),
    (Server(False, 0, "unknown"), Got("closed"), "all", "killed"),
    (Server(None, 0, "unknown"), Got("closed"), "all", "killed"),
    (Server(False, 7, "stopped"), SILENT, "all", "stopped"),
    (Server(False, 7, "running"), SILENT, "all", "hung"),
    (UP, SILENT, "http:81", "wedged"),
    (UP, Got("closed"), "http:81", "closed"),
    (UP, Got("broken", "reset"), "http:81", "broken"),
    (UP, Got("differs", directory=DATA), "http:81", "differs"),
    (UP, Got("missing", "404", directory=DATA), "http:81", "withheld"),
    (UP, Got("busy", "503"), "http:81", "busy"),
    (Server(True, 7, "running", {"http:81": "port 81 is taken by nginx"}), SILENT, "http:81", "taken"),
    (Server(True, 7, "running", {"http:81": "port 81 is taken"}), Got("missing"), "http:81", "taken"),
])  # fmt: skip
def test_names(server, got, listener, reason):
    _, told = play(*[seen(server, http=got)] * 3)
    assert reasons(told) == [("restart", listener, reason)]


def test_one_that_answers_shows_that_the_server_lives():
    _, told = play(*[seen(Server(None, 7, "running"), http=SILENT, tftp=GOOD)] * 3)
    assert reasons(told) == [("restart", "http:81", "wedged")]


@pytest.mark.parametrize("got", [
    Got("missing", "404", there=False, directory=DATA, others=1),
    Got("missing", "404", there=False, directory=DATA, others=0),
    Got("differs", there=False, directory=DATA),  # removed while it was sent
    Got("missing", "550", there=False, directory=DATA, unreadable="no right"),
    Got("same", certificate="the certificate has ended", directory=DATA),
])  # fmt: skip
def test_no_failures(got):
    state, told = play(*[seen(http=got)] * 9)
    assert state.counters["http:81"].failures == 0
    assert not [one for one in reasons(told) if one[0] == "restart"]


def test_a_busy_server_that_sends_is_left_alone():
    rounds = [seen(UP._replace(octets=number * 100), http=Got("busy")) for number in range(9)]
    state, told = play(*rounds)
    assert state.counters["http:81"].failures <= 1 and not reasons(told)
    _, told = play(*[seen(UP._replace(octets=500), http=Got("busy"))] * 5)
    assert ("restart", "http:81", "busy") in reasons(told)


def test_an_emptied_directory_is_told_and_restarts_nothing():
    gone = Got("missing", there=False, directory=DATA, others=0)
    state, told = play(seen(http=GOOD), *[seen(http=gone)] * 5)
    assert reasons(told) == [("alert", DATA, "emptied")] and len(told[3]) == 1
    _, told = play(seen(http=GOOD), state=state)
    assert reasons(told) == [("over", "all", "well")]
    _, told = play(*[seen(http=gone._replace(others=-1))] * 3, state=State(found=frozenset({DATA})))
    assert "not there any more" in told[2][0].text
    state, told = play(*[seen(http=gone._replace(others=1))] * 5, state=State(found=frozenset({DATA})))
    assert not reasons(told) and [one.kind for one in state.matters.values()] == ["check-lost"]


def test_never_found_is_a_finding():
    state, told = play(*[seen(http=Got("missing", there=False, directory=DATA, others=0))] * 9)
    assert not reasons(told) and [one.kind for one in state.matters.values()] == ["check-never"]


def test_an_ended_certificate_is_told_once_for_all_listeners():
    ended = GOOD._replace(certificate="the certificate has ended")
    server = UP._replace(certificates=[("CN=x", 10.0)])
    _, told = play(*[seen(server, https=ended, http=ended)] * 5)
    assert reasons(told) == [("alert", "all", "certificate")]
    assert told[2][0].text == "https:411, http:81: the certificate has ended"
    _, told = play(*[seen(server, http=GOOD)] * 3)  # no listener shows it: the file does
    assert told[2][0].text == "the certificate CN=x has ended"
    assert not reasons(play(*[seen(UP._replace(certificates=[("CN=x", 9e9)]), http=GOOD)] * 3)[1])


def test_a_full_disk_is_told():
    server = UP._replace(disk=(1 << 20, 1 << 40))
    assert reasons(play(*[seen(server, http=GOOD)] * 4)[1]) == [("alert", "all", "disk")]
    assert full(1 << 40) == 200 << 20 and full(1 << 30) == (1 << 30) // 100


def test_switched_off_by_hand():
    server = UP._replace(off=("http:81",))
    state, told = play(*[seen(server, http=Got("closed"), tftp=GOOD)] * 3)
    assert reasons(told) == [("alert", "http:81", "off")] and not state.counters["http:81"].failures


def test_what_is_no_more_wanted_is_forgotten():
    state, _ = play(seen(http=SILENT, tftp=GOOD), seen(tftp=GOOD))
    assert set(state.counters) == {"tftp:69"}


def test_another_host_must_only_answer():
    state, told = play(*[seen(local=False, http=Got("missing"), tftp=Got("same"))] * 5)
    assert not any(one.failures for one in state.counters.values()) and not reasons(told)


def test_so_many_an_hour_and_no_more():
    wedged = [seen(http=SILENT)] * 3
    state, told = play(*wedged * 5, step=60)
    assert [kind for kind, _, _ in reasons(told)] == ["restart"] * 3 + ["alert"]
    assert "MaxRestartsPerHour=3 is used up" in told[11][0].text
    # Told once; an hour later there is one left.
    state, told = play(
        seen(http=SILENT), state=State(counters=state.counters, restarts=state.restarts), step=0
    )
    assert not reasons(told)
    state, verdicts = judge(state, seen(http=SILENT), Rules(3, 3), 1000 + 3600 + 1000)
    assert verdicts[0].kind == "restart"


def test_none_an_hour_is_never():
    _, told = play(*[seen(http=SILENT)] * 9, rules=Rules(3, 0))
    assert [kind for kind, _, _ in reasons(told)] == ["alert"] and "MaxRestartsPerHour=0" in told[2][0].text


def test_a_clock_that_is_set_back_gives_no_restarts_away():
    state = State(restarts=(5000.0, 5000.0, 5000.0))
    _, verdicts = judge(State(restarts=state.restarts, counters={"http:81": Counter(2)}), seen(http=SILENT),
                        Rules(3, 3), 4000.0)  # fmt: skip
    assert verdicts[0].kind == "alert"


def test_a_taken_port_is_tried_once():
    taken = seen(Server(True, 7, "running", {"http:81": "taken by nginx"}), http=SILENT)
    state, told = play(*[taken] * 12)
    assert [kind for kind, _, _ in reasons(told)] == ["restart", "alert"]
    assert "did not help" in told[5][0].text
    # Something else that fails is not kept from its restart by it.
    both = Seen({HTTP: SILENT, TFTP: SILENT}, taken.server)
    _, told = play(*[both] * 3, state=state)
    assert reasons(told) == [("restart", "tftp:69", "wedged")]
    # Once it was well it may be tried again.
    state, _ = play(*[seen(http=GOOD)] * 3, state=state)
    assert reasons(play(*[taken] * 3, state=state)[1])[-1][0] == "restart"


def test_nothing_is_counted_while_the_script_runs():
    state, told = play(*[seen(http=SILENT)] * 9, counting=False)
    assert not reasons(told) and state.counters["http:81"].failures == 0


@pytest.mark.parametrize(("got", "expected"), [
    (Got("silent", "no answer in time"), [("restart", "boot:9640", "boot")]),
    (Got("missing", "403"), [("alert", "boot:9640", "unserved")]),
    (Got("same"), []),
])  # fmt: skip
def test_a_phone(got, expected):
    assert reasons(play(*[seen(boot=got, http=GOOD)] * 3)[1]) == expected


def test_a_phone_that_still_boots_is_as_it_was():
    state, _ = play(*[seen(boot=Got("missing", "403"), http=GOOD)] * 2)
    after, _ = play(*[seen(http=GOOD, pending=["boot:9640"])] * 4, state=state)
    assert after.counters["boot:9640"] == state.counters["boot:9640"]
    assert after.matters == state.matters


def test_lists_are_no_business_of_the_watchdog():
    """The check file is outside the lists: whoever they let in, the download is good."""
    assert not reasons(play(*[seen(http=GOOD, tftp=GOOD)] * 9)[1])
