# SPDX-License-Identifier: Apache-2.0
"""The robot's messages as JSON values for the page, without numbers that JSON can't represent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from ptr_bringup.ros.time import seconds
from ptr_msgs.msg import ArmState, EpisodeStatus, MotorState, MotorStates, SafetyEvent

MODES = {
    ArmState.IDLE: "idle",
    ArmState.TELEOP: "teleop",
    ArmState.POLICY: "policy",
    ArmState.HOLD: "hold",
    ArmState.PROTECTIVE_STOP: "stopped",
    ArmState.MOVING: "moving",
}
RECORDER_STATES = {
    EpisodeStatus.IDLE: "idle",
    EpisodeStatus.RECORDING: "recording",
    EpisodeStatus.SAVING: "saving",
    EpisodeStatus.FAULT: "fault",
}
REASONS = {  # bit of SafetyEvent.reason: (name, severity, text shown and spoken)
    SafetyEvent.WORKSPACE_LIMIT: ("workspace_limit", "clip", "at the edge of the workspace"),
    SafetyEvent.UNREACHABLE: ("unreachable", "refuse", "out of the arm's reach"),
    SafetyEvent.VELOCITY_LIMIT: ("velocity_limit", "clip", "too fast, slowed down"),
    SafetyEvent.NOT_FINITE: ("not_finite", "refuse", "a command with invalid numbers"),
    SafetyEvent.JOINT_LIMIT: ("joint_limit", "refuse", "at a joint's limit"),
    SafetyEvent.STALE_COMMAND: ("stale_command", "refuse", "a command that came too late"),
    SafetyEvent.STATE_TIMEOUT: ("state_timeout", "refuse", "joint states are too old"),
    SafetyEvent.COMMAND_TIMEOUT: ("command_timeout", "hold", "commands have stopped"),
    SafetyEvent.STOPPED: ("stopped", "refuse", "stopped"),
    SafetyEvent.PREEMPTED: ("preempted", "hold", "another source has control"),
    SafetyEvent.COLLISION: ("collision", "refuse", "too close to the table or to itself"),
    SafetyEvent.MOTOR_FAULT: ("motor_fault", "refuse", "a motor reports a fault"),
    SafetyEvent.OUT_OF_RANGE: ("out_of_range", "refuse", "a value in the command is out of range"),
}
MOTOR_LEVELS = {MotorStates.OK: "ok", MotorStates.WARN: "warn", MotorStates.FAULT: "fault"}
HARDWARE_ERRORS = {  # bit of MotorState.hardware_error_status: text shown
    MotorState.INPUT_VOLTAGE: "supply voltage",
    MotorState.OVERHEATING: "overheating",
    MotorState.ENCODER: "encoder",
    MotorState.ELECTRICAL_SHOCK: "electrical shock",
    MotorState.OVERLOAD: "overload",
}
SEVERITY = {"ok": 0, "warn": 1, "error": 2}
LEVELS = {DiagnosticStatus.OK: "ok", DiagnosticStatus.WARN: "warn"}  # everything else: error
MAX_LENGTH = 400  # characters of a sentence


def arm_view(message: ArmState) -> dict[str, Any]:
    """Mode, commanding source, and measured position (m) and gripper (0 closed, 1 open)."""
    position = message.measured_pose.position
    return {
        "mode": MODES.get(message.mode, "unknown"),
        "source": shortened(message.source),
        "position": [number(position.x, 4), number(position.y, 4), number(position.z, 4)],
        "gripper": number(message.gripper_position, 2),
    }


def safety_view(message: SafetyEvent) -> dict[str, Any]:
    """Why the gate currently changes or refuses commands; no reasons: it does not."""
    reasons = [
        {"code": code, "grade": grade, "text": text}
        for bit, (code, grade, text) in REASONS.items()
        if message.reason & bit
    ]
    return {"reasons": reasons, "detail": shortened(message.message), "source": shortened(message.source)}


def recorder_view(message: EpisodeStatus) -> dict[str, Any]:
    """The recorder's state, its episode count and goal, its streams and its last audit."""
    streams = [
        {
            "name": stream.topic,
            "required": bool(stream.required),
            "age": number(stream.age, 2) if stream.age >= 0.0 else None,
            "rate": number(stream.rate, 1),
            "lost": int(stream.lost),
        }
        for stream in message.streams
    ]
    return {
        "state": RECORDER_STATES.get(message.state, "unknown"),
        "started": seconds(message.header.stamp),
        "episode": shortened(message.episode_id),
        "task": shortened(message.task),
        "directory": shortened(message.directory),
        "saved": int(message.saved),
        "goal": int(message.goal),
        "message": shortened(message.message),
        "free_gb": number(message.free_gb, 1),
        "recommendation": shortened(message.recommendation),
        "findings": [shortened(finding) for finding in message.findings[:10]],
        "streams": streams,
    }


def teleop_view(message: DiagnosticStatus) -> dict[str, Any]:
    """The teleoperation node's device, the source in control, and its message."""
    values = values_of(message)
    return {
        "level": LEVELS.get(message.level, "error"),
        "message": shortened(message.message),
        "device": values.get("device", ""),
        "in_charge": values.get("in_charge", ""),
        "devices": [name for name in values.get("devices", "").split(",") if name.strip()],
        "scale": values.get("scale", ""),
    }


def motors_view(message: MotorStates) -> dict[str, Any]:
    """The motors' level and message, and each motor's readings (deg C, V, effort in the driver's unit)."""
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
    """The cameras' diagnostics, by camera; the most severe one if there are several.

    The status of a camera is named `camera NAME`, optionally after a node's name and a colon. In a namespace, all of
    that follows the namespace's prefix.
    """
    found: dict[str, dict[str, Any]] = {}
    for status in message.status:
        name = status.name.removeprefix(prefix).rpartition(": ")[2].removeprefix("camera ")
        if name in cameras and status.name.startswith(prefix) and status.name.endswith(f"camera {name}"):
            view = _camera_view(status)
            if name not in found or SEVERITY[view["level"]] > SEVERITY[found[name]["level"]]:
                found[name] = view
    return found


def _camera_view(status: DiagnosticStatus) -> dict[str, Any]:
    level = LEVELS.get(status.level, "error")
    return {"level": level, "state": values_of(status).get("problems", ""), "message": shortened(status.message)}


def values_of(message: DiagnosticStatus) -> dict[str, str]:
    """The key-value pairs of a status, shortened."""
    return {item.key: shortened(item.value) for item in message.values[:50]}


def shortened(text: str) -> str:
    """A text of at most MAX_LENGTH characters; a longer one is cut after a word and ends in an ellipsis."""
    return (
        text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1].rpartition(' ')[0] or text[: MAX_LENGTH - 1]}…"
    )


def number(value: float, digits: int) -> float | None:
    """A number for JSON; None: not finite."""
    return round(float(value), digits) if math.isfinite(value) else None
