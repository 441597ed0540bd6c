"""The three processes as three users: whatever one of them has made, the others go on from."""

from __future__ import annotations

import base64
import ftplib
import http.client
import io
import os
import re
import ssl
import subprocess

import pytest

from mv_iptel import config as configuration
from mv_iptel import owning
from mv_iptel.firmware.releases import Releases
from mv_iptel.userdata import versions
from tests.clients import three
from tests.clients.daemon import Daemon, wait_for
from tests.clients.manager import Person
from tests.clients.phone import ask_tftp
from tests.manager.releases import APP, SCRIPT, change, package, taken_in
from tests.others import GROUP, MANAGER, SERVER, root_only

pytestmark = [root_only, pytest.mark.prove]
long = pytest.mark.usefixtures("proving")

SETTINGS = "46xxsettings.txt"
DATA = "4711_96xxdata.txt"
NEW = {"If-None-Match": "*"}
KEYS = {
    ("HTTP", "BackupAuth"): "pin", ("Settings", "MaxClients"): 50,
    ("FTP", "EnableSU"): 1, ("FTP", "SUPassword"): "correct horse battery",
    ("SNMP", "SNMPTimeout"): 1, ("SNMP", "SNMPRetries"): 0,
    # Nobody is there: the queue must be kept all the same.
    ("BACKUP_SERVERS", "CustomFTP"): 1, ("BACKUP_SERVERS", "CustomFTPHost"): "127.0.0.1",
    ("BACKUP_SERVERS", "CustomFTPPort"): 9, ("BACKUP_SERVERS", "CustomFTPUName"): "x",
}  # fmt: skip


@pytest.fixture
def proving(request):
    if request.config.getoption("--evidence") is None:
        pytest.skip("a proof: make prove")


@pytest.fixture(scope="module")
def place():
    python = three.interpreter()
    if python is None:
        pytest.skip("no Python of this version that other users can run")
    with three.Place(python) as made:
        yield made


@pytest.fixture(scope="module")
def server(place):
    with three.Server(place, KEYS) as running:
        yield running


@pytest.fixture(scope="module")
def manager(place, server):
    with three.Managing(place, server.home) as running:
        yield running


@pytest.fixture(scope="module")
def admin(manager):
    return Person(manager).settle()


def owner(path) -> int:
    return path.stat().st_uid


def ok(answer, *wanted: int):
    assert answer.status in (wanted or (200, 201, 204)), (answer.status, answer.text)
    return answer


def fetch(daemon: Daemon, name: str) -> bytes:
    line = http.client.HTTPConnection("127.0.0.1", daemon.http, timeout=30)
    line.request("GET", f"/{name}")
    answer = line.getresponse()
    found = answer.read() if answer.status == 200 else b""
    line.close()
    return found


def store(daemon: Daemon, data: bytes, name: str = DATA, password: str = "4711", method: str = "PUT") -> int:
    """As a phone does, with its user's password; the status."""
    context = ssl.create_default_context(cafile=str(daemon.home.ca_cert))
    line = http.client.HTTPSConnection("localhost", daemon.https, context=context, timeout=30)
    login = base64.b64encode(f"4711:{password}".encode()).decode()
    line.request(method, f"/{name}", data, {"Authorization": f"Basic {login}", "User-Agent": "AVAYA"})
    answer = line.getresponse()
    answer.read()
    line.close()
    return answer.status


def save(admin: Person, name: str, text: str):
    path = f"/api/v1/files/HTTPdata/{name}"
    there = admin.get(path)
    if there.status == 404:
        return ok(admin.call("PUT", path, {"text": text}, headers=NEW))
    return ok(admin.call("PUT", path, {"text": text}, there.etag))


def put_back(admin: Person, name: str, at: int):
    path = f"HTTPdata/{name}"
    steps = admin.get(f"/api/v1/file-history/{path}").json["items"]
    there = admin.get(f"/api/v1/files/{path}")
    kind = {"headers": NEW} if there.status == 404 else {"etag": there.etag}
    return ok(admin.call("POST", f"/api/v1/file-history/{path}", {"step": steps[at]["id"]}, **kind))


def test_the_first_sign_in_empties_what_init_wrote_down(manager, admin):
    assert "manager" not in manager.home.passwords.read_text()
    assert owner(manager.home.passwords) == MANAGER and manager.home.passwords.stat().st_mode & 0o777 == 0o600


