# SPDX-License-Identifier: Apache-2.0
"""The decision in a control step: act on the observation, or hold and give the reason.

No ROS: the policy, the observation and the clock are passed in. The loop is in `control_loop`, timed by `step_timer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ptr_models.common.errors import PtrError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.sampling import Observation
from ptr_models.inference.acting import Decision, ServedPolicy
from ptr_policy.server.drift import DriftMonitor
from ptr_policy.server.step_grid import ON_TIME, Lateness

HOLD_TIME = 3.0
"""s of holding after which a run ends if it sets no limit of its own."""
LATE_RESET = 5.0
"""s without a late step after which earlier ones no longer count."""


class ServerError(PtrError):
    """The policy can't be served or run; the message says why and what to do."""


@dataclass(frozen=True)
class Step:
    """One control step: a decision to carry out, or the reason why there is none.

    Attributes:
        index: 0 for the first step of a run.
        duration: s from the start of the observation to the action.
    """

    index: int
    decision: Decision | None
    observation: Observation | None
    reason: str = ""
    duration: float = 0.0

    @property
    def held(self) -> bool:
        """Whether no action is sent."""
        return bool(self.reason)


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    Attributes:
        task: known to the policy.
        choice: how the action is chosen: mode, sample, sample_gripper, argmax_q or softmax_q; empty: the checkpoint's.
        max_steps: steps after which the run is complete.
        max_holds: held steps in a row that end the run as failed; missed steps count as held. 0: the number of steps
            in HOLD_TIME.
        candidates: actions that argmax_q and softmax_q choose from; 0: the checkpoint's.
        on_drift: reaction when Q has left the range of the demonstrations: warn, hold or end.
        drift_time: s for which Q must be outside it.
    """

    task: str
    choice: str
    max_steps: int
    max_holds: int
    candidates: int = 0
    on_drift: str = "warn"
    drift_time: float = 1.0


def rehearse(policy: ServedPolicy, options: RunOptions) -> float:
    """Make one decision on an empty observation, so that errors show before the run starts.

    Returns:
        duration of the decision, s.
    Raises:
        PtrError: the policy does not know the task or the choice; the message lists the known ones.
    """
    image = np.zeros(policy.contract.image_shape, np.uint8)
    state = np.zeros(len(policy.contract.state), np.float32)
    return policy.act(image, state, options.task, options.choice, options.candidates).inference_time


class Run:
    """One run of the policy: counts its steps and decides when it ends.

    Attributes:
        steps, held_steps: control steps so far, and those without an action.
        late_steps: steps that started too late or were missed.
        drift: compares Q with the demonstrations.
        ended: empty during the run, then the reason in one sentence.
        failed: True: a fault ended the run.
    """

    def __init__(
        self, policy: ServedPolicy, options: RunOptions, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Args: clock: steady time in s."""
        self.options = options
        self.steps = 0
        self.held_steps = 0
        self.late_steps = 0
        self.ended = ""
        self.failed = False
        self._policy, self._clock = policy, clock
        self._policy.reset()  # forget the rehearsal
        window = round(options.drift_time * policy.contract.control_rate)
        self.drift = DriftMonitor(policy.q_range(options.task), max(1, window))
        self._max_holds = options.max_holds or round(HOLD_TIME * policy.contract.control_rate)
        self._holds_in_a_row = self._steps_on_time = 0
        self._q: list[float] = []

    @property
    def mean_q(self) -> float:
        """Mean Q of the sent actions; NaN: none was sent."""
        return float(np.mean(self._q)) if self._q else float("nan")

    @property
    def late(self) -> bool:
        """True until steps have been on time for LATE_RESET since the last one that was late or missed."""
        return self.late_steps > 0 and self._steps_on_time * self._policy.contract.period < LATE_RESET

    def step(self, observe: Callable[[], Observation], lateness: Lateness = ON_TIME) -> Step:
        """Make one control step.

        Args:
            observe: returns the current observation, or raises EpisodeError (a stream is too old or damaged).
            lateness: how late this step is.
        """
        started = self._clock()
        decision, observation, reason = self._decide(observe, lateness, started)
        step = Step(self.steps, decision, observation, reason, self._clock() - started)
        self._count(step, lateness)
        return step

    def end(self, reason: str, failed: bool) -> None:
        """End the run for an external reason."""
        self.ended, self.failed = reason, self.failed or failed

    def _count(self, step: Step, lateness: Lateness) -> None:
        self.steps += 1
        self.late_steps += lateness.missed + lateness.too_late
        self._steps_on_time = 0 if lateness.too_late else self._steps_on_time + 1
        if step.decision is None or step.held:
            self.held_steps += 1
            self._holds_in_a_row += 1 + lateness.missed
        else:
            self._holds_in_a_row = 0
            self._q.append(float(step.decision.q))
        if self.drift.alarm and self.options.on_drift == "end":
            self.end(self.drift.sentence, failed=True)
        elif self._holds_in_a_row >= self._max_holds:
            self.end(f"held {self._holds_in_a_row} steps in a row: {step.reason}", failed=True)
        elif self.steps >= self.options.max_steps:
            self.end(f"{self.steps} steps are done", failed=False)

    def _decide(
        self, observe: Callable[[], Observation], lateness: Lateness, started: float
    ) -> tuple[Decision | None, Observation | None, str]:
        """The decision, its observation, and why it is not carried out."""
        if lateness.too_late:
            return None, None, lateness.sentence
        try:
            observation = observe()
        except EpisodeError as error:
            return None, None, str(error)
        if not np.all(np.isfinite(observation.state)):
            return None, observation, f"the arm's state is not finite: {observation.state.tolist()}"
        try:
            decision = self._act(observation)
        except Exception as error:  # whatever a network or a GPU driver raises: the arm holds
            return None, observation, f"the policy failed: {type(error).__name__}: {_first_line(error)}"
        reason = self._rejection(decision, self._clock() - started)
        if not reason:
            self.drift.update(decision.q_mode)
            if self.drift.alarm and self.options.on_drift != "warn":
                reason = self.drift.sentence
        return decision, observation, reason

    def _act(self, observation: Observation) -> Decision:
        options = self.options
        stacked = np.concatenate(list(observation.images), axis=-1)
        return self._policy.act(stacked, observation.state, options.task, options.choice, options.candidates)

    def _rejection(self, decision: Decision, took: float) -> str:
        """Why a decision must not be carried out; empty: it may."""
        values = [float(value) for value in (decision.q, decision.q_spread, decision.q_mode)]
        period = self._policy.contract.period
        if not np.all(np.isfinite(decision.action)):
            return f"the policy's action is not finite: {np.asarray(decision.action).tolist()}"
        if self._policy.has_values and not np.all(np.isfinite(values)):
            return f"the Q-function is not finite: {values[0]} with a spread of {values[1]}, {values[2]} of the mode"
        if took > period:
            return f"the decision took {took:.3f} s, longer than the period of {period:.3f} s"
        return ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
