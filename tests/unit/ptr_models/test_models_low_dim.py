# SPDX-License-Identifier: Apache-2.0
"""Policies that see the poses of simulated objects instead of images: contract, bags, replay, networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptr_models.common.errors import PtrError
from ptr_models.contract import OBJECT_FEATURES, Contract, ContractError
from ptr_models.episodes.cdr_fields import object_poses, object_poses_of
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.messages import OBJECT_STATES, typestore
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.object_features import features_of, object_features
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.trajectory import ObjectTracks, Trajectory, write_episode
from ptr_models.inference.policy import Policy
from ptr_models.networks import NetworkConfig
from ptr_models.replay import Augmentation, Sampler, augment, open_episodes
from ptr_models.training.config import ConfigError, TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.presets import preset, presets
from ptr_models.training.run_setup import start_finetuning, start_pretraining

LOW_DIM = Contract().low_dim()
QUARTER = np.sqrt(0.5)


def tracks(rows: int, seed: int = 0) -> ObjectTracks:
    """Three objects that wander and turn about the vertical."""
    generator = np.random.default_rng(seed)
    yaw = generator.uniform(-3, 3, (rows, 3))
    poses = np.zeros((rows, 3, 7))
    poses[..., :3] = generator.uniform(0.0, 0.4, (rows, 3, 3))
    poses[..., 5], poses[..., 6] = np.sin(yaw / 2), np.cos(yaw / 2)
    return ObjectTracks(("corn", "pot", "lime"), poses)


@pytest.fixture
def make_low_dim(tmp_path: Path, make_trajectory: Callable[..., tuple[Trajectory, Any]]) -> Callable[..., Path]:
    """Write an episode with objects: make_low_dim(seed, contract=…, images=…) -> its folder."""

    def make(seed: int = 0, contract: Contract = LOW_DIM, images: bool = False, root: str = "low") -> Path:
        trajectory = make_trajectory(seed)[0]
        changes: dict[str, Any] = {"objects": tracks(13, seed)} | ({} if images else {"images": {}})
        metadata = EpisodeMetadata(f"e{seed}", "put_corn_in_pot", outcome="success", kitchen="toy", contract=contract)
        return write_episode(tmp_path / root, metadata, dataclasses.replace(trajectory, **changes))

    return make


def test_contracts_from_before_there_were_objects_keep_their_hash() -> None:
    assert Contract().hash == "50c29eaea94eb9c7"
    assert "objects" not in Contract().to_json()


def test_a_contract_without_cameras_survives_a_round_trip_and_names_seventeen_numbers() -> None:
    again = Contract.from_json(LOW_DIM.to_json())
    assert again == LOW_DIM and again.hash != Contract().hash
    assert again.state == (*Contract().proprioception, *OBJECT_FEATURES) and len(again.state) == 17
    assert (again.observation_delay, again.image_shape) == (0.0, (0, 0, 0))


def test_who_needs_no_cameras_accepts_bags_that_have_them_and_not_the_other_way_round() -> None:
    LOW_DIM.require(Contract(), "it")
    with pytest.raises(ContractError, match="cameras"):
        Contract().require(LOW_DIM, "it")
    with pytest.raises(ContractError, match=r"control_rate: 5.0 != 10.0"):
        LOW_DIM.require(Contract(control_rate=10.0), "it")


def test_an_unknown_feature_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ContractError, match=r"'item_colour'.*item_sin_2yaw"):
        Contract(objects=("item_colour",))


def test_features_are_places_and_headings_and_an_item_looks_the_same_after_half_a_turn() -> None:
    ahead, left = [0.3, 0.1, 0.02, 0, 0, 0, 1.0], [0.3, 0.1, 0.02, 0, 0, QUARTER, QUARTER]
    back = [0.3, 0.1, 0.02, 0, 0, 1.0, 0.0]
    target = [0.25, -0.1, 0.0, 0, 0, np.sin(np.pi / 12), np.cos(np.pi / 12)]  # 30 degrees
    expected = [0.3, 0.1, 0.02, 0, 1, 0.25, -0.1, 0.0, 0.5, np.sqrt(0.75)]
    assert object_features([ahead, target]) == pytest.approx(expected, abs=1e-12)
    assert object_features([back, target]) == pytest.approx(expected, abs=1e-12)
    assert object_features([left, target])[3:5] == pytest.approx([0, -1], abs=1e-12)
    assert object_features([target, ahead])[8:] == pytest.approx([0, 1], abs=1e-12)
    some = dataclasses.replace(LOW_DIM, objects=("target_x", "item_x"))
    assert features_of(some, [[ahead, target]] * 4).tolist() == [[0.25, 0.3]] * 4


@pytest.mark.parametrize("kitchen", ["", "a", "toy", "toykitchen_target1"])
@pytest.mark.parametrize("names", [("corn", "pot"), ("a", "bb", "ccc", "dddd")])
def test_poses_are_found_in_the_bytes_wherever_strings_push_them(kitchen: str, names: tuple[str, ...]) -> None:
    types = typestore().types

    def pose(k: int) -> Any:
        position = types["geometry_msgs/msg/Point"](x=k + 0.1, y=k + 0.2, z=k + 0.3)
        orientation = types["geometry_msgs/msg/Quaternion"](x=0.1, y=0.2, z=0.3, w=0.9)
        return types["geometry_msgs/msg/Pose"](position=position, orientation=orientation)

    header = types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](sec=1, nanosec=2), frame_id="base_link"
    )
    message = types[OBJECT_STATES](
        header=header,
        kitchen=kitchen,
        task="t",
        seed=7,
        names=list(names),
        poses=[pose(k) for k in range(len(names))],
        level="hard",
    )
    found = object_poses(typestore().serialize_cdr(message, OBJECT_STATES))
    assert np.array_equal(found, object_poses_of(message))
    assert found.tolist() == [[0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.9], [1.1, 1.2, 1.3, 0.1, 0.2, 0.3, 0.9]]
    message.poses = message.poses[:1]
    with pytest.raises(EpisodeError, match="has 1 poses"):
        object_poses(typestore().serialize_cdr(message, OBJECT_STATES))


@pytest.mark.parametrize(("images", "contract"), [(False, LOW_DIM), (True, Contract())])
def test_objects_come_back_from_a_bag_with_or_without_images(
    make_low_dim: Callable[..., Path], images: bool, contract: Contract
) -> None:
    path = make_low_dim(3, contract, images)
    episode = read_episode(path, LOW_DIM)
    assert episode.images == {} and episode.states.shape == (13, 17)
    assert episode.states[:, 7:] == pytest.approx(object_features(tracks(13, 3).poses[:, :2]), abs=1e-6)
    if images:
        seen = read_episode(path, Contract())
        assert np.array_equal(seen.states, episode.states[:, :7]) and seen.images["over_shoulder"].shape[0] == 13


def test_a_bag_without_objects_is_refused_by_the_name_of_the_stream(make_episode: Callable[..., Path]) -> None:
    with pytest.raises(EpisodeError, match="stream /simulator/objects is empty"):
        read_episode(make_episode(0), LOW_DIM)


def test_the_audit_understands_a_bag_without_images(make_low_dim: Callable[..., Path]) -> None:
    report = inspect(make_low_dim(0))
    assert (report.problem, report.steps) == ("", 12)


def test_replay_keeps_no_file_of_frames_and_draws_batches_with_objects(
    make_low_dim: Callable[..., Path], tmp_path: Path
) -> None:
    for seed in range(3):
        make_low_dim(seed)
    for _ in range(2):  # filled, then found again
        data = open_episodes([tmp_path / "low"], LOW_DIM, root=tmp_path / "cache", progress=False)
    assert (data.frames.shape[1:], data.states.shape[1:], len(data)) == ((0, 0, 0), (17,), 3)
    assert sorted(path.stem for path in (tmp_path / "cache").rglob("*.bin")) == ["actions", "states"]
    batch = Sampler(data, {"put_corn_in_pot": 0}).sample(6)
    assert (batch.image.shape, batch.next_state.shape) == ((6, 0, 0, 0), (6, 17))
    assert augment(batch.image, np.random.default_rng(0), Augmentation()).shape == (6, 0, 0, 0)


@pytest.mark.parametrize("name", [name for name in presets() if name.endswith("_low_dim")])
def test_each_method_learns_from_objects_and_acts_on_them(
    name: str, make_low_dim: Callable[..., Path], tmp_path: Path
) -> None:
    for seed in range(2):
        make_low_dim(seed, Contract(), images=True)  # a twin learns from these, too
    config = preset(name).replaced(["batch_size=8", "threads=1", "schedule.steps=2", "algorithm.bc_steps=0"])
    bags = Bags(prior=(tmp_path / "low",), cache=tmp_path / "cache")
    first = start_pretraining(config, bags, tmp_path / "first").run().checkpoint
    both = dataclasses.replace(bags, target=(make_low_dim(9, root="target").parent,))
    policy = Policy.load(start_finetuning(first, both, tmp_path / "tuned", ["schedule.steps=4"]).run().checkpoint)
    assert policy.contract == LOW_DIM
    state = np.zeros(17, np.float32)
    assert policy.act(None, state, "put_corn_in_pot").action.shape == (7,)
    with pytest.raises(PtrError, match=r"state has shape \(7,\); required: \(17,\)"):
        policy.act(None, state[:7], "put_corn_in_pot")
    with pytest.raises(PtrError, match=r"needs uint8 \(0, 0, 0\)"):
        policy.act(np.zeros((64, 64, 3), np.uint8), state, "put_corn_in_pot")


def test_networks_that_see_images_refuse_bags_without_them(make_low_dim: Callable[..., Path], tmp_path: Path) -> None:
    make_low_dim(0)
    bags = Bags(prior=[tmp_path / "low"], cache=tmp_path / "cache")
    with pytest.raises(PtrError, match="no images; .* e.g. ptr_low_dim"):
        start_pretraining(preset("ptr_small"), bags, tmp_path / "run")
    blind = preset("ptr_low_dim").replaced(["networks.state_center=[0.0]", "networks.state_scale=[1.0]"])
    with pytest.raises(PtrError, match=r"state_center has 1 numbers, .* has 17 \(x, y.*target_cos_yaw\)"):
        start_pretraining(blind, bags, tmp_path / "run")


@pytest.mark.parametrize("name", ["time_contrastive", "masked_autoencoder"])
def test_methods_that_train_an_encoder_refuse_to_go_without(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} trains an image encoder, but networks.encoder is 'none'"):
        TrainingConfig.from_dict({"algorithm": {"name": name, "next_algorithm": "bc"}}, preset("bc_low_dim"))


def test_a_critic_that_would_see_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="critic would have no input"):
        NetworkConfig(encoder="none")
