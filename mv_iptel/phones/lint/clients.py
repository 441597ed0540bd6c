"""Settings that no table has: whether files from the field have them, and whether they sound secret."""

from __future__ import annotations

import re

from mv_iptel.phones.parameters import field_names

_SECRET = re.compile(r"PASSWORD|PASSWD|PSWD|PASSPHRASE|VMPIN$|HA1$")


def in_the_field(name: str) -> bool:
    """Whether a setting that no table has is known from files that work."""
    return any(
        name in group.names or re.fullmatch(group.patterns, name) is not None
        for group in field_names().values()
    )


def sounds_secret(name: str) -> bool:
    """Whether a setting that no table has holds a password, by its name."""
    return _SECRET.search(name) is not None and not name.startswith("DISABLE_")
