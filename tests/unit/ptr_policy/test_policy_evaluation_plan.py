# SPDX-License-Identifier: Apache-2.0
"""The plan of an evaluation: every policy in every scene, interleaved and balanced, the same for the same seed."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.sim.scene_sampling import scene_seed
from ptr_policy.evaluation.protocol import plan_trials, williams_squares
from ptr_policy.evaluation.trials import Trial, TrialsError

sizes = st.integers(1, 6)
scenes = st.integers(1, 25)
seeds = st.integers(0, 2**31 - 1)


def plan(policies: int, number: int, seed: int) -> tuple[Trial, ...]:
    return plan_trials("put_knife_in_pot", "kitchen", "ABCDEF"[:policies], number, seed)


@given(sizes, scenes, seeds)
def test_every_policy_meets_every_scene_once_and_each_block_is_one_scene(size: int, number: int, seed: int) -> None:
    trials = plan(size, number, seed)
    assert [trial.index for trial in trials] == list(range(size * number))
    for scene in range(number):
        block = trials[scene * size : (scene + 1) * size]
        assert {trial.policy for trial in block} == set("ABCDEF"[:size])
        assert {(trial.scene, trial.seed) for trial in block} == {(scene, scene_seed("trial", seed, scene))}
    assert len({trial.seed for trial in trials}) == number


@given(sizes, scenes, seeds)
def test_no_policy_is_first_more_than_once_more_often_than_another(size: int, number: int, seed: int) -> None:
    trials = plan(size, number, seed)
    for place in range(size):
        counts = Counter(trial.policy for trial in trials[place::size])
        assert max(counts.values()) - min(counts.get(name, 0) for name in "ABCDEF"[:size]) <= 1


@given(sizes, scenes, st.integers(1, 10), seeds)
def test_more_scenes_go_on_with_the_same_plan(size: int, number: int, more: int, seed: int) -> None:
    assert plan(size, number + more, seed)[: size * number] == plan(size, number, seed)


@pytest.mark.parametrize("size", range(2, 9))
def test_each_policy_follows_each_other_equally_often(size: int) -> None:
    rows = [row for square in williams_squares(size) for row in square]
    for square in williams_squares(size):
        assert all(sorted(row) == list(range(size)) for row in square)
        assert all(sorted(column) == list(range(size)) for column in zip(*square, strict=True))
    follows = Counter(pair for row in rows for pair in itertools.pairwise(row))
    assert len(follows) == size * (size - 1)
    assert set(follows.values()) == {1 if size % 2 == 0 else 2}


def test_another_seed_has_other_scenes_and_another_policy_the_same() -> None:
    one = plan_trials("task", "kitchen", ["finetuned"], 5, seed=3)
    other = plan_trials("task", "kitchen", ["pretrained"], 5, seed=3)
    assert [trial.seed for trial in one] == [trial.seed for trial in other]
    assert {trial.seed for trial in one}.isdisjoint(t.seed for t in plan_trials("task", "kitchen", ["x"], 5, seed=4))
    orders = {tuple(t.policy for t in plan(3, 4, seed)) for seed in range(20)}
    assert len(orders) > 10  # the order depends on the seed


@pytest.mark.parametrize("policies", [[], ["A", "A"]])
def test_policies_that_are_none_or_not_different_are_refused(policies: list[str]) -> None:
    with pytest.raises(TrialsError, match="name each once"):
        plan_trials("task", "kitchen", policies, 5, seed=3)
