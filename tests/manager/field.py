"""A site's phones for the manager's tests: what the server would have written into the inventory."""

from __future__ import annotations

import random
import time

from mv_iptel.home import Home
from mv_iptel.inventory import Inventory, schema
from tests.happened import finished, refused

MAC, OTHER = "00040d112233", "00040d445566"
EVIL = '<img src=x onerror="alert(1)">'
BIN = "ha96xxua3_2_8.bin"


def agent(model: str, version: str, mac: str) -> str:
    return f"Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/{model}-{version} (MAC:{mac})"


def site(home: Home, now: float | None = None) -> None:
    """Two phones, one of which was refused something, and an address that is none."""
    now = time.time() if now is None else now
    data = home.http_data
    (data / "96xxupgrade.txt").write_text(
        'IF $GROUP SEQ 7 GOTO SEVEN\nSET APPNAME ha96xxua3_2_8.bin\nGOTO END\n# SEVEN\nSET APPNAME '
        "ha96xxua9_9.bin\n# END\nGET 46xxsettings.txt\n"
    )  # fmt: skip
    (data / "46xxsettings.txt").write_text(
        "SET SNMPSTRING topsecret\nSET L2Q 1\nSET L2QVLAN 9999\nSET NVWEIRD 1\nSET L2Q 2\n"
        "SET LANG1FILE none.txt\n"
    )
    (data / BIN).write_bytes(b"firmware" * 100)
    (home.tftp_data / "TFTP_allow_IP.txt").write_text("192.0.2.17\n")
    numbers = iter(range(1, 100))
    inventory = Inventory(home.database)

    def phone(after: float, **changes):
        told = {"mac": MAC, "model": "9640", "version": "3.2.8", "identified": "agent",
                "agent": agent("9640", "3.2.8", MAC), "ext": "4711"}  # fmt: skip
        return finished(next(numbers), 0, **{"time": now - 600 + after, **told, **changes})

    upgrade = str(data / "96xxupgrade.txt")
    inventory.receive([
        phone(0, name="96xxupgrade.txt", file=upgrade),
        phone(1, name="46xxsettings.txt", file=str(data / "46xxsettings.txt")),
        phone(2, name="none.txt", outcome="refused", reason="no-file", bytes=0, file="", detail="none"),
        phone(3, name="4711_96xxdata.txt", op="store", identified="agent+name", bytes=900),
        phone(4, peer="192.0.2.18", mac=OTHER, ext="4712", name="96xxupgrade.txt", file=upgrade,
              version="3.1.0", agent=agent("9640", "3.1.0", OTHER)),
        refused(next(numbers), 0, time=now - 500, peer="198.51.100.9", proto="tftp", listener="tftp:69",
                name=f"00-04-0d-99-88-77 {EVIL}", agent=EVIL, line=1,
                source=str(home.tftp_data / "TFTP_allow_IP.txt")),
    ])  # fmt: skip
    inventory.close()
    kept = home.ftp_data / "4711_96xxdata.txt"
    kept.write_text("users own words")


def many(home: Home, count: int, now: float | None = None, files: int = 6) -> None:
    """`count` phones at once, as SQL: what fifty thousand look like."""
    now = time.time() if now is None else now
    chance = random.Random(4711)
    database = schema.prepare(str(home.database))
    models = ("9640", "9611G", "4621SW", "J179", "1616", "9608", "9620L")
    phones, rows, places, said = [], [], [], []
    for number in range(1001, count + 1001):
        mac, model = f"00040d{number:06x}", chance.choice(models)
        last = now - chance.random() ** 3 * 90 * 86_400
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        runs = chance.choice((BIN, "3.1.0", "6.6604", "ha96xxua3_1_05_S.bin", ""))
        source, bad = "agent" if runs else "", chance.choice((0, 0, 0, 3))
        phones.append((number, mac, mac, str(20_000 + number), model, runs, runs, source, last, address,
                       last - 1e6, last, 40, bad, 0, 10_000_000))  # fmt: skip
        names = ("96xxupgrade.txt", "46xxsettings.txt", BIN, "mlf_german.txt", "wav.tgz", "font.bin")[:files]
        rows += [(number, name, f"/data/{name}", "http", 3000, last, 4) for name in names]
        places.append((address, number, last - 1e6, last))
        told = (("mac", mac), ("model", model))
        said += [(number, field, value, "agent", last - 1e6, last) for field, value in told]
    database.execute("BEGIN")
    database.executemany(f"INSERT INTO phones VALUES ({', '.join('?' * 16)})", phones)
    database.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    database.executemany("INSERT INTO addresses VALUES (?, ?, ?, ?)", places)
    database.executemany("INSERT INTO said VALUES (?, ?, ?, ?, ?, ?)", said)
    database.execute("COMMIT")
    database.close()
