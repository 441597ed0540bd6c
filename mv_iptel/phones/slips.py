"""Finds the known words that a misspelt one may have been meant to be, in a fraction of a millisecond."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 80  # of a word that is looked at


class Words:
    """Known words in capitals, each with a rank: of two that are equally near the lower one comes first."""

    def __init__(self, words: Iterable[tuple[str, int]]):
        self._words = [(word, _letters(word), rank) for word, rank in words]

    def nearest(self, word: str, count: int) -> list[str]:
        """At most `count` words that are one slip away, two, or three for long words."""
        word = word.upper()[:LONGEST]
        limit = 1 if len(word) < 5 else 2 if len(word) < 12 else 3
        own = _letters(word)
        near: list[tuple[int, int, str]] = []
        for other, letters, rank in self._words:
            # Cheap bounds first: a slip changes the length by one, and one letter on either side.
            if abs(len(other) - len(word)) > limit or (own & ~letters).bit_count() > limit:
                continue
            if (letters & ~own).bit_count() <= limit:
                far = slips(word, other, limit)
                if far <= limit:
                    near.append((far, rank, other))
        return [other for _, _, other in sorted(near)[:count]]


def _letters(word: str) -> int:
    """Which letters a word has, and how many of each up to four: as many bits in each letter's place."""
    bits = 0
    for one in word:
        place = (ord(one) & 0x3F) * 4
        have = bits >> place & 15
        bits |= (have << 1 | 1 if have < 15 else 15) << place
    return bits


def slips(one: str, other: str, limit: int) -> int:
    """Letters wrong, lacking, too many or swapped; more than `limit` if it is not worth counting on."""
    far, length = limit + 1, len(other)
    before = [far] * (length + 1)
    row = [*range(min(limit, length) + 1), *[far] * (length - limit)]
    for i, letter in enumerate(one, 1):
        last, row = row, [far] * (length + 1)
        row[0] = i if i <= limit else far
        # Off this band so many letters lack or are too many that it is too far anyway.
        for j in range(max(1, i - limit), min(length, i + limit) + 1):
            wanted = other[j - 1]
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            row[j] = cost
        if min(row) > limit and min(last) > limit:
            return far
        before = last
    return row[-1]
