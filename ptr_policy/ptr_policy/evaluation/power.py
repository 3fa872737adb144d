# SPDX-License-Identifier: Apache-2.0
"""How many more trials a comparison needs.

These are planning figures: they assume that the observed rates are the true ones, which are uncertain themselves.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy.stats import binom

from ptr_policy.evaluation.comparison import Pairs, mcnemar_exact
from ptr_policy.evaluation.statistics import wilson_interval

SIGNIFICANT = 0.05
POWER = 0.8
WIDTH = 0.2
"""Width of an interval that is narrow enough to report a rate: plus or minus ten points."""
_MAX_EXACT = 150  # scenes up to which the exact power is computed; beyond, the approximation is as good
_MAX_TRIALS = 100_000  # upper bound of the search


def scenes_for_difference(disagreement: float, difference: float, power: float = POWER) -> int | None:
    """Scenes after which McNemar's exact test shows a difference of paired rates at the 5 % level.

    Connor's formula, increased until the exact test reaches the power; it needs a few more scenes.

    Args:
        disagreement: share of the scenes in which exactly one of the two succeeds.
        difference: of the success rates, at most as large as `disagreement`.
        power: probability that the test shows it.
    Returns:
        None: there is no difference to show.
    """
    size = abs(difference)
    if size == 0.0:
        return None
    if not size <= disagreement <= 1.0:
        raise ValueError(f"disagreement {disagreement} must be at least the difference {size} and at most 1")
    scenes = connor_scenes(disagreement, size, power)
    while scenes <= _MAX_EXACT and exact_power(scenes, disagreement, size) < power:
        scenes += 1
    return scenes


def connor_scenes(disagreement: float, size: float, power: float) -> int:
    """The same in the normal approximation of Connor 1987, Biometrics 43:207-211 (Miettinen's unconditional form)."""
    normal = NormalDist()
    tail, aim = normal.inv_cdf(1 - SIGNIFICANT / 2), normal.inv_cdf(power)
    spread = math.sqrt(disagreement - size * size)
    return math.ceil(((tail * math.sqrt(disagreement) + aim * spread) / size) ** 2)


def exact_power(scenes: int, disagreement: float, size: float) -> float:
    """Probability that McNemar's exact test shows a difference of this size, summed over all outcomes."""
    better = (disagreement + size) / (2 * disagreement)
    tosses = np.arange(scenes + 1)
    most = binom.ppf(SIGNIFICANT / 2, tosses, 0.5) - 1  # most heads that reject a fair coin; -1: none
    shown = binom.cdf(most, tosses, better) + binom.sf(tosses - most - 1, tosses, better)
    return float(binom.pmf(tosses, scenes, disagreement) @ shown)


def trials_for_width(rate: float, width: float = WIDTH) -> int:
    """Trials after which Wilson's 95 % interval of a rate is at most `width` wide."""
    low, high = 1, _MAX_TRIALS
    while low < high:
        middle = (low + high) // 2
        bottom, top = wilson_interval(round(rate * middle), middle)
        low, high = (low, middle) if top - bottom <= width else (middle + 1, high)
    return low


def advise_single(successes: int, trials: int) -> str:
    """One sentence on the precision of one policy's rate."""
    if trials == 0:
        return "No trial has been judged yet."
    low, high = wilson_interval(successes, trials)
    needed = trials_for_width(successes / trials)
    if high - low <= WIDTH:
        return f"The rate is known to within {100 * (high - low) / 2:.0f} points either way."
    return (
        f"At this rate, about {max(1, needed - trials)} more trials would narrow the interval to "
        f"{100 * WIDTH / 2:.0f} points either way; now it is {100 * (high - low) / 2:.0f}."
    )


def advise_pair(first: str, second: str, pairs: Pairs, p: float | None = None) -> str:
    """The conclusion of a comparison of two policies, and how many more scenes would settle it.

    Args:
        p: adjusted for several comparisons; None: of this comparison alone.
    """
    if pairs.scenes == 0:
        return "There is no scene yet that both have tried."
    p = mcnemar_exact(pairs) if p is None else p
    better, worse = (first, second) if pairs.difference > 0 else (second, first)
    if p < SIGNIFICANT:
        return f"Settled: {better} is better than {worse} (p = {format_p(p)}). More trials are not needed to say so."
    disagreement = (pairs.first_only + pairs.second_only) / pairs.scenes
    needed = scenes_for_difference(disagreement, pairs.difference) if disagreement else None
    if needed is None:
        return (
            f"Not settled: {first} and {second} have succeeded equally often in {pairs.scenes} scenes, so there "
            "is no difference to plan for; the interval shows how large it could still be."
        )
    more = max(1, needed - pairs.scenes)
    return (
        f"Not settled (p = {format_p(p)}): if {better} really is {100 * abs(pairs.difference):.0f} points better and "
        f"the two disagree in {100 * disagreement:.0f} % of the scenes, as seen so far, about {more} more scenes would "
        f"show it with a probability of {100 * POWER:.0f} %. Decide on a number before you continue: if you stop as "
        "soon as p is small, you will find differences that do not exist."
    )


def format_p(p: float) -> str:
    """A p-value as text."""
    return "0.0001 or less" if p <= 1e-4 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"
