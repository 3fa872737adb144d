# SPDX-License-Identifier: Apache-2.0
"""Motors and cameras as a page gets them: how each is, and one sentence when something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from ptr_msgs.msg import MotorState, MotorStates
from ptr_teleop.console.views import LEVELS, number, shortened, values_of

MOTOR_LEVELS = {MotorStates.OK: "ok", MotorStates.WARN: "warn", MotorStates.FAULT: "fault"}
HARDWARE_ERRORS = {  # bit of MotorState.hardware_error_status: what a person reads
    MotorState.INPUT_VOLTAGE: "supply voltage",
    MotorState.OVERHEATING: "overheating",
    MotorState.ENCODER: "encoder",
    MotorState.ELECTRICAL_SHOCK: "electrical shock",
    MotorState.OVERLOAD: "overload",
}
GRAVITY = {"ok": 0, "warn": 1, "error": 2}


def motors_view(message: MotorStates) -> dict[str, Any]:
    """The judgment with its sentence, and the readings of each motor (deg C, V, effort in the driver's unit)."""
    return {
        "level": MOTOR_LEVELS.get(message.level, "fault"),
        "message": shortened(message.message),
        "motors": [_motor_view(motor) for motor in message.motors[:32]],
    }


def _motor_view(motor: MotorState) -> dict[str, Any]:
    known = [words for bit, words in HARDWARE_ERRORS.items() if motor.hardware_error_status & bit]
    unknown = motor.hardware_error_status & ~sum(HARDWARE_ERRORS)
    return {
        "name": motor.name[:40],
        "temperature": number(motor.temperature, 0),
        "voltage": number(motor.voltage, 1),
        "effort": number(motor.effort, 2 if abs(motor.effort) < 20.0 else 0),
        "torque": bool(motor.torque_enabled),
        "errors": known + ([f"error {unknown}"] if unknown else []),
    }


def camera_views(message: DiagnosticArray, cameras: Sequence[str], prefix: str = "") -> dict[str, dict[str, Any]]:
    """What an array of diagnostics says of the cameras, by camera; of several reports the gravest.

    A status belongs to a camera when it is named `camera NAME`, after the name of a node and a colon or not. In a
    namespace all of that comes after the prefix of its names.
    """
    found: dict[str, dict[str, Any]] = {}
    for status in message.status:
        name = status.name.removeprefix(prefix).rpartition(": ")[2].removeprefix("camera ")
        if name in cameras and status.name.startswith(prefix) and status.name.endswith(f"camera {name}"):
            view = _camera_view(status)
            if name not in found or GRAVITY[view["level"]] > GRAVITY[found[name]["level"]]:
                found[name] = view
    return found


def _camera_view(status: DiagnosticStatus) -> dict[str, Any]:
    level = LEVELS.get(status.level, "error")
    return {"level": level, "state": values_of(status).get("problems", ""), "message": shortened(status.message)}
