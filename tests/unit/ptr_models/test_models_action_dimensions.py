# SPDX-License-Identifier: Apache-2.0
"""The target entropy that a run finds in its data, and what Q loses by uniform actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_runs import SMALL, prior_only

from ptr_models.analysis.action_sensitivity import action_sensitivity
from ptr_models.cli import main
from ptr_models.contract import Contract
from ptr_models.networks import NetworkConfig
from ptr_models.replay import open_episodes
from ptr_models.replay.dataset import Dataset
from ptr_models.training.action_dimensions import varying_dimensions, with_target_entropy
from ptr_models.training.checkpoint import read_checkpoint
from ptr_models.training.data import Bags
from ptr_models.training.run_setup import start_finetuning, start_pretraining

AUTO = SMALL.replaced(["algorithm.target_entropy=auto"])


def flat(data: Dataset, *dimensions: int) -> Dataset:
    """The same episodes with actions that never leave the middle in some dimensions."""
    low, high = np.array(data.contract.action_low), np.array(data.contract.action_high)
    actions = np.array(data.actions)
    actions[:, dimensions] = ((low + high) / 2)[list(dimensions)]
    return replace(data, actions=actions)


@pytest.fixture
def data(training_bags: Bags) -> Dataset:
    return open_episodes(training_bags.prior, Contract(), root=training_bags.cache, progress=False)


def test_a_dimension_varies_where_actions_differ_by_more_than_a_hundredth() -> None:
    actions = np.zeros((100, 4))
    actions[:, 1] = np.linspace(-1, 1, 100)
    actions[:, 2] = np.linspace(-0.01, 0.01, 100)
    actions[0, 3] = 0.5
    assert varying_dimensions(actions) == (1, 3)


@pytest.mark.parametrize(
    ("gripper", "dimensions", "entropy", "varying"),
    [
        ("gaussian", (), -7.0, (0, 1, 2, 3, 4, 5, 6)),
        ("gaussian", (3, 4, 5), -4.0, (0, 1, 2, 6)),
        ("bernoulli", (3, 4), -4.0, (0, 1, 2, 5, 6)),
        ("bernoulli", (0, 1, 2, 3, 4, 5), -6.0, (0, 1, 2, 3, 4, 5, 6)),  # an arm that stands still
    ],
)
def test_the_target_entropy_counts_the_dimensions_that_vary(
    data: Dataset, gripper: str, dimensions: tuple[int, ...], entropy: float, varying: tuple[int, ...]
) -> None:
    config = replace(AUTO, networks=NetworkConfig(gripper=gripper))
    found = with_target_entropy(config, (flat(data, *dimensions), None)).algorithm
    assert (found.target_entropy, found.varying_dimensions) == (entropy, varying)


def test_a_number_is_left_alone(data: Dataset) -> None:
    assert with_target_entropy(SMALL, (flat(data, 3),)) is SMALL


def test_a_run_keeps_the_number_and_so_does_fine_tuning(training_bags: Bags, tmp_path: Path) -> None:
    path = start_pretraining(AUTO, prior_only(training_bags), tmp_path / "first").run().checkpoint
    assert read_checkpoint(path).config.algorithm.target_entropy == -7.0
    tuned = start_finetuning(path, training_bags, tmp_path / "tuned", ["schedule.steps=5"])
    assert tuned.config.algorithm.target_entropy == tuned.algorithm.target_entropy == -7.0
    assert tuned.config.algorithm.varying_dimensions == (0, 1, 2, 3, 4, 5, 6)


# ----------------------------------------------------------------------------- what Q loses
class Quadratic:
    """Q = -10 x^2 - roll^2 with a pessimistic second critic; samples of a known spread."""

    chunk = 1

    def values(self, images: np.ndarray, states: np.ndarray, actions: np.ndarray, task: str) -> np.ndarray:
        q = -10.0 * actions[..., 0] ** 2 - actions[..., 3] ** 2
        return np.stack([q + 5.0, q])

    def samples(self, images: np.ndarray, states: np.ndarray, task: str, count: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        std = [0.2, 0.1, 0.1, 0.4, 0.1, 0.1, 0.5]
        return rng.normal(0.0, std, (len(images), count, 7))


def test_the_loss_of_each_part_is_that_of_a_uniform_action(data: Dataset) -> None:
    middle = flat(data, *range(7))  # scaled data actions are 0, where Q is 0
    found = action_sensitivity(Quadratic(), middle, count=400)
    variance = 0.99**2 / 3
    assert found.q_data == pytest.approx(0.0, abs=1e-9) and found.states == middle.transitions
    assert found.lost == pytest.approx(
        {"translation": 10 * variance, "rotation": variance, "gripper": 0.0}, rel=0.05, abs=1e-9
    )
    np.testing.assert_allclose(found.std, [0.01, 0.005, 0.005, 0.1, 0.025, 0.025, 0.25], rtol=0.05)
    assert "uniform translation: 3.2" in str(found) and f"dx: {1000 * found.std[0]:.3g} (0) mm" in str(found)


def test_the_command_prints_what_q_loses(
    trained: Path, training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["analyze", "action-sensitivity", str(trained), "--data", str(training_bags.prior[0])]
    assert main([*words, "--cache", str(training_bags.cache), "--json", str(tmp_path / "found.json")]) == 0
    printed = capsys.readouterr().out
    assert all(f"uniform {part}" in printed for part in ("translation", "rotation", "gripper"))
    assert f"next: ptr sim decoding --checkpoint {trained} " in printed
    report = json.loads((tmp_path / "found.json").read_text())
    assert set(report["q_lost"]) == {"translation", "rotation", "gripper"} and report["actor_std"]["dx"] > 0


def test_a_checkpoint_without_values_is_refused(
    training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_episode: Callable[..., Path]
) -> None:
    config = SMALL.replaced(["algorithm.name=bc"])
    path = start_pretraining(config, prior_only(training_bags), tmp_path / "bc").run().checkpoint
    words = ["analyze", "action-sensitivity", str(path), "--data", str(training_bags.prior[0])]
    assert main([*words, "--cache", str(training_bags.cache)]) == 2
    assert "has no Q-function" in capsys.readouterr().err
