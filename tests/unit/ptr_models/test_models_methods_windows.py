# SPDX-License-Identifier: Apache-2.0
"""Windows and clips: what rows they take, padding, how often, and that draws can be continued."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptr_models.contract import Camera, Contract
from ptr_models.episodes.actions import scale
from ptr_models.episodes.errors import EpisodeError
from ptr_models.replay import Dataset
from ptr_models.replay.windows import Clips, ClipSampler, Windows, WindowSampler, sample_actions

LENGTHS = (5, 2, 9)
"""Steps of three episodes; frames are numbered through, an episode has one more than steps."""


def dataset(successes: tuple[bool, ...] = (True, True, True)) -> Dataset:
    """Images of one pixel and states that hold the number of the row."""
    contract = dataclasses.replace(Contract(), cameras=(Camera("over_shoulder", 1, 1),))
    rows = sum(LENGTHS) + len(LENGTHS)
    number = np.arange(rows)
    return Dataset(
        contract=contract,
        frames=np.repeat(number, 3).reshape(rows, 1, 1, 3).astype(np.uint8),
        states=np.repeat(number, 7).reshape(rows, 7).astype(np.float32),
        actions=np.repeat(number[:, None] / 1000, 7, axis=1).astype(np.float32),
        starts=np.array([0, 6, 9]),
        lengths=np.array(LENGTHS),
        tasks=("a", "b", "a"),
        successes=np.array(successes),
        paths=("x", "y", "z"),
    )


IDS = {"a": 3, "b": 1}


def test_windows_lie_within_episodes_and_short_ones_are_padded_with_their_last_step() -> None:
    sampler = WindowSampler(dataset(), IDS, seed=0, length=4)
    assert len(sampler) == 2 + 1 + 6
    drawn = sampler.gather(np.arange(9))
    rows = drawn.state[:, 0].reshape(9, 4)
    assert rows.tolist() == [
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [6, 7, 7, 7],
        *[list(range(first, first + 4)) for first in range(9, 15)],
    ]
    assert drawn.valid.tolist() == [[True] * 4] * 2 + [[True, True, False, False]] + [[True] * 4] * 6
    assert drawn.task.tolist() == [3, 3, 1] + [3] * 6
    assert drawn.image[:, 0, 0, 0].tolist() == drawn.state[:, 0].tolist()
    np.testing.assert_array_equal(drawn.action, scale(dataset().actions[rows.ravel().astype(int)], dataset().contract))


def test_failed_episodes_are_not_imitated() -> None:
    sampler = WindowSampler(dataset((False, True, True)), IDS, seed=0, length=4)
    assert len(sampler) == 7 and sampler.sample(300).state[:, 0].min() == 6
    with pytest.raises(EpisodeError, match="none of 3 episodes is a success"):
        WindowSampler(dataset((False, False, False)), IDS, seed=0, length=4)


def test_windows_are_drawn_equally_often() -> None:
    drawn = WindowSampler(dataset(), IDS, seed=1, length=4).sample(9000)
    counts = np.bincount(drawn.state[::4, 0].astype(int), minlength=18)[[0, 1, 6, *range(9, 15)]]
    assert counts.sum() == 9000
    assert np.square(counts - 1000).sum() / 1000 < 26.1  # 99.9 % of a chi-squared variable with 8 degrees of freedom


def test_clips_are_three_frames_of_one_video_in_the_order_of_time() -> None:
    drawn = ClipSampler(dataset(), seed=0).sample(600)
    rows = drawn.image[:, 0, 0, 0].reshape(600, 3).astype(int)
    assert (np.diff(rows, axis=1) > 0).all()
    starts, ends = np.array([0, 6, 9]), np.array([5, 8, 18])
    assert (rows >= starts[drawn.video][:, None]).all() and (rows <= ends[drawn.video][:, None]).all()
    assert {int(video) for video in drawn.video} == {0, 1, 2}
    assert rows.max() == 18  # the last frame of an episode, which has no action, is a frame of the video


def test_videos_keep_apart_when_clips_of_two_data_sets_are_mixed() -> None:
    clips = Clips(np.zeros((6, 1, 1, 3), np.uint8), np.array([0, 2]))
    assert Clips.concatenate(clips, clips).video.tolist() == [0, 2, 3, 5]
    assert len(Clips.concatenate(clips, clips).image) == 12


@pytest.mark.parametrize("kind", ["windows", "clips"])
def test_draws_go_on_where_they_were(kind: str) -> None:
    def make() -> WindowSampler | ClipSampler:
        return WindowSampler(dataset(), IDS, 5, 4) if kind == "windows" else ClipSampler(dataset(), 5)

    first, second = make(), make()
    first.sample(7)
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(first.sample(8).image, second.sample(8).image)


def test_windows_are_joined_row_by_row() -> None:
    sampler = WindowSampler(dataset(), IDS, seed=0, length=4)
    joined = Windows.concatenate(sampler.gather(np.array([0])), sampler.gather(np.array([2, 3])))
    assert len(joined) == 3 and joined.state[:, 0].tolist() == [0, 1, 2, 3, 6, 7, 7, 7, 9, 10, 11, 12]


def test_actions_for_clustering_are_those_of_steps_each_at_most_once() -> None:
    data = dataset()
    steps = np.array([*range(5), 6, 7, *range(9, 18)])  # not 5, 8 and 18: the last frames have no action
    everything = sample_actions(data, 100, seed=0)
    np.testing.assert_array_equal(everything, scale(data.actions[steps], data.contract))
    some = sample_actions(data, 6, seed=0)
    assert len(some) == 6 and len(np.unique(some[:, 0])) == 6
