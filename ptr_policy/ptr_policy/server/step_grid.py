# SPDX-License-Identifier: Apache-2.0
"""The steady beat of control steps: when each is due, how late it came, and how many were missed."""

from __future__ import annotations

from dataclasses import dataclass

TOLERANCE = 0.5
"""Share of a period by which a step may come late. Later, its action would be cut short by the next one."""


@dataclass(frozen=True)
class Lateness:
    """How a step kept its time.

    Attributes:
        late: s after the time at which it was due.
        missed: steps before it that were due and did not happen. They are not made up.
        period: s.
    """

    late: float
    missed: int
    period: float

    @property
    def too_late(self) -> bool:
        """Whether the step has to hold: it was late, or steps before it were missed."""
        return self.missed > 0 or self.late > TOLERANCE * self.period

    @property
    def sentence(self) -> str:
        """What happened."""
        missed = f", {self.missed} steps before it were missed" if self.missed else ""
        return f"the step began {self.late:.3f} s after its time (the period is {self.period:.3f} s){missed}"


ON_TIME = Lateness(0.0, 0, 1.0)


class StepGrid:
    """Compares the moments at which steps begin with an even grid of times.

    Attributes:
        due: s, when the next step is due.
    """

    def __init__(self, period: float, first: float) -> None:
        """Args: period: s.   first: s, when the first step is due."""
        self._period = period
        self.due = first

    def tick(self, now: float) -> Lateness:
        """A step begins now (s); a clock that was set back begins the grid again."""
        late = now - self.due
        if late < -self._period:
            self.due, late = now, 0.0
        missed = max(0, int(late / self._period))
        self.due += (missed + 1) * self._period
        return Lateness(max(0.0, late), missed, self._period)
