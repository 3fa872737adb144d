# SPDX-License-Identifier: Apache-2.0
"""The gate's time: it only grows, and grows evenly, whatever happens to the system's clock.

Stamps are of the ROS clock, which is set by NTP, by hand, or by a simulator. How long something has lasted must not
depend on that: the gate counts a steady clock's seconds, and learns ages as differences on the ROS clock.
"""

from __future__ import annotations

_JUMP = 0.2
"""s by which the clocks may part between two looks; NTP's slewing is below a thousandth of it."""
_LONGEST = 1.0
"""s. With simulated time there is nothing to compare with: a longer step than this is a jump."""


class MonotonicClock:
    """Counts seconds for the gate.

    Args:
        ros, steady: s, the two clocks now.
        simulated: the ROS clock follows /clock; then it is what is counted, except for its jumps.

    Attributes:
        now: s, never less than before.
    """

    def __init__(self, ros: float, steady: float, simulated: bool = False) -> None:
        self.now = steady
        self._ros, self._steady, self._simulated = ros, steady, simulated

    def advance(self, ros: float, steady: float) -> float:
        """Take a look at the clocks.

        Returns:
            s by which the ROS clock has jumped since the last look, negative for backwards; 0 in general.
        """
        passed, flown = ros - self._ros, max(0.0, steady - self._steady)
        self._ros, self._steady = ros, steady
        if not self._simulated:
            self.now += flown
            return passed - flown if abs(passed - flown) > _JUMP else 0.0
        if 0.0 <= passed <= _LONGEST:
            self.now += passed
            return 0.0
        return passed
