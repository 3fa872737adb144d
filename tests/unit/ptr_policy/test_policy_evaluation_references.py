# SPDX-License-Identifier: Apache-2.0
"""The picture that a scene should look like: of its first trial, or of a demonstration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptr_models.contract import Contract
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.sampling import decode_image
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_policy.evaluation.protocol import plan_trials
from ptr_policy.evaluation.references import References, image_path
from ptr_policy.evaluation.trials import TrialsError

PLAN = plan_trials("put_knife_in_pot", "kitchen", ["A", "B"], 2, seed=3)


def demonstration(folder: Path, name: str, grey: int) -> None:
    images = {"over_shoulder": np.full((4, 48, 64, 3), grey, np.uint8)}
    metadata = EpisodeMetadata(episode_id=name, task="put_knife_in_pot", kind="demonstration", contract=Contract())
    still = {
        "measured_position": np.tile([0.25, 0.0, 0.2], (4, 1)),
        "measured_rotation": np.tile(np.eye(3), (4, 1, 1)),
        "gripper": np.ones(4),
        "start_ns": 10**18,
    }
    write_episode(folder, metadata, Trajectory.from_actions(np.zeros((3, 7)), images=images, **still))


def test_the_first_trial_of_a_scene_is_the_picture_of_the_second(tmp_path: Path) -> None:
    references = References(tmp_path, PLAN)
    assert [references.image(trial) for trial in PLAN] == [None] * 4
    path = image_path(tmp_path, PLAN[2], "start")
    path.parent.mkdir()
    path.write_bytes(b"jpeg")
    assert [references.image(trial) for trial in PLAN] == [None, None, None, b"jpeg"]


def test_demonstrations_are_the_scenes_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, grey in (("one", 40), ("two", 200)):
        demonstration(tmp_path, name, grey)
    references = References(tmp_path, PLAN, tmp_path)
    camera = Contract().cameras[0]
    greys = [round(float(decode_image(references.image(trial), camera).mean()), -1) for trial in PLAN]
    assert greys == [40, 40, 200, 200]


def test_demonstrations_without_the_camera_are_refused(tmp_path: Path) -> None:
    demonstration(tmp_path, "one", 40)
    demonstration(tmp_path, "two", 200)
    with pytest.raises(TrialsError, match="no image of camera wrist, only of over_shoulder"):
        References(tmp_path, PLAN, tmp_path, "wrist").image(PLAN[0])


def test_too_few_demonstrations_are_refused(tmp_path: Path) -> None:
    demonstration(tmp_path, "one", 40)
    with pytest.raises(TrialsError, match="1 demonstrations for 2 scenes; make at most 1 trials"):
        References(tmp_path, PLAN, tmp_path)
