"""Conformal p values of a stream of scores, ranked among the calibration scores and all earlier ones.

Source: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005), sections 2.2 and 7.1. If the
calibration scores and the new ones are exchangeable, these p values are independent and uniform. p values
against the calibration scores alone are uniform as well, but depend on one another, because all are compared
with the same scores: a bet on them has no guarantee over time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

import numpy as np

_CHUNK = 512  # a chunk of twice this length is divided


class RankedScores:
    """A growing multiset of numbers that counts how many of them exceed another one.

    Sorted chunks of bounded length, their sizes in a Fenwick tree: looking up and adding take O(log n) steps,
    except that every 512th addition or so divides a chunk and builds the tree again.

    Args:
        scores: the first numbers, in any order.

    Example:
        >>> ranked = RankedScores([3.0, 1.0, 2.0, 2.0])
        >>> ranked.add(5.0)
        >>> ranked.above_and_equal(2.0), len(ranked)
        ((2, 2), 5)
    """

    def __init__(self, scores: Iterable[float] = ()) -> None:
        ordered = sorted(scores)
        self._chunks = [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)] or [[]]
        self._count = len(ordered)
        self._build()

    def __len__(self) -> int:
        return self._count

    def add(self, score: float) -> None:
        """Adds a number.

        Args:
            score: finite.
        """
        place = min(bisect_left(self._highest, score), len(self._chunks) - 1)
        chunk = self._chunks[place]
        insort(chunk, score)
        self._count += 1
        if len(chunk) > 2 * _CHUNK:
            self._chunks[place : place + 1] = [chunk[:_CHUNK], chunk[_CHUNK:]]
            self._build()
            return
        self._highest[place] = chunk[-1]
        node = place + 1
        while node < len(self._tree):
            self._tree[node] += 1
            node += node & -node

    def above_and_equal(self, score: float) -> tuple[int, int]:
        """Counts the numbers above a score, and those equal to it.

        Args:
            score: the score.

        Returns:
            Both counts.
        """
        below = self._position(score, after_equal=False)
        not_above = self._position(score, after_equal=True)
        return self._count - not_above, not_above - below

    def _position(self, score: float, *, after_equal: bool) -> int:
        """Counts the numbers below a score, and with `after_equal` those equal to it as well."""
        bisect = bisect_right if after_equal else bisect_left
        place = bisect(self._highest, score)
        if place == len(self._chunks):
            return self._count
        before, node = 0, place
        while node:
            before += self._tree[node]
            node -= node & -node
        return before + bisect(self._chunks[place], score)

    def _build(self) -> None:
        self._highest = [chunk[-1] for chunk in self._chunks if chunk]
        self._highest += [float("-inf")] * (len(self._chunks) - len(self._highest))  # of a first, empty chunk
        self._tree = [0] * (len(self._chunks) + 1)
        for number, chunk in enumerate(self._chunks, start=1):
            self._tree[number] += len(chunk)
            if (parent := number + (number & -number)) < len(self._tree):
                self._tree[parent] += self._tree[number]


class ConformalStream:
    """Turns scores into p values that are independent and uniform while nothing changes.

    The p value of a score is (a + u e) / n: of the n calibration scores and scores up to now, this one
    included, a are higher and e equal, and u is drawn uniformly from (0, 1]. The draw also breaks ties.

    Args:
        calibration: (n,) scores of normal images to which the model was not fitted.
        seed: seed of the draws; it must be chosen before the scores are known.

    Example:
        >>> stream = ConformalStream(np.arange(99.0), seed=0)
        >>> stream.p_value(1000.0) <= 0.01
        True
    """

    def __init__(self, calibration: np.ndarray, *, seed: int = 0) -> None:
        self._ranked = RankedScores(np.asarray(calibration, dtype=np.float64).tolist())
        self._draws = np.random.default_rng(seed)

    def p_value(self, score: float) -> float:
        """Ranks a score, and keeps it for the ranks of later ones.

        Args:
            score: finite.

        Returns:
            The p value in (0, 1]; it is small for a high score.
        """
        above, equal = self._ranked.above_and_equal(score)
        self._ranked.add(score)
        return (above + (1 - self._draws.random()) * (equal + 1)) / len(self._ranked)
