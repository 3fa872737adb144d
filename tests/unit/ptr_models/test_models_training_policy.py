# SPDX-License-Identifier: Apache-2.0
"""The policy of a checkpoint: one observation in, one action out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import SMALL, prior_only

from ptr_models.algorithms import AlgorithmConfig
from ptr_models.analysis.values import score_checkpoints
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.actions import unscale
from ptr_models.inference.policy import Policy
from ptr_models.networks import Encoder
from ptr_models.replay import open_episodes
from ptr_models.training.run_setup import (
    Bags,
    start_pretraining,
)


@pytest.fixture
def policy(trained: Path) -> Policy:
    return Policy.load(trained)


def random_observation(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), rng.normal(size=7).astype(np.float32)


@pytest.mark.parametrize("choice", ["mode", "sample", "sample_gripper", "argmax_q", "softmax_q"])
def test_an_action_lies_in_the_box_and_has_a_value(policy: Policy, choice: str) -> None:
    contract = policy.contract
    decision = policy.act(*random_observation(), "put_carrot_in_pot", choice, candidates=8)
    assert decision.action.shape == (7,) and np.abs(decision.scaled).max() <= 0.99
    assert (decision.action >= np.array(contract.action_low, np.float32)).all()
    assert (decision.action <= np.array(contract.action_high, np.float32)).all()
    np.testing.assert_array_equal(decision.action, unscale(decision.scaled, contract))
    assert np.isfinite(decision.q) and decision.q_spread >= 0 and decision.inference_time > 0
    assert (decision.q == decision.q_mode) if choice == "mode" else True
    if choice == "argmax_q":
        assert decision.q >= decision.q_mode


def test_the_mode_is_deterministic_and_depends_on_the_task(policy: Policy) -> None:
    observation = random_observation()
    first, again = (policy.act(*observation, "put_carrot_in_pot") for _ in range(2))
    other = policy.act(*observation, "take_lime_out_of_pot")
    np.testing.assert_array_equal(first.action, again.action)
    assert not np.array_equal(first.action, other.action)


def test_values_along_an_episode_equal_those_of_single_steps(policy: Policy, training_bags: Bags) -> None:
    data = open_episodes(training_bags.prior, policy.contract, root=training_bags.cache, progress=False)
    frames, states, _ = data.episode(0)
    actions = policy.modes(frames[:-1], states[:-1], data.tasks[0])
    values = policy.values(frames[:-1], states[:-1], actions, data.tasks[0])
    single = policy.act(np.array(frames[3]), states[3], data.tasks[0])
    np.testing.assert_allclose(single.scaled, actions[3], atol=1e-5)
    assert values[:, 3].min() == pytest.approx(single.q, abs=1e-4)


def test_neither_the_trend_nor_acting_augments_what_is_seen(
    trained: Path, training_bags: Bags, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    embed = Encoder.forward

    def recorded(encoder: Encoder, image: torch.Tensor) -> torch.Tensor:
        seen.append(image.numpy().copy())
        return embed(encoder, image)

    monkeypatch.setattr(Encoder, "forward", recorded)
    data = open_episodes(training_bags.prior, Contract(), root=training_bags.cache, progress=False)
    data = data.select(np.arange(len(data)) == 1)
    frames, states, _ = data.episode(0)
    score_checkpoints([trained], data)
    assert len(seen) == 3 and all(np.array_equal(images, frames[:-1]) for images in seen)  # mode, its Q, Q of the data
    seen.clear()
    Policy.load(trained).act(frames[4], states[4], data.tasks[0], "softmax_q")
    assert len(seen) == 2 and all(np.array_equal(images[0], frames[4]) for images in seen)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "put_lion_in_pot"}, "put_lion_in_pot.*put_carrot_in_pot"),
        ({"image": np.zeros((32, 64, 3), np.uint8)}, r"\(32, 64, 3\).*\(64, 64, 3\)"),
        ({"image": np.zeros((64, 64, 3), np.float32)}, "float32"),
        ({"state": np.zeros(6, np.float32)}, r"\(6,\)"),
        ({"choice": "best"}, "argmax_q"),
    ],
)
def test_a_wrong_observation_is_refused(policy: Policy, change: dict, words: str) -> None:
    image, state = random_observation()
    with pytest.raises(PtrError, match=words):
        policy.act(**({"image": image, "state": state, "task": "put_carrot_in_pot"} | change))


def test_an_imitation_policy_acts_without_values(training_bags: Bags, tmp_path: Path) -> None:
    config = replace(SMALL, algorithm=AlgorithmConfig(name="bc"))
    path = start_pretraining(config, prior_only(training_bags), tmp_path / "bc").run().checkpoint
    policy = Policy.load(path)
    assert np.isnan(policy.act(*random_observation(), "put_carrot_in_pot").q)
    with pytest.raises(PtrError, match="Q-function"):
        policy.act(*random_observation(), "put_carrot_in_pot", "argmax_q")
