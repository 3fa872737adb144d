# SPDX-License-Identifier: Apache-2.0
"""Policies that are told their task by an image of its end."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training_runs import SMALL, prior_only

from ptr_models.analysis.q_range import q_ranges
from ptr_models.analysis.values import value_curves
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.reader import read_episode
from ptr_models.inference.goal import GoalError, read_goal, set_goal
from ptr_models.inference.policy import Policy
from ptr_models.reward.fitting import FitOptions, fit_classifier
from ptr_models.training.checkpoint import load_algorithm, read_checkpoint
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import Bags, open_folders
from ptr_models.training.presets import preset
from ptr_models.training.run_setup import resume, start_finetuning, start_pretraining
from ptr_models.training.tasks import GoalImageTable

GOAL_IMAGES = replace(SMALL, data=replace(SMALL.data, task_conditioning="goal_image"))
STATE = np.zeros(7, np.float32)
SIZES = [
    "networks.transformer={window: 3, layers: 1, heads: 2, width: 16}",
    "networks.masked_decoder={layers: 1, heads: 2, width: 16}",
    "networks.autoregressive={bins: 8, beam: 4, output_gain: 1.0}",
    "algorithm.bc_steps=0",
    "batch_size=4",
    "data.task_conditioning=goal_image",
]


@pytest.fixture
def run(training_bags: Bags, tmp_path: Path) -> Path:
    """A run of four updates of pre-training."""
    start_pretraining(GOAL_IMAGES, prior_only(training_bags), tmp_path / "run").run()
    return tmp_path / "run"


def bag_of(bags: Bags) -> Path:
    return sorted(path for path in bags.prior[0].iterdir() if path.is_dir())[0]


def test_a_checkpoint_says_that_it_is_told_by_goal_images(run: Path, training_bags: Bags) -> None:
    checkpoint = read_checkpoint(run)
    assert isinstance(checkpoint.tasks, GoalImageTable) and checkpoint.tasks.conditioning == "goal_image"
    assert checkpoint.tasks.names == ("put_carrot_in_pot", "take_lime_out_of_pot") and checkpoint.tasks.slots == 0
    again = resume(prior_only(training_bags), run, ["schedule.steps=6"])
    assert again.start.tasks == checkpoint.tasks
    again.run()


def test_image_and_goal_go_through_one_encoder_side_by_side(run: Path) -> None:
    algorithm = load_algorithm(read_checkpoint(run))
    assert algorithm.critic is not None
    image, goal = torch.randint(0, 256, (2, 5, 64, 64, 3), dtype=torch.uint8)
    together = algorithm.critic.encode(torch.cat([image, goal], dim=-1), torch.zeros(5, 7))
    assert together.shape == (5, 32)
    swapped = algorithm.critic.encode(torch.cat([goal, image], dim=-1), torch.zeros(5, 7))
    torch.testing.assert_close(swapped, together.roll(16, dims=1))


def test_a_policy_acts_on_its_goal_and_on_no_name(run: Path, training_bags: Bags) -> None:
    policy, bag = Policy.load(run), bag_of(training_bags)
    image = np.zeros(policy.contract.image_shape, np.uint8)
    with pytest.raises(PtrError, match="has task_conditioning goal_image and needs a goal; give a bag"):
        policy.act(image, STATE, "put_carrot_in_pot")
    set_goal(policy, "run", str(bag))
    assert policy.goal is not None and np.array_equal(policy.goal, read_episode(bag).images["over_shoulder"][-1])
    first = policy.act(image, STATE, "put_carrot_in_pot")
    assert np.array_equal(first.scaled, policy.act(image, STATE, "another name").scaled)
    policy.goal = 255 - policy.goal
    other = policy.act(image, STATE, "put_carrot_in_pot")
    assert not np.array_equal(first.scaled, other.scaled) and first.q != other.q


def test_a_goal_is_a_bag_or_an_image_of_the_only_camera(training_bags: Bags, tmp_path: Path) -> None:
    contract = Contract()
    pixels = np.full((48, 60, 3), (200, 100, 50), np.uint8)  # blue, green, red
    cv2.imwrite(str(tmp_path / "goal.png"), pixels)
    cv2.imwrite(str(tmp_path / "goal.jpg"), pixels)
    for name, error in (("goal.png", 0), ("goal.jpg", 3)):
        goal = read_goal(tmp_path / name, contract)
        assert goal.shape == (64, 64, 3) and np.abs(goal.astype(int) - (50, 100, 200)).max() <= error
    with pytest.raises(
        GoalError, match="is one image, but the policy uses the cameras over_shoulder, wrist; give a bag"
    ):
        read_goal(tmp_path / "goal.png", contract.with_cameras(("over_shoulder", "wrist")))
    with pytest.raises(GoalError, match="the goal .*nowhere does not exist; give a bag or an image file"):
        read_goal(tmp_path / "nowhere", contract)
    (tmp_path / "words.png").write_text("no image")
    with pytest.raises(PtrError, match="cannot be decoded"):
        read_goal(tmp_path / "words.png", contract)


def test_a_goal_for_a_policy_of_another_kind_is_refused_with_both_kinds(trained: Path, training_bags: Bags) -> None:
    policy = Policy.load(trained)
    with pytest.raises(GoalError, match="is a goal_image, but the policy runs/a has task_conditioning one_hot; omit"):
        set_goal(policy, "runs/a", str(bag_of(training_bags)))
    set_goal(policy, "runs/a", "")
    policy.act(np.zeros(policy.contract.image_shape, np.uint8), STATE, "put_carrot_in_pot")


def test_the_kind_can_not_change_in_fine_tuning(run: Path, trained: Path, training_bags: Bags, tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="task_conditioning one_hot, which can't become goal_image"):
        start_finetuning(trained, training_bags, tmp_path / "a", ["data.task_conditioning=goal_image"])
    tuned = start_finetuning(run, training_bags, tmp_path / "tuned", ["schedule.steps=6"])
    tuned.run()
    assert read_checkpoint(tmp_path / "tuned").tasks.names[-1] == "put_knife_in_pot"


def test_goal_images_need_an_encoder_and_a_share_within_0_and_1() -> None:
    with pytest.raises(PtrError, match="task_conditioning is 'goal_image', but networks.encoder is 'none'"):
        preset("ptr_low_dim").replaced(["data.task_conditioning=goal_image"])
    with pytest.raises(PtrError, match="goal_future is 1.5; it must be in"):
        TrainingConfig().replaced(["data.goal_future=1.5"])


def test_values_along_demonstrations_have_their_ends_as_goals(run: Path, training_bags: Bags, tmp_path: Path) -> None:
    policy = Policy.load(run)
    folders, cache = training_bags.prior, training_bags.cache
    data = open_folders(folders, policy.contract, cache=cache, goal_images=policy.by_goal_image)
    curve = value_curves(policy, data)[0]
    policy.goal = data.episode(0)[0][-1, ..., 3:]
    plain = dataclasses.replace(data, goal_images=False)
    assert curve.q == pytest.approx(value_curves(policy, plain)[0].q)
    assert set(q_ranges(policy, data)) == {"put_carrot_in_pot", "take_lime_out_of_pot"}


def test_a_success_classifier_sees_no_goal(run: Path, training_bags: Bags) -> None:
    checkpoint = read_checkpoint(run)
    data = open_folders(training_bags.prior, checkpoint.contract, cache=training_bags.cache)
    classifier, _ = fit_classifier(checkpoint, data, FitOptions(steps=2, batch_size=4))
    assert classifier.networks.cameras == 1
    assert classifier.probabilities(data.episode(0)[0], "put_carrot_in_pot").shape == (13,)


@pytest.mark.parametrize(
    "name",
    ["ptr_small", "bc_small", "awr_small", "bet_small", "autoregressive_bc_small", "mae_bc_small", "r3m_bc_small"],
)
def test_every_algorithm_learns_with_goal_images(name: str, training_bags: Bags, tmp_path: Path) -> None:
    encoder = "vit_tiny" if name.startswith("mae") else "tiny"
    networks = replace(preset(name).networks, encoder=encoder, image_size=64, latent=16, hidden=(16, 16))
    config = replace(preset(name), networks=networks, threads=1, schedule=SMALL.schedule).replaced(SIZES)
    checkpoint = start_pretraining(config, prior_only(training_bags), tmp_path / "run").run().checkpoint
    if name in ("mae_bc_small", "r3m_bc_small"):  # visual features until then
        tuned = start_finetuning(checkpoint, training_bags, tmp_path / "tuned", ["schedule.steps=6"])
        checkpoint = tuned.run().checkpoint
    policy = Policy.load(checkpoint)
    image = np.random.default_rng(0).integers(0, 256, policy.contract.image_shape, dtype=np.uint8)

    def mode(goal: np.ndarray) -> list[float]:
        policy.reset()
        policy.goal = goal
        return policy.act(image, STATE, "put_carrot_in_pot", "mode").scaled.tolist()

    assert mode(image) == mode(image.copy()) != mode(255 - image)
