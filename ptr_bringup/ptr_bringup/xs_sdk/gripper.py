# SPDX-License-Identifier: Apache-2.0
"""The gripper's motor under PWM control, mapped to the simulated fingers.

The speed of a free DC motor and the force of a blocked one are proportional to its PWM. A spring moves the simulated
fingers (force = stiffness x distance to their target). So the target advances at the motor's speed, but never further
than the motor's force would stretch the spring.
"""

from __future__ import annotations

import math

HORN, ROD = 0.014, 0.024
"""m, crank of the gripper (wx250s.yaml: horn_radius, arm_length)."""
FULL = 885.0
"""PWM at full supply voltage."""
NO_LOAD = 6.4
"""rad/s of an XL430-W250 at 12 V without load (e-manual: 61 rev/min)."""
STALL_FORCE = 45.0
"""N between the fingers at full voltage: gives 18 N, the limit of the simulated fingers, at 350 of 885."""
STIFFNESS = 1500.0
"""N/m of the simulated fingers' actuator."""


class GripperMotor:
    """Converts PWM to a target of the simulated fingers; without PWM there is no force."""

    def __init__(self) -> None:
        self.pwm = 0.0
        self._target: float | None = None

    def advance(self, finger: float, elapsed: float) -> float:
        """Target (m) of the fingers after `elapsed` s, from their position `finger` (m)."""
        share = self.pwm / FULL
        ahead = abs(share) * STALL_FORCE / STIFFNESS
        target = finger if self._target is None else self._target
        target += share * NO_LOAD * HORN * elapsed
        self._target = min(max(target, finger - ahead), finger + ahead)
        return self._target


def finger_from_angle(angle: float) -> float:
    """Position (m) of a finger from the angle (rad) of the gripper's motor."""
    across = HORN * math.cos(angle)
    return HORN * math.sin(angle) + math.sqrt(ROD**2 - across**2)
