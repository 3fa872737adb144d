# SPDX-License-Identifier: Apache-2.0
"""Motion of the motors between two setpoints: the profile registers of the Dynamixel X series.

Bridge sends one setpoint per control step of 0.2 s. Its time profile takes 1.25 periods for a motion and half a period
to accelerate. A profile decelerates during its last `acceleration` ms, so each step brakes before the next setpoint
arrives. The gate sends a setpoint every 20 ms along a smooth path. A motor follows it smoothly if the next setpoint
arrives before it brakes: motion - acceleration >= period. One period of acceleration and half a period of margin for a
late setpoint make 2.5 periods (50 ms, 20 ms). ALOHA uses a velocity profile of 0 instead: each setpoint is a step that
only the position controller smooths.

tests/benchmarks/motor_profile.py, a minimum-jerk motion of 0.6 rad in 1.2 s (maximum acceleration 2.4 rad/s^2) with
setpoints late by some ms:

| profile                  | setpoints | delay (ms) | rms error after it (mrad) | peak acceleration (rad/s^2) |
|--------------------------|-----------|------------|---------------------------|-----------------------------|
| time: 50 and 20 ms       | 50 Hz     | 40         | 0.4                       | 6                           |
| Bridge's shares: 25, 10  | 50 Hz     | 22         | 0.5                       | 117                         |
| velocity: 0              | 50 Hz     | 10         | 2.7                       | a step each time            |
| bridge: 250 and 100 ms   | 50 Hz     | 200        | 7.7                       | 2                           |
| bridge: 250 and 100 ms   | 5 Hz      | 219        | 4.8                       | 11                          |
"""

from __future__ import annotations

from dataclasses import dataclass

MOVING, ACCELERATING = 2.5, 1.0
"""Setpoint periods that a motion and its acceleration take."""


@dataclass(frozen=True)
class Profile:
    """Values for set_operating_modes and the registers Profile_Velocity and Profile_Acceleration.

    Attributes:
        kind: `time` or `velocity`.
        velocity: ms that a motion takes; in a velocity profile, units of 0.229 rev/min. 0: no limit.
        acceleration: ms of acceleration; in a velocity profile, units of 214.577 rev/min^2. 0: no limit.
    """

    kind: str
    velocity: int
    acceleration: int

    def __str__(self) -> str:
        if self.kind == "time":
            return f"time, {self.velocity} ms, {self.acceleration} ms"
        return f"velocity, {self.velocity}, {self.acceleration}"


def profile_named(name: str, period: float) -> Profile:
    """The profile for setpoints every `period` s: `time`, `velocity`, or `bridge` (Bridge's, for steps of 0.2 s).

    Raises:
        ValueError: the name is unknown.
    """
    if name == "time":
        return Profile("time", max(2, round(1000 * MOVING * period)), max(1, round(1000 * ACCELERATING * period)))
    if name == "velocity":
        return Profile("velocity", 0, 0)
    if name == "bridge":
        return Profile("time", 250, 100)
    raise ValueError(f"unknown profile {name!r}; known: time, velocity, bridge")
