# SPDX-License-Identifier: Apache-2.0
"""A trajectory as xs_sdk plays it: one goal after another, by a timer, whatever the arm does meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Playback:
    """Goals that become due. The first point is where the motion begins; each other one is sent when the one before
    it is due, so that the motors are on their way to it.

    Attributes:
        kind, name: whose goals they are: `group` or `single`, and its name.
        times: s from the start, of each point.
        goals: of each point, in the group's order.
    """

    kind: str
    name: str
    times: Sequence[float]
    goals: Sequence[Sequence[float]]
    _elapsed: float = field(default=0.0, init=False)
    _next: int = field(default=1, init=False)

    @property
    def over(self) -> bool:
        """True once the last goal was sent and its time has come."""
        return self._next >= len(self.times) and self._elapsed >= self.times[-1]

    def advance(self, elapsed: float) -> Sequence[float] | None:
        """The newest goal that has become due `elapsed` s later, None where none has."""
        due = None
        while self._next < len(self.times) and self._elapsed >= self.times[self._next - 1]:
            due = self.goals[self._next]
            self._next += 1
        self._elapsed += elapsed
        return due
