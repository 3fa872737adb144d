# SPDX-License-Identifier: Apache-2.0
"""The drift alarm: Q is outside the range that it had at this point of the demonstrations.

It uses Q of the actor's mode, which does not depend on how the action is chosen.
"""

from __future__ import annotations

import math

from ptr_models.training.q_range import QRange


class DriftMonitor:
    """Monitors Q step by step; the alarm is on while the last `window` values were all outside the range.

    Attributes:
        range: Q in the task's demonstrations; None: not known, no alarm.
        alarm: whether the alarm is on.
        low, high: bounds at the last step; NaN: not known.
    """

    def __init__(self, q_range: QRange | None, window: int) -> None:
        self.range, self._window = q_range, window
        self.alarm = False
        self.low = self.high = self._q = math.nan
        self._steps = self._outside = 0

    def update(self, q: float) -> bool:
        """Process Q of one more decision; returns whether the alarm has just started."""
        if self.range is None or not math.isfinite(q):
            return False
        self._q, (self.low, self.high) = q, self.range.at(self._steps)
        self._steps += 1
        self._outside = 0 if self.low <= q <= self.high else self._outside + 1
        before, self.alarm = self.alarm, self._outside >= self._window
        return self.alarm and not before

    @property
    def sentence(self) -> str:
        """The alarm as a sentence."""
        side, bound = ("below", self.low) if self._q < self.low else ("above", self.high)
        return (
            f"Q has been outside the range of the demonstrations for {self._outside} steps: {self._q:.1f} is {side} "
            f"{bound:.1f}; check the scene"
        )
