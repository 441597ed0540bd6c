"""Boots without sockets: every model in its exact order, from a directory."""

from __future__ import annotations

import pytest

from mv_iptel.phones.boot import Fetch, Fetched, Reboot, Server, Servers, drive, dry, play
from mv_iptel.phones.families import Handset

HERE = ("s",)
TFTP, WEB, TLS = Servers(tftp=HERE), Servers(http=HERE), Servers(http=HERE, https=HERE)

FILES = {
    "46xxupgrade.scr": b"SET APPNAME app.bin\nGET 46xxsettings.scr\nGET 46xxsettings.txt\n",
    "96xxupgrade.txt": b"SET APPNAME app.bin\nGET 46xxsettings.txt\n",
    "96x1Hupgrade.txt": b"SET APPNAME app.tar\nSET RFSNAME root.tar\nGET 46xxsettings.txt\n",
    "96x1Supgrade.txt": b"SET APPNAME app.tar\nSET RFSNAME root.tar\nGET 46xxsettings.txt\n",
    "16xxupgrade.txt": b"SET APPNAME app.bin\nGET 46xxsettings.txt\n",
    "J100Supgrade.txt": b"SET APPNAME app.bin\nGET 46xxsettings.txt\n",
    "46xxsettings.txt": b"SET LANG1FILE l1.txt\nSET LANGUAGES a.xml,b.xml\nSET FONTFILE f.rbm\n"
    b"SET TRUSTCERTS mv_ca.txt,http://elsewhere/ca.txt\nSET VOXFILES v1.tar,v2.tar\nGET $MACADDR.txt\n",
    "00040d000001.txt": b"SET SCREENSAVER s.jpg\n",
    **dict.fromkeys(("app.bin", "app.tar", "root.tar", "mv_ca.txt", "s.jpg", "l1.txt"), b"content"),
    **dict.fromkeys(("a.xml", "b.xml", "f.rbm", "v1.tar"), b"more content"),
}


