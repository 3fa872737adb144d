# SPDX-License-Identifier: Apache-2.0
"""Contracts with several cameras: what networks make of the views, and which bags fit which contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import SMALL

from ptr_models.common.assets import shipped_checkpoint
from ptr_models.common.errors import PtrError
from ptr_models.contract import Camera, Contract, ContractError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.trajectory import write_episode
from ptr_models.inference.policy import Policy
from ptr_models.networks import NetworkConfig
from ptr_models.networks.encoder import Encoder
from ptr_models.reward.classifier import SuccessNetwork
from ptr_models.training.checkpoint import load_algorithm, read_checkpoint
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import contract_of
from ptr_models.training.presets import preset
from ptr_models.training.run_setup import Bags, start_finetuning, start_pretraining

ONE = Contract()
TWO = Contract(cameras=(Camera("over_shoulder"), Camera("wrist")))
VIEW = NetworkConfig(encoder="tiny", image_size=64, latent=16)
TASK = "put_carrot_in_pot"
FOUR = ["schedule.steps=4"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the bags of all tests of this file."""
    return tmp_path_factory.mktemp("several_cameras")


@pytest.fixture
def bags(make_trajectory: Callable[..., Any], shared: Path) -> Callable[[Contract], Bags]:
    """Two episodes of 8 steps with the cameras of a contract; every camera shows something else."""

    def of(contract: Contract) -> Bags:
        folder = shared / contract.hash
        for seed in range(2 if not folder.exists() else 0):
            trajectory = make_trajectory(seed, steps=8)[0]
            images = trajectory.images["over_shoulder"]
            views = {camera.name: np.roll(images, 8 * k, axis=2) for k, camera in enumerate(contract.cameras)}
            about = EpisodeMetadata(f"e_{seed}", TASK, outcome="success", contract=contract)
            write_episode(folder, about, dataclasses.replace(trajectory, images=views))
        return Bags((folder,), (), shared / "cache")

    return of


def as_target(bags: Bags) -> Bags:
    """Pre-training data as the demonstrations of a new task."""
    return dataclasses.replace(bags, prior=(), target=bags.prior)


def small(name: str) -> TrainingConfig:
    """A preset with the sizes of `SMALL`."""
    encoder = "vit_tiny" if name.startswith("mae") else "tiny"
    sizes = ["networks.transformer={window: 3, layers: 1, heads: 2, width: 16}"]
    sizes += ["networks.masked_decoder={layers: 1, heads: 2, width: 16}", "algorithm.bc_steps=0", "batch_size=4"]
    networks = dataclasses.replace(preset(name).networks, encoder=encoder, image_size=64, latent=16, hidden=(16, 16))
    return dataclasses.replace(preset(name), networks=networks, threads=1, schedule=SMALL.schedule).replaced(sizes)


def test_one_encoder_sees_each_view_and_the_embeddings_stand_side_by_side() -> None:
    torch.manual_seed(0)
    one, three = Encoder(VIEW), Encoder(dataclasses.replace(VIEW, cameras=3))
    three.load_state_dict(one.state_dict())
    views = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 64, 64, 3), dtype=np.uint8))
    stacked = torch.cat(list(views.unbind(1)), dim=-1)
    torch.testing.assert_close(three(stacked), torch.cat([one(view) for view in views.unbind(1)], dim=-1))


def test_the_image_of_a_single_camera_passes_through_the_same_operations_as_ever() -> None:
    """Bit for bit: checkpoints of one camera were trained with them."""
    shipped = shipped_checkpoint("ptr_small")
    assert shipped is not None
    encoder = load_algorithm(read_checkpoint(shipped)).actor.encoder
    image = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    with torch.no_grad():
        pixels = image.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
        alone = torch.tanh(encoder.norm(encoder.dense(encoder.pooling(encoder.backbone(pixels)))))
        assert torch.equal(encoder(image), alone)


def test_the_success_classifier_sees_each_view() -> None:
    torch.manual_seed(0)
    network = SuccessNetwork(dataclasses.replace(VIEW, cameras=2), tasks=3)
    image = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (1, 64, 64, 6), dtype=np.uint8))
    hidden = [image.clone(), image.clone()]
    hidden[0][..., :3], hidden[1][..., 3:] = 0, 0
    logits = [float(network(seen, torch.eye(3)[:1]).detach()) for seen in (image, *hidden)]
    assert len(set(logits)) == 3