def test_settings_are_edited_and_put_back(server, manager, admin):
    file = server.home.http_data / SETTINGS
    before = file.read_bytes()
    assert owner(file) == SERVER
    save(admin, SETTINGS, before.decode() + "SET L2QVLAN 50\n")
    assert fetch(server, SETTINGS).endswith(b"SET L2QVLAN 50\n") and owner(file) == MANAGER
    put_back(admin, SETTINGS, 1)
    assert fetch(server, SETTINGS) == before


def test_files_are_uploaded_replaced_deleted_and_put_back(server, admin):
    path = "/api/v1/files/HTTPdata/up.bin"
    made = ok(admin.upload("PUT", path, b"first", NEW))
    made = ok(admin.upload("PUT", path, b"second", {"If-Match": f'"{made.etag}"'}))
    assert fetch(server, "up.bin") == b"second"
    ok(admin.call("DELETE", path, {}, made.etag))
    put_back(admin, "up.bin", -1)
    assert fetch(server, "up.bin") == b"first"
    # A file of the server's own user is as good as one of the manager's.
    theirs = server.home.http_data / "theirs.bin"
    theirs.write_bytes(b"theirs")
    os.chown(theirs, SERVER, GROUP)
    theirs.chmod(0o640)
    etag = admin.get("/api/v1/files/HTTPdata/theirs.bin").etag
    ok(admin.upload("PUT", "/api/v1/files/HTTPdata/theirs.bin", b"ours", {"If-Match": f'"{etag}"'}))
    put_back(admin, "theirs.bin", -1)
    assert fetch(server, "theirs.bin") == b"theirs"
    ok(admin.call("POST", "/api/v1/folders/HTTPdata", {"name": "site"}))
    ok(admin.call("PUT", "/api/v1/files/HTTPdata/site/a.txt", {"text": "SET X 1\n"}, headers=NEW))
    assert fetch(server, "site/a.txt") == b"SET X 1\n"


def test_lists_keep_phones_out_and_are_put_back(server, admin):
    path = "/api/v1/access/lists/tftp"
    first = ok(admin.call("PUT", path, {"text": "127.0.0.5\n"}, admin.get(path).etag))
    assert isinstance(ask_tftp(server, "127.0.0.5", SETTINGS), bytes)
    assert ask_tftp(server, "127.0.0.6", SETTINGS) == 2
    more = ok(admin.call("PUT", path, {"text": "127.0.0.6\n"}, first.etag))
    assert isinstance(ask_tftp(server, "127.0.0.6", SETTINGS), bytes)
    kept = admin.get(f"{path}/history").json["items"]
    back = ok(admin.call("POST", f"{path}/undo", {"copy": kept[0]["id"]}, more.etag))
    ok(admin.call("DELETE", path, None, back.etag))
    assert isinstance(ask_tftp(server, "127.0.0.7", SETTINGS), bytes)


def test_bans_are_made_and_lifted_by_either(place, server, admin):
    path = "/api/v1/access/bans"
    for entry in ("127.66.0.1", "127.66.0.2"):
        ok(admin.call("POST", path, {"entry": entry, "anyway": True}))
    ok(admin.call("DELETE", f"{path}/127.66.0.1"))
    assert [one["entry"] for one in admin.get(path).json["items"]] == ["127.66.0.2"]
    ok(admin.call("DELETE", f"{path}/127.66.0.2"))


def test_listeners_reload_and_slots(server, admin):
    assert ok(admin.call("PUT", "/api/v1/listeners/ftp", {"run": False})).json["state"] == "off"
    assert ok(admin.call("PUT", "/api/v1/listeners/ftp", {"run": True})).json["state"] == "up"
    ok(admin.call("POST", "/api/v1/server/reload"))
    ok(admin.get("/api/v1/access/slots"))


@long
def test_firmware_from_the_manager_to_the_phones_and_back(server, admin):
    before = fetch(server, SCRIPT)
    ident = taken_in(admin, *package(1))
    change(admin, ident, "publish", {"losses": True})
    software = server.home.http_data / APP.format(1)  # what a phone fetches stays for some days
    assert software.exists() and APP.format(1).encode() in fetch(server, SCRIPT)
    change(admin, ident, "rollback")
    assert fetch(server, SCRIPT) == before and not software.exists()
    change(admin, ident, "remove")


def by_updates(server, number: int, state: str = "published") -> str:
    """A zip that somebody laid into Updates; the server takes it in. Its id."""
    name, data = package(number)
    server.write(server.home.updates, name, data)
    kept = Releases(server.home)

    def there():
        return [one for one in kept.in_state(state) if one.archive == name]

    return wait_for(f"{name} {state}", there)[0].id


