# SPDX-License-Identifier: Apache-2.0
"""Chunks of actions: batches of them, the end of an episode, losses, and a gripper that one number decides."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import ptr_models.algorithms.cql as cql
from ptr_models.algorithms import AlgorithmConfig, Transitions, make_algorithm
from ptr_models.algorithms.cql import bellman_target, imitation_loss, mode_error, spread_loss
from ptr_models.contract import Contract
from ptr_models.episodes.actions import scale, scale_chunks
from ptr_models.episodes.labels import Labelling, label, over_chunks
from ptr_models.networks import NetworkConfig, TanhGaussian, TanhGaussianBernoulli
from ptr_models.networks.action_chunks import split_gripper, with_gripper
from ptr_models.networks.distributions import over_gripper, with_both_grippers
from ptr_models.replay import Batch, Dataset, MixingSampler, Sampler

GAMMA = 0.96
LOW_DIM = NetworkConfig(
    encoder="none",
    hidden=(16, 16),
    critic_proprioception=True,
    state_center=(0.0,) * 17,
    state_scale=(1.0,) * 17,
    gripper="bernoulli",
)
IMAGES = NetworkConfig(encoder="tiny", image_size=32, latent=8, hidden=(16, 16))


# ----------------------------------------------------------------------------- batches
def dataset() -> Dataset:
    """A success of 6 steps and a failure of 3; a frame is its row, dx its row in mm; the gripper opens at odd rows."""
    rows = np.arange(11)
    actions = np.zeros((11, 7), np.float32)
    actions[:, 0], actions[:, 6] = 1e-3 * rows, rows % 2
    return Dataset(
        contract=Contract(),
        frames=np.broadcast_to(rows[:, None, None, None], (11, 2, 2, 3)).astype(np.uint8),
        states=np.repeat(rows[:, None], 7, axis=1).astype(np.float32),
        actions=actions,
        starts=np.array([0, 7]),
        lengths=np.array([6, 3]),
        tasks=("put", "put"),
        successes=np.array([True, False]),
        paths=("a", "b"),
    )


def chunks(batch: Batch, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """dx in mm and gripper (0 or 1) of each step, (B, h)."""
    each = batch.action.reshape(len(batch), steps, 7)
    return (25 * (each[..., 0] + 1) * 2 - 50).round(2), (each[..., 6] > 0).astype(int)


def test_a_chunk_stays_in_its_episode_and_behind_its_end_the_arm_stands_still() -> None:
    batch = Sampler(dataset(), {"put": 0}, chunk=4).gather(np.arange(9))
    moved, gripper = chunks(batch, 4)
    assert moved.tolist() == [
        *([0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 0], [4, 5, 0, 0], [5, 0, 0, 0]),
        *([7, 8, 9, 0], [8, 9, 0, 0], [9, 0, 0, 0]),
    ]
    assert gripper[[3, 4, 6]].tolist() == [[1, 0, 1, 1], [0, 1, 1, 1], [1, 0, 1, 1]]
    assert batch.valid.sum(axis=1).tolist() == [4, 4, 4, 3, 2, 1, 3, 2, 1]
    assert batch.valid[3].tolist() == [True, True, True, False]
    assert batch.next_state[:, 0].tolist() == batch.next_image[:, 0, 0, 0].tolist() == [4, 5, 6, 6, 6, 6, 10, 10, 10]


def test_rewards_and_masks_of_chunks_are_those_of_a_hand_computation() -> None:
    batch = Sampler(dataset(), {"put": 0}, chunk=4).gather(np.arange(9))
    # the last three steps of the success are rewarded with 10, and each of them ends it
    success = [-1 - 0.96 - 0.9216 + 0.884736 * 10, -1 - 0.96 + 9.216, -1 + 9.6, 10, 10, 10]
    failure = [-1 - 0.96 - 0.9216, -1 - 0.96, -1]
    np.testing.assert_allclose(batch.reward, success + failure, rtol=1e-6)
    assert batch.mask.tolist() == [0] * 6 + [1] * 3
    single = Sampler(dataset(), {"put": 0}).gather(np.arange(9))
    assert np.array_equal(batch.mc_return, single.mc_return)


def test_the_return_of_a_chunk_and_what_follows_is_the_return_of_single_steps() -> None:
    """R_t = sum gamma^k r + gamma^h m R_{t+h}, with the returns that the labels give for single steps."""
    for success, terminal, chunk in ((True, "last", 3), (True, "rewarded", 5), (False, "last", 4)):
        rule = Labelling(terminal=terminal, discount=0.9)
        labels = label(11, success, rule)
        found = over_chunks(labels, chunk, 0.9)
        after = np.append(labels.mc_return, rule.lowest_return)
        ends = np.minimum(np.arange(11) + chunk, 11)
        rebuilt = found.reward + 0.9 ** (ends - np.arange(11)) * found.mask * after[ends]
        np.testing.assert_allclose(rebuilt, labels.mc_return, rtol=1e-5)


def test_chunks_of_one_step_have_the_labels_of_single_actions() -> None:
    labels = label(7, success=True)
    for name, values in vars(over_chunks(labels, 1, GAMMA)).items():
        assert np.array_equal(values, getattr(labels, name)) and values.dtype == np.float32


def test_with_goal_images_a_chunk_ends_at_its_goal() -> None:
    data = dataset().by_goal_image()
    batch = Sampler(data, {"put": 0}, chunk=4).gather(np.array([0, 0, 6]), np.array([2, 6, 3]))
    assert batch.next_image[:, 0, 0].tolist() == [[2] * 6, [4] * 3 + [6] * 3, [10] * 6]
    assert batch.valid.sum(axis=1).tolist() == [2, 4, 3]
    np.testing.assert_allclose(batch.reward, [10, -1 - 0.96 - 0.9216 + 8.84736, 10], rtol=1e-6)
    assert batch.mask.tolist() == [0, 0, 0]


def test_batches_of_chunks_can_be_mixed_and_single_ones_as_well() -> None:
    for chunk in (1, 3):
        samplers = [Sampler(dataset(), {"put": 0}, seed, chunk=chunk) for seed in (1, 2)]
        batch = MixingSampler(*samplers, 0.5).sample(6)
        assert batch.action.shape == (6, 7 * chunk)
        assert batch.valid is None if chunk == 1 else batch.valid.shape == (6, 3)
        tensors = Transitions.from_arrays(batch, 1)
        assert tensors.valid is None if chunk == 1 else tensors.valid.shape == (6, 3)


def test_chunks_along_an_episode_are_those_of_batches() -> None:
    data = dataset()
    batch = Sampler(data, {"put": 0}, chunk=4).gather(np.arange(6))
    along = scale_chunks(data.episode(0)[2], data.contract, 4)
    np.testing.assert_array_equal(along, batch.action)
    np.testing.assert_array_equal(
        scale_chunks(data.episode(0)[2], data.contract, 1), scale(data.episode(0)[2], data.contract)
    )


# ----------------------------------------------------------------------------- losses
def random_batch(networks: NetworkConfig, chunk: int, rows: int = 6, seed: int = 0) -> Transitions:
    """Two shorter chunks at the end."""
    g = torch.Generator().manual_seed(seed)
    side = 0 if networks.encoder == "none" else networks.image_size
    states = len(networks.state_center)

    def images() -> torch.Tensor:
        return torch.randint(0, 256, (rows, side, side, 3 if side else 0), generator=g, dtype=torch.uint8)

    valid = torch.ones(rows, chunk)
    if chunk > 1:
        valid[-1, 1:], valid[-2, chunk - 1 :] = 0.0, 0.0
    return Transitions(
        image=images(),
        next_image=images(),
        state=torch.rand(rows, states, generator=g),
        next_state=torch.rand(rows, states, generator=g),
        action=torch.rand(rows, 7 * chunk, generator=g) * 1.9 - 0.95,
        reward=torch.rand(rows, generator=g) * 10 - 1,
        mask=(torch.rand(rows, generator=g) > 0.3).float(),
        mc_return=torch.rand(rows, generator=g) * 10 - 5,
        task=torch.ones(rows, 1),
        success=torch.ones(rows),
        valid=valid,
    )


def weights(algorithm: Any) -> torch.Tensor:
    return torch.cat(
        [value.detach().flatten() for module in algorithm.modules.values() for value in module.parameters()]
    )


CONFIGS = {
    "ptr": AlgorithmConfig(bc_steps=2, critic_warmup_steps=1, bc_weight=1.0, gripper_at_mode=True, calibrated=True),
    "ptr as in the paper": AlgorithmConfig(),
    "parts": AlgorithmConfig(cql_uniform_dimensions="parts", varying_dimensions=(0, 1, 2, 3, 6)),
    "cog": AlgorithmConfig(
        next_policy_actions=True, max_backup=False, bc_steps=2, bc_loss="likelihood", entropy_in_bc_steps=True
    ),
    "awr": AlgorithmConfig(name="awr", bc_steps=1),
    "bc": AlgorithmConfig(name="bc"),
    "bc by likelihood": AlgorithmConfig(name="bc", bc_loss="likelihood"),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("gripper", ["gaussian", "bernoulli"])
def test_an_update_of_chunks_of_one_step_is_bit_for_bit_that_of_single_actions(name: str, gripper: str) -> None:
    found = []
    for single in (True, False):
        torch.manual_seed(3)
        algorithm = make_algorithm(CONFIGS[name], replace(LOW_DIM, gripper=gripper), 1)
        for step in range(4):
            batch = random_batch(LOW_DIM, 1, seed=step)
            algorithm.update(replace(batch, valid=None) if single else batch, step)
        found.append(weights(algorithm))
    assert torch.equal(*found)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("networks", [LOW_DIM, IMAGES, replace(LOW_DIM, gripper="gaussian")])
def test_every_method_learns_from_chunks(name: str, networks: NetworkConfig) -> None:
    torch.manual_seed(3)
    algorithm = make_algorithm(replace(CONFIGS[name], chunk=4), networks, 1)
    before = weights(algorithm)
    for step in range(4):
        metrics = algorithm.update(random_batch(networks, 4, seed=step), step)
        assert all(bool(value.isfinite()) for value in metrics.values()), metrics
    after = weights(algorithm)
    assert bool(after.isfinite().all()) and not torch.equal(before, after)
    policy = algorithm.actor(*(getattr(random_batch(networks, 4), key) for key in ("image", "state", "task")))
    assert policy.mode.shape == policy.sample_gripper().shape == (6, 28)
    assert policy.sample(3)[0].shape == (6, 3, 28)


def test_the_target_of_a_chunk_is_the_return_of_its_steps_and_the_discounted_value_behind_them() -> None:
    batch = replace(random_batch(LOW_DIM, 3, rows=3), reward=torch.tensor([-2.8816, -1.96, 10.0]))
    batch = replace(batch, mask=torch.tensor([1.0, 1.0, 0.0]), valid=torch.tensor([[1.0, 1, 1], [1, 1, 0], [1, 0, 0]]))
    q = torch.tensor([[[2.0, 5.0], [4.0, 1.0], [9.0, 9.0]], [[3.0, 4.0], [8.0, 8.0], [9.0, 9.0]]])
    target = bellman_target(batch.reward, batch.mask, q, batch.discount(GAMMA))
    # the smaller critic, the better of two samples: 4, 4, 9
    np.testing.assert_allclose(target, [-2.8816 + 0.96**3 * 4, -1.96 + 0.96**2 * 4, 10.0], rtol=1e-6)
    assert replace(batch, valid=None).discount(GAMMA) == GAMMA


def test_the_update_takes_the_value_at_the_end_of_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(cql, "bellman_target", lambda *a: seen.update(target=a) or bellman_target(*a))
    algorithm = make_algorithm(AlgorithmConfig(chunk=4), LOW_DIM, 1)
    batch = random_batch(LOW_DIM, 4)
    algorithm.update(batch, 0)
    reward, mask, q, discount, log_mass = seen["target"]
    assert torch.equal(reward, batch.reward) and torch.equal(mask, batch.mask)
    np.testing.assert_allclose(discount, [GAMMA**4] * 4 + [GAMMA**3, GAMMA], rtol=1e-6)
    assert q.shape == (2, 6, 4 * 5) and log_mass.shape == (6, 5)  # four samples with five cases of the gripper each


@pytest.mark.parametrize("gripper", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("kind", ["squared", "likelihood"])
def test_what_stands_behind_the_end_of_an_episode_is_not_imitated(kind: str, gripper: str) -> None:
    torch.manual_seed(0)
    algorithm = make_algorithm(AlgorithmConfig(name="bc", chunk=3), replace(LOW_DIM, gripper=gripper), 1)
    batch = random_batch(LOW_DIM, 3)
    policy = algorithm.actor(batch.image, batch.state, batch.task)
    other = batch.action.clone()
    other[-1, 7:] = 0.5  # its chunk has one step
    rest = (kind, batch.success)
    for loss in (imitation_loss, spread_loss):
        assert torch.equal(*(loss(policy, action, *rest, valid=batch.valid) for action in (batch.action, other)))
    assert torch.equal(*(mode_error(policy, action, batch.valid) for action in (batch.action, other)))
    other[-1, 6] = -other[-1, 6]
    assert imitation_loss(policy, batch.action, *rest, valid=batch.valid) != imitation_loss(
        policy, other, *rest, valid=batch.valid
    )


def test_the_imitation_of_a_chunk_is_the_sum_over_its_steps() -> None:
    torch.manual_seed(0)
    mean, log_std, action = torch.randn(5, 14), torch.randn(5, 14), torch.rand(5, 14) * 1.8 - 0.9
    whole = TanhGaussian(mean, log_std, steps=2)
    parts = [TanhGaussian(mean[:, half], log_std[:, half]) for half in (slice(7), slice(7, None))]
    valid = torch.tensor([[1.0, 1.0]] * 4 + [[1.0, 0.0]])
    for kind, gripper in (("squared", 0.1), ("likelihood", 1.0)):
        found = imitation_loss(whole, action, kind, gripper=gripper, valid=valid)
        steps = [
            imitation_loss(part, action[:, half], kind, valid[:, k], gripper)
            for k, (part, half) in enumerate(zip(parts, (slice(7), slice(7, None)), strict=True))
        ]
        torch.testing.assert_close(found, sum(steps))


def test_the_entropy_and_the_dimensions_that_count_are_those_of_all_steps() -> None:
    config = AlgorithmConfig(
        chunk=3, cql_uniform_dimensions="varying", varying_dimensions=(0, 1, 6), target_entropy=-2.0
    )
    algorithm = make_algorithm(config, LOW_DIM, 1)
    assert algorithm.target_entropy == -6.0
    assert algorithm.entropy_dimensions == [0, 1, 6, 7, 12, 13]  # six of the motion in each step
    # uniform actions differ in 6 dimensions; of the 8 cases of the gripper each meets 2, which counts as 2 dimensions
    assert algorithm.uniform_counts.tolist() == [8.0] * 8
    held = algorithm.uniform_held[0].reshape(3, 7)
    assert held.tolist() == [[False, False, True, True, True, True, False]] * 3


# ----------------------------------------------------------------------------- the gripper of a chunk
def two_way() -> TanhGaussianBernoulli:
    """One state; open with probabilities 0.5, 0.9 and 0.2 in three steps with two dimensions of motion each."""
    logit = torch.logit(torch.tensor([[0.5, 0.9, 0.2]]))
    return TanhGaussianBernoulli(TanhGaussian(torch.arange(6.0)[None] / 10, torch.zeros(1, 6), steps=3), logit)


def test_one_number_decides_the_gripper_of_all_steps_of_a_chunk() -> None:
    policy = two_way()
    opened = (policy.grippers[0] > 0).int().tolist()
    assert opened == [[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1]]
    np.testing.assert_allclose(policy.log_mass.exp(), [[0.1, 0.4, 0.3, 0.2]], rtol=1e-4)
    assert (policy.mode.reshape(3, 3)[:, -1] > 0).tolist() == [False, True, False]


def test_each_step_is_open_with_its_own_probability_and_samples_say_how_likely_they_are() -> None:
    torch.manual_seed(0)
    policy = two_way()
    actions, log_pi = policy.sample(6000)
    opened = (actions.reshape(6000, 3, 3)[..., -1] > 0).int()
    np.testing.assert_allclose(opened.float().mean(dim=0), [0.5, 0.9, 0.2], atol=0.03)
    cases = {tuple(row) for row in opened.tolist()}
    assert cases == {(0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1)}
    motion, _ = split_gripper(actions[0], 3)
    density = torch.stack([policy.motion.log_prob(motion[index : index + 1])[0] for index in range(5)])
    mass = torch.tensor([{0: 0.1, 1: 0.4, 2: 0.3, 3: 0.2}[int(opened[index].sum())] for index in range(5)]).log()
    torch.testing.assert_close(log_pi[0, :5], density + mass, atol=1e-3, rtol=1e-3)
    drawn = torch.cat([policy.sample_gripper() for _ in range(2000)]).reshape(2000, 3, 3)[..., -1] > 0
    np.testing.assert_allclose(drawn.float().mean(dim=0), [0.5, 0.9, 0.2], atol=0.04)
    gaussian = TanhGaussian(torch.atanh(torch.tensor([[0.3, 0.6, 0.3, -0.6]])), torch.zeros(1, 4), steps=2)
    drawn = torch.cat([gaussian.sample_gripper() for _ in range(2000)]).reshape(2000, 2, 2)[..., -1] > 0
    np.testing.assert_allclose(drawn.float().mean(dim=0), [0.8, 0.2], atol=0.04)
    assert not bool((drawn[:, 1] & ~drawn[:, 0]).any())


def test_the_expectation_over_the_cases_is_exact_and_its_gradient_is_what_a_step_is_worth() -> None:
    logit = torch.logit(torch.tensor([[0.5, 0.9, 0.2]])).requires_grad_(True)
    policy = TanhGaussianBernoulli(two_way().motion, logit)
    values = torch.tensor([[1.0, 3.0, 2.0, 6.0]])
    expected = over_gripper(values, policy.log_mass)
    assert expected.item() == pytest.approx(0.1 * 1 + 0.4 * 3 + 0.3 * 2 + 0.2 * 6, rel=1e-5)
    expected.sum().backward()
    # d/dp: opening the second step turns case 0 into 1, the first 1 into 2, the third 2 into 3; times p (1 - p)
    np.testing.assert_allclose(logit.grad, [[-1.0 * 0.25, 2.0 * 0.09, 4.0 * 0.16]], rtol=1e-3)


def test_equal_logits_have_finite_masses_and_gradients() -> None:
    logit = torch.zeros(1, 4, requires_grad=True)
    policy = TanhGaussianBernoulli(TanhGaussian(torch.zeros(1, 4), torch.zeros(1, 4), steps=4), logit)
    log_mass = policy.log_mass
    np.testing.assert_allclose(log_mass.detach().exp(), [[0.5, 0, 0, 0, 0.5]], atol=1e-5)
    (log_mass.exp() * log_mass).sum().backward()
    assert bool(logit.grad.isfinite().all())


def test_a_uniform_motion_meets_a_drawn_case_of_the_gripper_and_its_opposite() -> None:
    torch.manual_seed(0)
    motion = torch.rand(200, 2, 6)
    actions = with_both_grippers(motion, steps=3)
    again, gripper = split_gripper(actions, 3)
    assert torch.equal(again[:, 0::2], motion) and torch.equal(again[:, 1::2], motion)
    assert torch.equal(gripper[:, 0::2], -gripper[:, 1::2])
    assert len({tuple(row) for row in (gripper[:, 0::2] > 0).reshape(-1, 3).tolist()}) == 8


def test_a_chunk_is_put_together_from_motion_and_gripper() -> None:
    chunk = torch.arange(14.0)[None]
    motion, gripper = split_gripper(chunk, 2)
    assert motion.tolist() == [[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]] and gripper.tolist() == [[6, 13]]
    assert torch.equal(with_gripper(motion, gripper), chunk)


# ----------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk": 0}, "chunk is 0; it must be from 1 to 64"),
        ({"chunk": 65}, "chunk is 65; it must be from 1 to 64"),
        ({"chunk": 4, "name": "bet"}, "chunk is 4, but bet predicts single actions; set chunk to 1"),
        ({"chunk": 4, "name": "autoregressive_bc"}, "chunk is 4, but autoregressive_bc predicts single actions"),
        (
            {"chunk": 4, "name": "time_contrastive", "next_algorithm": "bet"},
            "chunk is 4, but bet predicts single actions",
        ),
        ({"chunk": 4, "chunk_execute": 5}, "chunk_execute is 5 and chunk_lead 0, together more than the chunk of 4"),
        ({"chunk": 4, "chunk_execute": 3, "chunk_lead": 2}, "together more than the chunk of 4"),
        ({"chunk": 4, "chunk_lead": 2}, "chunk_lead 2; the first must be 0 or more, the second from 0 to one less"),
        ({"chunk": 4, "chunk_ensemble": -0.1}, "chunk_ensemble is -0.1; it must be 0 or more, or null"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlgorithmConfig(**changes)


def test_all_steps_are_carried_out_unless_fewer_are_asked_for() -> None:
    assert AlgorithmConfig().executed == 1
    assert AlgorithmConfig(chunk=4).executed == 4
    assert AlgorithmConfig(chunk=4, chunk_lead=1).executed == 3
    assert AlgorithmConfig(chunk=4, chunk_execute=2, chunk_lead=1).executed == 2
    assert math.isclose(dataclasses.asdict(AlgorithmConfig(chunk=8, chunk_ensemble=0.1))["chunk_ensemble"], 0.1)
