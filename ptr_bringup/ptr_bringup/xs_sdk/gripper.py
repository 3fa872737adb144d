# SPDX-License-Identifier: Apache-2.0
"""The gripper's motor under pulse-width control, in terms of the simulated fingers.

A DC motor runs at a speed that is proportional to its PWM, and when it is blocked pushes with a force that is. The
simulated fingers are moved by a spring (force = stiffness x distance to their target), so the target runs ahead with
the motor's speed, but never further than the motor's force would stretch the spring.
"""

from __future__ import annotations

import math

HORN, ROD = 0.014, 0.024
"""m, crank of the gripper (wx250s.yaml: horn_radius, arm_length)."""
FULL = 885.0
"""PWM of the full supply voltage."""
NO_LOAD = 6.4
"""rad/s of an XL430-W250 at 12 V without load (e-manual: 61 rev/min)."""
STALL_FORCE = 45.0
"""N between the fingers with the full voltage: 18 N, the most that the simulated fingers take, at 350 of 885."""
STIFFNESS = 1500.0
"""N/m of the simulated fingers' actuator."""


class GripperMotor:
    """Turns PWM into a target of the simulated fingers; nothing is held when there is no PWM."""

    def __init__(self) -> None:
        self.pwm = 0.0
        self._target: float | None = None

    def advance(self, finger: float, elapsed: float) -> float:
        """Target (m) of the fingers, which are at `finger` m, `elapsed` s later."""
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
