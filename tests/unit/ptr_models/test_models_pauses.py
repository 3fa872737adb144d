# SPDX-License-Identifier: Apache-2.0
"""Pauses in demonstrations: what training keeps of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptr_models.contract import Contract
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_models.replay import Dataset, Sampler, open_episodes
from ptr_models.training import data as training_data
from ptr_models.training.config import DataConfig
from ptr_models.training.data import open_bags
from ptr_models.training.presets import preset

IDLE = [3, 4, 5, 6, 9]
"""Steps of the episode in which nothing is commanded: a pause of four, and one of one."""
STEPS = 12


@pytest.fixture
def load(tmp_path: Path, make_trajectory: Callable[..., Any]) -> Callable[..., Dataset]:
    """An episode with pauses, and one that is nothing but a pause."""
    for name, idle in (("pauses", IDLE), ("nothing", range(STEPS))):
        moving, actions = make_trajectory(steps=STEPS)
        actions[:, :3], actions[:, 6] = 0.01, 1.0
        actions[list(idle), :6] = 0.0
        fields = {
            field: getattr(moving, field)
            for field in ("images", "measured_position", "measured_rotation", "gripper", "joint_positions", "start_ns")
        }
        trajectory = Trajectory.from_actions(actions, **fields)
        write_episode(tmp_path / "bags", EpisodeMetadata(name, "t", outcome="success"), trajectory)

    def load(**options: int) -> Dataset:
        return open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False, **options)

    return load


def test_idle_steps_beyond_the_limit_are_left_out_and_the_others_stay_in_order(load: Callable[..., Dataset]) -> None:
    whole = load()
    index = [Path(path).name for path in whole.paths].index("pauses")
    frames, states, actions = (np.array(part) for part in whole.episode(index))
    trimmed = load(max_idle_steps=2)
    kept = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert trimmed.lengths[index] == len(kept)
    for part, former in zip(trimmed.episode(index), (frames, states), strict=False):
        assert (part == former[[*kept, STEPS]]).all()
    assert (trimmed.episode(index)[2] == actions[kept]).all()
    batch = Sampler(trimmed.select([at == index for at in range(2)]), {"t": 0}).gather(np.array([4]))
    assert (batch.state == states[4]).all() and (batch.next_state == states[7]).all()  # across the pause
    assert list(load(max_idle_steps=0).lengths) == [STEPS - len(IDLE)]
    assert list(load().lengths) == [STEPS, STEPS]  # a cache of its own for each


def test_an_episode_that_is_nothing_but_a_pause_is_left_out_with_that_reason(load: Callable[..., Dataset]) -> None:
    (left_out,) = load(max_idle_steps=0).left_out
    assert (Path(left_out.path).name, left_out.reason) == ("nothing", "all its steps are idle")


def test_training_opens_bags_with_the_setting_of_its_preset(
    training_bags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []

    def spy(*arguments: Any, max_idle_steps: int, **options: Any) -> Dataset:
        limits.append(max_idle_steps)
        return open_episodes(*arguments, max_idle_steps=max_idle_steps, **options)

    monkeypatch.setattr(training_data, "open_episodes", spy)
    for name in ("ptr_small", "ptr_trimmed_small", "ptr_trimmed_paper"):
        open_bags(training_bags, Contract(), preset(name).data.max_idle_steps)
    assert limits == [-1, -1, 2, 2, 2, 2]


def test_a_limit_below_all_is_refused() -> None:
    with pytest.raises(ValueError, match="max_idle_steps is -2; it must be 0 or more, or -1 for all"):
        DataConfig(max_idle_steps=-2)
