# SPDX-License-Identifier: Apache-2.0
"""Advantage-weighted regression: its weights by hand, and that it imitates what was better."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_models_cql_behavior import NETWORKS, TASKS, push_error, pushes

from ptr_models.algorithms import AdvantageWeightedRegression, AlgorithmConfig, make_algorithm
from ptr_models.algorithms.awr import advantage, advantage_weight
from ptr_models.algorithms.method_configs import AwrConfig


def test_the_advantage_is_over_the_mean_of_the_policys_actions() -> None:
    q_data = torch.tensor([[3.0, 1.0], [2.0, 4.0]])
    q_policy = torch.tensor([[[1.0, 5.0], [0.0, 0.0]], [[2.0, 3.0], [1.0, -2.0]]])
    np.testing.assert_allclose(advantage(q_data, q_policy), [2.0 - 2.0, 1.0 - (-1.0)])


def test_the_advantage_is_exact_over_a_two_way_gripper() -> None:
    q_policy = torch.tensor([[[4.0, 8.0, -2.0, 2.0]]])  # two motions, each closed and open
    log_mass = torch.tensor([[0.25, 0.75]]).log()
    assert advantage(torch.tensor([[5.0]]), q_policy, log_mass).item() == pytest.approx(5.0 - (7.0 + 1.0) / 2)


def test_weights_are_exponential_and_bounded() -> None:
    weights = advantage_weight(torch.tensor([0.0, 0.3, -0.6, 500.0]), beta=0.3, max_weight=20.0)
    np.testing.assert_allclose(weights, [1.0, math.e, math.exp(-2.0), 20.0], rtol=1e-5)
    with pytest.raises(ValueError, match=r"beta is 0.*positive"):
        AwrConfig(beta=0.0)


def test_good_pushes_are_imitated_and_bad_ones_are_not() -> None:
    """Behavior cloning learns the mean of both, 0.3 away in each of two dimensions (test_models_cql_behavior)."""
    torch.manual_seed(0)
    options = {"actor_lr": 2e-3, "critic_lr": 2e-3, "cql_alpha": 0.1, "bc_steps": 50}
    algorithm = make_algorithm(AlgorithmConfig(name="awr", **options), NETWORKS, TASKS)
    assert isinstance(algorithm, AdvantageWeightedRegression)
    rng = np.random.default_rng(3)
    for step in range(450):
        batch = pushes(32, rng)[0]
        batch.mc_return.copy_(batch.reward)  # one-step episodes
        metrics = algorithm.update(batch, step)
    assert np.abs(push_error(algorithm)).max() < 0.1
    assert "temperature" not in metrics and metrics["advantage_weight"] > 0