@pytest.fixture
def data(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def boot(directory, model, servers, **more):
    return drive(play(Handset(model, **more), servers), dry(directory))


def asked(report) -> list[str]:
    """`pass protocol:port name`, with a mark where it was not there."""
    return [
        f"{line.power_on} {line.fetch.server.protocol}:{line.fetch.server.port} {line.fetch.name}"
        + ("" if line.got.result == "ok" else " -")
        for line in report.requests
    ]


ORDERS = {
    "4621SW over TFTP": ("4621SW", TFTP, """
        1 tftp:69 46xxupgrade.scr
        1 tftp:69 app.bin
        2 tftp:69 46xxupgrade.scr
        2 tftp:69 46xxsettings.scr -
        2 tftp:69 46xxsettings.txt
        2 tftp:69 00040d000001.txt
        """),
    "4621SW with an HTTP server: no TFTP": ("4621SW", Servers(tftp=HERE, http=HERE), """
        1 http:80 46xxupgrade.scr
        1 http:80 app.bin
        2 http:80 46xxupgrade.scr
        2 http:80 46xxsettings.scr -
        2 http:80 46xxsettings.txt
        2 http:80 00040d000001.txt
        """),
    "4621SW with TLS": ("4621SW", TLS, """
        1 https:411 46xxupgrade.scr
        1 http:81 app.bin
        2 https:411 46xxupgrade.scr
        2 https:411 46xxsettings.scr -
        2 https:411 46xxsettings.txt
        2 https:411 00040d000001.txt
        """),
    "9640: settings and scripts by TLS, then firmware by HTTP": ("9640", TLS, """
        1 https:411 96xxupgrade.txt
        1 https:411 46xxsettings.txt
        1 https:411 00040d000001.txt
        1 http:81 app.bin
        2 https:411 96xxupgrade.txt
        2 https:411 46xxsettings.txt
        2 https:411 00040d000001.txt
        2 https:411 l1.txt
        2 https:411 s.jpg
        2 https:411 v1.tar
        2 https:411 mv_ca.txt
        """),
    "9640 without TLS: all from 80": ("9640", WEB, """
        1 http:80 96xxupgrade.txt
        1 http:80 46xxsettings.txt
        1 http:80 00040d000001.txt
        1 http:80 app.bin
        2 http:80 96xxupgrade.txt
        2 http:80 46xxsettings.txt
        2 http:80 00040d000001.txt
        2 http:80 l1.txt
        2 http:80 s.jpg
        2 http:80 v1.tar
        2 http:80 mv_ca.txt
        """),
    "9611G: the kernel before the application": ("9611G", TLS, """
        1 https:411 96x1Hupgrade.txt
        1 https:411 46xxsettings.txt
        1 https:411 00040d000001.txt
        1 http:81 root.tar
        1 http:81 app.tar
        2 https:411 96x1Hupgrade.txt
        2 https:411 46xxsettings.txt
        2 https:411 00040d000001.txt
        2 https:411 l1.txt
        2 https:411 s.jpg
        2 https:411 v1.tar
        2 https:411 mv_ca.txt
        """),
    "1616": ("1616", WEB, """
        1 http:80 16xxupgrade.txt
        1 http:80 app.bin
        2 http:80 16xxupgrade.txt
        2 http:80 46xxsettings.txt
        2 http:80 00040d000001.txt
        2 http:80 l1.txt
        2 http:80 f.rbm
        """),
    "J179": ("J179", WEB, """
        1 http:80 J100Supgrade.txt
        1 http:80 app.bin
        2 http:80 J100Supgrade.txt
        2 http:80 46xxsettings.txt
        2 http:80 00040d000001.txt
        2 http:80 a.xml
        2 http:80 b.xml
        2 http:80 mv_ca.txt
        """),
    "J179 with TLS: a SIP set stays on it": ("J179", TLS, """
        1 https:411 J100Supgrade.txt
        1 https:411 app.bin
        2 https:411 J100Supgrade.txt
        2 https:411 46xxsettings.txt
        2 https:411 00040d000001.txt
        2 https:411 a.xml
        2 https:411 b.xml
        2 https:411 mv_ca.txt
        """),
}  # fmt: skip


@pytest.mark.parametrize("case", ORDERS)
def test_order(data, case):
    model, servers, wanted = ORDERS[case]
    report = boot(data, model, servers)
    assert asked(report) == [line.strip() for line in wanted.strip().splitlines()]
    assert report.booted.ready
    assert report.booted.reboots == 1


def test_a_96x1_with_sip_takes_its_own_script(data):
    report = boot(data, "9611G", TLS, signalling="SIP")
    assert asked(report)[0] == "1 https:411 96x1Supgrade.txt"
    assert {line.fetch.server.protocol for line in report.requests} == {"https"}


PORTS = {
    "shifted": ("9640", Servers(http=HERE, https=HERE, offset=6000), {6411, 6081}),
    "shifted without TLS": ("9640", Servers(http=HERE, offset=6000), {6080}),
    "shifted TFTP": ("4621SW", Servers(tftp=HERE, offset=6000), {6069}),
    "HTTPPORT and TLSPORT are as given": (
        "9640", Servers(http=HERE, https=HERE, http_port=8411, tls_port=4443, offset=6000), {4443, 8411},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PORTS)
def test_ports(data, case):
    model, servers, wanted = PORTS[case]
    assert {line.fetch.server.port for line in boot(data, model, servers).requests} == wanted


def test_a_directory_stands_in_front_of_each_name(data):
    (data / "phones").mkdir()
    for name in FILES:
        (data / name).rename(data / "phones" / name)
    report = boot(data, "J179", Servers(http=HERE, directory="/phones/"))
    assert report.booted.ready
    assert all(line.fetch.name.startswith("phones/") for line in report.requests)


def test_software_falls_from_81_to_80(data):
    def only_80(wants: Fetch) -> Fetched:
        if wants.server.port == 81:
            return Fetched("failed", detail="connection refused")
        return dry(data)(wants)

    report = drive(play(Handset("9640"), TLS), only_80)
    software = [line for line in asked(report) if "app.bin" in line]
    assert software == ["1 http:81 app.bin -", "1 http:80 app.bin"]
    assert report.booted.ready


def test_the_next_server_when_one_is_silent(data):
    def without_tls(wants: Fetch) -> Fetched:
        return Fetched("failed", detail="silent") if wants.server.protocol == "https" else dry(data)(wants)

    report = drive(play(Handset("9640"), Servers(http=("a",), https=("x", "y"))), without_tls)
    first = [line.fetch.server for line in report.requests[:3]]
    assert first == [Server("https", "x", 411), Server("https", "y", 411), Server("http", "a", 80)]
    assert report.booted.ready


def test_an_old_4600_stops_at_a_get_that_fails(data):
    report = boot(data, "4624", TFTP)
    assert asked(report)[-1] == "2 tftp:69 46xxsettings.scr -"
    assert not report.booted.ready
    assert "no settings file" in report.booted.why


def test_a_phone_that_runs_it_already_does_not_restart(data):
    report = boot(data, "4621SW", TFTP, runs="APP.bin")
    assert report.booted.reboots == 0
    assert report.booted.ready


def test_boot_file_first_then_the_application(data):
    (data / "96xxupgrade.txt").write_bytes(
        b"IF $BOOTNAME SEQ hb96xxua3_00.bin GOTO APP\nSET APPNAME hb96xxua3_00.bin\nGOTO FILES\n"
        b"# APP\nSET APPNAME app.bin\n# FILES\nGET 46xxsettings.txt\n"
    )
    (data / "hb96xxua3_00.bin").write_bytes(b"boot")
    report = boot(data, "9640", WEB, boot="hb96xxua2_00.bin")
    software = [line.fetch.name for line in report.requests if line.fetch.kind == "software"]
    assert software == ["hb96xxua3_00.bin", "app.bin"]
    assert report.booted.ready
    assert (report.booted.handset.boot, report.booted.handset.runs) == ("hb96xxua3_00.bin", "app.bin")


def test_a_replacement_program_leaves_the_boot_file_that_the_script_wants(data):
    (data / "46xxupgrade.scr").write_bytes(
        b"IF $BOOTNAME SEQ b20d01a2_9.bin GOTO APP\nSET APPNAME replboot_v3.app\nGOTO FILES\n"
        b"# APP\nSET APPNAME app.bin\n# FILES\nGET 46xxsettings.txt\n"
    )
    (data / "replboot_v3.app").write_bytes(b"boot")
    report = boot(data, "4621SW", TFTP)
    assert [line.fetch.name for line in report.requests if line.fetch.kind == "software"] == [
        "replboot_v3.app", "app.bin",
    ]  # fmt: skip
    assert report.booted.ready


NOT_READY = {
    "no server": ({}, "4621SW", Servers(), "was told no server that it can use"),
    "no script": ({"46xxupgrade.scr": None}, "4621SW", TFTP, "46xxupgrade.scr was not obtained from tftp"),
    "no firmware": ({"app.bin": None}, "4621SW", TFTP, "app.bin (46xxupgrade.scr:1) was not obtained"),
    "no settings": ({"46xxsettings.txt": None}, "9640", TLS, "no settings file was read"),
    "no get": ({"46xxupgrade.scr": b"GOTO X\nGET 46xxsettings.txt"}, "4621SW", TFTP, "no line '# X' follows"),
}


@pytest.mark.parametrize("case", NOT_READY)
def test_not_ready(data, case):
    changes, model, servers, why = NOT_READY[case]
    for name, content in changes.items():
        (data / name).unlink() if content is None else (data / name).write_bytes(content)
    report = boot(data, model, servers, runs="" if case == "no firmware" else "app.bin")
    assert not report.booted.ready
    assert why in report.booted.why


def test_a_script_that_never_agrees_is_a_boot_loop():
    playing = play(Handset("4621SW"), TFTP)
    # Somebody edits the script each time the phone restarts.
    wants, reboots = next(playing), 0
    with pytest.raises(StopIteration) as stop:
        while True:
            if isinstance(wants, Reboot):
                reboots += 1
                wants = playing.send(None)
            elif wants.kind == "script":
                wants = playing.send(Fetched("ok", b"SET APPNAME x%d.bin\n" % reboots))
            else:
                wants = playing.send(Fetched("ok"))
    assert not stop.value.value.ready
    assert "restarted 5 times" in stop.value.value.why


def test_the_firmware_can_be_another_one(data):
    (data / "mine.bin").write_bytes(b"mine")
    report = drive(play(Handset("9611G"), WEB, "mine.bin"), dry(data))
    assert [line.fetch.name for line in report.requests if line.fetch.kind == "software"] == ["mine.bin"]
    assert report.booted.ready


def test_a_missing_language_does_not_hold_the_phone_up(data):
    (data / "l1.txt").unlink()
    assert boot(data, "9640", WEB).booted.ready


def test_the_report_as_json(data):
    told = boot(data, "9640", TLS).as_dict()
    assert (told["model"], told["family"], told["ready"], told["reboots"]) == ("9640", "96x0", True, 1)
    first = told["requests"][1]
    assert (first["file"], first["named_by"]) == ("46xxsettings.txt", "96xxupgrade.txt:2")
    assert (first["protocol"], first["port"], first["result"]) == ("https", 411, "ok")
    assert first["bytes"] == len(FILES["46xxsettings.txt"])
    assert told["parameters"]["SCREENSAVER"] == {"value": "s.jpg", "file": "00040d000001.txt", "line": 1}
    assert told["trace"][0]["effect"] == "set"


def test_a_home_s_data_directories(tmp_path):
    for name in ("TFTPdata", "HTTPdata", "HTTPSdata"):
        (tmp_path / name).mkdir()
    (tmp_path / "HTTPdata" / "a.txt").write_bytes(b"http")
    (tmp_path / "HTTPdata" / "b.txt").write_bytes(b"http")
    (tmp_path / "HTTPSdata" / "A.TXT").write_bytes(b"https")
    fetch = dry(tmp_path)

    def get(protocol: str, name: str) -> bytes | str:
        got = fetch(Fetch(Server(protocol, "s", 0), name, "file"))
        return got.data if got.data is not None else got.result

    assert get("https", "a.txt") == b"https"
    assert get("https", "B.txt") == b"http"
    assert get("http", "a.txt") == b"http"
    assert get("tftp", "a.txt") == "missing"
    assert get("http", "../HTTPSdata/A.TXT") == "missing"


def test_every_field_of_fetched_is_in_the_json(data):
    told = boot(data, "9640", TLS).as_dict()["requests"][0]
    renamed = {"size": "bytes", "data": None}
    for field in Fetched._fields:
        assert renamed.get(field, field) in (None, *told)


def test_firmware_that_does_not_run_is_loaded_again_and_again(data):
    (data / "96xxupgrade.txt").write_bytes(b"SET APPNAME bad.bin\nGET 46xxsettings.txt\n")
    (data / "bad.bin").write_bytes(b"bad")
    report = drive(play(Handset("9640", runs="good.bin"), WEB, rejects={"bad.bin"}), dry(data))
    assert [line.fetch.name for line in report.requests if line.fetch.kind == "software"] == ["bad.bin"] * 5
    assert not report.booted.ready and report.booted.handset.runs == "good.bin"
