# SPDX-License-Identifier: Apache-2.0
"""What the motors' registers would hold, from the readings of the simulated ones."""

from __future__ import annotations

import math

from ptr_bringup.arm.drivers.interbotix.registers import ERROR, SHADOWS, TEMPERATURE, TORQUE, VOLTAGE
from ptr_bringup.arm.motors import MOTOR_NAMES
from ptr_msgs.msg import MotorState

CURRENT_UNIT = 2.69
"""mA of 1 in Present_Current (XM430). xs_sdk multiplies the load of an XL430, in 0.1 %, by the same number."""
TORQUE_PER_AMPERE = 4.1 / 2.3
"""N m/A of an XM430-W350 at 12 V (e-manual: stall torque over stall current)."""
LOAD_TORQUE = 1.4
"""N m of an XL430-W250 at 100 % load (12 V)."""
PAIRS = frozenset(SHADOWS.values())
"""Joints that two motors drive; each carries half."""
LIGHT = frozenset({"wrist_rotate", "gripper"})
"""Joints with an XL430, which reports its load instead of a current."""


def effort_from(name: str, torque: float) -> float:
    """What xs_sdk reports as effort of a joint that exerts `torque` N m."""
    if name in LIGHT:
        return round(1000.0 * torque / LOAD_TORQUE) * CURRENT_UNIT
    shared = torque / 2.0 if name in PAIRS else torque
    return round(1000.0 * shared / TORQUE_PER_AMPERE / CURRENT_UNIT) * CURRENT_UNIT


def register(motor: MotorState, name: str) -> int | None:
    """Value of a register that shows a motor's health; None where it isn't known or not measured."""
    value = {
        ERROR: float(motor.hardware_error),
        TORQUE: float(motor.torque),
        TEMPERATURE: motor.temperature,
        VOLTAGE: 10.0 * motor.voltage,
    }.get(name, math.nan)
    return round(value) if math.isfinite(value) else None


def joint_of(motor: str) -> str | None:
    """The joint that a motor drives, None for a motor that there isn't."""
    joint = SHADOWS.get(motor, motor)
    return joint if joint in MOTOR_NAMES else None
