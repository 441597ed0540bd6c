"""The journal: the lines that people and fail2ban read, their files, and a disk that takes nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mv_iptel.events import Listening, Notice, Reloaded, Started, Stopped
from mv_iptel.journal import Journal, plain, record, word
from tests.happened import NOON, finished, known, refused


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def journal(tmp_path):
    made = []

    def make(**settings):
        made.append(Journal(tmp_path / "log" / "MV_IPTel.log", **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def lines(journal):
    with open(journal.path, encoding="utf-8") as file:
        return file.read().splitlines()


AT = "2025-10-09T10:53:20"
# These are a promise (docs/status.md): other people's filters read them.
LINES = [
    (
        finished(),
        f"{AT}.000+02:00 #1        http:81   192.0.2.17      ok      46xxsettings.txt 3069 B 0.004 s",
    ),
    (
        known(48213, 0.1239, ext="4711"),
        f"{AT}.123+02:00 #48213    http:81   192.0.2.17      ok      46xxsettings.txt 3069 B 0.004 s"
        " mac=00040d112233 ext=4711 model=9640 version=3.2.1",
    ),
    (
        finished(2, file="/data/fxd_settings.txt"),
        f"{AT}.000+02:00 #2        http:81   192.0.2.17      ok      46xxsettings.txt 3069 B 0.004 s"
        " file=/data/fxd_settings.txt",
    ),
    (
        finished(3, proto="tftp", listener="tftp:69", blksize=1428, window=16, resends=2, outcome="timeout",
                 detail="no answer to block 7"),
        f"{AT}.000+02:00 #3        tftp:69   192.0.2.17      timeout 46xxsettings.txt 3069 B 0.004 s"
        " blksize=1428 window=16 resends=2 no answer to block 7",
    ),
    (
        finished(3, op="store", proto="ftp", listener="ftp:21", name="1234_4620data.txt", bytes=2148,
                 ext="1234", file="/data/1234_4620data.txt"),
        f"{AT}.000+02:00 #3        ftp:21    192.0.2.17      ok      1234_4620data.txt 2148 B 0.004 s"
        " op=store ext=1234",
    ),
    (
        refused(3, op="delete", name="1234_96xxdata.txt", reason="no-snmp", detail="no answer", source=""),
        f"{AT}.000+02:00 #3        http:81   192.0.2.17      refused 1234_96xxdata.txt no-snmp no answer"
        " op=delete",
    ),
    (
        refused(4, model="9640"),
        f"{AT}.000+02:00 #4        http:81   192.0.2.17      refused 46xxsettings.txt not-listed"
        " 192.0.2.17 is on no line /data/allow_IP.txt:3 model=9640",
    ),
    (
        refused(4, name="none.bin", reason="no-file", detail="it is not there", source="/data", line=0),
        f"{AT}.000+02:00 #4        http:81   192.0.2.17      refused none.bin no-file it is not there /data",
    ),
    (
        refused(5, name="a b\r\n#6 \u202e\\x\udc80", reason="bad-name", detail="it\nclimbs", source=""),
        f"{AT}.000+02:00 #5        http:81   192.0.2.17      refused "
        "a\\x20b\\x0d\\x0a#6\\x20\\u202e\\\\x\\udc80 bad-name it\\x0aclimbs",
    ),
    (
        refused(6, name="", detail="", source=""),
        f"{AT}.000+02:00 #6        http:81   192.0.2.17      refused - not-listed -",
    ),
    (
        Notice("list-broken", "line 4 is no address", source="/data/allow_IP.txt", line=4, time=NOON),
        f"{AT}.000+02:00 !         -         -               notice  warning list-broken line 4 is no address"
        " /data/allow_IP.txt:4",
    ),
    (
        Listening("http", "0.0.0.0", 81, "failed", "Address already in use; held by nginx", time=NOON),
        f"{AT}.000+02:00 !         http:81   -               listening failed on 0.0.0.0:"
        " Address already in use; held by nginx",
    ),
    (
        Started("0.1.0", "/srv/phones", ("IPTel",), time=NOON),
        f"{AT}.000+02:00 !         -         -               started version 0.1.0"
        " in /srv/phones; LEGACY: IPTel",
    ),
    (
        Reloaded("/x.ini", True, 2, ("a finding",), ("User",), time=NOON),
        f"{AT}.000+02:00 !         -         -               reloaded ok /x.ini generation=2; a finding;"
        " restart needed for User",
    ),
    (Stopped("SIGTERM", time=NOON), f"{AT}.000+02:00 !         -         -               stopped SIGTERM"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "line"), LINES, ids=lambda one: getattr(one, "event", ""))
def test_a_text_line(journal, event, line):
    log = journal()
    log.receive([event])
    assert lines(log) == [line]


@pytest.mark.parametrize("event", [event for event, _ in LINES], ids=lambda one: one.event)
def test_a_json_line_is_the_record(journal, event):
    log = journal(form="json")
    log.receive([event])
    assert json.loads(lines(log)[0]) == json.loads(json.dumps(record(event)))
    assert record(event)["event"] == event.event


def test_the_record_has_the_promised_fields():
    promised = (
        "time id event proto listener peer mac ext model version name file outcome reason bytes seconds "
        "resends blksize window"
    )
    assert list(record(finished()))[:19] == promised.split()
    assert record(finished())["op"] == "read"


ANYTHING = st.text(max_size=600)
# fail2ban's view: the columns up to the reason, whatever stands in the name.
COLUMNS = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0\d:00 #\d+ +http:81 +192\.0\.2\.17 +refused \S+ no-file \S.*\Z"
)


@given(name=ANYTHING, detail=ANYTHING, source=ANYTHING, ext=ANYTHING, model=ANYTHING, version=ANYTHING)
@example(name="", detail=" ", source="", ext="", model="", version="")
def test_no_phone_breaks_or_forges_a_line(tmp_path_factory, name, detail, source, ext, model, version):
    path = tmp_path_factory.mktemp("log") / "log"
    log = Journal(path)
    event = refused(7, name=name, detail=detail, source=source, ext=ext, model=model, version=version,
                    reason="no-file")  # fmt: skip
    notice = Notice(name, detail, source=source, peer=ext, time=NOON)
    log.receive([event, notice])
    log.close()
    text = path.read_bytes().decode()
    first, second, end = text.split("\n")
    assert end == "" and first.isprintable() and second.isprintable()
    assert COLUMNS.match(first)
    assert len(text) < 30_000


@given(ANYTHING)
def test_a_word_has_no_blank_and_an_end(text):
    assert " " not in word(text) and word(text).isprintable() and 1 <= len(word(text)) <= 2200
    assert plain(text).isprintable() and len(plain(text)) <= 5000


def test_a_batch_is_one_write(journal, monkeypatch):
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(len(data)) or real(fd, data))
    log = journal()
    log.receive([finished(number) for number in range(1000)])
    assert len(writes) == 1 and len(lines(log)) == 1000


def test_files_rotate_by_size_and_the_oldest_goes(journal, tmp_path):
    log = journal(max_bytes=1000, files=2)
    for number in range(60):
        log.receive([finished(number)])
    log.close()
    kept = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert kept == ["MV_IPTel.log", "MV_IPTel.log.1", "MV_IPTel.log.2"]
    assert all(path.stat().st_size <= 1000 for path in (tmp_path / "log").iterdir())
    numbers = [
        int(re.search(r"#(\d+)", line)[1])
        for name in reversed(kept) for line in (tmp_path / "log" / name).read_text().splitlines()
    ]  # fmt: skip
    assert numbers == list(range(numbers[0], 60)) and numbers[0] > 0


def test_rotation_goes_on_after_a_restart(journal, tmp_path):
    journal(max_bytes=1000, files=3).receive([finished(number) for number in range(9)])
    log = journal(max_bytes=1000, files=3)
    log.receive([finished(number) for number in range(9, 18)])
    first = (tmp_path / "log" / "MV_IPTel.log.1").read_text()
    assert "#8 " in first and "#9 " not in first and "#9 " in "\n".join(lines(log))


def test_a_file_that_was_moved_away_is_begun_anew(journal, tmp_path):
    log = journal()
    log.receive([finished(1)])
    os.rename(log.path, tmp_path / "moved")
    log.receive([finished(2)])
    assert len(lines(log)) == 1 and "#2 " in lines(log)[0]


def test_a_full_disk_is_said_once_and_nothing_stops(journal, monkeypatch):
    said, now = [], [0.0]
    log = journal(publish=said.append, clock=lambda: now[0])
    log.receive([finished(1)])

    def full(fd, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for second in range(5):
            now[0] = float(second)
            log.receive([finished(2), finished(3)])
    assert log.lost == 10
    assert [(one.kind, one.level) for one in said] == [("journal", "error")]
    assert "No space left" in said[0].text
    now[0] = 10.0
    log.receive([finished(4)])
    assert [line.split()[1] for line in lines(log)] == ["#1", "#4"]
    assert said[-1].level == "info" and "10 lines were lost" in said[-1].text


def test_a_line_that_was_half_written_is_ended_first(journal, monkeypatch):
    now = [0.0]
    log = journal(clock=lambda: now[0])
    real, room = os.write, [20]

    def little(fd, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, "full")
        done = real(fd, bytes(data)[: room[0]])
        room[0] -= done
        return done

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", little)
        log.receive([finished(1)])
    now[0] = 5.0
    log.receive([finished(2)])
    torn, whole = lines(log)
    assert len(torn) == 20 and whole.split()[1] == "#2"


def test_a_directory_in_its_place_stops_nothing(tmp_path):
    said = []
    (tmp_path / "log").mkdir()
    log = Journal(tmp_path / "log", publish=said.append)
    log.receive([finished(1)])
    assert log.lost == 1 and len(said) == 1
    log.close()


def test_without_details_repeated_refusals_are_counted(journal):
    log = journal(detailed=False)
    log.receive([refused(number, number * 1.0) for number in range(1, 8)])
    log.receive([refused(8, 7.5, peer="192.0.2.18"), finished(9, 7.6), finished(10, 7.7)])
    assert [line.split()[1] for line in lines(log)] == ["#1", "#8", "#9", "#10"]
    log.tick(NOON + 9)
    assert len(lines(log)) == 4
    log.tick(NOON + 30)
    assert lines(log)[4].split()[1] == "#7" and " again=6" in lines(log)[4]
    log.receive([refused(11, 31.0)])
    assert lines(log)[5].split()[1] == "#11"


def test_what_was_held_back_is_written_at_the_end(journal):
    log = journal(detailed=False, form="json")
    log.receive([refused(1), refused(2, 1.0)])
    log.close()
    assert [json.loads(line).get("again") for line in lines(log)] == [None, 1]


def test_a_flood_of_different_refusals_holds_no_memory(journal):
    log = journal(detailed=False)
    log.receive([refused(number, name=f"x{number}") for number in range(20_000)])
    assert len(log._repeats) <= 4096 and len(lines(log)) == 20_000


def test_settings_are_followed(journal, tmp_path):
    from dataclasses import replace

    from mv_iptel import config
    from mv_iptel.home import Home

    settings = config.defaults(Home(tmp_path)).settings
    log = Journal.of(settings)
    log.receive([finished(1)])
    log.configure(replace(settings, log_format="json", log_file=tmp_path / "other.log"))
    log.receive([finished(2)])
    log.close()
    assert "#1 " in settings.log_file.read_text()
    assert json.loads((tmp_path / "other.log").read_text())["id"] == 2


def test_the_filter_that_the_documentation_gives_finds_the_address():
    text = (Path(__file__).parent.parent / "docs" / "status.md").read_text("utf-8")
    form = re.search(r"failregex = (.*)", text)[1].replace("<HOST>", r"(?P<host>\S+)")
    caught = [line for _, line in LINES if re.search(form, line)]
    assert [line.split()[1] for line in caught] == ["#4", "#5", "#6"]
    assert {re.search(form, line)["host"] for line in caught} == {"192.0.2.17"}
