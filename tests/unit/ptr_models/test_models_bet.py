# SPDX-License-Identifier: Apache-2.0
"""Behavior Transformer: clusters of actions, focal loss, offsets, causality, history."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.algorithms import AlgorithmConfig, make_algorithm
from ptr_models.algorithms.bet import decayed_groups, focal_loss, kmeans, masked_mean, offset_loss
from ptr_models.algorithms.method_configs import BetConfig
from ptr_models.algorithms.sequences import WindowTensors
from ptr_models.inference.history import History
from ptr_models.networks import BehaviorTransformer, NetworkConfig
from ptr_models.networks.behavior_transformer import ModesWithOffsets
from ptr_models.networks.method_configs import TransformerConfig

NETWORKS = NetworkConfig(
    encoder="tiny",
    image_size=16,
    latent=8,
    transformer=TransformerConfig(window=4, modes=3, layers=2, heads=2, width=16, dropout=0.0),
)


# --------------------------------------------------------------------------- clusters
def test_kmeans_finds_separate_clusters_in_any_order() -> None:
    generator = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0], [0.9, 0.9], [-0.9, 0.5], [0.5, -0.9]], dtype=np.float32)
    points = (centers.repeat(50, axis=0) + generator.normal(0, 0.02, (200, 2))).astype(np.float32)
    found = kmeans(generator.permutation(points), 4, seed=3)
    distances = np.linalg.norm(found[:, None] - centers, axis=-1)
    assert sorted(distances.argmin(axis=1)) == [0, 1, 2, 3]
    assert distances.min(axis=1).max() < 0.01


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 1000))
def test_every_center_is_the_mean_of_the_points_nearest_to_it(points: int, count: int, seed: int) -> None:
    data = np.random.default_rng(seed).uniform(-1, 1, (points, 2)).astype(np.float32)
    centers = kmeans(data, count, seed)
    assert centers.shape == (count, 2)
    np.testing.assert_array_equal(centers, kmeans(data, count, seed))
    nearest = np.linalg.norm(data[:, None] - centers, axis=-1).argmin(axis=1)
    for k in np.unique(nearest):
        np.testing.assert_allclose(data[nearest == k].mean(axis=0), centers[k], atol=1e-5)


# --------------------------------------------------------------------------- losses
def test_the_focal_loss_of_a_probability_of_seven_tenths() -> None:
    logits = torch.tensor([[math.log(0.7), math.log(0.2), math.log(0.1)]])
    target = torch.tensor([0])
    assert focal_loss(logits, target, 2.0).item() == pytest.approx(0.0321, abs=1e-4)
    assert focal_loss(logits, target, 0.0).item() == pytest.approx(0.3567, abs=1e-4)  # cross-entropy


def test_center_plus_offset_reconstructs_every_action() -> None:
    generator = torch.Generator().manual_seed(0)
    actions = torch.rand(32, 7, generator=generator) * 2 - 1
    centers = torch.from_numpy(kmeans(actions.numpy(), 5, seed=0))
    policy = ModesWithOffsets(torch.zeros(32, 5), torch.zeros(32, 5, 7), centers)
    target = policy.nearest(actions)
    offsets = torch.randn(32, 5, 7, generator=generator)
    offsets[torch.arange(32), target] = actions - centers[target]
    exact = ModesWithOffsets(torch.zeros(32, 5), offsets, centers)
    torch.testing.assert_close(exact.action_of(target.unsqueeze(1)).squeeze(1), actions)
    assert offset_loss(offsets, target, actions - centers[target]).abs().max() == 0


def test_only_the_offset_of_the_true_class_is_trained() -> None:
    offsets = torch.zeros(1, 3, 2, requires_grad=True)
    offset_loss(offsets, torch.tensor([1]), torch.tensor([[0.5, -0.5]])).sum().backward()
    assert offsets.grad[0, [0, 2]].abs().sum() == 0
    torch.testing.assert_close(offsets.grad[0, 1], torch.tensor([-0.5, 0.5]))  # 2 (p - r) / A


def test_padding_does_not_count() -> None:
    assert masked_mean(torch.tensor([1.0, 5.0, 3.0]), torch.tensor([1.0, 0.0, 1.0])).item() == 2.0


# --------------------------------------------------------------------------- the distribution
def test_the_mode_is_the_best_class_with_its_own_offset() -> None:
    centers = torch.tensor([[0.5, 0.5], [-0.5, 0.0]])
    offsets = torch.tensor([[[0.1, 0.0], [0.0, 0.2]]])
    policy = ModesWithOffsets(torch.tensor([[0.0, 1.0]]), offsets, centers)
    torch.testing.assert_close(policy.mode, torch.tensor([[-0.5, 0.2]]))
    torch.manual_seed(0)
    samples, log_mass = policy.sample(4000)
    share = samples[0, :, 0].lt(0).float().mean().item()
    assert share == pytest.approx(math.e / (1 + math.e), abs=0.03)
    first = samples[:, 0] - (offsets[0, 1] if samples[0, 0, 0] < 0 else offsets[0, 0])
    torch.testing.assert_close(log_mass[:, 0], policy.log_prob(first))


# --------------------------------------------------------------------------- the transformer
def frames(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (count, 16, 16, 3), dtype=torch.uint8, generator=generator)
    return image, torch.randn(count, 7, generator=generator), torch.eye(2)[:1].expand(count, -1)


def lively(window: int = 4) -> BehaviorTransformer:
    """An untrained actor whose decisions differ visibly."""
    torch.manual_seed(0)
    actor = BehaviorTransformer(NETWORKS, tasks=2).eval()
    for parameter in actor.parameters():
        if parameter.dim() >= 2:
            torch.nn.init.normal_(parameter, std=0.3)
    actor.centres.copy_(torch.randn_like(actor.centres))
    return actor


def test_a_decision_depends_on_earlier_frames_and_never_on_later_ones() -> None:
    actor = lively()
    seen = actor.observe(*frames(4)).unsqueeze(0)
    before = actor.decide(seen).logits
    later, earlier = seen.clone(), seen.clone()
    later[:, 3] += 1.0
    earlier[:, 0] += 1.0
    torch.testing.assert_close(actor.decide(later).logits[:3], before[:3])
    assert (actor.decide(later).logits[3] - before[3]).abs().max() > 1e-3
    assert (actor.decide(earlier).logits[3] - before[3]).abs().max() > 1e-3


def test_acting_step_by_step_equals_the_windows_of_a_whole_episode() -> None:
    actor, history = lively(), History(lively())
    image, state, task = frames(9)
    with torch.no_grad():
        stepwise = torch.cat([history.next(image[t : t + 1], state[t : t + 1], task[:1]).mode for t in range(9)])
        together = History(actor).along(image, state, task).mode
    torch.testing.assert_close(together, stepwise)


def test_only_the_window_is_remembered() -> None:
    actor = lively()
    image, state, task = frames(6)
    with torch.no_grad():
        whole, tail = History(actor), History(actor)
        for t in range(6):
            last = whole.next(image[t : t + 1], state[t : t + 1], task[:1])
        for t in range(2, 6):
            alone = tail.next(image[t : t + 1], state[t : t + 1], task[:1])
    torch.testing.assert_close(last.logits, alone.logits)


@pytest.mark.parametrize("how", ["cleared", "another task"])
def test_a_new_episode_starts_without_a_history(how: str) -> None:
    actor = lively()
    image, state, task = frames(3)
    history = History(actor)
    with torch.no_grad():
        for t in range(2):
            history.next(image[t : t + 1], state[t : t + 1], task[:1])
        if how == "cleared":
            history.clear()
        else:
            task = task.flip(1)
        last = history.next(image[2:], state[2:], task[:1])
        fresh = actor(image[2:], state[2:], task[:1])
    torch.testing.assert_close(last.logits, fresh.logits)


# --------------------------------------------------------------------------- the update
def windows(count: int) -> WindowTensors:
    image, state, task = frames(4 * count, seed=1)
    action = torch.rand(4 * count, 7, generator=torch.Generator().manual_seed(2)) * 1.8 - 0.9
    return WindowTensors(image, state, action, torch.ones(4 * count), task, 4)


def test_padded_rows_leave_no_trace_in_the_gradient() -> None:
    config, batch = AlgorithmConfig(name="bet"), windows(2)
    spoilt = batch.action.clone()
    spoilt[7] = -batch.action[7]  # the last frame of the last window: nothing comes after it
    valid = torch.ones(8)
    valid[7] = 0.0
    metrics = []
    for action in (batch.action, spoilt):
        torch.manual_seed(0)
        algorithm = make_algorithm(config, NETWORKS, tasks=2)
        algorithm.fit_centers(batch.action.numpy(), seed=0)
        algorithm.update(WindowTensors(batch.image, batch.state, action, valid, batch.task, 4), 0)
        metrics.append(torch.cat([parameter.flatten() for parameter in algorithm.actor.parameters()]))
    torch.testing.assert_close(*metrics, rtol=0, atol=0)


def test_the_gradient_is_clipped_to_a_norm_of_one() -> None:
    algorithm = make_algorithm(AlgorithmConfig(name="bet", bet=BetConfig(offset_weight=1e5)), NETWORKS, tasks=2)
    algorithm.update(windows(2), 0)
    norms = [parameter.grad.norm() for parameter in algorithm.actor.parameters() if parameter.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(1.0, abs=1e-3)


def test_weight_decay_spares_biases_norms_and_positions() -> None:
    actor = BehaviorTransformer(NETWORKS, tasks=2)
    decayed, free = decayed_groups(actor, 0.1)
    names = {id(value): name for name, value in actor.named_parameters()}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert {names[id(value)] for value in free["params"]} >= {"positions", "norm.weight", "embed.bias"}
    assert all(value.dim() >= 2 for value in decayed["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_the_defaults_are_those_of_the_published_kitchen() -> None:
    """github.com/notmahi/bet: mingpt_kitchen_best.yaml, k_means_kitchen_best.yaml, train_kitchen.yaml."""
    options, transformer = BetConfig(), TransformerConfig()
    assert (options.offset_weight, options.focal_gamma) == (1000.0, 2.0)
    assert (options.weight_decay, options.gradient_clip) == (0.1, 1.0)
    assert (transformer.modes, transformer.window) == (64, 10)
    assert (transformer.layers, transformer.heads, transformer.width) == (6, 6, 120)


def test_the_optimizer_is_that_of_mingpt() -> None:
    algorithm = make_algorithm(AlgorithmConfig(name="bet"), NETWORKS, tasks=2)
    optimizer = algorithm.optimizers["actor"]
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.95) and optimizer.param_groups[0]["lr"] == 1e-4
