# SPDX-License-Identifier: Apache-2.0
"""`ptr sim drift`: which scenes are laid, and when the alarm counts as on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ptr_models.common.errors import PtrError
from ptr_models.training.q_range import QRange
from ptr_policy.bulk.drift import MonitoredPolicy, _scenes, watch_trials


class Scripted:
    """A policy whose values are those of a list."""

    def __init__(self, values: list[float], range_: QRange | None) -> None:
        self.checkpoint = SimpleNamespace(path="here", contract=None)
        self.contract = SimpleNamespace(control_rate=5.0)
        self._values, self._range = values, range_

    def q_range(self, task: str) -> QRange | None:
        return self._range

    def reset(self) -> None:
        self._next = iter(self._values)

    def act(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(q_mode=next(self._next))


def test_the_first_step_of_the_alarm_is_kept_and_each_episode_begins_again() -> None:
    monitored = MonitoredPolicy(
        Scripted([0, 5, 5, 0, 5, 5, 5, 0, 5, 5, 5], QRange((-1.0,), (1.0,), 1)), "t", drift_time=0.6
    )
    for _ in range(11):
        monitored.act(None, None, "t", "")
    assert monitored.alarm == 6
    monitored.reset()
    monitored.act(None, None, "t", "")
    assert monitored.alarm is None


def test_a_checkpoint_without_a_range_is_refused() -> None:
    with pytest.raises(PtrError, match="here has no range of Q for t; add it with ptr train q-range"):
        MonitoredPolicy(Scripted([], None), "t", 1.0)


def test_wrong_scenes_are_those_of_the_tasks_that_follow() -> None:
    assert _scenes(["a", "b", "c"], 1) == [("a", "a"), ("a", "b"), ("b", "b"), ("b", "c"), ("c", "c"), ("c", "a")]
    with pytest.raises(PtrError, match="more than the 2 tasks"):
        _scenes(["a", "b"], 2)


def test_a_trial_of_the_shipped_checkpoint_that_succeeds_raises_no_alarm() -> None:
    options = SimpleNamespace(
        level="easy",
        checkpoint=Path(__file__).resolve().parents[3] / "models" / "checkpoints" / "ptr_small",
        tasks=["put_carrot_on_plate"],
        kitchens=["toykitchen1"],
        episodes=1,
        wrong=0,
        drift_time=1.0,
        seed=0,
        max_steps=40,
        goal=None,
    )
    (trial,) = watch_trials(options)
    assert trial.success and trial.alarm is None
