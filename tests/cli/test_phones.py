"""The command `phones`: spans of time, and what a spreadsheet is given; its views are in test_seeing.py."""

from __future__ import annotations

import csv
import io

import pytest

from mv_iptel.cli.options import seconds as seconds_of
from mv_iptel.cli.phones import _write_csv


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("15m", 900), ("8h", 28800), ("1.5d", 129600), ("2w", 1209600), (" 30 D ", 2592000)],
)
def test_a_span_of_time(text, seconds):
    assert seconds_of(text, "--seen") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1h", "1y", "15 m 3"])
def test_no_span_of_time(text, capsys):
    with pytest.raises(SystemExit) as ended:
        seconds_of(text, "--seen")
    assert ended.value.code == 2 and "--seen" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["=1+1", "+1", "-1", "@x", "9640"])
def test_no_cell_is_a_formula(model, capsys):
    row = {"mac": "00040d112233", "ext": "4711", "model": model, "version": "", "runs": "", "runs_source": "",
           "address": "192.0.2.17", "first_seen": 0.0, "last_seen": 0.0, "requests": 1, "refused": 0,
           "failed": 0, "bytes": 9}  # fmt: skip
    _write_csv([row])
    heads, cells = csv.reader(io.StringIO(capsys.readouterr().out))
    told = dict(zip(heads, cells, strict=True))
    assert told["model"] == (model if model == "9640" else f"'{model}")
    assert (told["mac"], told["bytes"]) == ("00040d112233", "9")
