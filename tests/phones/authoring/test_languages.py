"""Language files by the forms of their names."""

from __future__ import annotations

from mv_iptel.phones.authoring.languages import LanguageFile, choose, language_files

NAMES = [
    "mlf_96x1_v80_german.txt", "MLF_96x1_v176_german.txt", "mlf_s96x1_v9_french.txt",
    "Mlf_CanadianFrench.xml", "Mlf_ParisianFrench.xml", "Mlf_J169_J179_German.xml", "KoreanRT1.xml",
    "46xxsettings.txt",
]  # fmt: skip


def test_the_highest_version_of_each():
    found = {(one.family, one.language): one.file for one in language_files(NAMES)}
    assert found["96x1", "german"] == "MLF_96x1_v176_german.txt"
    assert found["96x1", "french"] == "mlf_s96x1_v9_french.txt"
    assert len(found) == 5


def test_choosing():
    files = language_files(NAMES)
    one = choose(files, "J100-sip", "J179", "GERMAN")
    assert one == LanguageFile("Mlf_J169_J179_German.xml", "German", "J100-sip", ("J169", "J179"))
    assert choose(files, "J100-sip", "J189", "German") == "no file of German for J100-sip (J189) is there"
    assert "may be CanadianFrench, ParisianFrench" in choose(files, "96x1-sip", "", "french")
    assert choose(files, "96x1-sip", "", "parisian french").file == "Mlf_ParisianFrench.xml"
    assert "there are french, german" in choose(files, "96x1", "", "thai")
