# SPDX-License-Identifier: Apache-2.0
"""What the motors' registers would hold, from the readings of the simulated ones."""

from __future__ import annotations

import math

from ptr_bringup.arm.drivers.interbotix.registers import ERROR, SHADOWS, TEMPERATURE, TORQUE, VOLTAGE
from ptr_bringup.arm.motors.readings import MOTOR_NAMES
from ptr_bringup.sim.arm_mjcf import FINGER_FORCE_LIMIT, JOINT_EFFORT_LIMITS
from ptr_msgs.msg import MotorState

CURRENT_UNIT = 2.69
"""mA of 1 in Present_Current (XM430). xs_sdk multiplies the load of an XL430, in 0.1 %, by the same number."""
STALL_CURRENT = 2300.0
"""mA of an XM430-W350 that is stalled at 12 V (e-manual). The simulated actuators are stronger than the motors, so a
share of what they give at most is reported as that share of this current."""
_LIMITS = dict(zip(MOTOR_NAMES, (*JOINT_EFFORT_LIMITS, 2.0 * FINGER_FORCE_LIMIT), strict=True))
"""Most effort of each simulated actuator (N m; N of the gripper)."""
LIGHT = frozenset({"wrist_rotate", "gripper"})
"""Joints with an XL430, which reports its load instead of a current."""


def effort_from(name: str, effort: float) -> float:
    """What xs_sdk reports as effort of a joint whose simulated actuator exerts `effort` (N m; N of the gripper)."""
    share = effort / _LIMITS[name]
    counts = 1000.0 * share if name in LIGHT else STALL_CURRENT * share / CURRENT_UNIT
    return round(counts) * CURRENT_UNIT


def register(motor: MotorState, name: str) -> int | None:
    """Value of a register that shows a motor's health; None where it isn't known or not measured."""
    value = {
        ERROR: float(motor.hardware_error_status),
        TORQUE: float(motor.torque_enabled),
        TEMPERATURE: motor.temperature,
        VOLTAGE: 10.0 * motor.voltage,
    }.get(name, math.nan)
    return round(value) if math.isfinite(value) else None


def joint_of(motor: str) -> str | None:
    """The joint that a motor drives, None for a motor that there isn't."""
    joint = SHADOWS.get(motor, motor)
    return joint if joint in MOTOR_NAMES else None
