"""The superuser at work with lftp and curl, and what he cannot reach with either."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.clients.daemon import Daemon, wait_for

USER, PASSWORD = "mvuser", "of-this-site"
SECRET = b"not for him"


@pytest.fixture(scope="module")
def site(tmp_path_factory, program):
    """The daemon with the superuser on, and secrets where he must not come."""
    keys = {("FTP", "EnableSU"): 1, ("FTP", "SUUserName"): USER, ("FTP", "SUPassword"): PASSWORD}
    with Daemon(tmp_path_factory.mktemp("super"), keys) as running:
        for folder in (running.home.certs, running.home.var, running.home.bin):
            (folder / "secret.txt").write_bytes(SECRET)
        (running.home.docs / "manual.txt").write_text("read me\n")
        yield running


@pytest.fixture
def lftp(site, program):
    """Run lftp as the superuser; what it did."""

    def run(*lines: str, secure: bool = False, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        text = "\n".join([
            "set cmd:fail-exit yes", "set net:max-retries 1", "set net:timeout 20", "set xfer:log no",
            "set xfer:clobber yes",
            *(f"set ftp:ssl-{key} {'yes' if secure else 'no'}" for key in ("allow", "force", "protect-data")),
            f"set ssl:ca-file {site.home.ca_cert}",
            f"open -u {USER},{PASSWORD} ftp://127.0.0.1:{site.ftp}", *lines, "bye",
        ])  # fmt: skip
        done = subprocess.run(
            [program("lftp"), "--norc", "-c", text], capture_output=True, text=True, timeout=100
        )
        assert status is None or done.returncode == status, (done.stdout, done.stderr)
        return done

    return run


def tree(folder: Path) -> dict[str, bytes]:
    """Every file beneath a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def work(tmp_path) -> Path:
    """What an administrator wants on the server: folders, blanks in names, something big, something empty."""
    folder = tmp_path / "work"
    sizes = {
        "46xxsettings.txt": 900,
        "sub/fw v1.bin": 3_000_000,
        "sub/deep/empty": 0,
        "B\u00fcro/names.txt": 10,
    }
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.randbytes(size))
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return folder


@pytest.mark.parametrize("secure", [False, True])
def test_mirror_both_ways(site, lftp, work, tmp_path, secure):
    target = site.home.http_data / f"site{secure}"
    lftp(f"mirror -R {work} /data/HTTPdata/{target.name}", secure=secure)
    assert tree(target) == tree(work)
    assert (target / "46xxsettings.txt").stat().st_mtime == 1_600_000_000
    lftp(f"mirror /data/HTTPdata/{target.name} {tmp_path}/back", secure=secure)
    assert tree(tmp_path / "back") == tree(work)
    # A second time there is nothing to do, then only what changed, and what went goes.
    (work / "46xxsettings.txt").write_bytes(b"changed")
    (work / "sub" / "deep" / "empty").unlink()
    done = lftp(f"mirror -R -v --delete {work} /data/HTTPdata/{target.name}", secure=secure)
    assert done.stdout.count("Transferring file") == 1, done.stdout
    assert tree(target) == tree(work)
    assert not list(site.home.data.rglob(".*.part"))


def test_a_list_is_dropped_into_a_directory(site, lftp, tmp_path):
    """What the reference's guide has him do."""
    (tmp_path / "allow").write_text("10.1.\n")
    lftp("cd data/HTTPdata", f"put {tmp_path}/allow -o HTTP_allow_IP.txt")
    assert site.why("10.1.2.3", "46xxupgrade.scr", "http")["reason"] != "not-listed"
    assert site.why("10.2.2.3", "46xxupgrade.scr", "http")["reason"] == "not-listed"
    lftp("rm data/HTTPdata/HTTP_allow_IP.txt")
    assert site.why("10.2.2.3", "46xxupgrade.scr", "http")["reason"] != "not-listed"


def test_what_he_sees(site, lftp):
    listed = lftp("cls -1").stdout.split()
    assert listed == ["data/", "docs/", "log/"]
    assert "read me" in lftp("cat docs/manual.txt").stdout
    assert '"event"' in lftp("cat log/MV_IPTel.log").stdout
    assert "FTPdata" in lftp("ls data").stdout


