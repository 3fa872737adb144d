# SPDX-License-Identifier: Apache-2.0
"""PWM control of the gripper: proportional to the finger's error, with end stops and a reduced holding force.

Gain and limit are Bridge's (error x 300 per m, clipped to +-1, times 350). Bridge keeps pushing with full force while
something is held, which heats the XL430 until it trips. Here the force backs off once the finger has settled. A
motor's heat grows with the square of its PWM, so 200 instead of 350 leaves a third.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptr_bringup.arm.model.kinematics import FINGER_CLOSED, FINGER_OPEN


@dataclass(frozen=True)
class GripperSettings:
    """Stroke and force.

    Attributes:
        closed, opened: m, positions of the left finger for openings 0 and 1.
        gain: 1/m, share of `limit` per m of error.
        limit: maximum PWM; 885 is the full supply voltage.
        hold: PWM that holds an object once the finger has settled on it.
        tolerance: m, error below which no force is applied, even at the end stops.
        settled_after: s without progress after which the force backs off.
        progress: m, minimum motion towards the goal within that time. Objects yield and turn between the fingers.
    """

    closed: float = FINGER_CLOSED
    opened: float = FINGER_OPEN
    gain: float = 300.0
    limit: float = 350.0
    hold: float = 200.0
    tolerance: float = 0.0007
    settled_after: float = 0.4
    progress: float = 0.001

    def __post_init__(self) -> None:
        if not 0.0 < self.closed < self.opened:
            raise ValueError(
                f"the fingers' stroke is {self.closed} m (closed) to {self.opened} m (open); closed must be smaller"
            )
        if not 0.0 <= self.hold <= self.limit:
            raise ValueError(f"the holding PWM is {self.hold}; it must be between 0 and the limit, {self.limit}")

    def opening(self, finger: float) -> float:
        """Opening (0 closed, 1 open, not clipped) of a finger position in m."""
        return (finger - self.closed) / (self.opened - self.closed)

    def finger(self, opening: float) -> float:
        """Finger position in m of an opening in [0, 1]."""
        return self.closed + min(max(opening, 0.0), 1.0) * (self.opened - self.closed)


class GripperPwm:
    """Computes the PWM from the measured finger. It has no clock: times in s are passed in."""

    def __init__(self, settings: GripperSettings) -> None:
        self._settings = settings
        self._goal = math.nan
        self._reference, self._since, self._settled = math.nan, 0.0, False
        self._force = 0.0

    def step(self, now: float, finger: float, opening: float) -> float:
        """PWM to send, positive opens.

        Args:
            finger: m, measured.
            opening: requested, 0 to 1.
        """
        if not (math.isfinite(finger) and math.isfinite(opening)):
            return self.step_without_position()
        goal = self._settings.finger(opening)
        self._update_settled(now, finger, goal)
        self._force = self._decide(finger, goal - finger)
        return self._force

    def step_without_position(self) -> float:
        """PWM if the finger position is unknown: keeps holding an object, with at most the holding PWM."""
        self._force = -min(max(-self._force, 0.0), self._settings.hold)
        return self._force

    def _decide(self, finger: float, error: float) -> float:
        s = self._settings
        if abs(error) <= s.tolerance or self._at_end(finger, error):
            return 0.0
        force = min(max(s.gain * error, -1.0), 1.0) * s.limit
        if not self._settled:
            return force
        if error > 0.0:
            return 0.0  # opening against an obstacle: nothing is held, so no force is needed
        return -min(-force, s.hold)

    def _update_settled(self, now: float, finger: float, goal: float) -> None:
        """The finger has settled if it got no closer to its goal during the last `settled_after` s."""
        s = self._settings
        nearer = math.copysign(1.0, goal - finger) * (finger - self._reference)
        if not abs(goal - self._goal) <= s.tolerance or nearer > s.progress:
            self._settled = False
        elif now - self._since < s.settled_after - 1e-9:
            return
        else:
            self._settled = True
        self._goal, self._reference, self._since = goal, finger, now

    def _at_end(self, finger: float, error: float) -> bool:
        s = self._settings
        return (error < 0.0 and finger <= s.closed + s.tolerance) or (error > 0.0 and finger >= s.opened - s.tolerance)
