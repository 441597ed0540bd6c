"""What is wrong with a line by itself: blanks, quotes, bytes, and statements that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mv_iptel.phones.lint.clients import sounds_secret
from mv_iptel.phones.lint.findings import Finding, finding
from mv_iptel.phones.lint.text import Text, cut
from mv_iptel.phones.parameters import Parameter, known
from mv_iptel.phones.script import KEYWORDS, Statement
from mv_iptel.phones.values import WORDED

_OPEN, _CLOSE = "“”„«»‘’", "“”„«»‘’"
_QUOTED = re.compile(rf"[{_OPEN}]([^{_OPEN}\"]*)[{_CLOSE}]")
_SPACES = re.compile("[\u00a0\u2000-\u200b\u202f\u3000]")
_LISTS = frozenset({"hosts", "urls", "files", "list", "map", "controllers", "subnets"})
_SHAPE = re.compile(  # no two parts that match the same: a line may have a megabyte
    r"(SET|ADD)[ \t]+[A-Z0-9_]+[ \t]+\S.*|IF[ \t]+\$.*|GOTO[ \t]+\S+|GET[ \t]+\"?[^ \t][^ \t.]*\.[^ \t]+",
    re.I,
)


def check(text: Text) -> Iterator[Finding]:
    """Every finding that a line gives by itself."""
    if text.data.startswith(b"\xef\xbb\xbf"):
        yield _mark(text)
    for number, line in enumerate(text.lines, 1):
        if not line.isascii() and line[:1] != "#":
            yield from _strange(text, number, line)
    for each in text.script.statements:
        if each.kind == "comment":
            yield from _comment(text, each)
        elif each.kind == "broken":
            yield from _broken(text, each)
        elif each.kind in ("set", "add"):
            yield from _assignment(text, each)
        elif each.rest:
            yield from _behind(text, each)


def strange_blank(line: str) -> bool:
    """Whether a blank in the line is none to phones: that is told, and what follows from it is not."""
    return not line.isascii() and _SPACES.search(line) is not None


def prose(text: Text, each: Statement) -> bool:
    """Whether a line is rather a sentence that begins with Set, If, Get or Add."""
    line = text.line(each.line).strip()
    word = cut(line, 1)[0]
    if word.isupper() or each.kind == "goto":
        return False
    rest = line[len(word) :]
    if word.upper() in ("SET", "ADD"):
        return known(each.name) is None and rest.split()[:1] != [each.name]
    if word.upper() == "IF":
        return "$" not in rest
    return len(rest.split()) > 1 and "." not in rest.split()[0]


def _mark(text: Text) -> Finding:
    first = text.line(1).removeprefix("\ufeff").removeprefix("ï»¿")  # the latter in a line of cp1252
    matters = bool(first.strip()) and (first[:2] == "# " or cut(first, 1)[0].upper() in KEYWORDS)
    what = "so phones take the first line for a comment" if matters else "which phones may stumble over"
    return finding(
        text.name,
        1,
        "byte-order-mark",
        f"the file begins with a byte-order mark, {what}",
        "save it as ANSI, ASCII or UTF-8 without a mark",
        None if matters else "info",
        (first,),
    )


def _strange(text: Text, number: int, line: str) -> Iterator[Finding]:
    """Characters outside ASCII in what is no comment."""
    space = _SPACES.search(line)
    plain = _SPACES.sub(" ", line).replace("\ufeff", "")
    word = cut(plain, 1)[0].upper() if plain.strip() else ""
    if word not in KEYWORDS:
        return
    if space:
        fixed = plain.rstrip()
        whole = cut(line, 1)[0].upper() in KEYWORDS
        effect = "it is no blank to phones" if whole else "so phones take the line for a comment"
        yield finding(
            text.name,
            number,
            "non-ascii",
            f"there is a blank that cannot be broken (from a web page?); {effect}",
            "write an ordinary blank",
            "warning",
            (fixed,) if fixed.isascii() else None,
        )
        return
    head = plain.partition("#")[0]
    behind = len(cut(head.strip(), 2)) > (2 if word in ("SET", "ADD") else 1) or "=" in head
    if behind and head.isascii() and head.count('"') % 2 == 0:
        return  # they stand in a comment behind the value, which is told
    rest = "".join(one for one in plain if not one.isascii() and one not in _OPEN)
    if not rest:
        return
    words = cut(plain, 2)
    name = words[1] if word == "SET" and len(words) > 2 else ""
    shown = f"{name}'s value has" if name else "the line has"
    letters = "" if name and _secret(name) else f" ({' '.join(dict.fromkeys(rest))[:9]})"
    free = word == "SET" and text.utf8 and _free(name)
    yield finding(
        text.name,
        number,
        "non-ascii",
        f"{shown} characters outside ASCII{letters}, and no source says how phones read them",
        "write ASCII letters" + ("" if text.utf8 else ", or save the file as UTF-8 and look at a phone"),
        "info" if free else "warning",
    )


def _free(name: str) -> bool:
    parameter = known(name)
    return not isinstance(parameter, Parameter) or parameter.type == "text"


def _comment(text: Text, each: Statement) -> Iterator[Finding]:
    line = text.line(each.line)
    if line[:1] == "\ufeff" or not _SHAPE.fullmatch(line.strip()):
        return
    word, rest = cut(line.strip(), 1)
    if not word.isupper() and word.upper() in ("SET", "ADD") and known(cut(rest, 1)[0]) is None:
        return  # "Set aside" is no statement
    yield finding(
        text.name,
        each.line,
        "leading-blanks",
        f"blanks stand before {word.upper()}, so phones take the line for a comment",
        "begin the line in the first column; if it shall be a comment, begin it with ##",
        fix=(line.lstrip(" \t"),),
    )


def _broken(text: Text, each: Statement) -> Iterator[Finding]:
    line = text.line(each.line).rstrip(" \t")
    words = cut(line, 2)
    keyword = words[0].upper()
    if prose(text, each) or strange_blank(line):
        return
    if keyword in ("SET", "ADD") and len(words) > 2:
        quoted = _QUOTED.fullmatch(words[2].strip())
        yield finding(
            text.name,
            each.line,
            "curly-quotes",
            f"{each.name} has curly quotes, which phones refuse",
            'write straight ones: "',
            fix=(f'{words[0]} {words[1]} "{quoted[1]}"',) if quoted else None,
        )
    elif keyword in ("SET", "ADD") and len(words) == 2:
        yield _no_value(text, each, words[1])
    elif keyword == "IF":
        yield finding(
            text.name,
            each.line,
            "broken-line",
            "this is no condition, so phones ignore it",
            "write IF $NAME SEQ value GOTO TAG" + _hint(line),
        )
    else:
        form = {"GOTO": "GOTO TAG", "GET": "GET file"}.get(keyword, "SET NAME value")
        yield finding(
            text.name,
            each.line,
            "broken-line",
            f"{keyword} names nothing, so phones ignore the line",
            f"write {form}",
        )


def _hint(line: str) -> str:
    words = line.upper().split()
    if len(words) > 1 and words[1][:1] != "$":
        return "; a $ belongs before the name"
    if words.count("SEQ") > 1 or any(one in words for one in ("OR", "AND", "||", "&&")):
        return "; each line has one comparison"
    if "SEQ" not in words:
        return "; the only comparison is SEQ"
    if "GOTO" not in words:
        return "; GOTO is missing"
    if words[-1] == "GOTO":
        return "; the tag is missing"
    return "; a value with blanks needs quotes"


def _no_value(text: Text, each: Statement, name: str) -> Finding:
    if "=" in name:
        first, _, value = name.partition("=")
        shown = first if value else name
        return finding(
            text.name,
            each.line,
            "equals-sign",
            f"an = stands behind {shown}, so phones see a setting without a value",
            f"write SET {first} and the value behind a blank",
            fix=(f"SET {first} {value}",) if value and first else None,
        )
    below = text.line(each.line + 1)
    if text.bare(each.line + 1) and (below[:1] in "\"'" or len(below.split()) == 1):
        return finding(
            text.name,
            each.line,
            "value-on-next-line",
            f"the value of {each.name} stands on the next line, so phones ignore both",
            "write it all in one line",
        )
    return finding(
        text.name,
        each.line,
        "no-value",
        f"{each.name} has no value, so phones ignore the line",
        f'write one, or SET {each.name} "" for the empty value',
    )


def _assignment(text: Text, each: Statement) -> Iterator[Finding]:
    if each.kind == "add" or prose(text, each):
        return
    line = text.line(each.line).rstrip(" \t")
    value = cut(line, 2)[2]
    name, number = each.name, each.line
    if "=" in name:
        first, _, begun = name.partition("=")
        told = f"an = stands behind {first or 'SET'}, so phones see a setting that there is not"
        fix = None if begun or not first else (f"SET {first} {value}",)
        mend = f"write SET {first or 'NAME'} and the value behind a blank"
        yield finding(text.name, number, "equals-sign", told, mend, fix=fix)
        return
    if value[0] == '"':
        if value.count('"') == 1:
            broken = text.bare(number + 1) and '"' in text.line(number + 1)
            if broken:
                yield finding(
                    text.name,
                    number,
                    "value-on-next-line",
                    f"the value of {name} goes on in the next line, where phones do not see it",
                    "write it all in one line",
                )
            else:
                yield finding(
                    text.name,
                    number,
                    "open-quote",
                    f"the quote before the value of {name} is not closed",
                    'write " behind the value',
                    fix=None if "#" in value else (line + '"',),
                )
        elif each.rest:
            yield from _behind(text, each)
            return
        yield from _listed(text, each, line, each.value)
        return
    if len(value) > 1 and value[0] == value[-1] == "'":
        inner = value[1:-1]
        yield finding(
            text.name,
            number,
            "curly-quotes",
            f"{name} has apostrophes, which are no quotes to phones",
            'write straight quotes: "',
            fix=(line.replace(value, f'"{inner}"'),) if '"' not in inner else None,
        )
        return
    if value.endswith(",") and text.bare(number + 1) and len(text.line(number + 1).split()) == 1:
        yield finding(
            text.name,
            number,
            "value-on-next-line",
            f"the list of {name} goes on in the next line, where phones do not see it",
            "write it all in one line",
        )
    elif value[0] == "=":
        rest = value[1:].strip()
        yield finding(
            text.name,
            number,
            "equals-sign",
            f"an = stands behind {name}, so it becomes a part of the value",
            f"write SET {name} and the value behind a blank",
            fix=(f"SET {name} {rest}",) if rest else None,
        )
    elif any(one in value for one in " \t"):
        listed = list(_listed(text, each, line, value))
        if listed:
            yield from listed
        elif "#" in cut(value, 1)[1][:1]:
            yield finding(
                text.name,
                number,
                "text-after",
                f"a comment stands behind the value of {name}, and phones take it for a part of the value",
                "write the comment in a line of its own",
            )
        else:
            yield finding(
                text.name,
                number,
                "unquoted-blanks",
                f"the value of {name} has blanks and no quotes",
                _without_blanks(name)
                or f'write SET {name} "..." with the whole value between straight quotes',
            )


def _without_blanks(name: str) -> str:
    """What to write if no value of this setting has a blank; empty if quotes are what lacks."""
    parameter = known(name)
    if not isinstance(parameter, Parameter) or parameter.type in WORDED or parameter.rule.values:
        return ""
    return f"write SET {name} and {parameter.rule.describe()}, without a blank in it or anything behind it"


def _listed(text: Text, each: Statement, line: str, value: str) -> Iterator[Finding]:
    """Blanks beside the commas of a list."""
    parameter = known(each.name)
    if not isinstance(parameter, Parameter) or parameter.type not in _LISTS or not re.search(r"[ \t]", value):
        return
    packed = ",".join(one.strip(" \t") for one in value.split(","))
    clean = not re.search(r"[ \t]", packed)
    if not clean and "," not in value and '"' not in line:
        return
    yield finding(
        text.name,
        each.line,
        "list-blanks",
        f"the list of {each.name} has blanks in it",
        "write commas and no blanks",
        fix=(line.replace(value, packed),) if clean else None,
    )


def _behind(text: Text, each: Statement) -> Iterator[Finding]:
    if prose(text, each):
        return
    if each.kind == "set" and each.rest[0] == "," and '"' in each.rest:
        if not isinstance(known(each.name), Parameter):
            return  # soft clients have lists of which each part is quoted
        mend = f'write SET {each.name} "..." with one pair of quotes around the whole list, without blanks'
    else:
        mend = "write comments in a line of their own, beginning with ##"
    what = {"get": "the file's name", "set": f"the quoted value of {each.name}"}.get(each.kind, "the tag")
    told = f"text stands behind {what}, and whether phones skip it is not known"
    yield finding(text.name, each.line, "text-after", told, mend)


def _secret(name: str) -> bool:
    parameter = known(name)
    return sounds_secret(name) if parameter is None else parameter.secret
