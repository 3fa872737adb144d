# SPDX-License-Identifier: Apache-2.0
"""How a policy chooses among its actions by their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ptr_models.algorithms import AlgorithmConfig, make_algorithm
from ptr_models.contract import Camera, Contract
from ptr_models.inference import policy as module
from ptr_models.inference.policy import Policy
from ptr_models.networks import NetworkConfig
from ptr_models.training.checkpoint import Checkpoint
from ptr_models.training.config import TrainingConfig
from ptr_models.training.tasks import TaskTable

TASK = "put_carrot_in_pot"
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
STATE = np.zeros(7, np.float32)


def make_policy(**options: object) -> Policy:
    """An untrained policy whose values differ clearly between actions."""
    torch.manual_seed(0)
    algorithm = AlgorithmConfig(**options)
    networks = NetworkConfig(encoder="tiny", image_size=32, latent=16, hidden=(16, 16))
    contract = Contract(cameras=(Camera("over_shoulder", 32, 32),))
    table = TaskTable.from_names([TASK], 0)
    made = make_algorithm(algorithm, networks, table.slots)
    made.critic.q_function.output.weight.data.mul_(100.0)
    config = TrainingConfig(networks=networks, algorithm=algorithm)
    start = Checkpoint(Path(), contract, table, config, 0)
    return Policy(start, made.actor, made.critic, torch.device("cpu"))


def decide(policy: Policy, seed: int, choice: str = "", candidates: int = 0) -> module.Decision:
    torch.manual_seed(seed)
    return policy.act(IMAGE, STATE, TASK, choice, candidates)


def test_more_candidates_find_better_values() -> None:
    policy = make_policy()
    means = [np.mean([decide(policy, seed, "argmax_q", n).q for seed in range(40)]) for n in (1, 2, 4, 16, 64)]
    assert (np.diff(means) > 0).all()


def test_the_best_candidate_is_never_worse_than_the_mode_which_is_one_of_them() -> None:
    policy = make_policy()
    decisions = [decide(policy, seed, "argmax_q", 2) for seed in range(40)]
    assert all(decision.q >= decision.q_mode for decision in decisions)
    assert {decision.q > decision.q_mode for decision in decisions} == {True, False}


@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0], [[1.0, 2.0, 4.0], [3.0, 2.0, 9.0]]])
def test_softmax_draws_candidates_by_the_exponential_of_their_smallest_value(values: list) -> None:
    torch.manual_seed(0)
    q = torch.tensor(values).reshape(-1, 3)
    drawn = np.bincount([module._choose("softmax_q", q) for _ in range(4000)], minlength=3) / 4000
    np.testing.assert_allclose(drawn, [0.042, 0.114, 0.844], atol=0.02)


def test_a_checkpoint_says_how_its_policy_chooses() -> None:
    policy = make_policy(action_choice="argmax_q", candidates=8)
    assert decide(policy, 1).q == decide(policy, 1, "argmax_q", 8).q
    assert decide(policy, 1).q != decide(policy, 1, "argmax_q", 64).q
    assert decide(policy, 1, "mode").q == pytest.approx(decide(policy, 1).q_mode)
    assert decide(make_policy(), 1).q == decide(make_policy(), 1).q_mode


@pytest.mark.parametrize(
    ("options", "words"), [({"action_choice": "best"}, "argmax_q"), ({"candidates": 0}, "candidates 0")]
)
def test_a_choice_that_does_not_exist_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AlgorithmConfig(**options)
