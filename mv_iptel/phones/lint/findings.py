"""What lint tells: a finding, and the table of its codes with how grave each is and why it matters."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]
ORDER: dict[str, int] = {"error": 0, "warning": 1, "info": 2}


class Finding(NamedTuple):
    """One thing that is wrong or doubtful. `text` and `mend` never show a secret; `fix` may hold one."""

    file: str
    line: int  # 0 is the file as a whole
    code: str
    severity: Severity
    text: str  # what is wrong and what phones do with it
    mend: str  # what to write instead
    fix: tuple[str, ...] | None = None  # what stands instead of the line, where that is safe

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.severity} {self.code}: {self.text}; {self.mend}"

    def as_dict(self) -> dict[str, object]:
        """For JSON: whether it can be fixed, not with what, for that might show a password."""
        told = self._asdict()
        told["fix"] = self.fix is not None
        return told


class Code(NamedTuple):
    """A kind of finding. A single one may be told as less grave than its kind, where it is doubtful."""

    severity: Severity
    title: str
    why: str


_IGNORED = "Phones take the line for a comment and say nothing."
_REST = "A phone that jumps to a tag it does not find ignores the rest of the file."

CODES: dict[str, Code] = {
    # the file
    "unreadable": Code("error", "the file cannot be read", "Phones get an error, and so does lint."),
    "not-text": Code(
        "error",
        "the file is no plain text",
        "Phones read one byte a character: of UTF-16 and binary files they understand no line.",
    ),
    "byte-order-mark": Code(
        "warning", "a byte-order mark stands before the first line", "It makes the first line a comment."
    ),
    "non-ascii": Code(
        "warning",
        "a statement with characters outside ASCII",
        "No source says how phones read them; a blank that cannot be broken is no blank to them.",
    ),
    # one line
    "leading-blanks": Code("warning", "blanks before a statement", _IGNORED),
    "broken-line": Code("error", "a statement that is badly formed", _IGNORED),
    "no-value": Code("error", "SET without a value", "Phones ignore the line."),
    "value-on-next-line": Code(
        "error",
        "the value stands on the next line",
        "Phones ignore both lines; editors and mail programs break long lines.",
    ),
    "equals-sign": Code(
        "error",
        "an equals sign between name and value",
        "It belongs to DHCP options; in files a blank stands between name and value.",
    ),
    "curly-quotes": Code(
        "error", "curly quotes", "Only straight ones (ASCII 34) are quotes; word processors change them."
    ),
    "open-quote": Code(
        "error", "a quote that is not closed", "Where the value ends is then left to the phone."
    ),
    "unquoted-blanks": Code(
        "error",
        "a value with blanks and without quotes",
        "A value with blanks needs straight double quotes around the whole of it.",
    ),
    "list-blanks": Code("error", "blanks in a list", "Lists have commas and no blanks."),
    "text-after": Code(
        "warning", "text behind the end of a statement", "Whether phones skip it is not known."
    ),
    "unknown-code": Code(
        "info",
        "a comment that switches off a finding that there is not",
        "The comment has no effect: its word is no code of this page.",
    ),
    # settings
    "unknown-parameter": Code(
        "info",
        "a setting that is not known",
        "Phones ignore what they do not know. It may be newer than the table.",
    ),
    "misspelt-parameter": Code(
        "warning",
        "a setting that is probably misspelt",
        "Phones ignore it, and the meant one keeps its default.",
    ),
    "other-language": Code(
        "warning", "a line of another language", "It belongs to another kind of file; phones ignore it here."
    ),
    "value-range": Code(
        "error", "a value that the setting does not have", "Phones keep the old value or the default."
    ),
    "value-type": Code("error", "a value of the wrong kind", "Phones keep the old value or the default."),
    "value-long": Code(
        "error", "a value that is too long", "Phones keep the old value or the default, or cut it."
    ),
    "ignored-by-family": Code(
        "info", "a setting that no phone that reads it takes", "It has no effect here."
    ),
    "wrong-place": Code("warning", "a setting that this file cannot set", "It has no effect here."),
    "wrong-order": Code(
        "warning",
        "a setting that a later line overwrites",
        "A profile or server writes it when it is set itself.",
    ),
    "set-twice": Code("info", "two values for one setting in a row", "The last one counts."),
    # conditions
    "unknown-variable": Code(
        "warning",
        "a condition on a variable that no phone knows",
        "The phone ignores the condition and goes on with the next line.",
    ),
    "never-true": Code("warning", "a condition that is never true", "No phone ever takes the jump."),
    "value-case": Code(
        "info",
        "a comparison that differs in letter case",
        "Sources disagree whether phones tell capitals from small letters.",
    ),
    # jumps
    "no-tag": Code("error", "a jump to a tag that is not there", _REST),
    "tag-commented": Code("error", "a jump to a tag that is commented out", _REST),
    "tag-behind": Code("error", "a jump backwards", f"Phones search forward. {_REST}"),
    "tag-case": Code(
        "warning", "a jump to a tag in other letters", f"Whether phones find it is not known. {_REST}"
    ),
    "tag-twice": Code("warning", "a tag that stands twice", "Phones stop at the first one behind the jump."),
    "fall-through": Code(
        "warning",
        "one section runs into the next",
        "Phones of the upper section take the lower one's settings too, and those win.",
    ),
    "unreachable": Code(
        "warning", "lines that no phone reads", "The line above jumps away and nothing jumps here."
    ),
    # other files
    "get-loop": Code(
        "error", "files that name each other in a circle", "The phone reads them until it gives up."
    ),
    "no-file": Code("error", "a file is named that is not there", "The phone goes on without it."),
    "no-settings": Code(
        "warning",
        "an upgrade script that leads to no settings",
        "Phones read a settings file only if the script gets it.",
    ),
    "get-name": Code(
        "info",
        "a name behind GET that phones may refuse",
        "Files come from the folder and server of the script, and a 96x1 takes plain names only.",
    ),
    "no-firmware": Code(
        "error", "firmware is named that is not there", "Phones ask for it, fail, restart and ask again."
    ),
    "file-case": Code("info", "a file's name in other letters", "This server finds it; many others do not."),
    "fxd-firmware": Code(
        "error",
        "the script for refused phones names firmware",
        "All refused phones would ask for it at once and restart.",
    ),
    # user data and secrets
    "backup-snmp": Code(
        "warning",
        "backups without SNMP",
        "This server asks a phone over SNMP who it is before it keeps its user's data.",
    ),
    "backup-elsewhere": Code("warning", "backups go to another server", "Users' data is not kept here."),
    "backup-port": Code(
        "warning",
        "the address for backups has no port of this server",
        "Without a port phones use 80 and 443.",
    ),
    "open-secret": Code(
        "info",
        "a secret in a file that anyone may fetch",
        "Scripts and settings are given to every client that asks.",
    ),
}


def finding(
    file: str,
    line: int,
    code: str,
    text: str,
    mend: str,
    severity: Severity | None = None,
    fix: tuple[str, ...] | None = None,
) -> Finding:
    """A finding that is as grave as its code, unless said otherwise."""
    return Finding(file, line, code, severity or CODES[code].severity, text, mend, fix)
