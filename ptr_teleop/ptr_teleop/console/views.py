# SPDX-License-Identifier: Apache-2.0
"""Arm, recorder and teleoperation as a page gets them: values of JSON, without numbers that JSON does not know."""

from __future__ import annotations

import math
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from ptr_bringup.ros.time import seconds
from ptr_msgs.msg import ArmState, EpisodeStatus, SafetyEvent

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
REASONS = {  # bit of SafetyEvent.reason: (its name, how grave, what a person reads and hears)
    SafetyEvent.WORKSPACE_LIMIT: ("workspace_limit", "clip", "at the edge of the workspace"),
    SafetyEvent.UNREACHABLE: ("unreachable", "refuse", "out of the arm's reach"),
    SafetyEvent.VELOCITY_LIMIT: ("velocity_limit", "clip", "too fast, slowed down"),
    SafetyEvent.NOT_FINITE: ("not_finite", "refuse", "a command without numbers"),
    SafetyEvent.JOINT_LIMIT: ("joint_limit", "refuse", "at a joint's limit"),
    SafetyEvent.STALE_COMMAND: ("stale_command", "refuse", "a command that came too late"),
    SafetyEvent.STATE_TIMEOUT: ("state_timeout", "refuse", "joint states are too old"),
    SafetyEvent.COMMAND_TIMEOUT: ("command_timeout", "hold", "nobody commands any more"),
    SafetyEvent.STOPPED: ("stopped", "refuse", "stopped"),
    SafetyEvent.PREEMPTED: ("preempted", "hold", "somebody else is in command"),
    SafetyEvent.COLLISION: ("collision", "refuse", "too close to the table or to itself"),
    SafetyEvent.MOTOR_FAULT: ("motor_fault", "refuse", "a motor reports a fault"),
    SafetyEvent.OUT_OF_RANGE: ("out_of_range", "refuse", "the command holds a value that it can't have"),
}
LEVELS = {DiagnosticStatus.OK: "ok", DiagnosticStatus.WARN: "warn"}  # everything else: error
LONGEST = 400  # characters of a sentence


def arm_view(message: ArmState) -> dict[str, Any]:
    """Mode, who commands, position (m) and gripper (0 closed, 1 open), measured."""
    position = message.measured_pose.position
    return {
        "mode": MODES.get(message.mode, "unknown"),
        "source": shortened(message.source),
        "position": [number(position.x, 4), number(position.y, 4), number(position.z, 4)],
        "gripper": number(message.gripper_position, 2),
    }


def safety_view(message: SafetyEvent) -> dict[str, Any]:
    """Why the gate changes or refuses commands at present; no reasons: it does not."""
    reasons = [
        {"code": code, "grade": grade, "text": text}
        for bit, (code, grade, text) in REASONS.items()
        if message.reason & bit
    ]
    return {"reasons": reasons, "detail": shortened(message.message), "source": shortened(message.source)}


def recorder_view(message: EpisodeStatus) -> dict[str, Any]:
    """The recorder's state, its count against the goal, its streams and its last audit."""
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
    """The teleoperation node's device, who is in charge, and its sentence."""
    values = values_of(message)
    return {
        "level": LEVELS.get(message.level, "error"),
        "message": shortened(message.message),
        "device": values.get("device", ""),
        "in_charge": values.get("in_charge", ""),
        "devices": [name for name in values.get("devices", "").split(",") if name.strip()],
        "scale": values.get("scale", ""),
    }


def values_of(message: DiagnosticStatus) -> dict[str, str]:
    """The pairs of a status, none of them too long."""
    return {item.key: shortened(item.value) for item in message.values[:50]}


def shortened(text: str) -> str:
    """A text of at most LONGEST characters: of a longer one the first words, and a sign that there are more."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rpartition(' ')[0] or text[: LONGEST - 1]}…"


def number(value: float, digits: int) -> float | None:
    """A number for JSON; None when it is not finite."""
    return round(float(value), digits) if math.isfinite(value) else None
