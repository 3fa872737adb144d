# SPDX-License-Identifier: Apache-2.0
"""Values of the motors' registers, computed from the simulated motors."""

from __future__ import annotations

import math

from ptr_bringup.arm.drivers.interbotix.registers import ERROR, SHADOWS, TEMPERATURE, TORQUE, VOLTAGE
from ptr_bringup.arm.motors.readings import MOTOR_NAMES
from ptr_bringup.sim.arm_mjcf import FINGER_FORCE_LIMIT, JOINT_EFFORT_LIMITS
from ptr_msgs.msg import MotorState

CURRENT_UNIT = 2.69
"""mA per unit of Present_Current (XM430). xs_sdk multiplies the load of an XL430, in 0.1 %, by the same number."""
STALL_CURRENT = 2300.0
"""mA, stall current of an XM430-W350 at 12 V (e-manual). The simulated actuators are stronger than the motors, so a
share of their maximum is reported as the same share of this current."""
_LIMITS = dict(zip(MOTOR_NAMES, (*JOINT_EFFORT_LIMITS, 2.0 * FINGER_FORCE_LIMIT), strict=True))
"""Maximum effort of each simulated actuator (N m; gripper: N)."""
LIGHT = frozenset({"wrist_rotate", "gripper"})
"""Joints with an XL430, which reports its load instead of a current."""


def effort_from(name: str, effort: float) -> float:
    """xs_sdk's effort value of a joint whose simulated actuator exerts `effort` (N m; gripper: N)."""
    share = effort / _LIMITS[name]
    counts = 1000.0 * share if name in LIGHT else STALL_CURRENT * share / CURRENT_UNIT
    return round(counts) * CURRENT_UNIT


def register(motor: MotorState, name: str) -> int | None:
    """Value of a register for a motor's health; None if it is unknown or not measured."""
    value = {
        ERROR: float(motor.hardware_error_status),
        TORQUE: float(motor.torque_enabled),
        TEMPERATURE: motor.temperature,
        VOLTAGE: 10.0 * motor.voltage,
    }.get(name, math.nan)
    return round(value) if math.isfinite(value) else None


def joint_of(motor: str) -> str | None:
    """The joint that a motor drives, None for an unknown motor."""
    joint = SHADOWS.get(motor, motor)
    return joint if joint in MOTOR_NAMES else None
