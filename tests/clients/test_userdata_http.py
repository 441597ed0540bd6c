"""User data over HTTP and HTTPS: curl is the phone, net-snmp's snmpd its agent, openssl the set of 2007."""

from __future__ import annotations

import base64
import itertools
import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients.daemon import PATIENCE, Daemon
from tests.clients.snmpd import COMMUNITY, Agent, free_udp

SNMP, ANOTHER, STRANGE, EMPTY, MUTE = (f"127.0.0.{number}" for number in range(81, 86))
PIN, BASIC, NONE = (f"127.0.0.{number}" for number in range(86, 89))
TIME_OUT = 1.5
NAME = "20017_96xxdata.txt"
CALL_SERVER = "192.0.2.10"


@pytest.fixture(scope="module")
def site(tmp_path_factory, program) -> Iterator[Daemon]:
    """The daemon with a policy for each address, the modes of old sets, and the phones' agents."""
    program("snmpd")
    port = free_udp("0.0.0.0")
    home = tmp_path_factory.mktemp("userdata")
    passwords = home / "passwords.txt"
    keys = {
        ("SNMP", "Community"): COMMUNITY, ("SNMP", "SNMPPort"): port, ("SNMP", "SNMPTimeout"): "0.3",
        ("FTP", "FTP_TimeOut"): TIME_OUT, ("FTP", "RunFTP"): 0,
        ("HTTP", "BackupPerNet"): f"{PIN}/32=pin, {BASIC}/32=basic, {NONE}/32=none",
        ("HTTP", "BackupPasswords"): passwords,
        ("HTTPS", "IPTel"): 1,
    }  # fmt: skip
    with ExitStack() as stack:
        running = stack.enter_context(Daemon(home, keys))
        passwords.write_text("20017:geheim\n")
        for address, ext, community in [
            (SNMP, "20017", COMMUNITY), (ANOTHER, "20017", COMMUNITY), (STRANGE, "20017", "another"),
            (EMPTY, "", COMMUNITY),
        ]:  # fmt: skip
            model = "9650" if address == ANOTHER else "9640"
            stack.enter_context(Agent(address, port, ext, model, community, family="96x0"))
        yield running


@pytest.fixture
def data() -> bytes:
    """What a user kept, new each time: no form is looked for in it."""
    return b"\nABKNAME001=J\xf6rg\r\nABKNUMBER001=201\n" + random.randbytes(random.randrange(60_000)) + b"\r"


@pytest.fixture(params=["http", "https", "https_alt"])
def base(request, site) -> str:
    """The three kinds of ports: 81, 411 and 443."""
    return f"{request.param.partition('_')[0]}://127.0.0.1:{getattr(site, request.param)}"


