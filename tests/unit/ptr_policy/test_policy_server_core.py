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
from ptr_models.training.q_range import QRange
from ptr_policy.server.run import Run, RunOptions, rehearse
from ptr_policy.server.step_grid import Lateness

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
    """A policy that always answers the same, and remembers what it was asked.

    Args:
        answer: a decision, or what it raises.
        takes: s that it needs, by the clock `now`.
    """

    def __init__(
        self, answer: Answer | Exception, takes: float = 0.01, has_values: bool = True, range_: QRange | None = None
    ) -> None:
        self.contract = Contract()
        self.answer, self.takes, self.has_values, self.range = answer, takes, has_values, range_
        self.asked: list[tuple] = []
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def q_range(self, task: str) -> QRange | None:
        return self.range

    def reset(self) -> None:
        self.asked.clear()

    def act(self, image, state, task, choice, candidates) -> Answer:
        self.asked.append((image.shape, image.dtype, np.shape(state), task, choice, candidates))
        self.time += self.takes
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ACTION = np.array([0.01, 0, 0, 0, 0, 0, 1.0], np.float32)


def good() -> Parrot:
    return Parrot(Answer(ACTION))


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
    ("policy", "reason"),
    [
        (Parrot(Answer(np.array([0.01, 0, math.nan, 0, 0, 0, 1.0]))), "the policy's action is not finite"),
        (Parrot(Answer(np.array([0.01, 0, 0, 0, 0, 0, math.inf]))), "the policy's action is not finite"),
        (Parrot(Answer(ACTION, q=math.nan)), "the Q-function is not finite: nan"),
        (Parrot(Answer(ACTION, q_spread=math.inf)), "with a spread of inf"),
        (Parrot(Answer(ACTION, q_mode=-math.inf)), "-inf of the mode"),
        (Parrot(Answer(ACTION), takes=0.25), "took 0.250 s, longer than the period of 0.200 s"),
        (Parrot(RuntimeError("CUDA error: out of memory\nmore")), "the policy failed: RuntimeError: CUDA error"),
    ],
)
def test_a_decision_that_can_not_be_trusted_is_held(policy: Parrot, reason: str) -> None:
    run = Run(policy, OPTIONS, policy.now)
    step = run.step(observe)
    assert step.held
    assert reason in step.reason and "\n" not in step.reason
    assert math.isnan(run.mean_q)
    run.step(observe)
    run.step(observe)
    assert run.failed and run.ended == f"held 3 steps in a row: {step.reason}"


def test_a_policy_without_a_q_function_acts_although_its_values_are_not_numbers() -> None:
    run = Run(Parrot(Answer(ACTION, math.nan, math.nan, math.nan), has_values=False), OPTIONS)
    assert not run.step(observe).held


def test_a_decision_that_takes_just_its_period_is_carried_out() -> None:
    policy = Parrot(Answer(ACTION), takes=0.1999)
    step = Run(policy, OPTIONS, policy.now).step(observe)
    assert not step.held and step.duration == pytest.approx(0.1999)


def test_a_state_that_is_not_finite_is_held_without_asking_the_policy() -> None:
    policy = good()
    broken = replace(observe(), state=np.array([0.3, math.nan, 0, 0, 0, 0, 1], np.float32))
    step = Run(policy, OPTIONS).step(lambda: broken)
    assert step.held and step.reason.startswith("the arm's state is not finite: [0.3")
    assert policy.asked == []


def test_a_late_step_holds_and_is_counted_with_those_that_were_missed() -> None:
    run = Run(good(), replace(OPTIONS, max_steps=50, max_holds=5))
    run.step(observe, Lateness(0.05, 0, 0.2))
    late = run.step(observe, Lateness(0.45, 2, 0.2))
    assert late.held and "0.450 s after its time" in late.reason and "2 steps before it were missed" in late.reason
    assert (run.steps, run.held_steps, run.late_steps, run.failed) == (2, 1, 3, False)
    run.step(observe)
    run.step(observe, Lateness(1.0, 4, 0.2))
    assert run.failed and run.late_steps == 8
    assert run.ended.startswith("held 5 steps in a row: the step began 1.000 s after its time")


@pytest.mark.parametrize(("rate", "holds"), [(1.0, 3), (5.0, 15), (20.0, 60), (50.0, 150)])
def test_unless_told_otherwise_a_run_ends_after_three_seconds_of_holding(rate: float, holds: int) -> None:
    policy = good()
    policy.contract = Contract(control_rate=rate)
    run = Run(policy, replace(OPTIONS, max_steps=1000, max_holds=0))
    while not run.ended:
        run.step(stale)
    assert run.failed and run.steps == holds
    assert run.ended.startswith(f"held {holds} steps in a row: stream camera over_shoulder has a newest sample 0.410")


@pytest.mark.parametrize("rate", [1.0, 5.0, 50.0])
def test_a_late_step_is_history_after_five_seconds_on_time(rate: float) -> None:
    policy = Parrot(Answer(ACTION), takes=0.001)
    policy.contract = Contract(control_rate=rate)
    run = Run(policy, replace(OPTIONS, max_steps=2000, max_holds=1000))
    run.step(observe)
    assert not run.late
    for missed in (0, 3):
        run.step(observe, Lateness((missed + 0.9) / rate, missed, 1.0 / rate))
        for _ in range(round(5 * rate) - 1):
            assert run.late
            run.step(observe)
        assert run.late
        run.step(observe)
        assert not run.late
    assert run.late_steps == 1 + 4


FIVE = QRange((-8.0,) * 5 + (2.0,), (9.0,) * 6, 10)
"""From the sixth step on Q has to be 2 at least; the answers of `good` have 1.5 at their mode."""


def drifting(on_drift: str) -> tuple[Run, list[bool]]:
    """A run of 14 steps with an alarm after 1 s, which is 5 steps, and which of them were held."""
    run = Run(Parrot(Answer(ACTION), range_=FIVE), replace(OPTIONS, max_steps=14, max_holds=4, on_drift=on_drift))
    held = []
    while not run.ended:
        held.append(run.step(observe).held)
    return run, held


def test_drift_warns_and_the_run_goes_on() -> None:
    run, held = drifting("warn")
    assert held == [False] * 14 and not run.failed
    assert run.drift.alarm and (run.drift.low, run.drift.high) == (2.0, 9.0)
    assert run.drift.sentence.startswith("Q has been outside the range of the demonstrations for 9 steps: 1.5 is below")


def test_drift_holds_until_the_run_ends() -> None:
    run, held = drifting("hold")
    assert held == [False] * 9 + [True] * 4
    assert run.failed and run.ended.startswith("held 4 steps in a row: Q has been outside the range")


def test_drift_ends_the_run() -> None:
    run, held = drifting("end")
    assert held == [False] * 9 + [True]
    assert run.failed and run.ended.startswith("Q has been outside the range of the demonstrations for 5 steps")


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
