"""What commands print: columns as wide as they are, and prose that stays beside its head."""

from __future__ import annotations

from rich.text import Text

from mv_iptel.cli.forms import Columns, beside


def folded(prose: str, width: int) -> list[str]:
    return beside(Text("  meaning  "), Text(prose), width).plain.split("\n")


def test_prose_stays_beside_its_head_in_a_window():
    prose = "Where user data is put and fetched: labels, contacts, options."
    assert folded(prose, 50) == [
        "  meaning  Where user data is put and fetched:",
        "           labels, contacts, options.",
    ]
    assert folded(prose, 0) == folded(prose, 200) == folded(prose, 30) == [f"  meaning  {prose}"]


def test_what_is_copied_is_never_cut():
    url = "http://" + "x" * 60
    assert url in folded(f"BRURI is {url} now", 60)[1]


def test_columns_are_aligned(capsys):
    table = Columns("name", ">octets")
    table.add_row("a", "1")
    table.add_row("longer", "1,000")
    table.show()
    assert capsys.readouterr().out.split("\n")[:3] == ["name    octets", "a            1", "longer   1,000"]
