"""The bench measures what it says: every byte is compared, the meter counts, verdicts follow the figures."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))  # benchmarks/ is not part of the installed package

from benchmarks import files as bench_files  # noqa: E402
from benchmarks import meter as metering  # noqa: E402
from benchmarks import report, servers  # noqa: E402
from benchmarks.build import build  # noqa: E402
from benchmarks.cases import CASES, Bench, RunError, derive, measure, run  # noqa: E402
from benchmarks.files import SETTINGS, SMALL, Files  # noqa: E402
from benchmarks.servers import CHALLENGED, DNSMASQ, NGINX, OURS, TFTPD, VSFTPD, Server, running  # noqa: E402
from benchmarks.targets import Target, judge  # noqa: E402

BY_KEY = {case.key: case for case in CASES}


@pytest.fixture(scope="module")
def generators(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing (Debian package gcc)")
    return build(tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    return bench_files.make(tmp_path_factory.mktemp("files"))


@pytest.fixture
def start(tmp_path, files):
    """`with start(server) as running`, skipped by name where it cannot run."""

    def begin(server: Server, served: Files = files):
        if why := server.missing():
            pytest.skip(why)
        return running(server, tmp_path, served)

    return begin


def spoiled(files: Files, folder: Path, name: str, at: int) -> Files:
    """The same files, but one byte of one of them is another."""
    root = folder / "spoiled"
    shutil.copytree(files.root, root)
    content = bytearray((root / name).read_bytes())
    content[at] ^= 1
    (root / name).write_bytes(content)
    return Files(root, files.certificate, files.key)


@pytest.mark.parametrize("server", [TFTPD, DNSMASQ], ids=lambda server: server.name)
@pytest.mark.parametrize(
    ("options", "packets"),
    [
        (
            (),
            128 + 128 + 1 + 2,
        ),  # 64 KiB is 128 full blocks and an empty one, each acknowledged, and the request
        (("-b", "1428"), 46 + 46 + 1 + 2),  # 45 full blocks, a short one, OACK and its ACK
    ],
)
def test_tftp_clients_get_every_byte(server, options, packets, start, generators, files):
    with start(server) as started:
        where = [started.plan.address, str(started.plan.tftp), files.pair(SMALL)]
        got = run([str(generators.tftpload), "-a", "-n", "5", "-r", "2", *options, *where], 30)
    assert got["files"] == 10
    assert got["bytes"] == 10 * 65536
    assert got["useful"] == 10 * packets
    assert got["failed"] == got["wrong"] == 0


def test_tftp_wrong_byte_is_found(start, generators, files, tmp_path):
    served = spoiled(files, tmp_path, SMALL, at=40_000)
    with start(TFTPD, served) as started:
        where = [started.plan.address, str(started.plan.tftp), files.pair(SMALL)]
        with pytest.raises(RunError, match=r"1 with a wrong byte: client 0, .* a wrong byte in block 79"):
            run([str(generators.tftpload), *where], 30)


def test_tftp_silence_is_asked_again_and_fails(generators, files):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        where = ["127.0.0.1", str(silent.getsockname()[1]), files.pair(SMALL)]
        command = [str(generators.tftpload), "-t", "0.1", "-T", "0.6", *where]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    got = json.loads(done.stdout)
    assert done.returncode == 1
    assert (got["failed"], got["files"], got["clients_again"]) == (1, 0, 1)
    assert got["requests_again"] >= 2
    assert "not finished" in got["error"]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("name", [SETTINGS, SMALL])
def test_http_connections_get_every_byte(tls, name, start, generators, files):
    if tls and not generators.tls:
        pytest.skip("the load generator was built without TLS (Debian package libssl-dev)")
    with start(NGINX) as started:
        port, secure = (
            (started.plan.https, ["-C", str(files.certificate)]) if tls else (started.plan.http, [])
        )
        where = ["127.0.0.1", str(port), files.pair(name, path=True)]
        got = run([str(generators.httpload), "-a", "-n", "5", "-d", "0.2", *secure, *where], 30)
    assert got["requests"] >= 5
    assert got["bytes"] == got["requests"] * (files.root / name).stat().st_size
    assert got["protocol"].startswith("TLSv1.3" if tls else "HTTP/1.1")


def test_http_rate_is_kept(start, generators, files):
    with start(NGINX) as started:
        where = ["127.0.0.1", str(started.plan.http), files.pair(SETTINGS, path=True)]
        got = run([str(generators.httpload), "-n", "5", "-d", "0.5", "-R", "100", *where], 30)
    assert 10 <= got["requests"] <= 51


def test_http_wrong_byte_is_found(start, generators, files, tmp_path):
    served = spoiled(files, tmp_path, SMALL, at=60_000)
    with start(NGINX, served) as started:
        where = ["127.0.0.1", str(started.plan.http), files.pair(SMALL, path=True)]
        with pytest.raises(RunError, match="2 with a wrong byte"):
            run([str(generators.httpload), "-n", "2", "-d", "1", *where], 30)


def test_http_refuses_another_certificate(start, generators, files, tmp_path):
    if not generators.tls:
        pytest.skip("the load generator was built without TLS (Debian package libssl-dev)")
    other = bench_files.make(tmp_path / "other")
    with start(NGINX) as started:
        where = ["127.0.0.1", str(started.plan.https), files.pair(SETTINGS, path=True)]
        with pytest.raises(RunError, match="certificate verify failed"):
            run([str(generators.httpload), "-n", "1", "-d", "0.1", "-C", str(other.certificate), *where], 30)


@pytest.fixture
def reachable():
    """A folder that vsftpd's own user can reach, as the bench's is."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_ftp_sessions_store_every_byte(reachable, generators, files):
    if why := VSFTPD.missing():
        pytest.skip(why)
    with running(VSFTPD, reachable, files) as started:
        plan = started.plan
        where = ["-p", plan.prefix, plan.address, str(plan.ftp), str(plan.stored)]
        command = [str(generators.ftpload), "-n", "3", "-r", "2", "-k", "30000", "-e", "700", *where]
        got = run(command, 30)
        assert (got["sessions"], got["bytes"], got["asked"]) == (6, 6 * 30000, 0)
        names = {path.name: path.stat() for path in plan.stored.iterdir()}
    assert set(names) == {f"{ext}_4620data.txt" for ext in (700, 701, 702)}
    assert {facts.st_size for facts in names.values()} == {30000}


