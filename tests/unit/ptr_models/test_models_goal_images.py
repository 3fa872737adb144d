# SPDX-License-Identifier: Apache-2.0
"""Goal images in batches: which frames they are, and what is labeled with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.contract import Camera, Contract
from ptr_models.replay import Dataset, Sampler
from ptr_models.replay.windows import CLIP, ClipSampler, WindowSampler

EPISODES = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=8)
"""Steps and success of each."""


def dataset(episodes: Sequence[tuple[int, bool]], gap: int = 2) -> Dataset:
    """Images of one pixel that hold the number of their row; rows of no episode lie between the episodes."""
    lengths = np.array([steps for steps, _ in episodes])
    starts = np.concatenate([[0], np.cumsum(lengths + 1 + gap)])[:-1]
    rows = int(starts[-1] + lengths[-1]) + 1
    number = np.arange(rows)
    return Dataset(
        contract=dataclasses.replace(Contract(), cameras=(Camera("over_shoulder", 1, 1),)),
        frames=np.repeat(number, 3).reshape(rows, 1, 1, 3).astype(np.uint8),
        states=np.repeat(number, 7).reshape(rows, 7).astype(np.float32),
        actions=np.zeros((rows, 7), np.float32),
        starts=starts,
        lengths=lengths,
        tasks=("t",) * len(episodes),
        successes=np.array([success for _, success in episodes]),
        paths=tuple(f"bag_{index}" for index in range(len(episodes))),
    ).by_goal_image()


def episode_of(data: Dataset, rows: np.ndarray) -> np.ndarray:
    return np.searchsorted(data.starts, rows, side="right") - 1


@settings(max_examples=60, deadline=None)
@given(EPISODES, st.floats(0, 1), st.sampled_from([0.0, 1.0]), st.integers(0, 100))
def test_a_goal_is_a_later_frame_of_the_same_episode(
    episodes: list[tuple[int, bool]], future: float, balance: float, seed: int
) -> None:
    data = dataset(episodes)
    batch = Sampler(data, {"t": 0}, seed, task_balance=balance, goal_future=future).sample(64)
    rows, goals = (batch.image[:, 0, 0, channel].astype(int) for channel in (0, 3))
    episode = episode_of(data, rows)
    assert (rows == batch.state[:, 0]).all() and (batch.next_image[:, 0, 0, 0] == rows + 1).all()
    assert (goals > rows).all() and (goals <= (data.starts + data.lengths)[episode]).all()
    assert (batch.next_image[:, 0, 0, 3] == goals).all()
    assert (batch.success == data.successes[episode]).all()


@settings(max_examples=60, deadline=None)
@given(EPISODES, st.integers(1, 6), st.floats(0, 1), st.integers(0, 100))
def test_a_window_has_one_goal_behind_its_last_step(
    episodes: list[tuple[int, bool]], length: int, future: float, seed: int
) -> None:
    data = dataset([*episodes, (3, True)])
    windows = WindowSampler(data, {"t": 0}, seed, length, future).sample(32)
    rows, goals = (windows.image[:, 0, 0, channel].astype(int).reshape(32, length) for channel in (0, 3))
    assert (goals == goals[:, :1]).all()
    assert (goals[:, -1] > rows[:, -1]).all()
    assert (goals[:, 0] <= (data.starts + data.lengths)[episode_of(data, rows[:, 0])]).all()


def test_the_goal_of_a_clip_is_the_last_frame_of_its_episode() -> None:
    data = dataset([(5, True), (3, False)])
    clips = ClipSampler(data, 0).sample(20)
    goals = clips.image[:, 0, 0, 3].reshape(20, CLIP)
    assert (goals == (data.starts + data.lengths)[clips.video][:, None]).all()


@pytest.mark.parametrize("success", [True, False])
def test_an_episode_counts_as_one_that_ended_at_the_goal(success: bool) -> None:
    """Returns of PTR's labels by steps to the end: 10 on the last three, then 0.96 of what follows, minus 1."""
    ahead = np.array([1, 2, 3, 4, 5, 6, 8])
    batch = Sampler(dataset([(20, success)]), {"t": 0}).gather(np.full(7, 2), ahead)
    assert batch.image[:, 0, 0, 3].tolist() == (2 + ahead).tolist()
    assert batch.reward.tolist() == [10, 10, 10, -1, -1, -1, -1]
    assert batch.mask.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert batch.mc_return == pytest.approx([10, 10, 10, 8.6, 7.256, 5.966, 3.538], abs=1e-3)
    assert batch.success.tolist() == [success] * 7  # what a failed episode did is not imitated


def test_without_a_draw_the_goal_is_the_last_frame() -> None:
    data = dataset([(4, True), (6, True)])
    assert Sampler(data, {"t": 0}).gather(np.arange(10)).image[:, 0, 0, 3].tolist() == [4] * 4 + [13] * 6
    assert data.episode(1)[0][:, 0, 0].tolist() == [[row] * 3 + [13] * 3 for row in range(7, 14)]


def test_the_share_of_goals_from_the_future() -> None:
    data = dataset([(100, True)])

    def goals(future: float) -> np.ndarray:
        drawn = Sampler(data, {"t": 0}, goal_future=future).sample(20_000).image[:, 0, 0].astype(int)
        return drawn[drawn[:, 0] == 0, 3]  # of the first frame

    assert set(goals(0.0)) == {100}
    assert goals(1.0).mean() == pytest.approx(50.5, abs=8.0)  # uniform over 1..100
    assert (goals(0.5) == 100).mean() == pytest.approx(0.505, abs=0.13)


def test_parts_of_a_batch_have_the_goals_of_the_whole_and_a_resumed_run_goes_on() -> None:
    data = dataset([(9, True), (5, True)])
    for sampler in (Sampler(data, {"t": 0}, 3), WindowSampler(data, {"t": 0}, 3, 2)):
        before = sampler.state_dict()
        whole = sampler.sample(8).image
        after = sampler.sample(8).image
        sampler.load_state_dict(before)
        part = sampler.sample(8, slice(4, 8)).image
        assert np.array_equal(part, whole[len(whole) // 2 :])
        assert np.array_equal(sampler.sample(8).image, after)
