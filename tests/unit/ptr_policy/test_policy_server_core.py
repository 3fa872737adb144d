# SPDX-License-Identifier: Apache-2.0
"""The policy server's decisions: act, hold and say why, end after too many holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ptr_models.contract import Contract
from ptr_models.episodes.errors import StaleSampleError
from ptr_models.episodes.sampling import Observation
from ptr_policy.server.core import Run, RunOptions, rehearse

OPTIONS = RunOptions("put_knife_in_pot", "mode", max_steps=5, max_holds=3)


@dataclass(frozen=True)
class Answer:
    """A decision."""

    action: np.ndarray
    q: float = 2.0
    q_spread: float = 0.1
    q_mode: float = 1.5
    inference_time: float = 0.01


class Parrot:
    """A policy that always answers the same, and remembers what it was asked."""

    def __init__(self, answer: Answer, contract: Contract | None = None) -> None:
        self.contract = contract or Contract()
        self.answer = answer
        self.asked: list[tuple] = []

    def reset(self) -> None:
        self.asked.clear()

    def act(self, image, state, task, choice, candidates) -> Answer:
        self.asked.append((image.shape, image.dtype, np.shape(state), task, choice, candidates))
        return self.answer


def good() -> Parrot:
    return Parrot(Answer(np.array([0.01, 0, 0, 0, 0, 0, 1.0], np.float32)))


def observe() -> Observation:
    return Observation(np.zeros((1, 64, 64, 3), np.uint8), np.zeros(7, np.float32), (10,), 11)


def stale() -> Observation:
    raise StaleSampleError("camera over_shoulder", 0.41, 0.3)


def test_a_run_is_complete_after_its_steps() -> None:
    run = Run(good(), OPTIONS)
    steps = []
    while not run.ended:
        steps.append(run.step(observe))
    assert [step.index for step in steps] == [0, 1, 2, 3, 4]
    assert (run.steps, run.held_steps, run.failed, run.mean_q) == (5, 0, False, 2.0)
    assert run.ended == "5 steps are done"


def test_a_stale_image_holds_and_says_which_and_how_old() -> None:
    run = Run(good(), OPTIONS)
    step = run.step(stale)
    assert step.held
    assert step.decision is None
    assert "camera over_shoulder" in step.reason
    assert "0.410 s old; at most 0.300 s is allowed" in step.reason
    assert not run.ended


def test_holds_in_a_row_end_the_run_as_failed() -> None:
    run = Run(good(), replace(OPTIONS, max_steps=50))
    for source in (stale, stale, observe, stale, stale):
        run.step(source)
    assert not run.ended
    run.step(stale)
    assert run.failed
    assert run.ended.startswith("held 3 steps in a row: stream camera over_shoulder")
    assert (run.steps, run.held_steps) == (6, 5)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(np.array([0.01, 0, math.nan, 0, 0, 0, 1.0])), "is not finite"),
        (Answer(np.array([0.01, 0, 0, 0, 0, 0, math.inf])), "is not finite"),
        (Answer(np.zeros(7), inference_time=0.25), "took 0.250 s of a period of 0.200 s"),
    ],
)
def test_a_decision_that_can_not_be_trusted_is_held(answer: Answer, reason: str) -> None:
    run = Run(Parrot(answer), OPTIONS)
    step = run.step(observe)
    assert step.held
    assert reason in step.reason
    assert math.isnan(run.mean_q)


def test_a_run_begins_without_what_the_rehearsal_or_another_run_has_seen() -> None:
    policy = good()
    rehearse(policy, OPTIONS)
    run = Run(policy, OPTIONS)
    assert policy.asked == []
    run.step(observe)
    run.step(observe)
    assert len(policy.asked) == 2


def test_the_policy_sees_all_cameras_stacked() -> None:
    policy = good()
    two = Observation(np.zeros((2, 32, 48, 3), np.uint8), np.zeros(7, np.float32), (1, 2), 3)
    Run(policy, replace(OPTIONS, choice="argmax_q", candidates=9)).step(lambda: two)
    assert policy.asked == [((32, 48, 6), np.uint8, (7,), "put_knife_in_pot", "argmax_q", 9)]


def test_a_rehearsal_shows_what_a_run_can_not_do() -> None:
    class Stubborn(Parrot):
        def act(self, *arguments) -> Answer:
            raise ValueError("unknown task")

    policy = good()
    assert rehearse(policy, OPTIONS) == 0.01
    assert policy.asked[0][:3] == ((64, 64, 3), np.uint8, (7,))
    with pytest.raises(ValueError, match="unknown task"):
        rehearse(Stubborn(policy.answer), OPTIONS)