def test_ftp_wrong_byte_is_found(reachable, generators, files):
    """What lies where the generator looks is not what it sent."""
    if why := VSFTPD.missing():
        pytest.skip(why)
    elsewhere = reachable / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "20000_4620data.txt").write_bytes(bytes(20480))
    with running(VSFTPD, reachable, files) as started:
        plan = started.plan
        where = ["-p", plan.prefix, plan.address, str(plan.ftp), str(elsewhere)]
        with pytest.raises(RunError, match="1 with a wrong byte: client 0: session 1: a wrong byte"):
            run([str(generators.ftpload), "-n", "1", *where], 30)


def test_ftp_refusal_is_told(reachable, generators, files):
    if why := VSFTPD.missing():
        pytest.skip(why)
    with running(VSFTPD, reachable, files) as started:
        started.plan.stored.chmod(stat.S_IRUSR)
        where = ["-p", "in/", started.plan.address, str(started.plan.ftp), str(started.plan.stored)]
        with pytest.raises(RunError, match="STOR was answered with: 553"):
            run([str(generators.ftpload), "-n", "1", *where], 30)


@pytest.mark.parametrize(
    ("server", "asks"), [(servers.MV_IPTEL_FTP, False), (servers.MV_IPTEL_SNMP, True)], ids=[OURS, CHALLENGED]
)
def test_our_ftp_sessions_store_every_byte(server, asks, start, generators, files):
    """With the challenge every session asks its phone's agent, which the generator plays."""
    with start(server) as started:
        plan = started.plan
        agents = ["-S", str(plan.snmp)] if plan.snmp else []
        where = [plan.address, str(plan.ftp), str(plan.stored)]
        got = run([str(generators.ftpload), "-n", "3", *agents, *where], 30)
        assert got["sessions"] == 3
        assert (got["asked"] >= 3) is asks
        stored = sorted(path.name for path in plan.stored.glob("*_4620data.txt"))
        assert stored == [f"{ext}_4620data.txt" for ext in (20000, 20001, 20002)]


def test_files_are_kept_or_replaced_but_never_written_in_place(tmp_path):
    root = bench_files.make(tmp_path).root
    kept, changed = (root / SMALL).stat(), (root / SETTINGS).stat()
    (root / SETTINGS).write_bytes(b"something else")
    bench_files.make(tmp_path)
    assert (root / SMALL).stat().st_ino == kept.st_ino
    assert (root / SETTINGS).stat().st_ino != changed.st_ino
    assert (root / SETTINGS).stat().st_size == 4096


def test_a_whole_run_of_a_case(start, generators, files):
    case = BY_KEY["http-4k"]
    with start(NGINX) as started:
        figures = measure(case, Bench(generators, files, 0.2), started)
    found = derive(case, figures)
    assert found["req_per_cpu"] * found["cpu"] == pytest.approx(figures["requests"])
    assert 0 < found["cpu"] < 10


@pytest.fixture
def output(tmp_path):
    """A named pipe for a server's output: (path, reader). It ends when all that hold it have ended."""
    path = tmp_path / "output"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor) as reader:
        yield path, reader


