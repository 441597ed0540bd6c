"""What is broken, looked for in a process of its own."""

from __future__ import annotations

from mv_iptel.history import judging
from mv_iptel.history.judging import Place, found_in, judge


def test_errors_come_back_from_the_other_process(desk):
    path = desk.write("GOTO NOWHERE\n## end\n", "46xxupgrade.scr")
    folder = str(desk.home.http_data)
    told = judge([Place(folder), Place(str(desk.home.tftp_data))])
    assert told[str(desk.home.tftp_data)] == []
    assert [(one.file, one.line) for one in told[folder]] == [(str(path), 1)]
    assert "NOWHERE" in told[folder][0].text
    assert told[folder] == found_in(Place(folder))


def test_what_lies_elsewhere_is_there(desk):
    desk.write("GET 46xxsettings.txt\n", "46xxupgrade.scr", desk.home.https_data)
    desk.write("SET PHNOL 9\n")
    https, http = str(desk.home.https_data), str(desk.home.http_data)
    assert found_in(Place(https)) != []
    assert found_in(Place(https, (http,))) == []


def test_a_folder_that_is_not_there_has_no_errors(tmp_path):
    assert found_in(Place(str(tmp_path / "none"))) == []


def test_no_answer_is_no_verdict(monkeypatch, desk):
    monkeypatch.setattr(judging.sys, "executable", str(desk.home.root / "no-python"))
    assert judge([Place(str(desk.home.http_data))]) is None
