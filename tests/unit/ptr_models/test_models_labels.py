# SPDX-License-Identifier: Apache-2.0
"""Rewards, masks, returns and scaled actions: the numbers of PTR's published code."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.actions import scale, unscale
from ptr_models.episodes.labels import Labelling, label


def test_five_steps_end_in_three_rewarded_terminal_ones() -> None:
    labels = label(5, success=True)
    assert_allclose(labels.reward, [-1, -1, 10, 10, 10])
    assert_allclose(labels.mask, [1, 1, 0, 0, 0])
    assert_allclose(labels.mc_return, [7.256, 8.6, 10, 10, 10], atol=1e-6)


def test_only_the_last_step_terminal_lets_returns_overshoot() -> None:
    labels = label(5, True, Labelling(terminal="last"))
    assert_allclose(labels.mask, [1, 1, 1, 1, 0])
    assert_allclose(labels.mc_return, [24.5968, 26.6634, 28.816, 19.6, 10], atol=1e-4)


def test_one_rewarded_step() -> None:
    labels = label(5, True, Labelling(reward_steps=1))
    assert_allclose(labels.mc_return, [4.7271, 5.9658, 7.256, 8.6, 10], atol=1e-4)


@pytest.mark.parametrize(
    ("steps", "value"), [(10, 1.30), (20, -7.51), (30, -13.38), (38, -16.6139), (40, -17.2713), (50, -19.86)]
)
def test_return_of_the_first_step(steps: int, value: float) -> None:
    assert label(steps, True).mc_return[0] == pytest.approx(value, abs=6e-3 if steps not in (38, 40) else 1e-4)


def test_a_failure_is_never_rewarded_and_never_ends() -> None:
    labels = label(7, success=False)
    assert_allclose(labels.reward, -1)
    assert_allclose(labels.mask, 1)
    assert_allclose(labels.mc_return, -25, rtol=1e-6)


@given(st.integers(1, 60), st.integers(1, 5))
def test_labels_of_any_success(steps: int, rewarded: int) -> None:
    labels = label(steps, True, Labelling(reward_steps=rewarded))
    assert set(np.unique(labels.reward)) <= {-1.0, 10.0}
    assert (labels.mask == 0).sum() == (labels.reward == 10).sum() == min(rewarded, steps)
    assert (np.diff(labels.mc_return) >= 0).all()
    assert labels.mc_return.min() >= -25


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(PtrError, match="known: rewarded, last"):
        Labelling(terminal="never")
    with pytest.raises(PtrError, match="reward_steps is 0"):
        Labelling(reward_steps=0)


def test_raw_actions_are_scaled_and_clipped() -> None:
    scaled = scale([0.05, 0, -0.02, 0.1, -0.25, 0.3, 1], Contract())
    assert_allclose(scaled, [0.99, 0, -0.4, 0.4, -0.99, 0.99, 0.99], atol=1e-7)


def test_bounds_of_network_actions_in_raw_units() -> None:
    assert_allclose(unscale(np.full(7, 0.99), Contract()), [0.0495] * 3 + [0.2475] * 3 + [0.995], atol=1e-7)
    assert_allclose(unscale(np.full(7, -0.99), Contract()), [-0.0495] * 3 + [-0.2475] * 3 + [0.005], atol=1e-7)
    assert scale([0, 0, 0, 0, 0, 0, 0.5], Contract())[6] == pytest.approx(0)


@given(st.lists(st.floats(-0.99, 0.99), min_size=7, max_size=7))
def test_scaling_undoes_unscaling_within_the_margin(action: list[float]) -> None:
    scaled = scale(unscale(action, Contract()), Contract())
    assert_allclose(scaled, action, atol=2e-6)
    assert np.isfinite(np.arctanh(scaled)).all()


def test_the_margin_keeps_the_inverse_tanh_finite() -> None:
    assert math.atanh(0.99) == pytest.approx(2.64665, abs=1e-5)
