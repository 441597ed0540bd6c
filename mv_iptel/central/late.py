"""A content that comes when a newer one is current already: it is kept among the versions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mv_iptel.userdata import history
from mv_iptel.userdata.disk import Aside, hash_file, look, sync_folder
from mv_iptel.userdata.names import Kept
from mv_iptel.userdata.store import Origin
from mv_iptel.userdata.versions import folder_of, stamp

if TYPE_CHECKING:
    from mv_iptel.config import Config


def keep(config: Config, kept: Kept, data: bytes, origin: Origin, changed: float) -> bool:
    """Keep `data`, which a phone stored at `changed`, as a version. False: it is one. Raises OSError."""
    folder, sha256 = folder_of(config, kept.file), hashlib.sha256(data).hexdigest()
    at = int(changed * 1_000_000) * 1000
    while look(version := folder / f"{stamp(at)}-{sha256[:8]}") is not None:
        if hash_file(version) == sha256:
            return False
        at += 1000
    aside = Aside(version)
    try:
        aside.write(data)
        aside.finish(at)
        aside.place()
    finally:
        aside.discard()
    sync_folder(folder)
    history.append(folder, history.Change(round(changed, 6), "store", sha256[:8], len(data), *origin))
    return True
