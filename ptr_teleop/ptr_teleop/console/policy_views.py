# SPDX-License-Identifier: Apache-2.0
"""Policy and evaluation messages as JSON values for the page."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from ptr_msgs.msg import EvaluationSummary, EvaluationTrial, PolicyStep
from ptr_teleop.console.views import LEVELS, number, shortened, values_of

PHASES = ("idle", "staging", "ready", "running", "label", "review", "done")


def policy_view(message: PolicyStep) -> dict[str, Any]:
    """What the running policy is doing and, if it holds, why."""
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


def evaluation_view(message: EvaluationSummary) -> dict[str, Any]:
    """Counts and Wilson interval of an evaluation."""
    return {
        "task": shortened(message.task),
        "policy": shortened(message.policy),
        "planned": message.planned,
        "judged": message.judged,
        "successes": message.successes,
        "low": number(message.interval_low, 4),
        "high": number(message.interval_high, 4),
        "outcomes": [outcome[:20] for outcome in message.outcomes[-200:]],
    }


def trial_view(message: EvaluationTrial) -> dict[str, Any] | None:
    """The current trial of an evaluation; None: its phase is unknown."""
    if message.phase not in PHASES:
        return None
    words = ("task", "kitchen", "instruction", "policy_label", "message", "fault", "undo")
    return {
        "phase": message.phase,
        "number": message.index + 1,
        **{key: shortened(getattr(message, key)) for key in words},
        **{key: getattr(message, key) for key in ("planned", "takeover_steps", "blind", "may_label")},
    }


def _parsed(text: str) -> float | None:
    """A number from its text; None: not a finite number."""
    try:
        return number(float(text), 4)
    except ValueError:
        return None
