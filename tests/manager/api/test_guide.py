"""The guide's own calls: the steps, and the telephone system in the settings."""

from __future__ import annotations

import pytest


def test_the_steps(viewer):
    told = viewer.get("/api/v1/guide")
    states = {one["key"]: one["state"] for one in told.json["steps"]}
    assert states["server"] == "open" and states["phone"] == "open" and states["certificate"] == "done"
    assert told.etag and told.json["phone"] is None


def test_the_telephone_system_goes_where_the_settings_have_a_line_for_it(here, operator):
    etag = operator.get("/api/v1/guide").etag
    files = [here.home.http_data / "46xxsettings.txt", here.home.tftp_data / "46xxsettings.txt"]
    path = "/api/v1/guide/telephone-system"
    assert operator.call("PUT", path, {"h323": "192.0.2.77"}).status == 428
    answer = operator.call("PUT", path, {"h323": "192.0.2.77,192.0.2.78", "sip": ""}, etag)
    assert answer.status == 200, answer.text
    for file in files:
        text = file.read_text()
        assert "\nSET MCIPADD 192.0.2.77,192.0.2.78\n" in text and "## SET MCIPADD" not in text
        assert "## SET SIP_CONTROLLER_LIST" in text or file is files[1]
    assert sorted(answer.json["changed"]) == ["HTTPdata/46xxsettings.txt", "TFTPdata/46xxsettings.txt"]
    assert answer.etag != etag
    again = operator.call("PUT", path, {"h323": "192.0.2.79"}, etag)
    assert again.status == 412 and again.json["etag"] == answer.etag
    told = operator.get("/api/v1/guide").json
    (step,) = [one for one in told["steps"] if one["key"] == "system"]
    assert step["state"] == "done" and "MCIPADD" not in told["dhcp"]["dnsmasq"]
    entry = here.site.store.ask("SELECT * FROM audit WHERE action = 'telephone system' ORDER BY id")[0]
    past = operator.get("/api/v1/file-history/HTTPdata/46xxsettings.txt").json["items"]
    assert past[0]["by"] == "operator", "a file's history tells who wrote it, by the guide too"
    assert entry["who"] == "operator" and "+SET MCIPADD 192.0.2.77,192.0.2.78" in entry["after"]


@pytest.mark.parametrize(
    "told", [{}, {"h323": "no address!"}, {"h323": "192.0.2.1\nSET X y"}, {"sip": "x y"}, {"h323": 5},
             {"h323": 'a"b'}, {"sip": "192.0.2.1;transport=gopher"}],
)  # fmt: skip
def test_what_is_no_address_is_written_nowhere(here, operator, told):
    before = (here.home.http_data / "46xxsettings.txt").read_bytes()
    etag = operator.get("/api/v1/guide").etag
    answer = operator.call("PUT", "/api/v1/guide/telephone-system", told, etag)
    assert answer.status == 422
    assert (here.home.http_data / "46xxsettings.txt").read_bytes() == before
