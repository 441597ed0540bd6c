"""Archives of Info-ZIP, GNU tar and busybox: what people make with them is taken, what they hide is told."""

from __future__ import annotations

import os
import subprocess

import pytest

from mv_iptel import config
from mv_iptel.firmware import intake
from mv_iptel.firmware.releases import Releases
from mv_iptel.home import Home

FILES = {
    "96x1Supgrade.txt": b"SET APPNAME S96x1_SALBR7_1_4_0r11_V4r83.tar\nGET 46xxsettings.txt\n",
    "S96x1_SALBR7_1_4_0r11_V4r83.tar": os.urandom(300_000),
    "Mlf_German.xml": b"<a>\xc3\xa4</a>" * 500,
    "empty.txt": b"",
    "signatures/S96x1_SALBR7_1_4_0r11_V4r83.tar.sig256": os.urandom(256),
    "signatures/" + "long" * 40: b"s" * 128,
}


@pytest.fixture
def conf(tmp_path):
    home = Home(tmp_path / "home")
    for folder in home.directories():
        folder.mkdir(parents=True, exist_ok=True)
    return config.defaults(home)


@pytest.fixture
def package(tmp_path):
    """The folder that is packed."""
    folder = tmp_path / "96x1-IPT-SIP-R7_1_4"
    for name, data in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def made(*command, cwd, out=None):
    if out is None:
        subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    else:
        with open(out, "wb") as file:
            # A pipe between them: an archiver that may not go back writes its sizes behind the contents.
            first = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE)
            subprocess.run(["cat"], stdin=first.stdout, stdout=file, check=True)
            assert first.wait() == 0


def holds_everything(conf, archive):
    one = intake.take(conf, archive, "command")
    assert one.state == "staged", one.note
    kept = Releases(conf.home)
    for place in ("TFTPdata", "HTTPdata"):
        found = {
            file.name: kept.content(file.sha256).read_bytes() for file in one.files if file.place == place
        }
        assert found == FILES


@pytest.mark.parametrize("options", [["-r"], ["-r", "-0"], ["-r", "-9"], ["-r", "-fz"], ["-r", "-X"], ["-rD"],
                                     ["-r", "-fd"], ["-r", "-z"]], ids=" ".join)  # fmt: skip
@pytest.mark.parametrize("around", [False, True], ids=["plain", "in a folder"])
def test_info_zip(options, around, conf, package, program, tmp_path):
    archive = tmp_path / "one.zip"
    cwd, what = (tmp_path, package.name) if around else (package, ".")
    subprocess.run(
        [program("zip"), "-q", *options, archive, what], cwd=cwd, check=True, input=b"A comment\n.\n"
    )
    holds_everything(conf, archive)


def test_info_zip_through_a_pipe(conf, package, program, tmp_path):
    made(program("zip"), "-q", "-r", "-", ".", cwd=package, out=tmp_path / "one.zip")
    holds_everything(conf, tmp_path / "one.zip")


def test_info_zip_that_was_changed_later(conf, package, program, tmp_path):
    (package / "more.bin").write_bytes(b"more")
    made(program("zip"), "-q", "-r", tmp_path / "one.zip", ".", cwd=package)
    made(program("zip"), "-q", "-d", tmp_path / "one.zip", "more.bin", cwd=package)
    holds_everything(conf, tmp_path / "one.zip")


@pytest.mark.parametrize("options", [
    ["-c"], ["-cz"], ["-c", "--format=gnu"], ["-c", "--format=posix"], ["-cz", "--format=oldgnu"],
    ["-c", "--format=posix", "--xattrs", "--acls"], ["-c", "--numeric-owner", "-b", "1"],
], ids=" ".join)  # fmt: skip
@pytest.mark.parametrize("around", [False, True], ids=["plain", "in a folder"])
def test_gnu_tar(options, around, conf, package, program, tmp_path):
    cwd, what = (tmp_path, package.name) if around else (package, ".")
    made(program("tar"), *options, "-f", tmp_path / "one.tar", what, cwd=cwd)
    holds_everything(conf, tmp_path / "one.tar")


def test_busybox_tar(conf, package, program, tmp_path):
    made(program("busybox"), "tar", "-c", "-f", tmp_path / "one.tar", ".", cwd=package)
    holds_everything(conf, tmp_path / "one.tar")


def refused(conf, archive, word):
    one = intake.take(conf, archive, "command")
    assert one.state == "refused" and word in one.note


def test_what_they_hide(conf, package, program, tmp_path):
    zipper, tar = program("zip"), program("tar")
    made(zipper, "-q", "-P", "secret", "-r", tmp_path / "1.zip", ".", cwd=package)
    refused(conf, tmp_path / "1.zip", "encrypted")
    os.link(package / "Mlf_German.xml", package / "Mlf_Other.xml")
    made(tar, "-cf", tmp_path / "2.tar", ".", cwd=package)
    refused(conf, tmp_path / "2.tar", "link")
    os.unlink(package / "Mlf_Other.xml")
    os.symlink("/etc/passwd", package / "link.txt")
    made(zipper, "-q", "-y", "-r", tmp_path / "3.zip", ".", cwd=package)
    refused(conf, tmp_path / "3.zip", "is a link")
    made(tar, "-czf", tmp_path / "4.tgz", ".", cwd=package)
    refused(conf, tmp_path / "4.tgz", "is a link")
    os.unlink(package / "link.txt")
    with open(package / "holes.bin", "wb") as file:
        file.truncate(1 << 20)
    made(tar, "-cSf", tmp_path / "5.tar", ".", cwd=package)
    refused(conf, tmp_path / "5.tar", "sparse")
    os.unlink(package / "holes.bin")
    os.chmod(package / "Mlf_German.xml", 0o4755)
    made(zipper, "-q", "-r", tmp_path / "6.zip", ".", cwd=package)
    refused(conf, tmp_path / "6.zip", "set-uid")
    os.chmod(package / "Mlf_German.xml", 0o644)
    made(zipper, "-q", "-s", "64k", "-r", tmp_path / "7.zip", ".", cwd=package)
    refused(conf, tmp_path / "7.zip", "split")
