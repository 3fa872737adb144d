# SPDX-License-Identifier: Apache-2.0
"""Critical decisions: judged by a Q-function that is known, so that what must be marked is known too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.analysis.critical import Decisions, compare, critical, judge, report
from ptr_models.analysis.critical_figure import critical_figure, imaged
from ptr_models.common.errors import PtrError
from ptr_models.common.plotting import save
from ptr_models.contract import Contract
from ptr_models.episodes.actions import scale
from ptr_models.replay import Dataset, open_episodes

STEPS = 12
GRASP = 7


class GraspMatters:
    """Q falls with the distance to the action taken, steeply at one step and hardly at the others."""

    chunk = 1

    def __init__(self, taken: np.ndarray, offset: float = 0.0) -> None:
        self.taken, self.offset = taken, offset

    def values(self, images: np.ndarray, states: np.ndarray, actions: np.ndarray, task: str) -> np.ndarray:
        slope = np.where(np.arange(len(images)) == GRASP, 10.0, 0.1)[:, None]
        distance = np.linalg.norm(actions - self.taken[:, None], axis=-1)
        return np.stack([-slope * distance, -slope * distance + 1.0])

    def modes(self, images: np.ndarray, states: np.ndarray, task: str) -> np.ndarray:
        return self.taken + np.where(np.arange(len(images)) == GRASP, self.offset, 0.1)[:, None].astype(np.float32)

    def samples(self, images: np.ndarray, states: np.ndarray, task: str, count: int, seed: int) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(0.0, 0.2, (len(images), count, 7))
        return (self.taken[:, None] + noise).astype(np.float32)


@pytest.fixture
def demonstration(make_episode: Callable[..., Path], tmp_path: Path) -> Dataset:
    make_episode(0, steps=STEPS)
    return open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)


@pytest.fixture
def taken(demonstration: Dataset) -> np.ndarray:
    return scale(demonstration.episode(0)[2], demonstration.contract)


@pytest.mark.parametrize("alternatives", ["data", "policy", "uniform"])
def test_the_step_at_which_the_action_matters_is_marked(
    demonstration: Dataset, taken: np.ndarray, alternatives: str
) -> None:
    decisions = judge(GraspMatters(taken), demonstration, alternatives=alternatives)
    (mark,) = critical(decisions, share=1 / STEPS)
    assert np.flatnonzero(mark).tolist() == [GRASP]
    assert decisions[0].separation[GRASP] == max(decisions[0].separation)


def test_the_numbers_of_a_decision_are_those_of_the_q_function(demonstration: Dataset, taken: np.ndarray) -> None:
    (found,) = judge(GraspMatters(taken, offset=0.3), demonstration, alternatives="policy", count=64, seed=5)
    np.testing.assert_allclose(found.q, np.zeros(STEPS), atol=1e-4)  # the action taken is the best, smallest critic
    distances = np.where(np.arange(STEPS) == GRASP, 0.3, 0.1) * np.sqrt(7)
    slopes = np.where(np.arange(STEPS) == GRASP, 10.0, 0.1)
    np.testing.assert_allclose(found.advantage, slopes * distances, rtol=1e-3)
    np.testing.assert_allclose(found.errors["PTR"], distances / np.sqrt(7), rtol=1e-3)
    assert (found.beaten == 1.0).all()
    assert found.alternatives.shape == (STEPS, 64)


def test_a_large_separation_of_an_action_that_others_beat_is_not_critical() -> None:
    alternatives = np.array([[0.0] * 10, [-100.0] * 7 + [2.0] * 3])
    item = decisions_of(q=np.array([0.5, 1.0]), alternatives=alternatives)
    assert item.separation[1] > item.separation[0]
    assert [mark.tolist() for mark in critical([item], share=0.6)] == [[False, False]]
    assert item.beaten.tolist() == [1.0, 0.7]


def test_policies_are_compared_at_critical_decisions_with_an_interval() -> None:
    marks = [np.array([True, False, False, True])] * 6
    items = [
        decisions_of(np.zeros(4), np.zeros((4, 2)), {"BC": np.array([0.5, 0.1, 0.1, 0.3 + shift])})
        for shift in (-0.1, -0.05, 0.0, 0.0, 0.05, 0.1)
    ]
    found = compare(items, marks, "BC")
    assert (found.critical, found.other, found.difference) == pytest.approx((0.4, 0.1, 0.3))
    assert 0.25 < found.interval[0] < 0.3 < found.interval[1] < 0.35
    assert compare(items, [np.zeros(4, bool)] * 6, "BC") is None


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 12))
def test_the_film_strip_goes_forward_and_shows_critical_steps_first(flags: list[bool], most: int) -> None:
    mark = np.array(flags)
    steps = imaged(mark, most)
    assert len(steps) == min(most, len(mark))
    assert (np.diff(steps) > 0).all()
    for part, step in zip(np.array_split(np.arange(len(mark)), len(steps)), steps, strict=True):
        assert step in part and mark[step] == mark[part].any()


def test_the_report_is_json_and_the_image_is_drawn(demonstration: Dataset, taken: np.ndarray, tmp_path: Path) -> None:
    decisions = judge(GraspMatters(taken), demonstration, {"BC": GraspMatters(taken, 0.4)})
    marks = critical(decisions, share=0.2)
    written = json.loads(json.dumps(report(decisions, marks)))
    assert GRASP in written["demonstrations"][0]["critical"]
    assert written["policies"]["BC"]["critical"] > written["policies"]["PTR"]["critical"]
    assert save(critical_figure(decisions, marks), tmp_path / "critical.png").stat().st_size > 20_000


@pytest.mark.parametrize(("change", "sentence"), [({"alternatives": "best"}, "'best'"), ({"count": 1}, "1 alternat")])
def test_a_question_that_makes_no_sense_is_refused(
    demonstration: Dataset, taken: np.ndarray, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PtrError, match=sentence):
        judge(GraspMatters(taken), demonstration, **change)


def decisions_of(q: np.ndarray, alternatives: np.ndarray, errors: dict[str, np.ndarray] | None = None) -> Decisions:
    length = len(q)
    return Decisions(
        name="episode_0001",
        task="put_carrot_in_pot",
        frames=np.zeros((length, 8, 8, 3), np.uint8),
        actions=np.zeros((length, 7)),
        q=q,
        alternatives=alternatives,
        advantage=np.zeros(length),
        errors=errors or {},
    )
