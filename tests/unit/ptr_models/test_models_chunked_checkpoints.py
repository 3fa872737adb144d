# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that predict chunks: what they keep, how they act step by step, and what analyses make of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_models_low_dim import LOW_DIM, make_low_dim  # noqa: F401  # a fixture

from ptr_models.algorithms import AlgorithmConfig, make_algorithm
from ptr_models.analysis.action_sensitivity import action_sensitivity
from ptr_models.analysis.critical import judge
from ptr_models.analysis.q_range import q_ranges
from ptr_models.analysis.values import value_curves
from ptr_models.common.errors import PtrError
from ptr_models.inference.policy import Policy
from ptr_models.inference.policy_file import PolicyFile, PolicyFileError
from ptr_models.networks import NetworkConfig
from ptr_models.replay import open_episodes
from ptr_models.training.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.presets import preset, presets
from ptr_models.training.run_setup import start_finetuning, start_pretraining
from ptr_models.training.tasks import TaskTable

TASK = "put_corn_in_pot"
NETWORKS = NetworkConfig(
    encoder="none",
    hidden=(16, 16),
    critic_proprioception=True,
    state_center=(0.0,) * 17,
    state_scale=(1.0,) * 17,
    gripper="bernoulli",
)


def checkpoint_of(algorithm: AlgorithmConfig) -> Checkpoint:
    config = TrainingConfig(preset="test", device="cpu", networks=NETWORKS, algorithm=algorithm)
    return Checkpoint(Path("nowhere"), LOW_DIM, TaskTable.from_names([TASK], 0, {}), config, 0)


def policy_of(**options: Any) -> Policy:
    """Random networks that predict chunks of four."""
    torch.manual_seed(0)
    config = AlgorithmConfig(**({"chunk": 4} | options))
    algorithm = make_algorithm(config, NETWORKS, 1)
    for head in (algorithm.actor.mean, algorithm.actor.log_std):  # actions that depend on the state
        torch.nn.init.normal_(head.weight)
    return Policy(checkpoint_of(config), algorithm.actor, algorithm.critic, torch.device("cpu"))


def state(step: int) -> np.ndarray:
    return np.random.default_rng(step).normal(size=17).astype(np.float32)


def act(policy: Policy, step: int, choice: str = "") -> Any:
    return policy.act(None, state(step), TASK, choice)


def modes(policy: Policy, step: int) -> np.ndarray:
    """(4, 7) scaled, of the chunk that begins at a step."""
    return policy.modes(np.empty((1, 0, 0, 0), np.uint8), state(step)[None], TASK)[0].reshape(4, 7)


def test_a_chunk_is_carried_out_step_by_step_and_then_the_next_is_predicted() -> None:
    policy = policy_of()
    done = [act(policy, step).scaled for step in range(6)]
    np.testing.assert_allclose(done, [*modes(policy, 0), *modes(policy, 4)[:2]], atol=1e-5)
    policy.reset()
    np.testing.assert_allclose(act(policy, 9).scaled, modes(policy, 9)[0], atol=1e-5)
    policy.close()


def test_fewer_steps_can_be_carried_out_and_the_next_chunk_computed_ahead() -> None:
    policy = policy_of(chunk_execute=2, chunk_lead=1)
    done = [act(policy, step).scaled for step in range(6)]
    first, second, third = (modes(policy, step) for step in (0, 1, 3))
    np.testing.assert_allclose(done, [*first[:2], *second[1:3], *third[1:3]], atol=1e-5)


def test_overlapping_chunks_are_averaged_with_the_weights_of_act() -> None:
    policy = policy_of(chunk_execute=1, chunk_ensemble=0.5)
    act(policy, 0)
    second = act(policy, 1).scaled
    weights = np.exp([0.0, -0.5]) / np.exp([0.0, -0.5]).sum()
    expected = weights[0] * modes(policy, 0)[1] + weights[1] * modes(policy, 1)[0]
    np.testing.assert_allclose(second, expected, atol=1e-5)


