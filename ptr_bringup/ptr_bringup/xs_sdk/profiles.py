# SPDX-License-Identifier: Apache-2.0
"""Motion profiles of the Dynamixel X series: how a motor's reference moves to a new goal (ROBOTIS e-manual, Profile
Velocity).

A profile is a velocity trapezoid. A goal that arrives during a motion starts a new profile at the current position and
velocity of the reference (velocity override), so the velocity stays continuous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

VELOCITY_UNIT = 0.229 * 2.0 * math.pi / 60.0
"""rad/s per unit of Profile_Velocity in a velocity-based profile (0.229 rev/min)."""
ACCELERATION_UNIT = 214.577 * 2.0 * math.pi / 3600.0
"""rad/s^2 per unit of Profile_Acceleration in a velocity-based profile (214.577 rev/min^2)."""


@dataclass
class Reference:
    """The reference of one motor's position controller.

    Attributes:
        kind: `time` or `velocity`, the meaning of the two registers.
        velocity, acceleration: registers Profile_Velocity and Profile_Acceleration; 0: no limit.
    """

    position: float
    kind: str = "time"
    velocity: int = 0
    acceleration: int = 0

    def __post_init__(self) -> None:
        self.goal, self.speed = self.position, 0.0
        self._from, self._elapsed = (self.position, 0.0), 0.0
        self._duration, self._ramp, self._cruise = 0.0, 0.0, 0.0

    def hold(self, position: float) -> None:
        """Set goal and reference to a position immediately, as when torque is enabled."""
        self.position = self.goal = position
        self.speed = 0.0
        self._duration = 0.0

    def go(self, goal: float) -> None:
        """Start a profile from the current reference to a goal (rad)."""
        self.goal = goal
        self._from, self._elapsed = (self.position, self.speed), 0.0
        self._duration, self._ramp = self._times(goal - self.position)
        if self._duration > 0.0:
            # The area under the trapezoid is the distance: ramp from the current speed, cruise, ramp to rest.
            distance = goal - self.position - 0.5 * self.speed * self._ramp
            self._cruise = distance / (self._duration - self._ramp)

    def _times(self, distance: float) -> tuple[float, float]:
        """Duration and ramp (s) of a profile over `distance` rad."""
        if self.velocity == 0:
            return 0.0, 0.0
        if self.kind == "time":
            duration = 1e-3 * self.velocity
            return duration, min(1e-3 * self.acceleration, 0.5 * duration)
        speed = self.velocity * VELOCITY_UNIT
        if self.acceleration == 0:
            return abs(distance) / speed, 0.0
        acceleration = self.acceleration * ACCELERATION_UNIT
        if abs(distance) < speed * speed / acceleration:
            ramp = math.sqrt(abs(distance) / acceleration)
            return 2.0 * ramp, ramp
        return abs(distance) / speed + speed / acceleration, speed / acceleration

    def advance(self, elapsed: float) -> float:
        """Advance by `elapsed` s; returns the reference (rad)."""
        self._elapsed += elapsed
        t, left = self._elapsed, self._duration - self._elapsed
        if left <= 0.0:
            self.position, self.speed = self.goal, 0.0
            return self.position
        start, before = self._from
        if t < self._ramp:
            self.speed = before + (self._cruise - before) * t / self._ramp
            self.position = start + 0.5 * (before + self.speed) * t
        elif left > self._ramp:
            self.speed = self._cruise
            self.position = start + 0.5 * (before + self._cruise) * self._ramp + self._cruise * (t - self._ramp)
        else:
            self.speed = self._cruise * left / self._ramp
            self.position = self.goal - 0.5 * self.speed * left
        return self.position