@pytest.fixture
def curl(site, program, tmp_path):
    """`curl(address, url, *options)`: status, headers in lower case, body."""

    numbers = itertools.count()

    def run(address: str, url: str, *options: str) -> tuple[int, dict[str, str], bytes]:
        body = tmp_path / f"body{next(numbers)}"
        done = subprocess.run(
            [program("curl"), "-sS", "--interface", address, "--cacert", str(site.home.ca_cert),
             "--path-as-is", "--max-time", "60", "-D", "-", "-o", str(body), *options, url],
            capture_output=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        last = done.stdout.decode("latin-1").replace("\r", "").strip().split("\n\n")[-1].splitlines()
        headers = dict(line.lower().split(": ", 1) for line in last[1:])
        return int(last[0].split()[1]), headers, body.read_bytes() if body.exists() else b""

    return run


@pytest.fixture
def file(tmp_path, data) -> str:
    """That data as a file, for `curl -T`."""
    path = tmp_path / "upload"
    path.write_bytes(data)
    return str(path)


def kept(site, name: str = NAME) -> bytes | None:
    path = backups(site) / name
    return path.read_bytes() if path.exists() else None


def backups(site) -> Path:
    return site.home.data / "FTPdata"


def forget(site) -> None:
    """No user data, as on the first day."""
    for path in backups(site).glob("*data*.txt"):
        path.unlink()


# --- the challenge -------------------------------------------------------------------------------


def test_a_phone_keeps_fetches_and_deletes(site, curl, base, data, file):
    forget(site)
    url = f"{base}/any/where/{NAME}"
    status, headers, _ = curl(SNMP, url, "-T", file)
    assert (status, kept(site)) == (201, data)
    assert curl(ANOTHER, url)[::2] == (200, data)  # the same user at another set
    assert curl(SNMP, url, "-I")[1]["cache-control"] == "no-store"
    assert curl(SNMP, url, "-r", "1-10")[::2] == (206, data[1:11])
    assert curl(SNMP, url, "-H", f"If-None-Match: {headers['etag']}")[0] == 304
    assert curl(SNMP, url, "-T", file)[0] == 204
    assert curl(SNMP, url, "-X", "DELETE")[0] == 204
    assert (kept(site), curl(SNMP, url)[0]) == (None, 404)
    scheme, _, port = base.replace("//127.0.0.1", "").partition(":")
    event = site.event(op="delete", outcome="ok", listener=f"{scheme}:{port.lstrip(':')}")
    assert (event["ext"], event["model"], event["name"]) == ("20017", "9640", f"any/where/{NAME}")


@pytest.mark.parametrize(
    "options",
    [
        ("-H", "Transfer-Encoding: chunked"),
        ("-H", "Expect: 100-continue"),
        ("-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked"),
        ("-H", "Expect:"),
        ("--http1.0",),
        ("--limit-rate", "200k"),
    ],
)
def test_the_forms_of_a_store(site, curl, base, data, file, options):
    forget(site)
    assert curl(SNMP, f"{base}/{NAME}", "-T", file, *options)[0] == 201
    assert kept(site) == data
    assert curl(SNMP, f"{base}/{NAME}")[::2] == (200, data)


@pytest.mark.parametrize(
    ("address", "name", "reason"),
    [
        (STRANGE, NAME, "no-snmp"),
        (EMPTY, NAME, "no-snmp"),
        (MUTE, NAME, "no-snmp"),
        (SNMP, "20018_96xxdata.txt", "snmp-mismatch"),
        (SNMP, "20017_16xxdata.txt", "snmp-mismatch"),
    ],
)
def test_who_does_not_prove_it_is_refused_in_time(site, curl, base, file, address, name, reason):
    forget(site)
    (backups(site) / name).write_bytes(b"of somebody")

    def refused(options: tuple[str, ...]) -> None:
        began = time.monotonic()
        status, headers, body = curl(address, f"{base}/{name}", *options)
        assert (status, headers["etag"], body) == (403, f'"{reason}"', b"Forbidden\n"), options
        # FTP_TimeOut and a second, as the contract has it, besides what starting curl takes here.
        assert time.monotonic() - began < TIME_OUT + 1 + PATIENCE / 10

    ways = [("-T", file), ("-T", file, "-H", "Expect: 100-continue"), (), ("-X", "DELETE")]
    with ThreadPoolExecutor(len(ways)) as pool:  # they wait for SNMP; together it is the time of one
        list(pool.map(refused, ways))
    assert kept(site, name) == b"of somebody"
    assert not list(backups(site).glob(".*"))
    forget(site)


def test_if_match(site, curl, base, data, file):
    forget(site)
    url = f"{base}/{NAME}"
    assert curl(SNMP, url, "-T", file, "-H", "If-Match: *")[0] == 412
    etag = curl(SNMP, url, "-T", file)[1]["etag"]
    status, headers, _ = curl(SNMP, url, "-T", __file__, "-H", 'If-Match: "0123456789"')
    assert (status, headers["etag"], kept(site)) == (412, '"changed"', data)
    assert curl(SNMP, url, "-T", __file__, "-H", f"If-Match: {etag}")[0] == 204
    assert kept(site) == Path(__file__).read_bytes()
    assert curl(SNMP, url, "-X", "DELETE", "-H", f"If-Match: {etag}")[0] == 412


def test_nothing_else_can_be_written(site, curl, base, file):
    forget(site)
    before = {path: path.stat().st_mtime_ns for path in site.home.data.rglob("*") if path.is_file()}
    for name in ("46xxsettings.txt", "new.txt", "../bin/MV_IPTel.ini", "%2e%2e/x_96xxdata.txt", "",
                 "9610data.txt", "20017_9610data.txt", "HTTP_allow_IP.txt", f"{NAME}.bak"):  # fmt: skip
        for options in (("-T", file), ("-X", "DELETE"), ("-X", "POST", "--data-binary", f"@{file}")):
            status, headers, _ = curl(NONE, f"{base}/{name}", *options)
            assert status in (404, 405), name
            assert headers.get("allow", "get, head") == "get, head"
    assert curl(NONE, f"{base}/{NAME}", "-X", "POST", "--data-binary", f"@{file}")[0] == 405
    after = {path: path.stat().st_mtime_ns for path in site.home.data.rglob("*") if path.is_file()}
    assert after == before


def test_too_big(site, curl, base, tmp_path):
    forget(site)
    huge = tmp_path / "huge"
    huge.write_bytes(b"x" * ((1 << 20) + 1))
    for options in ((), ("-H", "Expect:"), ("-H", "Transfer-Encoding: chunked")):
        assert curl(NONE, f"{base}/{NAME}", "-T", str(huge), *options)[0] == 413
    assert kept(site) is None


def test_a_content_range_is_refused(site, curl, base, file):
    forget(site)
    assert curl(NONE, f"{base}/{NAME}", "-T", file, "-H", "Content-Range: bytes 0-1/5")[0] == 400
    assert kept(site) is None


# --- passwords -----------------------------------------------------------------------------------


def test_the_policy_none(site, curl, base, data, file):
    forget(site)
    assert curl(NONE, f"{base}/{NAME}", "-T", file)[0] == 201
    assert curl(NONE, f"{base}/{NAME}")[::2] == (200, data)


def test_the_policy_basic(site, curl, base, data, file):
    forget(site)
    url = f"{base}/{NAME}"
    status, headers, _ = curl(BASIC, url, "-T", file)
    assert (status, headers["www-authenticate"]) == (401, 'basic realm="mv-iptel"')
    assert curl(BASIC, url, "-T", file, "-u", "20017:falsch")[0] == 401
    assert curl(BASIC, url, "-T", file, "-u", "20017:geheim")[0] == 201
    assert curl(BASIC, url, "-u", "20017:geheim", "--anyauth")[::2] == (200, data)
    assert curl(BASIC, f"{base}/20018_96xxdata.txt", "-T", file, "-u", "20017:geheim")[0] == 401


def test_the_policy_pin(site, curl, data, file):
    """The password of the first backup is remembered; another is 403, never a 401 that asks the user."""
    forget(site)
    name = "20019_96xxdata.txt"
    secure, plain = (f"{scheme}://127.0.0.1:{port}/{name}" for scheme, port in
                     (("https", site.https), ("http", site.http)))  # fmt: skip
    right, wrong = ("-u", f"{CALL_SERVER}:vR7-pin"), ("-u", f"{CALL_SERVER}:1234")
    assert curl(PIN, secure, "-T", file)[0] == 403
    assert curl(PIN, plain, "-T", file, *right)[0] == 403
    assert curl(PIN, secure, "-T", file, *right)[0] == 201
    status, headers, _ = curl(PIN, secure, "-T", __file__, *wrong)
    assert (status, "www-authenticate" in headers) == (403, False)
    assert curl(PIN, secure, *right)[::2] == (200, data)
    assert curl(PIN, secure, *wrong)[0] == 403
    assert kept(site, name) == data


def test_no_password_by_a_suite_that_does_not_encrypt(site, program, data):
    """A set of 2007 may fetch scripts by NULL-SHA; a password over it counts as none."""
    forget(site)
    for address, status in ((PIN, b"403"), (BASIC, b"401"), (NONE, b"201")):
        login = base64.b64encode(b"20017:geheim")
        head = b"PUT /%b HTTP/1.0\r\nAuthorization: Basic %b\r\nContent-Length: %d\r\n\r\n"
        done = subprocess.run(
            [program("openssl"), "s_client", "-connect", f"127.0.0.1:{site.https}", "-bind", address,
             "-CAfile", str(site.home.ca_cert), "-ign_eof", "-tls1", "-cipher", "NULL-SHA:@SECLEVEL=0"],
            input=head % (NAME.encode(), login, len(data)) + data, capture_output=True, timeout=60,
        )  # fmt: skip
        assert b"Cipher is NULL-SHA" in done.stdout, done.stderr
        assert b"HTTP/1.1 " + status in done.stdout, address
        assert kept(site) == (data if address == NONE else None)


def test_no_secret_is_told(site):
    """After all of the above: neither a password nor the community is in the journal or the status."""
    log = (site.home.log / "MV_IPTel.log").read_text("utf-8", "replace")
    told = log + site.get("/status.json").decode() + site.get("/metrics").decode()
    for secret in ("geheim", "vR7-pin", COMMUNITY, base64.b64encode(b"20017:geheim").decode()):
        assert secret not in told
    assert '"fault"' not in log
