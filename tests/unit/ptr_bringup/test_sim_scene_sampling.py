# SPDX-License-Identifier: Apache-2.0
"""Initial conditions of episodes: seeds of scenes, varied starts of the arm, drop spots."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.sim.kitchens import kitchen_named
from ptr_bringup.sim.scene_sampling import drop_spot, scene_seed, start_position

seeds = st.integers(0, 2**32 - 1)


def test_demonstrations_and_trials_never_share_a_scene() -> None:
    scenes = {
        (purpose, seed): {scene_seed(purpose, seed, index) for index in range(100)}
        for purpose in ("demonstration", "trial")
        for seed in range(5)
    }
    assert sum(map(len, scenes.values())) == len(set().union(*scenes.values())) == 1000


@given(st.integers(0, 2**31 - 1), st.integers(0, 10**6))
def test_a_scene_seed_fits_the_message(seed: int, index: int) -> None:
    assert 0 <= scene_seed("trial", seed, index) < 2**32


@given(seeds)
def test_a_start_is_near_the_neutral_pose_and_repeats(seed: int) -> None:
    start = start_position(seed)
    assert np.all(np.abs(start - [0.30, 0.0, 0.15]) <= [0.012, 0.012, 0.010])
    assert np.array_equal(start, start_position(seed))


def test_starts_vary() -> None:
    starts = np.array([start_position(seed) for seed in range(200)])
    assert np.all(starts.std(axis=0) > 0.8 * np.array([0.012, 0.012, 0.010]) / np.sqrt(3))


@given(seeds)
def test_things_are_put_near_the_kitchens_spot(seed: int) -> None:
    spot = drop_spot("toykitchen1", seed)
    assert np.all(np.abs(spot - kitchen_named("toykitchen1").drop_spot) <= 0.025)
