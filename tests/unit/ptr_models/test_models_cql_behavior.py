# SPDX-License-Identifier: Apache-2.0
"""What PTR learns on problems whose answer is known; the tiny encoder, so that each takes seconds on one core."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from ptr_models.algorithms import Algorithm, AlgorithmConfig, CQLAgent, Transitions, make_algorithm
from ptr_models.episodes.labels import label
from ptr_models.networks import NetworkConfig

NETWORKS = NetworkConfig(encoder="tiny", image_size=16, latent=32, hidden=(32, 32, 32))
TASKS = 6


def make(seed: int = 0, **options: object) -> CQLAgent:
    torch.manual_seed(seed)
    return CQLAgent(AlgorithmConfig(**options), NETWORKS, TASKS)


# ----------------------------------------------------------------------------- a chain of five states
def chain(batch: int, rng: np.random.Generator, length: int = 5) -> Transitions:
    """A demonstration of five steps: the image shows a bright column at the position, three are rewarded."""
    position = rng.integers(0, length, batch)
    image = np.zeros((batch, 16, 16, 3), dtype=np.uint8)
    following = np.zeros_like(image)
    for row, at in enumerate(position):
        image[row, :, 3 * at : 3 * at + 3] = 255
        following[row, :, 3 * min(at + 1, 4) : 3 * min(at + 1, 4) + 3] = 255
    rewarded = position >= length - 3
    action = np.full((batch, 7), 0.5, dtype=np.float32)
    return Transitions(
        image=torch.from_numpy(image),
        next_image=torch.from_numpy(following),
        state=torch.zeros(batch, 7),
        next_state=torch.zeros(batch, 7),
        action=torch.from_numpy(action),
        reward=torch.from_numpy(np.where(rewarded, 10.0, -1.0).astype(np.float32)),
        mask=torch.from_numpy((~rewarded).astype(np.float32)),
        mc_return=torch.zeros(batch),
        task=nn.functional.one_hot(torch.zeros(batch, dtype=torch.int64), TASKS).float(),
    )


@torch.no_grad()
def chain_values(algorithm: CQLAgent) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of the data action and the mean over random actions in the five states."""
    rng = np.random.default_rng(0)
    batch = chain(200, rng)
    order = batch.image.sum(dim=(1, 3)).argmax(dim=1) // 3
    first = torch.stack([(order == index).nonzero()[0, 0] for index in range(5)])
    embedding = algorithm.critic.encode(batch.image[first], batch.state[first])
    random = torch.rand(5, 64, 7) * 2 - 1
    actions = torch.cat([batch.action[first].unsqueeze(1), random], dim=1)
    q = algorithm.critic.q(embedding, batch.task[first], actions).min(dim=0).values
    return q[:, 0], q[:, 1:].mean(dim=1)


def test_values_of_a_short_demonstration_are_its_returns() -> None:
    algorithm = make(cql_alpha=0.01, tau=0.05, critic_lr=1e-3, bc_weight=10.0, actor_lr=1e-3)
    rng = np.random.default_rng(1)
    for step in range(400):
        algorithm.update(chain(32, rng), step)
    data, _ = chain_values(algorithm)
    torch.testing.assert_close(data, torch.tensor([7.256, 8.6, 10, 10, 10]), atol=1.0, rtol=0)


def test_conservatism_puts_the_data_action_above_random_ones() -> None:
    algorithm = make(cql_alpha=10.0, critic_lr=1e-3)
    rng = np.random.default_rng(2)
    for step in range(250):
        algorithm.update(chain(32, rng), step)
    data, random = chain_values(algorithm)
    assert (data - random).min() > 1.0


# ----------------------------------------------------------------------------- pushing towards a dot
OFFSET = 0.6
"""By how much bad pushes miss, in each of two dimensions."""


