# SPDX-License-Identifier: Apache-2.0
"""The actor's distributions: a squashed Gaussian, and one whose gripper has two values; figures by hand or by numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ptr_models.networks import Actor, NetworkConfig, TanhGaussian, TanhGaussianBernoulli
from ptr_models.networks.distributions import over_gripper, with_both_grippers

NETWORKS = NetworkConfig(encoder="tiny", image_size=16, latent=8, hidden=(8,))
LOG_QUARTER = math.log(0.25)


def two_way(logit: float = math.log(3.0)) -> TanhGaussianBernoulli:
    """One state: two dimensions of motion, a gripper that is open with probability 3/4."""
    motion = TanhGaussian(torch.tensor([[0.0, -1.0]]), torch.tensor([[-0.5, 0.2]]))
    return TanhGaussianBernoulli(motion, torch.tensor([[logit]]))


def test_the_probability_of_a_two_way_gripper_is_the_logistic_function_of_its_logit() -> None:
    np.testing.assert_allclose(two_way().log_mass.exp(), [[0.25, 0.75]], rtol=1e-6)


@pytest.mark.parametrize(("logit", "gripper"), [(0.1, 0.99), (-0.1, -0.99)])
def test_the_mode_has_the_more_probable_gripper(logit: float, gripper: float) -> None:
    mode = two_way(logit).mode
    np.testing.assert_allclose(mode, [[0.0, math.tanh(-1.0), gripper]], atol=1e-6)


@pytest.mark.parametrize(("gripper", "mass"), [(-0.99, 0.25), (0.99, 0.75), (0.2, 0.75)])
def test_the_log_probability_is_the_motions_density_and_the_grippers_mass(gripper: float, mass: float) -> None:
    action = torch.tensor([[math.tanh(0.3), math.tanh(-1.2), gripper]])
    density = -0.397547  # of the motion alone, see test_models_networks
    assert two_way().log_prob(action).item() == pytest.approx(density + math.log(mass), abs=1e-5)


def test_samples_carry_their_log_probability_and_open_as_often_as_it_says() -> None:
    torch.manual_seed(0)
    policy = two_way()
    actions, log_pi = policy.sample(4000)
    np.testing.assert_allclose(actions[..., -1].unique(), [-0.99, 0.99])
    assert (actions[..., -1] > 0).float().mean().item() == pytest.approx(0.75, abs=0.03)
    again = torch.stack([policy.log_prob(actions[:, index]) for index in range(20)], dim=1)
    torch.testing.assert_close(log_pi[:, :20], again, atol=1e-3, rtol=1e-3)


def test_a_draw_meets_both_values_of_the_gripper() -> None:
    torch.manual_seed(0)
    samples = two_way().draw(3)
    assert samples.actions.shape == (1, 6, 3) and samples.log_density.shape == (1, 3, 2)
    np.testing.assert_allclose(samples.actions[0, :, -1], [-0.99, 0.99] * 3)
    assert torch.equal(samples.actions[0, 0::2, :2], samples.actions[0, 1::2, :2])
    motion = torch.arange(4.0).reshape(1, 2, 2)
    expected = [[[0, 1, -0.99], [0, 1, 0.99], [2, 3, -0.99], [2, 3, 0.99]]]
    np.testing.assert_allclose(with_both_grippers(motion), expected)


def test_the_expectation_over_the_gripper_is_exact() -> None:
    values = torch.tensor([[4.0, 8.0, -2.0, 2.0]])  # two draws, each closed and open
    np.testing.assert_allclose(over_gripper(values, two_way().log_mass), [[7.0, 1.0]], rtol=1e-6)
    assert over_gripper(values, None) is values


@pytest.mark.parametrize(
    ("policy", "probability"),
    [
        (TanhGaussian(torch.tensor([[0.3, math.atanh(0.6)]]), torch.zeros(1, 2)), 0.8),
        (
            TanhGaussianBernoulli(TanhGaussian(torch.tensor([[0.3]]), torch.zeros(1, 1)), torch.tensor([[-1.0]])),
            0.268941,
        ),
    ],
)
def test_only_the_gripper_is_drawn(policy: TanhGaussian | TanhGaussianBernoulli, probability: float) -> None:
    torch.manual_seed(0)
    drawn = torch.cat([policy.sample_gripper() for _ in range(3000)])
    np.testing.assert_allclose(drawn[:, 0], math.tanh(0.3), rtol=1e-6)
    np.testing.assert_allclose(drawn[:, 1].unique(), [-0.99, 0.99])
    assert (drawn[:, 1] > 0).float().mean().item() == pytest.approx(probability, abs=0.03)


def test_the_error_of_a_two_way_gripper_is_the_binary_cross_entropy() -> None:
    action = torch.tensor([[0.5, math.tanh(-1.0), -0.99]])
    assert two_way().squared_errors(action).sum().item() == pytest.approx(0.25 - LOG_QUARTER, abs=1e-6)


def test_the_fit_of_the_spread_is_the_likelihood_of_a_normal_and_leaves_the_mean_alone() -> None:
    mean = torch.tensor([[0.2, 0.0]], requires_grad=True)
    log_std = torch.tensor([[-1.0, 0.5]], requires_grad=True)
    raw = np.array([[0.6, -0.7]])
    error = TanhGaussian(mean, log_std).spread_error(torch.tanh(torch.tensor(raw, dtype=torch.float32)))
    std = np.exp([-1.0, 0.5])
    squared = (raw - [0.2, 0.0]) ** 2 + math.exp(-8.0)
    assert error.item() == pytest.approx(float((squared / (2 * std**2) + np.log(std)).sum()), rel=1e-5)
    error.sum().backward()
    assert mean.grad is None
    np.testing.assert_allclose(log_std.grad, 1.0 - squared / std**2, rtol=1e-4)


def test_an_actor_with_a_two_way_gripper_has_one_log_std_less() -> None:
    torch.manual_seed(0)
    actor = Actor(NetworkConfig(**(vars(NETWORKS) | {"gripper": "bernoulli"})), tasks=2)
    policy = actor.head(torch.randn(3, 8), torch.zeros(3, 7), torch.eye(2)[[0, 1, 0]])
    assert policy.mode.shape == (3, 7) and actor.log_std.out_features == 6
    assert isinstance(policy, TanhGaussianBernoulli)
    with pytest.raises(ValueError, match="gripper is 'beta'; known: gaussian, bernoulli"):
        NetworkConfig(gripper="beta")


def test_the_spreads_gradient_reaches_its_head_alone() -> None:
    torch.manual_seed(0)
    actor = Actor(NETWORKS, tasks=1)
    policy = actor(torch.zeros(2, 16, 16, 3, dtype=torch.uint8), torch.zeros(2, 7), torch.ones(2, 1))
    policy.spread_error(torch.full((2, 7), 0.5)).sum().backward()
    gradients = {name: value.grad for name, value in actor.named_parameters() if value.grad is not None}
    assert {name for name, value in gradients.items() if value.abs().max() > 0} == {"log_std.weight", "log_std.bias"}