@long
def test_firmware_of_the_server_after_the_managers_and_the_other_way(place, server, admin):
    ours = taken_in(admin, *package(2))
    change(admin, ours, "publish", {"losses": True})
    theirs = by_updates(server, 3)
    assert APP.format(3).encode() in fetch(server, SCRIPT)
    change(admin, theirs, "rollback")
    assert APP.format(2).encode() in fetch(server, SCRIPT)
    change(admin, theirs, "publish", {"losses": True})
    assert fetch(server, APP.format(3)) == b"app" * 100
    assert admin.finish(admin.call("POST", "/api/v1/firmware/verification"))["result"]["sound"] is True
    by_updates(server, 4)
    place.run(server.home, None, "firmware", "rollback")
    assert APP.format(3).encode() in fetch(server, SCRIPT)
    # The same zip again, by the other one: its lock and its folder are there.
    assert taken_in(admin, *package(3)) == theirs
    for number in (5, 6):
        one = taken_in(admin, *package(number))
        change(admin, one, "publish", {"losses": True})
    place.run(server.home, None, "firmware", "verify")


def test_user_data_of_phone_and_manager_in_turns(server, admin):
    config = configuration.load(server.home)
    assert store(server, b"ABKNAME001=Anna\n") in (200, 201, 204)
    assert store(server, b"ABKNAME001=Bert\n") in (200, 201, 204)
    path = f"/api/v1/userdata/{DATA}"
    told = ok(admin.get(path))
    old = told.json["versions"][-1]["id"]
    ok(admin.call("POST", f"{path}/restore", {"version": old}, told.etag))
    assert versions.read(config, DATA) == b"ABKNAME001=Anna\n"
    assert owner(server.home.ftp_data / DATA) == MANAGER
    assert store(server, b"ABKNAME001=Carl\n") in (200, 201, 204)
    assert versions.read(config, DATA) == b"ABKNAME001=Carl\n"
    assert owner(server.home.ftp_data / DATA) == SERVER
    assert store(server, b"", method="DELETE") in (200, 204)
    told = ok(admin.get(path))
    ok(admin.call("POST", f"{path}/restore", {"version": told.json["versions"][0]["id"]}, told.etag))
    assert versions.read(config, DATA) == b"ABKNAME001=Carl\n"
    assert store(server, b"ABKNAME001=Dora\n") in (200, 201, 204)
    assert len(ok(admin.get(path)).json["versions"]) >= 4


def test_copies_and_passwords_of_users(place, server, admin):
    assert store(server, b"x=1\n", "4712_96xxdata.txt") in (200, 201, 204)
    assert store(server, b"x=2\n", "4712_96xxdata.txt", "other") == 403
    rows = {one["file"]: one for one in admin.get("/api/v1/userdata").json["items"]}
    assert rows["4712_96xxdata.txt"]["password"], rows
    done = admin.finish(admin.call("POST", "/api/v1/userdata-exports", {"versions": True}))
    assert ok(admin.get(done["result"]["download"])).body[:2] == b"PK"
    ok(admin.call("DELETE", "/api/v1/userdata/4712_96xxdata.txt/password"))
    assert store(server, b"x=2\n", "4712_96xxdata.txt", "other") in (200, 201, 204)
    place.run(server.home, None, "backups", "unpin", "4712_96xxdata.txt")
    assert store(server, b"x=3\n", "4712_96xxdata.txt", "third") in (200, 201, 204)


def test_the_superuser_and_the_manager_in_turns(server, admin):
    path = "/api/v1/files/HTTPdata/turns.bin"
    made = ok(admin.upload("PUT", path, b"manager", NEW))
    with ftplib.FTP() as line:
        line.connect("127.0.0.1", server.ftp, 30)
        line.login("mvuser", "correct horse battery")
        line.cwd("data/HTTPdata")
        with pytest.raises(ftplib.error_perm):  # its time is its owner's to set, and that is told
            line.sendcmd("MFMT 20200101000000 turns.bin")
        line.storbinary("STOR turns.bin", io.BytesIO(b"superuser"))
        line.sendcmd("MFMT 20200101000000 turns.bin")
        assert fetch(server, "turns.bin") == b"superuser"
        made = ok(admin.upload("PUT", path, b"again", {"If-Match": f'"{admin.get(path).etag}"'}))
        line.rename("turns.bin", "renamed.bin")
        assert fetch(server, "renamed.bin") == b"again" and not fetch(server, "turns.bin")
        ok(admin.call("DELETE", "/api/v1/files/HTTPdata/renamed.bin", {}, made.etag))
        line.mkd("folder")
        ok(admin.call("PUT", "/api/v1/files/HTTPdata/folder/x.txt", {"text": "SET X 1\n"}, headers=NEW))
        line.delete("folder/x.txt")
        ok(admin.call("DELETE", "/api/v1/files/HTTPdata/folder", {}))