def test_the_value_is_that_of_the_chunk_and_the_value_of_the_mode_is_always_new() -> None:
    policy = policy_of()
    decided = [act(policy, step) for step in range(5)]
    values = [
        policy.values(np.empty((1, 0, 0, 0), np.uint8), state(k)[None], modes(policy, k).reshape(1, 28), TASK)[:, 0]
        for k in range(5)
    ]
    for step, decision in enumerate(decided):
        begin = values[4 * (step // 4)]
        assert decision.q == pytest.approx(begin.min(), abs=1e-5)
        assert decision.q_spread == pytest.approx(begin.max() - begin.min(), abs=1e-5)
        assert decision.q_mode == pytest.approx(values[step].min(), abs=1e-5)


@pytest.mark.parametrize("choice", ["mode", "sample", "sample_gripper", "argmax_q", "softmax_q"])
def test_every_choice_is_made_among_whole_chunks(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, seen = policy_of(candidates=8), []
    values = Policy._values
    monkeypatch.setattr(
        Policy, "_values", lambda self, *args: seen.append((args[3], found := values(self, *args))) or found
    )
    torch.manual_seed(1)
    decided = [act(policy, step, choice) for step in range(4)]
    candidates, q = seen[0]
    assert candidates.shape == (1, {"mode": 1, "sample": 2, "sample_gripper": 2}.get(choice, 8), 28)
    done = np.array([decision.scaled for decision in decided])
    distances = np.abs(candidates[0].numpy().reshape(-1, 4, 7) - done).max(axis=(1, 2))
    chosen = int(distances.argmin())
    assert distances[chosen] < 1e-5
    assert decided[0].q == pytest.approx(float(q.min(dim=0).values[chosen]), abs=1e-5)
    if choice == "argmax_q":
        assert chosen == int(q.min(dim=0).values.argmax())
    if choice == "sample_gripper":
        np.testing.assert_allclose(done[:, :6], modes(policy, 0)[:, :6], atol=1e-5)
        np.testing.assert_allclose(np.abs(done[:, 6]), 0.99, atol=1e-5)


def test_without_a_critic_chunks_have_no_values() -> None:
    policy = policy_of(name="bc")
    decided = [act(policy, step) for step in range(5)]
    assert np.isnan([[decision.q, decision.q_spread, decision.q_mode] for decision in decided]).all()
    with pytest.raises(PtrError, match="needs a Q-function"):
        act(policy, 5, "argmax_q")


def test_values_of_actions_of_another_width_are_refused() -> None:
    with pytest.raises(
        PtrError, match="the actions have 7 numbers, but the Q-function .* values 28: chunks of 4 steps"
    ):
        policy_of().values(np.empty((1, 0, 0, 0), np.uint8), state(0)[None], np.zeros((1, 7), np.float32), TASK)


# ----------------------------------------------------------------------------- runs and checkpoints
def run_config(**algorithm: Any) -> TrainingConfig:
    base = preset("ptr_low_dim")
    changes = {"chunk": 4, "bc_steps": 2, "critic_warmup_steps": 1} | algorithm
    return replace(
        base,
        batch_size=8,
        threads=1,
        networks=replace(base.networks, hidden=(16, 16)),
        algorithm=replace(base.algorithm, **changes),
        schedule=replace(base.schedule, steps=4, log_every=1, checkpoint_every=2),
    )


@pytest.fixture
def bags(make_low_dim: Callable[..., Path], tmp_path: Path) -> Bags:  # noqa: F811
    for seed in range(3):
        make_low_dim(seed)
    return Bags(prior=[tmp_path / "low"], target=[tmp_path / "low"], cache=tmp_path / "cache")


def test_a_run_with_chunks_trains_is_fine_tuned_and_its_values_can_be_looked_at(bags: Bags, tmp_path: Path) -> None:
    path = start_pretraining(run_config(), replace(bags, target=()), tmp_path / "run").run().checkpoint
    kept = read_checkpoint(path).config.algorithm
    assert kept.chunk == 4 and kept.target_entropy == -6.0  # nats per action
    tuned = start_finetuning(path, bags, tmp_path / "tuned", ["schedule.steps=6"]).run().checkpoint
    policy = Policy.load(tuned)
    decided = [act(policy, step) for step in range(3)]
    assert policy.chunk == 4 and all(np.isfinite(decision.q) for decision in decided)
    data = open_episodes(bags.prior, policy.contract, root=bags.cache, progress=False)
    assert [curve.q.shape for curve in value_curves(policy, data)] == [(2, 12)] * 3
    assert len(q_ranges(policy, data)[TASK].low) > 0
    found = action_sensitivity(policy, data, count=2)
    assert found.states == 36 and found.std.shape == (7,) and np.isfinite(list(found.lost.values())).all()
    for alternatives in ("data", "policy", "uniform"):
        judged = judge(policy, data, alternatives=alternatives, count=3)
        assert judged[0].alternatives.shape == (12, 3) and judged[0].actions.shape == (12, 7)


def test_fine_tuning_keeps_the_length_of_chunks(bags: Bags, tmp_path: Path) -> None:
    path = start_pretraining(run_config(), replace(bags, target=()), tmp_path / "run").run().checkpoint
    with pytest.raises(PtrError, match="the checkpoint was trained with algorithm.chunk 4, which can't become 1"):
        start_finetuning(path, bags, tmp_path / "tuned", ["algorithm.chunk=1"])


def test_checkpoints_from_before_there_were_chunks_have_single_actions(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(AlgorithmConfig())
    path = save_checkpoint(tmp_path / "one", make_algorithm(AlgorithmConfig(), NETWORKS, 1), checkpoint)
    index = json.loads((path / "checkpoint.json").read_text())
    for key in ("chunk", "chunk_execute", "chunk_lead", "chunk_ensemble"):
        del index["config"]["algorithm"][key]
    (path / "checkpoint.json").write_text(json.dumps(index))
    policy = Policy.load(path)
    assert policy.chunk == 1 and act(policy, 0).action.shape == (7,)


def test_a_critic_of_chunks_does_not_judge_an_external_policy(tmp_path: Path) -> None:
    config = AlgorithmConfig(chunk=4)
    save_checkpoint(tmp_path / "four", make_algorithm(config, NETWORKS, 1), checkpoint_of(config))
    with pytest.raises(PolicyFileError, match="values chunks of 4 actions, not single ones; give a checkpoint with"):
        PolicyFile(critic="four", folder=tmp_path).judge(LOW_DIM)


def test_no_preset_has_chunks() -> None:
    assert {preset(name).algorithm.chunk for name in presets()} == {1}
