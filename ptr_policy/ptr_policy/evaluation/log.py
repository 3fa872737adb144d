# SPDX-License-Identifier: Apache-2.0
"""Log of a trial, step by step: Q of each action, and whether a person drove."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Takeover:
    """A person took over the arm, or handed it back.

    Attributes:
        stamp: ns, of the arm state that showed it.
        source: device of the person.
        taken: False: handed back.
        step: number of preceding control steps of the policy.
    """

    stamp: int
    source: str
    taken: bool
    step: int


class TrialLog:
    """Updated by the messages of a run, in order of arrival.

    Attributes:
        q: Q of the action of each control step so far; None: no action was sent.
        human_steps: indices of the steps during which a person drove.
        changes: takeovers and hand-backs that have not been processed yet.
        human: a person is driving.
        stopped: the arm was stopped during the run.
    """

    def __init__(self) -> None:
        self.q: list[float | None] = []
        self.human_steps: list[int] = []
        self.changes: deque[Takeover] = deque()
        self.human = False
        self.stopped = False
        self._running = False

    def start(self) -> None:
        """Start a run; a person who is already driving takes over at its first step."""
        self.q, self.human_steps, self.stopped, self._running = [], [], False, True
        self.changes.clear()

    def end(self) -> None:
        """End the run: later driving by a person, such as clearing the scene, is not a takeover."""
        self._running = False

    def arm(self, stamp: int, teleoperated: bool, source: str, stopped: bool = False) -> None:
        """Process an arm state (stamp in ns)."""
        self.stopped = self.stopped or (stopped and self._running)
        if teleoperated == self.human:
            return
        self.human = teleoperated
        if self._running:
            self.changes.append(Takeover(stamp, source, teleoperated, len(self.q)))
            if teleoperated and self.q:
                self._mark(len(self.q) - 1)

    def step(self, q: float, held: bool) -> None:
        """Process a control step of the policy."""
        if not self._running:
            return
        self.q.append(None if held or not math.isfinite(q) else round(float(q), 4))
        if self.human:
            self._mark(len(self.q) - 1)

    def _mark(self, index: int) -> None:
        if index not in self.human_steps[-1:]:
            self.human_steps.append(index)
