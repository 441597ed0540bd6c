"""The command certs, as somebody types it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mv_iptel import certs, config
from mv_iptel.certs import looking
from mv_iptel.certs.reading import load_chain
from mv_iptel.cli import certs as cli
from mv_iptel.home import Home
from mv_iptel.init import create


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("cli") / "site")
    create(home, "files1", ["192.0.2.10"])
    home.ini.write_text(config.changed(home.ini.read_text("utf-8"), {("HTTPS", "RunHTTPS"): "1"}), "utf-8")
    return home


@pytest.fixture
def word(tmp_path):
    path = tmp_path / "word"
    path.write_text("secret\n")
    return path


def run(home: Home, name: str, *arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli.certs, [name, *map(str, arguments), "--home", str(home.root)])
    assert done.exit_code == code and "Traceback" not in done.output, done.output
    return done.output


def test_check(site):
    said = json.loads(run(site, "check", "--json"))
    assert said["ok"] and "192.0.2.10" in said["certificate"]["names"]
    assert said["certificate"]["listeners"] == ["https", "https-alt", "ftps", "central", "manager"]
    ((listener, families),) = said["phones"].items()
    assert listener == "HTTPS 411, 443"
    assert {"family": "J100 SIP", "accepts": "yes", "reasons": []} in families
    text = run(site, "check")
    assert "vendor signed" in text and "RSA 2048" in text and text.endswith("nothing to mend\n")


def test_from_making_to_importing(site, tmp_path, word):
    home = site
    serials = [load_chain(home.cert_file)[0].serial_number]

    def step(name: str, *arguments: object, code: int = 0) -> str:
        said = run(home, name, *arguments, code=code)
        serials.append(load_chain(home.cert_file)[0].serial_number)
        return said

    assert "not due yet" in step("renew")
    assert serials[-1] == serials[0]
    assert json.loads(step("renew", "--force", "--json"))["renewed"]
    assert serials[-1] != serials[-2]
    target = tmp_path / "a.p12"
    assert "password" in step("export", target, "--form", "p12", code=2)
    step("export", target, "--form", "p12", "--password-file", word)
    assert target.stat().st_mode & 0o777 == 0o600
    step("server", "--address", "192.0.2.20", "--name", "files2.example.net", "--uri", "https://files2/")
    names = certs.names_of(load_chain(home.cert_file)[0])
    assert {"192.0.2.10", "192.0.2.20"} <= set(names.addresses) and "files2.example.net" in names.dns
    assert names.uris == ("https://files2/",)
    step("server", "--forget", "--kind", "p256")
    assert "192.0.2.20" not in certs.names_of(load_chain(home.cert_file)[0]).addresses
    step("import", target, "--password-file", word)
    assert serials[-1] == serials[2]
    assert "--force" in step("ca", code=1)
    before = home.ca_cert.read_bytes()
    assert "stays valid" in step("ca", "--renew")
    step("ca", "--force", "--name", "North")
    assert home.ca_cert.read_bytes() != before
    assert (home.http_data / certs.PUBLIC_NAME).read_bytes() == home.ca_cert.read_bytes()
    assert certs.check(home.cert_file, home.key_file) == []


def test_a_listener_gets_one_of_its_own(site):
    assert "run `mv-iptel reload`" in run(site, "server", "--of", "ftps", "--kind", "p256")
    assert "restart the manager" in run(site, "server", "--of", "manager", "--days", "90", "--kind", "p256")
    loaded, manager = config.load(site), config.load_manager(site)
    assert loaded.findings == () and manager.findings == ()
    pair = loaded.pair("ftps")
    assert (
        pair.cert_file == site.certs / "ftps-cert.pem"
        and looking.kind_of(load_chain(pair.cert_file)[0])[:2] == "EC"
    )
    assert pair.key_file.stat().st_mode & 0o777 == certs.KEY_MODE
    assert manager.settings.cert_file == site.certs / "manager-cert.pem"
    assert "MV_IPTel/certs/ftps-cert.pem" in site.ini.read_text("utf-8")
    # The second time it is there already, and nothing needs to be read anew.
    ini = site.ini.read_bytes()
    assert "reload" not in run(site, "server", "--of", "ftps")
    assert site.ini.read_bytes() == ini
    rows = json.loads(run(site, "renew", "--json"))["certificates"]
    assert [one["listeners"] for one in rows] == [["https", "https-alt", "central"], ["ftps"], ["manager"]]


def test_for_another_machine(site, tmp_path, word, program):
    import subprocess

    out = tmp_path / "pbx"
    said = run(
        site, "server", "--for", "pbx.example.net", "--address", "192.0.2.20", "--out", out, "--kind", "p256"
    )
    assert "not renewed from here" in said
    assert {path.name for path in out.iterdir()} == {
        "ca.pem", "pbx.example.net-cert.pem", "pbx.example.net-key.pem"
    }  # fmt: skip
    assert (out / "pbx.example.net-key.pem").stat().st_mode & 0o777 == 0o600
    names = certs.names_of(load_chain(out / "pbx.example.net-cert.pem")[0])
    assert names == certs.Names(("pbx.example.net",), ("192.0.2.20",))
    command = [program("openssl"), "verify", "-verify_hostname", "pbx.example.net", "-CAfile", out / "ca.pem",
               out / "pbx.example.net-cert.pem"]  # fmt: skip
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    assert "password" in run(site, "server", "--for", "x", "--out", out, "--form", "p12", code=2)
    done = run(
        site, "server", "--for", "a/../b", "--out", out, "--form", "p12-old", "--password-file", word, code=2
    )
    assert "neither a DNS name nor an address" in done
    run(
        site,
        "server",
        "--for",
        "2001:db8::5",
        "--kind",
        "p256",
        "--out",
        out,
        "--form",
        "p12",
        "--password-file",
        word,
    )
    assert (out / "2001_db8__5.p12").exists()


def test_a_request_and_what_comes_back(site, tmp_path, program):
    """An OpenSSL authority signs the request; its key waits here until then and replaces the old one."""
    import subprocess

    def openssl(*arguments):
        subprocess.run(
            [program("openssl"), *map(str, arguments)], check=True, capture_output=True, timeout=30
        )

    root, key, asked, signed = (tmp_path / name for name in ("root.pem", "root-key.pem", "a.csr", "a.pem"))
    openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=Company",
        "-keyout",
        key,
        "-out",
        root,
    )
    before = site.key_file.read_bytes()
    assert "certs import SIGNED_FILE" in run(site, "server", "--request", asked)
    assert site.key_file.read_bytes() == before
    openssl("x509", "-req", "-in", asked, "-CA", root, "-CAkey", key, "-days", "90", "-copy_extensions",
            "copy", "-out", signed)  # fmt: skip
    kept = site.cert_file.read_bytes(), site.key_file.read_bytes()
    try:
        run(site, "import", signed)
        assert site.key_file.read_bytes() != before and certs.check(site.cert_file, site.key_file) == []
        assert not (site.certs / "https-request-key.pem").exists()
        said = json.loads(run(site, "check", "--json"))["phones"]["HTTPS 411, 443"]
        (family,) = [one for one in said if one["family"] == "96x1 H.323"]
        assert family["accepts"] == "no" and "does not lead to CN=Company" in " ".join(family["reasons"])
        said = json.loads(run(site, "renew", "--force", "--json", code=1))
        assert said["certificates"][0]["result"] == "failed"
    finally:
        site.cert_file.write_bytes(kept[0])
        site.key_file.write_bytes(kept[1])


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("import", ["/nowhere/none.pem"], "cannot be read"),
        ("server", ["--name", "not a name"], "is not a DNS name"),
        ("server", ["--address", "192.0.2"], "is not an address"),
        ("server", ["--uri", "x"], "is not a URI"),
        ("server", ["--subject", "x"], "is not a subject"),
        ("server", ["--for", "x"], "belong together"),
        ("server", ["--of", "everybody"], "everybody"),
        ("ca", ["--renew", "--force"], "give one"),
        ("import", ["/nowhere/x", "--password-file", "/nowhere/none"], "none"),
    ],
)
def test_what_is_wrong_is_told(site, name, arguments, words):
    assert words in run(site, name, *arguments, code=2)
