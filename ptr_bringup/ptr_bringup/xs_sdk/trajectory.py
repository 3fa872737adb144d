# SPDX-License-Identifier: Apache-2.0
"""A trajectory as executed by xs_sdk: one goal after another by a timer, regardless of the arm's motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Playback:
    """Goals with their times. The first point is the start of the motion. Each other one is sent when the previous one
    is due, so that the motors move towards it.

    Attributes:
        kind, name: `group` or `single`, and the name of the group or joint.
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
        """True once the last goal was sent and is due."""
        return self._next >= len(self.times) and self._elapsed >= self.times[-1]

    def advance(self, elapsed: float) -> Sequence[float] | None:
        """Advance by `elapsed` s; returns the newest goal that is due, None if none is."""
        due = None
        while self._next < len(self.times) and self._elapsed >= self.times[self._next - 1]:
            due = self.goals[self._next]
            self._next += 1
        self._elapsed += elapsed
        return due