def pushes(batch: int, rng: np.random.Generator, noise: float = 0.1) -> tuple[Transitions, torch.Tensor]:
    """One-step episodes: the dot in the image says where to push; half of the pushes miss. And where to push."""
    cells = rng.integers(0, 4, (batch, 2))
    image = np.zeros((batch, 16, 16, 3), dtype=np.uint8)
    for row, (y, x) in enumerate(cells):
        image[row, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] = 255
    wanted = np.zeros((batch, 7), dtype=np.float32)
    wanted[:, :2] = cells * 0.25 - 0.6
    good = rng.random(batch) < 0.5
    action = wanted + rng.normal(0, noise, (batch, 7)).astype(np.float32)
    action[:, :2] += np.where(good, 0.0, OFFSET)[:, None].astype(np.float32)
    pixels = torch.from_numpy(image)
    data = Transitions(
        image=pixels,
        next_image=pixels,
        state=torch.zeros(batch, 7),
        next_state=torch.zeros(batch, 7),
        action=torch.from_numpy(action.clip(-0.99, 0.99)),
        reward=torch.from_numpy(np.where(good, 10.0, -1.0).astype(np.float32)),
        mask=torch.zeros(batch),
        mc_return=torch.zeros(batch),
        task=nn.functional.one_hot(torch.zeros(batch, dtype=torch.int64), TASKS).float(),
    )
    return data, torch.from_numpy(wanted)


def push_error(algorithm: Algorithm) -> np.ndarray:
    """Mean error of the mode in the two dimensions that matter."""
    data, wanted = pushes(64, np.random.default_rng(9))
    with torch.no_grad():
        mode = algorithm.actor(data.image, data.state, data.task).mode
    return (mode - wanted)[:, :2].mean(dim=0).numpy()


def trained_on_pushes(algorithm: Algorithm, updates: int) -> Algorithm:
    rng = np.random.default_rng(3)
    for step in range(updates):
        algorithm.update(pushes(32, rng)[0], step)
    return algorithm


def test_imitation_learns_the_mean_of_good_and_bad_pushes_and_ptr_the_good_ones() -> None:
    torch.manual_seed(0)
    imitator = make_algorithm(AlgorithmConfig(name="bc", actor_lr=2e-3), NETWORKS, TASKS)
    imitated = push_error(trained_on_pushes(imitator, 250))
    np.testing.assert_allclose(imitated, OFFSET / 2, atol=0.08)
    learner = make(cql_alpha=0.5, critic_lr=2e-3, actor_lr=2e-3, temperature_lr=3e-3, target_entropy=-10.0)
    learned = push_error(trained_on_pushes(learner, 450))
    assert np.abs(learned).max() < 0.1  # the noise of the good pushes


# ----------------------------------------------------------------------------- one demonstration
def demonstration(steps: int = 12) -> Transitions:
    """One success of random images and actions, labelled as PTR does."""
    rng = np.random.default_rng(4)
    labels = label(steps, success=True)
    images = torch.from_numpy(rng.integers(0, 256, (steps + 1, 16, 16, 3), dtype=np.uint8))
    states = torch.from_numpy(rng.normal(size=(steps + 1, 7)).astype(np.float32))
    return Transitions(
        image=images[:-1],
        next_image=images[1:],
        state=states[:-1],
        next_state=states[1:],
        action=torch.from_numpy(rng.uniform(-0.9, 0.9, (steps, 7)).astype(np.float32)),
        reward=torch.from_numpy(labels.reward),
        mask=torch.from_numpy(labels.mask),
        mc_return=torch.from_numpy(labels.mc_return),
        task=torch.eye(TASKS)[torch.zeros(steps, dtype=torch.int64)],
    )


def test_values_rise_along_a_demonstration_that_was_learned_and_the_mode_repeats_it() -> None:
    algorithm = make(
        cql_alpha=1.0,
        tau=0.05,
        critic_lr=2e-3,
        actor_lr=2e-3,
        calibrated=True,
        bc_weight=10.0,
        target_bounds=(-25.0, 10.0),
    )
    whole = demonstration()
    for step in range(400):
        algorithm.update(whole, step)
    with torch.no_grad():
        z = algorithm.critic.encode(whole.image, whole.state)
        q = algorithm.critic.q(z, whole.task, whole.action.unsqueeze(1)).min(dim=0).values[:, 0]
        mode = algorithm.actor(whole.image, whole.state, whole.task).mode
    assert spearmanr(np.arange(len(q)), q).statistic > 0.95
    assert (mode - whole.action).square().mean() < 0.05
