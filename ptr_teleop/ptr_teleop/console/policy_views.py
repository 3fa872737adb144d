# SPDX-License-Identifier: Apache-2.0
"""Policy and evaluation messages as JSON values for the page."""

from __future__ import annotations

import json
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from ptr_msgs.msg import PolicyStep
from ptr_teleop.console.views import LEVELS, number, shortened, values_of

PHASES = ("idle", "staging", "ready", "running", "label", "review", "done")
NOT_JSON = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


def policy_view(message: PolicyStep) -> dict[str, Any]:
    """What the running policy does, and if it holds, why."""
    return {
        "task": shortened(message.task),
        "step": int(message.step),
        "held": bool(message.held),
        "reason": shortened(message.reason),
        "milliseconds": number(1e3 * message.inference_time, 1),
    }


def policy_point(message: PolicyStep) -> list[Any]:
    """A point of the curve: step, Q of the action, spread of the critics, Q of the actor's mode; None when held."""
    values = (message.q, message.q_spread, message.q_mode)
    return [int(message.step), *(None if message.held else number(value, 4) for value in values)]


def policy_status_view(message: DiagnosticStatus) -> dict[str, Any]:
    """The policy server's state: its checkpoint, the range of Q of the task's demonstrations, and its alarms."""
    values = values_of(message)
    return {
        "level": LEVELS.get(message.level, "error"),
        "message": shortened(message.message),
        "checkpoint": values.get("checkpoint", ""),
        "takes_goal": values.get("task_conditioning", "") == "goal_image",
        "goal": values.get("goal", ""),
        "q_low": _parsed(values.get("q_low", "")),
        "q_high": _parsed(values.get("q_high", "")),
        "drift": values.get("drift", "").strip().lower() in ("true", "1", "yes"),
        "held_steps": values.get("held_steps", ""),
        "late_steps": values.get("late_steps", ""),
        "ended": values.get("ended", ""),
    }


def evaluation_view(text: str) -> dict[str, Any] | None:
    """Counts and Wilson interval from the evaluator's published summary; None: not a valid summary."""
    try:
        summary = json.loads(text, parse_constant=lambda _: None)
        low, high = summary["wilson_95"]
        return {
            "task": shortened(str(summary["task"])),
            "policy": shortened(str(summary["policy"])),
            "planned": int(summary["planned"]),
            "judged": int(summary["judged"]),
            "successes": int(summary["successes"]),
            "low": number(float(low), 4),
            "high": number(float(high), 4),
            "outcomes": [str(trial["outcome"])[:20] for trial in summary["trials"][-200:]],
        }
    except NOT_JSON:
        return None


def trial_view(text: str) -> dict[str, Any] | None:
    """The current trial of an evaluation; None: not a valid trial."""
    try:
        trial = json.loads(text, parse_constant=lambda _: None)
        phase = trial["phase"]
        if phase not in PHASES:
            return None
        words = ("task", "kitchen", "instruction", "policy_label", "message", "fault", "undo")
        counts = ("planned", "takeover_steps")
        return {
            "phase": phase,
            "number": int(trial.get("index") or 0) + 1,
            **{key: shortened(str(trial.get(key) or "")) for key in words},
            **{key: int(trial.get(key) or 0) for key in counts},
            "blind": bool(trial.get("blind", True)),
            "may_label": bool(trial.get("may_label", phase == "label")),
        }
    except NOT_JSON:
        return None


def _parsed(text: str) -> float | None:
    """A number from its text; None: not a finite number."""
    try:
        return number(float(text), 4)
    except ValueError:
        return None