def test_meter_counts_children_that_nobody_waits_for(output):
    """What in.tftpd does: SIGCHLD is ignored, the work is the children's."""
    program = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
reading, writing = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        while time.process_time() < 0.3: pass
        os._exit(0)
os.close(writing)
os.read(reading, 1)
print("done", flush=True)
signal.pause()
"""
    path, reader = output
    meter = metering.meter("test")
    try:
        process = meter.start([sys.executable, "-c", program], path)
        assert reader.readline() == "done\n"
        assert 0.5 <= meter.seconds() < 3
    finally:
        meter.close()
    assert process.poll() is not None
    if isinstance(meter, metering.Group):
        assert not meter.path.exists()


@pytest.mark.parametrize("make", [metering.Tree, lambda: metering.meter("test")], ids=["tree", "usual"])
def test_a_server_is_ended_with_its_children(make, output):
    path, reader = output
    meter = make()
    meter.start(["sh", "-c", "sleep 300 & echo started; wait"], path)
    assert reader.readline() == "started\n"
    meter.close()
    assert reader.read() == ""  # would wait as long as the child lives


def runs(**figures: list[float]) -> dict:
    """case__server=[value of each round]; every figure of a round has that value."""
    names = ("kp_per_cpu", "wall", "ms_per_mib", "req_per_cpu", "mib_per_cpu", "again", "ms_per_session")
    return {
        tuple(key.replace("ours", OURS).split("__")): [dict.fromkeys(names, value) for value in values]
        for key, values in figures.items()
    }


@pytest.mark.parametrize(
    ("mine", "theirs", "least", "kept"),
    [
        ([200, 100, 210], [100, 100, 100], True, True),  # the median, not the worst round
        ([199, 199, 300], [100, 100, 100], True, False),
        ([200, 200, 210], [100, 100, 100], False, True),
        ([201, 201, 210], [100, 100, 100], False, False),
    ],
)
def test_target_compares_medians(mine, theirs, least, kept):
    verdict = Target("x", "b", "wall", ("b", "nginx"), 2.0, least).judge(runs(b__ours=mine, b__nginx=theirs))
    assert verdict.kept is kept
    assert verdict.word == ("pass" if kept else "MISS")


def test_target_without_a_side_is_not_measured():
    assert {verdict.word for verdict in judge({})} == {"not measured"}


def test_one_client_that_asked_twice_in_one_round_is_a_miss():
    found = {v.what: v.word for v in judge(runs(e__ours=[0, 1, 0]))}
    assert found["e: clients that had to ask twice (worst round)"] == "MISS"
    found = {v.what: v.word for v in judge(runs(e__ours=[0, 0, 0]))}
    assert found["e: clients that had to ask twice (worst round)"] == "pass"


def test_beside_http_counts_only_if_the_requests_were_answered():
    measured = runs(web__ours=[1.0], alone__ours=[1.0])
    what = "b beside 2,000 HTTP requests a second: wall time / alone"
    for rate, word in ((2000, "pass"), (1000, "MISS")):
        measured["web", OURS][0]["beside_rate"] = rate
        assert {v.what: v.word for v in judge(measured)}[what] == word


def test_stores_are_held_against_vsftpd():
    measured = runs(**{"ftp-20__ours": [0.6], "ftp-20__vsftpd": [1.0]})
    measured["ftp-20", CHALLENGED] = runs(x__ours=[0.7])["x", OURS]
    found = {v.what: v.word for v in judge(measured)}
    assert found["FTP, 20 at once: CPU per session / vsftpd"] == "MISS"
    assert found["FTP, 20 at once with SNMP: CPU per session / vsftpd"] == "pass"


def test_report_names_what_was_skipped():
    key = ("http-4k", "nginx")
    tables = report.grids({}, {key: "skipped: nginx is not installed"}, judge({}))
    text = report.markdown({"system": "x"}, tables, [], "Bench")
    assert "| http-4k | nginx | skipped: nginx is not installed |" in text
    assert "| HTTP 4 KiB: requests per CPU second / nginx | >= 0.3 | - | - | not measured |" in text


def test_ini_keys_are_changed_in_place_or_added():
    text = "[Settings]\n# StatusPort\nStatusPort = 6090\n[TFTP]\nTrivialFTPPort=69\n"
    changed = servers.set_keys(
        text, {"Settings": {"StatusPort": "1", "MaxClients": "0"}, "FTP": {"RunFTP": "0"}}
    )
    assert changed.splitlines() == [
        *("[Settings]", "MaxClients=0", "# StatusPort", "StatusPort=1"),
        *("[TFTP]", "TrivialFTPPort=69", "[FTP]", "RunFTP=0"),
    ]


def test_command_line_names_an_unknown_case():
    command = [sys.executable, "-m", "benchmarks", "--only", "zz"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert done.returncode == 2
    assert "unknown: zz" in done.stderr
