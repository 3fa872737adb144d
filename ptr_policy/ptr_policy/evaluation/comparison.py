# SPDX-License-Identifier: Apache-2.0
"""Compares two policies in the same scenes: is one better, and by how much?

The trials of one scene form a pair, because a scene that is hard for one policy is often hard for the other. Only
scenes in which the two disagree are informative (McNemar 1947).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from scipy.stats import binomtest

from ptr_policy.evaluation.statistics import wilson_interval

_HALVINGS = 60  # of an interval at most 2 wide: to 2e-18


@dataclass(frozen=True)
class Pairs:
    """Scenes that both policies tried, by who succeeded."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @classmethod
    def of(cls, outcomes: Sequence[tuple[bool, bool]]) -> Pairs:
        """Count the outcomes (first, second) of each scene."""
        every = ((True, True), (True, False), (False, True), (False, False))
        both, first_only, second_only, neither = (sum(pair == cell for pair in outcomes) for cell in every)
        return cls(both, first_only, second_only, neither)

    @property
    def scenes(self) -> int:
        """Number of scenes."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def difference(self) -> float:
        """Success rate of the first minus that of the second; 0 without scenes."""
        return (self.first_only - self.second_only) / self.scenes if self.scenes else 0.0


def mcnemar_exact(pairs: Pairs) -> float:
    """Two-sided p-value of McNemar's exact test: if the two are equal, scenes of disagreement are fair coin tosses.

    Exact conditional form, e.g. Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91, eq. 5.
    """
    return binomial_p(pairs.first_only, pairs.first_only + pairs.second_only)


def binomial_p(heads: int, tosses: int) -> float:
    """Two-sided probability of a result at least this uneven with a fair coin."""
    return float(binomtest(heads, tosses).pvalue) if tosses else 1.0


def tango_interval(pairs: Pairs, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of the difference of paired success rates (Tango 1998, Stat. Med. 17:891-908).

    It contains the differences that a score test would not reject; (-1, 1) without scenes.
    """
    if pairs.scenes == 0:
        return -1.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    return _crossing(pairs, z, -1.0), _crossing(pairs, -z, 1.0)


def _crossing(pairs: Pairs, wanted: float, bound: float) -> float:
    """The difference between the estimate and `bound` at which the score equals `wanted`, by bisection."""
    inner, outer = pairs.difference, bound
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        if abs(_score(pairs, middle)) < abs(wanted):
            inner = middle
        else:
            outer = middle
    return (inner + outer) / 2


def _score(pairs: Pairs, difference: float) -> float:
    """Tango's score statistic of a difference: observed minus expected, over its standard deviation there."""
    n, first, second = pairs.scenes, pairs.first_only, pairs.second_only
    a = 2 * n
    b = -first - second + (2 * n - first + second) * difference
    c = -second * difference * (1 - difference)
    likeliest = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)  # chance of "second only", given the difference
    variance = n * (2 * likeliest + difference * (1 - difference))
    gap = first - second - n * difference
    if variance <= 0:
        return 0.0 if gap == 0 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)


def newcombe_interval(first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the difference of two success rates from separate trials in different scenes.

    Square-and-add of two Wilson intervals (Newcombe 1998, Stat. Med. 17:873-890, method 10).

    Args:
        first, second: (successes, trials), at least one trial each.
    """
    (mine, n), (other, m) = first, second
    if not (n and m):
        return -1.0, 1.0
    (p_low, p_high), (q_low, q_high) = wilson_interval(mine, n, confidence), wilson_interval(other, m, confidence)
    p, q = mine / n, other / m
    below = math.hypot(p - p_low, q_high - q)
    above = math.hypot(p_high - p, q - q_low)
    return p - q - below, p - q + above


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of simultaneous comparisons (Holm 1979), so that the family-wise error rate stays 5 %."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
