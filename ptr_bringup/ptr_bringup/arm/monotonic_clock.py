# SPDX-License-Identifier: Apache-2.0
"""The gate's time: monotonic and steady, whatever happens to the system clock.

Stamps come from the ROS clock, which NTP, a person or a simulator can set. Durations must not depend on that. So the
gate measures durations on a steady clock, and ages as differences on the ROS clock.
"""

from __future__ import annotations

_JUMP = 0.2
"""s that the clocks may drift apart between two updates; NTP's slewing is less than a thousandth of it."""
_MAX_STEP = 1.0
"""s. Simulated time can't be compared with the steady clock, so a step longer than this counts as a jump."""


class MonotonicClock:
    """Counts seconds for the gate.

    Args:
        ros, steady: s, current time of the two clocks.
        simulated: the ROS clock follows /clock; then its time is counted, without its jumps.

    Attributes:
        now: s, never decreases.
    """

    def __init__(self, ros: float, steady: float, simulated: bool = False) -> None:
        self.now = steady
        self._ros, self._steady, self._simulated = ros, steady, simulated

    def advance(self, ros: float, steady: float) -> float:
        """Update `now` from the two clocks.

        Returns:
            s that the ROS clock has jumped since the last update, negative for backwards; normally 0.
        """
        ros_elapsed, steady_elapsed = ros - self._ros, max(0.0, steady - self._steady)
        self._ros, self._steady = ros, steady
        if not self._simulated:
            self.now += steady_elapsed
            return ros_elapsed - steady_elapsed if abs(ros_elapsed - steady_elapsed) > _JUMP else 0.0
        if 0.0 <= ros_elapsed <= _MAX_STEP:
            self.now += ros_elapsed
            return 0.0
        return ros_elapsed
