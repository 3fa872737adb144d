# SPDX-License-Identifier: Apache-2.0
"""Converts between motor readings and messages."""

from __future__ import annotations

from ptr_bringup.arm.motors.readings import HardwareError, MotorReading, Motors
from ptr_bringup.ros.time import seconds, stamp_from_seconds
from ptr_msgs.msg import MotorState, MotorStates

DIAGNOSTIC_NAME = "arm motors"
"""Name of the motors' entry in /diagnostics."""
NOT_READ = "This driver does not read the motors, so trips, heat and effort do not stop the arm."
"""Its message if the driver can't read the motors."""


def motors_message(motors: Motors, level: int = MotorStates.OK, text: str = "") -> MotorStates:
    """Readings with their status (see MotorStates.msg)."""
    message = MotorStates(level=level, message=text)
    message.header.stamp = stamp_from_seconds(motors.stamp)
    message.motors = [
        MotorState(
            name=reading.name,
            temperature=reading.temperature,
            voltage=reading.voltage,
            effort=reading.effort,
            hardware_error_status=int(reading.error),
            torque_enabled=reading.torque,
        )
        for reading in motors.readings
    ]
    return message


def motors_from(message: MotorStates) -> Motors:
    """The readings of a message."""
    readings = tuple(
        MotorReading(
            m.name, m.temperature, m.voltage, m.effort, HardwareError(m.hardware_error_status), m.torque_enabled
        )
        for m in message.motors
    )
    return Motors(seconds(message.header.stamp), readings)
