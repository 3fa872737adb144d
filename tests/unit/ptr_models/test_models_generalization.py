# SPDX-License-Identifier: Apache-2.0
"""How well a policy fits episodes that it has and has not seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_runs import SMALL, prior_only

from ptr_models.analysis.generalization import fit
from ptr_models.cli import main
from ptr_models.contract import Contract
from ptr_models.episodes.actions import scale
from ptr_models.episodes.labels import Labelling, label
from ptr_models.replay import Dataset, open_episodes
from ptr_models.training.run_setup import Bags, start_pretraining


class Told:
    """Acts as the data do, but 3 and 4 mm beside them and 0.12 rad turned, with Q at twice the return plus 1."""

    chunk = 1

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def _actions(self, states: np.ndarray) -> np.ndarray:
        for index in range(len(self.data)):
            _, known, actions = self.data.episode(index)
            if len(known) == len(states) + 1 and np.array_equal(known[:-1], states):
                return actions
        raise AssertionError("no such episode")

    def modes(self, images: np.ndarray, states: np.ndarray, task: str) -> np.ndarray:
        return scale(self._actions(states) + [0.003, 0.004, 0.0, 0.0, 0.0, 0.12, 0.0], self.data.contract)

    def values(self, images: np.ndarray, states: np.ndarray, actions: np.ndarray, task: str) -> np.ndarray:
        q = 2.0 * label(len(states), True, Labelling()).mc_return + 1.0
        return np.stack([q, q + 3.0])


@pytest.fixture
def data(training_bags: Bags) -> Dataset:
    found = open_episodes(training_bags.prior, Contract(), root=training_bags.cache, progress=False)
    return replace(found, actions=np.asarray(found.actions[:]).clip(-0.01, 0.01) * 0.5)


def test_errors_are_lengths_of_vectors_and_q_is_compared_with_the_returns(data: Dataset) -> None:
    data = replace(data, successes=np.ones(len(data), dtype=bool))
    found = fit(Told(data), data, Labelling())
    assert (found.episodes, found.steps) == (len(data), data.transitions)
    assert found.translation == pytest.approx(0.005, rel=1e-3)  # 3 and 4 mm
    assert found.rotation == pytest.approx(0.12, rel=1e-3)
    assert found.gripper == 1.0
    assert found.correlation == pytest.approx(1.0)
    returns = np.concatenate([label(int(steps), True, Labelling()).mc_return for steps in data.lengths])
    assert found.value_error == pytest.approx(np.sqrt(np.mean((returns + 1.0) ** 2)), rel=1e-4)


def test_without_a_critic_only_actions_are_compared(data: Dataset) -> None:
    found = fit(Told(data), data, None)
    assert (found.correlation, found.value_error) == (None, None) and found.translation > 0


@pytest.fixture
def others(tmp_path: Path, make_episode: Callable[..., Path]) -> Path:
    """Three episodes that no run has seen, one of them of an unknown task."""
    for seed, task in ((20, "put_carrot_in_pot"), (21, "take_lime_out_of_pot"), (22, "put_knife_in_pot")):
        make_episode(seed, root=tmp_path / "others", task=task)
    return tmp_path / "others"


def test_the_command_shows_training_data_beside_unseen_episodes_of_known_tasks(
    trained: Path, training_bags: Bags, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = ["--cache", str(training_bags.cache)]
    words = ["analyze", "generalization", str(trained), *cache, "--json", str(tmp_path / "fit.json"), "--unseen"]
    assert main([*words, str(others)]) == 0
    printed = capsys.readouterr().out
    assert "training data" in printed and "unseen" in printed and "Q and return: correlation" in printed
    found = json.loads((tmp_path / "fit.json").read_text())
    assert (found["training data"]["episodes"], found["unseen"]["episodes"]) == (4, 2)  # data.json names the former
    shutil.copytree(training_bags.prior[0], tmp_path / "copied")
    for same in (training_bags.prior[0], tmp_path / "copied"):
        assert main([*words, str(same)]) == 2
        assert "all 4 episodes of --unseen are training data; name others" in capsys.readouterr().err
    assert main([*words, str(training_bags.target[0])]) == 2
    assert "has a task that the checkpoint knows: unknown task 'put_knife_in_pot'" in capsys.readouterr().err


def test_a_policy_without_values_has_no_line_about_q(
    training_bags: Bags, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SMALL.replaced(["algorithm.name=bc"])
    path = start_pretraining(config, prior_only(training_bags), tmp_path / "bc").run().checkpoint
    words = ["analyze", "generalization", str(path), "--data", str(training_bags.prior[0]), "--unseen", str(others)]
    assert main([*words, "--cache", str(training_bags.cache)]) == 0
    printed = capsys.readouterr().out
    assert "error of the mode: translation" in printed and "Q and return" not in printed


def test_training_data_of_other_tasks_do_not_count(
    trained: Path, training_bags: Bags, tmp_path: Path, make_episode: Callable[..., Path]
) -> None:
    make_episode(20, root=tmp_path / "carrots", task="put_carrot_in_pot")
    words = ["analyze", "generalization", str(trained), "--unseen", str(tmp_path / "carrots")]
    assert main([*words, "--cache", str(training_bags.cache), "--json", str(tmp_path / "fit.json")]) == 0
    found = json.loads((tmp_path / "fit.json").read_text())
    assert (found["training data"]["episodes"], found["unseen"]["episodes"]) == (2, 1)


def test_a_checkpoint_without_its_run_needs_the_training_data(
    trained: Path, training_bags: Bags, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = shutil.copytree(trained, tmp_path / "alone" / "checkpoint")
    words = ["analyze", "generalization", str(alone), "--unseen", str(others), "--cache", str(training_bags.cache)]
    assert main(words) == 2
    assert "does not say what it was trained on; name its training data with --data" in capsys.readouterr().err
    assert main([*words, "--data", str(training_bags.prior[0])]) == 0
