"""Which language files lie in a directory, for which phones, by the forms of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# Form of the name -> families whose phones read it. A version is a number: the highest counts.
_FORMS = (
    (re.compile(r"mlf_sage_v(?P<version>[0-9]+)_(?P<language>[a-z]+)\.txt", re.I), ("16xx",)),
    (re.compile(r"mlf_s31_v(?P<version>[0-9]+)_(?P<language>[a-z]+)\.txt", re.I), ("96x0",)),
    (re.compile(r"mlf_s?96x1_v(?P<version>[0-9]+)_(?P<language>[a-z]+)\.txt", re.I), ("96x1",)),
    (re.compile(r"mlf_s96x0_(?P<language>[a-z]+)\.xml", re.I), ("96x0-sip",)),
    (re.compile(r"mlf_(?P<models>j[0-9]{3}(?:_j[0-9]{3})*)_(?P<language>[a-z]+)\.xml", re.I), ("J100-sip",)),
    (re.compile(r"mlf_(?P<language>[a-z]+)\.xml", re.I), ("96x1-sip",)),
)


class LanguageFile(NamedTuple):
    """A file of texts for one family, or for some of its models."""

    file: str
    language: str  # as the name spells it
    family: str
    models: tuple[str, ...] = ()  # the first four characters; empty: all of the family
    version: int = 0


def language_files(names: Iterable[str]) -> list[LanguageFile]:
    """Every language file among these names; of several versions the highest."""
    newest: dict[tuple[str, str, tuple[str, ...]], LanguageFile] = {}
    for name in sorted(names):
        for form, families in _FORMS:
            match = form.fullmatch(name)
            if match is None:
                continue
            parts: Mapping[str, str | None] = match.groupdict()
            models = tuple((parts.get("models") or "").upper().split("_")) if parts.get("models") else ()
            for family in families:
                version = int(parts.get("version") or 0)
                one = LanguageFile(name, match["language"], family, models, version)
                key = family, one.language.casefold(), models
                if key not in newest or newest[key].version < version:
                    newest[key] = one
            break
    return list(newest.values())


def choose(files: Iterable[LanguageFile], family: str, model4: str, language: str) -> LanguageFile | str:
    """The file of this language for a phone, or a sentence on why there is none.

    `french` finds CanadianFrench if there is no other French.
    """
    ours = [
        one
        for one in files
        if one.family == family and (not one.models or not model4 or model4 in one.models)
    ]
    wanted = re.sub(r"[^a-z]", "", language.casefold())
    exact = [one for one in ours if one.language.casefold() == wanted]
    near = exact or [one for one in ours if wanted and wanted in one.language.casefold()]
    whose = f"{family} ({model4})" if model4 else family
    if not near:
        there = sorted({one.language for one in ours})
        more = f"; there are {', '.join(there)}" if there else ""
        return f"no file of {language} for {whose} is there{more}"
    if len({one.language.casefold() for one in near}) > 1:
        found = ", ".join(sorted({one.language for one in near}))
        return f"{language} may be {found} for {whose}; write one of these"
    return near[0]
