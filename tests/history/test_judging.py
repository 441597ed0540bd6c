"""What is broken, looked for in a process of its own."""

from __future__ import annotations

from mv_iptel.history import judging
from mv_iptel.history.judging import Place, found_in, judge
from mv_iptel.phones.lint import CODES


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


def test_errors_only_and_each_with_its_line(desk):
    desk.write("GET 46xxvpn.scr\n", "46xxupgrade.scr")
    desk.write("\n\nGET 46XXUPGRADE.scr\n", "46xxvpn.scr")
    desk.write("SET RFSNAME gone.tar\nGET gone.txt\n", "96x1Hupgrade.txt")
    desk.write("SET A 1".encode("utf-16"))
    desk.write("IF $SIG SEQ 2 GOTO NOWHERE\nSET L2QVLN 5\nGET 46xxsettings.txt\n", "96xxupgrade.txt")
    told = [(one.file.rpartition("/")[2], one.line) for one in found_in(Place(str(desk.home.http_data)))]
    assert told == [("46xxsettings.txt", 1), ("46xxvpn.scr", 3), ("96x1Hupgrade.txt", 1),
                    ("96x1Hupgrade.txt", 2), ("96xxupgrade.txt", 1)]  # fmt: skip


def test_what_only_the_server_knows_is_no_error():
    """So nothing is lost by judging without it."""
    codes = [code for code in CODES if code.startswith("backup-") or code == "open-secret"]
    assert len(codes) == 4 and "error" not in {CODES[code].severity for code in codes}


def test_a_folder_that_is_not_there_has_no_errors(tmp_path):
    assert found_in(Place(str(tmp_path / "none"))) == []


def test_no_answer_is_no_verdict(monkeypatch, desk):
    monkeypatch.setattr(judging.sys, "executable", str(desk.home.root / "no-python"))
    assert judge([Place(str(desk.home.http_data))]) is None