@pytest.mark.parametrize("name", ["ptr_small", "bet_small", "mae_bc_small", "r3m_bc_small"])
def test_bags_of_two_cameras_train_a_policy_that_sees_both(name: str, bags: Any, tmp_path: Path) -> None:
    checkpoint = start_pretraining(small(name), bags(TWO), tmp_path / "run").run().checkpoint
    if name in ("mae_bc_small", "r3m_bc_small"):  # visual features until then
        checkpoint = start_finetuning(checkpoint, as_target(bags(TWO)), tmp_path / "tuned", FOUR).run().checkpoint
    policy = Policy.load(checkpoint)
    assert policy.contract.cameras == TWO.cameras
    image = np.random.default_rng(2).integers(0, 256, (64, 64, 6), dtype=np.uint8)
    state = np.zeros(7, np.float32)

    def mode(*hidden: int) -> list[float]:
        seen = image.copy()
        seen[..., list(hidden)] = 0
        policy.reset()
        return policy.act(seen, state, TASK, "mode").scaled.tolist()

    assert mode() != mode(0, 1, 2) and mode() != mode(3, 4, 5)


def test_values_of_two_views_serve_a_policy_that_sees_both(bags: Any, tmp_path: Path) -> None:
    start_pretraining(small("v_ptr_small"), bags(TWO), tmp_path / "values").run()
    config = small("v_ptr_small").replaced([f"networks.weights={tmp_path / 'values'}"])
    policy = Policy.load(start_pretraining(config, bags(TWO), tmp_path / "run").run().checkpoint)
    assert policy.contract.cameras == TWO.cameras
    image = np.random.default_rng(2).integers(0, 256, (64, 64, 6), dtype=np.uint8)
    hidden = image * np.repeat([1, 0], 3).astype(np.uint8)
    modes = [policy.act(seen, np.zeros(7, np.float32), TASK, "mode").scaled.tolist() for seen in (image, hidden)]
    assert modes[0] != modes[1]


def test_a_checkpoint_of_one_camera_does_not_see_the_second_of_the_bags(
    bags: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = start_pretraining(SMALL, bags(ONE), tmp_path / "one").run().checkpoint
    caplog.clear()
    tuned = start_finetuning(checkpoint, as_target(bags(TWO)), tmp_path / "tuned", FOUR)
    assert "images of camera wrist are in the bags, but not used: the contract has over_shoulder" in caplog.text
    assert tuned.source.sample(4, 0).image.shape == (4, 64, 64, 3)
    bag = next(bags(TWO).prior[0].iterdir())
    alone, both = read_episode(bag, ONE).images, read_episode(bag, TWO).images
    assert list(alone) == ["over_shoulder"] and np.array_equal(alone["over_shoulder"], both["over_shoulder"])


def test_a_checkpoint_of_two_cameras_refuses_bags_that_have_one(bags: Any, tmp_path: Path) -> None:
    checkpoint = start_pretraining(SMALL, bags(TWO), tmp_path / "two").run().checkpoint
    with pytest.raises(PtrError, match="follows another contract .*cameras: over_shoulder, wrist != over_shoulder"):
        start_finetuning(checkpoint, as_target(bags(ONE)), tmp_path / "tuned", FOUR)


def test_a_source_may_have_more_cameras_in_any_order_and_another_contract_may_not() -> None:
    turned = Contract(cameras=TWO.cameras[::-1])
    assert ONE.differences(TWO, source=True) == [] and TWO.differences(turned, source=True) == []
    assert ONE.differences(TWO) == ["cameras: over_shoulder != over_shoulder, wrist"]
    assert TWO.differences(turned) == ["cameras: over_shoulder, wrist != wrist, over_shoulder"]
    with pytest.raises(ContractError, match="the robot follows another contract .*over_shoulder, wrist != over_sh"):
        TWO.require(ONE, "the robot", source=True)


def test_a_run_takes_the_cameras_that_it_names_from_the_bags_that_have_them(bags: Any, tmp_path: Path) -> None:
    both = bags(TWO)
    mixed = dataclasses.replace(both, prior=(*bags(ONE).prior, *both.prior))
    wrist = start_pretraining(SMALL.replaced(["data.cameras=[wrist]"]), mixed, tmp_path / "wrist")
    assert [camera.name for camera in wrist.start.contract.cameras] == ["wrist"]
    assert wrist.source.sample(4, 0).image.shape == (4, 64, 64, 3)
    turned = contract_of(both, cameras=["wrist", "over_shoulder"])
    assert [camera.name for camera in turned.cameras] == ["wrist", "over_shoulder"]
    with pytest.raises(PtrError, match="data.cameras is side_1, but the bags have over_shoulder, wrist"):
        contract_of(both, cameras=["side_1"])
    checkpoint = wrist.run().checkpoint
    with pytest.raises(PtrError, match="can only be chosen for new networks; this checkpoint uses wrist"):
        start_finetuning(checkpoint, as_target(both), tmp_path / "tuned", ["data.cameras=[over_shoulder]"])
