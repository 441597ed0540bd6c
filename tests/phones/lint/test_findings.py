"""docs/lint.md has every code; its bad example is found in the line that it says, its good one is clean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from mv_iptel.phones.lint import CODES, Folder, Site, lint
from mv_iptel.phones.lint.findings import ORDER, finding

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "lint.md").read_text("utf-8")
SERVER = Site(addresses=frozenset({"192.0.2.5"}))
NO_EXAMPLE = {"unreadable"}  # what the system refuses stands in no page; see test_folder
GRADES = {"error": "Error", "warning": "Warning", "info": "Note"}


class Example(NamedTuple):
    """What the page says of one code."""

    grade: str
    line: int
    file: str
    bad: dict[str, bytes]
    good: dict[str, bytes]


def content(text: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())


def files(part: str) -> dict[str, bytes]:
    return {name: content(text) for name, text in re.findall(r"```text (\S+)\n(.*?)\n```", part, re.S)}


def examples() -> dict[str, Example]:
    found = {}
    for part in re.split(r"^### ", PAGE, flags=re.M)[1:]:
        code, _, rest = part.partition("\n")
        bad, _, good = rest.partition("\nGood:\n")
        where = re.search(r"^Bad, line (\d+) of `(.+)`:", bad, re.M)
        line, file = (int(where[1]), where[2]) if where else (0, "")
        found[code] = Example(rest.split(":", 1)[0].strip(), line, file, files(bad), files(good))
    return found


EXAMPLES = examples()


def linted(content: dict[str, bytes]):
    scripts = {name: data for name, data in content.items() if data != b"..."}
    return lint(Folder(scripts, frozenset(content) - frozenset(scripts)), site=SERVER)


def test_every_code_is_documented():
    assert list(EXAMPLES) == list(CODES)
    assert {code: example.grade for code, example in EXAMPLES.items()} == {
        code: GRADES[each.severity] for code, each in CODES.items()
    }


@pytest.mark.parametrize("code", [code for code in CODES if code not in NO_EXAMPLE])
def test_the_bad_example_is_found_and_the_good_one_is_clean(code):
    example = EXAMPLES[code]
    bad = [one for one in linted(example.bad) if one.code == code]
    assert [(one.file, one.line) for one in bad] == [(example.file, example.line)]
    good = linted(example.good)
    assert [one for one in good if one.severity != "info" or one.code == code] == []


def test_a_bad_example_shows_one_mistake_only():
    """Nothing besides may be an error: the reader should learn one thing."""
    others = {
        code: [one.code for one in linted(example.bad) if one.code != code and one.severity != "info"]
        for code, example in EXAMPLES.items()
    }
    assert {code: more for code, more in others.items() if more} == {}


def test_codes_speak_for_themselves():
    for code, each in CODES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert each.severity in ORDER
        assert not each.title.endswith(".") and each.why.endswith(".")


def test_a_finding_as_text_and_json():
    one = finding("a.txt", 3, "curly-quotes", "it has", "write", fix=('SET FORCE_SIP_PASSWORD "x"',))
    assert str(one) == "a.txt:3: error curly-quotes: it has; write"
    assert one.as_dict() == {
        "file": "a.txt",
        "line": 3,
        "code": "curly-quotes",
        "severity": "error",
        "text": "it has",
        "mend": "write",
        "fix": True,
    }
    assert str(finding("a.txt", 0, "unreadable", "x", "y")).startswith("a.txt: error")
