# SPDX-License-Identifier: Apache-2.0
"""Messages of the robot as a page gets them: values of JSON, without numbers that JSON does not know."""

from __future__ import annotations

import json
import math
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from ptr_msgs.msg import ArmState, EpisodeStatus, PolicyStep, SafetyEvent

MODES = {
    ArmState.IDLE: "idle",
    ArmState.TELEOP: "teleop",
    ArmState.POLICY: "policy",
    ArmState.HOLD: "hold",
    ArmState.FAULT: "stopped",
    ArmState.MOVING: "moving",
}
RECORDER_STATES = {
    EpisodeStatus.IDLE: "idle",
    EpisodeStatus.RECORDING: "recording",
    EpisodeStatus.SAVING: "saving",
    EpisodeStatus.FAULT: "fault",
}
REASONS = {  # bit of SafetyEvent.reason: (how grave, what a person reads)
    SafetyEvent.OUTSIDE_BOX: ("clip", "at the edge of the workspace"),
    SafetyEvent.UNREACHABLE: ("refuse", "out of the arm's reach"),
    SafetyEvent.TOO_FAST: ("clip", "slowed down"),
    SafetyEvent.NOT_FINITE: ("refuse", "a command without numbers"),
    SafetyEvent.JOINT_LIMIT: ("refuse", "at a joint's limit"),
    SafetyEvent.STALE_COMMAND: ("refuse", "a command that came too late"),
    SafetyEvent.STALE_STATE: ("refuse", "joint states are too old"),
    SafetyEvent.SILENT: ("hold", "nobody commands any more"),
    SafetyEvent.STOPPED: ("refuse", "stopped"),
    SafetyEvent.OVERRIDDEN: ("hold", "somebody else is in command"),
    SafetyEvent.COLLISION: ("refuse", "it would touch the table or itself"),
    SafetyEvent.MOTOR_FAULT: ("refuse", "a motor reports a fault"),
}
LONGEST = 400  # characters of a sentence


def arm_view(message: ArmState) -> dict[str, Any]:
    """Mode, who commands, position (m) and gripper (0 closed, 1 open), measured."""
    position = message.measured.position
    return {
        "mode": MODES.get(message.mode, "unknown"),
        "source": message.source[:LONGEST],
        "position": [number(position.x, 4), number(position.y, 4), number(position.z, 4)],
        "gripper": number(message.gripper, 2),
    }


def safety_view(message: SafetyEvent) -> dict[str, Any]:
    """Why the gate changes or refuses commands at present; no reasons: it does not."""
    reasons = [
        {"grade": grade, "text": text} for bit, (grade, text) in REASONS.items() if message.reason & bit
    ]
    return {"reasons": reasons, "detail": message.detail[:LONGEST], "source": message.source[:LONGEST]}


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
        "started": message.header.stamp.sec + message.header.stamp.nanosec / 1e9,
        "episode": message.episode_id[:LONGEST],
        "task": message.task[:LONGEST],
        "directory": message.directory[:LONGEST],
        "saved": int(message.saved),
        "goal": int(message.goal),
        "message": message.message[:LONGEST],
        "free_gb": number(message.free_gb, 1),
        "proposal": message.proposal[:LONGEST],
        "findings": [finding[:LONGEST] for finding in message.findings[:10]],
        "streams": streams,
    }


def teleop_view(message: DiagnosticStatus) -> dict[str, Any]:
    """The teleoperation node's device, who is in charge, and its sentence."""
    values = {item.key: item.value[:LONGEST] for item in message.values}
    level = {DiagnosticStatus.OK: "ok", DiagnosticStatus.WARN: "warn"}.get(message.level, "error")
    return {
        "level": level,
        "message": message.message[:LONGEST],
        "device": values.get("device", ""),
        "in_charge": values.get("in_charge", ""),
        "devices": [name for name in values.get("devices", "").split(",") if name.strip()],
        "scale": values.get("scale", ""),
    }


def policy_view(message: PolicyStep) -> dict[str, Any]:
    """What the running policy does, and why when it does nothing."""
    return {
        "task": message.task[:LONGEST],
        "step": int(message.step),
        "held": bool(message.held),
        "reason": message.reason[:LONGEST],
        "milliseconds": number(1e3 * message.inference_time, 1),
    }


def policy_point(message: PolicyStep) -> list[Any]:
    """A point of the curve: step, Q of the action, spread of the critics, Q of the actor's mode."""
    return [int(message.step), number(message.q, 4), number(message.q_spread, 4), number(message.q_mode, 4)]


def evaluation_view(text: str) -> dict[str, Any] | None:
    """Counts and Wilson's interval of the summary that the evaluator publishes; None: it is none."""
    try:
        summary = json.loads(text, parse_constant=lambda _: None)
        low, high = summary["wilson_95"]
        return {
            "task": str(summary["task"])[:LONGEST],
            "policy": str(summary["policy"])[:LONGEST],
            "planned": int(summary["planned"]),
            "judged": int(summary["judged"]),
            "successes": int(summary["successes"]),
            "low": number(float(low), 4),
            "high": number(float(high), 4),
            "outcomes": [str(trial["outcome"])[:20] for trial in summary["trials"][-200:]],
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
        return None


def number(value: float, digits: int) -> float | None:
    """A number for JSON; None when it is not finite."""
    return round(float(value), digits) if math.isfinite(value) else None
