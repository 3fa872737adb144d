# SPDX-License-Identifier: Apache-2.0
"""How the motors move between two setpoints: the profile registers of the Dynamixel X series.

Bridge sends one setpoint per control step of 0.2 s and lets the motors take 1.25 periods for the motion and half a
period for its acceleration (250 ms, 100 ms). The gate sends a setpoint every 20 ms, which already follow a smooth
path, so the same rule is applied to that period: 25 ms and 10 ms. Bridge's own 250 ms would begin a new slow motion
at each setpoint and trail the gate by 200 ms. The other way, ALOHA's, is a velocity profile of 0: each setpoint is a
step that the motor's position controller takes at once.

Measured with tests/benchmarks/motor_profile.py (setpoints at 50 Hz along a minimum-jerk motion of 0.6 rad in 1.2 s):

| profile               | delay (ms) | peak jerk of the motors' reference (rad/s^3) |
|-----------------------|------------|----------------------------------------------|
| time, 25 and 10 ms    | 17         | 1.3e5                                        |
| velocity 0            | 0          | steps, not bounded                           |
| time, 250 and 100 ms  | 196        | 0.7e3                                        |
"""

from __future__ import annotations

from dataclasses import dataclass

MOVING, ACCELERATING = 1.25, 0.5
"""Shares of the setpoints' period (Bridge: `set_moving_time`)."""


@dataclass(frozen=True)
class Profile:
    """What set_operating_modes and the registers Profile_Velocity and Profile_Acceleration take.

    Attributes:
        kind: `time` or `velocity`.
        velocity: ms that a motion takes; of a velocity profile 0.229 rev/min. 0: no limit.
        acceleration: ms of acceleration; of a velocity profile 214.577 rev/min^2. 0: no limit.
    """

    kind: str
    velocity: int
    acceleration: int

    def __str__(self) -> str:
        if self.kind == "time":
            return f"time, {self.velocity} ms, {self.acceleration} ms"
        return f"velocity, {self.velocity}, {self.acceleration}"


def profile_named(kind: str, period: float) -> Profile:
    """The profile for setpoints every `period` s.

    Raises:
        ValueError: there is no such profile.
    """
    if kind == "time":
        return Profile("time", max(1, round(1000 * MOVING * period)), max(1, round(1000 * ACCELERATING * period)))
    if kind == "velocity":
        return Profile("velocity", 0, 0)
    raise ValueError(f"There is no profile {kind!r}; known: time, velocity.")
