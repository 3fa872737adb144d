# SPDX-License-Identifier: Apache-2.0
"""Episodes that can be read, but must not be trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptr_models.contract import Contract
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.trajectory import write_episode
from ptr_models.replay import open_episodes
from ptr_models.replay.build import frozen, problem_of

PERIOD = 200_000_000


def walk(still: range, steps: int = 20, metres: float = 0.01) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (N, 2, 2, 3) of which those of `still` are equal, positions (N, 3) along x, stamps (N,)."""
    frames = np.repeat(np.arange(steps, dtype=np.uint8), 12).reshape(steps, 2, 2, 3)
    frames[still.start : still.stop] = 200
    positions = np.zeros((steps, 3), np.float32)
    positions[:, 0] = metres * np.arange(steps)
    return frames, positions, PERIOD * np.arange(steps)


def test_an_image_that_stays_for_half_a_second_while_the_arm_moves_is_frozen() -> None:
    assert frozen(*walk(range(4, 8))) == (4, 7)
    assert frozen(*walk(range(14, 20))) == (14, 19)


def test_an_image_may_stay_for_less_than_half_a_second() -> None:
    assert frozen(*walk(range(4, 7))) is None


def test_an_image_may_stay_while_the_arm_rests() -> None:
    assert frozen(*walk(range(4, 16), metres=0.0004)) is None
    assert frozen(*walk(range(4, 16), metres=0.0005)) == (4, 15)


def test_an_arm_that_goes_and_comes_back_has_moved() -> None:
    frames, positions, stamps = walk(range(4, 12), metres=0.0)
    positions[7] = (0.0, 0.03, 0.0)
    assert frozen(frames, positions, stamps) == (4, 11)


@pytest.fixture
def frozen_bag(make_trajectory: Callable[..., Any], tmp_path: Path) -> Path:
    """An episode whose camera sends the image of its fifth instant until the end, with new stamps."""
    trajectory = make_trajectory(steps=15)[0]
    images = np.array(trajectory.images["over_shoulder"])
    images[5:] = images[5]
    stopped = dataclasses.replace(trajectory, images={"over_shoulder": images})
    return write_episode(tmp_path / "bags", EpisodeMetadata("stopped", "t", outcome="success"), stopped)


def test_the_problem_names_the_camera_and_the_time(frozen_bag: Path, make_episode: Callable[..., Path]) -> None:
    expected = "camera over_shoulder shows the same image from 1.0 s to 3.0 s while the arm moves"
    assert problem_of(read_episode(frozen_bag)) == expected
    assert problem_of(read_episode(make_episode())) == ""


def test_training_leaves_a_frozen_episode_out(
    frozen_bag: Path, make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    make_episode()
    for _ in range(2):  # read, and from the index
        data = open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)
        assert [Path(path).name for path in data.paths] == ["episode_0000"]
        assert [(Path(item.path).name, item.reason[:29]) for item in data.left_out] == [
            ("stopped", "camera over_shoulder shows th")
        ]
