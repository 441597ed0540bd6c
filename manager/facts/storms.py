"""Sees when many phones boot at once, how many of them are ready, and when the rest will be."""

from __future__ import annotations

from typing import NamedTuple

from mv_iptel.inventory.evidence import SETTINGS
from mv_iptel.inventory.reader import Reader

WINDOW = 120.0  # seconds over which phones are counted
LEAST = 10  # phones that boot within WINDOW are a storm; of many known ones SHARE of them
SHARE = 0.01
BACK = 2 * 3600.0  # a storm began at most so long ago
BUCKET = 30.0
QUIET = 4  # buckets with hardly a phone: what was before them is another storm
AFTER = 300.0  # seconds for which one that is over is still told
LIVING = 30 * 86400.0  # a phone that was not seen for so long does not come any more
LATEST = 24 * 3600.0  # an estimate beyond this is none

# By the end of a name: phones put directories before it, roll-outs a beginning of their own. Cheap, because
# it is looked at for every file of every phone that came.
_SCRIPT = "files.name LIKE '%upgrade.___'"
_SETTINGS = " OR ".join(f"files.name LIKE '%{name}'" for name in sorted(SETTINGS))
_SOFTWARE = " OR ".join(
    f"files.name LIKE '%.{ending}'" for ending in ("bin", "tar", "app", "kt", "tgz", "ebin", "zip")
)
# The network of an address: all but its last part, for both families.
_NETWORK = "rtrim(phones.address, '0123456789abcdefABCDEF')"

_BEGUN = f"""
SELECT CAST((? - first) / {BUCKET} AS INTEGER) AS bucket, count(*) AS phones FROM (
    SELECT min(files.last_seen) AS first FROM phones JOIN files ON files.phone = phones.id
    WHERE phones.last_seen > ? AND files.last_seen > ? AND ({_SCRIPT} OR {_SOFTWARE}) GROUP BY phones.id
) GROUP BY bucket ORDER BY bucket
"""  # noqa: S608 - of our own names only

# A phone is ready when it has read its settings, and loaded no software after them: that needs a restart.
_DONE = f"""
SELECT {_NETWORK} AS network, count(*) AS known, sum(phones.last_seen >= ?1) AS begun,
       sum(settled >= ifnull(loaded, 0)) AS done,
       sum(settled > ?2 AND settled >= ifnull(loaded, 0)) AS lately,
       max(ifnull(settled, 0)) AS last
FROM phones LEFT JOIN (
    SELECT phone, max(CASE WHEN {_SETTINGS} THEN last_seen END) AS settled,
           max(CASE WHEN {_SOFTWARE} THEN last_seen END) AS loaded
    FROM files WHERE last_seen >= ?1 GROUP BY phone
) AS got ON got.phone = phones.id
WHERE phones.last_seen > ?3 GROUP BY network
"""  # noqa: S608


class Storm(NamedTuple):
    """Many phones that boot at once. Times in seconds since the epoch, 0: unknown."""

    begin: float
    begun: int  # phones that were heard of since
    done: int  # of them ready
    total: int  # that are expected: all known ones of networks of which a third has come, else who has come
    ends: float  # when the rest will be ready, as it goes now
    last: float  # when the last one became ready

    @property
    def over(self) -> bool:
        """Nothing more is expected."""
        return self.done >= self.total


def look(reader: Reader, now: float, before: Storm | None = None) -> Storm | None:
    """The storm that goes on, or was over a few minutes ago; `before` is what the last look found."""
    buckets = {row["bucket"]: row["phones"] for row in reader.ask(_BEGUN, now, now - BACK, now - BACK)}
    many = max(LEAST, round(reader.counts(now)["known"] * SHARE))
    begin = _begin(buckets, many, now)
    if before is not None:
        begin = min(begin or before.begin, before.begin)
    if not begin:
        return None
    found = _count(reader, begin, now)
    came = max((now - at * BUCKET for at, phones in buckets.items() if phones * 10 >= many), default=0.0)
    return found if now - max(found.last, came, begin) <= AFTER else None


def _begin(buckets: dict[int, int], many: int, now: float) -> float:
    """When so many phones began within WINDOW; 0 if they did not, or long ago."""
    wide = int(WINDOW / BUCKET)
    peak = next(
        (at for at in sorted(buckets) if sum(buckets.get(at + more, 0) for more in range(wide)) >= many), None
    )
    if peak is None:
        return 0.0
    last = peak
    for at in range(peak, int(BACK / BUCKET) + 1):
        if buckets.get(at, 0) * 10 >= many or buckets.get(at, 0) >= LEAST:
            last = at
        elif at - last >= QUIET:
            break
    return now - (last + 1) * BUCKET


def _count(reader: Reader, begin: float, now: float) -> Storm:
    window = min(WINDOW, max(1.0, now - begin))
    rows = reader.ask(_DONE, begin, now - window, begin - LIVING)
    begun, done, lately = (sum(row[key] or 0 for row in rows) for key in ("begun", "done", "lately"))
    total = sum(row["known"] if row["begun"] * 3 >= row["known"] else row["begun"] for row in rows)
    last = max((row["last"] for row in rows), default=0.0)
    left = total - done
    ends = now + left * window / lately if left > 0 and lately else 0.0
    return Storm(begin, begun, done, total, ends if ends - now < LATEST else 0.0, last)
