# SPDX-License-Identifier: Apache-2.0
"""Comparison of policies and planning of trials against published figures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_policy.evaluation.comparison import Pairs, binomial_p, holm, mcnemar_exact, newcombe_interval, tango_interval
from ptr_policy.evaluation.power import (
    advise_pair,
    advise_single,
    connor_scenes,
    scenes_for_difference,
    trials_for_width,
)
from ptr_policy.evaluation.statistics import wilson_interval

tables = st.builds(Pairs, *[st.integers(0, 30)] * 4).filter(lambda pairs: pairs.scenes > 0)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),  # Newcombe 1998, Stat. Med. 17:873, table II, method 10
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0),
        ((23, 50), (9, 50), 0.0974, 0.4390),  # PTR against training from scratch, of 50 trials each
    ],
)
def test_published_intervals_of_separate_trials(first, second, low: float, high: float) -> None:
    assert newcombe_interval(first, second) == pytest.approx((low, high), abs=5e-5)


def test_published_comparison_of_paired_rates() -> None:
    """Airway hyper-responsiveness before and after a transplantation (Bentur et al. 2009), in Fagerland et al. 2014."""
    pairs = Pairs(both=1, first_only=1, second_only=7, neither=12)
    assert pairs.difference == pytest.approx(-6 / 21)
    assert tango_interval(pairs) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert mcnemar_exact(pairs) == pytest.approx(0.0703, abs=5e-5)


@given(st.integers(1, 40))
def test_without_disagreement_the_interval_is_that_of_the_score_test(n: int) -> None:
    """Tango 1998: with no discordant pair the bounds are -/+ z^2 / (n + z^2)."""
    z2 = 1.959963984540054**2
    assert tango_interval(Pairs(n, 0, 0, 0)) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)), abs=1e-9)


@given(tables)
def test_the_interval_excludes_zero_exactly_when_the_score_test_rejects(pairs: Pairs) -> None:
    """At a difference of 0 Tango's score is McNemar's statistic."""
    disagreements = pairs.first_only + pairs.second_only
    z = abs(pairs.first_only - pairs.second_only) / math.sqrt(disagreements) if disagreements else 0.0
    low, high = tango_interval(pairs)
    assert -1.0 <= low <= pairs.difference <= high <= 1.0
    if abs(z - 1.959964) > 1e-3:
        assert (low > 0 or high < 0) == (z > 1.959964)


@given(tables)
def test_swapping_the_policies_mirrors_the_comparison(pairs: Pairs) -> None:
    mirrored = Pairs(pairs.both, pairs.second_only, pairs.first_only, pairs.neither)
    low, high = tango_interval(pairs)
    assert tango_interval(mirrored) == pytest.approx((-high, -low), abs=1e-9)
    assert mcnemar_exact(mirrored) == mcnemar_exact(pairs)


def test_the_exact_test_is_that_of_a_fair_coin() -> None:
    assert binomial_p(0, 5) == 2 / 32
    assert binomial_p(1, 10) == 2 * 11 / 1024
    assert binomial_p(5, 10) == 1.0
    assert binomial_p(0, 0) == 1.0


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_every_scene_is_counted_once(outcomes: list[tuple[bool, bool]]) -> None:
    pairs = Pairs.of(outcomes)
    assert pairs.scenes == len(outcomes)
    assert pairs.both + pairs.first_only == sum(first for first, _ in outcomes)
    assert pairs.both + pairs.second_only == sum(second for _, second in outcomes)


def test_several_comparisons_are_adjusted_as_holm_did() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7]) == [0.7]
    assert holm([]) == []


def power_of_the_exact_test(scenes: int, disagreement: float, difference: float) -> float:
    """Probability that McNemar's exact test rejects, summed over every outcome."""
    better = (disagreement + difference) / (2 * disagreement)
    return sum(
        math.comb(scenes, d) * disagreement**d * (1 - disagreement) ** (scenes - d)
        * sum(math.comb(d, k) * better**k * (1 - better) ** (d - k) for k in range(d + 1) if binomial_p(k, d) < 0.05)
        for d in range(scenes + 1)
    )  # fmt: skip


@pytest.mark.parametrize(("disagreement", "difference", "needed"), [(0.25, 0.15, 85), (0.4, 0.2, 77), (0.3, 0.3, 24)])
def test_the_approximate_number_of_scenes_is_connor_s(disagreement: float, difference: float, needed: int) -> None:
    """Computed by hand from the formula."""
    assert connor_scenes(disagreement, difference, 0.8) == needed


@pytest.mark.parametrize(("disagreement", "difference"), [(0.25, 0.15), (0.4, 0.2), (0.3, 0.3), (1.0, 1.0)])
def test_the_number_of_scenes_is_the_first_with_the_power_that_was_asked_for(disagreement, difference) -> None:
    needed = scenes_for_difference(disagreement, difference)
    assert power_of_the_exact_test(needed, disagreement, difference) >= 0.8
    approximate = connor_scenes(disagreement, difference, 0.8)
    assert approximate <= needed <= 1.2 * approximate + 2
    if needed > approximate:
        assert power_of_the_exact_test(needed - 1, disagreement, difference) < 0.8


def test_equal_rates_need_no_end_of_scenes() -> None:
    assert scenes_for_difference(0.3, 0.0) is None
    with pytest.raises(ValueError, match="must be at least the difference"):
        scenes_for_difference(0.1, 0.2)


@given(st.floats(0.0, 1.0))
def test_the_trials_for_a_width_give_that_width(rate: float) -> None:
    trials = trials_for_width(rate)
    low, high = wilson_interval(round(rate * trials), trials)
    assert high - low <= 0.2
    assert 10 < trials <= 97


def test_the_advice_is_a_sentence_that_says_what_to_do() -> None:
    settled = advise_pair("ptr", "scratch", Pairs(5, 14, 0, 31))
    assert settled.startswith("Settled: ptr is better than scratch (p = 0.0001")
    open_question = advise_pair("ptr", "scratch", Pairs(4, 3, 1, 2))
    assert "if ptr really is 20 points better" in open_question
    assert f"about {scenes_for_difference(0.4, 0.2) - 10} more scenes" in open_question
    assert "no difference to plan for" in advise_pair("ptr", "scratch", Pairs(4, 1, 1, 2))
    assert "no scene yet" in advise_pair("ptr", "scratch", Pairs(0, 0, 0, 0))
    assert "about 83 more trials" in advise_single(5, 10)
    assert "to within 8 points" in advise_single(80, 160)
