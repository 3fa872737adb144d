# SPDX-License-Identifier: Apache-2.0
"""Autoregressive BC: bins, likelihood, beam search, ancestral samples, and what it learns."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ptr_models.algorithms import AlgorithmConfig, make_algorithm
from ptr_models.algorithms.batch import Transitions
from ptr_models.networks import AutoregressiveActor, NetworkConfig
from ptr_models.networks.autoregressive import AutoregressiveCategorical, ConditionalBins, bin_of, center_of
from ptr_models.networks.method_configs import AutoregressiveConfig


@pytest.mark.parametrize(
    ("value", "index", "center"),
    [(0.0, 50, 0.01), (-1.0, 0, -0.99), (0.99, 99, 0.99), (1.0, 99, 0.99), (0.5, 75, 0.51)],
)
def test_a_hundred_bins_cover_the_action_box(value: float, index: int, center: float) -> None:
    found = bin_of(torch.tensor([value]), 100)
    assert found.item() == index
    assert center_of(found, 100).item() == pytest.approx(center, abs=1e-6)


@given(st.floats(-1.0, 1.0, width=32))
def test_the_center_of_a_bin_is_near_every_value_in_it(value: float) -> None:
    values = torch.tensor([value])
    assert abs(center_of(bin_of(values, 100), 100) - values).item() <= 0.01 + 1e-6


def random_policy(dimensions: int, bins: int, beam: int = 20, states: int = 3, scale: float = 2.0):
    """A policy of untrained networks with lively logits."""
    torch.manual_seed(0)
    heads = nn.ModuleList(ConditionalBins(4, i, (8, 8), bins, scale) for i in range(dimensions))
    return AutoregressiveCategorical(torch.randn(states, 4), list(heads), bins, beam)


def every_action(dimensions: int, bins: int) -> Tensor:
    centers = center_of(torch.arange(bins), bins).tolist()
    return torch.tensor(list(itertools.product(centers, repeat=dimensions)))


def all_log_masses(policy: AutoregressiveCategorical, actions: Tensor) -> Tensor:
    """(B, number of actions)."""
    return torch.stack([policy.log_prob(action.expand(len(policy.features), -1)) for action in actions], dim=1)


def test_the_probabilities_of_all_actions_sum_to_one() -> None:
    policy = random_policy(2, 5)
    total = all_log_masses(policy, every_action(2, 5)).exp().sum(dim=1)
    torch.testing.assert_close(total, torch.ones(3))


def test_the_log_probability_is_the_sum_over_dimensions_given_the_earlier_ones() -> None:
    policy, action = random_policy(2, 5), torch.tensor([[0.4, -0.8]] * 3)
    first = policy.heads[0](policy.features, torch.zeros(3, 1, 0)).log_softmax(-1)[:, 0, 3]
    second = policy.heads[1](policy.features, torch.full((3, 1, 1), 0.4)).log_softmax(-1)[:, 0, 0]
    torch.testing.assert_close(policy.log_prob(action), first + second)


def test_earlier_dimensions_count_as_the_centers_of_their_bins() -> None:
    policy = random_policy(2, 5)
    torch.testing.assert_close(
        policy.log_prob(torch.tensor([[0.21, 0.0]] * 3)), policy.log_prob(torch.tensor([[0.59, 0.0]] * 3))
    )


def test_the_product_with_the_features_is_that_of_the_concatenation() -> None:
    head, features, previous = ConditionalBins(4, 2, (8, 8), 5, 1.0), torch.randn(3, 4), torch.randn(3, 6, 2)
    x = torch.cat([features.unsqueeze(1).expand(-1, 6, -1), previous], dim=-1)
    for layer in head.layers:
        x = torch.relu(layer(x))
    torch.testing.assert_close(head(features, previous), head.logits(x))


class Fixed(nn.Module):
    """Probabilities of three bins that depend on the first action only."""

    def __init__(self, table: dict[float, list[float]]) -> None:
        super().__init__()
        self.table = table

    def forward(self, features: Tensor, previous: Tensor) -> Tensor:
        rows = [[self.table[round(float(p[0]), 3) if len(p) else 0.0] for p in state] for state in previous]
        return torch.tensor(rows).log()


def test_a_beam_finds_what_the_greedy_choice_misses() -> None:
    low, high = round(-2 / 3, 3), round(2 / 3, 3)
    first = Fixed({0.0: [0.5, 0.1, 0.4]})
    heads = [first, Fixed({low: [0.4, 0.3, 0.3], 0.0: [0.4, 0.3, 0.3], high: [0.0, 0.05, 0.95]})]
    greedy, searched = (AutoregressiveCategorical(torch.zeros(1, 1), heads, 3, beam) for beam in (1, 2))
    torch.testing.assert_close(greedy.mode, torch.tensor([[-2 / 3, -2 / 3]]))  # 0.5 * 0.4
    torch.testing.assert_close(searched.mode, torch.tensor([[2 / 3, 2 / 3]]))  # 0.4 * 0.95


def test_a_wide_beam_finds_the_most_probable_action_of_every_state() -> None:
    actions = every_action(3, 4)
    policy = random_policy(3, 4, beam=16, states=5)
    best = all_log_masses(policy, actions).argmax(dim=1)
    torch.testing.assert_close(policy.mode, actions[best])


def test_samples_follow_the_probabilities_and_carry_them() -> None:
    policy, actions = random_policy(2, 3, states=2), every_action(2, 3)
    torch.manual_seed(1)
    samples, log_mass = policy.sample(20_000)
    assert samples.shape == (2, 20_000, 2)
    torch.testing.assert_close(log_mass[:, 0], policy.log_prob(samples[:, 0]))
    expected = all_log_masses(policy, actions).exp()
    for state in range(2):
        counts = torch.stack([(samples[state] - action).abs().sum(-1).lt(1e-5).sum() for action in actions])
        chi_squared = ((counts - 20_000 * expected[state]) ** 2 / (20_000 * expected[state])).sum()
        assert chi_squared < 26.1  # 99.9 % of a chi-squared variable with 8 degrees of freedom


def test_a_fresh_policy_is_nearly_uniform() -> None:
    torch.manual_seed(0)
    actor = AutoregressiveActor(NetworkConfig(encoder="tiny", image_size=64), tasks=3)
    image = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    policy = actor(image, torch.zeros(2, 7), torch.eye(3)[:2])
    log_mass = policy.log_prob(torch.rand(2, 7) * 2 - 1)
    torch.testing.assert_close(log_mass, torch.full((2,), -7 * math.log(100)), atol=0.02, rtol=0)


def test_it_keeps_two_ways_to_act_apart_where_a_gaussian_takes_their_mean() -> None:
    """One observation, demonstrated with (0.8, 0.8) and with (-0.8, -0.8), never with mixed signs."""
    torch.manual_seed(0)
    networks = NetworkConfig(
        encoder="tiny", image_size=16, latent=8, hidden=(32, 32), autoregressive=AutoregressiveConfig(bins=20)
    )
    rows = 16
    action = torch.full((rows, 7), 0.8) * torch.tensor([1.0, -1.0]).repeat(rows // 2).unsqueeze(1)
    zeros = torch.zeros(rows)
    image = torch.full((rows, 16, 16, 3), 128, dtype=torch.uint8)
    state, task = torch.zeros(rows, 7), torch.ones(rows, 1)
    batch = Transitions(image, image, state, state, action, zeros, zeros, zeros, task)
    learned = {}
    for name in ("bc", "autoregressive_bc"):
        algorithm = make_algorithm(AlgorithmConfig(name=name, actor_lr=3e-3), networks, tasks=1)
        for step in range(150):
            algorithm.update(batch, step)
        learned[name] = algorithm.actor(image[:1], state[:1], task[:1])
    assert learned["bc"].mode.abs().max() < 0.2
    assert learned["autoregressive_bc"].mode.abs().min() > 0.7
    samples = learned["autoregressive_bc"].sample(200)[0][0]
    assert samples.abs().gt(0.7).float().mean() > 0.95
    together = samples.sign().sum(dim=-1).abs() == 7
    assert together.float().mean() > 0.95
    assert 0.2 < samples[:, 0].gt(0).float().mean() < 0.8