@long
def test_root_commands_leave_nothing_that_the_services_cannot_change(place, server, admin):
    config = configuration.load(server.home)
    save(admin, "46xxnotes.txt", "SET L2QVLAN 1\n")
    save(admin, "46xxnotes.txt", "SET L2QVLAN 2\n")
    place.run(server.home, None, "settings", "undo", "HTTPdata/46xxnotes.txt")
    assert fetch(server, "46xxnotes.txt") == b"SET L2QVLAN 1\n"
    save(admin, "46xxnotes.txt", "SET L2QVLAN 3\n")
    assert store(server, b"a=1\n", "4713_96xxdata.txt") in (200, 201, 204)
    assert store(server, b"a=2\n", "4713_96xxdata.txt") in (200, 201, 204)
    old = versions.of(config, "4713_96xxdata.txt")[-1].id
    place.run(server.home, None, "backups", "restore", "4713_96xxdata.txt", old)
    assert versions.read(config, "4713_96xxdata.txt") == b"a=1\n"
    for number, mode in ((7, 0o644), (8, 0o600)):  # what only root can read is taken in by root
        name, data = package(number)
        zipped = place.folder / name
        zipped.write_bytes(data)
        zipped.chmod(mode)
        place.run(server.home, None, "firmware", "install", str(zipped), "--publish", "--yes")
        assert owner(server.home.http_data / APP.format(number)) in (SERVER, MANAGER)
        assert APP.format(number).encode() in fetch(server, SCRIPT)
    ident = taken_in(admin, *package(9))
    change(admin, ident, "publish", {"losses": True})
    place.run(server.home, None, "firmware", "remove", ident, status=1)
    place.run(server.home, None, "firmware", "rollback")
    subprocess.run(
        [*place.command("mv-manager", "user", "list", "--home", str(server.home.root))], check=True, cwd="/"
    )
    assert store(server, b"a=3\n", "4713_96xxdata.txt") in (200, 201, 204)


@long
def test_a_scan(server, admin):
    begun = admin.call("POST", "/api/v1/firmware/scans", {"nets": ["127.9.7.1-127.9.7.2"], "rate": 2000})
    assert admin.finish(begun)["result"]["answered"] == 0


@long
def test_what_phones_did_is_seen(server, admin):
    wait_for("phones", lambda: admin.get("/api/v1/phones").json["total"] >= 1)
    for path in ("/", "/phones", "/log", "/access", "/userdata", "/files", "/firmware", "/audit"):
        ok(admin.get(path))
    ok(admin.get("/api/v1/log"))
    ok(admin.get("/api/v1/overview"))
    for one in ok(admin.get("/api/v1/strangers")).json["items"][:1]:
        ok(admin.call("PUT", f"/api/v1/strangers/{one['key']}/ignored"))


@long
def test_certificates_are_renewed_by_the_managers_user(place, server, admin):
    before = ssl.get_server_certificate(("127.0.0.1", server.https))
    place.run(server.home, owning.MANAGER, "certs", "renew", "--force")
    wait_for("the new one", lambda: ssl.get_server_certificate(("127.0.0.1", server.https)) != before)
    after = ssl.get_server_certificate(("127.0.0.1", server.https))
    place.run(server.home, None, "certs", "server")
    wait_for("roots", lambda: ssl.get_server_certificate(("127.0.0.1", server.https)) != after)


@long
def test_the_watchdog_sees_all_and_writes_only_its_own(place, server, admin):
    with three.Watching(place, server.home) as watchdog:
        watchdog.rounds(2)
        seen = watchdog.seen()
        assert not watchdog.alerts(), seen


@long
def test_the_inventory_that_the_manager_opened_alone(server, manager, admin):
    """Its WAL and its index are then the manager's."""
    server.__exit__()
    known = wait_for("phones", lambda: ok(admin.get("/api/v1/phones")).json)
    manager.process.kill()
    manager.process.wait()
    server.__enter__()
    fetch(server, SETTINGS)
    manager.start()
    assert admin.get("/api/v1/phones").json["total"] >= known["total"] >= 1


def test_nothing_was_left_that_one_of_them_cannot_use(server, admin, manager):
    assert three.strangers(server.home) == []
    server.assert_no_fault()
    for log in (manager.home.manager / "log").iterdir():
        assert "Permission" not in log.read_text(), log.read_text()
    refused = [
        line for line in server.journal().splitlines() if re.search(r"[Pp]ermi(ssion denied|tted)", line)
    ]
    assert [line for line in refused if "turns.bin" not in line] == []
