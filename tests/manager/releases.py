"""Releases as tests of the manager drop them: small zips of a vendor's, for the 96x1."""

from __future__ import annotations

import io
import zipfile
from typing import Any
from urllib.parse import quote

APP = "S9608_11HALBR6_{}_V1.tar"
SCRIPT = "96x1Hupgrade.txt"


def package(number: int, more: dict[str, str] | None = None) -> tuple[str, bytes]:
    """Its name and its octets."""
    app = APP.format(number)
    script = f"IF $MODEL4 SEQ 9611 GOTO APP\nGOTO END\n# APP\nSET APPNAME {app}\nGOTO END\n# END\n"
    files = {app: "app" * 100, SCRIPT: script + "GET 46xxsettings.txt\n", **(more or {})}
    return f"96x1-IPT-H323-R6_{number}.zip", zipped(files)


def zipped(files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6)), text)
    return data.getvalue()


def drop(person: Any, name: str, data: bytes) -> Any:
    """As the page sends what is dropped on it."""
    return person.upload("POST", f"/api/v1/firmware/releases?name={quote(name)}", data)


def taken_in(person: Any, name: str, data: bytes) -> str:
    """Its id."""
    return person.finish(drop(person, name, data))["result"]["id"]


def change(person: Any, ident: str, verb: str, told: dict | None = None, state: str = "done") -> dict:
    """Publish or take back, on what is there now."""
    place = f"/api/v1/firmware/releases/{ident}"
    etag = person.get(place).etag
    method, path = ("DELETE", place) if verb == "remove" else ("POST", f"{place}/{verb}")
    return person.finish(person.call(method, path, told or {}, etag), state)
