# SPDX-License-Identifier: Apache-2.0
"""What the policy server decides in a step: act on what is seen, or hold and say why.

Plain: the policy, the observation and the clock are passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.sampling import Observation
from ptr_models.errors import PtrError


class ServerError(PtrError):
    """The policy can't be served or run; the message says why and what to do."""


class Decision(Protocol):
    """What a policy answers (`ptr_models.training.policy.Decision`)."""

    action: NDArray[np.float32]  # (7,) m, rad per step; gripper 0..1
    q: float
    q_spread: float
    q_mode: float
    inference_time: float  # s


class Policy(Protocol):
    """What the server needs of a policy (`ptr_models.training.policy.Policy`)."""

    contract: Contract

    def reset(self) -> None:
        """Forget what was seen: a new episode begins."""

    def act(
        self, image: NDArray[np.uint8], state: NDArray[np.float32], task: str, choice: str, candidates: int
    ) -> Decision:
        """Choose an action for an image (H, W, 3 * cameras) uint8 RGB and a state (7,).

        Raises:
            PtrError: the task is unknown, or there is no such choice.
        """


@dataclass(frozen=True)
class Step:
    """One control step: a decision to carry out, or the reason why there is none."""

    index: int
    decision: Decision | None
    observation: Observation | None
    reason: str = ""

    @property
    def held(self) -> bool:
        """True: no action is sent."""
        return bool(self.reason)


@dataclass(frozen=True)
class RunOptions:
    """How a run goes.

    Attributes:
        task: known to the policy.
        choice: how the action is chosen: mode, sample, argmax_q or softmax_q; empty: as the checkpoint says.
        max_steps: the run is complete after so many.
        max_holds: so many holds in a row end the run as failed.
        candidates: actions that argmax_q and softmax_q choose from; 0: as the checkpoint says.
    """

    task: str
    choice: str
    max_steps: int
    max_holds: int
    candidates: int = 0


def rehearse(policy: Policy, options: RunOptions) -> float:
    """Make one decision about nothing, so that what a run can't do is known before it begins.

    Returns:
        s, that the decision took.
    Raises:
        PtrError: the task or the choice is unknown to the policy; the message lists the known ones.
    """
    cameras = policy.contract.cameras
    image = np.zeros((cameras[0].height, cameras[0].width, 3 * len(cameras)), np.uint8)
    state = np.zeros(len(policy.contract.proprioception), np.float32)
    return policy.act(image, state, options.task, options.choice, options.candidates).inference_time


class Run:
    """One run of the policy: counts its steps and knows when it ends.

    Attributes:
        steps, held_steps: control steps so far, and those without an action.
        ended: empty while the run goes on, then one sentence.
        failed: True when a fault ended it.
    """

    def __init__(self, policy: Policy, options: RunOptions) -> None:
        self.options = options
        self.steps = 0
        self.held_steps = 0
        self.ended = ""
        self.failed = False
        self._policy = policy
        self._policy.reset()  # the rehearsal was seen, too
        self._holds_in_a_row = 0
        self._q: list[float] = []

    @property
    def mean_q(self) -> float:
        """Mean over the actions that were sent; NaN when there was none."""
        return float(np.mean(self._q)) if self._q else float("nan")

    def step(self, observe: Callable[[], Observation]) -> Step:
        """Take one control step.

        Args:
            observe: gives the observation as of now, or raises EpisodeError (a stream is too old or damaged).
        """
        step = self._decide(observe)
        self.steps += 1
        if step.held:
            self.held_steps += 1
            self._holds_in_a_row += 1
        else:
            self._holds_in_a_row = 0
            self._q.append(float(step.decision.q))
        if self._holds_in_a_row >= self.options.max_holds:
            self.failed = True
            self.ended = f"held {self._holds_in_a_row} steps in a row: {step.reason}"
        elif self.steps >= self.options.max_steps:
            self.ended = f"{self.steps} steps are done"
        return step

    def _decide(self, observe: Callable[[], Observation]) -> Step:
        try:
            observation = observe()
        except EpisodeError as error:
            return Step(self.steps, None, None, str(error))
        options = self.options
        stacked = np.concatenate(list(observation.images), axis=-1)
        decision = self._policy.act(
            stacked, observation.state, options.task, options.choice, options.candidates
        )
        reason = ""
        if not np.all(np.isfinite(decision.action)):
            reason = f"the policy's action is not finite: {np.asarray(decision.action).tolist()}"
        elif decision.inference_time > self._policy.contract.period:
            period = self._policy.contract.period
            reason = f"the decision took {decision.inference_time:.3f} s of a period of {period:.3f} s"
        return Step(self.steps, decision, observation, reason)