REACHES = """
get /bin/secret.txt -o /dev/null
get ../bin/secret.txt -o /dev/null
get /data/../var/secret.txt -o /dev/null
get /certs/IPTelkey.pem -o /dev/null
get data/HTTPdata/link -o /dev/null
get data/HTTPdata/up/bin/secret.txt -o /dev/null
ls /data/HTTPdata/up/var
ls ../bin
ls /var
cd ../bin
put /etc/hostname -o /bin/x
put /etc/hostname -o /x
put /etc/hostname -o data/HTTPdata/up/bin/x
put /etc/hostname -o docs/x
rm log/MV_IPTel.log
rm -r data/FTPdata
rmdir data
mkdir /var/x
mv data/FTPdata data/x
mv data /x
mv docs/manual.txt data/HTTPdata/m
mv data/HTTPdata/keep.txt bin/x
mv data/HTTPdata/up/bin/secret.txt data/HTTPdata/s.txt
chmod 777 data/HTTPdata
""".strip().splitlines()


@pytest.mark.parametrize("line", REACHES)
def test_bin_certs_and_var_do_not_exist(site, lftp, line):
    home = site.home
    (home.http_data / "keep.txt").write_bytes(b"kept")
    for name, end in (("link", home.bin / "secret.txt"), ("up", Path("../.."))):
        if not (home.http_data / name).is_symlink():
            (home.http_data / name).symlink_to(end)
    before = {str(path) for path in home.root.rglob("*") if "log" not in path.parts}
    done = lftp(line, status=None)
    assert done.returncode != 0 and "550" in done.stderr, (done.stdout, done.stderr)
    after = {str(path) for path in home.root.rglob("*") if "log" not in path.parts}
    assert {path for path in before ^ after if "/var/" not in path} == set()
    assert (home.http_data / "keep.txt").read_bytes() == b"kept"
    assert (home.http_data / "keep.txt").stat().st_mode & 0o777 != 0o777


def test_curl_signs_in_and_a_wrong_password_does_not(site, program, tmp_path):
    def curl(password: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [program("curl"), "-sS", "--max-time", "60", "-u", f"{USER}:{password}", *options],
            capture_output=True, timeout=90,
        )  # fmt: skip

    url = f"ftp://127.0.0.1:{site.ftp}/data/HTTPdata/"
    (tmp_path / "x").write_bytes(b"by curl")
    assert curl(PASSWORD, "-T", str(tmp_path / "x"), url).returncode == 0
    assert (site.home.http_data / "x").read_bytes() == b"by curl"
    assert curl(PASSWORD, url + "x").stdout == b"by curl"
    assert curl(PASSWORD, "-r", "3-", url + "x").stdout == b"curl"
    assert curl("wrong", url + "x").returncode == 67  # login denied
    assert curl("", url + "x").returncode == 67
    assert (
        subprocess.run([program("curl"), "-sS", url + "x"], capture_output=True, timeout=60).returncode != 0
    )
    wait_for("two records", lambda: len(site.events(reason="bad-login")) == 2)
    assert PASSWORD not in site.journal() and "wrong:" not in site.journal()


def test_his_work_is_on_record(site, lftp, tmp_path):
    (tmp_path / "x").write_bytes(b"1234567")
    lftp(
        "cd data/TFTPdata",
        f"put {tmp_path}/x -o record.txt",
        f"get record.txt -o {tmp_path}/y",
        "rm record.txt",
    )
    name = "/data/TFTPdata/record.txt"
    wait_for("the removal", lambda: site.events(name=name, op="delete"))
    stored = [one for one in site.events(name=name, op="store", bytes=7)]
    assert len(stored) == 1 and stored[0]["outcome"] == "ok" and stored[0]["proto"] == "ftp"
    assert site.event(name=name, op="read")["bytes"] == 7
    assert site.event(name=name, op="delete")["outcome"] == "ok"


def test_killed_within_an_upload_the_old_is_there(tmp_path, program):
    """SIGKILL while he replaces a file: the old one is there, and what was half goes at the next start."""
    keys = {("FTP", "EnableSU"): 1, ("FTP", "SUUserName"): USER, ("FTP", "SUPassword"): PASSWORD}
    big = tmp_path / "big"
    big.write_bytes(b"new" * 20_000_000)
    first = Daemon(tmp_path / "home", keys)
    first.__enter__()
    target = first.home.http_data / "file.bin"
    target.write_bytes(b"old")
    client = subprocess.Popen(
        [program("curl"), "-sS", "--limit-rate", "5M", "-u", f"{USER}:{PASSWORD}", "-T", str(big),
         f"ftp://127.0.0.1:{first.ftp}/data/HTTPdata/file.bin"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for("an upload", lambda: list(first.home.http_data.glob(".*.part")))
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    finally:
        client.kill()
        client.wait()
    assert target.read_bytes() == b"old"
    (left,) = first.home.http_data.glob(".*.part")
    first.process = None
    with first:
        wait_for("it is swept away", lambda: not left.exists())
        assert target.read_bytes() == b"old"
