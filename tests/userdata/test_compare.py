"""What user data says, and what changed in it: both spellings, contacts that move, and what is no text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.userdata import compare
from mv_iptel.userdata.compare import differences, parse, sentences

ANNA = b"ABKNAME001=Anna\nABKNUMBER001=201\nABKNAME002=Bert\nABKNUMBER002=300\n"


def told(old: bytes, new: bytes) -> list[str]:
    return sentences(differences(old, new))


def test_a_contact_is_one_entry_where_its_first_line_stands():
    entries = parse(b"ABKNUMBER003=201\nLANGUSER=German\nABKNAME003=Anna\n").entries
    assert [entry.words() for entry in entries] == ["speed dial 3: Anna 201", "display language: German"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"ABKNAME007=Anna", "speed dial 7: Anna (no number)"),
        (b"ABKNUMBER007=201", "speed dial 7: 201 (no name)"),
        (b"PHNLABEL04=Door", "label 4: Door"),
        (b"SBMLABEL12=Gate", "button module label 12: Gate"),
        (b"OPTAGCHAND=1", "handset AGC: on"),
        (b"Handset AGC=0", "handset AGC: off"),
        (b"Display  Language = English", "display language: English"),
        (b"PHNREDIAL=1", "redial: 1"),
        (b"Some New Option=7", "Some New Option: 7"),
        (b"no sign here", "no sign here"),
        (b"=no name", "=no name"),
        (b"LANGUSER=a=b", "display language: a=b"),
    ],
)
def test_lines_in_the_terms_of_the_user(data, words):
    assert [entry.words() for entry in parse(data).entries] == [words]


def test_what_is_said_twice_is_shown_twice():
    entries = parse(b"LANGUSER=German\nLANGUSER=French\nABKNAME001=A\nABKNAME001=B\n").entries
    assert [entry.value for entry in entries] == ["German", "French", "A (no number)", "B"]
    assert len({entry.key for entry in entries}) == 4


@pytest.mark.parametrize(
    ("data", "encoding", "ends"),
    [
        (b"", "ASCII", ""),
        (b"\r\nLANGUSER=German\r\n", "ASCII", "CRLF"),
        ("LANGUSER=Français\n".encode(), "UTF-8", "LF"),
        ("LANGUSER=Français\r".encode("cp1252"), "Windows-1252", "CR"),
        ("LANGUSER=Français\r\n".encode("utf-16"), "UTF-16LE", "CRLF"),
        (b"\xfe\xff" + "LANGUSER=Français\r\n\n".encode("utf-16-be"), "UTF-16BE", "mixed"),
        (b"\xef\xbb\xbf" + "LANGUSER=Français".encode(), "UTF-8 with a mark", ""),
    ],
)
def test_every_encoding_says_the_same(data, encoding, ends):
    content = parse(data)
    assert (content.encoding, content.ends, content.size) == (encoding, ends, len(data))
    if data:
        assert content.entries[0].value.startswith(("German", "Français"))


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"\x89PNG\r\n\x1a\n", b"\xff\xfeabc", b"a\x00b\x00"])
def test_what_is_no_text_has_no_entries(data):
    assert parse(data).encoding == ""
    assert parse(data).entries == ()
    assert parse(data).summary() == "no text"


def test_octets_without_a_meaning_are_shown_as_escapes():
    assert parse(b"LANGUSER=\xe4\x81").entries[0].value == "ä\\x81"


def test_the_summary_counts():
    assert parse(b"").summary() == "empty"
    assert parse(b"\r\n\r\n").summary() == "only empty lines"
    data = ANNA + b"PHNLABEL01=x\nRedial=0\nfoo\n"
    assert parse(data).summary() == "2 speed dials, 1 label, 1 option, 1 other line"


def test_a_file_of_endless_lines_is_read_to_a_limit():
    content = parse(b"x=1\n" * (compare.MANY + 5))
    assert (len(content.entries), content.more) == (compare.MANY, 5)
    assert "5 lines not read" in content.summary()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (ANNA, ANNA.replace(b"201", b"202"), ["speed dial 1: Anna 201 -> Anna 202"]),
        (ANNA, ANNA.replace(b"Bert", b"Berta"), ["speed dial 2: Bert 300 -> Berta 300"]),
        (b"", ANNA, ["speed dial 1 added: Anna 201", "speed dial 2 added: Bert 300"]),
        (ANNA, ANNA[:33], ["speed dial 2 removed: Bert 300"]),
        (b"PHNLABEL01=x", b"PHNLABEL01=y", ["label 1: x -> y"]),
        (b"OPTAGCHAND=0", b"OPTAGCHAND=1", ["handset AGC: off -> on"]),
        (b"foo\nbar", b"bar\nbaz", ["line added: baz", "line removed: foo"]),
        (b"foo\nfoo", b"foo", ["line removed: foo"]),
        (b"New=1", b"", ["New removed: 1"]),
        (b"LANGUSER=A\nLANGUSER=B", b"LANGUSER=A\nLANGUSER=C", ["display language: B -> C"]),
    ],
)
def test_differences_in_words(old, new, words):
    assert told(old, new) == words


def test_a_contact_put_before_the_others_does_not_change_them():
    new = b"ABKNAME001=Adam\nABKNUMBER001=200\nABKNAME002=Anna\nABKNUMBER002=201\n"
    new += b"ABKNAME003=Bert\nABKNUMBER003=301\n"
    assert told(ANNA, new) == [
        "speed dial 1 added: Adam 200",
        "Anna 201: speed dial 1 -> speed dial 2",
        "speed dial 3: Bert 300 -> Bert 301",
    ]


def test_many_contacts_that_only_moved_are_one_sentence():
    def file(first):
        return b"".join(
            b"ABKNAME%03d=N%d\nABKNUMBER%03d=%d\n" % (n + first, n, n + first, n) for n in range(9)
        )

    words = told(file(1), b"ABKNAME001=Adam\nABKNUMBER001=777\n" + file(2))
    assert words[0] == "speed dial 1 added: Adam 777"
    assert words[1:] == ["9 speed dials have other numbers than before, and are the same otherwise"]


def test_two_spellings_of_a_setting_are_one():
    assert told(b"PHNREDIAL=0\nOPTAGCHAND=1\n", b"Redial=1\nHandset AGC=1\n") == ["redial: 0 -> 1"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"LANGUSER=German\n", b"LANGUSER=German\r\n", "line ends: LF -> CRLF"),
        (b"a=1\nb=2\n", b"b=2\na=1\n", "order of the lines: one -> another"),
        ("a=ä\n".encode(), "a=ä\n".encode("cp1252"), "encoding: UTF-8 -> Windows-1252"),
        (b"a=1\n", b"\na=1\n", "spelling or empty lines: 4 B -> 5 B"),
        (b"Redial=1\n", b"ReDial=1\n", "spelling or empty lines: 9 B -> 9 B"),
    ],
)
def test_other_bytes_that_say_the_same_differ_in_form(old, new, words):
    assert told(old, new) == [words]
    assert differences(old, new)[0].what == compare.FORM


def test_what_is_no_text_differs_as_a_whole():
    assert told(b"\x00\x01", b"a=1") == ["content: no text, 2 B -> ASCII, 3 B"]
    assert told(b"\x00\x01", b"\x00\x02") == ["content: no text, 2 B -> no text, 2 B"]


def test_nothing_changed():
    assert differences(ANNA, ANNA) == []
    assert differences(parse(ANNA), parse(ANNA)) == []


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_two_different_files_never_look_the_same(old, new):
    assert parse(old).size == len(old)
    assert bool(differences(old, new)) == (old != new)
    assert all(isinstance(word, str) for word in told(old, new))


KNOWN = [
    "ABKNAME001=A", "ABKNUMBER001=1", "ABKNAME002=A", "ABKNAME2=B", "PHNLABEL1=x", "PHNLABEL01=x", "Redial=1",
    "PHNREDIAL=1", "PHNREDIAL=2", "foo", "", "foo=3", "=",
]  # fmt: skip
LINES = st.lists(st.sampled_from(KNOWN), max_size=8).map(lambda lines: "\n".join(lines).encode())


@given(LINES, LINES)
def test_nor_do_files_of_known_lines(old, new):
    assert bool(differences(old, new)) == (old != new)
    assert len({entry.key for entry in parse(old).entries if entry.kind != compare.LINE}) == sum(
        entry.kind != compare.LINE for entry in parse(old).entries
    )
