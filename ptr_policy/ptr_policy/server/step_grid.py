# SPDX-License-Identifier: Apache-2.0
"""The time grid of control steps: when each is due, how late it was, and how many were missed."""

from __future__ import annotations

from dataclasses import dataclass

TOLERANCE = 0.5
"""Share of a period by which a step may be late. Beyond that, the next step would cut its action short."""


@dataclass(frozen=True)
class Lateness:
    """How late a step was.

    Attributes:
        late: s after it was due.
        missed: preceding steps that were due and did not happen; they are not made up.
        period: s.
    """

    late: float
    missed: int
    period: float

    @property
    def too_late(self) -> bool:
        """Whether the step must hold: it was late, or preceding steps were missed."""
        return self.missed > 0 or self.late > TOLERANCE * self.period

    @property
    def sentence(self) -> str:
        """The lateness as a sentence."""
        missed = f", {self.missed} steps before it were missed" if self.missed else ""
        return f"the step began {self.late:.3f} s after its time (the period is {self.period:.3f} s){missed}"


ON_TIME = Lateness(0.0, 0, 1.0)


class StepGrid:
    """Compares the start times of steps with an even grid.

    Attributes:
        due: s, when the next step is due.
    """

    def __init__(self, period: float, first: float) -> None:
        """Args: period: s.   first: s, when the first step is due."""
        self._period = period
        self.due = first

    def tick(self, now: float) -> Lateness:
        """Count a step that starts at `now` (s); if the clock was set back, the grid restarts."""
        late = now - self.due
        if late < -self._period:
            self.due, late = now, 0.0
        missed = max(0, int(late / self._period))
        self.due += (missed + 1) * self._period
        return Lateness(max(0.0, late), missed, self._period)
