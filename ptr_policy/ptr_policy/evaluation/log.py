# SPDX-License-Identifier: Apache-2.0
"""What happened during a trial, step by step: Q of each action, and whether a person drove."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Takeover:
    """A person took the arm, or handed it back.

    Attributes:
        stamp: ns, of the arm state that showed it.
        source: device of the person.
        taken: False: handed back.
        step: control steps of the policy before it.
    """

    stamp: int
    source: str
    taken: bool
    step: int


class TrialLog:
    """Fed by the messages of a run, in the order of their arrival.

    Attributes:
        q: Q of the action of each control step so far, None where none was sent.
        human_steps: indices of the steps during which a person drove.
        changes: takeovers and hand-backs that nobody has looked at yet.
        human: a person drives now.
        stopped: the arm was stopped during the run.
    """

    def __init__(self) -> None:
        self.q: list[float | None] = []
        self.human_steps: list[int] = []
        self.changes: deque[Takeover] = deque()
        self.human = False
        self.stopped = False
        self._running = False

    def begin(self) -> None:
        """A run begins; a person who drives already takes over at its first step."""
        self.q, self.human_steps, self.stopped, self._running = [], [], False, True
        self.changes.clear()

    def end(self) -> None:
        """The run has ended: what a person drives from now on, such as clearing the scene, is no takeover."""
        self._running = False

    def arm(self, stamp: int, teleoperated: bool, source: str, stopped: bool = False) -> None:
        """An arm state (stamp in ns)."""
        self.stopped = self.stopped or (stopped and self._running)
        if teleoperated == self.human:
            return
        self.human = teleoperated
        if self._running:
            self.changes.append(Takeover(stamp, source, teleoperated, len(self.q)))
            if teleoperated and self.q:
                self._mark(len(self.q) - 1)

    def step(self, q: float, held: bool) -> None:
        """A control step of the policy."""
        if not self._running:
            return
        self.q.append(None if held or not math.isfinite(q) else round(float(q), 4))
        if self.human:
            self._mark(len(self.q) - 1)

    def _mark(self, index: int) -> None:
        if index not in self.human_steps[-1:]:
            self.human_steps.append(index)
