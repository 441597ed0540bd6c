"""The central API as curl and openssl see it: enrolment by hand, every path, TLS; what contents cost."""

from __future__ import annotations

import hashlib
import json
import os
import random
import statistics
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mv_iptel.central import inviting
from mv_iptel.firmware import generations
from mv_iptel.firmware.releases import Releases
from tests.clients.daemon import Daemon, free_ports, set_keys, wait_for

BLOCK = random.Random(7).randbytes(1 << 20)
DATA = BLOCK[:700_001]
FILE = "4711_96xxdata.txt"
LIMIT = 12_500_000  # octets a second: 100 Mbit/s


@dataclass
class Got:
    """What curl got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


def keep(daemon: Daemon, pieces: list[bytes]) -> tuple[str, int]:
    """One content into the daemon's store, without holding it in memory: its sha256 and its size."""
    told = hashlib.sha256()
    for piece in pieces:
        told.update(piece)
    path = Releases(daemon.home).content(told.hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(pieces)
    return told.hexdigest(), sum(map(len, pieces))


@pytest.fixture(scope="module")
def centre(tmp_path_factory):
    port = free_ports(1)[0]
    keys = {("BACKUP_SERVERS", "FileServer"): 1, ("BACKUP_SERVERS", "FileServerPort"): port}
    with Daemon(tmp_path_factory.mktemp("home"), keys) as running:
        running.central = port
        sha256, size = keep(running, [DATA])
        entry = generations.Entry("HTTPdata", "fw.bin", size, sha256, "software", "r-1")
        generations.put(running.home, generations.Generation(1, 5.0, "publish", "r-1", (entry,)))
        yield running


@pytest.fixture(scope="module")
def curl(centre, program, tmp_path_factory):
    """`curl(path, *options)`: one request that trusts the authority at the centre."""
    folder = tmp_path_factory.mktemp("curl")

    def asked(path: str, *options: str, code: int = 0, into: Path | None = None) -> Got:
        body = into or folder / "body"
        if into is None:
            body.unlink(missing_ok=True)
        done = subprocess.run(
            [program("curl"), "-sS", "--cacert", str(centre.home.ca_cert), "--max-time", "60", "-D", "-",
             "-o", str(body), *options, f"https://127.0.0.1:{centre.central}{path}"],
            capture_output=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        first, *lines = done.stdout.decode("latin-1").replace("\r", "").strip().split("\n\n")[-1].split("\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Got(int(first.split()[1]), headers, body.read_bytes() if body.exists() else b"")

    return asked


@dataclass
class Joined:
    token: str
    files: tuple[str, ...]  # how curl shows the certificate


@pytest.fixture(scope="module")
def oslo(centre, curl, program, tmp_path_factory):
    """A branch that joined by hand: an invitation, openssl for the key, curl for the rest."""
    folder = tmp_path_factory.mktemp("oslo")
    invite = inviting.parse(centre.run("central", "invite", "Oslo", "--address", "127.0.0.1").stdout)
    assert invite.port == centre.central
    unsure = curl("/v1/authority", "--insecure")
    (folder / "ca.pem").write_bytes(unsure.body)
    shown = subprocess.run(
        [program("openssl"), "x509", "-in", folder / "ca.pem", "-noout", "-fingerprint", "-sha256"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert shown.partition("=")[2].strip().replace(":", "").lower() == invite.authority
    subprocess.run(
        [program("openssl"), "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=whatever", "-keyout", folder / "key.pem", "-out", folder / "csr.pem"],
        capture_output=True, check=True,
    )  # fmt: skip
    told = {"token": invite.token, "csr": (folder / "csr.pem").read_text(), "server": "By hand"}
    (folder / "join.json").write_text(json.dumps(told))
    joined = curl("/v1/join", "-d", f"@{folder / 'join.json'}", "--cacert", str(folder / "ca.pem"))
    assert joined.status == 200 and joined.json["generation"] == 1
    (folder / "cert.pem").write_text(joined.json["certificate"])
    again = curl("/v1/join", "-d", json.dumps({**told, "csr": "x"}))
    assert again.status == 400
    return Joined(
        joined.json["token"], ("--cert", str(folder / "cert.pem"), "--key", str(folder / "key.pem"))
    )


@pytest.fixture
def ask(curl, oslo):
    header = f"Authorization: Bearer {oslo.token}"
    return lambda path, *options, **more: curl(path, "-H", header, *options, **more)


def told(centre: Daemon, kind: str) -> list[str]:
    """What the journal says of that kind."""
    lines = (centre.home.log / "MV_IPTel.log").read_text("utf-8").split("\n")[:-1]
    return [event["text"] for line in lines if (event := json.loads(line)).get("kind") == kind]


def test_the_manifest_and_its_contents(ask):
    manifest = ask("/v1/manifest")
    assert manifest.headers["etag"] == f'"{hashlib.sha256(manifest.body).hexdigest()}"'
    (row,) = manifest.json["files"]
    whole = ask(f"/v1/content/{row['sha256']}")
    assert whole.body == DATA and hashlib.sha256(whole.body).hexdigest() == row["sha256"]
    assert ask("/v1/manifest", "-H", f"If-None-Match: {manifest.headers['etag']}").status == 304


def test_going_on_after_a_cut(ask, tmp_path):
    sha256 = ask("/v1/manifest").json["files"][0]["sha256"]
    part = tmp_path / "part"
    part.write_bytes(DATA[:420_000])
    rest = ask(f"/v1/content/{sha256}", "-C", "-", into=part)
    assert rest.status == 206 and rest.headers["content-length"] == str(len(DATA) - 420_000)
    assert part.read_bytes() == DATA


def test_user_data_there_and_back(ask, centre, tmp_path):
    data = b"LANGUSER=en\nAGCHAND=1\n"
    (tmp_path / FILE).write_bytes(data)
    hashed = f"MV-Sha256: {hashlib.sha256(data).hexdigest()}"
    put = ask(f"/v1/userdata/{FILE}", "-T", str(tmp_path / FILE), "-H", hashed)
    assert put.status == 201 and put.json["current"]
    assert ask(f"/v1/userdata/{FILE}", "-T", str(tmp_path / FILE), "-H", hashed).json["same"]
    assert ask(f"/v1/userdata/{FILE}").body == data == (centre.home.ftp_data / FILE).read_bytes()
    assert [one["name"] for one in ask("/v1/userdata").json["changes"]] == [FILE]
    chunked = ask(f"/v1/userdata/{FILE}", "-T", str(tmp_path / FILE), "-H", hashed,
                  "-H", "Transfer-Encoding: chunked")  # fmt: skip
    assert chunked.json["same"]
    assert ask(f"/v1/userdata/{FILE}", "-X", "DELETE").json["removed"]
    assert ask(f"/v1/userdata/{FILE}").json["error"] == "no-file"


def test_an_order_and_its_report(ask, centre):
    made = json.loads(centre.run("central", "pull", "Oslo", FILE, "--json").stdout)
    (order,) = ask("/v1/orders?wait=30").json["orders"]
    assert order["id"] == made["id"] and order["names"] == [FILE]
    report = {"generation": 1, "queue": 0, "orders": [{"id": order["id"], "ok": True, "text": "sent 1 file"}]}
    assert ask("/v1/report", "-d", json.dumps(report)).json == {"ok": True, "generation": 1, "orders": 0}
    shown = centre.run("central", "status").stdout
    assert "sent 1 file" in shown and "Oslo" in shown
    wait_for("the journal", lambda: told(centre, "central-order"))


def test_no_token_no_answer(curl, centre):
    got = curl("/v1/manifest", "-H", "Authorization: Bearer " + "x" * 43)
    assert (got.status, got.json["error"]) == (401, "token")
    assert curl("/v1/nothing").json["error"] == "no-path"
    wait_for("the journal", lambda: told(centre, "central-token"))


def test_who_does_not_trust_it_gets_nowhere(centre, program):
    """The system's authorities do not know it, and another name than the certificate's is none."""
    at = f"https://127.0.0.1:{centre.central}/v1/authority"
    other = f"https://other:{centre.central}/v1/authority"
    named = ("--cacert", str(centre.home.ca_cert), "--resolve", f"other:{centre.central}:127.0.0.1")
    for words in ((at,), (*named, other)):
        assert subprocess.run([program("curl"), "-sS", *words], capture_output=True).returncode == 60


@pytest.mark.parametrize(("option", "words"), [
    ("-tls1_3", "TLSv1.3"), ("-tls1_2", "ECDHE-RSA-AES256-GCM-SHA384"),
])  # fmt: skip
def test_openssl_agrees(centre, program, option, words):
    shown = s_client(centre, program, option)
    assert words in shown and "Verify return code: 0 (ok)" in shown


@pytest.mark.parametrize("option", ["-tls1_1", "-tls1"])
def test_openssl_gets_no_old_tls(centre, program, option):
    assert "Cipher is (NONE)" in s_client(centre, program, option, "-cipher", "ALL:@SECLEVEL=0")


def s_client(centre: Daemon, program, *options: str) -> str:
    return subprocess.run(
        [program("openssl"), "s_client", "-connect", f"127.0.0.1:{centre.central}", "-CAfile",
         str(centre.home.ca_cert), *options],
        input="", capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip


def test_the_branchs_certificate(centre, ask, oslo):
    """A reload asks for it: curl without it may fetch firmware, and no user data."""
    set_keys(centre.home.ini, {("HTTPS", "ClientAuth"): 1})
    centre.run("reload")
    assert ask("/v1/userdata").json["error"] == "certificate"
    assert ask("/v1/userdata", *oslo.files).status == 200
    assert ask("/v1/manifest").status == 200
    set_keys(centre.home.ini, {("HTTPS", "ClientAuth"): 0})
    centre.run("reload")
    assert ask("/v1/userdata").status == 200


def test_the_status_knows_it(centre, ask):
    ask("/v1/report", "-d", '{"generation": 1}')
    seen = centre.seen()
    assert {"central"} <= {row["proto"] for row in seen["listeners"] if row["state"] == "up"}
    assert seen["central"]["role"] == "server" and seen["central"]["branches"][0]["name"] == "Oslo"


# what contents cost


def cpu(process: int) -> float:
    """Seconds of processor that it has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def fetching(centre: Daemon, program, token: str, sha256: str):
    """A branch that fetches a content over and over again, beside what happens within."""
    url = f"https://127.0.0.1:{centre.central}/v1/content/{sha256}"
    process = subprocess.Popen(
        [program("curl"), "-sS", "--cacert", str(centre.home.ca_cert), "-H", f"Authorization: Bearer {token}",
         *[word for _ in range(50) for word in ("-o", os.devnull, url)]],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
        assert process.poll() is None, "it ended before the phones did"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.prove
def test_a_large_content_costs_time_and_no_memory(centre, program, oslo, count, evidence):
    size = count("firmware-size")
    sha256, _ = keep(centre, [BLOCK] * (size >> 20))
    before, used, begun = centre.resident(), cpu(centre.process.pid), time.monotonic()
    done = subprocess.run(
        [program("curl"), "-sS", "--cacert", str(centre.home.ca_cert), "-H",
         f"Authorization: Bearer {oslo.token}", "-o", os.devnull, "-w", "%{size_download}",
         f"https://127.0.0.1:{centre.central}/v1/content/{sha256}"],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    seconds, used = time.monotonic() - begun, cpu(centre.process.pid) - used
    grown = centre.resident() - before
    assert int(done.stdout) == size >> 20 << 20
    assert grown < 24 << 20, "it is sent in pieces"
    evidence("central-content", octets=size, seconds=round(seconds, 2), grown_mib=round(grown / (1 << 20), 1),
             server_cpu_seconds_per_gib=round(used * (1 << 30) / size, 2))  # fmt: skip


@pytest.mark.prove
def test_phones_keep_their_rate_beside_a_branch(centre, program, oslo, count, evidence):
    """`BandwidthLimit` at 100 Mbit/s: medians of alternating runs with and without a branch that fetches."""
    whole = count("firmware-size")
    runs = 5 if whole >= 256 << 20 else 1  # a shorter one measures the start of curl
    sha256, _ = keep(centre, [BLOCK] * 32)
    for number in range(8):
        (centre.home.http_data / f"phone{number}.bin").write_bytes(BLOCK * 4)
    set_keys(centre.home.ini, {("BACKUP_SERVERS", "BandwidthLimit"): LIMIT})
    centre.run("reload")

    def phones() -> float:
        """Octets a second that eight phones at a time get."""
        times = max(1, whole >> 25)
        urls = [f"http://127.0.0.1:{centre.http}/phone{number}.bin" for number in range(8)] * times
        begun = time.monotonic()
        subprocess.run(
            [program("curl"), "-sS", "--fail", "--parallel", "--parallel-max", "8",
             *[word for url in urls for word in ("-o", os.devnull, url)]],
            check=True, timeout=600,
        )  # fmt: skip
        return len(urls) * len(BLOCK) * 4 / (time.monotonic() - begun)

    phones()
    alone, beside = [], []
    for _ in range(runs):
        alone.append(phones())
        with fetching(centre, program, oslo.token, sha256):
            beside.append(phones())
    set_keys(centre.home.ini, {("BACKUP_SERVERS", "BandwidthLimit"): 0})
    centre.run("reload")
    ratio = statistics.median(beside) / statistics.median(alone)
    if runs == 5:
        assert ratio >= 0.8
    rates = [round(statistics.median(one) / (1 << 20)) for one in (alone, beside)]
    evidence("central-phones", limit=LIMIT, runs=runs, mib_a_second_alone=rates[0],
             mib_a_second_beside=rates[1], ratio=round(ratio, 3))  # fmt: skip
