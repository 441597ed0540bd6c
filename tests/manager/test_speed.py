"""How soon pages come and what they weigh, with an inventory as a large site has it."""

from __future__ import annotations

import http.client
import statistics
import time

import pytest

from manager.app import routes
from manager.facts import phones
from manager.routing import Role
from tests.manager.field import MAC, many, site
from tests.manager.here import Here, made

SOON = 50  # milliseconds to the first octet
HEAVY = 100 << 10  # octets
TIMES = 7
# What asks the file server, reads archives or hashes files answers as soon as that has; none has 50,000 rows.
ELSEWHERE = {"/healthz", "/log/events", "/sign-in"}


@pytest.mark.prove
def test_pages_come_at_once_with_many_phones(tmp_path, count, evidence):
    home = made(tmp_path / "home")
    site(home)
    many(home, count("shown"))
    pages = [one.path for one in routes() if one.method == "GET" and "{" not in one.path
             and not one.path.startswith("/api/") and one.path not in ELSEWHERE]  # fmt: skip
    pages += [f"/phones?sort={one}&page=20" for one in phones.SORTS]
    pages += ["/phones?q=00040d", "/phones?q=9640", "/phones?refused=1", *(f"/phones?seen={one}" for one in
              phones.SEEN), "/search?q=20011", "/search?q=no-such-thing", f"/phones/{MAC}",
              f"/phones/{MAC}/timeline", "/log?text=96xx"]  # fmt: skip
    found = {}
    with Here(home) as here:
        admin = here.person(Role.ADMINISTRATOR)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in admin.cookies.items())}
        line = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
        for page in pages:
            took, size = [], 0
            for _ in range(TIMES + 1):
                begun = time.perf_counter()
                line.request("GET", page, headers=headers)
                answer = line.getresponse()
                took.append(time.perf_counter() - begun)
                size = len(answer.read())
                assert answer.status in (200, 303), (page, answer.status)
            first, *others = (round(1000 * one, 1) for one in took)
            found[page] = {"status": answer.status, "octets": size, "first_ms": first,
                           "best_ms": min(others), "median_ms": statistics.median(others)}  # fmt: skip
        line.close()
    evidence("manager-pages", phones=count("shown"), limit_ms=SOON, limit_octets=HEAVY, pages=found)
    slow = {page: row for page, row in found.items() if row["best_ms"] > SOON}
    assert slow == {} and {page for page, row in found.items() if row["octets"] > HEAVY} == set()
